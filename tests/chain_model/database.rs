//! The database: the checkpoint's rows with their locks, the table, and the backup it may go back to.

use crate::bounds::{ENTRIES_MAX, LANES_MAX};
use crate::stream::{Entries, Id, key_of};

/// The rows of the stream in `write_behind_checkpoint`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rows {
    /// How many there are, and what the column `lanes` says in each.
    pub lanes: u8,
    /// `last_id` of each.
    pub last: [Id; LANES_MAX],
    /// Which rows they are: another number whenever they are replaced.
    pub generation: u8,
}

impl Rows {
    /// The positions of all lanes.
    pub fn positions(&self) -> &[Id] {
        &self.last[..self.lanes as usize]
    }

    /// The position that is furthest.
    pub fn furthest(&self) -> Id {
        self.last[0].max(self.last[1])
    }

    /// Whether all lanes stand at one position.
    pub fn at_one_position(&self) -> bool {
        self.lanes == 1 || self.last[0] == self.last[1]
    }
}

/// All entries of one lane in a span, on their way to the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Batch {
    /// The lane must stand here.
    pub after: Id,
    /// It stands here afterwards; 0 if there is no batch.
    pub upto: Id,
    /// The entries in between.
    pub entries: Entries,
}

impl Batch {
    /// No batch.
    pub const NONE: Batch = Batch { after: 0, upto: 0, entries: 0 };

    /// Whether there is one.
    pub fn is_some(self) -> bool {
        self.upto != 0
    }
}

/// Who has locked a row of the checkpoint, by an `UPDATE` that matched it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lock {
    /// Nobody.
    #[default]
    Free,
    /// A transaction of this process, which hears of how it ends.
    Of(u8),
    /// A transaction whose client is gone or hears nothing more: the server commits it or rolls it back, some time.
    Zombie(Batch),
}

/// Nobody holds any row.
pub const LOCKS_FREE: [Lock; LANES_MAX] = [Lock::Free; LANES_MAX];

/// What a backup holds, and a transaction changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Committed {
    /// The checkpoint.
    pub rows: Rows,
    /// The entries in the table.
    pub applied: Entries,
    /// Those that are there more than once.
    pub twice: Entries,
    /// Whether an entry was applied after a later one of its key.
    pub disorder: bool,
}

impl Committed {
    /// Moves a lane on by a batch, in the checkpoint only.
    pub fn move_checkpoint(&mut self, lane: usize, batch: Batch) {
        self.rows.last[lane] = batch.upto;
    }

    /// Writes the rows of a batch, in the table only.
    pub fn write_rows(&mut self, batch: Batch) {
        for entry in (0..ENTRIES_MAX).filter(|entry| batch.entries & bit(*entry) != 0) {
            if self.applied & bit(entry) != 0 {
                self.twice |= bit(entry);
            }
            let later = (entry + 1..ENTRIES_MAX).filter(|later| key_of(*later) == key_of(entry));
            for later in later {
                self.disorder |= self.applied & bit(later) != 0;
            }
            self.applied |= bit(entry);
        }
    }
}

/// The database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Database {
    /// What is committed.
    pub now: Committed,
    /// The locks of the checkpoint's rows.
    pub locks: [Lock; LANES_MAX],
    /// The state it may go back to.
    pub backup: Committed,
}

impl Database {
    /// A stream of so many lanes, of which nothing was read.
    pub fn new(lanes: u8) -> Database {
        let rows = Rows { lanes, ..Rows::default() };
        let now = Committed { rows, ..Committed::default() };
        Database { now, locks: LOCKS_FREE, backup: now }
    }

    /// Gives each of the two processes the other's name.
    pub fn rename_owners(&mut self) {
        for lock in &mut self.locks {
            if let Lock::Of(owner) = lock {
                *owner = 1 - *owner;
            }
        }
    }

    /// Whether nobody holds any row of the stream.
    pub fn is_unlocked(&self) -> bool {
        self.locks == LOCKS_FREE
    }
}

/// The set of one entry.
pub fn bit(entry: usize) -> Entries {
    1 << entry
}
