//! Pure: SQL text. Names are quoted, values are always placeholders.

use std::sync::Arc;

use sea_orm::DbBackend;

use crate::table::{TableName, TablePlan};

/// A statement's text, shared so that running it again copies nothing.
pub type Sql = Arc<str>;

/// Most placeholders in one statement: the least of what MySQL (65,535) and SQLite (32,766) take.
const PLACEHOLDERS_MAX: usize = 32_766;

/// Rows of a multi-row statement. Only these sizes are used, so that each connection prepares few statements.
const ROWS_PER_STATEMENT: [usize; 5] = [500, 100, 20, 4, 1];

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

/// Most bytes of values in one statement: well below the smallest `max_allowed_packet` in use (4 MiB).
const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// How many of the next rows go into one statement: one of few different numbers, with at most
/// [`PLACEHOLDERS_MAX`] placeholders and, unless a single row has more, [`STATEMENT_BYTES_MAX`] bytes.
pub fn rows_of_next_statement(row_bytes: impl IntoIterator<Item = usize>, placeholders_per_row: usize) -> usize {
    let mut bytes = 0;
    let within_bytes = |row: &usize| {
        bytes += row;
        bytes <= STATEMENT_BYTES_MAX
    };
    let rows = row_bytes.into_iter().take(ROWS_PER_STATEMENT[0]).take_while(within_bytes).count();
    let fits = |size: &usize| *size <= rows && size * placeholders_per_row <= PLACEHOLDERS_MAX;
    ROWS_PER_STATEMENT.into_iter().find(fits).unwrap_or(1)
}

/// `(?, ?), (?, ?)`: `rows` groups of `width` placeholders.
fn groups(rows: usize, width: usize) -> String {
    let group = format!("({})", vec!["?"; width].join(", "));
    vec![group; rows].join(", ")
}

/// The statements of a target table for databases that take multi-row `VALUES` with `?` (MySQL, SQLite).
#[derive(Debug)]
pub struct ValuesStatements {
    insert: String,
    on_conflict: String,
    delete: String,
    /// `UPDATE` of one row: first the values of all columns that are not of the key, then the key.
    pub update: Sql,
    width: usize,
    key_width: usize,
}

impl ValuesStatements {
    /// Builds the texts for a table.
    pub fn new(backend: DbBackend, plan: &TablePlan) -> Self {
        let table = quote_table(backend, &plan.table.name);
        let quoted: Vec<String> = plan.columns.iter().map(|column| quote(backend, &column.name)).collect();
        let key: Vec<&str> = plan.key.iter().map(|place| quoted[*place].as_str()).collect();
        let others: Vec<&str> = places_besides(plan).map(|place| quoted[place].as_str()).collect();
        let key_equals = key.iter().map(|name| format!("{name} = ?")).collect::<Vec<_>>().join(" AND ");
        let others_equal = others.iter().map(|name| format!("{name} = ?")).collect::<Vec<_>>().join(", ");
        let (update, on_conflict) = if key.is_empty() {
            (String::new(), String::new())
        } else if others.is_empty() {
            // Nothing to set: the row is its key. A statement that changes nothing still says whether there is one.
            let same = key.iter().map(|name| format!("{name} = {name}")).collect::<Vec<_>>().join(", ");
            (format!("UPDATE {table} SET {same} WHERE {key_equals}"), on_conflict(backend, &key, &[]))
        } else {
            (format!("UPDATE {table} SET {others_equal} WHERE {key_equals}"), on_conflict(backend, &key, &others))
        };
        ValuesStatements {
            insert: format!("INSERT INTO {table} ({}) VALUES ", quoted.join(", ")),
            on_conflict,
            delete: format!("DELETE FROM {table} WHERE ({}) IN ", key.join(", ")),
            update: update.into(),
            width: quoted.len(),
            key_width: key.len(),
        }
    }

    /// `INSERT` of `rows` rows.
    pub fn insert(&self, rows: usize) -> Sql {
        format!("{}{}", self.insert, groups(rows, self.width)).into()
    }

    /// `INSERT` of `rows` rows that replace those with the same key.
    pub fn upsert(&self, rows: usize) -> Sql {
        format!("{}{} {}", self.insert, groups(rows, self.width), self.on_conflict).into()
    }

    /// `DELETE` of `rows` keys.
    pub fn delete(&self, rows: usize) -> Sql {
        format!("{}(VALUES {})", self.delete, groups(rows, self.key_width)).into()
    }

    /// `DELETE` of `rows` keys for MySQL, whose `IN` takes rows without `VALUES`.
    pub fn delete_mysql(&self, rows: usize) -> Sql {
        format!("{}({})", self.delete, groups(rows, self.key_width)).into()
    }
}

