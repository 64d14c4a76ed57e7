//! What a database error means: try again, the row's fault, or a person must act. One table per database.

use sea_orm::sqlx::mysql::MySqlDatabaseError;
use sea_orm::sqlx::postgres::PgDatabaseError;
use sea_orm::sqlx::{self, error::DatabaseError};
use sea_orm::{DbErr, RuntimeErr};

use crate::error::PipelineError;
use crate::event::RejectionClass;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// It can go away by itself: the same batch again, after a while.
    Transient,
    /// Another transaction was in the way (deadlock, serialization): the same batch again, at once.
    Conflict,
    /// A row's data is at fault: that event becomes a dead letter.
    Data(RejectionClass),
    /// Credentials, rights or tables are not as they must be: no event is at fault, a person must act.
    Configuration,
}

/// An error of the database, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// What to do about it.
    pub class: ErrorClass,
    /// The error in words, with the database's code.
    pub message: String,
}

impl SqlError {
    /// An error that another try may not meet.
    pub fn transient(message: impl Into<String>) -> Self {
        SqlError { class: ErrorClass::Transient, message: message.into() }
    }

    /// Whether a row's data is at fault.
    pub fn is_data(&self) -> bool {
        matches!(self.class, ErrorClass::Data(_))
    }

    /// A value that the driver cannot send: the row is at fault.
    pub fn unbindable(error: sqlx::error::BoxDynError) -> Self {
        let message = format!("the value cannot be sent to the database: {error}");
        SqlError { class: ErrorClass::Data(RejectionClass::Refused), message }
    }
}

impl From<SqlError> for PipelineError {
    fn from(error: SqlError) -> Self {
        match error.class {
            ErrorClass::Transient | ErrorClass::Conflict => PipelineError::Unavailable(error.message),
            ErrorClass::Configuration | ErrorClass::Data(_) => PipelineError::Configuration(error.message),
        }
    }
}

impl From<sqlx::Error> for SqlError {
    fn from(error: sqlx::Error) -> Self {
        let (class, message) = classify(&error);
        SqlError { class, message }
    }
}

impl From<DbErr> for SqlError {
    fn from(error: DbErr) -> Self {
        match &error {
            DbErr::Conn(RuntimeErr::SqlxError(inner))
            | DbErr::Exec(RuntimeErr::SqlxError(inner))
            | DbErr::Query(RuntimeErr::SqlxError(inner)) => {
                let (class, message) = classify(inner);
                SqlError { class, message }
            }
            DbErr::ConnectionAcquire(_) => SqlError::transient(error.to_string()),
            // What SeaORM itself could not make sense of (a type it cannot decode) will not change by itself.
            _ => SqlError { class: ErrorClass::Configuration, message: error.to_string() },
        }
    }
}

fn classify(error: &sqlx::Error) -> (ErrorClass, String) {
    match error {
        sqlx::Error::Database(database) => of_database(database.as_ref()),
        sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => (ErrorClass::Configuration, error.to_string()),
        // The connection, the pool, a torn protocol: the next connection may be well. What no row of the tables
        // below knows is tried again too, but not for ever: the writer's and the supervisor's limits see to that.
        _ => (ErrorClass::Transient, error.to_string()),
    }
}

fn of_database(error: &dyn DatabaseError) -> (ErrorClass, String) {
    if let Some(postgres) = error.try_downcast_ref::<PgDatabaseError>() {
        let detail = postgres.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
        let message = format!("{}{detail} [SQLSTATE {}]", postgres.message(), postgres.code());
        return (sqlstate(postgres.code()), message);
    }
    if let Some(mysql) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return (mysql_number(mysql.number()), format!("{} [error {}]", mysql.message(), mysql.number()));
    }
    let code = error.code().and_then(|code| code.parse().ok()).unwrap_or(0);
    (sqlite_code(code, error.message()), format!("{} [SQLite code {code}]", error.message()))
}

/// PostgreSQL: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn sqlstate(code: &str) -> ErrorClass {
    use ErrorClass::{Configuration, Conflict, Data, Transient};
    match code {
        "22001" => Data(RejectionClass::TooLong),
        "22003" | "22007" | "22008" => Data(RejectionClass::OutOfRange),
        "22P02" | "22P03" | "22P05" | "22021" => Data(RejectionClass::WrongType),
        // An index row or a statement that is too large is the fault of the value in it.
        "54000" => Data(RejectionClass::TooLong),
        "40001" | "40P01" => Conflict,
        // no replica identity, a view that takes no rows
        "55000" => Configuration,
        "44000" => Data(RejectionClass::Constraint),
        _ => match code.get(..2).unwrap_or_default() {
            "22" => Data(RejectionClass::Refused),
            "21" | "23" => Data(RejectionClass::Constraint),
            // what triggers and functions raise, with the codes of PL/pgSQL
            "27" | "38" | "39" | "P0" => Data(RejectionClass::Refused),
            // invalid authorization, unknown database, unknown schema, syntax or access rule, not supported
            "28" | "3D" | "3F" | "42" | "0A" => Configuration,
            // connection, rollback, read-only, resources, lock, operator, system, internal
            "08" | "25" | "40" | "53" | "55" | "57" | "58" | "72" | "XX" => Transient,
            // The standard leaves classes that begin with these to implementations; the server's own are above, so
            // a trigger raised it with a code of its own.
            class if class.starts_with(|first: char| matches!(first, '5'..='9' | 'I'..='Z')) => {
                Data(RejectionClass::Refused)
            }
            _ => Transient,
        },
    }
}

