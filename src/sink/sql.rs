//! Pure: SQL text. Names are quoted, values are always placeholders.

use std::sync::Arc;

use sea_orm::DbBackend;

use crate::table::{TableName, TablePlan};

/// A statement's text, shared so that running it again copies nothing.
pub type Sql = Arc<str>;

/// Most placeholders in one statement: the least of what MySQL (65,535) and SQLite (32,766) take.
pub const PLACEHOLDERS_MAX: usize = 32_766;

/// Most bytes of values in one statement: well below the smallest `max_allowed_packet` in use (4 MiB).
pub const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// Rows of a multi-row statement, the most first. Only these sizes are used, so that each connection prepares few
/// statements.
#[derive(Clone, Copy, Debug)]
pub struct Sizes(&'static [usize]);

impl Sizes {
    /// Where a statement is a message to a server and back.
    pub const OF_SERVERS: Sizes = Sizes(&[500, 100, 20, 4, 1]);
    /// Where it is a call: many placeholders in one statement cost SQLite more than many statements.
    pub const OF_SQLITE: Sizes = Sizes(&[25, 5, 1]);

    /// How many of the next rows go into one statement: one of the sizes, with at most [`PLACEHOLDERS_MAX`] placeholders
    /// and, unless a single row has more, [`STATEMENT_BYTES_MAX`] bytes.
    pub fn rows_of_next(self, row_bytes: impl IntoIterator<Item = usize>, placeholders_per_row: usize) -> usize {
        let mut bytes = 0;
        let within_bytes = |row: &usize| {
            bytes += row;
            bytes <= STATEMENT_BYTES_MAX
        };
        let most = self.0.first().copied().unwrap_or(1);
        let rows = row_bytes.into_iter().take(most).take_while(within_bytes).count();
        let fits = |size: &&usize| **size <= rows && **size * placeholders_per_row <= PLACEHOLDERS_MAX;
        self.0.iter().find(fits).copied().unwrap_or(1)
    }
}

/// A quoted name.
pub fn quote(backend: DbBackend, name: &str) -> String {
    match backend {
        DbBackend::MySql => format!("`{}`", name.replace('`', "``")),
        _ => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// A quoted table name with its schema.
pub fn quote_table(backend: DbBackend, name: &TableName) -> String {
    match &name.schema {
        Some(schema) => format!("{}.{}", quote(backend, schema), quote(backend, &name.table)),
        None => quote(backend, &name.table),
    }
}

/// The placeholder of argument `number`, from 1.
pub fn placeholder(backend: DbBackend, number: usize) -> String {
    match backend {
        DbBackend::Postgres => format!("${number}"),
        _ => "?".to_owned(),
    }
}

/// The places of the columns that are not of the key.
pub fn places_besides(plan: &TablePlan) -> impl Iterator<Item = usize> {
    (0..plan.columns.len()).filter(|place| !plan.key.contains(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_their_quotes() {
        assert_eq!(quote(DbBackend::Postgres, r#"a"b"#), r#""a""b""#);
        assert_eq!(quote(DbBackend::MySql, "a`b"), "`a``b`");
    }

    #[test]
    fn statements_are_of_few_sizes_and_within_the_limits() {
        let (servers, sqlite) = (Sizes::OF_SERVERS, Sizes::OF_SQLITE);
        for (sizes, rows, bytes, width, expected) in [
            (servers, 1234, 10, 7, 500),
            (servers, 499, 10, 7, 100),
            (servers, 3, 10, 7, 1),
            (servers, 1234, 10, 50, 500),
            (servers, 1234, 10, 100, 100),
            (servers, 1234, 10, 40_000, 1),
            (servers, 1234, 100_000, 3, 4),
            (servers, 1234, 5_000_000, 3, 1),
            (sqlite, 1234, 10, 7, 25),
            (sqlite, 24, 10, 7, 5),
            (sqlite, 1234, 10, 2000, 5),
        ] {
            let size = sizes.rows_of_next(std::iter::repeat_n(bytes, rows), width);
            assert_eq!(size, expected, "{rows} rows of {bytes} bytes and {width} columns");
        }
    }
}
