//! SIGTERM: what is in flight is written and told, the process ends in time, and the next one does the rest.

pub mod server;
mod stuck;

use std::time::Duration;

use redis::AsyncCommands;

use super::ledger::{Ledger, STREAM};
use super::owners::checkpoint::{done_at_least, try_done};
use super::process_killed::{PER_EVENT, told_once};
use super::report::{Run, sized};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::thing::reads;
use crate::workload::Random;

const FAULT: &str = "11 SIGTERM";
const DEADLINE: Duration = Duration::from_secs(120);

async fn under_full_load(kind: Kind) {
    let run = Run::of(FAULT, "under full load, again and again", kind);
    let (events, times) = sized((15_000, 3), (50_000, 10));
    let ledger = Ledger { bad_permille: 2 };
    let redis = RedisServer::start();
    let database = TestDatabase::new(kind).await;
    ledger.create_table(&database).await;
    // Little enough in flight that a drain leaves work for the next process.
    let config =
        ledger.config(&redis, &database, 2) + "    batch_size: 250\n    max_in_flight_bytes: 2000000\n" + PER_EVENT;
    let mut connection = redis.connection().await;
    let mut producing = connection.clone();
    let producer = tokio::spawn(async move { ledger.produce(&mut producing, 0..events).await });
    let mut random = Random::new(3);
    let (mut in_backlog, mut in_flight) = (Vec::new(), 0);
    for time in 1..=times {
        let pipeline = PipelineProcess::start(&config, &["run"]);
        reads(&pipeline).await;
        done_at_least(&database, time * events / (times + 1)).await;
        tokio::time::sleep(Duration::from_millis(random.below(30))).await;
        let before = try_done(&database).await.expect("the database answers");
        pipeline.terminate();
        assert_eq!(pipeline.wait_exit(DEADLINE).await, Some(0), "{}", pipeline.stderr());
        let log = pipeline.stderr();
        assert!(log.contains("\"drained\"") && !log.contains("not drained"), "{log}");
        // All that was committed is counted when the process has ended, without the next one.
        let done = try_done(&database).await.expect("the database answers");
        let letters = database.count("write_behind_dead_letter").await as u64;
        let counters = ["metrics:ledger:rdbms:success", "metrics:ledger:rdbms:fail"];
        let counted: [u64; 2] = connection.mget(&counters).await.expect("counters");
        assert_eq!(counted, [done - letters, letters], "counters after the end");
        in_flight += done - before;
        let added: u64 = connection.xlen(STREAM).await.expect("the stream");
        in_backlog.push(added - done);
    }
    producer.await.expect("all events are produced");
    let pipeline = PipelineProcess::start(&config, &["run"]);
    ledger.finish(pipeline, &database, &mut connection, events, DEADLINE).await;
    let entries = ledger.entries(&mut connection).await;
    assert_eq!(told_once(&ledger, &mut connection, &entries).await, 0, "events that were told only by a later process");
    let left = in_backlog.iter().max().expect("once at least");
    run.held(times, events, format!("{in_flight} events in flight written after the signals; backlogs up to {left}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_flight_is_lost_or_repeated_sqlite() {
    under_full_load(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_flight_is_lost_or_repeated_postgres() {
    under_full_load(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_flight_is_lost_or_repeated_mariadb() {
    under_full_load(Kind::MariaDb).await;
}
