//! What a database error means: try again, the row's fault, or a person must act. One table per database.

use sea_orm::sqlx::mysql::MySqlDatabaseError;
use sea_orm::sqlx::postgres::PgDatabaseError;
use sea_orm::sqlx::{self, error::DatabaseError};
use sea_orm::{DbErr, RuntimeErr};

use crate::error::PipelineError;
use crate::event::RejectionClass::{self, Constraint, OutOfRange, Refused, TooLong, WrongType};

use ErrorClass::{Configuration, Conflict, Data, Transient};

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
    /// The row of the step that it names, from 0, if it names one. It is only a hint at which row is at fault.
    pub row: Option<usize>,
}

impl SqlError {
    /// An error that names no row.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        SqlError { class, message: message.into(), row: None }
    }

    /// An error that another try may not meet.
    pub fn transient(message: impl Into<String>) -> Self {
        SqlError::new(ErrorClass::Transient, message)
    }

    /// Whether a row's data is at fault.
    pub fn is_data(&self) -> bool {
        matches!(self.class, ErrorClass::Data(_))
    }

    /// A value that the driver cannot send: the row is at fault.
    pub fn unbindable(error: sqlx::error::BoxDynError) -> Self {
        let message = format!("the value cannot be sent to the database: {error}");
        SqlError::new(ErrorClass::Data(RejectionClass::Refused), message)
    }

    /// A value of row `row` for which its column has no binary form.
    pub fn unfit(column: &str, why: &str, row: usize) -> Self {
        SqlError { row: Some(row), ..SqlError::unbindable(format!("column `{column}`: {why}").into()) }
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
        SqlError::new(class, message)
    }
}

impl From<DbErr> for SqlError {
    fn from(error: DbErr) -> Self {
        match &error {
            DbErr::Conn(RuntimeErr::SqlxError(inner))
            | DbErr::Exec(RuntimeErr::SqlxError(inner))
            | DbErr::Query(RuntimeErr::SqlxError(inner)) => {
                let (class, message) = classify(inner);
                SqlError::new(class, message)
            }
            DbErr::ConnectionAcquire(_) => SqlError::transient(error.to_string()),
            // What SeaORM itself could not make sense of (a type it cannot decode) will not change by itself.
            _ => SqlError::new(ErrorClass::Configuration, error.to_string()),
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
        let class = match postgres.routine() {
            // Numbers of transactions are used up until somebody has cleaned up: an outage, and no row's fault.
            Some("GetNewMultiXactId" | "GetNewTransactionId") => Transient,
            // A policy of row-level security refuses a row, not the user.
            Some("ExecWithCheckOptions") => Data(Refused),
            _ => sqlstate(postgres.code()),
        };
        return (class, message);
    }
    if let Some(mysql) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return (mysql_number(mysql.number()), format!("{} [error {}]", mysql.message(), mysql.number()));
    }
    let code = error.code().and_then(|code| code.parse().ok()).unwrap_or(0);
    (sqlite_code(code, error.message()), format!("{} [SQLite code {code}]", error.message()))
}

/// PostgreSQL's codes and classes of codes; a whole code goes before its class.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const SQLSTATES: &[(&str, ErrorClass)] = &[
    ("21", Data(Constraint)),    // cardinality violation
    ("22", Data(Refused)),       // data exception
    ("22001", Data(TooLong)),    // string data right truncation
    ("22003", Data(OutOfRange)), // numeric value out of range
    ("2200H", Configuration),    // a sequence has come to its end: no row is at fault
    ("22007", Data(OutOfRange)), // invalid datetime format
    ("22008", Data(OutOfRange)), // datetime field overflow
    ("22021", Data(WrongType)),  // character not in repertoire
    ("22P02", Data(WrongType)),  // invalid text representation
    ("22P03", Data(WrongType)),  // invalid binary representation
    ("22P05", Data(WrongType)),  // untranslatable character
    ("23", Data(Constraint)),    // integrity constraint violation
    ("27", Data(Refused)),       // triggered data change violation
    ("38", Data(Refused)),       // external routine exception
    ("39", Data(Refused)),       // external routine invocation exception
    ("44", Data(Constraint)),    // check option violation
    ("54", Data(TooLong)),       // program limit exceeded: an index row or a statement, by the value in it
    ("P0", Data(Refused)),       // raised by PL/pgSQL
    ("09", Data(Refused)),       // triggered action exception
    ("20", Data(Refused)),       // no branch of a CASE in a trigger
    ("2F", Data(Refused)),       // SQL routine exception
    ("45", Data(Refused)),       // raised by a trigger, as others are used to
    ("40001", Conflict),         // serialization failure
    ("40P01", Conflict),         // deadlock detected
    ("0A", Configuration),       // feature not supported
    ("28", Configuration),       // invalid authorization
    ("3D", Configuration),       // unknown database
    ("3F", Configuration),       // unknown schema
    ("42", Configuration),       // syntax error or access rule violation: no such table or column, no right
    ("55000", Configuration),    // not in a state for it: no replica identity, a view that takes no rows
    ("08", Transient),           // connection exception
    ("25", Transient),           // invalid transaction state: read-only, idle for too long
    ("40", Transient),           // transaction rollback
    ("53", Transient),           // insufficient resources: disk full, out of memory, too many connections
    ("55", Transient),           // not in a state for it: lock not available
    ("57", Transient),           // operator intervention: statement timeout, shutdown, terminated
    ("58", Transient),           // system error: the file system
    ("72", Transient),           // snapshot too old
    ("XX", Transient),           // internal error
];

