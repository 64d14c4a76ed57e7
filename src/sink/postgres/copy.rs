//! `COPY … FROM STDIN` in the binary format: the fastest way into a table, for rows that are only appended.

use std::borrow::Cow;
use std::time::Duration;

use sea_orm::DbBackend;
use sea_orm::sqlx::postgres::{PgConnection, PgDatabaseError};
use sea_orm::sqlx::{self, Postgres};

use super::super::SqlError;
use super::super::sql::{quote, quote_table};
use super::binary::{Form, Unfit};
use crate::row::Row;
use crate::table::{Column, TablePlan};

/// The signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1i16).to_be_bytes();

/// Bytes of a message, or one row. A backend reads a message whole before it parses it: in small ones it works while
/// the next is made, and keeps what it reads in its caches.
const MESSAGE_BYTES: usize = 32 << 10;

/// Whether columns have these types, and no rule (which `COPY` passes by) was added.
const TYPES_ARE: &str = "
    SELECT bool_and(COALESCE(format_type(a.atttypid, a.atttypmod) = c.type, false))
       AND NOT COALESCE((SELECT relhasrules FROM pg_class WHERE oid = to_regclass($1)), true)
    FROM unnest($2::text[], $3::text[]) AS c(name, type)
    LEFT JOIN pg_attribute a ON a.attrelid = to_regclass($1) AND a.attname = c.name";

/// Ends our transactions whose `COPY` has had no data for longer than one may take.
const END_SILENT: &str = "
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = session_user AND state = 'active' AND wait_event = 'ClientRead'
      AND query_start < clock_timestamp() - make_interval(secs => $2)
      -- the text may be cut
      AND query <> '' AND left($1, length(query)) = query";

/// Why rows were not appended.
pub enum CopyError {
    /// The columns have other types by now.
    Altered,
    /// Another error, with the row that it names.
    Sql(SqlError),
}

impl From<SqlError> for CopyError {
    fn from(error: SqlError) -> Self {
        CopyError::Sql(error)
    }
}

/// A `COPY` into one table.
pub struct Copy {
    statement: String,
    /// The table as the server names it where an error was.
    table: String,
    columns: Vec<(String, Form)>,
    /// What the columns' types must be, where somebody else can alter them.
    types: Option<Types>,
    /// Kept from one to the next.
    buffer: Vec<u8>,
}

struct Types {
    regclass: String,
    names: Vec<String>,
    types: Vec<String>,
}

impl Copy {
    /// `None` if the table does not take it as it takes `INSERT`, or a column has no binary form.
    pub fn new(plan: &TablePlan) -> Option<Copy> {
        if !plan.table.takes_copy {
            return None;
        }
        let regclass = quote_table(DbBackend::Postgres, &plan.table.name);
        let names = plan.columns.iter().map(|column| column.name.clone()).collect();
        let types = plan.columns.iter().map(|column| column.sql_type.clone()).collect();
        let copy = Copy::into(plan, &regclass, &plan.table.name.table)?;
        Some(Copy { types: Some(Types { regclass, names, types }), ..copy })
    }

    /// Into a temporary table with the same columns. `None` if one of them has no binary form.
    pub fn into_stage(plan: &TablePlan, stage: &str) -> Option<Copy> {
        Copy::into(plan, &format!("pg_temp.{}", quote(DbBackend::Postgres, stage)), stage)
    }

    fn into(plan: &TablePlan, quoted_table: &str, table: &str) -> Option<Copy> {
        let form = |column: &Column| Some((column.name.clone(), Form::of(column)?));
        let quoted: Vec<String> = plan.columns.iter().map(|column| quote(DbBackend::Postgres, &column.name)).collect();
        Some(Copy {
            statement: format!("COPY {quoted_table} ({}) FROM STDIN (FORMAT BINARY)", quoted.join(", ")),
            table: table.to_owned(),
            columns: plan.columns.iter().map(form).collect::<Option<_>>()?,
            types: None,
            buffer: Vec::with_capacity(2 * MESSAGE_BYTES),
        })
    }

    /// Its text.
    pub fn statement(&self) -> &str {
        &self.statement
    }