/// The places of the columns that are not of the key.
pub fn places_besides(plan: &TablePlan) -> impl Iterator<Item = usize> {
    (0..plan.columns.len()).filter(|place| !plan.key.contains(place))
}

fn on_conflict(backend: DbBackend, key: &[&str], others: &[&str]) -> String {
    let set = |form: &dyn Fn(&str) -> String| others.iter().map(|name| form(name)).collect::<Vec<_>>().join(", ");
    match backend {
        DbBackend::MySql if others.is_empty() => format!("ON DUPLICATE KEY UPDATE {0} = {0}", key[0]),
        // VALUES() is deprecated in MySQL 8.0.20, but its successor is unknown to MariaDB.
        DbBackend::MySql => format!("ON DUPLICATE KEY UPDATE {}", set(&|name| format!("{name} = VALUES({name})"))),
        _ if others.is_empty() => format!("ON CONFLICT ({}) DO NOTHING", key.join(", ")),
        _ => {
            let set = set(&|name| format!("{name} = excluded.{name}"));
            format!("ON CONFLICT ({}) DO UPDATE SET {set}", key.join(", "))
        }
    }
}

/// The `ON CONFLICT` clause for PostgreSQL.
pub fn on_conflict_postgres(plan: &TablePlan) -> String {
    let backend = DbBackend::Postgres;
    let quoted: Vec<String> = plan.columns.iter().map(|column| quote(backend, &column.name)).collect();
    let key: Vec<&str> = plan.key.iter().map(|place| quoted[*place].as_str()).collect();
    let others: Vec<&str> = places_besides(plan).map(|place| quoted[place].as_str()).collect();
    on_conflict(backend, &key, &others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::table::{Column, ColumnKind, Table, TableName, TablePlan};

    fn plan(columns: &[&str], key: &[usize]) -> TablePlan {
        let column = |name: &&str| Column {
            name: (*name).into(),
            sql_type: "text".into(),
            cast_type: String::new(),
            kind: ColumnKind::Text { max_chars: None },
            compares_exactly: true,
            nullable: true,
            has_default: false,
            generated: false,
        };
        let name = TableName { schema: None, table: "t".into() };
        let table = Table {
            name,
            columns: Vec::new(),
            unique_keys: Vec::new(),
            rules: Vec::new(),
            takes_copy: false,
            not_transactional: None,
        };
        TablePlan { table: Arc::new(table), columns: columns.iter().map(column).collect(), key: key.to_vec() }
    }

    #[test]
    fn statements_of_each_dialect() {
        let plan = plan(&["id", "a", "b"], &[0]);
        let mysql = ValuesStatements::new(DbBackend::MySql, &plan);
        assert_eq!(
            &*mysql.upsert(2),
            "INSERT INTO `t` (`id`, `a`, `b`) VALUES (?, ?, ?), (?, ?, ?) \
             ON DUPLICATE KEY UPDATE `a` = VALUES(`a`), `b` = VALUES(`b`)"
        );
        assert_eq!(&*mysql.delete_mysql(2), "DELETE FROM `t` WHERE (`id`) IN ((?), (?))");
        let sqlite = ValuesStatements::new(DbBackend::Sqlite, &plan);
        assert_eq!(&*sqlite.insert(1), r#"INSERT INTO "t" ("id", "a", "b") VALUES (?, ?, ?)"#);
        assert_eq!(&*sqlite.update, r#"UPDATE "t" SET "a" = ?, "b" = ? WHERE "id" = ?"#);
        assert_eq!(&*sqlite.delete(1), r#"DELETE FROM "t" WHERE ("id") IN (VALUES (?))"#);
    }

    #[test]
    fn names_cannot_break_out_of_their_quotes() {
        assert_eq!(quote(DbBackend::Postgres, r#"a"b"#), r#""a""b""#);
        assert_eq!(quote(DbBackend::MySql, "a`b"), "`a``b`");
    }

    #[test]
    fn statements_are_of_few_sizes_and_within_the_limits() {
        for (rows, bytes, width, expected) in [
            (1234, 10, 7, 500),
            (499, 10, 7, 100),
            (3, 10, 7, 1),
            (1234, 10, 50, 500),
            (1234, 10, 100, 100),
            (1234, 10, 40_000, 1),
            (1234, 100_000, 3, 4),
            (1234, 5_000_000, 3, 1),
        ] {
            let size = rows_of_next_statement(std::iter::repeat_n(bytes, rows), width);
            assert_eq!(size, expected, "{rows} rows of {bytes} bytes and {width} columns");
        }
    }
}