/// MySQL and MariaDB: <https://mariadb.com/kb/en/mariadb-error-code-reference/>
const MYSQL_NUMBERS: &[(u16, ErrorClass)] = &[
    (1020, Conflict),         // record has changed since last read
    (1213, Conflict),         // deadlock
    (1022, Data(Constraint)), // duplicate key on write
    (1048, Data(Constraint)), // column cannot be null
    (1062, Data(Constraint)), // duplicate entry
    (1169, Data(Constraint)), // unique constraint
    (1216, Data(Constraint)), // foreign key, child
    (1217, Data(Constraint)), // foreign key, parent
    (1364, Data(Constraint)), // no default
    (1451, Data(Constraint)), // foreign key, parent
    (1452, Data(Constraint)), // foreign key, child
    (1557, Data(Constraint)), // foreign key, duplicate
    (1586, Data(Constraint)), // duplicate entry
    (1761, Data(Constraint)), // foreign key, duplicate in the child
    (1762, Data(Constraint)), // foreign key, duplicate in the child
    (3819, Data(Constraint)), // check (MySQL)
    (4025, Data(Constraint)), // check (MariaDB)
    (1118, Data(TooLong)),    // row size too large
    (1153, Data(TooLong)),    // packet larger than max_allowed_packet
    (1406, Data(TooLong)),    // data too long
    (1264, Data(OutOfRange)), // out of range
    (1365, Data(OutOfRange)), // division by zero
    (1441, Data(OutOfRange)), // datetime overflow
    (1690, Data(OutOfRange)), // numeric out of range
    (3155, Data(OutOfRange)), // number in JSON out of range
    (1265, Data(WrongType)),  // data truncated
    (1292, Data(WrongType)),  // incorrect value
    (1366, Data(WrongType)),  // incorrect string value
    (1367, Data(WrongType)),  // illegal value
    (1411, Data(WrongType)),  // incorrect value for a function
    (1416, Data(WrongType)),  // not a geometry
    (4079, Data(WrongType)),  // illegal parameter type
    (1526, Data(Refused)),    // no partition for the value
    (1644, Data(Refused)),    // SIGNAL of a trigger
    (3140, Data(Refused)),    // invalid JSON text
    (3141, Data(Refused)),    // invalid JSON text in an argument
    (3144, Data(Refused)),    // character set of a JSON text
    (3146, Data(Refused)),    // invalid type for JSON
    (3147, Data(Refused)),    // cast to JSON
    (3150, Data(Refused)),    // JSON value too large
    (3151, Data(Refused)),    // JSON key too large
    (3156, Data(Refused)),    // cast from JSON
    (3157, Data(Refused)),    // JSON nested too deep
    (3907, Data(Refused)),    // value for a functional index too long
    (3906, Data(Refused)),    // values too long for a multi-valued index
    (3905, Data(Refused)),    // too many values for a multi-valued index
    (3904, Data(Refused)),    // value for a functional index out of range
    (3903, Data(Refused)),    // value for a functional index
    (3154, Data(Refused)),    // number in JSON
    (3153, Data(Refused)),    // neither one nor all
    (3152, Data(Refused)),    // JSON as a key
    (3149, Data(Refused)),    // wildcard in a JSON path
    (3148, Data(Refused)),    // invalid argument of a JSON function
    (3145, Data(Refused)),    // character set of JSON
    (3143, Data(Refused)),    // invalid JSON path
    (3142, Data(Refused)),    // character set of a JSON text
    (4038, Data(Refused)),    // invalid JSON text (MariaDB)
    (1044, Configuration),    // access to the database denied
    (1045, Configuration),    // access denied
    (1049, Configuration),    // unknown database
    (1054, Configuration),    // unknown column
    (1064, Configuration),    // syntax
    (1142, Configuration),    // no right on the table
    (1143, Configuration),    // no right on the column
    (1146, Configuration),    // no such table
    (1227, Configuration),    // a privilege is needed
    (1286, Configuration),    // unknown engine
    (1288, Configuration),    // not updatable
    (1370, Configuration),    // no right on the routine
    (1471, Configuration),    // not insertable
    (1698, Configuration),    // access denied by a plugin
    (3118, Configuration),    // account locked
    (1862, Configuration),    // password expired
    (1820, Configuration),    // password must be changed
    (1449, Configuration),    // a trigger's definer is gone
    (1356, Configuration),    // a view that is no longer valid
    (1305, Configuration),    // no such routine
    (1130, Configuration),    // host not allowed
    (1021, Transient),        // disk full
    (1040, Transient),        // too many connections
    (1053, Transient),        // shutdown in progress
    (1114, Transient),        // the table is full: the disk is
    (1205, Transient),        // lock wait timeout
    (1290, Transient),        // read-only
    (1317, Transient),        // interrupted
    (1836, Transient),        // read-only mode
    (1927, Transient),        // connection was killed
    (1969, Transient),        // statement timeout
];

