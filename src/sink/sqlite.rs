//! SQLite: multi-row statements in WAL mode.

use sea_orm::DbBackend;
use sea_orm::sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sea_orm::sqlx::{self, Arguments, AssertSqlSafe, Executor, Sqlite};

use super::sql::ValuesStatements;
use super::values::write_values;
use super::{Answer, Session, Sql, SqlError};
use crate::mapping::Step;
use crate::row::{Value, day_and_time};
use crate::table::{ColumnKind, TablePlan};

/// A connection to an SQLite file.
pub struct SqliteSession {
    connection: SqliteConnection,
    plan: TablePlan,
    statements: std::sync::Arc<ValuesStatements>,
}

impl SqliteSession {
    /// Takes over a fresh connection.
    pub fn new(connection: SqliteConnection, plan: TablePlan) -> Self {
        let statements = ValuesStatements::new(DbBackend::Sqlite, &plan).into();
        SqliteSession { connection, plan, statements }
    }
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
        Box::pin(async move {
            match sqlx::raw_sql(statement).execute(&mut self.connection).await {
                Ok(_) => Ok(()),
                // SQLite has rolled back by itself: some errors do that, and a trigger's RAISE(ROLLBACK).
                Err(error) if statement == "ROLLBACK" && error.to_string().contains("no transaction is active") => {
                    Ok(())
                }
                Err(error) => Err(error.into()),
            }
        })
    }

    fn execute<'a>(&'a mut self, sql: Sql, arguments: Vec<Value<'a>>) -> Answer<'a, u64> {
        Box::pin(async move {
            let mut bound = SqliteArguments::default();
            for value in &arguments {
                bind(&mut bound, value).map_err(SqlError::unbindable)?;
            }
            let query = sqlx::query_with::<Sqlite, _>(AssertSqlSafe(sql), bound);
            Ok(self.connection.execute(query).await?.rows_affected())
        })
    }

    fn write<'a>(&'a mut self, step: &'a Step<'a>) -> Answer<'a, ()> {
        let statements = self.statements.clone();
        let key = self.plan.key.clone();
        write_values(self, statements, key, step)
    }
}

fn bind(arguments: &mut SqliteArguments, value: &Value<'_>) -> Result<(), sqlx::error::BoxDynError> {
    match value {
        Value::Null => arguments.add(None::<i64>),
        Value::Bool(value) => arguments.add(*value),
        Value::Int(value) => arguments.add(*value),
        // Over i64::MAX no column of SQLite takes it: the mapping refuses it before.
        Value::UInt(value) => arguments.add(i64::try_from(*value)?),
        Value::Float(value) => arguments.add(*value),
        Value::Text(value) => arguments.add(value.clone().into_owned()),
        Value::Bytes(value) => arguments.add(value.clone().into_owned()),
        Value::Timestamp(micros) => arguments.add(day_and_time(*micros).format("%Y-%m-%d %H:%M:%S%.f").to_string()),
    }
}

/// What values a column takes, by the rules of SQLite's type affinity and the names that people use.
pub fn column_kind(declared: &str) -> ColumnKind {
    let name = declared.to_ascii_uppercase();
    let numbers = numbers_in_parentheses(&name);
    let number = |place: usize| numbers.get(place).copied();
    let has = |word: &str| name.contains(word);
    if has("DATETIME") || has("TIMESTAMP") {
        let fraction_digits = number(0).map_or(6, |digits| digits.min(6) as u32);
        ColumnKind::Timestamp { fraction_digits }
    } else if has("BOOL") {
        ColumnKind::Bool
    } else if has("INT") {
        ColumnKind::Int { min: i64::MIN.into(), max: i64::MAX.into(), takes_bool: true }
    } else if has("JSON") {
        ColumnKind::Json
    } else if has("UUID") {
        ColumnKind::Uuid
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        ColumnKind::Text { max_chars: number(0) }
    } else if has("BLOB") || has("BINARY") {
        ColumnKind::Bytes
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        ColumnKind::Float { single: false }
    } else if has("DEC") || has("NUMERIC") || has("MONEY") {
        ColumnKind::Decimal { precision: number(0).map(|n| n as u32), scale: number(1).map(|n| n as u32) }
    } else if has("DATE") {
        ColumnKind::Date
    } else if has("TIME") {
        ColumnKind::Time
    } else {
        ColumnKind::Other
    }
}

fn numbers_in_parentheses(declared: &str) -> Vec<u64> {
    let inside = declared.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(inside, _)| inside);
    inside.map(|text| text.split(',').filter_map(|n| n.trim().parse().ok()).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_are_understood() {
        for (declared, kind) in [
            ("INTEGER", ColumnKind::Int { min: i64::MIN.into(), max: i64::MAX.into(), takes_bool: true }),
            ("varchar(50)", ColumnKind::Text { max_chars: Some(50) }),
            ("TEXT", ColumnKind::Text { max_chars: None }),
            ("datetime_text", ColumnKind::Timestamp { fraction_digits: 6 }),
            ("timestamp(3)", ColumnKind::Timestamp { fraction_digits: 3 }),
            ("DATE", ColumnKind::Date),
            ("double precision", ColumnKind::Float { single: false }),
            ("DECIMAL(10, 2)", ColumnKind::Decimal { precision: Some(10), scale: Some(2) }),
            ("jsonb_text", ColumnKind::Json),
            ("blob", ColumnKind::Bytes),
            ("boolean", ColumnKind::Bool),
            ("", ColumnKind::Other),
        ] {
            assert_eq!(column_kind(declared), kind, "{declared}");
        }
    }
}
