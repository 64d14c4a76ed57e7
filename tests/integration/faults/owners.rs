//! The chain holds whoever moves it: a process that was believed dead, two at once, other lanes in every run.

mod beginning;
pub mod checkpoint;
mod lanes;
mod stopped;
mod work;

use std::time::{Duration, Instant};

use self::work::Work;
use super::report::{Run, sized};
use crate::support::database::Kind;
use crate::support::pipeline::PipelineProcess;
use crate::thing::drained;

const FAULT: &str = "5 two owners";
const DEADLINE: Duration = Duration::from_secs(180);

/// Both work on the same streams all the time; perhaps one of them even with another idea of the number of lanes.
async fn two_at_once(kind: Kind, lanes: [u32; 2]) {
    let what = if lanes[0] == lanes[1] { "same number of lanes" } else { "different numbers of lanes" };
    let run = Run::of(FAULT, format!("two processes all the time, {what}"), kind);
    let (events, times) = sized((4_000, 3), (15_000, 20));
    let mut work = Work::new(kind, 21).await;
    let [first, second] = lanes.map(|lanes| work.start(lanes));
    let moved = |process: &PipelineProcess| process.stderr().matches("chain_moved").count() as u64;
    let end = Instant::now() + DEADLINE;
    while work.events() < 2 * events || moved(&first) + moved(&second) < times {
        assert!(Instant::now() < end, "the two processes do not meet");
        work.produce(500).await;
        // No faster than they work, or they would meet only in what is left when the producing is over.
        work.done_at_least(work.events().saturating_sub(4_000)).await;
    }
    work.done().await;
    let met = moved(&first) + moved(&second);
    drained(second).await;
    work.finish(first).await;
    run.held(met, work.events(), "times that one found that the other had been there");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_at_once_postgres() {
    two_at_once(Kind::Postgres, [2, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_at_once_mariadb() {
    two_at_once(Kind::MariaDb, [2, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_at_once_sqlite() {
    two_at_once(Kind::Sqlite, [2, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_disagree_about_lanes_postgres() {
    two_at_once(Kind::Postgres, [2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_disagree_about_lanes_mariadb() {
    two_at_once(Kind::MariaDb, [2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_disagree_about_lanes_sqlite() {
    two_at_once(Kind::Sqlite, [2, 3]).await;
}
