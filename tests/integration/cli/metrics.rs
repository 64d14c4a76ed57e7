//! `pipeline metrics`, byte for byte: scripts read it.

use serde_json::{Value, json};
use write_behind::supervision::exit::ExitReason;

use super::{
    CONFIGURATION, FAILED, UNAVAILABLE, assert_parts, config, config_to_nowhere, migrated, pipeline, succeeding,
};
use crate::support::database::{Kind, TestDatabase};
use crate::support::redis::RedisServer;

#[tokio::test]
async fn counters_are_lines_and_absent_ones_are_0() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let config = config(&redis, &database);
    let zero = "metrics:user_action:redis:success: 0\n\
                metrics:user_action:rdbms:success: 0\n\
                metrics:user_action:rdbms:fail: 0\n";
    assert_eq!(succeeding(&config, &["metrics"]).await, zero);

    migrated(&config).await;
    succeeding(&config, &["generate", "--events", "5"]).await;
    super::written_behind(&config, &database, 5).await;
    let five = "metrics:user_action:redis:success: 5\n\
                metrics:user_action:rdbms:success: 5\n\
                metrics:user_action:rdbms:fail: 0\n\
                metrics:user_action:ended:drained: 1\n";
    assert_eq!(succeeding(&config, &["metrics"]).await, five);

    let undurable = ["insert", "user_action", "{}", "--durability", "wait", "--replicas", "1", "--timeout-ms", "20"];
    assert_eq!(pipeline(&config, &undurable).await.code, FAILED);
    super::written_behind(&config, &database, 6).await;
    let six = "metrics:user_action:redis:success: 5\n\
               metrics:user_action:redis:fail: 1\n\
               metrics:user_action:rdbms:success: 6\n\
               metrics:user_action:rdbms:fail: 0\n\
               metrics:user_action:ended:drained: 2\n";
    assert_eq!(succeeding(&config, &["metrics"]).await, six);
    let parsed: Value = serde_json::from_str(&succeeding(&config, &["metrics", "--json"]).await).unwrap();
    let mut want = json!({
        "metrics:user_action:redis:success": 5,
        "metrics:user_action:redis:fail": 1,
        "metrics:user_action:redis:lost": 0,
        "metrics:user_action:rdbms:success": 6,
        "metrics:user_action:rdbms:fail": 0,
        "metrics:user_action:rdbms:skipped": 0,
        "metrics:user_action:ended:drained": 2,
    });
    for reason in ExitReason::NAMES.iter().filter(|reason| **reason != "drained") {
        want[format!("metrics:user_action:ended:{reason}")] = json!(0);
    }
    assert_eq!(parsed, want);
}

#[tokio::test]
async fn each_stream_has_its_lines() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let config = config(&redis, &database) + "streams:\n  b:\n    columns: {x: x}\n  a:\n    columns: {x: x}\n";
    succeeding(&config, &["insert", "b", "{\"x\": 1}"]).await;
    let want = "metrics:a:redis:success: 0\nmetrics:a:rdbms:success: 0\nmetrics:a:rdbms:fail: 0\n\
                metrics:b:redis:success: 1\nmetrics:b:rdbms:success: 0\nmetrics:b:rdbms:fail: 0\n";
    assert_eq!(succeeding(&config, &["metrics"]).await, want);
}

#[tokio::test]
async fn events_that_are_passed_over_are_counted() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    database.execute("CREATE TABLE a (x integer)").await;
    let config = config(&redis, &database) + "streams:\n  a: {filter: .x > 1, columns: {x: x}}\n";
    for document in ["{\"x\": 1}", "{\"x\": 1}", "{\"x\": 2}"] {
        succeeding(&config, &["insert", "a", document]).await;
    }
    super::written_behind(&config, &database, 1).await;
    let want = "metrics:a:redis:success: 3\nmetrics:a:rdbms:success: 1\nmetrics:a:rdbms:fail: 0\n\
                metrics:a:rdbms:skipped: 2\nmetrics:a:ended:drained: 1\n";
    assert_eq!(succeeding(&config, &["metrics"]).await, want);
    assert_parts(&succeeding(&config, &["check"]).await, &["1 events applied, 0 dead letters, 2 passed over"]);
}

#[tokio::test]
async fn what_is_no_counter_is_told() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let key = "metrics:user_action:rdbms:fail";
    let mut connection = redis.connection().await;
    let _: String = redis::cmd("SET").arg(key).arg("many").query_async(&mut connection).await.unwrap();
    let output = pipeline(&config(&redis, &database), &["metrics"]).await;
    assert_eq!((output.code, output.stdout.as_str()), (CONFIGURATION, ""), "{output:?}");
    assert_parts(&output.stderr, &[key, "delete it"]);
    let output = pipeline(&config_to_nowhere(), &["metrics"]).await;
    assert_eq!(output.code, UNAVAILABLE, "{output:?}");
}
