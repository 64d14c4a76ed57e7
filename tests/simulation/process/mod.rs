//! One process on the stream: its supervisor, and a generation of actors with their mailboxes. A mailbox is one queue, as
//! in actix: what is sent first is handled first. Which actor goes on next is the schedule's to choose.

mod prepare;
mod reader;
mod transformer;
mod writer;

use std::time::Duration;

use write_behind::actors::messages::{Committed, EntryBatch};
use write_behind::audit::WentBack;
use write_behind::credits::cost_of_documents;
use write_behind::event::StreamId;
use write_behind::settings::SupervisorSettings;
use write_behind::sink::checkpoint::Position;
use write_behind::supervision::exit::ExitReason;
use write_behind::supervision::strategy::{Decision, RestartStrategy};
use write_behind::table::TablePlan;

use self::prepare::{Prepared, Preparing};
use self::reader::{Reader, ToReader};
use self::transformer::Transformer;
use self::writer::Writer;
use crate::invariants::RestartWatch;
use crate::world::World;

/// The settings of a process.
#[derive(Clone, Debug)]
pub struct Settings {
    pub lanes: usize,
    pub transformers: usize,
    pub batch_size: usize,
    pub transaction_events_max: usize,
    pub bytes_max: usize,
    /// More than may ever be in flight, for streams as they are here.
    pub bytes_bound: usize,
    pub max_retries: u32,
    pub supervisor: SupervisorSettings,
    pub plan: TablePlan,
}

pub struct Process {
    name: String,
    settings: Settings,
    strategy: RestartStrategy,
    watch: RestartWatch,
    seen: Option<WentBack>,
    stage: Stage,
    /// It is stopped for a while (SIGSTOP, a machine that swaps), and then goes on.
    pub frozen: bool,
}

enum Stage {
    Waiting(Duration),
    Preparing(Preparing),
    Running(Box<Generation>),
    /// Killed, drained, or given up.
    Ended,
}

/// The actors.
struct Generation {
    reader: Reader,
    transformers: Vec<Transformer>,
    writers: Vec<Writer>,
    /// Credits of messages that were lost inside, less those of messages that came twice.
    credits_astray: isize,
    /// A message was lost or came twice: this generation must not end well.
    spoiled: bool,
}

impl Process {
    pub fn new(name: String, settings: Settings) -> Self {
        Process {
            name,
            strategy: RestartStrategy::new(settings.supervisor.clone()),
            watch: RestartWatch::new(settings.supervisor.clone()),
            settings,
            seen: None,
            stage: Stage::Preparing(Preparing::default()),
            frozen: false,
        }
    }

    /// One step of one of its parts. Answers whether any had something to do.
    pub fn step(&mut self, world: &mut World) -> bool {
        match &mut self.stage {
            Stage::Ended => false,
            Stage::Waiting(until) => {
                let due = *until <= world.now;
                if due {
                    self.stage = Stage::Preparing(Preparing::default());
                }
                due
            }
            Stage::Preparing(preparing) => match preparing.step(&self.settings, self.seen, world) {
                Ok(Some(prepared)) => {
                    self.run(prepared, world);
                    true
                }
                Ok(None) => true,
                Err(reason) => {
                    self.ended(reason, world);
                    true
                }
            },
            Stage::Running(generation) => match generation.step(world) {
                Ok(something) => {
                    generation.check(&self.settings);
                    something
                }
                Err(reason) => {
                    self.ended(reason, world);
                    true
                }
            },
        }
    }

    fn run(&mut self, prepared: Prepared, world: &mut World) {
        let name = &self.name;
        world.tell(|| format!("process {name} runs from {prepared:?}"));
        self.stage = Stage::Running(Box::new(Generation::new(prepared, &self.settings)));
        self.seen = None;
        self.strategy.started(world.now);
    }

    /// By the rules of `Supervisor::stream_ended`.
    fn ended(&mut self, reason: ExitReason, world: &mut World) {
        world.count(reason.name());
        let spoiled = matches!(&self.stage, Stage::Running(generation) if generation.spoiled);
        let is_well = matches!(reason, ExitReason::Drained | ExitReason::Aligned);
        assert!(!(spoiled && is_well), "a message was lost, and everything is said to be committed");
        self.kill(world);
        if let ExitReason::StreamReset(seen) = reason {
            self.seen = Some(seen);
        }
        let decision = match reason {
            ExitReason::Drained => None,
            _ => Some(self.strategy.failed(&reason, world.now, world.random.share())),
        };
        let name = &self.name;
        world.tell(|| format!("process {name} ended: {reason:?}; then {decision:?}"));
        let Some(decision) = decision else { return };
        self.watch.decided(&reason, &decision, world.now);
        match decision {
            Decision::Restart(wait) | Decision::Pause(wait) => self.stage = Stage::Waiting(world.now + wait),
            Decision::GiveUp => world.count("gave up"),
        }
    }

