//! What an event costs in each pure stage of the pipeline, over one batch of the work of `benches/throughput`:
//! `cargo bench`.
#![allow(clippy::expect_used, reason = "a benchmark fails by panicking")]

#[path = "throughput/work.rs"]
#[allow(dead_code, reason = "the other benchmark needs the rest")]
mod work;

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use rusqlite::Connection;
use sea_orm::DbBackend;
use sea_orm::sqlx::mysql::MySqlArguments;
use write_behind::decode::{Decoded, Located, decode};
use write_behind::event::{Document, Entry};
use write_behind::expression::{Expression, Input, Variable};
use write_behind::mapping::{Change, Mapped, Mapping, Step, fold};
use write_behind::row::{Row, RowWriter};
use write_behind::settings::{
    ColumnSettings, DocumentSource, Layers, RdbmsKind, Settings, StreamSettings, TableSettings, WriteBehind, WriteMode,
};
use write_behind::sink::encode::{Form, ValuesStatements, bind_mysql, bind_sqlite, put_copy_row};
use write_behind::stream::reader::of_one_stream;
use write_behind::table::{Column, ColumnKind, Table, TableName, TablePlan};
use write_behind::wire::{Ending, put_text};

use crate::work::{Mode, Type, Way, Work};

/// Events of a batch: as many as one read takes unless the settings say otherwise.
const EVENTS: u64 = 1_000;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .without_plots()
        .configure_from_args();
    let mut group = criterion.benchmark_group("stages");
    group.throughput(Throughput::Elements(EVENTS));

    let flat = Batch::new(&Work::user_actions(Way::Inline, Mode::Append, EVENTS), Shape::Flat);
    let upserts = Batch::new(&Work::user_actions(Way::Inline, Mode::Upsert, EVENTS), Shape::Flat);
    let wide = Batch::new(&Work::wide(50, EVENTS), Shape::Flat);
    let nested = Batch::new(&Work::user_actions(Way::Inline, Mode::Append, EVENTS), Shape::Nested);

    group.bench_function("wire", |bencher| bencher.iter(|| flat.read()));
    group.bench_function("decode", |bencher| bencher.iter(|| flat.decode()));
    group.bench_function("map 7 columns", |bencher| bencher.iter(|| flat.map()));
    group.bench_function("map 7 columns, nested", |bencher| bencher.iter(|| nested.map()));
    group.bench_function("map 51 columns", |bencher| bencher.iter(|| wide.map()));
    group.bench_function("fold appends", |bencher| bencher.iter(|| flat.fold(EVENTS)));
    group.bench_function("fold upserts", |bencher| bencher.iter(|| upserts.fold(EVENTS * 4 / 5)));
    encode_postgres(&mut group, &flat);
    encode_mysql(&mut group, &flat);
    encode_sqlite(&mut group, &flat);

    group.finish();

    let mut group = criterion.benchmark_group("expression");
    group.throughput(Throughput::Elements(EVENTS));
    expressions(&mut group, &flat);
    group.finish();
    criterion.final_summary();
}

/// One batch as it is before each stage.
struct Batch {
    answer: Bytes,
    settings: StreamSettings,
    entries: Vec<Entry>,
    events: Vec<(Decoded, Document)>,
    mapping: Mapping,
    plan: TablePlan,
    changes: Vec<Change>,
}

impl Batch {
    fn new(work: &Work, shape: Shape) -> Batch {
        let settings = settings(work, shape);
        let mapping = Mapping::compile(&settings, &[table(work)], RdbmsKind::Postgres).expect("settings that fit");
        let mut batch = Batch {
            answer: answer(work, shape),
            plan: mapping.plans().remove(0),
            settings,
            mapping,
            entries: Vec::new(),
            events: Vec::new(),
            changes: Vec::new(),
        };
        batch.entries = batch.read();
        let with_document = |decoded: Decoded| match &decoded.located {
            Located::Here(document) => (decoded.clone(), document.clone()),
            located => panic!("the document is {located:?}"),
        };
        batch.events = batch.decode().into_iter().map(with_document).collect();
        batch.changes = batch.map();
        assert_eq!(batch.changes.len() as u64, EVENTS);
        batch
    }

