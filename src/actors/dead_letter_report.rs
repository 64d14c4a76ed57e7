//! What the log says of a stream's dead letters: a line each would drown it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use slog::{Logger, warn};

use super::messages::DeadLetters;
use crate::event::{Rejection, StreamId};

/// At most one line in this time.
pub const SAID_EVERY: Duration = Duration::from_secs(10);

/// Shared by the writers of a stream. What it has not said yet it says when the time is over, and at the latest when it ends.
pub struct DeadLetterReport {
    log: Logger,
    tables: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    said: Option<Instant>,
    unsaid: u64,
    /// The newest of those that are not said, as an example.
    newest: Option<(StreamId, Rejection)>,
}

impl DeadLetterReport {
    /// Of a stream with these tables.
    pub fn new(log: Logger, tables: String) -> Self {
        DeadLetterReport { log, tables, state: Mutex::default() }
    }

    /// Takes in the dead letters of a commit.
    pub fn add(&self, count: u64, dead: &DeadLetters) {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.unsaid += count;
            if let DeadLetters::Known(dead) = dead
                && let Some(last) = dead.last()
                && state.newest.as_ref().is_none_or(|(newest, _)| *newest < last.0)
            {
                state.newest = Some(last.clone());
            }
        }
        self.say_in_time();
    }

    /// Says what is not said yet, unless something was said a moment ago.
    pub fn say_in_time(&self) {
        self.say(|said| said.is_none_or(|said| said.elapsed() >= SAID_EVERY));
    }

    /// Says what is not said yet.
    pub fn say_rest(&self) {
        self.say(|_| true);
    }

    fn say(&self, is_time: impl Fn(Option<Instant>) -> bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.unsaid == 0 || !is_time(state.said) {
            return;
        }
        let State { unsaid, newest, .. } = std::mem::take(&mut *state);
        state.said = Some(Instant::now());
        const WHAT: &str = "events became dead letters: see `pipeline dead-letters list`";
        match newest {
            Some((id, why)) => warn!(self.log, "{}", WHAT; "events" => unsaid, "newest" => %id,
                "class" => why.class.name(), "column" => &why.column, "table" => &self.tables),
            // The answer to the commit was lost: they stand in the database alone.
            None => warn!(self.log, "{}", WHAT; "events" => unsaid, "table" => &self.tables),
        }
    }
}

impl Drop for DeadLetterReport {
    fn drop(&mut self) {
        self.say_rest();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use slog::{Drain, KV, Never, OwnedKVList, Record, Serializer};

    use super::*;
    use crate::event::RejectionClass;

    /// The numbers that were said.
    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u64>>>);

    impl Serializer for Said {
        fn emit_u64(&mut self, key: slog::Key, value: u64) -> slog::Result {
            assert_eq!(key, "events");
            self.0.lock().unwrap().push(value);
            Ok(())
        }

        fn emit_arguments(&mut self, _: slog::Key, _: &std::fmt::Arguments) -> slog::Result {
            Ok(())
        }
    }

    impl Drain for Said {
        type Ok = ();
        type Err = Never;

        fn log(&self, record: &Record, _: &OwnedKVList) -> Result<(), Never> {
            record.kv().serialize(record, &mut self.clone()).unwrap();
            Ok(())
        }
    }

    #[test]
    fn every_dead_letter_is_counted_once() {
        let said = Said::default();
        let report = DeadLetterReport::new(Logger::root(said.clone().fuse(), slog::o!()), "thing".to_owned());
        let dead = |ms| {
            DeadLetters::Known(vec![(StreamId { ms, seq: 0 }, Rejection::new(RejectionClass::BadJson, "is no JSON"))])
        };
        report.add(0, &DeadLetters::Known(Vec::new()));
        report.add(1, &dead(1));
        report.add(2, &dead(2));
        report.add(3, &DeadLetters::InDatabase);
        assert_eq!(*said.0.lock().unwrap(), [1], "the first at once, the others in time");
        report.say_in_time();
        report.say_rest();
        report.say_rest();
        report.add(4, &DeadLetters::InDatabase);
        drop(report);
        assert_eq!(*said.0.lock().unwrap(), [1, 5, 4]);
    }
}
