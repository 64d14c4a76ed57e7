//! Pure: whether a stream still is what was read: nothing deleted before it was read, its end not gone back.

use crate::event::StreamId;

/// The two facts of `XINFO STREAM` that tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// The newest id the stream has ever had (`last-generated-id`); zero for a stream that does not exist.
    pub newest: StreamId,
    /// Entries ever added (`entries-added`, since Redis 7.0).
    pub added: Option<u64>,
}

/// What an audit finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing.
    Sound,
    /// So many entries were deleted before they were read.
    Lost(u64),
    /// The stream's newest id is below what was read: Redis lost its end, or the stream was made anew.
    WentBack,
}

/// A stream that went back, as the process saw it that had read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WentBack {
    /// The stream's newest id.
    pub newest: StreamId,
    /// The furthest id that the process knew of. A checkpoint beyond it was made by another process since, of entries
    /// that came after the stream went back.
    pub known: StreamId,
}

/// Compares what was read with what was added, at moments when both are known to be the same set of entries.
#[derive(Debug, Default)]
pub struct Audit {
    /// `added` at the last such moment.
    base: Option<u64>,
    /// Entries read since then.
    read: u64,
    /// A state that was ahead of the reading; if the next read finds nothing, what it was ahead by is gone.
    ahead: Option<StreamState>,
}

impl Audit {
    /// Notes what one read brought. If it brought nothing although the stream was known to go on, that is settled
    /// here: the id up to which nothing is left to read, and how many entries were lost on the way.
    pub fn read(&mut self, entries: usize) -> Option<(StreamId, u64)> {
        self.read += entries as u64;
        let ahead = self.ahead.take()?;
        (entries == 0).then(|| (ahead.newest, self.settle(ahead.added)))
    }

    /// Looks at a state that was asked for after everything up to `scanned` had been read.
    pub fn look(&mut self, state: StreamState, scanned: StreamId) -> Finding {
        if state.newest < scanned {
            return Finding::WentBack;
        }
        if state.newest > scanned {
            // Perhaps just added, perhaps already deleted: the next read tells.
            self.ahead = Some(state);
            return Finding::Sound;
        }
        match self.settle(state.added) {
            0 => Finding::Sound,
            lost => Finding::Lost(lost),
        }
    }

    fn settle(&mut self, added: Option<u64>) -> u64 {
        let read = std::mem::take(&mut self.read);
        let base = std::mem::replace(&mut self.base, added);
        match (base, added) {
            (Some(base), Some(added)) => added.saturating_sub(base).saturating_sub(read),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> StreamId {
        StreamId { ms, seq: 0 }
    }

    fn state(newest: u64, added: u64) -> StreamState {
        StreamState { newest: id(newest), added: Some(added) }
    }

    #[test]
    fn the_first_look_sets_the_base_and_later_ones_count_what_is_missing() {
        let mut audit = Audit::default();
        assert_eq!(audit.read(7), None);
        assert_eq!(audit.look(state(7, 100), id(7)), Finding::Sound);
        audit.read(3);
        assert_eq!(audit.look(state(12, 105), id(12)), Finding::Lost(2));
        assert_eq!(audit.look(state(12, 105), id(12)), Finding::Sound, "what is lost is told once");
        audit.read(4);
        assert_eq!(audit.look(state(16, 109), id(16)), Finding::Sound);
    }

    #[test]
    fn entries_that_are_gone_from_the_end_are_found_by_the_next_empty_read() {
        let mut audit = Audit::default();
        audit.look(state(5, 5), id(5));
        assert_eq!(audit.look(state(9, 9), id(5)), Finding::Sound);
        assert_eq!(audit.read(0), Some((id(9), 4)));
        assert_eq!(audit.look(state(9, 9), id(9)), Finding::Sound);
    }

    #[test]
    fn entries_that_had_only_just_been_added_are_no_loss() {
        let mut audit = Audit::default();
        audit.look(state(5, 5), id(5));
        assert_eq!(audit.look(state(9, 9), id(5)), Finding::Sound);
        assert_eq!(audit.read(4), None);
        assert_eq!(audit.look(state(9, 9), id(9)), Finding::Sound);
    }

    #[test]
    fn a_stream_that_went_back_is_told() {
        let mut audit = Audit::default();
        assert_eq!(audit.look(state(4, 4), id(5)), Finding::WentBack);
        assert_eq!(audit.look(StreamState { newest: StreamId::ZERO, added: None }, id(5)), Finding::WentBack);
    }

    #[test]
    fn a_server_that_does_not_count_is_believed() {
        let mut audit = Audit::default();
        let old = |newest| StreamState { newest: id(newest), added: None };
        audit.look(old(5), id(5));
        audit.read(1);
        assert_eq!(audit.look(old(9), id(9)), Finding::Sound);
    }
}
