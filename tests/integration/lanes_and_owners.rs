//! The chain holds whoever moves it: another number of lanes after each kill, two processes at once, servers that are
//! killed and come back. Afterwards the rows are the model's.

use std::time::Duration;

use crate::support::database::{Kind, TestDatabase};
use crate::support::mariadb::MariaDbServer;
use crate::support::pipeline::PipelineProcess;
use crate::support::postgres::PostgresServer;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;
use crate::workload::{Event, Random, Way, create_items, done, events, items, items_yaml, model, produce, redis_yaml};

const EVENTS: u64 = 30_000;
const KEYS: u64 = 500;
const STREAM: &str = "stream:item";
const DEADLINE: Duration = Duration::from_secs(120);
/// Failures are many here and on purpose, and tests are in a hurry.
const IMPATIENT: &str = "supervisor: {max_restarts: 1000, restart_delay_max_ms: 500}\n";

async fn prepare(database: &TestDatabase, redis: &RedisServer, seed: u64) -> Vec<Event> {
    create_items(database).await;
    let events = events(&mut Random::new(seed), EVENTS, KEYS);
    produce(&mut redis.connection().await, STREAM, Way::Inline, &events).await;
    events
}

fn config(redis: &RedisServer, database: &TestDatabase, lanes: u32) -> String {
    let streams = items_yaml(STREAM, Way::Inline, lanes) + "    batch_size: 100\n";
    redis_yaml(redis.port())
        + &database.settings_yaml().replace("rdbms:", "rdbms:\n  retry_delay_sec: 0.1\n  transaction_events_max: 500")
        + &streams
        + IMPATIENT
}

async fn finish(pipeline: PipelineProcess, database: &TestDatabase, events: &[Event]) {
    done(database, STREAM, EVENTS, DEADLINE).await;
    // It may have had nothing left to do, and be still on its way up.
    eventually(DEADLINE, "the last process to run", async || {
        if pipeline.stderr().contains("reading stream") { Ok(()) } else { Err(pipeline.stderr()) }
    })
    .await;
    pipeline.terminate();
    assert_eq!(pipeline.wait_exit(DEADLINE).await, Some(0), "{}", pipeline.stderr());
    assert_eq!(items(database).await, model(events));
    assert_eq!(database.count("write_behind_dead_letter").await, 0);
}

async fn another_number_of_lanes_after_each_kill(kind: Kind) {
    let redis = RedisServer::start();
    let database = TestDatabase::new(kind).await;
    let events = prepare(&database, &redis, 11).await;
    let mut random = Random::new(12);
    for lanes in [3, 1, 4, 2, 5, 5, 2] {
        let pipeline = PipelineProcess::start(&config(&redis, &database, lanes), &["run"]);
        tokio::time::sleep(Duration::from_millis(150 + random.below(200))).await;
        pipeline.kill();
    }
    let pipeline = PipelineProcess::start(&config(&redis, &database, 3), &["run"]);
    finish(pipeline, &database, &events).await;
    let lanes = "SELECT count(*) FROM write_behind_checkpoint WHERE lanes = 3";
    assert_eq!(database.number::<u64>(lanes).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_lanes_after_each_kill_postgres() {
    another_number_of_lanes_after_each_kill(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_lanes_after_each_kill_mariadb() {
    another_number_of_lanes_after_each_kill(Kind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_lanes_after_each_kill_sqlite() {
    another_number_of_lanes_after_each_kill(Kind::Sqlite).await;
}

/// Both work on the same stream all the time; one of them even with another idea of the number of lanes.
async fn two_processes_at_once(kind: Kind, lanes: [u32; 2]) {
    let redis = RedisServer::start();
    let database = TestDatabase::new(kind).await;
    let events = prepare(&database, &redis, 21).await;
    let [first, second] = lanes.map(|lanes| PipelineProcess::start(&config(&redis, &database, lanes), &["run"]));
    done(&database, STREAM, EVENTS, DEADLINE).await;
    second.terminate();
    assert_eq!(second.wait_exit(DEADLINE).await, Some(0), "{}", second.stderr());
    finish(first, &database, &events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_at_once_postgres() {
    two_processes_at_once(Kind::Postgres, [2, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_at_once_mariadb() {
    two_processes_at_once(Kind::MariaDb, [2, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_at_once_sqlite() {
    two_processes_at_once(Kind::Sqlite, [1, 1]).await;
}

async fn the_database_is_killed(database: TestDatabase, restart: impl Fn()) {
    let redis = RedisServer::start();
    let events = prepare(&database, &redis, 31).await;
    let mut random = Random::new(32);
    let pipeline = PipelineProcess::start(&config(&redis, &database, 2), &["run"]);
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(200 + random.below(200))).await;
        restart();
    }
    finish(pipeline, &database, &events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_killed() {
    let server = PostgresServer::start();
    let database = TestDatabase::on_postgres(&server).await;
    the_database_is_killed(database, || {
        server.kill();
        server.restart();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_is_killed() {
    let server = MariaDbServer::start();
    let database = TestDatabase::on_mariadb(&server).await;
    the_database_is_killed(database, || {
        server.kill();
        server.restart();
    })
    .await;
}

/// Everything was in the append-only file before the kill, so nothing may be missing after it.
#[tokio::test(flavor = "multi_thread")]
async fn redis_is_killed() {
    let redis = RedisServer::builder().args(["--appendfsync", "always"]).start();
    let database = TestDatabase::new(Kind::Postgres).await;
    let events = prepare(&database, &redis, 41).await;
    let mut random = Random::new(42);
    let pipeline = PipelineProcess::start(&config(&redis, &database, 2), &["run"]);
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(100 + random.below(200))).await;
        redis.kill();
        redis.restart();
    }
    finish(pipeline, &database, &events).await;
}
