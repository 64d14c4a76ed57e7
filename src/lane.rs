//! Pure: which lane a key takes, and the chain `(after, upto]` that every batch is a link of.

use std::fmt;

use crate::event::{Entry, StreamId};
use crate::fields::Fields;

/// The lane of `key` among `lanes`. Checkpoints depend on it: it must never change.
pub fn lane_of(key: &[u8], lanes: u32) -> u32 {
    // FNV-1a, and the high half of a product instead of a remainder, which would use only the weak low bits.
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = key.iter().fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((u128::from(mixed) * u128::from(lanes)) >> 64) as u32
}

/// The lane of an entry: the value of its field `order_by` decides, and of one without it its own id, because it depends on
/// no other.
pub fn lane_of_entry(entry: &Entry, order_by: &str, lanes: u32) -> u32 {
    if lanes == 1 {
        return 0;
    }
    match entry.field(order_by) {
        Some(value) => lane_of(value, lanes),
        None => lane_of(entry.id.to_string().as_bytes(), lanes),
    }
}

/// The half-open interval `(after, upto]` of stream ids. A batch that carries it holds *all* entries of its lane in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The position that the lane must have reached before.
    pub after: StreamId,
    /// The position it has reached afterwards.
    pub upto: StreamId,
}

impl Span {
    /// Whether an entry of this id belongs to it.
    pub fn holds(self, id: StreamId) -> bool {
        self.after < id && id <= self.upto
    }

    /// The union with the span that follows at once; [`ChainGap`] if another one does.
    pub fn join(self, next: Span) -> Result<Span, ChainGap> {
        debug_assert!(self.after <= self.upto && next.after <= next.upto);
        if next.after == self.upto {
            Ok(Span { after: self.after, upto: next.upto })
        } else {
            Err(ChainGap { reached: self.upto, after: next.after })
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {}]", self.after, self.upto)
    }
}

/// A batch does not continue where its lane stands: a message was lost or repeated inside the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chain is broken: the lane stands at {reached}, the batch begins after {after}")]
pub struct ChainGap {
    /// Where the lane stands.
    pub reached: StreamId,
    /// Where the batch begins.
    pub after: StreamId,
}

/// The entries of one lane out of one read.
#[derive(Debug, PartialEq, Eq)]
pub struct LanePart {
    /// Number of the lane.
    pub lane: u32,
    /// The link of the lane's chain that the entries fill.
    pub span: Span,
    /// All entries of the lane in the span, in stream order.
    pub entries: Vec<Entry>,
}

/// Splits what is read from a stream into lanes and knows how far each lane has been handed out.
#[derive(Debug)]
pub struct LaneSplitter {
    order_by: String,
    tails: Vec<StreamId>,
    scanned: StreamId,
}

impl LaneSplitter {
    /// Starts where the checkpoints stand: one position a lane. Entries go to lanes by [`lane_of_entry`].
    pub fn new(order_by: impl Into<String>, positions: Vec<StreamId>) -> Self {
        debug_assert!(!positions.is_empty());
        let scanned = positions.iter().copied().min().unwrap_or_default();
        LaneSplitter { order_by: order_by.into(), tails: positions, scanned }
    }

    /// Everything up to here has been read: the next read begins after it.
    pub fn scanned(&self) -> StreamId {
        self.scanned
    }

    /// The furthest position of any lane.
    pub fn furthest(&self) -> StreamId {
        self.tails.iter().copied().max().unwrap_or_default()
    }

    /// Hands out the entries of one read, at most one part a lane. Entries that a lane has applied already
    /// (it was ahead of the others at the start) are left out.
    pub fn split(&mut self, entries: Vec<Entry>) -> Vec<LanePart> {
        let Some(last) = entries.last().map(|entry| entry.id) else { return Vec::new() };
        debug_assert!(
            entries.first().is_some_and(|first| first.id > self.scanned),
            "the stream was read from elsewhere"
        );
        debug_assert!(entries.windows(2).all(|pair| pair[0].id < pair[1].id), "entries out of order");
        let mut by_lane: Vec<Vec<Entry>> = self.tails.iter().map(|_| Vec::new()).collect();
        let lanes = self.tails.len() as u32;
        for entry in entries {
            let lane = lane_of_entry(&entry, &self.order_by, lanes) as usize;
            if entry.id > self.tails[lane] {
                by_lane[lane].push(entry);
            }
        }
        if by_lane.len() > 1 {
            // Else a lane that stands still would hold what the others are done with.
            for entries in &mut by_lane {
                Fields::gather(&mut entries.iter_mut().map(|entry| &mut entry.fields).collect::<Vec<_>>());
            }
        }
        self.scanned = last;
        let parts = by_lane.into_iter().enumerate().filter(|(_, entries)| !entries.is_empty());
        parts.map(|(lane, entries)| part(&mut self.tails[lane], lane, last, entries)).collect()
    }

    /// The stream holds nothing up to `id` that has not been handed out: move the scan there.
    pub fn skip_to(&mut self, id: StreamId) {
        self.scanned = self.scanned.max(id);
    }

