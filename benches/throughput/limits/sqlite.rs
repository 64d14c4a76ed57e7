//! SQLite: prepared statements of some rows, through the thinnest client there is.

use std::time::{Duration, Instant};

use rusqlite::{Connection, Statement};

use super::{TRANSACTION_ROWS, assignments, names, places};
use crate::place::Fresh;
use crate::work::{Mode, Value, Work, time};

/// Of 1, 10, 25, 50, 100 and 200 rows none is faster.
const STATEMENT_ROWS: usize = 50;

pub fn write(fresh: &Fresh<'_>, work: &Work) -> Duration {
    let connection = Connection::open(fresh.file()).expect("SQLite opens the file");
    // As safe as the pipeline's own connections.
    connection.pragma_update(None, "journal_mode", "WAL").expect("WAL");
    connection.pragma_update(None, "synchronous", "FULL").expect("FULL");
    let numbers: Vec<u64> = work.numbers().collect();
    let rows: Vec<_> = numbers.iter().map(|number| (work.key(*number), bindable(work, *number))).collect();
    let mut insert = connection.prepare(&statement(work, STATEMENT_ROWS)).expect("SQLite prepares");
    let began = Instant::now();
    for transaction in rows.chunks(TRANSACTION_ROWS) {
        connection.execute_batch("BEGIN").expect("a transaction begins");
        let (whole, rest) = transaction.as_chunks::<STATEMENT_ROWS>();
        for rows in whole {
            bind(&mut insert, rows);
            insert.raw_execute().expect("SQLite takes rows");
        }
        if !rest.is_empty() {
            let mut insert = connection.prepare(&statement(work, rest.len())).expect("SQLite prepares");
            bind(&mut insert, rest);
            insert.raw_execute().expect("SQLite takes rows");
        }
        connection.execute_batch("COMMIT").expect("the transaction is committed");
    }
    began.elapsed()
}

enum Bindable {
    Text(String),
    Real(f64),
}

/// A value as the pipeline stores it: times are texts.
fn bindable(work: &Work, number: u64) -> Vec<Bindable> {
    let values = work.values(number).into_iter();
    let bindable = values.map(|value| match value {
        Value::Text(text) => Bindable::Text(text),
        Value::Time(ms) => Bindable::Text(time(ms).format("%Y-%m-%d %H:%M:%S%.3f").to_string()),
        Value::Double(cents) => Bindable::Real(cents as f64 / 100.0),
    });
    bindable.collect()
}

fn bind(statement: &mut Statement<'_>, rows: &[(String, Vec<Bindable>)]) {
    let mut place = 0;
    let mut next = || {
        place += 1;
        place
    };
    for (key, values) in rows {
        statement.raw_bind_parameter(next(), key.as_str()).expect("a text is bound");
        for value in values {
            let bound = match value {
                Bindable::Text(text) => statement.raw_bind_parameter(next(), text.as_str()),
                Bindable::Real(number) => statement.raw_bind_parameter(next(), number),
            };
            bound.expect("a value is bound");
        }
    }
}

fn statement(work: &Work, rows: usize) -> String {
    let insert = format!("INSERT INTO {} ({}) VALUES {}", work.table(), names(work), places(work, rows));
    match work.mode {
        Mode::Append => insert,
        Mode::Upsert => {
            let set = assignments(work, |name| format!("excluded.{name}"));
            format!("{insert} ON CONFLICT (id) DO UPDATE SET {set}")
        }
    }
}
