//! The model where Redis loses entries: what the stream holds in the end is in the table, once and in order; besides it
//! there may only be what the stream held once, applied before it was lost.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamInfoStreamReply;

use super::super::ledger::{Entry, Ledger, STREAM};
use crate::support::database::TestDatabase;
use crate::support::pipeline::PipelineProcess;
use crate::support::wait::eventually;
use crate::workload::counted;

/// What was found.
pub struct Found {
    /// Rows and dead letters.
    pub events: u64,
    /// Those of them that the stream has lost.
    pub lost: u64,
}

/// Waits until the pipeline stands at the stream's end with all its lanes, and asserts that rows, dead letters and
/// counters are the model. The producer must be still, and have used no number from `produced` on.
pub async fn check(
    ledger: &Ledger,
    database: &TestDatabase,
    redis: &mut MultiplexedConnection,
    produced: u64,
    deadline: Duration,
) -> Found {
    caught_up(database, redis, deadline).await;
    let mut entries = ledger.entries(redis).await;
    let held: HashSet<u64> = entries.iter().map(|entry| entry.n).collect();
    assert_eq!(held.len(), entries.len(), "numbers in the stream are unique");
    let (mut known, mut lost) = (held, 0);
    for Entry { id, n } in applied(ledger, database).await {
        assert!(n < produced, "event {n} was never produced");
        if known.insert(n) {
            entries.push(Entry { id, n });
            lost += 1;
        }
    }
    // Numbers grow with the stream, also where its end was lost in between.
    entries.sort_by_key(|entry| entry.n);
    ledger.check_rows(database, &entries).await;
    let bad = entries.iter().filter(|entry| ledger.is_bad(entry.n)).count() as u64;
    let events = entries.len() as u64;
    counted(redis, "ledger", [events - bad, bad], deadline).await;
    Found { events, lost }
}

/// The events of all rows and dead letters.
async fn applied(ledger: &Ledger, database: &TestDatabase) -> Vec<Entry> {
    let mut applied = Vec::new();
    for mut row in database.rows("SELECT n FROM ledger").await {
        let n = row.remove(0).and_then(|n| n.parse().ok()).expect("a number");
        assert!(!ledger.is_bad(n), "event {n} is bad and has a row");
        applied.push(Entry { id: String::new(), n });
    }
    for row in database.rows("SELECT entry_id, document FROM write_behind_dead_letter").await {
        let [Some(id), Some(document)] = &row[..] else { panic!("a dead letter without id or document: {row:?}") };
        let document: serde_json::Value = serde_json::from_str(document).expect("JSON");
        let n = document["n"].as_u64().expect("a number");
        assert!(ledger.is_bad(n), "event {n} is good and has a dead letter");
        applied.push(Entry { id: id.clone(), n });
    }
    applied
}

/// Waits until all lanes stand at the newest id of a stream to which nothing is added.
pub async fn caught_up(database: &TestDatabase, redis: &mut MultiplexedConnection, deadline: Duration) {
    let newest = newest(redis).await;
    eventually(deadline, &format!("all lanes to stand at {newest}"), async || {
        let rows = database.try_rows("SELECT last_id FROM write_behind_checkpoint").await?;
        let lanes: BTreeSet<String> = rows.into_iter().flatten().flatten().collect();
        if lanes.iter().eq([&newest]) { Ok(()) } else { Err(format!("{lanes:?}")) }
    })
    .await;
}

/// The newest id that the stream has given out; `0-0` for one that is gone.
pub async fn newest(redis: &mut MultiplexedConnection) -> String {
    let info: redis::RedisResult<StreamInfoStreamReply> = redis.xinfo_stream(STREAM).await;
    match info {
        Ok(info) => info.last_generated_id,
        Err(error) => {
            assert!(error.to_string().contains("no such key"), "{error}");
            "0-0".to_owned()
        }
    }
}

/// How often the pipeline has raised the alarm that the stream ends below the checkpoint.
pub fn alarms(pipeline: &PipelineProcess) -> u64 {
    let log = pipeline.stderr();
    let alarm = |line: &&str| line.contains("its end was lost, or it was deleted") && line.contains("\"checkpoint\"");
    log.lines().filter(alarm).count() as u64
}

/// Waits until the alarm has been raised so often.
pub async fn alarmed(pipeline: &PipelineProcess, times: u64, deadline: Duration) {
    eventually(deadline, &format!("{times} alarms"), async || match alarms(pipeline) {
        raised if raised >= times => Ok(()),
        raised => Err(format!("{raised} raised: {}", pipeline.stderr())),
    })
    .await;
}