/// SQLite, by primary code: <https://www.sqlite.org/rescode.html>
const SQLITE_CODES: &[(i32, ErrorClass)] = &[
    (1, Configuration),     // error: no such table or column
    (3, Configuration),     // no permission
    (11, Configuration),    // corrupt
    (23, Configuration),    // not authorized
    (26, Configuration),    // not a database
    (18, Data(TooLong)),    // too big
    (19, Data(Constraint)), // constraint
    (20, Data(WrongType)),  // mismatch
    (5, Transient),         // busy
    (6, Transient),         // locked
    (8, Transient),         // read-only
    (10, Transient),        // I/O
    (13, Transient),        // disk full
    (14, Transient),        // cannot open
];

fn sqlstate(code: &str) -> ErrorClass {
    let line = |code: &str| SQLSTATES.iter().find(|(line, _)| *line == code).map(|(_, class)| *class);
    let class = code.get(..2).unwrap_or_default();
    // The standard leaves classes that begin with these to implementations; the server's own are in the table, so a
    // trigger raised it with a code of its own. What no line knows is tried again, but not for ever.
    let is_own = class.starts_with(|first: char| matches!(first, '5'..='9' | 'I'..='Z'));
    line(code).or_else(|| line(class)).unwrap_or(if is_own { Data(Refused) } else { Transient })
}

fn mysql_number(number: u16) -> ErrorClass {
    let line = MYSQL_NUMBERS.iter().find(|(line, _)| *line == number);
    line.map_or(Transient, |(_, class)| *class)
}

