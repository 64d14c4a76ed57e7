//! PostgreSQL: rows that are appended are copied, all others go in one statement a step.

mod array_value;
mod arrays;
mod at_once;
pub mod binary;
pub mod copy;
mod merge;

use std::time::Duration;

use sea_orm::DbBackend;
use sea_orm::sqlx::postgres::{PgArguments, PgConnection};
use sea_orm::sqlx::{self, Arguments, AssertSqlSafe, Executor, Postgres};

use self::arrays::Statements;
pub use self::at_once::send_at_once;
use self::copy::{Copy, CopyError};
use self::merge::Merge;
use super::read_back::texts;
use super::{Answer, ErrorClass, IDLE_MARGIN, Session, Sql, SqlError, TextRow};
use crate::event::RejectionClass;
use crate::mapping::{ChangeKind, Step};
use crate::row::{Value, day_and_time};
use crate::table::TablePlan;

/// Fewer rows are inserted: that is one round trip, `COPY` is three.
const COPY_ROWS_MIN: usize = 32;

/// Fewer rows are upserted out of arrays: that is one round trip, a merge is four.
const MERGE_ROWS_MIN: usize = 200;

/// A connection to a PostgreSQL server.
pub struct PostgresSession {
    connection: PgConnection,
    tables: Vec<TableWriter>,
}

/// How rows get into one table.
struct TableWriter {
    statements: Statements,
    /// How rows are appended, if the table takes it.
    copy: Option<Copy>,
    /// How many rows are upserted, if that can be done.
    merge: Option<Merge>,
    /// Whether upserts are inserts, because all that was there is deleted first.
    replaces_all: bool,
}

impl PostgresSession {
    /// Takes over a fresh connection.
    pub async fn new(
        mut connection: PgConnection,
        plans: &[TablePlan],
        statement_timeout: Duration,
    ) -> Result<Self, SqlError> {
        set_limits(&mut connection, statement_timeout).await?;
        // Times are bound without a zone and mean UTC.
        let session = format!("SET TIME ZONE 'UTC'; SET statement_timeout = {}", statement_timeout.as_millis());
        sqlx::raw_sql(AssertSqlSafe(session)).execute(&mut connection).await?;
        let mut tables = Vec::with_capacity(plans.len());
        for (number, plan) in plans.iter().enumerate() {
            let copy = Copy::new(plan);
            let merge = Merge::prepare(&mut connection, number, plan).await?;
            for copy in copy.iter().chain(merge.as_ref().map(Merge::copy)) {
                copy.end_silent(&mut connection, statement_timeout + IDLE_MARGIN).await?;
            }
            let replaces_all = plan.replaces_all();
            tables.push(TableWriter { statements: Statements::new(plan), copy, merge, replaces_all });
        }
        Ok(PostgresSession { connection, tables })
    }
}

