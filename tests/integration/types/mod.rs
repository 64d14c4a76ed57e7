//! Every type of every database: what documents hold comes out of the database again as it was, or is refused.
//!
//! A trial is a table with a column of each type, and an event for each value, all written by one pipeline.

mod mariadb;
mod postgres;
mod sqlite;

use std::collections::HashMap;
use std::fmt::Write;

use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::thing::{DEADLINE, drained};
use crate::workload::{done, redis_yaml};

/// One value on its way into a column.
#[derive(Clone)]
pub struct Case {
    /// The column's type.
    column: &'static str,
    /// The value, as JSON.
    value: String,
    /// What the database then says that it has, or the class of the dead letter.
    expected: Result<String, &'static str>,
}

/// `value` is JSON; the database says `expected`.
pub fn kept(column: &'static str, value: impl Into<String>, expected: impl Into<String>) -> Case {
    Case { column, value: value.into(), expected: Ok(expected.into()) }
}

/// `value` is JSON.
pub fn refused(column: &'static str, value: impl Into<String>, class: &'static str) -> Case {
    Case { column, value: value.into(), expected: Err(class) }
}

/// The ends of a type of whole numbers, as numbers and texts, and what is just beyond.
pub fn whole(column: &'static str, min: i128, max: i128) -> Vec<Case> {
    let mut cases = Vec::new();
    for end in [min, max] {
        cases.push(kept(column, end.to_string(), end.to_string()));
        cases.push(kept(column, format!("{end}.0"), end.to_string()));
        cases.push(kept(column, format!("\"{end}\""), end.to_string()));
    }
    for beyond in [min - 1, max + 1] {
        cases.push(refused(column, beyond.to_string(), "out_of_range"));
        cases.push(refused(column, format!("\"{beyond}\""), "out_of_range"));
    }
    cases.extend([
        kept(column, "1e1", "10"),
        kept(column, "0.5e1", "5"),
        refused(column, "0.5", "wrong_type"),
        refused(column, "\"x\"", "wrong_type"),
        refused(column, "[]", "wrong_type"),
    ]);
    cases
}

/// The longest decimals of 5 digits, 2 of them after the point, and what is just longer.
pub fn decimal_5_2(column: &'static str) -> Vec<Case> {
    vec![
        kept(column, "999.99", "999.99"),
        kept(column, "-999.99", "-999.99"),
        kept(column, "\"0.01\"", "0.01"),
        kept(column, "12e1", "120.00"),
        refused(column, "1000", "out_of_range"),
        refused(column, "-1000.00", "out_of_range"),
        refused(column, "0.001", "out_of_range"),
        refused(column, "1e-3", "out_of_range"),
        refused(column, "\"NaN\"", "wrong_type"),
    ]
}

