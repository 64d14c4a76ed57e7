//! Stalls, delays and torn packets between the pipeline and its database.

use std::time::Duration;

use tokio::time::sleep;

use super::super::ledger::{HASTY, IMPATIENT};
use super::super::report::{Run, sized};
use super::{Before, FAULT, Line, SHORT_LIMITS, SHORT_REDIS_LIMITS, SMALL_BATCHES, supervisor_with};
use crate::support::database::Kind;
use crate::support::proxy::Harm;
use crate::workload::Random;

/// Just above every limit, so that each of them strikes within a stall.
const SOON_HUNG: f64 = 0.5;

/// Longer than all limits together, and than the second between two looks for what hangs.
const STALL: Duration = Duration::from_millis(2_200);

async fn stalls(kind: Kind) {
    let run = Run::of(FAULT, "all connections to the database stall longer than every limit, then go on", kind);
    let mut line = Line::new(kind, Before::Database).await;
    let rdbms = format!("{HASTY}{SHORT_LIMITS}");
    let settings = [SHORT_REDIS_LIMITS, &rdbms, &supervisor_with(SOON_HUNG), SMALL_BATCHES];
    let pipeline = line.start(&line.config(Before::Database, settings)).await;
    let mut random = Random::new(11);
    let stalls = sized(2, 8);
    for _ in 0..stalls {
        line.produce(2_000).await;
        sleep(Duration::from_millis(random.below(150))).await;
        line.proxy.stall();
        // Work for those that had nothing to do just then.
        line.produce(500).await;
        sleep(STALL).await;
        line.proxy.go_on();
        line.all_done().await;
    }
    let log = pipeline.stderr();
    assert!(log.contains("trying again") || log.contains("stream failed"), "no stall was felt: {log}");
    let events = line.finish(pipeline).await;
    run.held(stalls, events, format!("{} restarts of the stream", log.matches("stream failed").count()));
}

#[tokio::test(flavor = "multi_thread")]
async fn stalls_of_the_database_are_survived_postgres() {
    stalls(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stalls_of_the_database_are_survived_mariadb() {
    stalls(Kind::MariaDb).await;
}

async fn torn_packets(kind: Kind) {
    let run = Run::of(FAULT, "half a packet to or from the database, then a cut", kind);
    let mut line = Line::new(kind, Before::Database).await;
    let rdbms = format!("{HASTY}  transaction_events_max: 100\n");
    let pipeline = line.start(&line.config(Before::Database, ["", &rdbms, IMPATIENT, SMALL_BATCHES])).await;
    let of_each = sized(8, 50);
    // Any packet, of a handshake or of the start of a stream too.
    line.proxy.harm_at("", 60, Harm::HalfRequest);
    line.work_until_harmed(of_each).await;
    line.proxy.harm_at("", 60, Harm::HalfAnswer);
    line.work_until_harmed(2 * of_each).await;
    line.proxy.spare();
    let times = line.proxy.harmed();
    let log = pipeline.stderr();
    let events = line.finish(pipeline).await;
    run.held(times, events, format!("{} restarts of the stream", log.matches("stream failed").count()));
}

#[tokio::test(flavor = "multi_thread")]
async fn torn_packets_of_the_database_are_survived_postgres() {
    torn_packets(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn torn_packets_of_the_database_are_survived_mariadb() {
    torn_packets(Kind::MariaDb).await;
}

async fn delays(kind: Kind) {
    let run = Run::of(FAULT, "each packet to and from the database is late", kind);
    let mut line = Line::new(kind, Before::Database).await;
    let pipeline = line.start(&line.config(Before::Database, ["", HASTY, IMPATIENT, SMALL_BATCHES])).await;
    line.proxy.delay(Duration::from_millis(5));
    line.work_until_harmed(sized(200, 1_000)).await;
    let (times, log) = (line.proxy.harmed(), pipeline.stderr());
    let events = line.finish(pipeline).await;
    assert!(!log.contains("trying again") && !log.contains("stream failed"), "late is not lost: {log}");
    run.held(times, events, "no try was repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_way_to_the_database_disturbs_nothing_postgres() {
    delays(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_way_to_the_database_disturbs_nothing_mariadb() {
    delays(Kind::MariaDb).await;
}
