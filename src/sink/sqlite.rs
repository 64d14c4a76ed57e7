//! SQLite: multi-row statements in WAL mode.

use std::time::Duration;

use rusqlite::types::{Null, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Error, OpenFlags, Statement};
use sea_orm::DbBackend;

use super::classify::sqlite_code;
use super::read_back::in_hex;
use super::sqlite_thread::SqliteThread;
use super::target::Journal;
use super::values::ValuesStatements;
use super::{Answer, Session, Sql, SqlError, TextRow};
use crate::mapping::Step;
use crate::row::{Cell, Row, Utf8, Value, day_and_time};
use crate::table::{Clock, ColumnKind, TablePlan};

/// A connection to an SQLite file.
pub struct SqliteSession {
    thread: SqliteThread,
    tables: Vec<ValuesStatements>,
}

impl SqliteSession {
    /// Opens the file of a URL (`sqlite://data/x.db?mode=rwc`), and waits for a lock up to `lock_wait`.
    pub async fn open(url: &str, plans: &[TablePlan], lock_wait: Duration, journal: Journal) -> Result<Self, SqlError> {
        let uri = uri(url);
        let thread = SqliteThread::start(move || connect(&uri, lock_wait, journal)).await?;
        let tables = plans.iter().map(|plan| ValuesStatements::new(DbBackend::Sqlite, plan)).collect();
        Ok(SqliteSession { thread, tables })
    }
}

/// What SQLite calls the file of a URL. The options have the same names.
fn uri(url: &str) -> String {
    let file = url.strip_prefix("sqlite://").unwrap_or(url);
    // Without the empty host, one after it would be a host.
    let host = if file.starts_with('/') { "//" } else { "" };
    format!("file:{host}{file}")
}

/// A connection that is as safe as the pool's.
fn connect(uri: &str, lock_wait: Duration, journal: Journal) -> rusqlite::Result<Connection> {
    /// Statements that a session keeps: every size of each kind, and some more.
    const STATEMENTS: usize = 64;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    connection.busy_timeout(lock_wait)?;
    if journal == Journal::Ahead {
        connection.pragma_update(None, "journal_mode", "WAL")?;
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

impl Session for SqliteSession {
    fn backend(&self) -> DbBackend {
        DbBackend::Sqlite
    }

    /// Takes the write lock at once: a read lock that must become one later can fail with nothing to wait for.
    fn begin_statement(&self) -> &'static str {
        "BEGIN IMMEDIATE"
    }

    fn control(&mut self, statement: &'static str) -> Answer<'_, ()> {
        Box::pin(self.thread.call(move |connection| {
            // SQLite has rolled back by itself: some errors do that, and a trigger's RAISE(ROLLBACK).
            let nothing_to_do = statement == "ROLLBACK" && connection.is_autocommit();
            if nothing_to_do { Ok(()) } else { connection.execute_batch(statement) }
        }))
    }

    fn execute<'a>(&'a mut self, sql: Sql, arguments: Vec<Value<'a>>) -> Answer<'a, u64> {
        let values: Row = arguments.into_iter().collect();
        Box::pin(self.thread.call(move |connection| run(connection, &sql, &[values])))
    }

    fn write<'a>(&'a mut self, step: &'a Step<'a>) -> Answer<'a, u64> {
        let statements: Vec<(Sql, Vec<Row>)> = self.tables[step.table].of(step).collect();
        Box::pin(
            self.thread.call(move |connection| statements.iter().map(|(sql, rows)| run(connection, sql, rows)).sum()),
        )
    }

    fn statements(&mut self, step: &Step<'_>) -> Result<Vec<Sql>, SqlError> {
        Ok(self.tables[step.table].of(step).map(|(sql, _)| sql).collect())
    }

    fn rows(&mut self, sql: Sql) -> Answer<'_, Vec<TextRow>> {
        Box::pin(self.thread.call(move |connection| {
            let mut statement = connection.prepare(&sql)?;
            let columns = statement.column_count();
            let rows =
                statement.query_map([], |row| (0..columns).map(|place| row.get_ref(place).map(text)).collect())?;
            rows.collect()
        }))
    }
}

/// Runs one statement, prepared once a connection; answers the number of rows it changed.
fn run(connection: &Connection, sql: &str, rows: &[Row]) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached(sql)?;
    for (place, cell) in (1..).zip(rows.iter().flat_map(Row::cells)) {
        bind(&mut statement, place, cell)?;
    }
    Ok(statement.raw_execute()? as u64)
}

