//! What it means that a statement of a person's, which changes tables, was not done.

use sea_orm::sqlx::mysql::MySqlDatabaseError;
use sea_orm::sqlx::{self, error::DatabaseError};
use sea_orm::{DbErr, RuntimeErr};

/// Why a statement was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This user may not do it.
    Rights,
    /// The database does not do it, whoever asks.
    Statement,
    /// The database did not answer.
    Unanswered,
}

impl From<&DbErr> for Refusal {
    fn from(error: &DbErr) -> Self {
        match error {
            DbErr::Conn(RuntimeErr::SqlxError(error))
            | DbErr::Exec(RuntimeErr::SqlxError(error))
            | DbErr::Query(RuntimeErr::SqlxError(error)) => match error.as_ref() {
                sqlx::Error::Database(error) if is_of_rights(error.as_ref()) => Refusal::Rights,
                sqlx::Error::Database(_) => Refusal::Statement,
                _ => Refusal::Unanswered,
            },
            _ => Refusal::Unanswered,
        }
    }
}

fn is_of_rights(error: &dyn DatabaseError) -> bool {
    // To a database, a user, a table, a column, a privilege, a routine; an account that may do nothing.
    const MYSQL: [u16; 9] = [1044, 1045, 1142, 1143, 1227, 1370, 1698, 1820, 3118];
    if let Some(mysql) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return MYSQL.contains(&mysql.number());
    }
    // PostgreSQL's, and SQLite's for a file that may only be read.
    error.code().is_some_and(|code| code == "42501" || code.len() == 5 && code.starts_with("28") || code == "8")
}