    /// Ends what processes that stand still, or cannot be reached, have left in the middle of this `COPY`. The server waits
    /// for their data without any limit: neither `statement_timeout` nor the one for idle transactions ends that.
    pub async fn end_silent(&self, connection: &mut PgConnection, limit: Duration) -> Result<(), sqlx::Error> {
        let query = sqlx::query(END_SILENT).bind(&self.statement).bind(limit.as_secs_f64());
        query.execute(connection).await.map(drop)
    }

    /// Appends rows. After an error of the server's or of a value some of them are written, and the connection can go
    /// on: the caller rolls back what is at fault.
    pub async fn append(&mut self, connection: &mut PgConnection, rows: &[Cow<'_, Row>]) -> Result<(), CopyError> {
        let Copy { statement, table, columns, buffer, .. } = self;
        let failed = |error| failed(table, error);
        let mut copy = connection.copy_in_raw(statement).await.map_err(failed)?;
        buffer.clear();
        buffer.extend_from_slice(HEADER);
        for (number, row) in rows.iter().enumerate() {
            if let Err((column, why)) = put_row(columns, row, buffer) {
                // What was sent is whole rows. `abort` would leave the connection out of step if one of them was refused.
                return match copy.finish().await {
                    Ok(_) | Err(sqlx::Error::Database(_)) => Err(SqlError::unfit(column, why, number).into()),
                    Err(error) => Err(failed(error)),
                };
            }
            if buffer.len() >= MESSAGE_BYTES {
                copy.send(buffer.as_slice()).await.map_err(failed)?;
                buffer.clear();
            }
        }
        buffer.extend_from_slice(&TRAILER);
        copy.send(buffer.as_slice()).await.map_err(failed)?;
        copy.finish().await.map_err(failed)?;
        match &self.types {
            Some(types) => types.see_unaltered(connection).await,
            None => Ok(()),
        }
    }
}

impl Types {
    /// The bytes of one type can be those of another. Now that the table is locked until the transaction ends, do its
    /// columns still have the types that the rows were written for?
    async fn see_unaltered(&self, connection: &mut PgConnection) -> Result<(), CopyError> {
        let query = sqlx::query_scalar::<Postgres, bool>(TYPES_ARE).bind(&self.regclass).bind(&self.names);
        match query.bind(&self.types).fetch_one(connection).await.map_err(SqlError::from)? {
            true => Ok(()),
            false => Err(CopyError::Altered),
        }
    }
}

/// One tuple: the number of its fields, and the fields.
pub fn put_row<'a>(columns: &'a [(String, Form)], row: &Row, into: &mut Vec<u8>) -> Result<(), (&'a str, Unfit)> {
    into.extend_from_slice(&(columns.len() as i16).to_be_bytes());
    for ((name, form), cell) in columns.iter().zip(row.cells()) {
        form.put_cell(cell, into).map_err(|why| (name.as_str(), why))?;
    }
    Ok(())
}

fn failed(table: &str, error: sqlx::Error) -> CopyError {
    let postgres = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    // Invalid binary representation, protocol violation, bad copy file: what we send is of another type.
    if postgres.is_some_and(|error| matches!(error.code(), "22P03" | "22P04" | "08P01")) {
        return CopyError::Altered;
    }
    let row = postgres.and_then(|error| error.r#where()).and_then(|place| row_in(place, table));
    CopyError::Sql(SqlError { row, ..error.into() })
}

/// Finds `COPY table, line 7` in what the server says of an error's place, in whatever language: the row 6.
fn row_in(place: &str, table: &str) -> Option<usize> {
    let frame =
        place.lines().rev().find_map(|line| line.strip_prefix("COPY ")?.strip_prefix(table)?.strip_prefix(", "))?;
    let number = frame.split(|character: char| !character.is_ascii_digit()).find(|digits| !digits.is_empty())?;
    number.parse::<usize>().ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_is_in_the_last_frame_of_the_place() {
        for (place, row) in [
            ("COPY t 1, line 7", Some(6)),
            ("COPY t 1, line 12, column a2: \"3\"", Some(11)),
            ("COPY t 1, Zeile 1", Some(0)),
            ("SQL statement \"COPY t 1, line 2\"\nPL/pgSQL function f() line 3 at RAISE\nCOPY t 1, line 9", Some(8)),
            ("COPY other, line 7", None),
            ("COPY t 1, line 0", None),
            ("PL/pgSQL function f() line 3 at RAISE", None),
            ("", None),
        ] {
            assert_eq!(row_in(place, "t 1"), row, "{place}");
        }
    }
}
