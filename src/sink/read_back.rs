//! Rows as texts, for those who compare what is in a table with what should be.

use sea_orm::DbBackend;
use sea_orm::sqlx::{self, ColumnIndex, Decode, Row};

use super::sql::{quote, quote_table};
use super::{Sql, SqlError};
use crate::table::{Column, ColumnKind, TableName};

/// A row, each value as the database writes it: bytes that are no text as `\x` and their digits.
pub type TextRow = Vec<Option<String>>;

/// The query for some columns of all rows of a table. Arrays come as JSON.
pub fn select_sql<'a>(
    backend: DbBackend,
    table: &TableName,
    columns: impl Iterator<Item = &'a Column>,
    at_most: Option<usize>,
) -> Sql {
    let read = |column: &Column| {
        let name = quote(backend, &column.name);
        match column.kind {
            ColumnKind::Array { .. } => format!("to_json({name})::text"),
            _ => name,
        }
    };
    let columns = columns.map(read).collect::<Vec<_>>().join(", ");
    let limit = at_most.map(|rows| format!(" LIMIT {rows}")).unwrap_or_default();
    format!("SELECT {columns} FROM {}{limit}", quote_table(backend, table)).into()
}

/// The values of a row that came in the text protocol.
pub fn texts<'r, R: Row>(row: &'r R) -> Result<TextRow, SqlError>
where
    usize: ColumnIndex<R>,
    Option<String>: Decode<'r, R::Database>,
    Option<Vec<u8>>: Decode<'r, R::Database>,
{
    let value = |place| match row.try_get_unchecked::<Option<String>, _>(place) {
        Ok(text) => Ok(text),
        Err(_) => Ok(row.try_get_unchecked::<Option<Vec<u8>>, _>(place)?.map(|bytes| in_hex(&bytes))),
    };
    (0..row.len()).map(value).collect::<Result<TextRow, sqlx::Error>>().map_err(SqlError::from)
}

/// Bytes as PostgreSQL writes them.
pub fn in_hex(bytes: &[u8]) -> String {
    format!("\\x{}", hex::encode(bytes))
}
