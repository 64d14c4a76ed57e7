//! A process is stopped (SIGSTOP) for longer than every timeout, in the middle of a transaction, and another one takes
//! its streams over; then it goes on (SIGCONT) as if nothing had been.

use std::time::{Duration, Instant};

use super::FAULT;
use super::checkpoint::{Lock, try_done};
use super::work::Work;
use crate::faults::report::{Run, sized};
use crate::support::database::Kind;
use crate::support::pipeline::PipelineProcess;
use crate::support::wait::eventually;
use crate::thing::{drained, reads};

const DEADLINE: Duration = Duration::from_secs(120);

/// Of a statement, and of an answer of Redis; an actor counts as hung after twice that.
const LIMIT: Duration = Duration::from_secs(1);

/// Longer than all of them.
const STOPPED: Duration = Duration::from_millis(3500);

/// Stops it at random moments until one is in the middle of a transaction.
async fn stop_in_transaction(work: &mut Work, pipeline: &PipelineProcess) {
    let end = Instant::now() + DEADLINE;
    loop {
        work.produce(500).await;
        tokio::time::sleep(Duration::from_millis(work.random.below(40))).await;
        pipeline.signal("STOP");
        // Time for the server to end what it was told: a COMMIT under way frees the rows.
        tokio::time::sleep(Duration::from_millis(100)).await;
        if Lock::of(&work.database).await.is_held().await {
            return;
        }
        pipeline.signal("CONT");
        assert!(Instant::now() < end, "it is never in a transaction");
    }
}

fn generations(pipeline: &PipelineProcess) -> usize {
    pipeline.stderr().matches("reading stream").count()
}

/// The server ends the transaction of the stopped process, so the other one need not wait for its return.
async fn replaced_while_stopped(kind: Kind) {
    let run = Run::of(FAULT, "SIGSTOP in mid-transaction, longer than every timeout; replaced; SIGCONT", kind);
    let rounds = sized(1, 4);
    let mut work = Work::new(kind, 51).await.with_timeouts(LIMIT);
    let mut first = work.start(2);
    reads(&first).await;
    for _ in 0..rounds {
        work.produce(2_000).await;
        stop_in_transaction(&mut work, &first).await;
        let stopped = Instant::now();
        work.produce(2_000).await;
        let second = work.start(2);
        // Everything, also what the stopped one had begun to write.
        work.done().await;
        tokio::time::sleep(STOPPED.saturating_sub(stopped.elapsed())).await;
        let before = generations(&first);
        first.signal("CONT");
        work.produce(2_000).await;
        eventually(DEADLINE, "the first process to come back", async || {
            if generations(&first) > before { Ok(()) } else { Err(first.stderr()) }
        })
        .await;
        work.done().await;
        drained(first).await;
        first = second;
    }
    work.finish(first).await;
    run.held(rounds, work.events(), "replaced while stopped, a standby afterwards");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_takes_over_from_a_stopped_process_postgres() {
    replaced_while_stopped(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_takes_over_from_a_stopped_process_mariadb() {
    replaced_while_stopped(Kind::MariaDb).await;
}

/// In SQLite nobody but the process itself, or its end, frees the file: the other one waits, and loses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn another_waits_for_a_stopped_process_sqlite() {
    let run =
        Run::of(FAULT, "SIGSTOP with the file locked, longer than every timeout; SIGCONT or SIGKILL", Kind::Sqlite);
    let rounds = sized(2, 4);
    let mut work = Work::new(Kind::Sqlite, 52).await.with_timeouts(LIMIT);
    let mut first = work.start(2);
    reads(&first).await;
    for round in 0..rounds {
        work.produce(2_000).await;
        stop_in_transaction(&mut work, &first).await;
        let before = try_done(&work.database).await;
        work.produce(2_000).await;
        let second = work.start(2);
        tokio::time::sleep(STOPPED).await;
        assert_eq!(try_done(&work.database).await, before, "somebody wrote in spite of the lock");
        match round % 2 {
            0 => first.signal("CONT"),
            _ => first.kill(),
        }
        work.done().await;
        if first.is_running() {
            drained(first).await;
        }
        first = second;
    }
    work.finish(first).await;
    run.held(rounds, work.events(), "the other process waits for the file");
}
