//! Thousands of random schedules, in seconds, over the real pure core: the splitting into lanes, the credits, the queues,
//! the bisection, the folding and the restart strategy. Stream, database, time and processes are simulated, and so is
//! everything that goes wrong. A seed decides a whole schedule, so a failure can be run again:
//!
//! ```text
//! SIMULATION_SEED=… cargo test --test simulation -- --nocapture     one schedule, with every step
//! SIMULATION_SCHEDULES=… cargo test --test simulation               so many schedules
//! ```
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod invariants;
mod process;
mod random;
mod schedule;
mod world;

use std::collections::BTreeMap;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

/// Steps that are told of a schedule that failed.
const STEPS_TOLD: usize = 60;

/// What must have happened in so many schedules: otherwise they prove less than they seem to.
const HAPPENS: [&str; 20] = [
    "aligned",
    "answers to commits lost",
    "bad events found by halving",
    "chain_gap",
    "chain_moved",
    "committed by nobody",
    "configuration",
    "database",
    "divided anew",
    "end of the stream lost",
    "followed the stream back",
    "found committed",
    "frozen",
    "gave up",
    "killed",
    "messages lost or repeated",
    "panicked",
    "refused at commit",
    "restored",
    "trimmed",
];

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")))
}

#[test]
fn whatever_goes_wrong_every_event_is_applied_once_in_order() {
    if let Some(seed) = number("SIMULATION_SEED") {
        let mut steps = Vec::new();
        let outcome = catch_unwind(AssertUnwindSafe(|| schedule::run(seed, Some(Vec::new()), &mut steps)));
        steps.iter().for_each(|step| println!("{step}"));
        println!("{:#?}", outcome.unwrap_or_else(|panic| resume_unwind(panic)));
        return;
    }
    let is_full = env::var_os("WRITE_BEHIND_CHAOS").is_some_and(|value| value == "full");
    let schedules = number("SIMULATION_SCHEDULES").unwrap_or(if is_full { 30_000 } else { 3_000 });
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let happened = thread::scope(|scope| {
        let seeds = |first: usize| (first as u64..schedules).step_by(threads);
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(move || run_all(seeds(first)))).collect();
        let tallies = running.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        tallies.flatten().fold(BTreeMap::<&str, u64>::new(), |mut happened, (what, times)| {
            *happened.entry(what).or_default() += times;
            happened
        })
    });
    println!("{schedules} schedules: {happened:#?}");
    if schedules >= 1_000 {
        let never: Vec<&str> = HAPPENS.into_iter().filter(|what| !happened.contains_key(what)).collect();
        assert!(never.is_empty(), "never happened: {never:?}");
    }
}

/// Runs the schedules of these seeds; answers how often what happened.
fn run_all(seeds: impl Iterator<Item = u64>) -> BTreeMap<&'static str, u64> {
    let mut happened = BTreeMap::new();
    for seed in seeds {
        let outcome = catch_unwind(|| schedule::run(seed, None, &mut Vec::new()));
        let Ok(tally) = outcome else { failed(seed) };
        tally.into_iter().for_each(|(what, times)| *happened.entry(what).or_default() += times);
    }
    happened
}

/// Runs a schedule that failed once more, for its last steps.
fn failed(seed: u64) -> ! {
    let mut steps = Vec::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| schedule::run(seed, Some(Vec::new()), &mut steps)));
    steps.iter().skip(steps.len().saturating_sub(STEPS_TOLD)).for_each(|step| eprintln!("{step}"));
    let why = outcome.err().and_then(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned())
    });
    let why = why.unwrap_or_else(|| "not when it was run again".to_owned());
    panic!("a schedule failed; run it alone with SIMULATION_SEED={seed}: {why}");
}
