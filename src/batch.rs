//! Pure: batches on their way from the reader to the database, and how a writer merges what has queued.

use std::collections::VecDeque;

use crate::event::{Document, Entry, Rejection, StreamId};
use crate::lane::{ChainGap, Span};
use crate::mapping::Changes;

/// An event with what is to be done for it. Entry and document are kept for the dead letter it may become.
#[derive(Debug, PartialEq)]
pub struct MappedEvent {
    /// The entry as received.
    pub entry: Entry,
    /// The document as received.
    pub document: Document,
    /// The changes of the tables, or why there can be none.
    pub outcome: Result<Changes, Rejection>,
}

/// All events of one lane in one span of the stream, mapped to changes of the tables.
#[derive(Debug, PartialEq)]
pub struct MappedBatch {
    /// The link of the lane's chain that the batch fills.
    pub span: Span,
    /// The events, in stream order, without those passed over.
    pub events: Vec<MappedEvent>,
    /// Events passed over because a setting says so.
    pub skipped: usize,
    /// The credits it holds, in bytes.
    pub credits: usize,
}

impl MappedBatch {
    /// Adds the batch that follows at once.
    fn append(&mut self, next: MappedBatch) {
        debug_assert_eq!(self.span.upto, next.span.after);
        self.span.upto = next.span.upto;
        self.events.extend(next.events);
        self.skipped += next.skipped;
        self.credits += next.credits;
        debug_assert!(self.is_sound(), "merged events out of order, or outside of {}", self.span);
    }

    /// Whether the events are in stream order and in the span.
    fn is_sound(&self) -> bool {
        self.events.is_sorted_by(|a, b| a.entry.id < b.entry.id)
            && self.events.iter().all(|event| self.span.holds(event.entry.id))
    }
}

/// The queue of a writer: what came while the last transaction ran, merged into batches of one transaction each. It is
/// merged when it comes, because then the writer waits for the database; when it is taken the database waits for us.
#[derive(Debug)]
pub struct PendingBatches {
    reached: StreamId,
    events_max: usize,
    queue: VecDeque<MappedBatch>,
}

impl PendingBatches {
    /// An empty queue of a lane that stands at `position`. Batches are merged up to `events_max` events.
    pub fn new(position: StreamId, events_max: usize) -> Self {
        PendingBatches { reached: position, events_max, queue: VecDeque::new() }
    }

    /// Queues the next batch.
    ///
    /// # Errors
    /// [`ChainGap`] if it does not continue where the last one ended.
    pub fn push(&mut self, batch: MappedBatch) -> Result<(), ChainGap> {
        debug_assert!(batch.is_sound(), "events out of order, or outside of {}", batch.span);
        let reached = Span { after: self.reached, upto: self.reached };
        self.reached = reached.join(batch.span)?.upto;
        match self.queue.back_mut() {
            Some(last) if last.events.len() + batch.events.len() <= self.events_max => last.append(batch),
            _ => self.queue.push_back(batch),
        }
        Ok(())
    }

    /// Takes the next batch: up to `events_max` events, or one that came so large.
    pub fn take(&mut self) -> Option<MappedBatch> {
        self.queue.pop_front()
    }

    /// Where the lane stands once all that has been queued is committed.
    pub fn reached(&self) -> StreamId {
        self.reached
    }

    /// Whether nothing has queued.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(after: u64, upto: u64, events: usize) -> MappedBatch {
        let id = |ms| StreamId { ms, seq: 0 };
        let event = |n: u64| MappedEvent {
            entry: Entry { id: id(after + 1 + n), fields: Default::default() },
            document: Document::None,
            outcome: Ok(Changes::new()),
        };
        let events = (0..events as u64).map(event).collect();
        MappedBatch { span: Span { after: id(after), upto: id(upto) }, events, skipped: 1, credits: 10 }
    }

    #[test]
    fn what_has_queued_is_merged_up_to_the_limit() {
        let mut pending = PendingBatches::new(StreamId::ZERO, 6);
        for (after, upto, events) in [(0, 10, 3), (10, 20, 3), (20, 30, 0), (30, 40, 9)] {
            pending.push(batch(after, upto, events)).unwrap();
        }
        let first = pending.take().unwrap();
        assert_eq!(
            (first.span.to_string().as_str(), first.events.len(), first.skipped, first.credits),
            ("(0-0, 30-0]", 6, 3, 30)
        );
        assert!(first.events.windows(2).all(|pair| pair[0].entry.id < pair[1].entry.id));
        let second = pending.take().unwrap();
        assert_eq!(second.events.len(), 9, "a batch over the limit goes alone, it is never cut");
        assert!(pending.take().is_none() && pending.is_empty());
    }

    #[test]
    fn a_gap_and_a_repetition_are_refused() {
        let mut pending = PendingBatches::new(StreamId { ms: 5, seq: 0 }, 6);
        assert!(pending.push(batch(6, 9, 1)).is_err());
        assert!(pending.push(batch(4, 9, 1)).is_err());
        pending.push(batch(5, 9, 1)).unwrap();
        assert!(pending.push(batch(5, 9, 1)).is_err());
    }
}
