//! Entries that are trimmed before they were read.

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use super::super::report::{Run, sized};
use super::{DEADLINE, FAULT, STREAM, prepare, start};
use crate::support::database::Kind;
use crate::support::wait::eventually;
use crate::thing::drained;
use crate::workload::{counted, done};

const LOST: &str = "metrics:thing:redis:lost";

/// What takes entries away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trim {
    /// `XTRIM`, after they were added.
    Afterwards,
    /// `MAXLEN` of each `XADD`.
    Always,
}

/// Adds `count` entries and leaves `kept` of the stream, in one step, so that no reader sees the ones between.
async fn add_and_trim(connection: &mut MultiplexedConnection, trim: Trim, count: u64, kept: usize) {
    let mut pipe = redis::pipe();
    pipe.atomic();
    let length = redis::streams::StreamMaxlen::Equals(kept);
    for n in 0..count {
        match trim {
            Trim::Afterwards => pipe.xadd(STREAM, "*", &[("n", n)]).ignore(),
            Trim::Always => pipe.xadd_maxlen(STREAM, length, "*", &[("n", n)]).ignore(),
        };
    }
    if trim == Trim::Afterwards {
        pipe.xtrim(STREAM, length).ignore();
    }
    pipe.query_async::<()>(connection).await.expect("redis takes the entries");
}

async fn lost(connection: &mut MultiplexedConnection) -> u64 {
    connection.get::<_, Option<u64>>(LOST).await.expect("a counter").unwrap_or(0)
}

async fn trimmed(trim: Trim, run: Run) {
    let (redis, database) = prepare().await;
    let mut connection = redis.connection().await;
    let pipeline = start(&redis, &database, "");
    let mut rounds = 0;
    // What is lost before the pipeline has seen the stream's end once has nothing to be compared with.
    eventually(DEADLINE, "a first loss to be noticed", async || {
        rounds += 1;
        add_and_trim(&mut connection, trim, 10, 4).await;
        done(&database, STREAM, rounds * 4, DEADLINE).await;
        if lost(&mut connection).await > 0 { Ok(()) } else { Err(format!("nothing after {rounds} rounds")) }
    })
    .await;
    let first = lost(&mut connection).await;
    let times = sized(1, 10);
    let mut expected = rounds * 4;
    for _ in 0..times {
        add_and_trim(&mut connection, trim, 1_000, 400).await;
        expected += 400;
        done(&database, STREAM, expected, DEADLINE).await;
    }
    // All of it, though the newest entries themselves are gone.
    add_and_trim(&mut connection, trim, 7, 0).await;
    // Every other loss is of sixes: this remainder shows that the sevens were counted, and so all before them.
    eventually(DEADLINE, "the losses to be counted", async || match lost(&mut connection).await {
        all if all % 6 == 1 => Ok(()),
        other => Err(format!("{other} counted")),
    })
    .await;
    let all = lost(&mut connection).await;
    let since = times * 600 + 7;
    assert!((first + since..=rounds * 6 + since).contains(&all), "{all} counted, {first} at first, {rounds} rounds");
    // Nothing is lost any more, and nothing more is counted.
    add_and_trim(&mut connection, trim, 5, 100_000).await;
    expected += 5;
    done(&database, STREAM, expected, DEADLINE).await;
    assert_eq!(lost(&mut connection).await, all);
    counted(&mut connection, "thing", [expected, 0], DEADLINE).await;
    let log = pipeline.stderr();
    let alarms = log.matches("deleted from the stream before they were read").count();
    assert!(alarms > 0, "{log}");
    drained(pipeline).await;
    assert_eq!(lost(&mut connection).await, all);
    assert_eq!(database.count("thing").await as u64, expected);
    run.held(rounds + times + 1, expected, format!("{all} entries lost and counted, {alarms} alarms"));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_trimmed_before_they_were_read_are_counted() {
    trimmed(Trim::Afterwards, Run::of(FAULT, "XTRIM before they were read", Kind::Sqlite)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_maxlen_pushed_out_before_they_were_read_are_counted() {
    trimmed(Trim::Always, Run::of(FAULT, "XADD with MAXLEN before they were read", Kind::Sqlite)).await;
}
