//! One schedule: everything about it comes from its seed. First things go wrong, then nothing does, and a last process
//! must bring everything to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use write_behind::settings::SupervisorSettings;
use write_behind::table::{Column, ColumnKind, Table, TableName, TablePlan};

use crate::invariants;
use crate::process::{Process, Settings};
use crate::random::Random;
use crate::world::World;
use crate::world::database::Database;
use crate::world::stream::{Kinds, Stream};

/// How often something goes wrong, in a thousand: of all steps, or of the steps at which it can.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// A process is killed.
    pub kill: usize,
    /// An actor panics.
    pub panic: usize,
    /// A process stands still, or goes on.
    pub freeze: usize,
    /// A message inside a process is lost, or comes twice.
    pub lost_message: usize,
    /// The connection breaks at a statement.
    pub lost_connection: usize,
    /// It breaks between `COMMIT` and its answer.
    pub lost_answer: usize,
    /// The database refuses for a reason that only a person can mend.
    pub configuration: usize,
    /// A backup of the database is made.
    pub back_up: usize,
    /// The last one, or an older one, is put back.
    pub restore: usize,
    /// The stream is trimmed.
    pub trim: usize,
    /// Redis loses the stream's end.
    pub lose_end: usize,
}

impl Rates {
    fn chosen(random: &mut Random) -> Self {
        let mut rate = |most: usize| if random.coin() { random.between(1, most) } else { 0 };
        Rates {
            kill: rate(15),
            panic: rate(15),
            freeze: rate(30),
            lost_message: rate(15),
            lost_connection: rate(30),
            lost_answer: rate(300),
            configuration: rate(30),
            back_up: rate(10),
            restore: rate(8),
            trim: rate(10),
            lose_end: rate(6),
        }
    }
}

struct Schedule {
    world: World,
    processes: Vec<Process>,
    kinds: Kinds,
    /// Events that are still to be added.
    to_come: usize,
    started: usize,
}