/// MySQL and MariaDB: <https://mariadb.com/kb/en/mariadb-error-code-reference/>
fn mysql_number(number: u16) -> ErrorClass {
    use ErrorClass::{Configuration, Conflict, Data, Transient};
    match number {
        1213 | 1020 => Conflict,
        // duplicate key, not null, foreign key, no default, check (MySQL, MariaDB)
        1022 | 1048 | 1062 | 1169 | 1216 | 1217 | 1364 | 1451 | 1452 | 1557 | 1586 | 1761 | 1762 | 3819 | 4025 => {
            Data(RejectionClass::Constraint)
        }
        1406 | 1153 | 1118 => Data(RejectionClass::TooLong),
        1264 | 1365 | 1441 | 1690 => Data(RejectionClass::OutOfRange),
        1265 | 1292 | 1366 | 1367 | 1411 | 1416 | 4079 => Data(RejectionClass::WrongType),
        // invalid JSON, SIGNAL of a trigger, no partition for the value
        3140..=3157 | 1644 | 1526 | 4038 => Data(RejectionClass::Refused),
        // access denied, unknown database, table, column; no such grant; wrong syntax; unknown engine
        1044 | 1045 | 1049 | 1054 | 1064 | 1142 | 1143 | 1146 | 1227 | 1286 | 1288 | 1471 | 1370 | 1698 => {
            Configuration
        }
        // lock wait, too many connections, killed, shutdown, read-only, disk full, network, ...
        _ => Transient,
    }
}

/// SQLite: <https://www.sqlite.org/rescode.html>
fn sqlite_code(code: i32, message: &str) -> ErrorClass {
    use ErrorClass::{Configuration, Data, Transient};
    // The general error is both: what is wrong with the statement, and what a function says of a value.
    const OF_A_STATEMENT: [&str; 5] = ["no such", "near \"", "has no column", "cannot", "not authorized"];
    match code & 0xff {
        1 if !OF_A_STATEMENT.iter().any(|words| message.contains(words)) => Data(RejectionClass::Refused),
        19 => Data(RejectionClass::Constraint),
        18 => Data(RejectionClass::TooLong),
        20 => Data(RejectionClass::WrongType),
        // no such table or column, no permission, not authorised, corrupt, not a database
        1 | 3 | 11 | 23 | 26 => Configuration,
        // busy, locked, read-only, I/O, full, cannot open, ...
        _ => Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ErrorClass::{Configuration, Conflict, Data, Transient};
    use RejectionClass::{Constraint, OutOfRange, Refused, TooLong, WrongType};

    #[test]
    fn postgres_codes() {
        for (code, class) in [
            ("22001", Data(TooLong)),
            ("22003", Data(OutOfRange)),
            ("22007", Data(OutOfRange)),
            ("22008", Data(OutOfRange)),
            ("22P02", Data(WrongType)),
            ("22021", Data(WrongType)),
            ("22012", Data(Refused)),
            ("23502", Data(Constraint)),
            ("23503", Data(Constraint)),
            ("23505", Data(Constraint)),
            ("23514", Data(Constraint)),
            ("44000", Data(Constraint)),
            ("54000", Data(TooLong)),
            ("21000", Data(Constraint)),
            ("P0001", Data(Refused)),
            ("P0002", Data(Refused)),
            ("MY001", Data(Refused)),
            ("55000", Configuration),
            ("08006", Transient),
            ("25006", Transient),
            ("40001", Conflict),
            ("40P01", Conflict),
            ("53100", Transient),
            ("53300", Transient),
            ("55P03", Transient),
            ("57014", Transient),
            ("57P01", Transient),
            ("57P03", Transient),
            ("58030", Transient),
            ("XX000", Transient),
            ("28P01", Configuration),
            ("3D000", Configuration),
            ("42501", Configuration),
            ("42703", Configuration),
            ("42P01", Configuration),
            ("42P10", Configuration),
        ] {
            assert_eq!(sqlstate(code), class, "{code}");
        }
    }

    #[test]
    fn mysql_numbers() {
        for (number, class) in [
            (1048, Data(Constraint)),
            (1062, Data(Constraint)),
            (1452, Data(Constraint)),
            (3819, Data(Constraint)),
            (4025, Data(Constraint)),
            (1406, Data(TooLong)),
            (1264, Data(OutOfRange)),
            (1365, Data(OutOfRange)),
            (1416, Data(WrongType)),
            (1471, Configuration),
            (1292, Data(WrongType)),
            (1366, Data(WrongType)),
            (3140, Data(Refused)),
            (1644, Data(Refused)),
            (1021, Transient),
            (1040, Transient),
            (1053, Transient),
            (1205, Transient),
            (1213, Conflict),
            (1290, Transient),
            (1317, Transient),
            (1836, Transient),
            (1927, Transient),
            (1969, Transient),
            (1044, Configuration),
            (1045, Configuration),
            (1049, Configuration),
            (1054, Configuration),
            (1142, Configuration),
            (1146, Configuration),
        ] {
            assert_eq!(mysql_number(number), class, "{number}");
        }
    }

    #[test]
    fn sqlite_codes() {
        for (code, class) in [
            (275, Data(Constraint)),
            (1299, Data(Constraint)),
            (2067, Data(Constraint)),
            (18, Data(TooLong)),
            (20, Data(WrongType)),
            (5, Transient),
            (261, Transient),
            (8, Transient),
            (10, Transient),
            (13, Transient),
            (14, Transient),
            (1, Configuration),
            (11, Configuration),
            (26, Configuration),
        ] {
            assert_eq!(sqlite_code(code, "no such table: t"), class, "{code}");
        }
        assert_eq!(sqlite_code(1, "malformed JSON"), Data(Refused));
    }
}
