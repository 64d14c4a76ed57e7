//! What `pipeline check` says of the newest events: a line for each cause, with its setting.

use redis::AsyncCommands;

use super::{assert_parts, config, succeeding};
use crate::support::database::{Kind, TestDatabase};
use crate::support::redis::RedisServer;

async fn add(redis: &RedisServer, documents: &[&str]) -> Vec<String> {
    let mut connection = redis.connection().await;
    let mut ids = Vec::new();
    for document in documents {
        ids.push(connection.xadd("stream:thing", "*", &[("key", "k"), ("payload", document)]).await.unwrap());
    }
    ids
}

/// The lines of a report that are about the stream and not as they must be.
async fn told(redis: &RedisServer, database: &TestDatabase, stream: &str) -> (String, Vec<String>) {
    let report = succeeding(&(config(redis, database) + "streams:\n  thing:\n" + stream), &["check"]).await;
    let lines = report.lines().filter(|line| line.starts_with("warning  streams."));
    let lines = lines.map(str::to_owned).collect();
    (report, lines)
}

#[tokio::test]
async fn events_are_told_by_their_cause() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    database.execute("CREATE TABLE thing (n integer, city varchar(3))").await;
    database.execute("CREATE TABLE line (sku varchar(3))").await;
    let ids = add(
        &redis,
        &[
            r#"{"n": "one", "lines": []}"#,
            r#"{"n": 1, "city": "Ulm", "lines": [{"sku": "abc"}]}"#,
            r#"{"n": "two", "lines": []}"#,
            r#"{"n": 2, "lines": [{"sku": "abcd"}]}"#,
            r#"{"n": "three", "lines": []}"#,
            r#"{"n": 3, "lines": 7}"#,
        ],
    )
    .await;
    let tables = "    tables:\n      thing: {columns: {n: n, city: city}}\n      \
                  line: {for_each: \"lines[*]\", columns: {sku: $item.sku}}\n";
    let (report, lines) = told(&redis, &database, tables).await;
    let expected = [
        format!(
            "warning  streams.thing.tables.line: event {} would become a dead letter (wrong_type): table line: the \
             document's `lines` is a number, not a list",
            ids[5]
        ),
        format!(
            "warning  streams.thing.tables.thing.columns.n: 3 of the newest 6 events would become dead letters \
             (wrong_type), the newest is {}: table thing: column `n`",
            ids[4]
        ),
        format!(
            "warning  streams.thing.tables.line.columns.sku: event {} would become a dead letter (too_long)",
            ids[3]
        ),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    lines.iter().zip(&expected).for_each(|(line, expected)| assert_parts(line, &[expected]));
    assert_parts(&report, &["note  stream thing: 5 of the newest 6 events do not fit\n"]);

    let (report, _) = told(&redis, &database, "    filter: .n | tostring\n    columns: {city: city}\n").await;
    assert_parts(&report, &["6 of the newest 6 events would become dead letters (expression)"]);
}

#[tokio::test]
async fn events_that_are_passed_over_are_counted() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    database.execute("CREATE TABLE thing (n integer)").await;
    add(&redis, &[r#"{"n": 1}"#, r#"{"n": 2}"#, r#"{"n": 3}"#]).await;
    for (stream, parts) in [
        (
            "    filter: .n > 2\n",
            &[
                "ok  stream thing: 1 of the newest 3 events fit their tables, 2 are passed over (2: `filter` answers false)",
            ][..],
        ),
        (
            "    filter: .n > 3\n",
            &[
                "warning  streams.thing.filter: 3 of the newest 3 events are passed over (`filter` answers false), and none \
                 is written: is it as you mean it?\n",
                "ok  stream thing: 0 of the newest 3 events fit",
            ],
        ),
        ("    write_behind: {insert: false}\n", &["warning  streams.thing.write_behind.insert: 3 of the newest 3"]),
        ("    reshape: empty\n", &["warning  streams.thing.reshape: 3 of the newest 3"]),
    ] {
        let (report, _) = told(&redis, &database, &format!("{stream}    columns: {{n: n}}\n")).await;
        assert_parts(&report, parts);
    }
    database.execute("CREATE TABLE other (n integer)").await;
    let other = |filter: &str| {
        format!("    tables: {{thing: {{columns: {{n: n}}}}, other: {{filter: '{filter}', columns: {{n: n}}}}}}\n")
    };
    let (_, lines) = told(&redis, &database, &other(".n > 2")).await;
    assert_eq!(lines, [""; 0]);
    let (_, lines) = told(&redis, &database, &other(".n > 3")).await;
    let unreached = "lets none of the 3 whole documents tried through: is it as you mean it?";
    assert_eq!(lines, [format!("warning  streams.thing.tables.other.filter: {unreached}")]);
}

#[tokio::test]
async fn what_is_spelt_wrongly_and_what_is_not_there_is_told() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    database.execute("CREATE TABLE thing (sku varchar(9))").await;
    let stream = "    for_each: \"histroy[*]\"\n    columns: {sku: $item.sku}\n";
    let (report, _) = told(&redis, &database, stream).await;
    assert_parts(&report, &["note  stream thing: there is no key `stream:thing` in database 0 of redis at 127.0.0.1:"]);
    add(&redis, &[r#"{"history": [{"sku": "a"}]}"#, r#"{"history": []}"#]).await;
    let (_, lines) = told(&redis, &database, stream).await;
    let expected = "warning  streams.thing.for_each: the document's `histroy` is in none of the 2 documents tried: is it \
                    spelt so?";
    assert_eq!(lines, [expected]);
    let (_, lines) = told(&redis, &database, &stream.replace("histroy", "history")).await;
    assert!(lines.is_empty(), "{lines:?}");
}

/// `run` would warn of it.
#[tokio::test]
async fn lanes_that_the_mapping_does_not_allow_are_told_with_the_cause() {
    let redis = RedisServer::start();
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let exact = if kind == Kind::MariaDb { " CHARACTER SET ascii COLLATE ascii_bin" } else { "" };
        database.execute(&format!("CREATE TABLE thing (id varchar(20){exact} PRIMARY KEY, n integer UNIQUE)")).await;
        let of = async |key: &str, more: &str| {
            let stream = format!(
                "    lanes: 4\n{more}    write_behind: {{insert: false, upsert: false}}\n    key: [{key}]\n    \
                 columns: {{id: $key, n: n}}\n"
            );
            let (_, lines) = told(&redis, &database, &stream).await;
            lines.into_iter().filter(|line| line.contains(".lanes")).collect::<Vec<_>>()
        };
        assert!(of("id", "").await.is_empty(), "{kind:?}");
        let one = "warning  streams.thing.lanes: is 4, and one lane runs: table thing: ";
        assert_parts(&of("n", "").await[0], &[one, "its key columns do not come from the document's key"]);
        assert_parts(&of("id", "    order_by: a\n").await[0], &[one, "lanes are by `order_by`"]);
    }
    let database = TestDatabase::new(Kind::MariaDb).await;
    database.execute("CREATE TABLE thing (id varchar(20) PRIMARY KEY)").await;
    let (_, lines) = told(&redis, &database, "    lanes: 2\n    key: [id]\n    columns: {id: $key}\n").await;
    assert!(lines.iter().any(|line| line.contains("its key column `id` takes two texts for one")), "{lines:?}");
}
