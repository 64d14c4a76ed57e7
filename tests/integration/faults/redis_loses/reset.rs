//! The stream is deleted and made anew, or the server comes back with an older state.

use std::path::Path;

use redis::AsyncCommands;

use super::super::report::{Run, sized};
use super::{DEADLINE, FAULT, STREAM, add, prepare, start};
use crate::support::database::{Kind, TestDatabase};
use crate::support::folder;
use crate::support::pipeline::PipelineProcess;
use crate::support::process::Launch;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;
use crate::thing::{drained, reads};
use crate::workload::{counted, done};

async fn made_anew(command: &[&str], run: Run) {
    let (redis, database) = prepare().await;
    let mut connection = redis.connection().await;
    let pipeline = start(&redis, &database, "");
    let (mut expected, rounds) = (0, sized(3, 10));
    let resets = || pipeline.stderr().matches("its end was lost, or it was deleted").count();
    for round in 1..=rounds {
        add(&mut connection, 10).await;
        expected += 10;
        done(&database, STREAM, expected, DEADLINE).await;
        let before = resets();
        let () = redis::cmd(command[0]).arg(&command[1..]).query_async(&mut connection).await.expect("it is deleted");
        if round % 3 == 0 {
            // Made anew with ids far below those that were read.
            eventually(DEADLINE, "the reset to be noticed", async || {
                if resets() > before { Ok(()) } else { Err(pipeline.stderr()) }
            })
            .await;
            for n in 1..=5u64 {
                let _: String = connection.xadd(STREAM, format!("{n}-1"), &[("n", n)]).await.expect("an entry");
            }
            expected += 5;
            done(&database, STREAM, expected, DEADLINE).await;
        }
    }
    counted(&mut connection, "thing", [expected, 0], DEADLINE).await;
    drained(pipeline).await;
    assert_eq!(database.count("thing").await as u64, expected);
    run.held(rounds, expected, "followed from the new beginning");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_deleted_and_made_anew_is_followed() {
    made_anew(&["DEL", STREAM], Run::of(FAULT, "the stream is deleted and made anew", Kind::Sqlite)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_emptied_is_followed() {
    made_anew(&["FLUSHALL"], Run::of(FAULT, "FLUSHALL, counters and all", Kind::Sqlite)).await;
}

/// Puts an older state of the server back, as a crash or a fail-over to a replica that lags behind does.
struct OlderState {
    copy: tempfile::TempDir,
}

impl OlderState {
    fn of(redis: &RedisServer) -> Self {
        let copy = folder::temporary("older-redis");
        copy_folder(redis.folder(), copy.path());
        OlderState { copy }
    }

    fn restore(&self, redis: &RedisServer) {
        redis.kill();
        Launch::new("rm").arg("-rf").arg(redis.folder().join("appendonlydir")).run_ok(DEADLINE);
        copy_folder(self.copy.path(), redis.folder());
        redis.restart();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    Launch::new("cp").arg("-a").arg(from.join("appendonlydir")).arg(to).run_ok(DEADLINE);
}

/// 20 entries are applied, then the server loses the last 10 of them. Answers the time in the newest id it still has.
async fn lose_the_end(more: &str) -> (RedisServer, TestDatabase, PipelineProcess, u64) {
    let database = TestDatabase::new(Kind::Sqlite).await;
    database.execute("CREATE TABLE thing (n bigint)").await;
    let redis = RedisServer::builder().args(["--appendfsync", "always"]).start();
    let mut connection = redis.connection().await;
    let pipeline = start(&redis, &database, more);
    add(&mut connection, 10).await;
    done(&database, STREAM, 10, DEADLINE).await;
    let kept: redis::streams::StreamInfoStreamReply = connection.xinfo_stream(STREAM).await.expect("a stream");
    let kept_ms: u64 = kept.last_generated_id.split('-').next().and_then(|ms| ms.parse().ok()).expect("an id");
    let older = OlderState::of(&redis);
    // A gap between the ids that are kept and those that are lost, for entries to come into.
    for n in 0..10u64 {
        add_at(&redis, kept_ms + 1_000_000 + n, n).await;
    }
    done(&database, STREAM, 20, DEADLINE).await;
    older.restore(&redis);
    (redis, database, pipeline, kept_ms)
}

async fn add_at(redis: &RedisServer, ms: u64, n: u64) {
    let mut connection = redis.connection().await;
    let _: String = connection.xadd(STREAM, format!("{ms}-0"), &[("n", n)]).await.expect("an entry");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_end_was_lost_new_entries_are_read_although_their_ids_are_below_the_checkpoint() {
    let run = Run::of(FAULT, "the end is lost, new ids are below the checkpoint, on_reset: follow", Kind::Sqlite);
    let (redis, database, pipeline, kept_ms) = lose_the_end("").await;
    eventually(DEADLINE, "the loss to be noticed", async || {
        let log = pipeline.stderr();
        if log.contains("its end was lost") && log.contains("reading stream") { Ok(()) } else { Err(log) }
    })
    .await;
    for n in 0..5u64 {
        add_at(&redis, kept_ms + 1_000 + n, 100 + n).await;
    }
    done(&database, STREAM, 25, DEADLINE).await;
    counted(&mut redis.connection().await, "thing", [25, 0], DEADLINE).await;
    drained(pipeline).await;
    assert_eq!(database.count("thing").await, 25);
    assert_eq!(database.number::<u64>("SELECT count(*) FROM thing WHERE n >= 100").await, 5);
    run.held(1, 25, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_on_reset_pause_nothing_moves_until_a_person_decides() {
    let run = Run::of(FAULT, "the end is lost, on_reset: pause, then a person decides", Kind::Sqlite);
    let (redis, database, pipeline, kept_ms) = lose_the_end("    on_reset: pause\n").await;
    eventually(DEADLINE, "the stream to pause", async || {
        let log = pipeline.stderr();
        if log.matches("stream paused until this is mended").count() >= 3 { Ok(()) } else { Err(log) }
    })
    .await;
    add_at(&redis, kept_ms + 5_000, 1).await;
    assert_eq!(database.count("thing").await, 20);
    drained(pipeline).await;
    // The decision.
    let pipeline = start(&redis, &database, "    on_reset: follow\n");
    reads(&pipeline).await;
    add_at(&redis, kept_ms + 6_000, 2).await;
    done(&database, STREAM, 21, DEADLINE).await;
    drained(pipeline).await;
    assert_eq!(database.count("thing").await, 21);
    run.held(1, 21, "");
}
