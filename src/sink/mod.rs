//! The SQL side: connecting, the catalogue, the checkpoint, and applying a batch in one transaction.
//!
//! [`Session`] is what a database must do; each database has a file, and may write rows its own fastest way.
//! What is the same for all (the order of a transaction, bisecting, settling a lost answer) is in [`Applier`].

mod apply;
mod assign;
pub mod bisect;
pub mod catalogue;
pub mod checkpoint;
pub mod classify;
pub mod ddl;
mod dead_letter;
mod mysql;
mod postgres;
mod read_back;
mod refusal;
pub mod rights;
mod sql;
mod sqlite;
mod sqlite_thread;
mod target;
mod trial;
mod values;

use std::time::Duration;

use futures_util::future::BoxFuture;
use sea_orm::DbBackend;

use crate::mapping::Step;
use crate::row::Value;

pub use apply::{Applied, Applier, ApplyError, LaneIdentity, within};
pub use classify::{ErrorClass, SqlError};
pub use read_back::{TextRow, select_sql};
pub use refusal::Refusal;
pub use sql::Sql;
pub use target::Target;
pub use trial::Trial;

/// How rows get into the form that each database takes. Public for `benches/stages.rs`.
pub mod encode {
    pub use super::mysql::bind as bind_mysql;
    pub use super::postgres::binary::Form;
    pub use super::postgres::copy::put_row as put_copy_row;
    pub use super::sqlite::bind as bind_sqlite;
    pub use super::values::ValuesStatements;
}

/// A transaction of ours may be idle for this much longer than a statement may take, before the server ends it.
const IDLE_MARGIN: Duration = Duration::from_secs(1);

/// What a database call answers.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, SqlError>>;

/// One connection to the target database, with at most one transaction at a time, for one writer.
///
/// A session whose call failed in another way than with a data error, or whose future was dropped, must be dropped:
/// that closes the connection, and the server rolls back what was not committed.
pub trait Session: Send {
    /// The statement that starts a transaction.
    fn begin_statement(&self) -> &'static str {
        "BEGIN"
    }

    /// Runs a statement that controls the transaction (`BEGIN`, `COMMIT`, `SAVEPOINT …`). If the answer to `COMMIT`
    /// is lost the outcome is unknown: the checkpoint tells.
    fn control(&mut self, statement: &'static str) -> Answer<'_, ()>;

    /// Runs one statement and answers the number of rows it matched. Placeholders are the dialect's.
    fn execute<'a>(&'a mut self, sql: Sql, arguments: Vec<Value<'a>>) -> Answer<'a, u64>;

    /// Which dialect of SQL the database speaks.
    fn backend(&self) -> DbBackend;

    /// Writes the rows of one step into the target table, the fastest way there is, and answers how many rows of it the
    /// database counted. After an error inside a savepoint the session goes on once it has been rolled back to it.
    fn write<'a>(&'a mut self, step: &'a Step<'a>) -> Answer<'a, u64>;

    /// The statements that [`Session::write`] would run for a step, for people to read.
    fn statements(&mut self, step: &Step<'_>) -> Result<Vec<Sql>, SqlError>;

    /// The rows of a query without arguments, as texts: for tools.
    fn rows(&mut self, sql: Sql) -> Answer<'_, Vec<TextRow>>;

    /// Checks at once what would otherwise be checked at commit, where the database has such constraints.
    fn check_deferred(&mut self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}
