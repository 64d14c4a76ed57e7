//! What is outside the processes: the stream, the database, the time, and what goes wrong.

pub mod database;
pub mod stream;

use std::collections::BTreeMap;
use std::time::Duration;

use self::database::Database;
use self::stream::Stream;
use crate::random::Random;
use crate::schedule::Rates;

pub struct World {
    pub random: Random,
    pub stream: Stream,
    pub database: Database,
    pub now: Duration,
    /// How often what goes wrong; nothing does in the end.
    pub rates: Rates,
    /// How often what happened.
    pub tally: BTreeMap<&'static str, u64>,
    /// The last steps, if they are to be told.
    pub trace: Option<Vec<String>>,
}

impl World {
    /// Counts something that happened.
    pub fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// Notes a step.
    pub fn tell(&mut self, step: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(step());
        }
    }
}