/// What to do about an error of SQLite's, by its code, primary or extended, and its words.
pub(super) fn sqlite_code(code: i32, message: &str) -> ErrorClass {
    // The general error is both: what is wrong with the statement, and what a function says of a value.
    const OF_A_STATEMENT: [&str; 12] = [
        "ON CONFLICT clause does not match",
        "no such",
        "near \"",
        "has no column",
        "cannot",
        "not authorized",
        "foreign key mismatch",
        "ambiguous column",
        "wrong number of arguments",
        "unknown database",
        "may not be modified",
        "values were supplied",
    ];
    const OF_A_VALUE: &str = "JSON cannot hold";
    const OF_A_SUM: &str = "integer overflow";
    let primary = code & 0xff;
    if primary == 1 && message.starts_with(OF_A_SUM) {
        return Data(OutOfRange);
    }
    let of_a_statement = OF_A_STATEMENT.iter().any(|words| message.contains(words)) && !message.contains(OF_A_VALUE);
    if primary == 1 && !of_a_statement {
        return Data(Refused);
    }
    let line = SQLITE_CODES.iter().find(|(line, _)| *line == primary);
    line.map_or(Transient, |(_, class)| *class)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Checks each code, and that every line of the table was asked for.
    fn check<C: Copy + std::fmt::Debug + Ord>(
        table: &[(C, ErrorClass)],
        line_of: impl Fn(C) -> C,
        classify: impl Fn(C) -> ErrorClass,
        cases: &[(&[C], ErrorClass)],
    ) {
        let lines: BTreeSet<C> = table.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines.len(), table.len(), "a line stands twice");
        let mut asked = BTreeSet::new();
        for (codes, class) in cases {
            for code in *codes {
                assert_eq!(classify(*code), *class, "{code:?}");
                asked.insert(line_of(*code));
            }
        }
        let unasked: Vec<&C> = lines.difference(&asked).collect();
        assert!(unasked.is_empty(), "lines without a test: {unasked:?}");
    }

    #[test]
    fn postgres_codes() {
        let whole = |code: &str| SQLSTATES.iter().any(|(line, _)| *line == code);
        let line_of = |code: &'static str| if whole(code) { code } else { &code[..2] };
        check(
            SQLSTATES,
            line_of,
            sqlstate,
            &[
                (&["21000", "23502", "23503", "23505", "23514", "44000"], Data(Constraint)),
                (&["22001", "54000"], Data(TooLong)),
                (&["22003", "22007", "22008"], Data(OutOfRange)),
                (&["22021", "22P02", "22P03", "22P05"], Data(WrongType)),
                (&["09000", "20000", "22012", "27000", "2F002", "38000", "39000", "45000"], Data(Refused)),
                (&["P0001", "P0002", "MY001"], Data(Refused)),
                (&["40001", "40P01"], Conflict),
                (
                    &["0A000", "28P01", "3D000", "3F000", "42501", "42703", "42P01", "42P10", "55000", "2200H"],
                    Configuration,
                ),
                (&["08006", "25006", "25P03", "40003", "53100", "53300", "55P03", "57014", "57P01"], Transient),
                (&["57P03", "58030", "72000", "XX000", "F0000"], Transient),
            ],
        );
    }

    #[test]
    fn mysql_numbers() {
        check(
            MYSQL_NUMBERS,
            |number| number,
            mysql_number,
            &[
                (&[1022, 1048, 1062, 1169, 1216, 1217, 1364, 1451, 1452, 1557, 1586], Data(Constraint)),
                (&[1761, 1762, 3819, 4025], Data(Constraint)),
                (&[1118, 1153, 1406], Data(TooLong)),
                (&[1264, 1365, 1441, 1690, 3155], Data(OutOfRange)),
                (&[1265, 1292, 1366, 1367, 1411, 1416, 4079], Data(WrongType)),
                (&[1526, 1644, 3140, 3141, 3144, 3146, 3147, 3150, 3151, 3156, 3157, 4038], Data(Refused)),
                (&[3142, 3143, 3145, 3148, 3149, 3152, 3153, 3154, 3903, 3904, 3905, 3906, 3907], Data(Refused)),
                (&[1020, 1213], Conflict),
                (&[1044, 1045, 1049, 1054, 1064, 1142, 1143, 1146, 1227, 1286, 1288, 1370, 1471, 1698], Configuration),
                (&[1130, 1305, 1356, 1449, 1820, 1862, 3118], Configuration),
                (&[1021, 1040, 1053, 1114, 1205, 1290, 1317, 1836, 1927, 1969, 9999], Transient),
            ],
        );
    }

    #[test]
    fn sqlite_codes() {
        check(
            SQLITE_CODES,
            |code| code & 0xff,
            |code| sqlite_code(code, "no such table: t"),
            &[
                (&[275, 1299, 2067], Data(Constraint)),
                (&[18], Data(TooLong)),
                (&[20], Data(WrongType)),
                (&[1, 3, 11, 23, 26], Configuration),
                (&[5, 261, 6, 8, 10, 13, 14, 9999], Transient),
            ],
        );
        assert_eq!(sqlite_code(1, "malformed JSON"), Data(Refused));
        assert_eq!(sqlite_code(1, "JSON cannot hold BLOB values"), Data(Refused));
        assert_eq!(sqlite_code(1, "foreign key mismatch - \"a\" referencing \"b\""), Configuration);
    }
}
