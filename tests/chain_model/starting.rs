//! What a generation finds out before it starts: `prepare` in `src/actors/stream_group.rs`, and its end.

use crate::bounds::Mutation;
use crate::database::{Lock, Rows};
use crate::model::{Chain, State};
use crate::owner::{Owner, Stage, Step};
use crate::situations::Situation;

impl Chain {
    /// Loads the checkpoint; a single statement, which sees what is committed.
    pub fn load(&self, state: &mut State, number: usize) {
        let owner = &mut state.owners[number];
        if owner.stage == Stage::Down && self.broken(Mutation::NewestBeforeCheckpoint) {
            owner.stage = Stage::Looked;
            owner.newest = state.stream.newest;
            return;
        }
        owner.rows = state.database.now.rows;
        match owner.stage {
            Stage::Looked => self.follow_or_go_on(owner),
            Stage::Followed => self.divide_or_run(owner),
            Stage::Divided => owner.run(false),
            _ => owner.stage = Stage::Loaded,
        }
        // Where the stream's end never moves it makes no difference when it is looked at.
        if owner.stage == Stage::Loaded && self.bounds.stream_stays() {
            self.look(state, number);
        }
    }

    /// Looks at the stream's newest id. That an earlier generation of this process saw a lower one counts as long as
    /// nobody has read further since: then the entries that made it higher are new.
    pub fn look(&self, state: &mut State, number: usize) {
        let owner = &mut state.owners[number];
        owner.newest = state.stream.newest;
        if let Some(seen) = owner.seen {
            if owner.rows.furthest() <= seen.known || self.broken(Mutation::OldNewestCounts) {
                owner.newest = owner.newest.min(seen.newest);
            } else {
                self.came_through(Situation::OldNewestIgnored);
            }
        }
        self.follow_or_go_on(owner);
    }

    fn follow_or_go_on(&self, owner: &mut Owner) {
        if owner.newest < owner.rows.furthest() && !self.broken(Mutation::NotFollowedBack) {
            owner.stage = Stage::MustFollow;
        } else {
            self.divide_or_run(owner);
        }
    }

    fn divide_or_run(&self, owner: &mut Owner) {
        owner.newest = 0;
        if owner.rows.lanes == owner.wants {
            owner.run(false);
        } else if owner.rows.at_one_position() || self.broken(Mutation::DividedApart) {
            owner.stage = Stage::MustDivide;
        } else {
            owner.run(true);
        }
    }

    /// Moves the lanes that stand beyond the stream's end back to it, if nobody moved any.
    pub fn follow_back(&self, state: &mut State, number: usize) {
        let owner = &mut state.owners[number];
        let mut after = owner.rows;
        for position in &mut after.last {
            *position = owner.newest.min(*position);
        }
        owner.stage = Stage::Followed;
        owner.newest = 0;
        let replaced = self.replace(state, number, after);
        self.came_through(if replaced { Situation::FollowedBack } else { Situation::FollowBackRefused });
    }

    /// Divides the stream into the number of lanes that this process wants, if nobody moved any.
    pub fn divide(&self, state: &mut State, number: usize) {
        let owner = &state.owners[number];
        let (before, lanes) = (owner.rows, owner.wants as usize);
        let mut after = Rows { lanes: owner.wants, ..Rows::default() };
        after.last[..lanes].fill(before.last[0]);
        if self.replace(state, number, after) {
            self.came_through(Situation::Divided);
            state.owners[number].stage = Stage::Divided;
        } else {
            self.came_through(Situation::DivisionRefused);
            state.owners[number].run(true);
        }
    }

    /// Replaces the checkpoint's rows in one transaction, if they still are what this process has loaded.
    fn replace(&self, state: &mut State, number: usize, after: Rows) -> bool {
        let generation = state.new_generation();
        let rows = &mut state.database.now.rows;
        if *rows != state.owners[number].rows && !self.broken(Mutation::ReplacedUnseen) {
            return false;
        }
        *rows = Rows { generation, ..after };
        true
    }
}

impl State {
    /// One that nobody knows. It is the least, so that there are few of them.
    fn new_generation(&self) -> u8 {
        let of_owners = self.owners.iter().flat_map(|owner| [owner.generation, owner.rows.generation]);
        let of_database = [self.database.now, self.database.backup].map(|committed| committed.rows.generation);
        let known: Vec<u8> = of_owners.chain(of_database).collect();
        (0..=u8::MAX).find(|generation| !known.contains(generation)).unwrap_or_else(|| panic!("all are known"))
    }

    /// Ends a generation, wherever it is. What its transactions come to, the server knows: a `COMMIT` may be on its way.
    pub fn end_generation(&mut self, number: usize) {
        let owner = &mut self.owners[number];
        for (lock, writer) in self.database.locks.iter_mut().zip(&owner.writers) {
            if *lock == Lock::Of(number as u8) {
                *lock = if writer.step == Step::Open { Lock::Zombie(writer.batch) } else { Lock::Free };
            }
        }
        *owner = Owner { seen: owner.seen, ..Owner::down(owner.wants) };
    }
}
