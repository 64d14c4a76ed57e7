//! `pipeline check` finds what is wrong with a mapping before a single event is read, on every database.

use redis::AsyncCommands;

use super::{CONFIGURATION, SUCCESS, assert_parts, config, pipeline, succeeding};
use crate::support::database::{Kind, TestDatabase};
use crate::support::process::Output;
use crate::support::redis::RedisServer;

async fn check(redis: &RedisServer, database: &TestDatabase, stream: &str) -> Output {
    pipeline(&(config(redis, database) + "streams:\n  thing:\n" + stream), &["check"]).await
}

/// The lines that begin so, and hold this of the mapping.
fn found(output: &Output, label: &str) -> Vec<String> {
    let lines = output.stdout.lines().filter_map(|line| line.strip_prefix(label)?.strip_prefix("  "));
    lines.filter(|line| line.starts_with("streams.")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_can_never_work_is_wrong() {
    let redis = RedisServer::start();
    let stream = r#"    key_pattern: "order:{id}"
    filter: .a |
    columns:
      computed: a
      counted: n
      flag: $timestamp
      number: $id
      whole_key: $key
      short: $id
      tiny: $op
      fixed: {value: too long for it}
      spare: {from: x, default: too long for it}
      gone: gone
      path: a..b
      expr: {expr: ".a | ("}
"#;
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let counted = match kind {
            Kind::Postgres => "bigint GENERATED ALWAYS AS IDENTITY",
            Kind::MariaDb => "bigint AUTO_INCREMENT PRIMARY KEY",
            Kind::Sqlite => "integer PRIMARY KEY",
        };
        let table = format!(
            "CREATE TABLE thing (counted {counted}, a integer, computed integer GENERATED ALWAYS AS (a + 1) STORED, \
             flag boolean, number integer, whole_key integer, short varchar(10), tiny varchar(3), fixed varchar(5), \
             spare varchar(5), path integer, expr integer, needed integer NOT NULL)"
        );
        database.execute(&table).await;
        let output = check(&redis, &database, stream).await;
        assert_eq!(output.code, CONFIGURATION, "{output:?}");
        let wrong = found(&output, "wrong");
        let mut expected = vec![
            ["streams.thing.filter: ", "line 1, column"],
            ["streams.thing.columns.computed: ", "the database computes column `computed` itself"],
            ["streams.thing.columns.expr: `expr`: ", "line 1, column"],
            ["streams.thing.columns.fixed: `value` does not fit ", "too long for it"],
            ["streams.thing.columns.flag: `$timestamp` gives `1718000000000` or the like, which ", " never takes"],
            ["streams.thing.columns.gone: table thing has no such column", "`pipeline schema print` gives the SQL"],
            ["streams.thing.columns.number: `$id` gives `1718000000000-0` or the like, which ", " never takes"],
            ["streams.thing.columns.path: ", "`a..b` has an empty member name"],
            ["streams.thing.columns.short: `$id` gives ", " never takes"],
            ["streams.thing.columns.spare: `default` does not fit ", "too long for it"],
            ["streams.thing.columns.tiny: `$op` gives `insert` or the like, which ", " never takes"],
            ["streams.thing.columns.whole_key: `$key` gives `order:1` or the like, which ", " never takes"],
            ["streams.thing.columns: column `needed` of thing must not be NULL", "nothing is mapped to it"],
        ];
        if kind == Kind::Postgres {
            let identity = ["streams.thing.columns.counted: ", "the database computes column `counted` itself"];
            expected.insert(2, identity);
        }
        assert_eq!(wrong.len(), expected.len(), "{kind:?}: {wrong:#?}");
        for (line, parts) in wrong.iter().zip(expected) {
            assert_parts(line, &parts);
        }
    }
}

/// Columns that take a part of the key are not told again.
#[tokio::test]
async fn a_refused_key_pattern_is_told_once() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    database.execute("CREATE TABLE thing (a text, b text)").await;
    let stream = "    key_pattern: \"{a}{b}\"\n    columns: {a: $key.a, b: {from: $key.b}}\n";
    let output = check(&redis, &database, stream).await;
    assert_eq!(output.code, CONFIGURATION, "{output:?}");
    let wrong = found(&output, "wrong");
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert_parts(&wrong[0], &["streams.thing.key_pattern: "]);
}

