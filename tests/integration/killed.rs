//! SIGKILL at random moments leaves every event in the table exactly once, and the counters equal to the rows.

use std::time::Duration;

use redis::AsyncCommands;

use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;
use crate::workload::{Random, counted, done, redis_yaml};

const EVENTS: u64 = 100_000;
const BAD_EVERY: u64 = 1_000;
const KILLS: u64 = 10;
const STREAM: &str = "stream:user_action";
const DEADLINE: Duration = Duration::from_secs(180);

/// The table has no key at all: only the checkpoint can keep an event from being there twice.
async fn check(kind: Kind) {
    let redis = RedisServer::start();
    let database = TestDatabase::new(kind).await;
    database.execute("CREATE TABLE user_actions (user_id varchar(50), action varchar(50), ts timestamp NULL)").await;
    let streams = "streams:\n  user_action:\n    document: inline\n    batch_size: 250\n";
    let config = redis_yaml(redis.port())
        + &database.settings_yaml()
        + streams
        + "log:\n  per_event: true\n  max_len: 10000000\n";
    let mut random = Random::new(7);
    let mut connection = redis.connection().await;
    let producer = tokio::spawn(async move {
        for first in (0..EVENTS).step_by(500) {
            let mut pipe = redis::pipe();
            for number in first..first + 500 {
                let document = match number % BAD_EVERY {
                    0 => format!("{{\"user_id\": \"{number}\", \"timestamp\": \"never\"}}"),
                    _ => format!(
                        "{{\"user_id\": \"{number}\", \"action\": \"a\", \"timestamp\": {}}}",
                        1_700_000_000 + number
                    ),
                };
                pipe.xadd(STREAM, "*", &[("payload", document)]).ignore();
            }
            pipe.query_async::<()>(&mut connection).await.expect("redis takes the events");
        }
        connection
    });
    for kill in 0..KILLS {
        let pipeline = PipelineProcess::start(&config, &["run"]);
        // Not before the process has got somewhere, or later kills would hit nothing but starts.
        let least = (kill + 1) * EVENTS / (KILLS + 5);
        applied_at_least(&database, least).await;
        tokio::time::sleep(Duration::from_millis(random.below(60))).await;
        pipeline.kill();
    }
    let mut connection = producer.await.expect("all events are produced");
    let pipeline = PipelineProcess::start(&config, &["run"]);
    done(&database, STREAM, EVENTS, DEADLINE).await;
    let bad = EVENTS / BAD_EVERY;
    counted(&mut connection, "user_action", [EVENTS - bad, bad], DEADLINE).await;
    pipeline.terminate();
    assert_eq!(pipeline.wait_exit(DEADLINE).await, Some(0), "{}", pipeline.stderr());

    assert_eq!(database.count("user_actions").await as u64, EVENTS - bad);
    let distinct = "SELECT count(DISTINCT user_id) FROM user_actions";
    assert_eq!(database.number::<u64>(distinct).await, EVENTS - bad);
    assert_eq!(database.count("write_behind_dead_letter").await as u64, bad);
    let failed: u64 = connection.xlen("stream:failed_rdbms").await.expect("a log stream");
    assert_eq!(failed, bad, "every dead letter is announced once");
    assert_eq!(logged_successes(&mut connection).await, EVENTS - bad, "every applied event is logged once");
}

async fn applied_at_least(database: &TestDatabase, least: u64) {
    eventually(DEADLINE, &format!("{least} events applied"), async || {
        let rows = database.try_rows("SELECT count(*) FROM user_actions").await?;
        let count: u64 = rows[0][0].as_deref().unwrap_or("0").parse().map_err(|error| format!("{error}"))?;
        if count >= least { Ok(()) } else { Err(format!("{count} applied")) }
    })
    .await;
}

/// Events that the log stream speaks of: one by one, and those that were made up for after a kill.
async fn logged_successes(connection: &mut redis::aio::MultiplexedConnection) -> u64 {
    let mut events = 0;
    let mut after = "-".to_owned();
    loop {
        let page: redis::streams::StreamRangeReply =
            connection.xrange_count("stream:success_rdbms", &after, "+", 10_000).await.expect("a log stream");
        let Some(last) = page.ids.last() else { return events };
        after = format!("({}", last.id);
        events += page.ids.iter().map(|entry| entry.get::<u64>("events").unwrap_or(1)).sum::<u64>();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    check(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    check(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb() {
    check(Kind::MariaDb).await;
}
