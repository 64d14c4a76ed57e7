//! `pipeline dead-letters`: a person finds out what could not be written, and why.

use std::process::Stdio;

use serde_json::{Value, json};

use super::{CONFIGURATION, FAILED, assert_parts, config, migrated, pipeline, succeeding, written_behind};
use crate::support::database::{Kind, TestDatabase};
use crate::support::folder;
use crate::support::redis::RedisServer;

#[tokio::test]
async fn what_the_pipeline_could_not_write_is_listed_and_shown() {
    let redis = RedisServer::start();
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let config = config(&redis, &database);
        let _: String = redis::cmd("FLUSHALL").query_async(&mut redis.connection().await).await.unwrap();
        migrated(&config).await;
        let none = succeeding(&config, &["dead-letters", "list"]).await;
        assert_eq!(none, "no dead letters of pipeline `write-behind`\n");
        assert_eq!(succeeding(&config, &["dead-letters", "list", "--json"]).await, "[\n]\n");

        let long = format!(r#"{{"user_id":"{}","action":"a"}}"#, "x".repeat(60));
        let bad_time = r#"{"user_id":"u","action":"a","timestamp":"soon"}"#;
        succeeding(&config, &["insert", "user_action", &long, "--key", "first"]).await;
        succeeding(&config, &["insert", "user_action", bad_time, "--key", "se\tcond"]).await;
        succeeding(&config, &["insert", "user_action", "{}"]).await;
        written_behind(&config, &database, 3).await;

        let table = succeeding(&config, &["dead-letters", "list"]).await;
        let table: Vec<_> = table.lines().collect();
        assert_eq!(table.len(), 3, "{table:?}");
        assert_parts(table[0], &["ID", "ENTRY ID", "ENTITY", "OP", "KEY", "CLASS", "COLUMN", "MESSAGE"]);
        assert_parts(table[1], &["user_action", "insert", "first", "too_long", "user_id", "60 characters"]);
        assert_parts(table[2], &["se\\tcond", "wrong_type", "ts", "soon"]);

        let list = succeeding(&config, &["dead-letters", "list", "--json"]).await;
        let list: Vec<Value> = serde_json::from_str(&list).unwrap();
        assert_eq!((list.len(), &list[0]["key"], &list[1]["key"]), (2, &json!("first"), &json!("se\tcond")));
        let newest = succeeding(&config, &["dead-letters", "list", "--limit", "1", "--json"]).await;
        assert_eq!(serde_json::from_str::<Vec<Value>>(&newest).unwrap(), list[1..]);

        let id = list[0]["id"].to_string();
        let text = succeeding(&config, &["dead-letters", "show", &id]).await;
        assert_parts(&text, &["class     too_long\n", "stream    stream:user_action\n", "attempts  1\n", &long]);
        let shown = succeeding(&config, &["dead-letters", "show", &id, "--json"]).await;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        for name in ["id", "entry_id", "entity", "op", "key", "class", "column", "message"] {
            assert_eq!(shown[name], list[0][name], "{name}");
        }
        assert_eq!((&shown["document"], &shown["entry"]["key"]), (&json!(long), &json!("first")), "{shown}");
        assert!(shown["created_at"].as_str().is_some_and(|time| time.ends_with('Z')), "{shown}");

        let output = pipeline(&config, &["dead-letters", "show", "4711"]).await;
        assert_eq!((output.code, output.stdout.as_str()), (FAILED, ""), "{output:?}");
        assert_parts(&output.stderr, &["no dead letter 4711", "dead-letters list"]);
    }
}

/// Dead letters `from` to `to` of a pipeline, their id being the number.
async fn insert(database: &TestDatabase, pipeline: &str, entity: &str, from: i64, to: i64) {
    let row = |id: i64| {
        format!(
            "({id}, '{pipeline}', 's', '{id}-0', {id}, 0, 0, '{entity}', '{{}}', 'refused', 'no', 1, CURRENT_TIMESTAMP)"
        )
    };
    let rows: Vec<_> = (from..=to).map(row).collect();
    database
        .execute(&format!(
            "INSERT INTO write_behind_dead_letter (id, pipeline, stream, entry_id, entry_ms, entry_seq, lane, entity, \
             entry, error_class, message, attempts, created_at) VALUES {}",
            rows.join(", ")
        ))
        .await;
}

#[tokio::test]
async fn the_newest_of_the_pipeline_are_listed() {
    let redis = RedisServer::start();
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let config = config(&redis, &database);
        migrated(&config).await;
        insert(&database, "write-behind", "a", 1, 30).await;
        insert(&database, "write-behind", "b", 31, 33).await;
        insert(&database, "other", "a", 34, 35).await;
        let ids = async |args: &[&str]| {
            let table = succeeding(&config, &[&["dead-letters", "list"], args].concat()).await;
            let ids = table.lines().skip(1).map(|line| line.split(' ').next().unwrap().parse::<i64>().unwrap());
            ids.collect::<Vec<_>>()
        };
        assert_eq!(ids(&[]).await, (14..=33).collect::<Vec<_>>(), "{kind:?}");
        assert_eq!(ids(&["--stream", "a", "--limit", "3"]).await, [28, 29, 30]);
        assert_eq!(ids(&["--stream", "b"]).await, [31, 32, 33]);
        let none = succeeding(&config, &["dead-letters", "list", "--stream", "c"]).await;
        assert_eq!(none, "no dead letters of pipeline `write-behind`, stream `c`\n");
    }
}

#[tokio::test]
async fn a_missing_table_names_the_command_that_makes_it() {
    let redis = RedisServer::start();
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        for args in [&["dead-letters", "list"][..], &["dead-letters", "show", "1"]] {
            let output = pipeline(&config(&redis, &database), args).await;
            assert_eq!((output.code, output.stdout.as_str()), (CONFIGURATION, ""), "{output:?}");
            assert_parts(&output.stderr, &["write_behind_dead_letter", "run `pipeline migrate up`"]);
        }
    }
}

#[tokio::test]
async fn a_reader_that_has_enough_is_no_error() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let yaml = config(&redis, &database);
    migrated(&yaml).await;
    insert(&database, "write-behind", "a", 1, 5000).await;
    let folder = folder::temporary("pipe");
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, yaml).unwrap();
    // More than a pipe holds, so that it is still writing when the reader is gone.
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pipeline"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PIPELINE__")) {
        command.env_remove(name);
    }
    let mut child = command
        .args(["dead-letters", "list", "--limit", "5000", "--config"])
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