#[tokio::test]
async fn what_may_not_fit_is_a_warning() {
    let redis = RedisServer::start();
    let stream = "    columns: {key_number: $key, op: $op, id: $id}\n";
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        database.execute("CREATE TABLE thing (key_number integer, op varchar(5), id varchar(16))").await;
        let output = check(&redis, &database, stream).await;
        assert_eq!(output.code, SUCCESS, "{output:?}");
        let warnings = found(&output, "warning");
        assert_eq!(warnings.len(), 3, "{warnings:#?}");
        assert_parts(&warnings[0], &["table thing: `$id` can have 20 characters", "`id` takes 16"]);
        assert_parts(&warnings[1], &["table thing: `$key` is a text, and ", "`key_number` takes only some of them"]);
        assert_parts(&warnings[2], &["table thing: `$op` can be insert, upsert, update, which "]);
    }
}

#[tokio::test]
async fn keys_without_their_index_are_wrong() {
    let redis = RedisServer::start();
    let stream = "    mode: upsert\n    key: [id]\n    columns: {id: $key, n: n}\n";
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        database.execute("CREATE TABLE thing (id varchar(20), n integer)").await;
        let output = check(&redis, &database, stream).await;
        assert_eq!(output.code, CONFIGURATION, "{output:?}");
        let wrong = found(&output, "wrong");
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert_parts(
            &wrong[0],
            &["streams.thing.key: mode upsert needs a primary key or unique index of thing on exactly (id)"],
        );

        database.execute("CREATE UNIQUE INDEX by_id ON thing (id); CREATE UNIQUE INDEX by_n ON thing (n)").await;
        let appending = "    key: [id]\n    columns: {id: $key, n: n}\n";
        let warnings = found(&check(&redis, &database, appending).await, "warning");
        let in_append =
            "table thing: in mode append (the default) a second insert of a key is refused by the unique index on (id)";
        assert!(warnings.iter().any(|line| line.contains(in_append)), "{warnings:?}");
        let output = check(&redis, &database, stream).await;
        let wrong = found(&output, "wrong");
        if kind == Kind::MariaDb {
            assert_eq!((output.code, wrong.len()), (CONFIGURATION, 1), "{output:?}");
            assert_parts(&wrong[0], &["thing has another unique index on (n): ON DUPLICATE KEY UPDATE could change"]);
        } else {
            assert_eq!((output.code, wrong.len()), (SUCCESS, 0), "{output:?}");
        }
    }
}

/// The database counts the one and leaves the other NULL: no row that is there has that value already.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_no_row_can_hit_is_no_second_key() {
    let table = "CREATE TABLE thing (n bigint AUTO_INCREMENT PRIMARY KEY, id varchar(20) UNIQUE, other int UNIQUE, \
                 fixed int NOT NULL DEFAULT 1)";
    let stream = |columns: &str| format!("    mode: upsert\n    key: [id]\n    columns: {{id: $key, {columns}}}\n");
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::MariaDb).await;
    database.execute(table).await;
    let output = check(&redis, &database, &stream("fixed: v")).await;
    assert_eq!((output.code, found(&output, "wrong").len()), (SUCCESS, 0), "{output:?}");
    for mapped in ["other: v", "n: v"] {
        let output = check(&redis, &database, &stream(mapped)).await;
        let wrong = found(&output, "wrong");
        assert_parts(&wrong[0], &["another unique index on", "leave a column of it that the database counts"]);
    }
    database.execute("ALTER TABLE thing ADD UNIQUE by_fixed (fixed)").await;
    let wrong = found(&check(&redis, &database, &stream("other: v")).await, "wrong");
    assert_parts(&wrong[0], &["thing has another unique index on (fixed)"]);
}

/// `ON CONFLICT` names columns only.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_with_an_expression_in_it_is_no_key() {
    let redis = RedisServer::start();
    for kind in [Kind::Postgres, Kind::Sqlite] {
        let database = TestDatabase::new(kind).await;
        database.execute("CREATE TABLE thing (id text, b text); CREATE UNIQUE INDEX i ON thing (lower(b), id)").await;
        let output = check(&redis, &database, "    mode: upsert\n    key: [id]\n    columns: {id: $key, b: b}\n").await;
        let wrong = found(&output, "wrong");
        assert_eq!((output.code, wrong.len()), (CONFIGURATION, 1), "{output:?}");
        assert_parts(&wrong[0], &["unique index of thing on exactly (id), and there is none"]);
    }
}

/// An identity that may be written, and columns with defaults of their own.
#[tokio::test]
async fn columns_that_the_database_fills_need_no_source() {
    let redis = RedisServer::start();
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let id = match kind {
            Kind::Postgres => "bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
            Kind::MariaDb => "bigint NOT NULL AUTO_INCREMENT PRIMARY KEY",
            Kind::Sqlite => "integer PRIMARY KEY",
        };
        database
            .execute(&format!("CREATE TABLE thing (id {id}, n integer, kind varchar(9) NOT NULL DEFAULT 'x')"))
            .await;
        for columns in ["{n: n}", "{n: n, id: id, kind: kind}", "auto"] {
            let output = check(&redis, &database, &format!("    columns: {columns}\n")).await;
            assert_eq!((output.code, found(&output, "wrong").len()), (SUCCESS, 0), "{kind:?} {columns}: {output:?}");
        }
    }
}

