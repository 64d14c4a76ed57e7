//! The stream in Redis: entries that are added at its end, and that a failure can take from there.

use crate::bounds::{ENTRIES_MAX, Ids};

/// A stream id; 0 is before the first entry.
pub type Id = u8;

/// A set of entries: bit n is the n-th entry that was ever added. An entry is not its id: Redis may lose an entry and
/// give its id to another.
pub type Entries = u8;

/// The stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stream {
    /// The id of each entry; 0 if it was not added yet, or is lost.
    pub ids: [Id; ENTRIES_MAX],
    /// Entries ever added.
    pub added: u8,
    /// `last-generated-id`
    pub newest: Id,
    /// The highest id ever given out, lost ones too.
    pub highest: Id,
}

impl Stream {
    /// A stream of so many entries.
    pub fn new(entries: u8) -> Stream {
        let mut stream = Stream { ids: [0; ENTRIES_MAX], added: 0, newest: 0, highest: 0 };
        for _ in 0..entries {
            stream.add(Ids::Fresh);
        }
        stream
    }

    /// `XADD`
    pub fn add(&mut self, ids: Ids) {
        let id = if ids == Ids::Fresh { self.highest + 1 } else { self.newest + 1 };
        self.ids[self.added as usize] = id;
        self.added += 1;
        self.newest = id;
        self.highest = self.highest.max(id);
    }

    /// Loses the entries above `newest`, and that there ever were such ids.
    pub fn lose_above(&mut self, newest: Id) {
        for id in &mut self.ids {
            if *id > newest {
                *id = 0;
            }
        }
        self.newest = newest;
    }

    /// The entries that `XREAD` finds after an id: index and id, in order.
    pub fn after(&self, id: Id) -> impl Iterator<Item = (usize, Id)> + '_ {
        self.ids.iter().copied().enumerate().filter(move |(_, at)| *at > id)
    }
}

/// Which key each entry has: two keys, so that a key has entries before and after the other's.
pub fn key_of(entry: usize) -> usize {
    const KEYS: [usize; ENTRIES_MAX] = [0, 1, 1, 0, 1, 0];
    KEYS[entry]
}

/// The lanes of the entries in a stream of one lane and in one of two.
pub type LanesOfEntries = [[u8; ENTRIES_MAX]; 2];

/// Two keys that take different lanes of two, and the lanes of all entries, as the crate decides them.
pub fn keys_and_lanes() -> ([String; 2], LanesOfEntries) {
    let with_lane = |lane| (0..).map(|n: u32| format!("thing:{n}")).find(|key| lane_of(key, 2) == lane);
    let keys = [0, 1].map(|lane| with_lane(lane).unwrap_or_default());
    let mut lanes = [[0; ENTRIES_MAX]; 2];
    for (number, lanes) in (1..).zip(&mut lanes) {
        for (entry, lane) in lanes.iter_mut().enumerate() {
            *lane = lane_of(&keys[key_of(entry)], number);
        }
    }
    (keys, lanes)
}

fn lane_of(key: &str, lanes: u32) -> u8 {
    write_behind::lane::lane_of(key.as_bytes(), lanes) as u8
}
