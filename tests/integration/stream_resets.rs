//! Redis loses entries: trimmed before they were read, or gone with the end of the stream. It is noticed, alarmed and
//! counted, and nothing that comes after is passed over.

use std::path::Path;
use std::time::Duration;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::process::Launch;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;
use crate::workload::{done, redis_yaml};

const STREAM: &str = "stream:thing";
const LOST: &str = "metrics:thing:redis:lost";
const DEADLINE: Duration = Duration::from_secs(60);

async fn prepare() -> (RedisServer, TestDatabase) {
    let database = TestDatabase::new(Kind::Sqlite).await;
    database.execute("CREATE TABLE thing (n bigint)").await;
    (RedisServer::start(), database)
}

fn start(redis: &RedisServer, database: &TestDatabase, more: &str) -> PipelineProcess {
    let impatient = "supervisor: {max_restarts: 1000, restart_delay_max_ms: 200, pause_retry_sec: 0.2}\n";
    start_with(redis, database, &format!("{more}{impatient}"))
}

fn start_with(redis: &RedisServer, database: &TestDatabase, more: &str) -> PipelineProcess {
    let stream = "streams:\n  thing:\n    document: fields\n    columns: {n: n}\n    block_ms: 100\n";
    PipelineProcess::start(&(redis_yaml(redis.port()) + &database.settings_yaml() + stream + more), &[])
}

/// Adds `count` entries and trims the stream to `kept` in one step, so that no reader sees the ones between.
async fn add_and_trim(connection: &mut MultiplexedConnection, count: u64, kept: usize) {
    let mut pipe = redis::pipe();
    pipe.atomic();
    for n in 0..count {
        pipe.xadd(STREAM, "*", &[("n", n)]).ignore();
    }
    pipe.xtrim(STREAM, redis::streams::StreamMaxlen::Equals(kept)).ignore();
    pipe.query_async::<()>(connection).await.expect("redis takes the entries");
}

