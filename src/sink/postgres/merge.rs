//! Upserts of many rows: copied into a temporary table, and from there inserted in one statement. A row costs less to copy
//! than to take out of arrays.

use std::borrow::Cow;
use std::fmt::Write;

use sea_orm::DbBackend;
use sea_orm::sqlx::postgres::PgConnection;
use sea_orm::sqlx::{self, AssertSqlSafe};

use super::super::assign::Existing;
use super::super::sql::{quote, quote_table};
use super::super::{Sql, SqlError};
use super::copy::{Copy, CopyError};
use crate::row::Row;
use crate::table::TablePlan;

/// The name of the temporary table, which is empty at the end of each transaction.
///
/// It is named after the table, so that nobody else's `COPY` is taken for one of ours, and after the table's number among
/// those of the connection.
fn stage_of(number: usize, table: &str) -> String {
    /// What is longer PostgreSQL cuts.
    const NAME_BYTES_MAX: usize = 63;
    let mut stage = format!("write_behind_stage_{number}_of_{table}");
    stage.truncate(stage.floor_char_boundary(NAME_BYTES_MAX));
    stage
}

/// Upserts into one table.
pub struct Merge {
    copy: Copy,
    merge: Sql,
    /// Whether the stage holds rows of the transaction already.
    used: bool,
}

impl Merge {
    /// Makes the temporary table. `None` if nothing is upserted, a column has no binary form, or the server lets us make no
    /// temporary table.
    pub async fn prepare(
        connection: &mut PgConnection,
        number: usize,
        plan: &TablePlan,
    ) -> Result<Option<Merge>, SqlError> {
        let stage = stage_of(number, &plan.table.name.table);
        // It would hide a table of its own name.
        if !plan.upserts || plan.replaces_all() || stage == plan.table.name.table {
            return Ok(None);
        }
        let Some(copy) = Copy::into_stage(plan, &stage) else { return Ok(None) };
        let create = sqlx::raw_sql(AssertSqlSafe(create(plan, &stage))).execute(connection).await;
        match create {
            Ok(_) => Ok(Some(Merge { copy, merge: merge(plan, &stage).into(), used: false })),
            // Insufficient privilege, and a server that only reads.
            Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42501" | "25006")) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The first half of it.
    pub fn copy(&self) -> &Copy {
        &self.copy
    }

    /// Its texts.
    pub fn statements(&self) -> Vec<Sql> {
        vec![self.copy.statement().into(), self.merge.clone()]
    }

    /// Whether rows can be written this way: once in a transaction, which leaves nothing to clear away.
    pub fn is_free(&self) -> bool {
        !self.used
    }

    /// A transaction begins.
    pub fn begin(&mut self) {
        self.used = false;
    }

    /// Writes rows, no two of them with one key.
    pub async fn upsert(&mut self, connection: &mut PgConnection, rows: &[Cow<'_, Row>]) -> Result<(), CopyError> {
        self.used = true;
        self.copy.append(connection, rows).await?;
        let merge = sqlx::query(AssertSqlSafe(self.merge.clone()));
        merge.execute(connection).await.map(drop).map_err(|error| CopyError::Sql(error.into()))
    }
}

/// The columns have the types that the rows are written for, whatever those of the table are by then.
fn create(plan: &TablePlan, stage: &str) -> String {
    let mut columns = String::new();
    for column in &plan.columns {
        let comma = if columns.is_empty() { "" } else { ", " };
        write!(columns, "{comma}{} {}", quote(DbBackend::Postgres, &column.name), column.sql_type).unwrap_or_default();
    }
    let stage = quote(DbBackend::Postgres, stage);
    // A connection that a pooler hands out again may have one from before.
    format!(
        "SET client_min_messages = warning; DROP TABLE IF EXISTS pg_temp.{stage}; \
         CREATE TEMPORARY TABLE {stage} ({columns}) ON COMMIT DELETE ROWS"
    )
}

fn merge(plan: &TablePlan, stage: &str) -> String {
    let table = quote_table(DbBackend::Postgres, &plan.table.name);
    let names = plan.columns.iter().map(|column| quote(DbBackend::Postgres, &column.name));
    let names = names.collect::<Vec<_>>().join(", ");
    let existing = Existing::new(DbBackend::Postgres, plan);
    let (alias, on_conflict) = (existing.alias(), existing.on_conflict());
    format!(
        "INSERT INTO {table}{alias} ({names}) SELECT {names} FROM pg_temp.{} {on_conflict}",
        quote(DbBackend::Postgres, stage)
    )
}
