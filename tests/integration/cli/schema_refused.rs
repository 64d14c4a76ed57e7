//! `pipeline schema` leaves to a person what it cannot do, and says what was done when the database refuses the rest.

use redis::AsyncCommands;

use super::{CONFIGURATION, FAILED, assert_parts, config, pipeline, succeeding};
use crate::support::database::{Kind, TestDatabase};
use crate::support::redis::RedisServer;

#[tokio::test]
async fn keys_fit_into_an_index() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::MariaDb).await;
    let mut connection = redis.connection().await;
    let text = "x".repeat(300);
    let payload = format!(r#"{{"u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "n": 1, "t": "{text}"}}"#);
    for stream in ["stream:uuids", "stream:declared"] {
        let _: String = connection.xadd(stream, "*", &[("key", "k"), ("payload", &payload)]).await.unwrap();
    }
    let of = |name: &str, key: &str, columns: &str| {
        format!("  {name}:\n    mode: upsert\n    key: [{key}]\n    columns: {{{columns}}}\n")
    };
    let settings = config(&redis, &database)
        + "streams:\n"
        + &of("uuids", "u, t", "u: u, t: t, n: n")
        + &of("declared", "d, k", "d: {from: u, type: varchar(600)}, k: $key, n: n");
    succeeding(&settings, &["schema", "apply", "--yes"]).await;
    let same = succeeding(&settings, &["schema", "diff"]).await;
    assert_parts(&same, &["nothing differs"]);

    let settings = config(&redis, &database)
        + "streams:\n"
        + &of("texts", "d", "d: {from: d, type: text}")
        + &of("blobs", "d", "d: {from: d, type: blob}")
        + &of("jsons", "d", "d: {from: d, type: json}")
        + &of("longs", "d, e", "d: {from: d, type: varchar(700)}, e: {from: e, type: varchar(100)}")
        + &of("bytes", "d, e", "d: {from: d, type: varchar(700)}, e: {from: e, type: varbinary(272)}");
    let applied = pipeline(&settings, &["schema", "apply", "--yes", "--sample", "0"]).await;
    assert_eq!(applied.code, FAILED, "{applied:?}");
    assert_parts(
        &applied.stdout,
        &[
            "created table bytes\nleft to you: streams.blobs.columns.d.type: a column of the key cannot be blob, ",
            "left to you: streams.texts.columns.d.type: a column of the key cannot be text, ",
            "left to you: streams.jsons.columns.d.type: a column of the key cannot be json, ",
            "left to you: streams.longs.key: its columns take up to 3200 bytes (4 a character), and an index has room for \
             3072",
        ],
    );
}

#[tokio::test]
async fn names_that_there_cannot_be_are_left_to_a_person() {
    let redis = RedisServer::start();
    let long = "ä".repeat(32);
    let payload = format!(r#"{{"{long}": 1, "name": "a", "Name": "b"}}"#);
    let mut connection = redis.connection().await;
    let _: String = connection.xadd("stream:thing", "*", &[("key", "k"), ("payload", &payload)]).await.unwrap();
    let streams = "streams:\n  thing:\n    columns: auto\n";
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let settings = config(&redis, &database) + streams;
        let applied = pipeline(&settings, &["schema", "apply", "--yes"]).await;
        assert_eq!(applied.code, FAILED, "{kind:?}: {applied:?}");
        let left = match kind {
            Kind::Postgres => {
                format!("left to you: streams.thing.columns: `{long}` has 64 bytes, and PostgreSQL keeps 63")
            }
            _ => "left to you: streams.thing.columns: `Name` and `name` are one name".to_owned(),
        };
        assert_parts(&applied.stdout, &["created table thing\n", &left]);
        let same = succeeding(&settings, &["schema", "diff"]).await;
        assert_parts(&same, &["nothing differs"]);
    }
    let database = TestDatabase::new(Kind::Postgres).await;
    let settings =
        format!("{}streams:\n  thing:\n    table: {long}\n    columns: {{a: a}}\n", config(&redis, &database));
    let printed = succeeding(&settings, &["schema", "print", "--sample", "0"]).await;
    assert_parts(
        &printed,
        &["-- left to you: streams.thing.table: `", "has 64 bytes, and PostgreSQL keeps 63 of a name"],
    );
    assert!(!printed.contains("CREATE TABLE"), "{printed}");
}

/// A name can hold anything, and is none of the statement that makes the table.
#[tokio::test]
async fn a_name_is_no_statement() {
    let redis = RedisServer::start();
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        database.execute("CREATE TABLE z (a integer)").await;
        let streams = "streams:\n  thing:\n    tables:\n      \"a\\nDROP TABLE z;\\n--\": {columns: {a: a}}\n";
        let settings = config(&redis, &database) + streams;
        let applied = pipeline(&settings, &["schema", "apply", "--yes", "--sample", "0"]).await;
        assert_eq!(database.count("z").await, 0, "{kind:?}: {applied:?}");
        let printed = pipeline(&settings, &["schema", "print", "--sample", "0"]).await;
        assert!(!printed.stdout.contains("\nDROP TABLE z;\n--\n"), "{kind:?}: {printed:?}");
    }
}

