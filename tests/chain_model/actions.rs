//! What can happen next.

use crate::bounds::{Ids, QUEUE_MAX};
use crate::database::Lock;
use crate::model::{Chain, State};
use crate::owner::{Stage, Step, Writer};

/// One step of a process, of the database, of Redis, or of fate. The first number is the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A generation loads the checkpoint.
    Load(usize),
    /// It looks at the stream's end.
    Look(usize),
    /// It moves the checkpoint back to the stream's end.
    FollowBack(usize),
    /// It divides the stream into the number of lanes that it wants.
    Divide(usize),
    /// The reader reads so many entries and hands them out.
    Read(usize, usize),
    /// The same, and the batch for this lane does not arrive.
    ReadAndLose(usize, usize, usize),
    /// The reader moves lanes without entries on.
    MoveIdleLanes(usize),
    /// The reader sees that the stream has gone back.
    Audit(usize),
    /// Process, lane, batches: a writer takes batches that wait as one and begins its transaction.
    Begin(usize, usize, usize),
    /// A writer that was in doubt tries again.
    BeginAgain(usize, usize),
    /// The transaction is committed, and the writer hears of it.
    Commit(usize, usize),
    /// A writer in doubt reads the checkpoint back.
    Settle(usize, usize),
    /// The supervisor replaces a generation in which a message was lost.
    Replace(usize),
    /// A process that idles before a database that went back is started again.
    StartAgain(usize),
    /// Lane: the server commits a transaction whose client is gone.
    ZombieCommits(usize),
    /// Lane: the server rolls it back.
    ZombieRollsBack(usize),
    /// An entry is added to the stream.
    Add,
    /// A writer's statement fails before its `UPDATE` came through.
    FailBefore(usize, usize),
    /// A writer's statement fails after that: its transaction may still be committed.
    FailAfter(usize, usize),
    /// A process is killed.
    Crash(usize),
    /// A process is killed and comes back with the other number of lanes.
    ChangeLanes(usize),
    /// The database is backed up.
    BackUp,
    /// The database goes back to its backup.
    Restore,
    /// Redis loses what is above this id.
    LoseTail(u8),
    /// Nothing more can happen, and not everything is applied.
    Stuck,
}

impl Action {
    /// Whether it is a fault: something that need not happen.
    pub fn is_fault(self) -> bool {
        use Action::{BackUp, ChangeLanes, Crash, FailAfter, FailBefore, LoseTail, ReadAndLose, Restore};
        matches!(
            self,
            BackUp
                | Restore
                | LoseTail(_)
                | Crash(_)
                | ChangeLanes(_)
                | FailBefore(..)
                | FailAfter(..)
                | ReadAndLose(..)
        )
    }
}

