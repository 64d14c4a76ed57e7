//! A process that works on the stream: what it finds out at its start, its reader and its writers.

use write_behind::event::StreamId;
use write_behind::lane::Span;

use crate::bounds::{LANES_MAX, QUEUE_MAX};
use crate::database::{Batch, Rows};
use crate::stream::Id;

/// A process. What it does not need at its stage is zero, so that states that do not differ are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// How far its present generation has come.
    pub stage: Stage,
    /// The number of lanes in its settings.
    pub wants: u8,
    /// The checkpoint as it loaded it at its start.
    pub rows: Rows,
    /// The stream's newest id as it looked at it at its start.
    pub newest: Id,
    /// What an earlier generation of this process saw when the stream had gone back.
    pub seen: Option<Seen>,
    /// Everything up to here has been read.
    pub scanned: Id,
    /// It reads no further than to here, so that the stream can be divided anew; 0 if it reads everything.
    pub align_at: Id,
    /// It reads no more, and ends when everything is committed.
    pub draining: bool,
    /// The lanes of its present generation.
    pub lanes: u8,
    /// That of the checkpoint's rows with which it began.
    pub generation: u8,
    /// The writers, one a lane.
    pub writers: [Writer; LANES_MAX],
}

/// How far a generation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// There is none; the next one may start.
    Down,
    /// It has looked at the stream's end before the checkpoint, which is wrong.
    Looked,
    /// It has loaded the checkpoint.
    Loaded,
    /// The stream ends below the checkpoint: the checkpoint is to be moved back.
    MustFollow,
    /// That was done or refused, and the checkpoint is to be loaded again.
    Followed,
    /// The lanes stand at one position and are not as many as they should be.
    MustDivide,
    /// That was done, and the checkpoint is to be loaded again.
    Divided,
    /// It works.
    Running,
}

/// A stream that had gone back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seen {
    /// Its newest id.
    pub newest: Id,
    /// The furthest that this process knew of.
    pub known: Id,
}

/// A writer, and what the reader knows of its lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Writer {
    /// The reader has handed out everything up to here.
    pub handed_out: Id,
    /// The last batch that has come ends here.
    pub reached: Id,
    /// What has come and waits.
    pub queue: [Batch; QUEUE_MAX],
    /// What is being written.
    pub batch: Batch,
    /// How far that is.
    pub step: Step,
}

/// How far a writer is with its batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// It has none.
    #[default]
    Idle,
    /// The `UPDATE` of the checkpoint matched: the row is locked, and `COMMIT` comes next.
    Open,
    /// Only in mutations: one half of the batch is committed, the other is not.
    Half,
    /// A try failed; whether it was committed is to be found out.
    InDoubt,
    /// It was not committed when that was looked at: it is tried again.
    Again,
    /// The `UPDATE` of that try did not match: it is looked at once more.
    InDoubtAgain,
}

impl Owner {
    /// A process that has not started yet.
    pub fn down(wants: u8) -> Owner {
        Owner {
            stage: Stage::Down,
            wants,
            rows: Rows::default(),
            newest: 0,
            seen: None,
            scanned: 0,
            align_at: 0,
            draining: false,
            lanes: 0,
            generation: 0,
            writers: [Writer::default(); LANES_MAX],
        }
    }

    /// The present generation begins to work from the checkpoint that was loaded.
    pub fn run(&mut self, align: bool) {
        let rows = self.rows;
        let (lanes, generation) = (rows.lanes, rows.generation);
        *self = Owner { stage: Stage::Running, lanes, generation, ..Owner::down(self.wants) };
        for (lane, position) in rows.positions().iter().enumerate() {
            self.writers[lane] = Writer { handed_out: *position, reached: *position, ..Writer::default() };
        }
        self.scanned = rows.positions().iter().copied().min().unwrap_or_default();
        self.align_at = if align { rows.furthest() } else { 0 };
    }

    /// The writers of its lanes.
    pub fn working(&self) -> &[Writer] {
        &self.writers[..self.lanes as usize]
    }

    /// Whether all that was handed out is committed.
    pub fn all_committed(&self) -> bool {
        self.working().iter().all(|writer| writer.is_idle() && writer.handed_out == writer.reached)
    }

    /// Whether a batch was lost on its way to a writer.
    pub fn misses_a_batch(&self) -> bool {
        self.working().iter().any(|writer| writer.handed_out != writer.reached)
    }
}

impl Writer {
    /// Whether nothing is being written and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.step == Step::Idle && !self.queue[0].is_some()
    }

    /// Whether `queue` batches wait.
    pub fn is_full(&self, queue: usize) -> bool {
        self.queue[queue - 1].is_some()
    }

    /// Batches that wait.
    pub fn waiting(&self) -> usize {
        self.queue.iter().filter(|batch| batch.is_some()).count()
    }

    /// Takes a batch in. Answers `false` if it does not continue where the lane stands, unless that is no matter.
    pub fn push(&mut self, batch: Batch, gap_accepted: bool) -> bool {
        let reached = span(self.reached, self.reached);
        if reached.join(span(batch.after, batch.upto)).is_err() && !gap_accepted {
            return false;
        }
        self.reached = batch.upto;
        self.queue[self.waiting()] = batch;
        true
    }

    /// Begins to write what waits, `count` batches as one.
    pub fn take(&mut self, count: usize) {
        let mut batch = self.queue[0];
        for next in &self.queue[1..count] {
            batch.upto = next.upto;
            batch.entries |= next.entries;
        }
        self.batch = batch;
        self.queue.rotate_left(count);
        for left in &mut self.queue[QUEUE_MAX - count..] {
            *left = Batch::NONE;
        }
    }
}

/// A span of the crate.
fn span(after: Id, upto: Id) -> Span {
    Span { after: stream_id(after), upto: stream_id(upto) }
}

/// An id of the crate.
pub fn stream_id(id: Id) -> StreamId {
    StreamId { ms: id.into(), seq: 0 }
}
