//! `pipeline insert`: one document, told where it is and how durable.

use super::{
    CONFIGURATION, FAILED, SUCCESS, UNAVAILABLE, assert_parts, config, config_to_nowhere, pipeline, succeeding,
};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::{PipelineProcess, run_pipeline};
use crate::support::redis::RedisServer;

async fn get(redis: &RedisServer, key: &str) -> Option<String> {
    redis::cmd("GET").arg(key).query_async(&mut redis.connection().await).await.unwrap()
}

/// The last entry of the stream: its id and its fields.
async fn newest(redis: &RedisServer) -> (String, Vec<String>) {
    let mut command = redis::cmd("XREVRANGE");
    command.arg("stream:user_action").arg("+").arg("-").arg("COUNT").arg(1);
    let entries: Vec<(String, Vec<String>)> = command.query_async(&mut redis.connection().await).await.unwrap();
    entries.into_iter().next().unwrap()
}

fn key_and_id(output: &str) -> (&str, &str) {
    output.strip_suffix('\n').and_then(|line| line.rsplit_once(' ')).unwrap_or_else(|| panic!("{output:?}"))
}

#[tokio::test]
async fn documents_come_from_the_command_line_or_standard_input_as_they_are() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let config = config(&redis, &database);
    let document = r#"{"z": 1.10, "a": 12345678901234567890123}"#;
    let first = succeeding(&config, &["insert", "user_action", document]).await;
    let from_stdin = run_pipeline(&config, &["insert", "user_action", "-"], &format!("\n{document}\n")).await;
    let without = run_pipeline(&config, &["insert", "user_action", "--key", "my key"], document).await;
    assert_eq!((from_stdin.code, without.code), (SUCCESS, SUCCESS), "{from_stdin:?} {without:?}");
    for output in [&first, &from_stdin.stdout, &without.stdout] {
        let (key, _) = key_and_id(output);
        assert_eq!(get(&redis, key).await.as_deref(), Some(document), "{output}");
    }
    assert!(first.starts_with("user_action:"), "{first}");
    assert_eq!(key_and_id(&without.stdout), ("my key", newest(&redis).await.0.as_str()));
}

#[tokio::test]
async fn each_operation_is_announced() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let config = config(&redis, &database);
    for (op, document, stored) in [
        ("insert", Some("{}"), Some("{}")),
        ("upsert", Some("{}"), Some("{}")),
        ("update", Some("{}"), Some("{}")),
        // The change is in the entry alone.
        ("patch", Some(r#"{"a":1}"#), Some("{}")),
        ("delete", None, None),
    ] {
        let mut args = vec!["insert", "user_action", "--key", "k", "--op", op];
        args.extend(document);
        let output = succeeding(&config, &args).await;
        let (id, fields) = newest(&redis).await;
        assert_eq!(output, format!("k {id}\n"));
        assert_eq!(fields[..4], ["key", "k", "op", op]);
        assert_eq!(get(&redis, "k").await.as_deref(), stored);
    }
}

#[tokio::test]
async fn a_wait_without_replica_ends_with_1_and_what_was_reached() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let config = config(&redis, &database);
    let wait = ["insert", "user_action", "{}", "--durability", "wait"];
    let output = pipeline(&config, &[&wait[..], &["--replicas", "2", "--timeout-ms", "50"]].concat()).await;
    assert_eq!(output.code, FAILED, "{output:?}");
    assert_parts(&output.stderr, &["wanted 2 replicas within 50 ms", "reached 0 local and 0 replicas"]);
    let (key, id) = key_and_id(&output.stdout);
    assert_eq!(get(&redis, key).await.as_deref(), Some("{}"));
    assert_eq!(newest(&redis).await.0, id);

    // Defaults come from the settings, and no replica at all is nothing to wait for.
    let output = pipeline(&(config.clone() + "producer:\n  wait_replicas: 3\n  wait_timeout_ms: 60\n"), &wait).await;
    assert_eq!(output.code, FAILED, "{output:?}");
    assert_parts(&output.stderr, &["wanted 3 replicas within 60 ms"]);
    let output = pipeline(&config, &wait).await;
    assert_eq!((output.code, output.stdout.as_str()), (CONFIGURATION, ""), "{output:?}");
    assert_parts(&output.stderr, &["waits for nothing"]);
    // A flag counts more than the settings and the environment.
    let envs = [("PIPELINE__PRODUCER__DURABILITY", "wait"), ("PIPELINE__REDIS__REPLICAS", "4")];
    let args = ["insert", "user_action", "{}", "--durability", "none"];
    let process = PipelineProcess::start_with(&config, &args, &envs, "");
    assert_eq!(process.wait_exit(super::SOON).await, SUCCESS, "{}", process.stderr());
}

#[tokio::test]
async fn durability_that_is_reached_ends_with_0() {
    let database = TestDatabase::new(Kind::Sqlite).await;
    let redis = RedisServer::start_v8();
    let config = config(&redis, &database);
    let aof = ["insert", "user_action", "{}", "--durability", "waitaof", "--timeout-ms", "10000"];
    succeeding(&config, &aof).await;
    let replica = RedisServer::builder().v8().args(["--replicaof", "127.0.0.1", &redis.port().to_string()]).start();
    let wait = ["insert", "user_action", "{}", "--durability", "wait", "--replicas", "1", "--timeout-ms", "20000"];
    succeeding(&config, &wait).await;
    drop(replica);
    let aof_there = [&aof[..5], &["--local", "0", "--replicas", "1", "--timeout-ms", "50"]].concat();
    assert_eq!(pipeline(&config, &aof_there).await.code, FAILED);
}

#[tokio::test]
async fn what_the_settings_or_the_server_do_not_have_is_told() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let config = config(&redis, &database);
    let cases: [(&[&str], &[&str]); 2] = [
        (&["insert", "orders", "{}"], &["entity `orders`", "`user_action`"]),
        (
            &["insert", "user_action", "{}", "--durability", "waitaof"],
            &["WAITAOF needs Redis 7.2", "nothing was written"],
        ),
    ];
    for (args, parts) in cases {
        let output = pipeline(&config, args).await;
        assert_eq!((output.code, output.stdout.as_str()), (CONFIGURATION, ""), "{output:?}");
        assert_parts(&output.stderr, parts);
    }
    let output = pipeline(&config_to_nowhere(), &["insert", "user_action", "{}"]).await;
    assert_eq!(output.code, UNAVAILABLE, "{output:?}");
}
