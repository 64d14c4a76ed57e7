//! What is measured.

use crate::measure::Task;
use crate::support::database::Kind;
use crate::table::grouped;
use crate::work::{Mode, Way, Work};

/// Events of a run, unless it is about their number.
const EVENTS: u64 = 200_000;

/// The work of the ratios, with the least that is asked for and what is hoped for.
pub fn reach() -> Vec<Task> {
    let task = |name: &str, kind, way, mode, [at_least, aim]: [f64; 2]| Task {
        name: name.to_owned(),
        kind,
        work: Work::user_actions(way, mode, EVENTS),
        streams: 1,
        x: EVENTS,
        at_least: Some(at_least),
        aim: Some(aim),
    };
    vec![
        task("postgres append inline", Kind::Postgres, Way::Inline, Mode::Append, [0.70, 0.90]),
        task("postgres append ref", Kind::Postgres, Way::Ref, Mode::Append, [0.50, 0.70]),
        task("postgres upsert inline", Kind::Postgres, Way::Inline, Mode::Upsert, [0.75, 0.95]),
        task("mariadb append inline", Kind::MariaDb, Way::Inline, Mode::Append, [0.75, 0.95]),
        task("mariadb upsert inline", Kind::MariaDb, Way::Inline, Mode::Upsert, [0.75, 0.95]),
        task("sqlite append inline", Kind::Sqlite, Way::Inline, Mode::Append, [0.50, 0.80]),
    ]
}

/// PostgreSQL, append, inline, and longer and longer backlogs.
pub fn backlog() -> Vec<Task> {
    let task = |events| {
        let work = Work::user_actions(Way::Inline, Mode::Append, events);
        variant(format!("backlog {}", grouped(events as f64)), work, 1, events)
    };
    [50_000, 200_000, 500_000, 1_000_000, 2_000_000].map(task).into()
}

/// PostgreSQL, append, inline, and more and more columns.
pub fn columns() -> Vec<Task> {
    let task = |columns| variant(format!("columns {columns}"), Work::wide(columns, EVENTS), 1, columns as u64);
    [1, 10, 50].map(task).into()
}

/// PostgreSQL, append, inline, and more and more streams for the same number of events.
pub fn streams() -> Vec<Task> {
    let work = Work::user_actions(Way::Inline, Mode::Append, EVENTS);
    let task = |streams| variant(format!("streams {streams}"), work.clone(), streams, streams);
    [1, 4, 16].map(task).into()
}

/// Names, databases and seconds.
pub fn latency(quick: bool) -> Vec<(String, Kind, u64)> {
    let (kinds, seconds): (&[Kind], u64) = match quick {
        true => (&[Kind::Postgres], 3),
        false => (&[Kind::Postgres, Kind::MariaDb, Kind::Sqlite], 10),
    };
    kinds.iter().map(|kind| (format!("latency {}", kind.name()), *kind, seconds)).collect()
}

fn variant(name: String, work: Work, streams: u64, x: u64) -> Task {
    Task { name, kind: Kind::Postgres, work, streams, x, at_least: None, aim: None }
}