    /// It ends at once, wherever it is.
    pub fn kill(&mut self, world: &mut World) {
        if let Stage::Running(generation) = std::mem::replace(&mut self.stage, Stage::Ended) {
            generation.writers.into_iter().for_each(|writer| writer.crash(world));
        }
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    /// One of its actors panics.
    pub fn panic(&mut self, world: &mut World) {
        if matches!(self.stage, Stage::Running(_)) {
            self.ended(ExitReason::Panicked("somewhere".to_owned()), world);
        }
    }

    /// A message inside is lost, or comes twice. Answers whether there was one.
    pub fn spoil(&mut self, repeat: bool, world: &mut World) -> bool {
        let Stage::Running(generation) = &mut self.stage else { return false };
        generation.spoil(repeat, world)
    }

    /// Asks it to drain, if it has read everything there is. Answers whether it did.
    pub fn drain(&mut self, world: &mut World) -> bool {
        let Stage::Running(generation) = &mut self.stage else { return false };
        let Some(scanned) = generation.reader.scanned() else { return false };
        let all_read = world.stream.read(scanned, 1).is_empty();
        if all_read {
            generation.reader.mailbox.push_back(ToReader::Drain);
        }
        all_read
    }
}

impl Generation {
    fn new(Prepared { positions, align }: Prepared, settings: &Settings) -> Self {
        let ids: Vec<StreamId> = positions.iter().map(|position| position.last_id).collect();
        let writer = |(lane, position): (usize, &Position)| Writer::new(lane, position, settings);
        Generation {
            writers: positions.iter().enumerate().map(writer).collect(),
            transformers: (0..settings.transformers).map(|_| Transformer::default()).collect(),
            reader: Reader::new(ids.clone(), align, settings),
            credits_astray: 0,
            spoiled: false,
        }
    }

    /// One step of one actor, chosen at random among those that have something to do.
    fn step(&mut self, world: &mut World) -> Result<bool, ExitReason> {
        let (transformers, writers) = (self.transformers.len(), self.writers.len());
        let actors = 1 + transformers + writers;
        let first = world.random.below(actors);
        for actor in (0..actors).map(|n| (first + n) % actors) {
            let something = match actor {
                0 => self.step_reader(world)?,
                n if n <= transformers => self.step_transformer(n - 1, world),
                n => self.step_writer(n - 1 - transformers, world)?,
            };
            if something {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn step_reader(&mut self, world: &mut World) -> Result<bool, ExitReason> {
        let something = self.reader.step(world);
        for batch in self.reader.outbox.drain(..) {
            world.tell(|| format!("handed out: lane {} {} {} entries", batch.lane, batch.span, batch.entries.len()));
            let transformer = batch.lane as usize % self.transformers.len();
            self.transformers[transformer].mailbox.push_back(batch);
        }
        something
    }

    fn step_transformer(&mut self, transformer: usize, world: &mut World) -> bool {
        let Some((lane, batch, fetched)) = self.transformers[transformer].step(&world.stream) else { return false };
        if let Some(fetched) = fetched {
            self.reader.mailbox.push_back(ToReader::DocumentsFetched(fetched));
        }
        self.writers[lane as usize].mailbox.push_back(batch);
        true
    }

    fn step_writer(&mut self, writer: usize, world: &mut World) -> Result<bool, ExitReason> {
        let (something, committed) = self.writers[writer].step(world)?;
        if let Some(committed) = committed {
            world.tell(|| format!("committed: {committed:?}"));
            self.reader.mailbox.push_back(ToReader::Committed(committed));
        }
        Ok(something)
    }

    /// Loses the next message of a mailbox on the way of the data, or lets it come twice.
    fn spoil(&mut self, repeat: bool, world: &mut World) -> bool {
        let transformers = self.transformers.len();
        let place = world.random.below(transformers + self.writers.len());
        if place >= transformers {
            let Some(lost) = self.writers[place - transformers].mailbox.pop_front() else { return false };
            self.credits_astray += lost.credits as isize;
        } else {
            let Some(next) = self.transformers[place].mailbox.pop_front() else { return false };
            if repeat {
                let EntryBatch { lane, span, entries, credits } = &next;
                let twin = EntryBatch { lane: *lane, span: *span, entries: entries.clone(), credits: *credits };
                // A document that is fetched twice is paid for twice.
                self.credits_astray -= twin.credits as isize;
                self.transformers[place].mailbox.extend([twin, next]);
            } else {
                self.credits_astray += next.credits as isize;
            }
        }
        self.spoiled = true;
        true
    }

    /// What must hold after every step.
    fn check(&self, settings: &Settings) {
        let in_transformers = self.transformers.iter().flat_map(|transformer| &transformer.mailbox);
        let in_mailboxes = self.writers.iter().flat_map(|writer| &writer.mailbox);
        let mut held: usize = in_transformers.map(|batch| batch.credits).sum();
        held += in_mailboxes.map(|batch| batch.credits).sum::<usize>();
        held += self.writers.iter().map(|writer| writer.credits).sum::<usize>();
        let mut not_yet_spent = 0;
        for message in &self.reader.mailbox {
            match message {
                ToReader::Committed(Committed { credits, .. }) => held += credits,
                ToReader::DocumentsFetched(fetched) => not_yet_spent += cost_of_documents(fetched.bytes),
                ToReader::Drain => {}
            }
        }
        let out = self.reader.credits.bytes_in_flight();
        let expected = held as isize - not_yet_spent as isize + self.credits_astray;
        assert_eq!(out as isize, expected, "credits that are out, and credits that somebody holds");
        assert!(out <= settings.bytes_bound, "{out} bytes in flight, of at most {}", settings.bytes_bound);
    }
}
