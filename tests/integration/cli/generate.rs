//! `pipeline generate`: made-up events, their pace, and an honest summary.

use std::time::{Duration, Instant};

use super::{
    CONFIGURATION, FAILED, SOON, SUCCESS, UNAVAILABLE, assert_parts, config, config_to_nowhere, pipeline, succeeding,
};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;

async fn length(redis: &RedisServer, stream: &str) -> u64 {
    redis::cmd("XLEN").arg(stream).query_async(&mut redis.connection().await).await.unwrap()
}

#[tokio::test]
async fn as_many_as_wanted_into_any_entity() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let config = config(&redis, &database);
    let summary = succeeding(&config, &["generate", "--events", "1234"]).await;
    assert!(summary.starts_with("1234 events in ") && summary.ends_with(" per second, 0 failures\n"), "{summary}");
    assert_eq!(length(&redis, "stream:user_action").await, 1234);

    let clicks =
        config + "streams:\n  clicks:\n    stream_name: s\n    document: inline\n    columns: {who: user_id}\n";
    succeeding(&clicks, &["generate", "--entity", "clicks", "--events", "3"]).await;
    assert_eq!(length(&redis, "s").await, 3);
    let entries: Vec<(String, Vec<String>)> =
        redis::cmd("XRANGE").arg("s").arg("-").arg("+").query_async(&mut redis.connection().await).await.unwrap();
    assert!(entries[0].1.iter().any(|value| value.contains("\"user_id\":\"user-")), "{entries:?}");
    let unknown = pipeline(&clicks, &["generate"]).await;
    assert_eq!((unknown.code, unknown.stdout.as_str()), (CONFIGURATION, ""), "{unknown:?}");
    assert_parts(&unknown.stderr, &["`user_action`", "`clicks`"]);
}

#[tokio::test]
async fn a_rate_is_kept_and_an_interrupt_ends_with_the_summary() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let config = config(&redis, &database);
    let began = Instant::now();
    succeeding(&config, &["generate", "--events", "21", "--rate", "20"]).await;
    assert!(began.elapsed() >= Duration::from_millis(950), "{:?}", began.elapsed());

    for signal in ["INT", "TERM"] {
        let before = length(&redis, "stream:user_action").await;
        let process = PipelineProcess::start(&config, &["generate", "--rate", "5"]);
        eventually(SOON, "some events are there", async || {
            if length(&redis, "stream:user_action").await > before + 1 { Ok(()) } else { Err("none yet".to_owned()) }
        })
        .await;
        process.signal(signal);
        assert_eq!(process.wait_exit(SOON).await, SUCCESS, "{}", process.stderr());
        let written = length(&redis, "stream:user_action").await - before;
        assert!(process.stdout().starts_with(&format!("{written} events in ")), "{written}: {}", process.stdout());
    }
}

#[tokio::test]
async fn without_a_terminal_progress_is_lines() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let output = pipeline(&config(&redis, &database), &["generate", "--events", "51", "--rate", "20"]).await;
    assert_eq!(output.code, SUCCESS);
    assert_parts(&output.stderr, &[" of 51 events, ", " per second, 0 failed\n"]);
    assert!(!output.stderr.contains('\u{1b}') && output.stdout.lines().count() == 1, "{output:?}");
}

#[tokio::test]
async fn failures_are_counted_and_told() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let config =
        config(&redis, &database) + "producer:\n  durability: wait\n  wait_replicas: 1\n  wait_timeout_ms: 20\n";
    let output = pipeline(&config, &["generate", "--events", "2"]).await;
    assert_eq!(output.code, FAILED, "{output:?}");
    assert_parts(&output.stdout, &["0 events in ", "2 failures\n"]);
    assert_parts(&output.stderr, &["2 events failed; the first: ", "wanted 1 replicas within 20 ms"]);
    let output = pipeline(&config_to_nowhere(), &["generate"]).await;
    assert_eq!(output.code, UNAVAILABLE, "{output:?}");
}

#[tokio::test]
async fn a_redis_that_restarts_costs_only_the_events_of_that_time() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let process = PipelineProcess::start(&config(&redis, &database), &["generate", "--events", "120", "--rate", "40"]);
    eventually(SOON, "it has begun", async || {
        if length(&redis, "stream:user_action").await > 5 { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    redis.kill();
    tokio::time::sleep(Duration::from_millis(300)).await;
    redis.restart();
    assert_eq!(process.wait_exit(SOON).await, FAILED, "{}", process.stderr());
    let summary = process.stdout();
    let number = |after: &str| summary.split(after).nth(1).and_then(|rest| rest.split(' ').next()?.trim().parse().ok());
    let written: u64 = summary.split(' ').next().unwrap().parse().unwrap();
    let failed: u64 = number("per second, ").unwrap_or_else(|| panic!("{summary}"));
    assert!(written + failed == 120 && failed > 0 && written > 5, "{summary}");
}
