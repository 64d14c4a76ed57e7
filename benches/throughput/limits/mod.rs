//! The limits: how fast a good client that does nothing else writes the same rows into the same table. Everything that
//! can be made beforehand is made beforehand, and off the clock.

pub mod mariadb;
pub mod postgres;
pub mod sqlite;

use std::time::Duration;

use crate::place::Fresh;
use crate::support::database::Kind;
use crate::work::Work;

/// Rows of one transaction.
const TRANSACTION_ROWS: usize = 5_000;

/// A limit with its rows made for it.
pub enum Limit {
    Postgres(postgres::Batches),
    MariaDb(Work),
    Sqlite(Work),
}

impl Limit {
    /// Makes the rows, as far as they can be used more than once.
    pub fn new(kind: Kind, work: &Work) -> Limit {
        match kind {
            Kind::Postgres => Limit::Postgres(postgres::Batches::new(work)),
            Kind::MariaDb => Limit::MariaDb(work.clone()),
            Kind::Sqlite => Limit::Sqlite(work.clone()),
        }
    }

    /// What it does, for people.
    pub fn name(kind: Kind, work: &Work) -> &'static str {
        use crate::work::Mode::{Append, Upsert};
        match (kind, work.mode) {
            (Kind::Postgres, Append) => "binary COPY",
            (Kind::Postgres, Upsert) => "COPY to a temporary table, then INSERT ... ON CONFLICT",
            (Kind::MariaDb, Append) => "prepared INSERT, 1,000 rows a statement",
            (Kind::MariaDb, Upsert) => "the same with ON DUPLICATE KEY UPDATE",
            (Kind::Sqlite, _) => "prepared INSERT, 50 rows a statement",
        }
    }

    /// Writes all rows; returns how long that took.
    pub async fn run(&self, fresh: &Fresh<'_>) -> Duration {
        match self {
            Limit::Postgres(batches) => batches.write(fresh).await,
            Limit::MariaDb(work) => mariadb::write(fresh, work).await,
            Limit::Sqlite(work) => sqlite::write(fresh, work),
        }
    }
}

/// `id, user_id, …`
fn names(work: &Work) -> String {
    let columns = work.columns.iter().map(|column| column.name.as_str());
    std::iter::once("id").chain(columns).collect::<Vec<_>>().join(", ")
}

/// `(?, ?), (?, ?)`
fn places(work: &Work, rows: usize) -> String {
    let row = format!("({})", vec!["?"; work.columns.len() + 1].join(", "));
    vec![row; rows].join(", ")
}

/// `user_id = SOURCE, …`
fn assignments(work: &Work, source: impl Fn(&str) -> String) -> String {
    let set = work.columns.iter().map(|column| format!("{} = {}", column.name, source(&column.name)));
    set.collect::<Vec<_>>().join(", ")
}