async fn lost(connection: &mut MultiplexedConnection) -> u64 {
    connection.get::<_, Option<u64>>(LOST).await.expect("a counter").unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_trimmed_before_they_were_read_are_counted() {
    let (redis, database) = prepare().await;
    let mut connection = redis.connection().await;
    let pipeline = start(&redis, &database, "");
    let mut rounds = 0;
    // What is lost before the pipeline has seen the stream's end once has nothing to be compared with.
    eventually(DEADLINE, "a first loss to be noticed", async || {
        rounds += 1;
        add_and_trim(&mut connection, 10, 4).await;
        done(&database, STREAM, rounds * 4, DEADLINE).await;
        if lost(&mut connection).await > 0 { Ok(()) } else { Err(format!("nothing after {rounds} rounds")) }
    })
    .await;
    let first = lost(&mut connection).await;
    add_and_trim(&mut connection, 100, 40).await;
    done(&database, STREAM, rounds * 4 + 40, DEADLINE).await;
    // All of it, though the newest entries themselves are gone.
    add_and_trim(&mut connection, 7, 0).await;
    // Every other loss is of sixes: this remainder shows that the sevens were counted, and so all before them.
    eventually(DEADLINE, "the losses to be counted", async || match lost(&mut connection).await {
        all if all % 6 == 1 => Ok(()),
        other => Err(format!("{other} counted")),
    })
    .await;
    let all = lost(&mut connection).await;
    assert!((first + 67..=rounds * 6 + 67).contains(&all), "{all} counted, {first} at first, {rounds} rounds");
    add_and_trim(&mut connection, 5, 1000).await;
    done(&database, STREAM, rounds * 4 + 45, DEADLINE).await;
    assert_eq!(lost(&mut connection).await, all);
    assert!(pipeline.stderr().contains("deleted from the stream before they were read"), "{}", pipeline.stderr());
    pipeline.terminate();
    assert_eq!(pipeline.wait_exit(DEADLINE).await, Some(0), "{}", pipeline.stderr());
    assert_eq!(database.count("thing").await as u64, rounds * 4 + 45);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_deleted_and_made_anew_is_followed() {
    let (redis, database) = prepare().await;
    let mut connection = redis.connection().await;
    let pipeline = start(&redis, &database, "");
    let mut expected = 0;
    for round in 1..=3 {
        add_and_trim(&mut connection, 10, 1000).await;
        expected += 10;
        done(&database, STREAM, expected, DEADLINE).await;
        let resets = || pipeline.stderr().matches("its end was lost, or it was deleted").count();
        let before = resets();
        let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
        if round == 3 {
            // Made anew with ids far below those that were read.
            eventually(DEADLINE, "the reset to be noticed", async || {
                if resets() > before { Ok(()) } else { Err(pipeline.stderr()) }
            })
            .await;
        }
    }
    for n in 1..=5u64 {
        let _: String = connection.xadd(STREAM, format!("{n}-1"), &[("n", n)]).await.unwrap();
    }
    done(&database, STREAM, expected + 5, DEADLINE).await;
    pipeline.terminate();
    assert_eq!(pipeline.wait_exit(DEADLINE).await, Some(0), "{}", pipeline.stderr());
    assert_eq!(database.count("thing").await as u64, expected + 5);
}

/// Puts an older state of the server back, as a crash or a fail-over to a replica that lags behind does.
struct OlderState {
    copy: tempfile::TempDir,
}

impl OlderState {
    fn of(redis: &RedisServer) -> Self {
        let copy = crate::support::folder::temporary("older-redis");
        copy_folder(redis.folder(), copy.path());
        OlderState { copy }
    }

    fn restore(&self, redis: &RedisServer) {
        redis.kill();
        Launch::new("rm").arg("-rf").arg(redis.folder().join("appendonlydir").to_str().unwrap()).run_ok(DEADLINE);
        copy_folder(self.copy.path(), redis.folder());
        redis.restart();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    let source = format!("{}/appendonlydir", from.display());
    Launch::new("cp").arg("-a").arg(&source).arg(to.to_str().unwrap()).run_ok(DEADLINE);
}

async fn lose_the_end(more: &str) -> (RedisServer, TestDatabase, PipelineProcess, u64) {
    let database = TestDatabase::new(Kind::Sqlite).await;
    database.execute("CREATE TABLE thing (n bigint)").await;
    let redis = RedisServer::builder().args(["--appendfsync", "always"]).start();
    let mut connection = redis.connection().await;
    let pipeline = start(&redis, &database, more);
    add_and_trim(&mut connection, 10, 1000).await;
    done(&database, STREAM, 10, DEADLINE).await;
    let kept: redis::streams::StreamInfoStreamReply = connection.xinfo_stream(STREAM).await.unwrap();
    let kept_ms: u64 = kept.last_generated_id.split('-').next().unwrap().parse().unwrap();
    let older = OlderState::of(&redis);
    // A gap between the ids that are kept and those that are lost, for entries to come into.
    for n in 0..10u64 {
        let _: String = connection.xadd(STREAM, format!("{}-0", kept_ms + 1_000_000 + n), &[("n", n)]).await.unwrap();
    }
    done(&database, STREAM, 20, DEADLINE).await;
    older.restore(&redis);
    (redis, database, pipeline, kept_ms)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_end_was_lost_new_entries_are_read_although_their_ids_are_below_the_checkpoint() {
    let (redis, database, pipeline, kept_ms) = lose_the_end("").await;
    eventually(DEADLINE, "the loss to be noticed", async || {
        let log = pipeline.stderr();
        if log.contains("its end was lost") && log.contains("reading stream") { Ok(()) } else { Err(log) }
    })
    .await;
    let mut connection = redis.connection().await;
    for n in 0..5u64 {
        let _: String = connection.xadd(STREAM, format!("{}-0", kept_ms + 1_000 + n), &[("n", 100 + n)]).await.unwrap();
    }
    done(&database, STREAM, 25, DEADLINE).await;
    pipeline.terminate();
    assert_eq!(pipeline.wait_exit(DEADLINE).await, Some(0), "{}", pipeline.stderr());
    assert_eq!(database.count("thing").await, 25);
    assert_eq!(database.number::<u64>("SELECT count(*) FROM thing WHERE n >= 100").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_on_reset_pause_nothing_moves_until_a_person_decides() {
    let (redis, database, pipeline, kept_ms) = lose_the_end("    on_reset: pause\n").await;
    eventually(DEADLINE, "the stream to pause", async || {
        let log = pipeline.stderr();
        if log.matches("stream paused until this is mended").count() >= 3 { Ok(()) } else { Err(log) }
    })
    .await;
    let mut connection = redis.connection().await;
    let _: String = connection.xadd(STREAM, format!("{}-0", kept_ms + 5_000), &[("n", 1)]).await.unwrap();
    assert_eq!(database.count("thing").await, 20);
    pipeline.terminate();
    assert_eq!(pipeline.wait_exit(DEADLINE).await, Some(0), "{}", pipeline.stderr());
    // The decision.
    let pipeline = start(&redis, &database, "    on_reset: follow\n");
    eventually(DEADLINE, "the new position", async || {
        if pipeline.stderr().contains("reading stream") { Ok(()) } else { Err(pipeline.stderr()) }
    })
    .await;
    let _: String = connection.xadd(STREAM, format!("{}-0", kept_ms + 6_000), &[("n", 2)]).await.unwrap();
    done(&database, STREAM, 21, DEADLINE).await;
    pipeline.terminate();
    assert_eq!(pipeline.wait_exit(DEADLINE).await, Some(0), "{}", pipeline.stderr());
}

/// It knows the stream only as it was when it ended; another process has gone on from there.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_late_after_a_reset_takes_back_nothing_that_another_has_applied() {
    async fn add(connection: &mut MultiplexedConnection, ids: std::ops::RangeInclusive<u64>) {
        for id in ids {
            let _: String = connection.xadd(STREAM, format!("{id}-0"), &[("n", id)]).await.unwrap();
        }
    }
    let (redis, database) = prepare().await;
    let mut connection = redis.connection().await;
    let late = start_with(&redis, &database, "supervisor: {restart_delay_ms: 8000}\n");
    add(&mut connection, 1..=20).await;
    done(&database, STREAM, 20, DEADLINE).await;
    let mut lose = redis::pipe();
    lose.atomic();
    lose.xdel(STREAM, &(11..=20).map(|id| format!("{id}-0")).collect::<Vec<_>>()).ignore();
    lose.cmd("XSETID").arg(STREAM).arg("10-0").ignore();
    lose.query_async::<()>(&mut connection).await.unwrap();
    eventually(DEADLINE, "the loss to be noticed", async || {
        if late.stderr().contains("its end was lost") { Ok(()) } else { Err(late.stderr()) }
    })
    .await;
    let other = start(&redis, &database, "");
    eventually(DEADLINE, "the other to read", async || {
        if other.stderr().contains("reading stream") { Ok(()) } else { Err(other.stderr()) }
    })
    .await;
    add(&mut connection, 21..=30).await;
    done(&database, STREAM, 30, DEADLINE).await;
    eventually(DEADLINE, "the late one to be back", async || {
        if late.stderr().matches("reading stream").count() == 2 { Ok(()) } else { Err(late.stderr()) }
    })
    .await;
    add(&mut connection, 31..=35).await;
    done(&database, STREAM, 35, DEADLINE).await;
    late.kill();
    crate::thing::drained(other).await;
    assert_eq!(database.count("thing").await, 35);
    assert_eq!(database.number::<u64>("SELECT count(DISTINCT n) FROM thing").await, 35);
}
