//! The settings in `settings/examples/`, with real servers and the real process: what their test files say is what the
//! pipeline does.

use std::fs;
use std::path::{Path, PathBuf};

use redis::aio::MultiplexedConnection;
use write_behind::cases::{Case, Event, TestFile, differences};
use write_behind::event::Document;
use write_behind::fields::Fields;
use write_behind::settings::{DocumentSource, StreamSettings};
use write_behind::sink::{catalogue, select_sql};
use write_behind::table::TableName;

use super::documentation::rdbms;
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::{PipelineProcess, run_pipeline};
use crate::support::redis::RedisServer;
use crate::thing::{DEADLINE, drained};
use crate::workload::{done, redis_yaml};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("settings/examples")
}

/// The settings of an example, with these servers instead of its own.
fn settings(name: &str, redis: &RedisServer, database: &TestDatabase) -> String {
    let text = fs::read_to_string(folder().join(format!("{name}.yaml"))).unwrap();
    let mut is_own = true;
    let own = text.lines().filter(|line| {
        // A section goes on as far as lines are indented.
        if !line.starts_with(' ') {
            is_own = !line.starts_with("rdbms:") && !line.starts_with("redis:");
        }
        is_own
    });
    own.map(|line| format!("{line}\n")).collect::<String>() + &redis_yaml(redis.port()) + &database.settings_yaml()
}

/// Writes an event as an application would: what its key holds, and the entry.
async fn produce(redis: &mut MultiplexedConnection, stream: &StreamSettings, event: &Event) {
    let entry = event.entry(stream);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut pipe = redis::pipe();
    pipe.atomic();
    if let Some(key) = entry.field(&stream.fields.key).map(text) {
        let at_key = event.at_key(stream);
        if at_key != Document::None {
            pipe.del(&key).ignore();
        }
        match at_key {
            Document::Json(json) if stream.document == DocumentSource::Json => {
                pipe.cmd("JSON.SET").arg(&key).arg("$").arg(json.as_ref()).ignore();
            }
            Document::Json(json) => {
                pipe.set(&key, json.as_ref()).ignore();
            }
            Document::Fields(fields) => {
                pipe.hset_multiple(&key, &pairs(&fields)).ignore();
            }
            Document::Missing | Document::None => {}
        }
    }
    pipe.xadd(&stream.stream_name, entry.id.to_string(), &pairs(&entry.fields)).ignore();
    pipe.query_async::<()>(redis).await.expect("redis takes the event");
}

fn pairs(fields: &Fields) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// What the tables of a stream hold that they should not, and what they lack.
async fn wrong(case: &Case, stream: &StreamSettings, database: &TestDatabase) -> Vec<String> {
    let mut lines = Vec::new();
    for table in &stream.tables {
        let name = TableName::parse(&table.table);
        let table = catalogue::read(&database.connection(), &name).await.unwrap().unwrap();
        let columns: Vec<_> = table.columns.iter().filter(|column| case.names(&name, &column.name)).cloned().collect();
        let columns = if columns.is_empty() { table.columns } else { columns };
        let sql = select_sql(database.connection().get_database_backend(), &name, columns.iter(), None);
        let rows = database.rows(&sql).await;
        lines.extend(differences(&name.to_string(), case.rows_of(&name), &columns, &rows));
    }
    lines
}

async fn an_example_holds(name: &str) {
    let file = TestFile::read(&folder().join(format!("{name}.test.yaml"))).unwrap();
    for kind in Kind::ALL {
        let redis = RedisServer::start_with_json();
        let database = TestDatabase::new(kind).await;
        database.execute(file.schema(rdbms(kind)).unwrap()).await;
        let config = settings(name, &redis, &database);
        let check = run_pipeline(&config, &["check"], "").await;
        assert_eq!(check.code, Some(0), "{name}, {kind:?}: {check:?}");
        let pipeline = PipelineProcess::start(&config, &[]);
        let mut connection = redis.connection().await;
        let mut events = std::collections::BTreeMap::<&str, u64>::new();
        for case in &file.cases {
            let stream = file.settings.stream(&case.entity).unwrap();
            for event in &case.events {
                produce(&mut connection, stream, event).await;
                let so_far = events.entry(stream.stream_name.as_str()).or_default();
                *so_far += 1;
                // One after another: a document at a key is read when its entry is.
                done(&database, &stream.stream_name, *so_far, DEADLINE).await;
            }
            let wrong = wrong(case, stream, &database).await;
            assert!(wrong.is_empty(), "{name}, {kind:?}, {}:\n{}", case.name, wrong.join("\n"));
            // By name: lines before what they are of.
            for table in &stream.tables {
                database.execute(&format!("DELETE FROM {}", table.table)).await;
            }
        }
        drained(pipeline).await;
        let sql = "SELECT error_class, error_column FROM write_behind_dead_letter ORDER BY id";
        let dead = database.rows(sql).await;
        let rejected = file.cases.iter().flat_map(|case| &case.events).filter(|event| event.outcome.is_rejected());
        assert_eq!(dead.len(), rejected.count(), "{name}, {kind:?}: {dead:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn user_actions() {
    an_example_holds("user-actions").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders() {
    an_example_holds("orders").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sensors() {
    an_example_holds("sensors").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payments() {
    an_example_holds("payments").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions() {
    an_example_holds("sessions").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_original_demo() {
    an_example_holds("original-demo").await;
}

#[test]
fn every_example_is_tested() {
    let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let names = names.filter(|name| !name.ends_with(".md"));
    let mut names: Vec<String> = names.map(|name| name.split('.').next().unwrap().to_owned()).collect();
    names.sort();
    let tested = ["orders", "original-demo", "payments", "sensors", "sessions", "user-actions"];
    let pairs = tested.into_iter().flat_map(|name| [name, name]);
    assert_eq!(names, pairs.collect::<Vec<_>>(), "settings and tests of each");
}
