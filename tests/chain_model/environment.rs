//! What happens to the processes, the database and Redis from outside.

use crate::bounds::Ids;
use crate::database::{LOCKS_FREE, Lock};
use crate::model::{Chain, State};
use crate::owner::{Owner, Stage, Step};
use crate::situations::Situation;

impl Chain {
    /// `XADD`
    pub fn add(&self, state: &mut State) {
        state.left.additions -= 1;
        state.stream.add(self.bounds.ids);
    }

    /// `kill -9`: a process forgets everything.
    pub fn crash(&self, state: &mut State, number: usize) {
        state.left.crashes -= 1;
        state.end_generation(number);
        state.owners[number].seen = None;
    }

    /// A process comes back with other settings.
    pub fn change_lanes(&self, state: &mut State, number: usize) {
        state.left.lane_changes -= 1;
        state.end_generation(number);
        state.owners[number] = Owner::down(3 - state.owners[number].wants);
    }

    /// The backup is put back. Every connection is cut, and every open transaction is gone.
    pub fn restore(&self, state: &mut State) {
        state.left.restores -= 1;
        if state.database.now.applied & !state.database.backup.applied != 0 {
            self.came_through(Situation::RowsLostByRestore);
        }
        state.database.now = state.database.backup;
        state.database.locks = LOCKS_FREE;
        for writer in state.owners.iter_mut().flat_map(|owner| &mut owner.writers) {
            if matches!(writer.step, Step::Open | Step::Half) {
                writer.step = Step::InDoubt;
            }
        }
    }

    /// Whether a process that has nothing to do stands elsewhere than the database that was restored. It finds out
    /// only with the next entry, or when it is started again.
    pub fn idles_before_an_older_database(&self, state: &State, number: usize) -> bool {
        let (owner, rows) = (&state.owners[number], &state.database.now.rows);
        state.left.restores < self.bounds.faults.restores
            && owner.all_committed()
            && state.stream.newest <= owner.scanned
            && (rows.lanes != owner.lanes
                || owner.working().iter().zip(rows.last).any(|(writer, last)| writer.handed_out != last))
    }

    /// Redis comes back without its newest entries.
    pub fn lose_tail(&self, state: &mut State, newest: u8) {
        state.left.lost_tails -= 1;
        state.stream.lose_above(newest);
    }
}

impl Chain {
    /// Whether no process stands beyond the stream's end any more, or at least knows of it, and no transaction of a
    /// generation that is gone can still move the checkpoint.
    pub fn everyone_noticed(&self, state: &State) -> bool {
        let (newest, rows) = (state.stream.newest, state.database.now.rows);
        let nobody_is_late = !state.database.locks.iter().any(|lock| matches!(lock, Lock::Zombie(_)));
        let follows = rows.furthest() <= newest;
        let noticed = |owner: &Owner| match owner.stage {
            Stage::Running => {
                follows && owner.scanned <= newest && owner.working().iter().all(|writer| writer.handed_out <= newest)
            }
            Stage::Down => owner.seen.is_some() || follows,
            Stage::MustFollow => owner.rows == rows,
            _ => owner.rows == rows && (owner.seen.is_some() || follows),
        };
        nobody_is_late && self.owners(state).iter().all(noticed)
    }

    /// Whether a process knows that ids are given out again, and has not yet moved the checkpoint back.
    pub fn must_follow(&self, state: &State) -> bool {
        let furthest = state.database.now.rows.furthest();
        let must = |owner: &Owner| {
            owner.stage == Stage::MustFollow && owner.newest < furthest
                || owner.seen.is_some_and(|seen| seen.newest < furthest)
        };
        self.bounds.ids == Ids::AgainOnceNoticed && self.owners(state).iter().any(must)
    }
}
