//! A writer: `src/actors/rdbms_writer.rs` and the transaction of `src/sink/apply.rs`.

use crate::bounds::Mutation;
use crate::database::{Batch, Lock};
use crate::model::{Chain, State};
use crate::owner::Step;
use crate::situations::Situation;

impl Chain {
    /// Takes what waits, `count` batches as one, and begins the transaction with the checkpoint.
    pub fn begin(&self, state: &mut State, number: usize, lane: usize, count: usize) {
        if count > 1 {
            self.came_through(Situation::BatchesMerged);
        }
        state.owners[number].writers[lane].take(count);
        if !self.update(state, number, lane) {
            self.came_through(Situation::RaceLost);
            state.end_generation(number);
        }
    }

    /// Tries a batch again whose earlier try was not committed when that was looked at.
    pub fn begin_again(&self, state: &mut State, number: usize, lane: usize) {
        if !self.update(state, number, lane) {
            // That try may have ended only after it was looked for.
            state.owners[number].writers[lane].step = Step::InDoubtAgain;
        }
    }

    /// `UPDATE write_behind_checkpoint …` on a row that nobody has locked. Locks it if it matches.
    fn update(&self, state: &mut State, number: usize, lane: usize) -> bool {
        let owner = &mut state.owners[number];
        let writer = &mut owner.writers[lane];
        let rows = &state.database.now.rows;
        let blind = self.broken(Mutation::DoubtWritesAgain) && writer.step == Step::Again;
        let same_generation = rows.generation == owner.generation || self.broken(Mutation::GenerationNotCompared);
        let same_position = rows.last[lane] == writer.batch.after && same_generation;
        let compared = same_position || blind || self.broken(Mutation::NoCompare);
        let matches = lane < rows.lanes as usize && compared;
        if matches {
            writer.step = Step::Open;
            state.database.locks[lane] = Lock::Of(number as u8);
        }
        matches
    }

    /// `COMMIT`, and the answer to it. If a mutation splits the transaction, the first of the two.
    pub fn commit(&self, state: &mut State, number: usize, lane: usize) {
        let writer = &mut state.owners[number].writers[lane];
        let (batch, first) = (writer.batch, writer.step == Step::Open);
        let now = &mut state.database.now;
        match (self.bounds.mutation, first) {
            (Mutation::RowsBeforeCheckpoint, true) | (Mutation::CheckpointBeforeRows, false) => now.write_rows(batch),
            (Mutation::RowsBeforeCheckpoint, false) | (Mutation::CheckpointBeforeRows, true) => {
                now.move_checkpoint(lane, batch);
            }
            _ => {
                now.move_checkpoint(lane, batch);
                now.write_rows(batch);
            }
        }
        let splits = matches!(self.bounds.mutation, Mutation::RowsBeforeCheckpoint | Mutation::CheckpointBeforeRows);
        if splits && first {
            writer.step = Step::Half;
            return;
        }
        state.database.locks[lane] = Lock::Free;
        self.written(state, number, lane);
    }

    /// Reads the checkpoint back: at the batch's end it is done, at its beginning it is not.
    pub fn settle(&self, state: &mut State, number: usize, lane: usize) {
        let owner = &mut state.owners[number];
        let writer = &mut owner.writers[lane];
        let rows = &state.database.now.rows;
        let same_generation = rows.generation == owner.generation || self.broken(Mutation::GenerationNotCompared);
        let position = same_generation.then_some(rows.last[lane]);
        let first_look = writer.step == Step::InDoubt;
        if first_look && self.broken(Mutation::DoubtTakenForDone) {
            self.written(state, number, lane);
        } else if first_look && (position == Some(writer.batch.after) || self.broken(Mutation::DoubtWritesAgain)) {
            self.came_through(Situation::FoundNotCommitted);
            writer.step = Step::Again;
        } else if position == Some(writer.batch.upto) {
            let late = Situation::FoundCommittedAtLast;
            self.came_through(if first_look { Situation::FoundCommitted } else { late });
            self.written(state, number, lane);
        } else {
            self.came_through(Situation::FoundElsewhere);
            state.end_generation(number);
        }
    }

    /// The writer knows that its batch is committed.
    fn written(&self, state: &mut State, number: usize, lane: usize) {
        let writer = &mut state.owners[number].writers[lane];
        (writer.step, writer.batch) = (Step::Idle, Batch::NONE);
        self.end_when_drained(state, number);
    }

    /// A try fails before its `UPDATE` came through.
    pub fn fail_before(&self, state: &mut State, number: usize, lane: usize) {
        state.left.failures -= 1;
        let writer = &mut state.owners[number].writers[lane];
        if writer.step == Step::Idle {
            writer.take(1);
        }
        writer.step = Step::InDoubt;
    }

    /// A try fails after that: the connection is cut or an answer does not come in time.
    pub fn fail_after(&self, state: &mut State, number: usize, lane: usize) {
        state.left.failures -= 1;
        let writer = &mut state.owners[number].writers[lane];
        writer.step = Step::InDoubt;
        state.database.locks[lane] = Lock::Zombie(writer.batch);
    }

    /// The server ends a transaction whose client is gone.
    pub fn end_zombie(&self, state: &mut State, lane: usize, commit: bool) {
        let Lock::Zombie(batch) = state.database.locks[lane] else { return };
        state.database.locks[lane] = Lock::Free;
        if commit {
            self.came_through(Situation::ZombieCommitted);
            state.database.now.move_checkpoint(lane, batch);
            state.database.now.write_rows(batch);
        }
    }
}
