//! What a writer does, by the rules of `src/actors/rdbms_writer.rs` and `src/sink/apply.rs`, a statement a step, with the
//! real queue, bisection and folding.

use std::collections::VecDeque;
use std::ops::Range;

use write_behind::actors::messages::Committed;
use write_behind::batch::{MappedBatch, MappedEvent, PendingBatches};
use write_behind::lane::Span;
use write_behind::mapping::fold;
use write_behind::sink::bisect::{Bisect, Refused};
use write_behind::sink::checkpoint::{Position, Totals};
use write_behind::supervision::exit::ExitReason;
use write_behind::table::TablePlan;

use super::Settings;
use crate::world::World;
use crate::world::database::{self, Advanced, Held, Transaction};
use crate::world::stream::number;

pub struct Writer {
    pub mailbox: VecDeque<MappedBatch>,
    lane: usize,
    /// Of the checkpoint's rows that it began with.
    generation: i64,
    pending: PendingBatches,
    work: Option<Work>,
    /// Credits of all batches it has taken and not committed.
    pub credits: usize,
    max_retries: u32,
    plan: TablePlan,
}

/// A batch that is being committed.
struct Work {
    batch: MappedBatch,
    /// What is left of it, the next part last.
    todo: Vec<Link>,
    phase: Phase,
    transaction: Option<Transaction>,
    /// Whether a try may have been committed without our hearing of it.
    in_doubt: bool,
    retries_left: u32,
}

/// A link of the chain: a batch, or a part of one.
#[derive(Clone, Debug)]
struct Link {
    span: Span,
    events: Range<usize>,
    skipped: u64,
}

enum Phase {
    /// Ask the checkpoint what became of the last try.
    Settle,
    /// Begin a transaction and move the checkpoint.
    Begin(How),
    /// Write everything.
    Write(How),
    Bisect {
        bisect: Bisect,
        good: Vec<usize>,
        dead: Vec<usize>,
    },
    Commit(How),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    AtOnce,
    WithSavepoints,
    AllDead,
}

/// Why a try ended.
enum Failure {
    /// The connection is gone, after `COMMIT` was sent or before.
    Transient {
        commit_was_sent: bool,
    },
    End(ExitReason),
}

impl From<ExitReason> for Failure {
    fn from(reason: ExitReason) -> Self {
        Failure::End(reason)
    }
}

impl Writer {
    pub fn new(lane: usize, position: &Position, settings: &Settings) -> Self {
        Writer {
            mailbox: VecDeque::new(),
            lane,
            generation: position.generation,
            pending: PendingBatches::new(position.last_id, settings.transaction_events_max),
            work: None,
            credits: 0,
            max_retries: settings.max_retries,
            plan: settings.plan.clone(),
        }
    }

    /// One step. Answers whether there was anything to do, and what the reader must hear.
    ///
    /// # Errors
    /// Why the writer ended.
    pub fn step(&mut self, world: &mut World) -> Result<(bool, Option<Committed>), ExitReason> {
        if (self.work.is_none() || world.random.coin())
            && let Some(batch) = self.mailbox.pop_front()
        {
            let credits = batch.credits;
            self.pending.push(batch).map_err(ExitReason::ChainGap)?;
            self.credits += credits;
            self.take_next();
            return Ok((true, None));
        }
        let Some(mut work) = self.work.take() else { return Ok((false, None)) };
        let lost = work.transaction.is_some_and(|transaction| !world.database.knows(transaction));
        let outcome = match lost || world.random.chance(world.rates.lost_connection) {
            true => Err(Failure::Transient { commit_was_sent: false }),
            false => self.go_on(&mut work, world),
        };
        match outcome {
            Ok(Progress::Waits) => self.work = Some(work),
            Ok(Progress::Step) => {
                self.work = Some(work);
                return Ok((true, None));
            }
            Ok(Progress::Done) => {
                work.drop_connection(world);
                let MappedBatch { span, credits, .. } = work.batch;
                self.credits -= credits;
                self.take_next();
                return Ok((
                    true,
                    Some(Committed { lane: self.lane as u32, upto: span.upto, credits, events: Vec::new() }),
                ));
            }
            Err(Failure::Transient { commit_was_sent }) => {
                if let Some(transaction) = work.transaction.take() {
                    world.database.abandon(transaction, commit_was_sent);
                }
                let Some(left) = work.retries_left.checked_sub(1) else {
                    return Err(ExitReason::Database("no retries left".to_owned()));
                };
                (work.retries_left, work.in_doubt) = (left, true);
                work.phase = Phase::Settle;
                self.work = Some(work);
                return Ok((true, None));
            }
            Err(Failure::End(reason)) => {
                work.drop_connection(world);
                return Err(reason);
            }
        }
        Ok((false, None))
    }

