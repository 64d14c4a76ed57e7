//! Every sequence of operations on one key, up to a length, for tables of every kind, on every database: the rows are
//! those of a model that takes the events one by one, whatever collapsed on the way.

use std::collections::BTreeMap;

use super::{add_made, dead, run_through, setting};
use crate::support::database::Kind;

/// What happens to a document. The numbers are its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Insert(i64),
    Upsert(i64),
    Update(i64),
    /// Of the members `a` and `v`.
    PatchText(i64),
    /// Of the members `n`, `items` and `v`.
    PatchNumber(i64),
    Delete,
}

const ALPHABET: [Op; 6] =
    [Op::Insert(5), Op::Upsert(3), Op::Update(5), Op::PatchText(4), Op::PatchNumber(5), Op::Delete];

/// Longest sequence.
const LENGTH_MAX: u32 = 4;

/// Keys whose events come mixed with each other.
const MIXED: usize = 40;

const TABLES: [&str; 6] = [
    "CREATE TABLE plain (id varchar(20) PRIMARY KEY, a varchar(20), b bigint)",
    "CREATE TABLE line (id varchar(20), item varchar(9), qty bigint, PRIMARY KEY (id, item), \
     FOREIGN KEY (id) REFERENCES plain (id))",
    "CREATE TABLE soft (id varchar(20) PRIMARY KEY, a varchar(20), b bigint, deleted timestamp NULL)",
    "CREATE TABLE newest (id varchar(20) PRIMARY KEY, a varchar(20), b bigint, v bigint)",
    "CREATE TABLE counter (id varchar(20) PRIMARY KEY, a varchar(20), n bigint)",
    "CREATE TABLE mixture (id varchar(20) PRIMARY KEY, a varchar(20), n bigint, gone smallint NOT NULL, v bigint)",
];

const STREAM: &str = r#"    tables:
      plain: {mode: upsert, key: [id], columns: {id: $key, a: a, b: b}}
      line:
        mode: upsert
        key: [id, item]
        for_each: items[*]
        columns: {id: $key, item: $item.sku, qty: $item.qty}
      soft: {mode: upsert, key: [id], soft_delete: deleted, columns: {id: $key, a: a, b: b}}
      newest: {mode: upsert, key: [id], version: v, columns: {id: $key, a: a, b: b, v: v}}
      counter: {mode: upsert, key: [id], columns: {id: $key, a: a, n: {add: n}}}
      mixture: {mode: upsert, key: [id], version: v, soft_delete: gone, columns: {id: $key, a: a, n: {add: n}, v: v}}
"#;

/// A document as the tables have it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Row {
    a: i64,
    b: i64,
    n: i64,
    v: i64,
    deleted: bool,
}

/// What a kind of table does.
#[derive(Clone, Copy)]
struct Rules {
    adds: bool,
    newest: bool,
    soft: bool,
}

/// What an event brings; number is its own.
struct Event {
    op: Op,
    number: i64,
}

impl Event {
    fn items(&self) -> BTreeMap<String, i64> {
        let chosen = (0..3).filter(|item| self.number >> item & 1 == 1);
        chosen.map(|item| (format!("i{item}"), self.number)).collect()
    }

