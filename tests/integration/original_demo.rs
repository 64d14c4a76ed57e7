//! The settings file that users of the original demo have drives the pipeline unchanged, with their own producers.

use std::time::Duration;

use redis::AsyncCommands;

use crate::support::mariadb::MariaDbServer;
use crate::support::pipeline::{PipelineProcess, run_pipeline};
use crate::support::python::run_python;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;

const SETTINGS: &str = include_str!("../../settings/examples/original-demo.yaml");
const EVENTS: u64 = 2_000;
const DEADLINE: Duration = Duration::from_secs(60);

/// What an application of theirs does: a RedisJSON document, then an entry that names it.
const PRODUCER: &str = r#"
import sys, redis
client = redis.Redis(port=int(sys.argv[1]))
for n in range(int(sys.argv[2])):
    key = f"user_action:{n}"
    client.json().set(key, "$", {"user_id": n, "action": f"action {n % 7}", "timestamp": f"2024-05-01T10:{n // 60 % 60:02}:{n % 60:02}.250000"})
    client.xadd("stream:user_action", {"key": key, "timestamp": "2024-05-01T10:00:00"})
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_original_settings_drive_mariadb() {
    let redis = RedisServer::start_with_json();
    let server = MariaDbServer::start();
    server.admin(
        "CREATE DATABASE user_events_db; CREATE USER 'redis'@'%' IDENTIFIED BY 'redis'; \
         GRANT ALL ON user_events_db.* TO 'redis'@'%'; \
         CREATE TABLE user_events_db.user_actions (user_id VARCHAR(50), action VARCHAR(50), ts DATETIME)",
    );
    // Nothing but the places of the two servers is changed.
    let settings = SETTINGS
        .replace("port: 6379", &format!("port: {}", redis.port()))
        .replace("port: 3306", &format!("port: {}", server.port()))
        .replace("host: localhost", "host: 127.0.0.1");
    let pipeline = PipelineProcess::start(&settings, &[]);
    let port = redis.port().to_string();
    tokio::task::spawn_blocking(move || run_python(PRODUCER, &[&port, &EVENTS.to_string()], DEADLINE)).await.unwrap();
    let count = || server.admin("SELECT count(*) FROM user_events_db.user_actions");
    eventually(DEADLINE, "all rows", async || match count().trim().parse::<u64>() {
        Ok(EVENTS) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let ours = run_pipeline(
        &settings,
        &["insert", "user_action", r#"{"user_id":"u","action":"ours","timestamp":1714557600}"#],
        "",
    )
    .await;
    assert_eq!(ours.code, Some(0), "{}", ours.stderr);
    eventually(DEADLINE, "the row of our own producer", async || {
        let row = server.admin("SELECT user_id, action, ts FROM user_events_db.user_actions WHERE action = 'ours'");
        if row.trim() == "u\tours\t2024-05-01 10:00:00" { Ok(()) } else { Err(row) }
    })
    .await;
    pipeline.terminate();
    assert_eq!(pipeline.wait_exit(DEADLINE).await, Some(0), "{}", pipeline.stderr());
    let distinct = server.admin(
        "SELECT count(DISTINCT user_id), min(ts), max(ts) FROM user_events_db.user_actions WHERE action <> 'ours'",
    );
    assert_eq!(distinct.trim(), format!("{EVENTS}\t2024-05-01 10:00:00\t2024-05-01 10:33:19"));
    let mut connection = redis.connection().await;
    let success: u64 = connection.get("metrics:user_action:rdbms:success").await.unwrap();
    assert_eq!(success, EVENTS + 1);
    assert!(connection.xlen::<_, u64>("stream:success_rdbms").await.unwrap() > 0);
}