    /// The writer ends where it is: its connection is closed, perhaps just after it sent `COMMIT`.
    pub fn crash(self, world: &mut World) {
        if let Some(Work { transaction: Some(transaction), phase, .. }) = self.work {
            let commit_was_sent = matches!(phase, Phase::Commit(_)) && world.random.coin();
            world.database.abandon(transaction, commit_was_sent);
        }
    }

    fn take_next(&mut self) {
        if self.work.is_some() {
            return;
        }
        self.work = self.pending.take().map(|batch| Work {
            todo: vec![Link { span: batch.span, events: 0..batch.events.len(), skipped: batch.skipped as u64 }],
            batch,
            phase: Phase::Begin(How::AtOnce),
            transaction: None,
            in_doubt: false,
            retries_left: self.max_retries,
        });
    }

    fn go_on(&self, work: &mut Work, world: &mut World) -> Result<Progress, Failure> {
        let Some(link) = work.todo.last().cloned() else { return Ok(Progress::Done) };
        match &mut work.phase {
            Phase::Settle => {
                if self.settle(work, world)? {
                    return Ok(Progress::Done);
                }
                let events = 0..work.batch.events.len();
                work.todo = vec![Link { span: work.batch.span, events, skipped: work.batch.skipped as u64 }];
                work.phase = Phase::Begin(How::AtOnce);
            }
            Phase::Begin(how) => {
                let how = *how;
                let transaction = *work.transaction.get_or_insert_with(|| world.database.begin());
                let totals = match how {
                    How::AtOnce => link.totals(rejected(&work.batch, &link).len()),
                    How::WithSavepoints => Totals::default(),
                    How::AllDead => link.totals(link.events.len()),
                };
                match world.database.advance(transaction, self.held(link.span, totals)) {
                    Advanced::Waits => return Ok(Progress::Waits),
                    Advanced::Done => work.phase = Phase::Write(how),
                    // A transaction of ours whose answer was lost may have ended only after it was looked for.
                    Advanced::Moved if work.in_doubt && self.settle(work, world)? => return Ok(Progress::Done),
                    Advanced::Moved => return Err(ExitReason::ChainMoved(link.span.after).into()),
                }
            }
            Phase::Write(how) => {
                let how = *how;
                if world.random.chance(world.rates.configuration) {
                    return Err(ExitReason::Configuration("a table is gone".to_owned()).into());
                }
                self.write(how, work, &link, world);
            }
            Phase::Bisect { .. } => self.bisect(work, &link, world),
            Phase::Commit(how) => {
                let how = *how;
                if world.random.chance(world.rates.lost_answer) {
                    world.count("answers to commits lost");
                    return Err(Failure::Transient { commit_was_sent: true });
                }
                let transaction = work.transaction.take().expect("a transaction to commit");
                work.todo.pop();
                match world.database.commit(transaction, &world.stream) {
                    Ok(()) => work.phase = Phase::Begin(How::AtOnce),
                    Err(database::Refused) if how == How::AtOnce => {
                        work.todo.push(link);
                        work.phase = Phase::Begin(How::WithSavepoints);
                    }
                    Err(database::Refused) => {
                        world.count("refused at commit");
                        work.phase = match link.halves(&work.batch) {
                            Some([first, second]) => {
                                work.todo.extend([second, first]);
                                Phase::Begin(How::AtOnce)
                            }
                            None => {
                                work.todo.push(link);
                                Phase::Begin(How::AllDead)
                            }
                        };
                    }
                }
            }
        }
        Ok(Progress::Step)
    }

    fn held(&self, span: Span, totals: Totals) -> Held {
        Held { lane: self.lane, generation: self.generation, span, totals }
    }

    /// Whether the checkpoint says that an earlier try was committed.
    fn settle(&self, work: &mut Work, world: &mut World) -> Result<bool, ExitReason> {
        let positions = &world.database.state.checkpoint;
        match positions.get(self.lane).filter(|position| position.generation == self.generation) {
            Some(position) if position.last_id == work.batch.span.after => Ok(false),
            Some(position) if position.last_id == work.batch.span.upto => {
                world.count("found committed");
                Ok(true)
            }
            _ => Err(ExitReason::ChainMoved(work.batch.span.after)),
        }
    }