/// A value as SQLite writes it.
fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Some(in_hex(bytes)),
    }
}

/// Gives the placeholder at `place`, from 1, its value.
#[inline]
pub fn bind(statement: &mut Statement<'_>, place: usize, cell: Cell<'_>) -> rusqlite::Result<()> {
    if let Some(text) = cell.text() {
        return statement.raw_bind_parameter(place, text);
    }
    match cell.value() {
        Value::Null => statement.raw_bind_parameter(place, Null),
        Value::Bool(value) => statement.raw_bind_parameter(place, value),
        Value::Int(value) => statement.raw_bind_parameter(place, value),
        Value::UInt(value) => {
            // Over i64::MAX no column of SQLite takes it: the mapping refuses it before.
            let value = i64::try_from(value).map_err(|error| Error::ToSqlConversionFailure(error.into()))?;
            statement.raw_bind_parameter(place, value)
        }
        Value::Float(value) => statement.raw_bind_parameter(place, value),
        Value::Text(value) => statement.raw_bind_parameter(place, value.as_ref()),
        Value::Bytes(value) => statement.raw_bind_parameter(place, value.as_ref()),
        Value::Timestamp(micros) => statement.raw_bind_parameter(place, timestamp(micros)),
        Value::Array(_) => Err(Error::ToSqlConversionFailure("SQLite has no arrays".into())),
    }
}

impl ToSql for Utf8<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.bytes())))
    }
}

/// `2024-06-01 12:30:00.123`: as many digits of the fraction as it needs, in threes.
fn timestamp(micros: i64) -> String {
    day_and_time(micros).to_string()
}

impl From<Error> for SqlError {
    fn from(error: Error) -> Self {
        match error {
            Error::SqliteFailure(failure, message) => {
                let (code, message) = (failure.extended_code, message.unwrap_or_else(|| failure.to_string()));
                SqlError::new(sqlite_code(code, &message), format!("{message} [SQLite code {code}]"))
            }
            Error::ToSqlConversionFailure(error) => SqlError::unbindable(error),
            error => SqlError::transient(error.to_string()),
        }
    }
}

/// What values a column takes, by the rules of SQLite's type affinity and the names that people use.
pub fn column_kind(declared: &str) -> ColumnKind {
    let name = declared.to_ascii_uppercase();
    let numbers = numbers_in_parentheses(&name);
    let number = |place: usize| numbers.get(place).copied();
    let has = |word: &str| name.contains(word);
    let fraction_digits = number(0).map_or(6, |digits| digits.min(6) as u32);
    if has("DATETIME") || has("TIMESTAMP") {
        ColumnKind::timestamp(fraction_digits, 0..=9999)
    } else if has("BOOL") {
        ColumnKind::Bool
    } else if has("INT") {
        ColumnKind::Int { min: i64::MIN.into(), max: i64::MAX.into(), takes_bool: true }
    } else if has("JSON") {
        ColumnKind::Json
    } else if has("UUID") {
        ColumnKind::Uuid
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        ColumnKind::Text { max_chars: number(0), max_bytes: None }
    } else if has("BLOB") || has("BINARY") {
        ColumnKind::Bytes { max: number(0), padded: false }
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        ColumnKind::Float { single: false }
    } else if has("DEC") || has("NUMERIC") || has("MONEY") {
        let (precision, scale) = (number(0).map(|n| n as u32), number(1).map(|n| n as i32));
        ColumnKind::Decimal { precision, scale, as_float: true }
    } else if has("DATE") {
        ColumnKind::Date
    } else if has("TIME") {
        ColumnKind::Time { clock: Clock::Day, fraction_digits }
    } else {
        ColumnKind::NumberOrText
    }
}

