//! What the log streams say when `log.per_event` is set: every event once, whoever was killed or drained.

use std::collections::BTreeSet;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;

use crate::faults::ledger::{Entry, Ledger};

/// An entry an event, and none trimmed.
pub const PER_EVENT: &str = "log: {per_event: true, max_len: 100000000}\n";

/// Asserts that both log streams together tell every event once. Answers how many good ones a process had committed
/// but not told when it ended, so that the next one told their number.
pub async fn told_once(ledger: &Ledger, redis: &mut MultiplexedConnection, entries: &[Entry]) -> u64 {
    let (bad, good): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|entry| ledger.is_bad(entry.n));
    let ids = |of: &[&Entry]| of.iter().map(|entry| entry.id.clone()).collect::<BTreeSet<String>>();

    let (applied, caught_up) = told(redis, "stream:success_rdbms").await;
    assert!(applied.is_subset(&ids(&good)), "told as applied, but no good event");
    assert_eq!(applied.len() as u64 + caught_up, good.len() as u64, "told as applied, {caught_up} by their number");
    let (dead, uncounted) = told(redis, "stream:failed_rdbms").await;
    assert!(dead == ids(&bad) && uncounted == 0, "{} dead letters told, {} bad events", dead.len(), bad.len());
    caught_up
}

/// The ids a log stream names, each once, and the number of the events that it does not name.
async fn told(redis: &mut MultiplexedConnection, stream: &str) -> (BTreeSet<String>, u64) {
    let (mut ids, mut unnamed) = (BTreeSet::new(), 0);
    let mut after = "-".to_owned();
    loop {
        let page: StreamRangeReply = redis.xrange_count(stream, &after, "+", 10_000).await.expect("a log stream");
        let Some(last) = page.ids.last() else { return (ids, unnamed) };
        after = format!("({}", last.id);
        for entry in &page.ids {
            match entry.get::<String>("id") {
                Some(id) => assert!(ids.insert(id.clone()), "{stream} tells {id} twice"),
                None => unnamed += entry.get::<u64>("events").expect("a number of events"),
            }
        }
    }
}
