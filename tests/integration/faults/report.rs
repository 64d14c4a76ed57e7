//! The size of the runs, and the table of what they did.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::support::database::Kind;

/// Whether the runs are of full size (`make chaos`).
pub fn is_full() -> bool {
    std::env::var_os("WRITE_BEHIND_CHAOS").is_some_and(|value| value == "full")
}

/// A number that depends on the size of the runs.
pub fn sized<T>(short: T, full: T) -> T {
    if is_full() { full } else { short }
}

/// One run of a fault, from its start to its end.
pub struct Run {
    fault: &'static str,
    what: String,
    database: &'static str,
    started: Instant,
}

impl Run {
    /// A run of the fault with this number in the reliability page (`"4 proxy"`).
    pub fn of(fault: &'static str, what: impl Into<String>, database: Kind) -> Self {
        Run { fault, what: what.into(), database: database.name(), started: Instant::now() }
    }

    /// Says that everything that is asserted held: how often the fault happened, among how many events, and what was
    /// seen of it.
    pub fn held(self, times: u64, events: u64, seen: impl AsRef<str>) {
        static ROWS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
        let Run { fault, what, database, started } = self;
        let (seconds, seen) = (started.elapsed().as_secs(), seen.as_ref());
        let row = format!("| {fault} | {what} | {database} | {times} | {events} | {seen} | {seconds} |");
        let mut rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
        // Two-digit numbers after one-digit ones.
        let number: u32 = fault.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        rows.insert(format!("{number:02} {fault} {what} {database}"), row);
        let size = sized("short", "full");
        let head = format!(
            "Faults at {size} size. After each, rows, dead letters and counters were equal to the model.\n\n\
             | fault | how | database | times | events | seen | s |\n|---|---|---|---:|---:|---|---:|\n"
        );
        let table = rows.values().fold(head, |table, row| table + row + "\n");
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos.md");
        fs::write(&file, table).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }
}
