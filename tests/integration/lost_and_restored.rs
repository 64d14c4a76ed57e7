//! The answer to a commit is lost. Rows and checkpoint go together all the same.

use std::time::Duration;

use redis::aio::MultiplexedConnection;

use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::proxy::CommitCutter;
use crate::support::redis::RedisServer;
use crate::thing::{DEADLINE, drained};
use crate::workload::{counted, done, redis_yaml};

const STREAM: &str = "    document: fields\n    columns: {n: n}\n    batch_size: 100\n";

async fn add(connection: &mut MultiplexedConnection, numbers: std::ops::Range<u64>) {
    let mut pipe = redis::pipe();
    for n in numbers {
        pipe.xadd("stream:thing", "*", &[("n", n)]).ignore();
    }
    pipe.query_async::<()>(connection).await.expect("redis takes the entries");
}

/// The table has no key: an event that is applied twice is there twice.
async fn answers_to_commits_are_lost(kind: Kind) {
    const EVENTS: u64 = 20_000;
    let redis = RedisServer::start();
    let database = TestDatabase::new(kind).await;
    database.execute("CREATE TABLE thing (n bigint)").await;
    let mut connection = redis.connection().await;
    add(&mut connection, 0..EVENTS).await;
    let cutter = CommitCutter::start(database.access().port, 3).await;
    let rdbms = database.settings_yaml_through(cutter.port());
    let hasty = "  transaction_events_max: 200\n  retry_delay_sec: 0.01\n  max_retries: 10\n";
    let config = redis_yaml(redis.port()) + &rdbms + hasty + "streams:\n  thing:\n" + STREAM;
    let pipeline = PipelineProcess::start(&config, &[]);
    done(&database, "stream:thing", EVENTS, Duration::from_secs(120)).await;
    counted(&mut connection, "thing", [EVENTS, 0], DEADLINE).await;
    let log = pipeline.stderr();
    drained(pipeline).await;
    assert!(cutter.cuts() >= 20, "only {} commits were cut", cutter.cuts());
    assert!(log.contains("the answer to a commit was lost, but it had been committed"), "{log}");
    // (The answer to the commit that makes the checkpoint may be lost too; that is a start that is tried again.)
    assert!(!log.contains("\"ended\":\"RdbmsWriter"), "a lost answer is settled without a restart: {log}");
    assert_eq!(database.count("thing").await as u64, EVENTS);
    assert_eq!(database.number::<u64>("SELECT count(DISTINCT n) FROM thing").await, EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_commits_are_lost_postgres() {
    answers_to_commits_are_lost(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_commits_are_lost_mariadb() {
    answers_to_commits_are_lost(Kind::MariaDb).await;
}