/// A text of 3 characters, and one of 4.
pub fn three_chars(column: &'static str) -> Vec<Case> {
    vec![
        kept(column, "\"abc\"", "abc"),
        kept(column, r#""\u00e4\ud83d\ude00\u00df""#, "ä\u{1F600}ß"),
        kept(column, "1.5", "1.5"),
        refused(column, "\"abcd\"", "too_long"),
        refused(column, "\"abc \"", "too_long"),
        refused(column, "1.50", "too_long"),
        refused(column, r#""a\u0000""#, "out_of_range"),
        refused(column, r#""\ud83d""#, "bad_json"),
        refused(column, "{}", "wrong_type"),
    ]
}

/// A table, and how it is written.
pub struct Trial {
    /// The stream's name, and with `t_` before it the table's.
    pub name: &'static str,
    /// More lines of the stream's settings.
    pub settings: &'static str,
    /// What stands after the columns of the table.
    pub suffix: &'static str,
    /// What becomes of the values.
    pub cases: Vec<Case>,
}

/// Writes all values of the trials, and compares.
pub async fn check(kind: Kind, prepare: &str, trials: &[Trial], read: impl Fn(&str, &str) -> String) -> TestDatabase {
    let (redis, database) = (RedisServer::start(), TestDatabase::new(kind).await);
    if !prepare.is_empty() {
        database.execute(prepare).await;
    }
    let mut connection = redis.connection().await;
    let mut config = redis_yaml(redis.port()) + &database.settings_yaml() + "streams:\n";
    for trial in trials {
        let columns = columns_of(trial);
        let typed: Vec<String> = columns.iter().map(|(column, place)| format!("c{place} {column} NULL")).collect();
        let (name, typed) = (trial.name, typed.join(", "));
        database.execute(&format!("CREATE TABLE t_{name} (n integer PRIMARY KEY, {typed}){}", trial.suffix)).await;
        let mapped: Vec<String> = (0..columns.len()).map(|place| format!("c{place}: c{place}")).collect();
        let mapped = mapped.join(", ");
        writeln!(config, "  {name}:\n    table: t_{name}\n    columns: {{n: n, {mapped}}}\n{}", trial.settings)
            .unwrap();
        // All at once, so that they come in one batch.
        let mut pipe = redis::pipe();
        pipe.atomic();
        for (number, case) in trial.cases.iter().enumerate() {
            let place = place_of(&columns, case);
            let payload = format!(r#"{{"n": {number}, "c{place}": {}}}"#, case.value);
            pipe.xadd(format!("stream:{name}"), "*", &[("payload", payload)]).ignore();
        }
        pipe.query_async::<()>(&mut connection).await.unwrap();
    }
    let pipeline = PipelineProcess::start(&config, &[]);
    for trial in trials {
        done(&database, &format!("stream:{}", trial.name), trial.cases.len() as u64, DEADLINE).await;
    }
    drained(pipeline).await;
    let mut failures = Vec::new();
    for trial in trials {
        failures.extend(compare(&database, trial, &read).await);
    }
    assert!(failures.is_empty(), "{} of the values:\n{}", failures.len(), failures.join("\n"));
    database
}

/// The types of a trial, each with the number of its column, in the order of the numbers.
fn columns_of(trial: &Trial) -> Vec<(&'static str, usize)> {
    let mut columns: Vec<(&'static str, usize)> = Vec::new();
    for case in &trial.cases {
        if columns.iter().all(|(column, _)| *column != case.column) {
            columns.push((case.column, columns.len()));
        }
    }
    columns
}

fn place_of(columns: &[(&'static str, usize)], case: &Case) -> usize {
    columns.iter().find(|(column, _)| *column == case.column).unwrap().1
}

async fn compare(database: &TestDatabase, trial: &Trial, read: &impl Fn(&str, &str) -> String) -> Vec<String> {
    let columns = columns_of(trial);
    let of_entity =
        format!("SELECT document, error_class, message FROM write_behind_dead_letter WHERE entity = '{}'", trial.name);
    let mut outcomes: HashMap<u64, Result<String, (String, String)>> = HashMap::new();
    for letter in database.rows(&of_entity).await {
        let [document, class, message] = letter.try_into().unwrap();
        // The documents are JSON but for the surrogates in some.
        let document = document.unwrap();
        let number = document.strip_prefix(r#"{"n": "#).and_then(|rest| rest.split(',').next()).unwrap();
        let class = (class.unwrap(), message.unwrap_or_default());
        assert!(outcomes.insert(number.parse().unwrap(), Err(class)).is_none(), "two dead letters for {document}");
    }
    let numbers = if database.kind() == Kind::MariaDb { "CAST(n AS CHAR)" } else { "CAST(n AS text)" };
    for (column, place) in &columns {
        let value = read(column, &format!("c{place}"));
        let sql = format!("SELECT {numbers}, {value} FROM t_{} WHERE c{place} IS NOT NULL", trial.name);
        for row in database.rows(&sql).await {
            let [number, value] = row.try_into().unwrap();
            let both = outcomes.insert(number.unwrap().parse().unwrap(), Ok(value.unwrap()));
            assert!(both.is_none(), "a row and a dead letter in {column}");
        }
    }
    let mut failures = Vec::new();
    for (number, case) in (0u64..).zip(&trial.cases) {
        let outcome = outcomes.get(&number);
        let is_expected = match (outcome, &case.expected) {
            (Some(Ok(value)), Ok(expected)) => value == expected,
            (Some(Err((class, _))), Err(expected)) => class == expected,
            _ => false,
        };
        if !is_expected {
            let Case { column, value, expected } = case;
            failures.push(format!("{}: {column} from {value:.80}: {expected:?} expected, {outcome:?}", trial.name));
        }
    }
    failures
}
