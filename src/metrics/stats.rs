//! What this process has written since it began: for progress bars and summaries. The truth since the beginning of
//! the stream is in the checkpoints.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

use crate::event::StreamId;
use crate::sink::checkpoint::Totals;

/// Shared statistics of all streams. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Stats(Arc<Mutex<BTreeMap<String, StreamStats>>>);

/// One stream since this process began.
#[derive(Clone, Debug)]
pub struct StreamStats {
    /// Events by outcome.
    pub totals: Totals,
    /// Transactions.
    pub transactions: u64,
    /// Milliseconds from `XADD` to commit, of each event applied. Redis's clock begins it and this host's ends it.
    pub lag_ms: Histogram<u64>,
}

impl Stats {
    /// Adds a committed transaction.
    pub fn committed(&self, entity: &str, totals: Totals, applied: &[StreamId], committed_ms: u64) {
        let mut streams = self.lock();
        let stream = streams.entry(entity.to_owned()).or_insert_with(StreamStats::new);
        stream.totals = stream.totals.plus(totals);
        stream.transactions += 1;
        for id in applied {
            stream.lag_ms.saturating_record(committed_ms.saturating_sub(id.ms));
        }
    }

    /// What has come of the stream of `entity`.
    pub fn stream(&self, entity: &str) -> StreamStats {
        self.lock().get(entity).cloned().unwrap_or_else(StreamStats::new)
    }

    /// Events of `entity` that are done, one way or another: cheap, for progress bars.
    pub fn done(&self, entity: &str) -> u64 {
        self.lock().get(entity).map_or(0, |stream| {
            let Totals { applied, dead_lettered, skipped } = stream.totals;
            applied + dead_lettered + skipped
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, StreamStats>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamStats {
    fn new() -> Self {
        // Two digits are what a person reads. An hour's bound is replaced by `auto` growth.
        const SIGNIFICANT_DIGITS: u8 = 2;
        let mut lag_ms =
            Histogram::new(SIGNIFICANT_DIGITS).unwrap_or_else(|_| unreachable!("0 to 5 digits are allowed"));
        lag_ms.auto(true);
        StreamStats { totals: Totals::default(), transactions: 0, lag_ms }
    }
}
