//! The subcommands as a person or a script meets them: the real binary, its output and its exit code.

mod check;
mod check_events;
mod check_mapping;
mod check_rights;
mod dead_letters;
mod explain;
mod generate;
mod help;
mod insert;
mod metrics;
mod migrate;
mod schema;
mod schema_differs;
mod schema_refused;
mod startup;
mod terminal;
mod test_mapping;

use std::time::Duration;

use crate::support::database::TestDatabase;
use crate::support::pipeline::{PipelineProcess, run_pipeline};
use crate::support::port;
use crate::support::process::Output;
use crate::support::redis::RedisServer;

const SUCCESS: Option<i32> = Some(0);
const FAILED: Option<i32> = Some(1);
const WRONG_ARGUMENTS: Option<i32> = Some(2);
const UNAVAILABLE: Option<i32> = Some(69);
const CONFIGURATION: Option<i32> = Some(78);

const SOON: Duration = Duration::from_secs(30);

/// The section of the settings that leads to a Redis server.
fn redis_yaml(redis: &RedisServer) -> String {
    redis_yaml_at(redis.port())
}

fn redis_yaml_at(port: u16) -> String {
    format!("redis:\n  host: 127.0.0.1\n  port: {port}\n")
}

/// Settings with the shipped stream; the database's section is last, so that keys of it may follow.
fn config(redis: &RedisServer, database: &TestDatabase) -> String {
    redis_yaml(redis) + &database.settings_yaml()
}

/// Settings that lead to nothing that runs.
fn config_to_nowhere() -> String {
    format!(
        "{}rdbms:\n  type: postgres\n  host: 127.0.0.1\n  port: {}\n  database: x\n",
        redis_yaml_at(port::free()),
        port::free()
    )
}

async fn pipeline(config: &str, args: &[&str]) -> Output {
    run_pipeline(config, args, "").await
}

/// Runs a command that must end with 0, and returns what it printed.
async fn succeeding(config: &str, args: &[&str]) -> String {
    let output = pipeline(config, args).await;
    assert_eq!(output.code, SUCCESS, "{args:?}: {output:?}");
    output.stdout
}

/// Makes the bookkeeping tables and the example's.
async fn migrated(config: &str) {
    succeeding(config, &["migrate", "up"]).await;
    succeeding(config, &["migrate", "up", "--example"]).await;
}

/// Runs the pipeline until `done` rows and dead letters are there, and ends it.
async fn written_behind(config: &str, database: &TestDatabase, done: i64) {
    let process = PipelineProcess::start(config, &["run"]);
    crate::support::wait::eventually(SOON, "the events are written", async || {
        let sql = "SELECT COALESCE(SUM(applied + dead_lettered), 0) FROM write_behind_checkpoint";
        let rows = database.try_rows(sql).await?;
        let now = rows.first().and_then(|row| row.first()?.clone()).unwrap_or_default();
        if now == done.to_string() { Ok(()) } else { Err(format!("{now} of {done}")) }
    })
    .await;
    process.terminate();
    assert_eq!(process.wait_exit(SOON).await, SUCCESS, "{}", process.stderr());
}

/// All `parts` are in `text`.
fn assert_parts(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}
