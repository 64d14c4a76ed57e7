//! Another number of lanes in every run: after a clean end, after a kill, and with two processes that disagree.

use std::time::Duration;

use super::work::Work;
use crate::faults::report::{Run, sized};
use crate::support::database::Kind;
use crate::support::wait::eventually;
use crate::thing::drained;

const DEADLINE: Duration = Duration::from_secs(120);

const FAULT: &str = "13 the number of lanes changes";

/// How a run ends before the next one begins with other lanes.
#[derive(Clone, Copy)]
enum End {
    Kill,
    Drain,
}

async fn changed(kind: Kind, end: End) {
    let (what, seed) = match end {
        End::Kill => ("across a SIGKILL", 11),
        End::Drain => ("between runs", 12),
    };
    let run = Run::of(FAULT, what, kind);
    let (events, changes) = sized((6_000, 4), (24_000, 12));
    let mut work = Work::new(kind, seed).await;
    work.produce(events / 2).await;
    for (change, lanes) in (1..=changes).zip([3, 1, 4, 2, 5, 7, 2, 8, 1, 6, 3, 16]) {
        let pipeline = work.start(lanes);
        work.done_at_least(change * events / (changes + 1)).await;
        tokio::time::sleep(Duration::from_millis(work.random.below(40))).await;
        match end {
            End::Kill => pipeline.kill(),
            End::Drain => drained(pipeline).await,
        }
    }
    let pipeline = work.start(5);
    eventually(DEADLINE, "two streams of five lanes", async || {
        let lanes = "SELECT count(*) FROM write_behind_checkpoint WHERE lanes = 5";
        match work.database.number::<u64>(lanes).await {
            10 => Ok(()),
            rows => Err(format!("{rows} rows")),
        }
    })
    .await;
    work.finish(pipeline).await;
    run.held(changes, work.events(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn they_change_after_each_kill_postgres() {
    changed(Kind::Postgres, End::Kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_change_after_each_kill_mariadb() {
    changed(Kind::MariaDb, End::Kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_change_after_each_kill_sqlite() {
    changed(Kind::Sqlite, End::Kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_change_after_each_clean_end_postgres() {
    changed(Kind::Postgres, End::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_change_after_each_clean_end_mariadb() {
    changed(Kind::MariaDb, End::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_change_after_each_clean_end_sqlite() {
    changed(Kind::Sqlite, End::Drain).await;
}