impl Chain {
    /// What happens by itself, sooner or later.
    pub fn ordinary_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for owner in 0..self.bounds.owners {
            self.steps_of(owner, state, actions);
        }
        for (lane, lock) in state.database.locks.iter().enumerate() {
            if matches!(lock, Lock::Zombie(_)) {
                actions.extend([Action::ZombieCommits(lane), Action::ZombieRollsBack(lane)]);
            }
        }
        if state.left.additions > 0 && self.may_add(state) {
            actions.push(Action::Add);
        }
    }

    /// Whether an entry may come now.
    pub fn may_add(&self, state: &State) -> bool {
        self.bounds.ids != Ids::AgainOnceNoticed || self.everyone_noticed(state)
    }

    /// What may go wrong.
    pub fn faults(&self, state: &State, actions: &mut Vec<Action>) {
        let left = state.left;
        for (number, owner) in state.owners[..self.bounds.owners].iter().enumerate() {
            if left.crashes > 0 && (owner.stage != Stage::Down || owner.seen.is_some()) {
                actions.push(Action::Crash(number));
            }
            if left.lane_changes > 0 {
                actions.push(Action::ChangeLanes(number));
            }
            if left.lost_messages > 0 && self.may_read(state, number) {
                for count in 1..=state.stream.after(owner.scanned).count() {
                    let lanes = 0..owner.lanes as usize;
                    actions.extend(lanes.map(|lane| Action::ReadAndLose(number, count, lane)));
                }
            }
            if left.failures > 0 {
                for (lane, writer) in owner.working().iter().enumerate() {
                    match writer.step {
                        Step::Open => actions.push(Action::FailAfter(number, lane)),
                        Step::Idle if !writer.is_idle() => actions.push(Action::FailBefore(number, lane)),
                        Step::Again => actions.push(Action::FailBefore(number, lane)),
                        _ => {}
                    }
                }
            }
        }
        if left.restores > 0 {
            let backup = state.database.backup;
            // A backup that is never put back changes nothing; one of what is there already neither.
            if backup != state.database.now {
                actions.push(Action::Restore);
                if backup.rows.furthest() == 0 {
                    actions.push(Action::BackUp);
                }
            }
        }
        if left.lost_tails > 0 {
            actions.extend((0..state.stream.newest).map(Action::LoseTail));
        }
    }

    fn steps_of(&self, number: usize, state: &State, actions: &mut Vec<Action>) {
        let owner = &state.owners[number];
        match owner.stage {
            Stage::Down | Stage::Looked | Stage::Followed | Stage::Divided => actions.push(Action::Load(number)),
            Stage::Loaded => actions.push(Action::Look(number)),
            Stage::MustFollow if state.database.is_unlocked() => actions.push(Action::FollowBack(number)),
            Stage::MustDivide if state.database.is_unlocked() => actions.push(Action::Divide(number)),
            Stage::MustFollow | Stage::MustDivide => {}
            Stage::Running => {
                self.steps_of_reader(number, state, actions);
                self.steps_of_writers(number, state, actions);
                if owner.misses_a_batch() {
                    actions.push(Action::Replace(number));
                }
                if self.idles_before_an_older_database(state, number) {
                    actions.push(Action::StartAgain(number));
                }
            }
        }
    }

    fn steps_of_reader(&self, number: usize, state: &State, actions: &mut Vec<Action>) {
        let owner = &state.owners[number];
        if owner.draining {
            return;
        }
        let found = state.stream.after(owner.scanned).count();
        if self.may_read(state, number) {
            // A read may bring less than there is: what is missing was added after it.
            actions.extend((1..=found).map(|count| Action::Read(number, count)));
            if found == 0 && owner.align_at != 0 {
                actions.push(Action::Read(number, 0));
            }
        }
        if owner.align_at == 0 {
            let behind = |writer: &&Writer| writer.handed_out < owner.scanned;
            let mut behind = owner.working().iter().filter(behind).peekable();
            if behind.peek().is_some() && behind.all(|writer| !writer.is_full(self.bounds.queue)) {
                actions.push(Action::MoveIdleLanes(number));
            }
            if state.stream.newest < owner.scanned {
                actions.push(Action::Audit(number));
            }
        }
    }

    /// Whether the reader has credits left. On the way to an alignment it may have to hand out two batches at once.
    fn may_read(&self, state: &State, number: usize) -> bool {
        let owner = &state.owners[number];
        let room = |writer: &Writer| match owner.align_at {
            0 => !writer.is_full(self.bounds.queue),
            _ => writer.waiting() + 2 <= QUEUE_MAX,
        };
        owner.stage == Stage::Running && !owner.draining && owner.working().iter().all(room)
    }

    fn steps_of_writers(&self, number: usize, state: &State, actions: &mut Vec<Action>) {
        for (lane, writer) in state.owners[number].working().iter().enumerate() {
            let unlocked = state.database.locks[lane] == Lock::Free;
            match writer.step {
                Step::Idle if unlocked => {
                    actions.extend((1..=writer.waiting()).map(|count| Action::Begin(number, lane, count)));
                }
                Step::Again if unlocked => actions.push(Action::BeginAgain(number, lane)),
                Step::Idle | Step::Again => {}
                Step::Open | Step::Half => actions.push(Action::Commit(number, lane)),
                Step::InDoubt | Step::InDoubtAgain => actions.push(Action::Settle(number, lane)),
            }
        }
    }

    /// Makes an action happen. Answers `false` if it cannot.
    pub fn perform(&self, state: &mut State, action: Action) -> bool {
        match action {
            Action::Load(owner) => self.load(state, owner),
            Action::Look(owner) => self.look(state, owner),
            Action::FollowBack(owner) => self.follow_back(state, owner),
            Action::Divide(owner) => self.divide(state, owner),
            Action::Read(owner, count) => self.read(state, owner, count, None),
            Action::ReadAndLose(owner, count, lane) => return self.read_and_lose(state, owner, count, lane),
            Action::MoveIdleLanes(owner) => self.move_idle_lanes(state, owner),
            Action::Audit(owner) => self.audit(state, owner),
            Action::Begin(owner, lane, count) => self.begin(state, owner, lane, count),
            Action::BeginAgain(owner, lane) => self.begin_again(state, owner, lane),
            Action::Commit(owner, lane) => self.commit(state, owner, lane),
            Action::Settle(owner, lane) => self.settle(state, owner, lane),
            Action::Replace(owner) | Action::StartAgain(owner) => state.end_generation(owner),
            Action::ZombieCommits(lane) => self.end_zombie(state, lane, true),
            Action::ZombieRollsBack(lane) => self.end_zombie(state, lane, false),
            Action::Add => self.add(state),
            Action::FailBefore(owner, lane) => self.fail_before(state, owner, lane),
            Action::FailAfter(owner, lane) => self.fail_after(state, owner, lane),
            Action::Crash(owner) => self.crash(state, owner),
            Action::ChangeLanes(owner) => self.change_lanes(state, owner),
            Action::BackUp => state.database.backup = state.database.now,
            Action::Restore => self.restore(state),
            Action::LoseTail(newest) => self.lose_tail(state, newest),
            Action::Stuck => state.stuck = true,
        }
        true
    }
}