fn numbers_in_parentheses(declared: &str) -> Vec<u64> {
    let inside = declared.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(inside, _)| inside);
    inside.map(|text| text.split(',').filter_map(|n| n.trim().parse().ok()).collect()).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_the_file_that_it_names_for_the_pool() {
        for (url, expected) in [
            ("sqlite://x%20y.db?mode=rwc", "file:x%20y.db?mode=rwc"),
            ("sqlite:///var/x.db?mode=rw&cache=shared", "file:///var/x.db?mode=rw&cache=shared"),
            ("sqlite:////var/x.db?mode=rwc", "file:////var/x.db?mode=rwc"),
        ] {
            assert_eq!(uri(url), expected);
        }
    }

    #[test]
    fn a_timestamp_has_the_fraction_it_needs() {
        let day = 86_400_000_000_i64;
        let spread = (-1_000..1_000).map(|n| n * 36_525 * day / 1_000 + n * 1_001);
        for micros in spread.chain([0, 1, 1_000, 10_000, 1_000_000, -1, day * 4_000_000]) {
            let expected = day_and_time(micros).format("%Y-%m-%d %H:%M:%S%.f").to_string();
            assert_eq!(timestamp(micros), expected, "{micros}");
        }
        assert_eq!(timestamp(1_717_245_000_120_000), "2024-06-01 12:30:00.120");
        assert_eq!(timestamp(1_717_245_000_000_000), "2024-06-01 12:30:00");
    }

    /// What SQLite says of each kind of value that it was given.
    #[test]
    fn every_kind_of_value_is_stored_as_it_is() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (v)").unwrap();
        for (value, expected) in [
            (Value::Null, "NULL"),
            (Value::Bool(true), "1"),
            (Value::Bool(false), "0"),
            (Value::Int(i64::MIN), "-9223372036854775808"),
            (Value::UInt(7), "7"),
            (Value::Float(-0.5), "-0.5"),
            (Value::text(""), "''"),
            (Value::text("größe'\n"), "'größe''\n'"),
            (Value::Bytes(vec![].into()), "X''"),
            (Value::Bytes(vec![0, 255].into()), "X'00FF'"),
            (Value::Timestamp(-1), "'1969-12-31 23:59:59.999999'"),
        ] {
            let row: Row = [value].into_iter().collect();
            assert_eq!(run(&connection, "INSERT INTO t VALUES (?)", &[row]).unwrap(), 1);
            let stored = "SELECT quote(v) FROM t ORDER BY rowid DESC LIMIT 1";
            assert_eq!(connection.query_row(stored, [], |row| row.get::<_, String>(0)).unwrap(), expected);
        }
        let nul: Row = [Value::text("a\0b")].into_iter().collect();
        run(&connection, "INSERT INTO t VALUES (?)", &[nul]).unwrap();
        let stored = "SELECT hex(v) FROM t ORDER BY rowid DESC LIMIT 1";
        assert_eq!(connection.query_row(stored, [], |row| row.get::<_, String>(0)).unwrap(), "610062");
    }

    #[test]
    fn errors_have_their_class() {
        use super::super::ErrorClass::{Configuration, Data};
        use crate::event::RejectionClass::{Constraint, Refused};
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (v integer NOT NULL UNIQUE)").unwrap();
        let error = |sql: &str, value: Value<'static>| -> SqlError {
            run(&connection, sql, &[[value].into_iter().collect()]).unwrap_err().into()
        };
        let insert = "INSERT INTO t VALUES (?)";
        let null = error(insert, Value::Null);
        assert_eq!(null.class, Data(Constraint));
        assert_eq!(null.message, "NOT NULL constraint failed: t.v [SQLite code 1299]");
        assert_eq!(error(insert, Value::UInt(u64::MAX)).class, Data(Refused));
        assert_eq!(error("INSERT INTO gone VALUES (?)", Value::Null).class, Configuration);
    }

    #[test]
    fn declared_types_are_understood() {
        for (declared, kind) in [
            ("INTEGER", ColumnKind::Int { min: i64::MIN.into(), max: i64::MAX.into(), takes_bool: true }),
            ("varchar(50)", ColumnKind::Text { max_chars: Some(50), max_bytes: None }),
            ("TEXT", ColumnKind::Text { max_chars: None, max_bytes: None }),
            ("datetime_text", ColumnKind::timestamp(6, 0..=9999)),
            ("timestamp(3)", ColumnKind::timestamp(3, 0..=9999)),
            ("time(3)", ColumnKind::Time { clock: Clock::Day, fraction_digits: 3 }),
            ("DATE", ColumnKind::Date),
            ("double precision", ColumnKind::Float { single: false }),
            ("DECIMAL(10, 2)", ColumnKind::Decimal { precision: Some(10), scale: Some(2), as_float: true }),
            ("jsonb_text", ColumnKind::Json),
            ("blob", ColumnKind::Bytes { max: None, padded: false }),
            ("binary(16)", ColumnKind::Bytes { max: Some(16), padded: false }),
            ("boolean", ColumnKind::Bool),
            ("string", ColumnKind::NumberOrText),
        ] {
            assert_eq!(column_kind(declared), kind, "{declared}");
        }
    }
}
