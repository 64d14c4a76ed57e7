//! How much may happen in one run of the checker, and which rule of the protocol is broken on purpose.

/// The most entries that any run has.
pub const ENTRIES_MAX: usize = 6;
/// The most lanes.
pub const LANES_MAX: usize = 2;
/// The most processes on the stream.
pub const OWNERS_MAX: usize = 2;

/// The most batches that can wait for one writer.
pub const QUEUE_MAX: usize = 2;

/// What one run of the checker goes through: everything that can happen within these numbers.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Processes that work on the stream at once.
    pub owners: usize,
    /// Lanes that the stream is divided into at the beginning.
    pub lanes: u8,
    /// Entries in the stream at the beginning.
    pub entries: u8,
    /// Batches that can wait for one writer.
    pub queue: usize,
    /// What may go wrong, and how often.
    pub faults: Faults,
    /// Which ids entries get that are added after Redis lost its tail.
    pub ids: Ids,
    /// The rule that is broken.
    pub mutation: Mutation,
}

impl Bounds {
    /// Whether the arrays are long enough for them.
    pub fn fits(&self) -> bool {
        usize::from(self.entries + self.faults.additions) <= ENTRIES_MAX
            && (1..=OWNERS_MAX).contains(&self.owners)
            && (1..=LANES_MAX).contains(&usize::from(self.lanes))
            && (1..=QUEUE_MAX).contains(&self.queue)
    }

    /// Whether the stream holds the same entries all the time.
    pub fn stream_stays(&self) -> bool {
        self.faults.lost_tails == 0 && self.faults.additions == 0
    }
}

/// Things that can still happen: each takes one away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// A process is killed.
    pub crashes: u8,
    /// A statement fails, or its answer does not come; what was sent may still be done by the server, at any time.
    pub failures: u8,
    /// A message inside a process does not arrive.
    pub lost_messages: u8,
    /// The database goes back to an older state.
    pub restores: u8,
    /// A process is started again with the other number of lanes.
    pub lane_changes: u8,
    /// Redis loses the end of the stream.
    pub lost_tails: u8,
    /// An entry is added (no fault, but counted like one).
    pub additions: u8,
}

/// Which ids entries get that are added after Redis lost its tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ids {
    /// Above all that were ever given out: the clock went on.
    Fresh,
    /// Those that were lost once more, as after a `DEL` by a producer that counts, but only after every process has
    /// noticed the loss: an id that was applied and is given out again before that can be told by nobody.
    AgainOnceNoticed,
    /// Those that were lost once more, at any time: beyond what the pipeline promises.
    Again,
}

/// A rule of the protocol that is broken, to see that the checker finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutation {
    /// None: the protocol as it is.
    None,
    /// The checkpoint is moved wherever it stands.
    NoCompare,
    /// The rows are committed, then the checkpoint.
    RowsBeforeCheckpoint,
    /// The checkpoint is committed, then the rows.
    CheckpointBeforeRows,
    /// A writer takes a batch that does not continue where its lane stands.
    GapAccepted,
    /// A batch whose answer was lost is written again without a look at where the checkpoint stands.
    DoubtWritesAgain,
    /// A batch whose answer was lost is taken for written.
    DoubtTakenForDone,
    /// Lanes that stand apart are divided anew.
    DividedApart,
    /// Nobody checks that the rows still are what they were when they are replaced.
    ReplacedUnseen,
    /// A stream that ends below the checkpoint is read on from the checkpoint.
    NotFollowedBack,
    /// The stream's newest id is read before the checkpoint.
    NewestBeforeCheckpoint,
    /// The checkpoint is moved in whatever rows: that it went back and came to the same place is not seen.
    GenerationNotCompared,
    /// A newest id seen by an earlier generation counts even if another process has gone on since.
    OldNewestCounts,
}