/// The ways that are faster for many rows.
enum Many<'a> {
    Copy(&'a mut Copy),
    Merge(&'a mut Merge),
}

impl TableWriter {
    /// The way for the rows of a step, if they are many and there is one.
    fn many(&mut self, step: &Step<'_>) -> Option<Many<'_>> {
        let inserts = step.kind == ChangeKind::Append || step.kind == ChangeKind::Upsert && self.replaces_all;
        match step.kind {
            _ if inserts && step.rows.len() >= COPY_ROWS_MIN => self.copy.as_mut().map(Many::Copy),
            ChangeKind::Upsert if !inserts && step.rows.len() >= MERGE_ROWS_MIN => {
                self.merge.as_mut().filter(|merge| merge.is_free()).map(Many::Merge)
            }
            _ => None,
        }
    }

    /// Writes many rows in the way that is faster then; `None` if there is none.
    async fn write_many(&mut self, connection: &mut PgConnection, step: &Step<'_>) -> Option<Result<(), CopyError>> {
        Some(match self.many(step)? {
            Many::Copy(copy) => copy.append(connection, &step.rows).await,
            Many::Merge(merge) => merge.upsert(connection, &step.rows).await,
        })
    }
}

/// Has the server end a transaction of this connection that nobody goes on with for so long. A network that swallows
/// our packets tells the server nothing, and the transaction would hold the checkpoint's row for hours. What we do
/// ourselves between two statements takes no longer than one of them.
pub async fn set_limits(connection: &mut PgConnection, limit: Duration) -> Result<(), sqlx::Error> {
    let sql = format!("SET idle_in_transaction_session_timeout = {}", (limit + IDLE_MARGIN).as_millis());
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

impl Session for PostgresSession {
    fn backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    fn control(&mut self, statement: &'static str) -> Answer<'_, ()> {
        if statement == "BEGIN" {
            self.tables.iter_mut().filter_map(|table| table.merge.as_mut()).for_each(Merge::begin);
        }
        Box::pin(async move {
            sqlx::raw_sql(statement).execute(&mut self.connection).await?;
            Ok(())
        })
    }

    fn execute<'a>(&'a mut self, sql: Sql, arguments: Vec<Value<'a>>) -> Answer<'a, u64> {
        Box::pin(async move {
            let mut bound = PgArguments::default();
            for value in &arguments {
                bind(&mut bound, value).map_err(SqlError::unbindable)?;
            }
            let query = sqlx::query_with::<Postgres, _>(AssertSqlSafe(sql), bound);
            Ok(self.connection.execute(query).await?.rows_affected())
        })
    }

    fn write<'a>(&'a mut self, step: &'a Step<'a>) -> Answer<'a, u64> {
        let PostgresSession { connection, tables } = self;
        let table = &mut tables[step.table];
        Box::pin(async move {
            let mut counted = 0;
            if let Some((sql, arguments)) = table.statements.others_of(step)? {
                let query = sqlx::query_with::<Postgres, _>(AssertSqlSafe(sql), arguments);
                counted += connection.execute(query).await?.rows_affected();
            }
            if step.rows.is_empty() {
                return Ok(counted);
            }
            match table.write_many(connection, step).await {
                // Each of them is a row: one that it could not write would be an error.
                Some(Ok(())) => Ok(counted + step.rows.len() as u64),
                Some(Err(CopyError::Sql(error))) => Err(error),
                Some(Err(CopyError::Altered)) => {
                    // `INSERT` casts to whatever the types are now, or says whose value it cannot cast.
                    table.copy = None;
                    table.merge = None;
                    Err(SqlError::new(ErrorClass::Data(RejectionClass::WrongType), "the table was altered"))
                }
                None => {
                    let (sql, arguments) = table.statements.of(step)?;
                    let query = sqlx::query_with::<Postgres, _>(AssertSqlSafe(sql), arguments);
                    Ok(counted + connection.execute(query).await?.rows_affected())
                }
            }
        })
    }

    fn statements(&mut self, step: &Step<'_>) -> Result<Vec<Sql>, SqlError> {
        let table = &mut self.tables[step.table];
        let mut statements: Vec<Sql> = table.statements.others_of(step)?.map(|(sql, _)| sql).into_iter().collect();
        if step.rows.is_empty() {
            return Ok(statements);
        }
        match table.many(step) {
            Some(Many::Copy(copy)) => statements.push(copy.statement().into()),
            Some(Many::Merge(merge)) => statements.extend(merge.statements()),
            None => statements.push(table.statements.of(step)?.0),
        }
        Ok(statements)
    }

    fn rows(&mut self, sql: Sql) -> Answer<'_, Vec<TextRow>> {
        Box::pin(async move {
            let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await?;
            rows.iter().map(texts).collect()
        })
    }

    fn check_deferred(&mut self) -> Answer<'_, ()> {
        self.control("SET CONSTRAINTS ALL IMMEDIATE")
    }
}

fn bind(arguments: &mut PgArguments, value: &Value<'_>) -> Result<(), sqlx::error::BoxDynError> {
    match value {
        Value::Null => arguments.add(None::<String>),
        Value::Bool(value) => arguments.add(*value),
        Value::Int(value) => arguments.add(*value),
        Value::UInt(value) => arguments.add(i64::try_from(*value)?),
        Value::Float(value) => arguments.add(*value),
        Value::Text(value) => arguments.add(value.as_ref()),
        Value::Bytes(value) => arguments.add(value.as_ref()),
        Value::Timestamp(micros) => arguments.add(day_and_time(*micros)),
        Value::Array(array) => arguments.add(array_value::literal(array)?),
    }
}