    /// Applies the link in one go, or prepares to bisect it.
    fn write(&self, how: How, work: &mut Work, link: &Link, world: &mut World) {
        let transaction = work.transaction.expect("a transaction to write in");
        let events = &work.batch.events;
        let (good, dead): (Vec<usize>, Vec<usize>) = link.events.clone().partition(|n| events[*n].outcome.is_ok());
        match how {
            How::WithSavepoints => {
                work.phase = Phase::Bisect { bisect: Bisect::new(good.len(), None), good, dead };
                return;
            }
            How::AllDead => world.database.note(transaction, Vec::new(), numbers(events, link.events.clone())),
            How::AtOnce => {
                if self.write_rows(transaction, events, &good, world).is_err() {
                    world.database.rollback(transaction);
                    (work.transaction, work.phase) = (None, Phase::Begin(How::WithSavepoints));
                    return;
                }
                world.database.note(transaction, numbers(events, good), numbers(events, dead));
            }
        }
        work.phase = Phase::Commit(how);
    }

    fn write_rows(
        &self,
        transaction: Transaction,
        events: &[MappedEvent],
        good: &[usize],
        world: &mut World,
    ) -> Result<(), database::Refused> {
        let changes = good.iter().filter_map(|n| events[*n].outcome.as_ref().ok()).flatten();
        fold(changes, std::slice::from_ref(&self.plan))
            .iter()
            .try_for_each(|step| world.database.write(transaction, step))
    }

    /// Tries the next range, or ends the bisection.
    fn bisect(&self, work: &mut Work, link: &Link, world: &mut World) {
        let transaction = work.transaction.expect("a transaction to bisect in");
        let Phase::Bisect { bisect, good, dead } = &mut work.phase else { return };
        let events = &work.batch.events;
        if let Some(range) = bisect.next_range() {
            let savepoint = world.database.savepoint(transaction);
            let written = self.write_rows(transaction, events, &good[range.clone()], world);
            if written.and_then(|()| world.database.check_deferred(transaction, savepoint)).is_err() {
                world.database.rollback_to(transaction, savepoint);
                if let Refused::Single(place) = bisect.refused(None) {
                    world.count("bad events found by halving");
                    dead.push(good[place]);
                }
            }
            return;
        }
        let applied: Vec<usize> = good.iter().copied().filter(|n| !dead.contains(n)).collect();
        let totals = link.totals(dead.len());
        world.database.note(transaction, numbers(events, applied), numbers(events, dead.iter().copied()));
        let at_end = Span { after: link.span.upto, upto: link.span.upto };
        let advanced = world.database.advance(transaction, self.held(at_end, totals));
        assert_eq!(advanced, Advanced::Done, "the row is held");
        work.phase = Phase::Commit(How::WithSavepoints);
    }
}

/// What a step came to.
enum Progress {
    /// Another transaction is in the way.
    Waits,
    Step,
    Done,
}

impl Work {
    fn drop_connection(&mut self, world: &mut World) {
        if let Some(transaction) = self.transaction.take() {
            world.database.abandon(transaction, false);
        }
    }
}

impl Link {
    fn totals(&self, dead: usize) -> Totals {
        let (events, dead) = (self.events.len() as u64, dead as u64);
        Totals { applied: events - dead, dead_lettered: dead, skipped: self.skipped }
    }

    fn halves(&self, batch: &MappedBatch) -> Option<[Link; 2]> {
        let Range { start, end } = self.events;
        if end - start < 2 {
            return None;
        }
        let place = start + (end - start) / 2;
        let middle = batch.events[place - 1].entry.id;
        let Span { after, upto } = self.span;
        Some([
            Link { span: Span { after, upto: middle }, events: start..place, skipped: 0 },
            Link { span: Span { after: middle, upto }, events: place..end, skipped: self.skipped },
        ])
    }
}

fn rejected(batch: &MappedBatch, link: &Link) -> Vec<usize> {
    link.events.clone().filter(|n| batch.events[*n].outcome.is_err()).collect()
}

fn numbers(events: &[MappedEvent], places: impl IntoIterator<Item = usize>) -> Vec<usize> {
    places.into_iter().map(|place| number(&events[place].entry)).collect()
}
