//! The reader: `src/actors/stream_reader.rs`, with the crate's own [`LaneSplitter`].

use write_behind::event::Entry;
use write_behind::lane::{LanePart, LaneSplitter};

use crate::bounds::Mutation;
use crate::database::{Batch, bit};
use crate::model::{Chain, State};
use crate::owner::{Owner, Seen, stream_id};
use crate::situations::Situation;
use crate::stream::{Entries, Id, Stream, key_of};

impl Chain {
    /// Reads `count` entries and hands them out. The batch for the lane `lost` does not arrive.
    pub fn read(&self, state: &mut State, number: usize, count: usize, lost: Option<usize>) {
        let owner = &state.owners[number];
        let align_at = owner.align_at;
        let mut splitter = splitter(owner);
        let mut read: Vec<(usize, Id)> = state.stream.after(owner.scanned).take(count).collect();
        let passed = read.last().is_none_or(|(_, id)| *id >= align_at);
        if align_at != 0 {
            read.retain(|(_, id)| *id <= align_at);
        }
        let entries = read.iter().map(|(entry, id)| self.entry(*entry, *id)).collect();
        let mut parts = splitter.split(entries);
        if align_at != 0 && passed {
            splitter.skip_to(stream_id(align_at));
            parts.extend(splitter.idle());
            state.owners[number].draining = true;
        }
        state.owners[number].scanned = splitter.scanned().ms as Id;
        self.hand_out(state, number, parts, lost);
    }

    /// Reads, and loses the batch for a lane. Answers `false` if there is none for it.
    pub fn read_and_lose(&self, state: &mut State, number: usize, count: usize, lane: usize) -> bool {
        let before = state.owners[number].writers[lane].handed_out;
        state.left.lost_messages -= 1;
        self.read(state, number, count, Some(lane));
        // A generation that the loss ended at once has no writers any more.
        state.owners[number].writers[lane].handed_out > before
    }

    /// Moves the lanes without entries on to where the stream has been read.
    pub fn move_idle_lanes(&self, state: &mut State, number: usize) {
        self.came_through(Situation::IdleLaneMoved);
        let parts = splitter(&state.owners[number]).idle();
        self.hand_out(state, number, parts, None);
    }

    /// Ends the generation because the stream ends before what was read of it.
    pub fn audit(&self, state: &mut State, number: usize) {
        self.came_through(Situation::WentBack);
        let owner = &state.owners[number];
        let known = owner.working().iter().map(|writer| writer.handed_out).fold(owner.scanned, Id::max);
        let seen = Seen { newest: state.stream.newest, known };
        state.end_generation(number);
        state.owners[number].seen = Some(seen);
    }

    /// Hands parts out to the writers. One that does not continue its lane's chain ends the generation.
    fn hand_out(&self, state: &mut State, number: usize, parts: Vec<LanePart>, lost: Option<usize>) {
        let State { stream, owners, .. } = state;
        let mut gap = false;
        for LanePart { lane, span, entries } in parts {
            let writer = &mut owners[number].writers[lane as usize];
            writer.handed_out = span.upto.ms as Id;
            if lost == Some(lane as usize) {
                continue;
            }
            let (after, upto) = (span.after.ms as Id, span.upto.ms as Id);
            let batch = Batch { after, upto, entries: set(stream, &entries) };
            gap |= !writer.push(batch, self.broken(Mutation::GapAccepted));
        }
        if gap {
            self.came_through(Situation::GapRefused);
            state.end_generation(number);
        } else {
            self.end_when_drained(state, number);
        }
    }

    /// Ends a generation that reads no more, once everything is committed.
    pub fn end_when_drained(&self, state: &mut State, number: usize) {
        let owner = &state.owners[number];
        if owner.draining && owner.all_committed() {
            self.came_through(Situation::Aligned);
            state.end_generation(number);
        }
    }

    fn entry(&self, entry: usize, id: Id) -> Entry {
        let key = self.keys[key_of(entry)].clone().into_bytes();
        Entry { id: stream_id(id), fields: [("key", key)].into_iter().collect() }
    }
}

/// The splitter of a reader that has come so far.
fn splitter(owner: &Owner) -> LaneSplitter {
    let handed_out = owner.working().iter().map(|writer| stream_id(writer.handed_out)).collect();
    let mut splitter = LaneSplitter::new("key", handed_out);
    splitter.skip_to(stream_id(owner.scanned));
    splitter
}

/// The entries as a set.
fn set(stream: &Stream, entries: &[Entry]) -> Entries {
    let of_id = |id: Id| stream.ids.iter().position(|at| *at == id);
    entries.iter().filter_map(|entry| of_id(entry.id.ms as Id)).fold(0, |set, entry| set | bit(entry))
}
