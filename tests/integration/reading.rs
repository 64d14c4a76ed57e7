//! What the settings of a stream say is what happens: names of fields, switches, missing documents, where to begin,
//! drains, and columns of every plain type.

use std::time::Duration;

use crate::support::database::Kind;
use crate::support::redis::RedisServer;
use crate::thing::{DEADLINE, Setting, drained, reads};
use crate::workload::done;

const THINGS: &str = "CREATE TABLE thing (id varchar(20) PRIMARY KEY, name varchar(20))";

#[tokio::test(flavor = "multi_thread")]
async fn other_names_of_fields_and_operations_that_are_off() {
    let mut setting = Setting::new(Kind::Sqlite, RedisServer::start(), THINGS).await;
    for (op, id, body) in [
        ("INSERT", "a", r#"{"name": "one"}"#),
        ("Insert", "b", r#"{"name": "two"}"#),
        ("update", "a", r#"{"name": "three"}"#),
        ("delete", "b", ""),
    ] {
        setting.add(&[("event_type", op), ("doc_id", id), ("body", body)]).await;
    }
    let pipeline = setting.start(
        "    fields: {op: event_type, key: doc_id, payload: body}\n    mode: upsert\n    key: [id]\n    \
         columns: {id: $key, name: name}\n    write_behind: {insert: true, update: true, delete: false}\n",
    );
    done(&setting.database, "stream:thing", 4, DEADLINE).await;
    drained(pipeline).await;
    assert_eq!(setting.rows("SELECT id, name FROM thing ORDER BY id").await, ["a|three", "b|two"]);
    let totals = "SELECT applied, dead_lettered, skipped FROM write_behind_checkpoint";
    assert_eq!(setting.rows(totals).await, ["3|0|1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_does_not_exist_yet_is_waited_for() {
    let mut setting = Setting::new(Kind::Sqlite, RedisServer::start(), THINGS).await;
    let pipeline = setting.start("    columns: {id: $id, name: name}\n    document: fields\n");
    reads(&pipeline).await;
    let id = setting.add(&[("name", "first")]).await;
    done(&setting.database, "stream:thing", 1, DEADLINE).await;
    drained(pipeline).await;
    assert_eq!(setting.rows("SELECT id, name FROM thing").await, [format!("{id}|first")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_at_the_newest_entry_leaves_out_what_was_there() {
    let mut setting = Setting::new(Kind::Sqlite, RedisServer::start(), THINGS).await;
    setting.add(&[("name", "old")]).await;
    let stream = "    start_id: \"$\"\n    columns: {id: $id, name: name}\n    document: fields\n";
    let pipeline = setting.start(stream);
    reads(&pipeline).await;
    setting.add(&[("name", "new")]).await;
    done(&setting.database, "stream:thing", 1, DEADLINE).await;
    drained(pipeline).await;
    // `$` is meant for the very first start: what came while the pipeline was away is not left out.
    setting.add(&[("name", "while away")]).await;
    let pipeline = setting.start(stream);
    done(&setting.database, "stream:thing", 2, DEADLINE).await;
    drained(pipeline).await;
    assert_eq!(setting.rows("SELECT name FROM thing ORDER BY id").await, ["new", "while away"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_document_is_what_the_setting_says() {
    for (policy, row, totals) in [("dead_letter", "kept", "0|1|0"), ("skip", "kept", "0|0|1"), ("delete", "", "1|0|0")]
    {
        let mut setting = Setting::new(Kind::Sqlite, RedisServer::start(), THINGS).await;
        setting.database.execute("INSERT INTO thing VALUES ('gone', 'kept')").await;
        setting.add(&[("key", "gone"), ("op", "upsert")]).await;
        let pipeline = setting.start(&format!(
            "    on_missing: {policy}\n    mode: upsert\n    key: [id]\n    columns: {{id: $key, name: name}}\n"
        ));
        done(&setting.database, "stream:thing", 1, DEADLINE).await;
        drained(pipeline).await;
        let rows = setting.rows("SELECT name FROM thing").await;
        assert_eq!(rows, Vec::from_iter(Some(row).filter(|row| !row.is_empty())), "{policy}");
        let sql = "SELECT applied, dead_lettered, skipped FROM write_behind_checkpoint";
        assert_eq!(setting.rows(sql).await, [totals], "{policy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_drains_and_nothing_is_lost_or_repeated() {
    const EVENTS: u64 = 200_000;
    let mut setting = Setting::new(Kind::Postgres, RedisServer::start(), "CREATE TABLE thing (n bigint)").await;
    for first in (0..EVENTS).step_by(1000) {
        let mut pipe = redis::pipe();
        for n in first..first + 1000 {
            pipe.xadd("stream:thing", "*", &[("n", n)]).ignore();
        }
        pipe.query_async::<()>(&mut setting.connection).await.unwrap();
    }
    let stream = "    document: fields\n    columns: {n: n}\n    batch_size: 200\n";
    let mut partial = 0;
    for _ in 0..3 {
        let pipeline = setting.start(stream);
        reads(&pipeline).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
        drained(pipeline).await;
        let count = setting.database.count("thing").await as u64;
        let applied: u64 = setting.database.number("SELECT applied FROM write_behind_checkpoint").await;
        assert_eq!(count, applied);
        partial += u64::from(count < EVENTS);
    }
    assert!(partial > 0, "no drain came while there was work: make EVENTS larger");
    let pipeline = setting.start(stream);
    done(&setting.database, "stream:thing", EVENTS, DEADLINE).await;
    drained(pipeline).await;
    assert_eq!(
        setting.rows("SELECT count(*)::text, sum(n)::text FROM thing").await,
        [format!("{EVENTS}|{}", EVENTS * (EVENTS - 1) / 2)]
    );
}

/// A document with a value for each type, and the columns it goes to.
async fn every_plain_type(kind: Kind, columns: &str, select: &str, expected: &str) {
    let table = format!("CREATE TABLE thing ({columns})");
    let mut setting = Setting::new(kind, RedisServer::start(), &table).await;
    let document = r#"{"i": -32768, "big": 9007199254740993, "d": 12345678901234567890.123456789, "f": 0.1,
        "b": true, "t": "Zoë \u0027x\u0027 \\", "j": {"a": [1, {"b": null}]}, "u": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        "day": "2024-02-29", "time": "23:59:58", "ts": "2024-06-01T12:00:00.123456+02:00", "bytes": "raw", "null": null}"#;
    setting.add(&[("payload", document)]).await;
    // A comma inside a type has no space behind it.
    let names = columns.split(", ").map(|column| column.split(' ').next().unwrap().trim_matches('"'));
    let mapping: Vec<String> = names.map(|name| format!("\"{name}\": {name}")).collect();
    let pipeline = setting.start(&format!("    columns: {{{}}}\n", mapping.join(", ")));
    done(&setting.database, "stream:thing", 1, DEADLINE).await;
    drained(pipeline).await;
    let dead = setting.rows("SELECT message FROM write_behind_dead_letter").await;
    assert_eq!(dead, Vec::<String>::new());
    assert_eq!(setting.rows(select).await, [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_plain_type_of_postgres() {
    every_plain_type(
        Kind::Postgres,
        "i smallint, big bigint, d numeric(30,9), f double precision, b boolean, t varchar(20), j jsonb, u uuid, \
         day date, time time, ts timestamptz(3), bytes bytea, \"null\" text",
        "SELECT i::text, big::text, d::text, f::text, b::text, t, j::text, u::text, day::text, time::text, \
         (ts at time zone 'UTC')::text, encode(bytes, 'escape'), \"null\" FROM thing",
        "-32768|9007199254740993|12345678901234567890.123456789|0.1|true|Zoë 'x' \\|{\"a\": [1, {\"b\": null}]}|\
         a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|2024-02-29|23:59:58|2024-06-01 10:00:00.123|raw|NULL",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_plain_type_of_mariadb() {
    every_plain_type(
        Kind::MariaDb,
        "i smallint, big bigint unsigned, d decimal(30,9), f double, b boolean, \
         t varchar(20) character set utf8mb4, j json, u uuid, day date, time time, ts datetime(3), bytes blob",
        "SELECT cast(i as char), cast(big as char), cast(d as char), cast(f as char), cast(b as char), t, j, \
         cast(u as char), cast(day as char), cast(time as char), cast(ts as char), cast(bytes as char) FROM thing",
        "-32768|9007199254740993|12345678901234567890.123456789|0.1|1|Zoë 'x' \\|{\"a\": [1, {\"b\": null}]}|\
         a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|2024-02-29|23:59:58|2024-06-01 10:00:00.123|raw",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_plain_type_of_sqlite() {
    every_plain_type(
        Kind::Sqlite,
        "i integer, big bigint, f real, b boolean, t varchar(20), j json, u uuid, day date, time time, \
         ts datetime, bytes blob",
        "SELECT cast(i as text), cast(big as text), cast(f as text), cast(b as text), t, j, u, day, time, ts, \
         cast(bytes as text) FROM thing",
        "-32768|9007199254740993|0.1|1|Zoë 'x' \\|{\"a\": [1, {\"b\": null}]}|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|\
         2024-02-29|23:59:58|2024-06-01 10:00:00.123456|raw",
    )
    .await;
}

/// Statements are limited in bytes, and a row that no statement can carry is a dead letter, not a cut connection.
#[tokio::test(flavor = "multi_thread")]
async fn large_documents_pass_and_too_large_ones_become_dead_letters() {
    let mut setting = Setting::new(Kind::MariaDb, RedisServer::start(), "CREATE TABLE thing (n int, t longtext)").await;
    const MIB: usize = 1 << 20;
    for (n, length) in [(1, 3 * MIB), (2, 10), (3, 20 * MIB), (4, 10), (5, 6 * MIB)] {
        let document = format!(r#"{{"n": {n}, "t": "{}"}}"#, "x".repeat(length));
        setting.add(&[("payload", &document)]).await;
    }
    let pipeline = setting.start("    columns: {n: n, t: t}\n");
    done(&setting.database, "stream:thing", 5, DEADLINE).await;
    drained(pipeline).await;
    let rows = setting.rows("SELECT cast(n as char), cast(length(t) as char) FROM thing ORDER BY n").await;
    assert_eq!(rows, ["1|3145728", "2|10", "4|10", "5|6291456"]);
    let dead = setting.rows("SELECT error_class, message FROM write_behind_dead_letter").await;
    assert_eq!(dead.len(), 1);
    assert!(dead[0].starts_with("too_long|the row has 2097"), "{dead:?}");
}
