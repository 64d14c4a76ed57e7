//! Connections to the database that swallow everything from some moment on, and never say so. Nothing the pipeline or
//! the server holds may be held for ever by one.

use super::super::ledger::{HASTY, IMPATIENT};
use super::super::report::{Run, sized};
use super::{Before, DEADLINE, FAULT, Line, SHORT_LIMITS, SMALL_BATCHES, supervisor_with};
use crate::support::database::Kind;
use crate::support::proxy::Harm;
use crate::support::wait::eventually;

/// Far beyond the limits of a statement, and of the test: whoever waits for this one is found out.
const NEVER_HUNG: f64 = 600.0;

/// How the pool's query for the checkpoint looks, and no statement of a writer.
fn query_of_the_checkpoint(kind: Kind) -> &'static str {
    match kind {
        Kind::MariaDb => "FROM `write_behind_checkpoint`",
        Kind::Postgres | Kind::Sqlite => "FROM \"write_behind_checkpoint\"",
    }
}

/// The server hears neither of the commit nor of the end: its transaction goes on holding the lane's row.
async fn at_commit(kind: Kind) {
    let run = Run::of(FAULT, "COMMIT is swallowed, and the server's transaction stays open", kind);
    let mut line = Line::new(kind, Before::Database).await;
    let rdbms = format!("{HASTY}{SHORT_LIMITS}");
    let pipeline = line.start(&line.config(Before::Database, ["", &rdbms, IMPATIENT, SMALL_BATCHES])).await;
    let times = sized(2, 10);
    line.proxy.harm_at("COMMIT", 5, Harm::Swallow);
    line.work_until_harmed(times).await;
    line.proxy.spare();
    let times = line.proxy.harmed();
    let events = line.finish(pipeline).await;
    run.held(times, events, "the server gives the lane's row free");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_nobody_will_end_blocks_nobody_for_ever_postgres() {
    at_commit(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_nobody_will_end_blocks_nobody_for_ever_mariadb() {
    at_commit(Kind::MariaDb).await;
}

/// A lost answer is settled by a query of its own, over a connection that is shared: when that is swallowed too, the
/// limit of a statement ends it, and the shared connections do not run out.
async fn at_settling(kind: Kind) {
    let run = Run::of(FAULT, "the query that settles a lost answer is swallowed", kind);
    let mut line = Line::new(kind, Before::Database).await;
    let rdbms = format!("{}{SHORT_LIMITS}", HASTY.replace("max_retries: 3", "max_retries: 1000"));
    let supervisor = supervisor_with(NEVER_HUNG);
    let pipeline = line.start(&line.config(Before::Database, ["", &rdbms, &supervisor, SMALL_BATCHES])).await;
    line.proxy.harm_at(query_of_the_checkpoint(kind), 1, Harm::Swallow);
    // More than there are connections in the pool.
    let times = sized(6, 20);
    line.produce(2_000).await;
    let mut doubts = 0;
    eventually(DEADLINE, "queries to be swallowed", async || {
        let harmed = line.proxy.harmed();
        if harmed >= times {
            return Ok(());
        }
        if harmed == 0 {
            // Puts a writer in doubt about what it was committing.
            line.proxy.cut();
            doubts += 1;
            line.produce(100).await;
        }
        Err(format!("{harmed} swallowed after {doubts} cuts: {}", tail(&pipeline.stderr())))
    })
    .await;
    line.proxy.spare();
    let times = line.proxy.harmed();
    line.all_done().await;
    let log = pipeline.stderr();
    assert!(!log.contains("stream failed"), "the writer gets over it by itself: {log}");
    let events = line.finish(pipeline).await;
    run.held(times, events, "no actor hung, no connection of the pool was lost");
}

fn tail(log: &str) -> &str {
    let start = log.len().saturating_sub(1_500);
    log.get(start..).unwrap_or(log)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swallowed_look_at_the_checkpoint_is_given_up_in_time_postgres() {
    at_settling(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swallowed_look_at_the_checkpoint_is_given_up_in_time_mariadb() {
    at_settling(Kind::MariaDb).await;
}

/// All connections at once, whatever they were doing.
async fn everywhere(kind: Kind) {
    let run = Run::of(FAULT, "all connections to the database swallow everything for ever", kind);
    let mut line = Line::new(kind, Before::Database).await;
    let rdbms = format!("{HASTY}{SHORT_LIMITS}");
    let pipeline = line.start(&line.config(Before::Database, ["", &rdbms, IMPATIENT, SMALL_BATCHES])).await;
    let times = sized(3, 12);
    for round in 0..times {
        line.produce(1_500).await;
        tokio::time::sleep(std::time::Duration::from_millis(15 * (round % 8))).await;
        line.proxy.swallow();
        line.all_done().await;
    }
    let events = line.finish(pipeline).await;
    run.held(times, events, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_swallowed_are_given_up_postgres() {
    everywhere(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_swallowed_are_given_up_mariadb() {
    everywhere(Kind::MariaDb).await;
}
