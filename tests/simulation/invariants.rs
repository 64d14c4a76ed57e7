//! What must hold: at every commit, at every decision of a supervisor, and at the end. What does not hold panics.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;

use write_behind::lane::lane_of;
use write_behind::mapping::ChangeKind;
use write_behind::settings::SupervisorSettings;
use write_behind::sink::checkpoint::Totals;
use write_behind::supervision::exit::ExitReason;
use write_behind::supervision::strategy::Decision;

use crate::world::database::{Held, Open, Outcome, State};
use crate::world::stream::{Nature, Stream, key_text};

/// A transaction was committed: `before` became `after`.
pub fn committed(before: &State, open: &Open, after: &State, stream: &Stream) {
    let Some(held) = &open.held else { panic!("a commit that moves no checkpoint") };
    let Held { lane, span, totals, .. } = *held;
    let lanes = before.checkpoint.len();
    assert_eq!(before.checkpoint[lane].last_id, span.after, "lane {lane}: the checkpoint moved from elsewhere");
    assert!(span.after <= span.upto, "lane {lane}: the checkpoint goes back: {span}");
    let is_mine =
        |n: usize| lanes == 1 || lane_of(key_text(stream.history[n].key).as_bytes(), lanes as u32) as usize == lane;
    let outcomes = open.applied.iter().map(|n| (*n, Outcome::Applied));
    for (number, outcome) in outcomes.chain(open.dead.iter().map(|n| (*n, Outcome::DeadLetter))) {
        let event = &stream.history[number];
        assert!(!before.outcomes.contains_key(&number), "event {number} is done twice: {event:?}");
        assert!(span.after < event.id && event.id <= span.upto, "event {number} is not within {span}: {event:?}");
        assert!(is_mine(number), "event {number} went through lane {lane}: {event:?}");
        let expected = match event.nature {
            Nature::Good => Outcome::Applied,
            _ => Outcome::DeadLetter,
        };
        assert_eq!(outcome, expected, "event {number}: {event:?}");
    }
    let within = stream.within(span.after, span.upto).filter(|number| is_mine(*number));
    for number in within {
        let event = &stream.history[number];
        let done = event.nature == Nature::Skipped || after.outcomes.contains_key(&number);
        assert!(done || !event.owed, "lane {lane} passed event {number} by in {span}: {event:?}");
    }
    assert_eq!(totals.applied, open.applied.len() as u64, "events counted as applied");
    assert_eq!(totals.dead_lettered, open.dead.len() as u64, "events counted as dead letters");
    // Appended rows: exactly the events that were applied, in the order of the stream.
    if open.writes.iter().any(|(kind, _)| *kind == ChangeKind::Append) {
        assert_eq!(after.rows[before.rows.len()..], open.applied[..], "the rows of the transaction");
        in_order_per_key(before, after, stream);
    }
}

fn in_order_per_key(before: &State, after: &State, stream: &Stream) {
    for number in &after.rows[before.rows.len()..] {
        let key = stream.history[*number].key;
        let newer = before.rows.iter().find(|row| stream.history[**row].key == key && *row > number);
        assert_eq!(newer, None, "event {number} came after one of the same key that is newer");
    }
    assert!(after.rows[before.rows.len()..].is_sorted(), "rows out of order");
}

/// Everything is done.
pub fn at_end(state: &State, stream: &Stream) {
    let mut expected = Totals::default();
    let mut table = BTreeMap::new();
    let mut nothing_lost = true;
    for (number, event) in stream.history.iter().enumerate() {
        let outcome = state.outcomes.get(&number);
        let right = match event.nature {
            Nature::Skipped => outcome.is_none(),
            Nature::Good => outcome == Some(&Outcome::Applied),
            _ => outcome == Some(&Outcome::DeadLetter),
        };
        assert!(right || (!event.owed && outcome.is_none()), "event {number} ended as {outcome:?}: {event:?}");
        nothing_lost &= event.owed;
        match event.nature {
            Nature::Skipped => expected.skipped += 1,
            Nature::Good => expected.applied += 1,
            _ => expected.dead_lettered += 1,
        }
        if outcome == Some(&Outcome::Applied) {
            let key = key_text(event.key);
            match event.kind {
                ChangeKind::Append => {}
                ChangeKind::Upsert => drop(table.insert(key, number)),
                ChangeKind::Update => drop(table.get_mut(&key).map(|row| *row = number)),
                ChangeKind::Delete => drop(table.remove(&key)),
            }
        }
    }
    let totals = Totals::sum(&state.checkpoint.iter().map(|position| position.totals).collect::<Vec<_>>());
    let applied = state.outcomes.values().filter(|outcome| **outcome == Outcome::Applied).count() as u64;
    assert_eq!(totals.applied, applied, "events counted as applied");
    assert_eq!(totals.applied + totals.dead_lettered, state.outcomes.len() as u64, "events counted");
    // A link that is halved because of its COMMIT has all that it skipped in its second half. If there is a crash between
    // the two, those of the first half are passed by uncounted: nothing is wrong with the rows.
    if stream.history.iter().any(|event| event.nature == Nature::RefusedAtCommit) {
        expected.skipped = expected.skipped.min(totals.skipped);
    }
    assert!(!nothing_lost || totals == expected, "nothing was lost, so {totals:?} must be {expected:?}");
    assert_eq!(state.table, table, "the rows with a key");
}

/// Looks over a supervisor's shoulder.
pub struct RestartWatch {
    settings: SupervisorSettings,
    restarts: VecDeque<Duration>,
}

impl RestartWatch {
    pub fn new(settings: SupervisorSettings) -> Self {
        RestartWatch { settings, restarts: VecDeque::new() }
    }

    /// A stream ended, and this is what was decided.
    pub fn decided(&mut self, reason: &ExitReason, decision: &Decision, now: Duration) {
        let Decision::Restart(wait) = decision else {
            let paused = matches!(decision, Decision::Pause(_));
            assert_eq!(paused, matches!(reason, ExitReason::Configuration(_)), "{reason:?}: {decision:?}");
            let full = self.within_window(now) >= self.settings.max_restarts as usize;
            assert!(paused || full, "gave up after {} restarts", self.restarts.len());
            return;
        };
        assert!(*wait <= self.settings.restart_delay_max, "a wait of {wait:?}");
        if matches!(reason, ExitReason::Aligned | ExitReason::ChainMoved(_)) {
            return;
        }
        self.restarts.push_back(now);
        let restarts = self.within_window(now);
        let most = self.settings.max_restarts as usize;
        assert!(restarts <= most, "{restarts} restarts within the window, of at most {most}");
    }

    fn within_window(&mut self, now: Duration) -> usize {
        let window = self.settings.restart_window;
        self.restarts.retain(|at| now.saturating_sub(*at) <= window);
        self.restarts.len()
    }
}