    /// Empty parts that move the lanes without entries on to where the stream has been scanned.
    pub fn idle(&mut self) -> Vec<LanePart> {
        let scanned = self.scanned;
        let behind = self.tails.iter_mut().enumerate().filter(|(_, tail)| **tail < scanned);
        behind.map(|(lane, tail)| part(tail, lane, scanned, Vec::new())).collect()
    }
}

fn part(tail: &mut StreamId, lane: usize, upto: StreamId, entries: Vec<Entry>) -> LanePart {
    let span = Span { after: *tail, upto };
    *tail = upto;
    debug_assert!(span.after < span.upto, "an empty span");
    debug_assert!(entries.iter().all(|entry| span.holds(entry.id)), "an entry outside of its span");
    LanePart { lane: lane as u32, span, entries }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    fn entry(ms: u64, key: &str) -> Entry {
        Entry { id: id(ms), fields: [("key", key)].into_iter().collect() }
    }

    /// Checkpoints that exist somewhere were made with these lanes.
    #[test]
    fn the_lane_of_a_key_never_changes() {
        let keys = ["", "user_action:1", "user_action:2", "user_action:3", "\u{e9}"];
        let lanes: Vec<u32> = keys.iter().map(|key| lane_of(key.as_bytes(), 8)).collect();
        assert_eq!(lanes, [4, 6, 0, 0, 2]);
    }

    #[test]
    fn keys_spread_over_all_lanes() {
        for lanes in [1, 2, 3, 7, 64] {
            let mut counts = vec![0u32; lanes as usize];
            for n in 0..lanes * 1000 {
                counts[lane_of(format!("user_action:{n}").as_bytes(), lanes) as usize] += 1;
            }
            assert!(counts.iter().all(|count| (800..1200).contains(count)), "{lanes} lanes: {counts:?}");
        }
    }

    #[test]
    fn only_the_next_link_joins() {
        let span = |after, upto| Span { after: id(after), upto: id(upto) };
        assert_eq!(span(1, 5).join(span(5, 9)), Ok(span(1, 9)));
        assert_eq!(span(1, 5).join(span(5, 5)), Ok(span(1, 5)));
        for wrong in [span(4, 9), span(6, 9), span(1, 5)] {
            assert!(span(1, 5).join(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_lane_that_was_ahead_gets_nothing_twice() {
        let key = |lane| (0..).map(|n| n.to_string()).find(|k| lane_of(k.as_bytes(), 2) == lane).unwrap();
        let mut splitter = LaneSplitter::new("key", vec![id(1), id(3)]);
        assert_eq!(splitter.scanned(), id(1));
        let parts = splitter.split(vec![entry(2, &key(1)), entry(3, &key(1)), entry(4, &key(1))]);
        let expected = LanePart { lane: 1, span: Span { after: id(3), upto: id(4) }, entries: vec![entry(4, &key(1))] };
        assert_eq!(parts, [expected]);
        let idle = splitter.idle();
        assert_eq!(idle, [LanePart { lane: 0, span: Span { after: id(1), upto: id(4) }, entries: vec![] }]);
        assert!(splitter.idle().is_empty());
    }

    proptest! {
        /// Whatever the keys, reads and lanes: each lane's parts form one chain and hold its entries, all, once, in order.
        #[test]
        fn parts_form_chains_that_hold_everything_once(
            keys in proptest::collection::vec(0u8..20, 0..200),
            lanes in 1usize..6,
            reads in proptest::collection::vec(1usize..30, 1..40),
            start in proptest::collection::vec(0u64..100, 6),
        ) {
            let positions: Vec<StreamId> = start[..lanes].iter().map(|ms| id(*ms)).collect();
            let entries: Vec<Entry> =
                keys.iter().enumerate().map(|(n, key)| entry(n as u64 + 1, &key.to_string())).collect();
            let mut splitter = LaneSplitter::new("key", positions.clone());
            let mut chains: Vec<(StreamId, Vec<StreamId>)> = positions.iter().map(|p| (*p, vec![])).collect();
            let mut take = |parts: Vec<LanePart>| for part in parts {
                let (tail, got) = &mut chains[part.lane as usize];
                assert_eq!(part.span.after, *tail);
                *tail = part.span.upto;
                got.extend(part.entries.iter().map(|entry| entry.id));
            };
            for size in reads.iter().cycle() {
                let rest: Vec<Entry> =
                    entries.iter().filter(|e| e.id > splitter.scanned()).take(*size).cloned().collect();
                if rest.is_empty() { break; }
                take(splitter.split(rest));
                if size % 3 == 0 { take(splitter.idle()); }
            }
            take(splitter.idle());
            for (lane, (tail, got)) in chains.iter().enumerate() {
                let of_lane = |e: &&Entry| lane_of(e.field("key").unwrap(), lanes as u32) as usize == lane;
                let expected: Vec<StreamId> =
                    entries.iter().filter(of_lane).map(|e| e.id).filter(|id| *id > positions[lane]).collect();
                assert_eq!(got, &expected);
                assert_eq!(*tail, splitter.scanned().max(positions[lane]));
            }
        }
    }
}
