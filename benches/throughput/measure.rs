//! Limit and pipeline in turn, on the same work and in the same tables.

use std::io::{self, Write};

use crate::cpu;
use crate::limits::Limit;
use crate::load::{self, Loaded};
use crate::place::Place;
use crate::report::{Line, Spread};
use crate::run::{self, Run};
use crate::support::database::Kind;
use crate::verify::{self, Checksum};
use crate::work::Work;

/// What a line of the table is about.
pub struct Task {
    /// How it is called, and chosen by `--only`.
    pub name: String,
    pub kind: Kind,
    pub work: Work,
    /// Spread over that many streams; the limit is always one writer into one table.
    pub streams: u64,
    /// The number by which tasks of one kind differ.
    pub x: u64,
    pub at_least: Option<f64>,
    pub aim: Option<f64>,
}

/// Work that is in Redis and has its limit ready.
pub struct Measurement {
    task: Task,
    loaded: Vec<Loaded>,
    /// What each of the pipeline's tables must hold.
    expected: Vec<Checksum>,
    limit: Limit,
    /// What the limit's table must hold.
    whole: Checksum,
    rounds: Vec<Round>,
}

struct Round {
    /// Rows/s, and seconds of the client's and the server's CPU.
    limit: (f64, f64),
    /// Events/s.
    rate: f64,
    run: Run,
}

impl Measurement {
    /// Puts the work into Redis and makes the limit's rows.
    pub async fn new(place: &Place, task: Task) -> Measurement {
        told(&format!("loading {}", task.name));
        let works = task.work.spread(task.streams);
        let mut loaded = Vec::new();
        for work in &works {
            loaded.push(Loaded::new(&mut place.connection(), work.clone(), &task.name).await);
        }
        let expected = works.iter().map(verify::expected).collect();
        let whole = verify::expected(&task.work);
        let limit = Limit::new(task.kind, &task.work);
        Measurement { task, loaded, expected, limit, whole, rounds: Vec::new() }
    }

    /// Runs first the limit, then the pipeline, and verifies what each has written.
    pub async fn round(&mut self, place: &Place) {
        let Task { name, kind, work, .. } = &self.task;
        let limit = {
            let fresh = place.fresh(*kind, std::slice::from_ref(work)).await;
            let before = cpu::spent_by_all();
            let took = self.limit.run(&fresh).await;
            let cpu = cpu::spent_by_all() - before;
            verify::check(&fresh, work, self.whole).await;
            (work.events as f64 / took.as_secs_f64(), cpu)
        };
        let works: Vec<Work> = self.loaded.iter().map(|loaded| loaded.work().clone()).collect();
        let fresh = place.fresh(*kind, &works).await;
        let run = run::run(place, &fresh, &self.loaded).await;
        for (work, expected) in works.iter().zip(&self.expected) {
            verify::check(&fresh, work, *expected).await;
        }
        let rate = work.events as f64 / run.took.as_secs_f64();
        told(&format!("{name}: {rate:.0} of {:.0}/s", limit.0));
        self.rounds.push(Round { limit, rate, run });
    }

    /// What came out of all rounds.
    pub fn line(self) -> Line {
        let events = self.task.work.events;
        let rounds = &self.rounds;
        let spread = |take: fn(&Round) -> f64| Spread::of(rounds.iter().map(take));
        Line {
            limit_name: Limit::name(self.task.kind, &self.task.work),
            x: self.task.x,
            events,
            limit: spread(|round| round.limit.0),
            pipeline: spread(|round| round.rate),
            ratio: spread(|round| round.rate / round.limit.0),
            cpu_limit: spread(|round| round.limit.1).median,
            cpu_pipeline: spread(|round| round.run.cpu.pipeline).median,
            cpu_redis: spread(|round| round.run.cpu.redis).median,
            cpu_database: (self.task.kind != Kind::Sqlite).then(|| spread(|round| round.run.cpu.database).median),
            peak_mib: spread(|round| round.run.peak_mib).max,
            at_least: self.task.at_least,
            aim: self.task.aim,
            name: self.task.name,
        }
    }
}

/// All tasks of a section: a round of each, then the next round of each, one database after the other. A database goes on
/// writing for a while what it was given: the pipeline, which needs every core, is not measured beside another one that does.
pub async fn measure(place: &Place, tasks: Vec<Task>, rounds: usize) -> Vec<Line> {
    load::clear(&mut place.connection()).await;
    let mut all = Vec::new();
    for task in tasks {
        all.push(Measurement::new(place, task).await);
    }
    for of_one_database in all.chunk_by_mut(|one, next| one.task.kind == next.task.kind) {
        for _ in 0..rounds {
            for measurement in &mut *of_one_database {
                measurement.round(place).await;
            }
        }
    }
    all.into_iter().map(Measurement::line).collect()
}

/// Says how far it is, where it does not get into the results.
pub fn told(what: &str) {
    // Nobody may be listening.
    let _ = writeln!(io::stderr(), "{what}");
}
