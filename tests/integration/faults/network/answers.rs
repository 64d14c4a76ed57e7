//! The connection is cut after the database has committed and before the pipeline has heard of it.

use redis::AsyncCommands;

use super::super::ledger::{HASTY, IMPATIENT};
use super::super::report::{Run, sized};
use super::{Before, DEADLINE, FAULT, Line, SMALL_BATCHES};
use crate::support::database::Kind;
use crate::support::proxy::Harm;
use crate::support::wait::eventually;

const SETTLED: &str = "the answer to a commit was lost, but it had been committed";

async fn answers_to_commits_are_lost(kind: Kind) {
    let run = Run::of(FAULT, "cuts between COMMIT and its answer", kind);
    let wanted = sized(10, 100);
    let mut line = Line::new(kind, Before::Database).await;
    let rdbms = format!("{HASTY}  transaction_events_max: 100\n");
    let pipeline = line.start(&line.config(Before::Database, ["", &rdbms, IMPATIENT, SMALL_BATCHES])).await;
    line.proxy.harm_at("COMMIT", 2, Harm::LoseAnswer);
    line.work_until_harmed(wanted).await;
    line.proxy.spare();

    // Each is settled where it stands: no restart, and what became a dead letter is announced all the same, once.
    let cuts = line.proxy.harmed();
    eventually(DEADLINE, "every lost answer to be settled", async || {
        let settled = pipeline.stderr().matches(SETTLED).count() as u64;
        if settled == cuts { Ok(()) } else { Err(format!("{settled} of {cuts} settled")) }
    })
    .await;
    let log = pipeline.stderr();
    assert!(!log.contains("stream failed"), "a lost answer is settled without a restart: {log}");
    let bad = (0..line.events).filter(|n| line.ledger.is_bad(*n)).count() as u64;
    assert!(bad > 0, "some events are bad");
    let events = line.finish(pipeline).await;
    let announced: u64 = line.connection.xlen("stream:failed_rdbms").await.expect("a log stream");
    assert_eq!(announced, bad, "dead letters that were announced");
    run.held(cuts, events, format!("{cuts} answers settled by the checkpoint"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_to_commits_are_settled_postgres() {
    answers_to_commits_are_lost(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_to_commits_are_settled_mariadb() {
    answers_to_commits_are_lost(Kind::MariaDb).await;
}
