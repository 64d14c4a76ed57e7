//! Streams whose transactions are of known composition: the entries are there before the pipeline starts, it has one
//! lane, and a transaction takes exactly one read.

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;

use super::super::ledger::Ledger;

/// Most entries of the first read, whatever is asked for: nobody knows yet what an entry weighs.
const FIRST_READ: usize = 16;

/// For each batch after the first one, which holds only good events: at which places its bad events are.
pub struct Layout {
    /// Events of a batch.
    size: usize,
    bad_places: Vec<Vec<usize>>,
}

impl Layout {
    /// One bad event at each place, then two at each pair of places.
    pub fn every_place_and_pair(size: usize) -> Self {
        let pairs = (0..size).flat_map(|second| (0..second).map(move |first| vec![first, second]));
        Layout { size, bad_places: (0..size).map(|place| vec![place]).chain(pairs).collect() }
    }

    /// How many batches have a bad event.
    pub fn batches(&self) -> u64 {
        self.bad_places.len() as u64
    }

    /// Events of the first batch.
    fn first(&self) -> usize {
        self.size.min(FIRST_READ)
    }

    /// The good event that is first of all.
    pub fn first_event(ledger: &Ledger) -> u64 {
        good(ledger).next().expect("a good event")
    }

    /// Adds the events to the stream: all that are bad are refused by the database. Answers how many events there are.
    pub async fn produce(&self, ledger: &Ledger, redis: &mut MultiplexedConnection) -> u64 {
        let (mut good, mut refused) = (good(ledger), (0..).filter(|n| n % 2 == 1 && ledger.is_bad(*n)));
        let mut numbers: Vec<u64> = good.by_ref().take(self.first()).collect();
        for places in &self.bad_places {
            let mut next = |place| if places.contains(&place) { refused.next() } else { good.next() };
            numbers.extend((0..self.size).filter_map(&mut next));
        }
        for n in &numbers {
            ledger.produce(redis, *n..*n + 1).await;
        }
        numbers.len() as u64
    }

    /// Asserts that the batches were the ones that were meant, by what the pipeline says of each in its log stream.
    pub async fn was_kept(&self, redis: &mut MultiplexedConnection) {
        let batches: StreamRangeReply = redis.xrange_all("stream:success_rdbms").await.expect("a stream");
        let found = batches.ids.iter().map(|batch| batch.get::<usize>("events").expect("a number"));
        let expected = self.bad_places.iter().map(|bad| self.size - bad.len());
        let (found, expected): (Vec<_>, Vec<_>) =
            (found.collect(), std::iter::once(self.first()).chain(expected).collect());
        assert!(found == expected, "events applied of each batch: {found:?}, and not {expected:?}");
    }
}

fn good(ledger: &Ledger) -> impl Iterator<Item = u64> {
    let ledger = *ledger;
    (0..).filter(move |n| !ledger.is_bad(*n))
}
