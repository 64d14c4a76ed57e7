//! MariaDB: prepared statements of many rows.

use std::time::{Duration, Instant};

use sea_orm::sqlx::mysql::{MySql, MySqlArguments};
use sea_orm::sqlx::{self, Arguments, AssertSqlSafe, Executor};

use super::{TRANSACTION_ROWS, assignments, names, places};
use crate::observer;
use crate::place::Fresh;
use crate::work::{Mode, Value, Work, time};

const STATEMENT_ROWS: usize = 1_000;

pub async fn write(fresh: &Fresh<'_>, work: &Work) -> Duration {
    let mut connection = observer::mariadb(fresh.database().access()).await;
    let numbers: Vec<u64> = work.numbers().collect();
    let bound = |chunk: &[u64]| (statement(work, chunk.len()), bind(work, chunk));
    let transactions: Vec<Vec<_>> =
        numbers.chunks(TRANSACTION_ROWS).map(|rows| rows.chunks(STATEMENT_ROWS).map(bound).collect()).collect();
    let began = Instant::now();
    for statements in transactions {
        (&mut connection).execute("START TRANSACTION").await.expect("a transaction begins");
        for (sql, arguments) in statements {
            let query = sqlx::query_with::<MySql, _>(AssertSqlSafe(sql), arguments);
            (&mut connection).execute(query).await.expect("MariaDB takes rows");
        }
        (&mut connection).execute("COMMIT").await.expect("the transaction is committed");
    }
    began.elapsed()
}

fn statement(work: &Work, rows: usize) -> String {
    let insert = format!("INSERT INTO {} ({}) VALUES {}", work.table(), names(work), places(work, rows));
    match work.mode {
        Mode::Append => insert,
        Mode::Upsert => insert + " ON DUPLICATE KEY UPDATE " + &assignments(work, |name| format!("VALUES({name})")),
    }
}

fn bind(work: &Work, numbers: &[u64]) -> MySqlArguments {
    let mut arguments = MySqlArguments::default();
    for number in numbers {
        arguments.add(work.key(*number)).expect("a text is bound");
        for value in work.values(*number) {
            let bound = match value {
                Value::Text(text) => arguments.add(text),
                Value::Time(ms) => arguments.add(time(ms)),
                Value::Double(cents) => arguments.add(cents as f64 / 100.0),
            };
            bound.expect("a value is bound");
        }
    }
    arguments
}
