//! PostgreSQL: COPY in its binary form.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{self, AssertSqlSafe};

use super::{TRANSACTION_ROWS, assignments, names};
use crate::observer;
use crate::place::Fresh;
use crate::work::{Mode, Value, Work};

/// Bytes of one CopyData message: the server reads a message whole before it parses it, and so idles with large ones.
const MESSAGE_BYTES: usize = 64 * 1024;

/// From 1970 to 2000, when PostgreSQL's time begins, in microseconds.
const EPOCH_US: i64 = 946_684_800_000_000;

/// Rows as they travel.
pub struct Batches {
    work: Work,
    /// The messages of each transaction.
    transactions: Vec<Vec<Vec<u8>>>,
}

impl Batches {
    pub fn new(work: &Work) -> Batches {
        let numbers: Vec<u64> = work.numbers().collect();
        let transactions = numbers.chunks(TRANSACTION_ROWS).map(|chunk| messages(work, chunk)).collect();
        Batches { work: work.clone(), transactions }
    }

    pub async fn write(&self, fresh: &Fresh<'_>) -> Duration {
        let mut connection = observer::postgres(fresh.database().access()).await;
        let (table, names) = (self.work.table(), names(&self.work));
        match self.work.mode {
            Mode::Append => {
                let sql = format!("COPY {table} ({names}) FROM STDIN WITH (FORMAT binary)");
                let began = Instant::now();
                for messages in &self.transactions {
                    // A statement alone is a transaction.
                    copy(&mut connection, &sql, messages).await;
                }
                began.elapsed()
            }
            Mode::Upsert => {
                let temporary = format!("CREATE TEMPORARY TABLE incoming (LIKE {table}) ON COMMIT DELETE ROWS");
                execute(&mut connection, &temporary).await;
                let sql = format!("COPY incoming ({names}) FROM STDIN WITH (FORMAT binary)");
                let set = assignments(&self.work, |name| format!("excluded.{name}"));
                let merge = format!(
                    "INSERT INTO {table} ({names}) SELECT {names} FROM incoming ON CONFLICT (id) DO UPDATE SET {set}; \
                     COMMIT"
                );
                let began = Instant::now();
                for messages in &self.transactions {
                    execute(&mut connection, "BEGIN").await;
                    copy(&mut connection, &sql, messages).await;
                    execute(&mut connection, &merge).await;
                }
                began.elapsed()
            }
        }
    }
}

async fn copy(connection: &mut PgConnection, sql: &str, messages: &[Vec<u8>]) {
    let mut copy = connection.copy_in_raw(sql).await.expect("PostgreSQL takes COPY");
    for message in messages {
        copy.send(message.as_slice()).await.expect("PostgreSQL takes rows");
    }
    copy.finish().await.expect("PostgreSQL has the rows");
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
}

/// The rows of one transaction; of those with the same key the last, because one statement touches a row once.
fn messages(work: &Work, numbers: &[u64]) -> Vec<Vec<u8>> {
    let last: HashMap<String, u64> = numbers.iter().map(|number| (work.key(*number), *number)).collect();
    let mut messages = Vec::new();
    let mut message = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for number in numbers.iter().filter(|number| last[&work.key(**number)] == **number) {
        let fields = i16::try_from(work.columns.len() + 1).expect("few columns");
        message.extend(fields.to_be_bytes());
        field(&mut message, work.key(*number).as_bytes());
        for value in work.values(*number) {
            match value {
                Value::Text(text) => field(&mut message, text.as_bytes()),
                Value::Time(ms) => field(&mut message, &(ms * 1_000 - EPOCH_US).to_be_bytes()),
                Value::Double(cents) => field(&mut message, &(cents as f64 / 100.0).to_be_bytes()),
            }
        }
        if message.len() >= MESSAGE_BYTES {
            messages.push(std::mem::take(&mut message));
        }
    }
    message.extend((-1_i16).to_be_bytes());
    messages.push(message);
    messages
}

fn field(message: &mut Vec<u8>, bytes: &[u8]) {
    message.extend(i32::try_from(bytes.len()).expect("a short value").to_be_bytes());
    message.extend(bytes);
}