/// Runs the schedule of a seed; answers what happened, and how. Panics if anything does not hold.
pub fn run(seed: u64, trace: Option<Vec<String>>, last_words: &mut Vec<String>) -> BTreeMap<&'static str, u64> {
    let mut schedule = Schedule::new(seed, trace);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| schedule.run()));
    *last_words = schedule.world.trace.take().unwrap_or_default();
    match outcome {
        Ok(()) => schedule.world.tally,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

impl Schedule {
    fn new(seed: u64, trace: Option<Vec<String>>) -> Self {
        let mut random = Random::new(seed);
        let kinds = Kinds {
            keys: random.between(1, 12),
            keyed: random.chance(300),
            bad_permille: [0, 10, 100, 500, 1_000][random.below(5)],
            skipped_permille: [0, 0, 200][random.below(3)],
            document_max: [0, 0, 100][random.below(3)],
            padding_max: [0, 60][random.below(2)],
        };
        let to_come = random.between(10, 120);
        let rates = Rates::chosen(&mut random);
        let processes = random.between(1, 3);
        let database = Database::new(random.coin());
        let stream = Stream::new(kinds.clone());
        let (tally, now) = (BTreeMap::new(), Duration::ZERO);
        let mut world = World { random, stream, database, now, rates, tally, trace };
        world.tell(|| format!("{to_come} events, {processes} processes, {kinds:?}"));
        let mut schedule = Schedule { world, processes: Vec::new(), kinds, to_come, started: 0 };
        for _ in 0..processes {
            let process = schedule.new_process();
            schedule.processes.push(process);
        }
        schedule
    }

    fn run(&mut self) {
        let steps = self.world.random.between(100, 1_200);
        for _ in 0..steps {
            self.go_wrong();
            self.pass_time();
            let one = self.world.random.below(self.processes.len());
            if !self.processes[one].frozen {
                self.processes[one].step(&mut self.world);
            }
        }
        self.come_to_an_end();
        invariants::at_end(&self.world.database.state, &self.world.stream);
    }

    /// Time passes, events come, and servers hear of connections that are gone.
    fn pass_time(&mut self) {
        let world = &mut self.world;
        world.now += Duration::from_millis(world.random.below(20) as u64);
        if self.to_come > 0 && world.random.chance(100) {
            let burst = world.random.between(1, self.to_come.min(10));
            (0..burst).for_each(|_| world.stream.add(&mut world.random));
            self.to_come -= burst;
        }
        for orphan in world.database.orphans() {
            if world.random.chance(200) && world.database.end_orphan(orphan, &world.stream) {
                world.count("committed by nobody");
            }
        }
    }

    fn go_wrong(&mut self) {
        let rates = self.world.rates.clone();
        let one = self.world.random.below(self.processes.len());
        let (world, process) = (&mut self.world, &mut self.processes[one]);
        if world.random.chance(rates.kill) && !process.has_ended() {
            world.tell(|| "killed".to_owned());
            world.count("killed");
            process.kill(world);
        }
        if world.random.chance(rates.panic) {
            process.panic(world);
        }
        if world.random.chance(rates.freeze) {
            process.frozen = !process.frozen;
            world.count("frozen");
        }
        if world.random.chance(rates.lost_message) {
            let repeat = world.random.coin();
            if process.spoil(repeat, world) {
                world.tell(|| format!("a message is {}", if repeat { "repeated" } else { "lost" }));
                world.count("messages lost or repeated");
            }
        }
        if world.random.chance(rates.back_up) {
            world.database.back_up();
        }
        if world.random.chance(rates.restore) {
            let which = world.random.below(world.database.backups().max(1));
            if world.database.restore(which) {
                world.tell(|| "the database is put back".to_owned());
                world.count("restored");
            }
        }
        if world.random.chance(rates.trim) {
            let done = world.database.done_for_good();
            let any = world.stream.history.get(world.random.below(world.stream.history.len().max(1)));
            // Most trim only what is done.
            let upto = any.map(|event| event.id).filter(|_| world.random.chance(300)).unwrap_or(done);
            world.tell(|| format!("trimmed up to {upto}"));
            world.stream.trim(upto, done);
            world.count("trimmed");
        }
        if world.random.chance(rates.lose_end) {
            let entries = world.random.between(1, 8);
            world.stream.lose_end(entries);
            world.tell(|| format!("Redis lost the last {entries} entries"));
            world.count("end of the stream lost");
        }
        // A container restarts what has ended, sometimes with other settings.
        if process.has_ended() && world.random.chance(100) {
            self.processes[one] = self.new_process();
        }
    }

    /// From here on nothing goes wrong.
    fn come_to_an_end(&mut self) {
        const STEPS_MAX: usize = 100_000;
        let world = &mut self.world;
        world.tell(|| "from here on nothing goes wrong".to_owned());
        self.processes.drain(..).for_each(|mut process| process.kill(world));
        for orphan in world.database.orphans() {
            world.database.end_orphan(orphan, &world.stream);
        }
        world.rates = Rates::default();
        let mut last = self.new_process();
        let mut draining = false;
        for _ in 0..STEPS_MAX {
            self.pass_time();
            last.step(&mut self.world);
            if last.has_ended() {
                assert!(draining, "the last process ended before it was asked to");
                return;
            }
            draining = draining || (self.to_come == 0 && last.drain(&mut self.world));
        }
        panic!("it does not come to an end");
    }

    fn new_process(&mut self) -> Process {
        self.started += 1;
        let random = &mut self.world.random;
        // What an entry costs at least and at most, and at most with its document.
        let (least, most) = (3 * 200, 3 * (230 + self.kinds.padding_max));
        let document = 3 * self.kinds.document_max;
        let bytes_max = random.between(1, 40) * most;
        // A read takes what would fit if its entries weighed as little as the last ones did; the first is of 16.
        let entries_bound = (bytes_max + 16 * most) * most / least;
        let settings = Settings {
            lanes: random.between(1, 4),
            transformers: random.between(1, 3),
            batch_size: random.between(1, 24),
            transaction_events_max: random.between(1, 48),
            bytes_max,
            bytes_bound: entries_bound * (least + document) / least,
            max_retries: random.below(4) as u32,
            supervisor: SupervisorSettings {
                max_restarts: random.between(1, 20) as u32,
                restart_window: Duration::from_secs(random.between(1, 20) as u64),
                restart_delay: Duration::from_millis(20),
                restart_delay_max: Duration::from_millis(500),
                healthy_after: Duration::from_secs(1),
                pause_retry: Duration::from_millis(200),
                hang_timeout: Duration::from_secs(10),
            },
            plan: plan(),
        };
        let started = self.started;
        self.world.tell(|| format!("process {started} starts with {} lanes", settings.lanes));
        Process::new(started.to_string(), settings)
    }
}

/// A table of keys, numbers of events, and what the database thinks of them.
fn plan() -> TablePlan {
    let column = |name: &str| Column { nullable: false, ..Column::new(name, "", ColumnKind::Other) };
    let table = Table::new(TableName::parse("item"), Vec::new());
    TablePlan::new(table, ["key", "n", "sound"].map(column).into(), vec![0])
}
