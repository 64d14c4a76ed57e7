//! Cuts, stalls, delays and torn packets between the pipeline and Redis.

use std::time::Duration;

use tokio::time::sleep;

use super::super::ledger::{HASTY, IMPATIENT};
use super::super::report::{Run, sized};
use super::{Before, FAULT, Line, SHORT_REDIS_LIMITS, SMALL_BATCHES};
use crate::support::database::Kind;
use crate::support::proxy::Harm;
use crate::workload::Random;

/// Longer than the limits of the settings together.
const STALL: Duration = Duration::from_millis(1_500);

async fn line(supervisor: &str) -> (Line, crate::support::pipeline::PipelineProcess) {
    let line = Line::new(Kind::Sqlite, Before::Redis).await;
    let config = line.config(Before::Redis, [SHORT_REDIS_LIMITS, HASTY, supervisor, SMALL_BATCHES]);
    let pipeline = line.start(&config).await;
    (line, pipeline)
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_and_torn_packets_of_redis_are_survived() {
    let run = Run::of(FAULT, "Redis: lost answers, half requests and half answers, then a cut", Kind::Sqlite);
    let (mut line, pipeline) = line(IMPATIENT).await;
    let of_each = sized(5, 34);
    for (nth, harm) in (1..).zip([Harm::LoseAnswer, Harm::HalfRequest, Harm::HalfAnswer]) {
        line.proxy.harm_at("", 12, harm);
        line.work_until_harmed(nth * of_each).await;
    }
    line.proxy.spare();
    let (times, log) = (line.proxy.harmed(), pipeline.stderr());
    let events = line.finish(pipeline).await;
    run.held(times, events, format!("{} restarts of the stream", log.matches("stream failed").count()));
}

#[tokio::test(flavor = "multi_thread")]
async fn stalls_of_redis_are_survived() {
    let run = Run::of(FAULT, "Redis: all connections stall longer than every limit, then go on", Kind::Sqlite);
    let (mut line, pipeline) = line(IMPATIENT).await;
    let mut random = Random::new(12);
    let stalls = sized(2, 8);
    for _ in 0..stalls {
        line.produce(2_000).await;
        sleep(Duration::from_millis(random.below(150))).await;
        line.proxy.stall();
        sleep(STALL).await;
        line.proxy.go_on();
        line.all_done().await;
    }
    let restarts = pipeline.stderr().matches("stream failed").count() as u64;
    assert!(restarts >= stalls, "{restarts} restarts after {stalls} stalls: {}", pipeline.stderr());
    let events = line.finish(pipeline).await;
    run.held(stalls, events, format!("{restarts} restarts of the stream"));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_redis_that_are_swallowed_are_given_up() {
    let run = Run::of(FAULT, "Redis: connections swallow everything for ever", Kind::Sqlite);
    let (mut line, pipeline) = line(IMPATIENT).await;
    let times = sized(3, 10);
    // Only what is connected can be swallowed, and the reader connects after it has said that it reads.
    line.produce(100).await;
    line.all_done().await;
    for _ in 0..times {
        line.proxy.swallow();
        line.produce(1_000).await;
        line.all_done().await;
    }
    let restarts = pipeline.stderr().matches("stream failed").count() as u64;
    assert!(restarts >= times, "{restarts} restarts after {times} swallows: {}", pipeline.stderr());
    let events = line.finish(pipeline).await;
    run.held(times, events, format!("{restarts} restarts of the stream"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_way_to_redis_disturbs_nothing() {
    let run = Run::of(FAULT, "Redis: each packet is late", Kind::Sqlite);
    let mut line = Line::new(Kind::Sqlite, Before::Redis).await;
    let pipeline = line.start(&line.config(Before::Redis, ["", HASTY, IMPATIENT, SMALL_BATCHES])).await;
    line.proxy.delay(Duration::from_millis(5));
    line.work_until_harmed(sized(100, 500)).await;
    let (times, log) = (line.proxy.harmed(), pipeline.stderr());
    let events = line.finish(pipeline).await;
    assert!(!log.contains("stream failed"), "late is not lost: {log}");
    run.held(times, events, "no try was repeated");
}