#[tokio::test]
async fn the_newest_events_are_tried_and_nothing_is_written() {
    let redis = RedisServer::start();
    let mut connection = redis.connection().await;
    let mut add = async |document: &str| -> String {
        connection.xadd("stream:thing", "*", &[("key", "k"), ("payload", document)]).await.unwrap()
    };
    let old = add(r#"{"n": "much too old to be looked at"}"#).await;
    add(r#"{"n": 1}"#).await;
    let bad = add(r#"{"n": "one"}"#).await;
    let worse = add("[]").await;
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        database.execute("CREATE TABLE thing (n integer)").await;
        let config = config(&redis, &database) + "streams:\n  thing:\n    columns: {n: n}\n";
        let report = succeeding(&config, &["check", "--sample", "3"]).await;
        assert!(!report.contains(&old), "{report}");
        let lines = [
            format!(
                "warning  streams.thing.columns.n: event {bad} would become a dead letter (wrong_type): column `n`"
            ),
            format!("warning  streams.thing: event {worse} would become a dead letter (bad_json): "),
            "note  stream thing: 2 of the newest 3 events do not fit".to_owned(),
        ];
        lines.iter().for_each(|line| assert_parts(&report, &[line]));
        let untried = succeeding(&config, &["check", "--sample", "0"]).await;
        assert!(!untried.contains("event"), "{untried}");

        let json = succeeding(&config, &["check", "--json"]).await;
        let object: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(object["wrong"], 0, "{json}");
        let of = |level: &str| {
            let findings = object["findings"].as_array().unwrap().iter();
            findings.filter(|finding| finding["level"] == level).cloned().collect::<Vec<_>>()
        };
        assert_eq!(object["warnings"], of("warning").len(), "{json}");
        let columns: Vec<_> =
            of("warning").into_iter().filter(|finding| finding["setting"] == "streams.thing.columns.n").collect();
        assert_eq!(columns.len(), 1, "{json}");
        assert!(columns[0]["text"].as_str().unwrap().contains(&bad), "{json}");
        assert!(!of("ok").is_empty() && of("ok").iter().any(|finding| finding["setting"].is_null()), "{json}");
        assert_eq!(database.count("thing").await, 0);
    }
    let output = pipeline("redis: {prot: 1}\n", &["check", "--json"]).await;
    assert_eq!(output.code, CONFIGURATION, "{output:?}");
    let object: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&object["wrong"], &object["findings"][0]["setting"]), (&1.into(), &"redis.prot".into()), "{object}");
}

#[tokio::test]
async fn paths_that_lead_to_nothing_are_pointed_at() {
    let redis = RedisServer::start();
    let mut connection = redis.connection().await;
    let document = r#"{"a": {"b": null}, "items": [{"sku": "x"}, {"sku": "y"}]}"#;
    let patch = r#"{"a": {"d": 1}}"#;
    for (op, document) in [("insert", document), ("upsert", document), ("patch", patch)] {
        let fields = [("key", "k"), ("op", op), ("payload", document)];
        let _: String = connection.xadd("stream:thing", "*", &fields).await.unwrap();
    }
    let database = TestDatabase::new(Kind::Sqlite).await;
    database.execute("CREATE TABLE part (id text, n text, sku text, PRIMARY KEY (id, n))").await;
    database.execute("CREATE TABLE thing (id text PRIMARY KEY, b text, c text, d text)").await;
    let stream = r#"    tables:
      part: {mode: upsert, key: [id, n], for_each: "items[*]", columns: {id: $key, n: $index, sku: $item.sq}}
      thing: {mode: upsert, key: [id], columns: {id: $key, b: a.b, c: a.c, d: a.d}}
"#;
    let output = check(&redis, &database, stream).await;
    let expected = [
        "streams.thing.tables.part.columns.sku: `$item.sq` is in none of the 4 items tried: is it spelt so?",
        "streams.thing.tables.thing.columns.c: the document's `a.c` is in none of the 2 documents tried: is it spelt so?",
        "streams.thing.tables.thing.columns.d: the document's `a.d` is in none of the 2 documents tried: is it spelt so?",
    ];
    let mut warnings = found(&output, "warning");
    warnings.sort();
    assert_eq!(warnings, expected, "{output:?}");
}