    fn members(&self) -> String {
        let number = self.number;
        let items: Vec<String> =
            self.items().iter().map(|(sku, qty)| format!(r#"{{"sku": "{sku}", "qty": {qty}}}"#)).collect();
        let items = items.join(", ");
        match self.op {
            Op::Insert(v) | Op::Upsert(v) | Op::Update(v) => {
                format!(r#"{{"a": "a{number}", "b": {number}, "n": {number}, "v": {v}, "items": [{items}]}}"#)
            }
            Op::PatchText(v) => format!(r#"{{"a": "a{number}", "v": {v}}}"#),
            Op::PatchNumber(v) => format!(r#"{{"n": {number}, "v": {v}, "items": [{items}]}}"#),
            Op::Delete => String::new(),
        }
    }

    fn name(&self) -> &'static str {
        match self.op {
            Op::Insert(_) => "insert",
            Op::Upsert(_) => "upsert",
            Op::Update(_) => "update",
            Op::PatchText(_) | Op::PatchNumber(_) => "patch",
            Op::Delete => "delete",
        }
    }

    /// The row after the event, by the rules as docs/MAPPING.md tells them.
    fn done_to(&self, row: Option<Row>, rules: Rules) -> Option<Row> {
        let number = self.number;
        let is_old = |row: &Row, v: i64| rules.newest && row.v > v;
        match (self.op, row) {
            (Op::Insert(v) | Op::Upsert(v), row) => match row {
                Some(row) if is_old(&row, v) => Some(row),
                row => {
                    let before = row.filter(|row| rules.adds && !row.deleted).map_or(0, |row| row.n);
                    Some(Row { a: number, b: number, n: before + number, v, deleted: false })
                }
            },
            (_, None) => None,
            (Op::Delete, Some(row)) => rules.soft.then_some(Row { deleted: true, ..row }),
            (_, Some(row)) if row.deleted => Some(row),
            (Op::Update(v) | Op::PatchText(v) | Op::PatchNumber(v), Some(row)) if is_old(&row, v) => Some(row),
            (Op::Update(v), Some(row)) => {
                let before = if rules.adds { row.n } else { 0 };
                Some(Row { a: number, b: number, n: before + number, v, ..row })
            }
            (Op::PatchText(v), Some(row)) => Some(Row { a: number, v, ..row }),
            // A table without this column is left alone.
            (Op::PatchNumber(v), Some(row)) if rules.adds => Some(Row { n: row.n + number, v, ..row }),
            (Op::PatchNumber(_), Some(row)) => Some(row),
        }
    }
}

/// Every sequence, with the number of each event.
fn sequences() -> Vec<Vec<Event>> {
    let mut number = 0;
    let mut all = Vec::new();
    for length in 1..=LENGTH_MAX {
        for mut nth in 0..ALPHABET.len().pow(length) {
            let mut events = Vec::new();
            for _ in 0..length {
                number += 1;
                events.push(Event { op: ALPHABET[nth % ALPHABET.len()], number });
                nth /= ALPHABET.len();
            }
            all.push(events);
        }
    }
    all
}

fn rows_of(sequences: &[Vec<Event>], rules: Rules, show: impl Fn(&Row) -> String) -> Vec<String> {
    let last = |events: &Vec<Event>| events.iter().fold(None, |row, event| event.done_to(row, rules));
    let rows = sequences.iter().enumerate().filter_map(|(key, events)| Some((key, last(events)?)));
    rows.map(|(key, row)| format!("k{key:05}|{}", show(&row))).collect()
}

fn lines_of(sequences: &[Vec<Event>]) -> Vec<String> {
    let mut all = Vec::new();
    for (key, events) in sequences.iter().enumerate() {
        let (mut exists, mut lines) = (false, BTreeMap::new());
        for event in events {
            match event.op {
                Op::Insert(_) | Op::Upsert(_) => (exists, lines) = (true, event.items()),
                Op::Update(_) | Op::PatchNumber(_) if exists => lines = event.items(),
                Op::Delete => (exists, lines) = (false, BTreeMap::new()),
                _ => {}
            }
        }
        all.extend(lines.iter().map(|(item, qty)| format!("k{key:05}|{item}|{qty}")));
    }
    all
}

async fn every_sequence_ends_as_in_the_model(kind: Kind, batch_size: usize) {
    let sequences = sequences();
    let mut setting = setting(kind, &TABLES).await;
    let mut entries: Vec<[(&str, String); 3]> = Vec::new();
    for (chunk, first) in sequences.chunks(MIXED).zip((0..).step_by(MIXED)) {
        for place in 0..LENGTH_MAX as usize {
            for (nth, events) in chunk.iter().enumerate() {
                let Some(event) = events.get(place) else { continue };
                let key = format!("k{:05}", first + nth);
                entries.push([("op", event.name().into()), ("key", key), ("payload", event.members())]);
            }
        }
    }
    add_made(&mut setting, &entries).await;
    let stream = format!("    batch_size: {batch_size}\n{STREAM}");
    run_through(&setting, &stream, entries.len() as u64).await;
    assert_eq!(dead(&setting).await, Vec::<String>::new(), "{kind:?}");
    let plain = Rules { adds: false, newest: false, soft: false };
    let two = |row: &Row| format!("a{}|{}", row.a, row.b);
    for (sql, expected) in [
        ("SELECT id, a, b FROM plain ORDER BY id", rows_of(&sequences, plain, two)),
        ("SELECT id, item, qty FROM line ORDER BY id, item", lines_of(&sequences)),
        (
            "SELECT id, a, b, CASE WHEN deleted IS NULL THEN 0 ELSE 1 END FROM soft ORDER BY id",
            rows_of(&sequences, Rules { soft: true, ..plain }, |row| {
                format!("{}|{}", two(row), i64::from(row.deleted))
            }),
        ),
        (
            "SELECT id, a, b, v FROM newest ORDER BY id",
            rows_of(&sequences, Rules { newest: true, ..plain }, |row| format!("{}|{}", two(row), row.v)),
        ),
        (
            "SELECT id, a, n FROM counter ORDER BY id",
            rows_of(&sequences, Rules { adds: true, ..plain }, |row| format!("a{}|{}", row.a, row.n)),
        ),
        (
            "SELECT id, a, n, gone, v FROM mixture ORDER BY id",
            rows_of(&sequences, Rules { adds: true, newest: true, soft: true }, |row| {
                format!("a{}|{}|{}|{}", row.a, row.n, i64::from(row.deleted), row.v)
            }),
        ),
    ] {
        let rows = setting.rows(sql).await;
        let differ = rows.iter().zip(&expected).find(|(row, expected)| row != expected).map(|(row, expected)| {
            let key: usize = expected[1..6].parse().expect("a key");
            format!("{row} is not {expected}: {:?}", sequences[key].iter().map(|event| event.op).collect::<Vec<_>>())
        });
        assert_eq!((differ, rows.len()), (None, expected.len()), "{kind:?} {sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sequence_of_operations_on_postgres() {
    every_sequence_ends_as_in_the_model(Kind::Postgres, 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sequence_of_operations_on_mariadb() {
    every_sequence_ends_as_in_the_model(Kind::MariaDb, 1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sequence_of_operations_on_sqlite() {
    for batch_size in [1_000, 7] {
        every_sequence_ends_as_in_the_model(Kind::Sqlite, batch_size).await;
    }
}