/// SQLite's strict tables know six types, and a view has no columns of its own.
#[tokio::test]
async fn what_cannot_be_altered_is_left_to_a_person() {
    let redis = RedisServer::start();
    let columns = "{a: a, j: {from: j, type: json_text}, t: {from: t, type: TEXT}}";
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let database = TestDatabase::new(kind).await;
        let settings = |table: &str| {
            format!("{}streams:\n  thing:\n    table: {table}\n    columns: {columns}\n", config(&redis, &database))
        };
        database.execute("CREATE TABLE base (a varchar(9))").await;
        database.execute("CREATE VIEW seen AS SELECT a FROM base").await;
        let viewed = pipeline(&settings("seen"), &["schema", "apply", "--yes", "--sample", "0"]).await;
        assert_eq!(viewed.code, FAILED, "{viewed:?}");
        assert_parts(
            &viewed.stdout,
            &[
                "left to you: streams.thing.columns.j: seen is a view without it",
                "streams.thing.columns.t: seen is a view",
            ],
        );
        assert!(!viewed.stdout.contains("added"), "{viewed:?}");
        if kind == Kind::Sqlite {
            database.execute("CREATE TABLE tight (a TEXT) STRICT").await;
            let strict = pipeline(&settings("tight"), &["schema", "apply", "--yes", "--sample", "0"]).await;
            assert_eq!(strict.code, FAILED, "{strict:?}");
            assert_parts(
                &strict.stdout,
                &["added column t to tight\n", "left to you: streams.thing.columns.j: tight is STRICT and lacks it"],
            );
        }
    }
}

/// What a view of MySQL's is of, nobody tells: its table may have no transactions.
#[tokio::test]
async fn a_view_of_mysql_is_refused() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::MariaDb).await;
    database.execute("CREATE TABLE base (a varchar(9)) ENGINE=MyISAM").await;
    database.execute("CREATE VIEW seen AS SELECT a FROM base").await;
    let settings = format!("{}streams:\n  thing:\n    table: seen\n    columns: {{a: a}}\n", config(&redis, &database));
    let checked = pipeline(&settings, &["check"]).await;
    assert_eq!(checked.code, CONFIGURATION, "{checked:?}");
    assert_parts(&checked.stdout, &["streams.thing.table: seen is a view", "name that itself"]);
}

/// Each statement is kept by MySQL, so each is told when it is done.
#[tokio::test]
async fn what_was_done_before_a_refusal_is_told() {
    let redis = RedisServer::start();
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let of_thing = if kind == Kind::Sqlite { "text" } else { "no_such_type" };
        let streams = format!(
            "streams:\n  one:\n    columns: {{a: a}}\n  two:\n    mode: upsert\n    key: [id]\n    columns: \
             {{id: $key, b: {{from: b, type: {of_thing}}}}}\n"
        );
        if kind == Kind::Sqlite {
            database.execute("CREATE TABLE two (id text, b text)").await;
            database.execute("INSERT INTO two VALUES ('a', 'b'), ('a', 'c')").await;
        }
        let settings = config(&redis, &database) + &streams;
        let applied = pipeline(&settings, &["schema", "apply", "--yes", "--sample", "0"]).await;
        assert_eq!(applied.code, FAILED, "{kind:?}: {applied:?}");
        let is_there = database.try_rows("SELECT a FROM one").await.is_ok();
        assert_eq!(is_there, kind == Kind::MariaDb);
        let (told, kept) = match kind {
            Kind::MariaDb => ("created table one\n", "1 of 2 statements were done, and MySQL keeps what they did"),
            _ => ("", "nothing was changed"),
        };
        assert_eq!(applied.stdout, told, "{kind:?}: {applied:?}");
        assert_parts(&applied.stderr, &[kept]);
        assert!(!applied.stderr.contains("Check the rights"), "{kind:?}: {applied:?}");
    }
}

/// A table that is missing hides nothing else that is wrong.
#[tokio::test]
async fn all_that_is_wrong_is_told_without_a_table() {
    let redis = RedisServer::start();
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let streams = "streams:\n  thing:\n    filter: .a ==\n    columns: {a: \"a[\", b: {expr: .b +}}\n";
        let settings = config(&redis, &database) + streams;
        let checked = pipeline(&settings, &["check"]).await;
        assert_eq!(checked.code, CONFIGURATION, "{checked:?}");
        let wrong = ["streams.thing.filter: ", "streams.thing.columns.a: ", "streams.thing.columns.b: "];
        assert_parts(&checked.stdout, &[&["there is no table `thing`"], wrong.as_slice()].concat());
        let printed = pipeline(&settings, &["schema", "print", "--sample", "0"]).await;
        assert_parts(&printed.stdout, &wrong);
        assert!(!printed.stdout.contains("no table, column or index is missing"), "{printed:?}");
    }
}