    /// From the bytes of an answer to entries.
    fn read(&self) -> Vec<Entry> {
        let end = Ending::new().find(&self.answer).expect("an answer");
        assert_eq!(end, Some(self.answer.len()));
        of_one_stream(&self.answer).expect("entries")
    }

    fn decode(&self) -> Vec<Decoded> {
        let decode = |entry| decode(entry, &self.settings.fields, DocumentSource::Auto).expect("an event");
        self.entries.iter().map(decode).collect()
    }

    fn map(&self) -> Vec<Change> {
        let mut rows = RowWriter::default();
        let map = |(entry, (event, document)): (&Entry, &(Decoded, Document))| match self
            .mapping
            .map(entry, event, document, &mut rows)
            .expect("values that fit")
        {
            Mapped::Changes(changes) => changes.into_iter().next().expect("a change"),
            Mapped::Skip => panic!("every operation is written"),
        };
        self.entries.iter().zip(&self.events).map(map).collect()
    }

    fn fold(&self, rows: u64) -> Vec<Step<'_>> {
        let steps = fold(&self.changes, std::slice::from_ref(&self.plan));
        assert_eq!(steps.iter().map(|step| step.rows.len() as u64).sum::<u64>(), rows);
        steps
    }
}

/// What reading a document, a filter and a computed column cost.
fn expressions(group: &mut BenchmarkGroup<'_, WallTime>, batch: &Batch) {
    let documents: Vec<&str> = batch.events.iter().map(|(_, document)| text(document)).collect();
    let inputs: Vec<Input> = documents.iter().map(|text| Input::read(text).expect("JSON")).collect();
    let compile = |text| Expression::compile(text, &["$op"]).expect("an expression");
    let filter = compile(r#".action != "nothing" and $op != "delete""#);
    let column = compile(r#"(.user_id | ascii_downcase) + ":" + .action"#);
    let variables = [("$op", Variable::Text("insert"))];
    group.bench_function("read", |bencher| {
        bencher.iter(|| documents.iter().for_each(|text| drop(black_box(Input::read(text).expect("JSON")))));
    });
    group.bench_function("filter", |bencher| {
        bencher.iter(|| inputs.iter().for_each(|input| assert!(filter.holds(input, &variables).expect("an answer"))));
    });
    group.bench_function("column", |bencher| {
        bencher.iter(|| {
            let values = inputs.iter().map(|input| column.evaluate(input, &variables).expect("an answer"));
            values.for_each(|value| assert!(value.is_some()));
        });
    });
}

fn text(document: &Document) -> &str {
    match document {
        Document::Json(text) => str::from_utf8(text).expect("UTF-8"),
        document => panic!("the document is {document:?}"),
    }
}

/// The tuples of a `COPY`.
fn encode_postgres(group: &mut BenchmarkGroup<'_, WallTime>, batch: &Batch) {
    let form = |column: &Column| (column.name.clone(), Form::of(column).expect("a type with a binary form"));
    let columns: Vec<(String, Form)> = batch.plan.columns.iter().map(form).collect();
    let mut buffer = Vec::new();
    group.bench_function("encode postgres", |bencher| {
        bencher.iter(|| {
            buffer.clear();
            for change in &batch.changes {
                put_copy_row(&columns, &change.row, &mut buffer).expect("values that fit");
            }
            black_box(&buffer).len()
        });
    });
}

/// The arguments of multi-row statements.
fn encode_mysql(group: &mut BenchmarkGroup<'_, WallTime>, batch: &Batch) {
    let steps = batch.fold(EVENTS);
    let mut statements = ValuesStatements::new(DbBackend::MySql, &batch.plan);
    group.bench_function("encode mysql", |bencher| {
        bencher.iter(|| {
            for (sql, rows) in statements.of(&steps[0]) {
                let mut arguments = MySqlArguments::default();
                for cell in rows.iter().flat_map(Row::cells) {
                    bind_mysql(&mut arguments, cell).expect("an argument");
                }
                black_box((sql, arguments));
            }
        });
    });
}

/// The same, which SQLite copies; it does not run the statements.
fn encode_sqlite(group: &mut BenchmarkGroup<'_, WallTime>, batch: &Batch) {
    let steps = batch.fold(EVENTS);
    let mut statements = ValuesStatements::new(DbBackend::Sqlite, &batch.plan);
    let connection = Connection::open_in_memory().expect("SQLite");
    let columns: Vec<&str> = batch.plan.columns.iter().map(|column| column.name.as_str()).collect();
    let create = format!("CREATE TABLE {} ({})", batch.plan.table.name, columns.join(", "));
    connection.execute_batch(&create).expect("a table");
    group.bench_function("encode sqlite", |bencher| {
        bencher.iter(|| {
            for (sql, rows) in statements.of(&steps[0]) {
                let mut statement = connection.prepare_cached(&sql).expect("a statement");
                for (place, cell) in (1..).zip(rows.iter().flat_map(Row::cells)) {
                    bind_sqlite(&mut statement, place, cell).expect("an argument");
                }
            }
        });
    });
}

/// Where in a document the members of the work are.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// At its top.
    Flat,
    /// Three steps below, behind what no column names.
    Nested,
}

impl Shape {
    fn path(self, member: &str) -> String {
        match self {
            Shape::Flat => member.to_owned(),
            Shape::Nested => format!("events[0].data.{member}"),
        }
    }

    fn document(self, members: String) -> String {
        match self {
            Shape::Flat => members,
            Shape::Nested => {
                format!(r#"{{"source":{{"app":"web","tags":["a","b"]}},"events":[{{"kind":1,"data":{members}}}]}}"#)
            }
        }
    }
}

/// What Redis answers to an `XREAD` of all events.
fn answer(work: &Work, shape: Shape) -> Bytes {
    let mut answer = Vec::new();
    answer.extend_from_slice(b"*1\r\n*2\r\n");
    put_text(&mut answer, work.stream().as_bytes());
    answer.extend_from_slice(format!("*{EVENTS}\r\n").as_bytes());
    for number in work.numbers() {
        answer.extend_from_slice(b"*2\r\n");
        put_text(&mut answer, format!("1718000000000-{number}").as_bytes());
        answer.extend_from_slice(b"*6\r\n");
        let (key, document) = (work.key(number), shape.document(work.document(number)));
        for text in ["key", &key, "op", "insert", "payload", &document] {
            put_text(&mut answer, text.as_bytes());
        }
    }
    answer.into()
}

/// The defaults, with the columns of the work.
fn settings(work: &Work, shape: Shape) -> StreamSettings {
    let defaults = Settings::load(&Layers::default()).expect("the defaults are sound");
    let stream = defaults.streams.into_iter().next().expect("the stream of the example");
    let id = ColumnSettings::from("id", "$key");
    let others = work.columns.iter().map(|column| ColumnSettings::from(&column.name, shape.path(&column.member)));
    let table = TableSettings {
        setting: "streams.user_action".to_owned(),
        table: work.table(),
        mode: if work.mode == Mode::Upsert { WriteMode::Upsert } else { WriteMode::Append },
        key: vec!["id".to_owned()],
        write_behind: WriteBehind { insert: true, upsert: true, update: true, patch: true, delete: true },
        filter: None,
        auto: None,
        columns: std::iter::once(id).chain(others).collect(),
        left_out: Vec::new(),
        for_each: None,
        version: None,
        soft_delete: None,
    };
    StreamSettings { tables: vec![table], ..stream }
}

/// The table, as PostgreSQL's catalogue has it.
fn table(work: &Work) -> Table {
    let column = |name: &str, kind: Type| {
        let (sql_type, cast_type, kind) = match kind {
            Type::Text => {
                ("character varying(64)", "varchar", ColumnKind::Text { max_chars: Some(64), max_bytes: None })
            }
            Type::Time => {
                let kind = ColumnKind::Timestamp { fraction_digits: 3, first: i64::MIN, last: i64::MAX };
                ("timestamp(3)", "timestamp", kind)
            }
            Type::Double => ("double precision", "float8", ColumnKind::Float { single: false }),
        };
        let cast_type = format!(r#""pg_catalog"."{cast_type}""#);
        Column { cast_type, nullable: name != "id", ..Column::new(name, sql_type, kind) }
    };
    let others = work.columns.iter().map(|of_work| column(&of_work.name, of_work.kind));
    let columns = std::iter::once(column("id", Type::Text)).chain(others).collect();
    let unique_keys = vec![vec!["id".to_owned()]];
    Table { unique_keys, takes_copy: true, ..Table::new(TableName::parse(&work.table()), columns) }
}
