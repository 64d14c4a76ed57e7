//! A stream: ids that only grow, entries that are added, trimmed, and lost with the stream's end.

use write_behind::audit::StreamState;
use write_behind::event::{Entry, StreamId};
use write_behind::mapping::ChangeKind;

use crate::random::Random;

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    Good,
    RefusedByMapping,
    /// The database refuses the row.
    RefusedByRow,
    /// The database refuses the transaction that holds the row, when it commits.
    RefusedAtCommit,
    /// Passed over by a setting.
    Skipped,
}

/// An event. Its number is its place in the history.
#[derive(Debug)]
pub struct Event {
    pub id: StreamId,
    pub key: usize,
    pub nature: Nature,
    pub kind: ChangeKind,
    /// What the document weighs that has to be fetched.
    pub document: usize,
    padding: usize,
    /// Whether the stream still holds it.
    pub readable: bool,
    /// Redis lost it with the stream's end.
    pub lost: bool,
    /// Whether it must be applied in the end. What was trimmed too early, or lost by Redis, need not.
    pub owed: bool,
}

/// What the events of a stream are like.
#[derive(Clone, Debug)]
pub struct Kinds {
    pub keys: usize,
    /// Rows have a key, and events change them; otherwise every event is a row of its own.
    pub keyed: bool,
    pub bad_permille: usize,
    pub skipped_permille: usize,
    pub document_max: usize,
    pub padding_max: usize,
}

pub struct Stream {
    kinds: Kinds,
    /// All that were ever added, in the order of their ids.
    pub history: Vec<Event>,
    newest: StreamId,
    clock: u64,
}

impl Stream {
    pub fn new(kinds: Kinds) -> Self {
        Stream { kinds, history: Vec::new(), newest: StreamId::ZERO, clock: 1 }
    }

    /// `XADD`
    pub fn add(&mut self, random: &mut Random) {
        let Kinds { keys, keyed, bad_permille, skipped_permille, document_max, padding_max } = self.kinds;
        self.clock += random.below(3) as u64;
        let last = self.history.last().map_or(StreamId::ZERO, |last| last.id);
        // Clocks go on: what is new is above all that ever was, also above what was lost.
        let id = match last.ms == self.clock {
            true => StreamId { ms: self.clock, seq: last.seq + 1 },
            false => StreamId { ms: self.clock, seq: 0 },
        };
        // In a batch changes of one key collapse, a bad one among them too: what is refused then is chance.
        let by_database = [Nature::RefusedByRow, Nature::RefusedAtCommit];
        let nature = match (random.chance(bad_permille), random.chance(skipped_permille)) {
            (true, _) if keyed || random.chance(300) => Nature::RefusedByMapping,
            (true, _) => by_database[random.below(2)],
            (false, true) => Nature::Skipped,
            (false, false) => Nature::Good,
        };
        let kinds = [ChangeKind::Upsert, ChangeKind::Upsert, ChangeKind::Update, ChangeKind::Delete];
        let kind = if keyed { kinds[random.below(kinds.len())] } else { ChangeKind::Append };
        let (key, document) = (random.below(keys), random.below(document_max + 1));
        let padding = random.below(padding_max + 1);
        self.history.push(Event { id, key, nature, kind, document, padding, readable: true, lost: false, owed: true });
        self.newest = id;
    }

    /// `XREAD`
    pub fn read(&self, after: StreamId, count: usize) -> Vec<Entry> {
        let from = self.history.partition_point(|event| event.id <= after);
        let readable = (from..self.history.len()).filter(|number| self.history[*number].readable);
        readable.take(count).map(|number| entry(number, &self.history[number])).collect()
    }

    /// `XINFO STREAM`
    pub fn state(&self) -> StreamState {
        StreamState { newest: self.newest, added: None }
    }

    /// `XTRIM` of the oldest up to an id. What is done for good by then must stay applied all the same.
    pub fn trim(&mut self, upto: StreamId, done: StreamId) {
        for event in self.history.iter_mut().filter(|event| event.id <= upto && event.readable) {
            event.readable = false;
            event.owed &= event.id <= done;
        }
    }

    /// Redis comes back without the newest entries.
    pub fn lose_end(&mut self, entries: usize) {
        let readable = self.history.iter_mut().rev().filter(|event| event.readable);
        for event in readable.take(entries) {
            *event = Event { readable: false, lost: true, owed: false, ..*event };
        }
        let rest = self.history.iter().rev().find(|event| !event.lost);
        self.newest = rest.map_or(StreamId::ZERO, |rest| rest.id);
    }

    /// The event that an entry is of.
    pub fn event(&self, entry: &Entry) -> (usize, &Event) {
        let number = number(entry);
        (number, &self.history[number])
    }

    /// The numbers of the events with ids after the first and up to the second.
    pub fn within(&self, after: StreamId, upto: StreamId) -> std::ops::Range<usize> {
        let place = |id| self.history.partition_point(|event| event.id <= id);
        place(after)..place(upto)
    }
}

/// The number of the event that an entry is of.
pub fn number(entry: &Entry) -> usize {
    let text = entry.field("n").and_then(|n| std::str::from_utf8(n).ok());
    text.and_then(|n| n.parse().ok()).expect("a number")
}

fn entry(number: usize, event: &Event) -> Entry {
    let fields = [("key", key_text(event.key)), ("n", number.to_string()), ("padding", "x".repeat(event.padding))];
    Entry { id: event.id, fields: fields.into_iter().collect() }
}

/// A key as it is in the entry.
pub fn key_text(key: usize) -> String {
    format!("item:{key}")
}
