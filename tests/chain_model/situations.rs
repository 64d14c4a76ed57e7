//! The situations that make the model worth checking. The checker counts how often it came through each, so that a
//! model in which nothing happens cannot pass.
//!
//! These are no `sometimes` properties of stateright, which would have to be part of the state and multiply the states.

use std::sync::atomic::{AtomicU64, Ordering};

/// Something that happens on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// A batch whose answer was lost was found committed.
    FoundCommitted,
    /// It was found not committed.
    FoundNotCommitted,
    /// It was found not committed, and committed when it was to be tried again.
    FoundCommittedAtLast,
    /// The checkpoint was found at neither end of it.
    FoundElsewhere,
    /// A transaction was committed whose client was gone.
    ZombieCommitted,
    /// A process found that another one had moved the checkpoint.
    RaceLost,
    /// A batch did not continue where its lane stood.
    GapRefused,
    /// Batches that waited were written as one.
    BatchesMerged,
    /// A lane without entries was moved on.
    IdleLaneMoved,
    /// Lanes that stood apart were brought to one position.
    Aligned,
    /// A stream was divided into another number of lanes.
    Divided,
    /// It was not, because another process moved a lane.
    DivisionRefused,
    /// Rows were lost because the database went back.
    RowsLostByRestore,
    /// A reader saw that the stream had gone back.
    WentBack,
    /// The checkpoint was moved back to the stream's end.
    FollowedBack,
    /// It was not, because another process moved a lane.
    FollowBackRefused,
    /// A process had seen the stream gone back, but another had read on since.
    OldNewestIgnored,
}

/// How often the checker came through each situation.
#[derive(Default)]
pub struct Situations([AtomicU64; 17]);

impl Situations {
    /// Counts one.
    pub fn note(&self, situation: Situation) {
        self.0[situation as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often the checker came through it.
    pub fn times(&self, situation: Situation) -> u64 {
        self.0[situation as usize].load(Ordering::Relaxed)
    }
}
