//! One bad event among 10,000 gives 9,999 rows and one dead letter that says why, for every kind of badness.
//! Each kind has a stream and a table; all streams run at once in one pipeline.

use std::fmt::Write;
use std::time::Duration;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::workload::{Random, counted, done, redis_yaml};

const EVENTS: u64 = 10_000;
const DEADLINE: Duration = Duration::from_secs(120);

/// One kind of badness.
struct Badness {
    name: &'static str,
    /// The fields of the bad entry.
    fields: Vec<(&'static str, String)>,
    class: &'static str,
    column: Option<&'static str>,
    /// Part of the message.
    says: &'static str,
}

fn document(id: u64, name: &str, score: &str, parent: u64) -> String {
    let at = 1_700_000_000 + id;
    format!(r#"{{"id": "{id}", "name": "{name}", "score": {score}, "at": {at}, "parent": {parent}}}"#)
}

fn kinds(database: Kind) -> Vec<Badness> {
    let bad = |name, payload: String, class, column, says| Badness {
        name,
        fields: vec![("payload", payload)],
        class,
        column,
        says,
    };
    let id = 1_000_000;
    let good = document(id, "good", "1", 1);
    let mut kinds = vec![
        bad("bad_json", r#"{"id": "#.to_owned(), "bad_json", None, "not valid JSON"),
        bad("not_an_object", "[1, 2]".to_owned(), "bad_json", None, "not a JSON object"),
        bad("wrong_type", document(id, "x", r#""many""#, 1), "wrong_type", Some("score"), "many"),
        bad(
            "out_of_range",
            document(id, "x", "99999999999999999999", 1),
            "out_of_range",
            Some("score"),
            "is not within",
        ),
        bad("too_long", document(id, "eleven char", "1", 1), "too_long", Some("name"), "has 11 characters"),
        bad("nul", document(id, r"a\u0000b", "1", 1), "out_of_range", Some("name"), "NUL"),
        bad(
            "missing_value",
            r#"{"id": "x", "score": 1}"#.to_owned(),
            "missing_value",
            Some("name"),
            "must not be NULL",
        ),
        bad("duplicate", document(0, "again", "1", 1), "constraint", None, ""),
        bad("check", document(id, "x", "-1", 1), "constraint", None, ""),
        bad("foreign_key", document(id, "x", "1", 77), "constraint", None, ""),
        Badness {
            name: "unknown_op",
            fields: vec![("op", "replace".into()), ("payload", good.clone())],
            class: "unknown_op",
            column: None,
            says: "replace",
        },
        Badness {
            name: "update_without_key",
            fields: vec![("op", "update".into()), ("payload", good)],
            class: "unknown_op",
            column: None,
            says: "name them in `key`",
        },
        Badness {
            name: "missing_document",
            fields: vec![("key", "nobody:1".into())],
            class: "missing_document",
            column: None,
            says: "nobody:1",
        },
        Badness {
            name: "missing_key",
            fields: vec![("something", "else".into())],
            class: "missing_key",
            column: None,
            says: "something",
        },
    ];
    if database != Kind::MariaDb {
        kinds.push(bad("deferred_key", document(id, "x", "1", 77), "constraint", None, ""));
    }
    kinds
}

async fn create_tables(database: &TestDatabase, kinds: &[Badness]) {
    database.execute("CREATE TABLE parents (id integer PRIMARY KEY)").await;
    database.execute("INSERT INTO parents VALUES (1)").await;
    for kind in kinds {
        let deferred = if kind.name == "deferred_key" { " DEFERRABLE INITIALLY DEFERRED" } else { "" };
        let table = format!(
            "CREATE TABLE t_{} (id varchar(20) PRIMARY KEY, name varchar(10) NOT NULL, \
             score integer NOT NULL CHECK (score >= 0), at timestamp NULL, \
             parent integer REFERENCES parents(id){deferred})",
            kind.name
        );
        database.execute(&table).await;
    }
}

async fn produce(redis: &mut MultiplexedConnection, kind: &Badness, bad_at: u64) -> String {
    let stream = format!("stream:{}", kind.name);
    let mut bad_id = String::new();
    for first in (0..EVENTS).step_by(1000) {
        let mut pipe = redis::pipe();
        for number in first..first + 1000 {
            if number == bad_at {
                pipe.xadd(&stream, "*", &kind.fields);
            } else {
                pipe.xadd(&stream, "*", &[("payload", document(number, "good", &number.to_string(), 1))]);
            }
        }
        let ids: Vec<String> = pipe.query_async(redis).await.expect("redis takes the events");
        if (first..first + 1000).contains(&bad_at) {
            bad_id = ids[(bad_at - first) as usize].clone();
        }
    }
    bad_id
}

async fn check(database: Kind) {
    let redis = RedisServer::start();
    let kinds = kinds(database);
    let database = TestDatabase::new(database).await;
    create_tables(&database, &kinds).await;
    let mut connection = redis.connection().await;
    let mut random = Random::new(3);
    let mut config = redis_yaml(redis.port()) + &database.settings_yaml() + "streams:\n";
    let mut bad_ids = Vec::new();
    for kind in &kinds {
        let columns = "{id: id, name: name, score: score, at: at, parent: parent}";
        writeln!(config, "  {0}:\n    table: t_{0}\n    columns: {columns}", kind.name).unwrap();
        // Not the first: the duplicate needs the one it repeats.
        bad_ids.push(produce(&mut connection, kind, 1 + random.below(EVENTS - 1)).await);
    }
    let pipeline = PipelineProcess::start(&config, &["run"]);
    for (kind, bad_id) in kinds.iter().zip(bad_ids) {
        let name = kind.name;
        done(&database, &format!("stream:{name}"), EVENTS, DEADLINE).await;
        assert_eq!(database.count(&format!("t_{name}")).await as u64, EVENTS - 1, "{name}");
        let sql = format!(
            "SELECT entry_id, error_class, error_column, message, entry, document \
             FROM write_behind_dead_letter WHERE entity = '{name}'"
        );
        let dead = database.rows(&sql).await;
        assert_eq!(dead.len(), 1, "{name}: {dead:?}");
        let text = |place: usize| dead[0][place].as_deref();
        assert_eq!(text(0), Some(bad_id.as_str()), "{name}");
        assert_eq!((text(1), text(2)), (Some(kind.class), kind.column), "{name}: {:?}", text(3));
        assert!(text(3).unwrap().contains(kind.says), "{name}: {:?}", text(3));
        for (field, value) in &kind.fields {
            let kept = if *field == "payload" { text(5).unwrap() == value } else { text(4).unwrap().contains(value) };
            assert!(kept, "{name}: the dead letter keeps `{field}`: {dead:?}");
        }
        counted(&mut connection, name, [EVENTS - 1, 1], DEADLINE).await;
    }
    let announced: u64 = connection.xlen("stream:failed_rdbms").await.unwrap();
    assert_eq!(announced, kinds.len() as u64);
    pipeline.terminate();
    assert_eq!(pipeline.wait_exit(DEADLINE).await, Some(0), "{}", pipeline.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    check(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    check(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb() {
    check(Kind::MariaDb).await;
}
