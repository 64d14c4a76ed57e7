//! Pure: SQL text. Names are quoted, values are always placeholders.

use std::collections::HashMap;
use std::sync::Arc;

use sea_orm::DbBackend;

use crate::mapping::{ChangeKind, Step};
use crate::row::{Row, Value};
use crate::table::{TableName, TablePlan};

/// A statement's text, shared so that running it again copies nothing.
pub type Sql = Arc<str>;

/// Most placeholders in one statement: the least of what MySQL (65,535) and SQLite (32,766) take.
const PLACEHOLDERS_MAX: usize = 32_766;

/// Most bytes of values in one statement: well below the smallest `max_allowed_packet` in use (4 MiB).
const STATEMENT_BYTES_MAX: usize = 1 << 20;

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
    /// Up to the keys.
    delete: String,
    /// Of one row: first the values of all columns that are not of the key, then the key.
    update: Sql,
    update_order: Vec<usize>,
    width: usize,
    key_width: usize,
    sizes: Sizes,
    /// Texts of many rows that were needed before.
    made: HashMap<(ChangeKind, usize), Sql>,
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
        // MySQL's `IN` takes rows without `VALUES`.
        let before_keys = if backend == DbBackend::MySql { "(" } else { "(VALUES " };
        ValuesStatements {
            insert: format!("INSERT INTO {table} ({}) VALUES ", quoted.join(", ")),
            on_conflict,
            delete: format!("DELETE FROM {table} WHERE ({}) IN {before_keys}", key.join(", ")),
            update: update.into(),
            update_order: places_besides(plan).chain(plan.key.iter().copied()).collect(),
            width: quoted.len(),
            key_width: key.len(),
            sizes: if backend == DbBackend::MySql { Sizes::OF_SERVERS } else { Sizes::OF_SQLITE },
            made: HashMap::new(),
        }
    }

    /// The statements that write a step, each with the rows whose values its placeholders take.
    pub fn of<'a>(&'a mut self, step: &'a Step<'a>) -> impl Iterator<Item = (Sql, Vec<Row>)> {
        let mut rows = step.rows.as_slice();
        std::iter::from_fn(move || {
            let size = match step.kind {
                _ if rows.is_empty() => return None,
                ChangeKind::Update => 1,
                ChangeKind::Delete => self.rows_of_next(rows, self.key_width),
                ChangeKind::Append | ChangeKind::Upsert => self.rows_of_next(rows, self.width),
            };
            let (chunk, rest) = rows.split_at(size);
            rows = rest;
            Some((self.text(step.kind, size), self.in_order(step.kind, chunk)))
        })
    }

    fn rows_of_next(&self, rows: &[&Row], width: usize) -> usize {
        self.sizes.rows_of_next(rows.iter().map(|row| row.bytes()), width)
    }

    /// The rows with their values in the order of the placeholders. They share their bytes.
    fn in_order(&self, kind: ChangeKind, rows: &[&Row]) -> Vec<Row> {
        let in_order = |row: &Row| match kind {
            ChangeKind::Update => {
                let values: Vec<Value<'_>> = row.values().collect();
                self.update_order.iter().filter_map(|place| values.get(*place).cloned()).collect()
            }
            _ => row.clone(),
        };
        rows.iter().map(|row| in_order(row)).collect()
    }

    /// The statement of a kind for so many rows.
    fn text(&mut self, kind: ChangeKind, rows: usize) -> Sql {
        if let Some(made) = self.made.get(&(kind, rows)) {
            return made.clone();
        }
        let text: Sql = match kind {
            ChangeKind::Append => format!("{}{}", self.insert, groups(rows, self.width)).into(),
            ChangeKind::Upsert => format!("{}{} {}", self.insert, groups(rows, self.width), self.on_conflict).into(),
            ChangeKind::Update => self.update.clone(),
            ChangeKind::Delete => format!("{}{})", self.delete, groups(rows, self.key_width)).into(),
        };
        self.made.insert((kind, rows), text.clone());
        text
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
    use ChangeKind::{Append, Delete, Update, Upsert};

    use crate::table::{Column, ColumnKind, Table, TableName, TablePlan};

    fn plan(columns: &[&str], key: &[usize]) -> TablePlan {
        let column = |name: &&str| Column {
            name: (*name).into(),
            sql_type: "text".into(),
            cast_type: String::new(),
            kind: ColumnKind::Text { max_chars: None, max_bytes: None },
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
            references: Vec::new(),
            takes_copy: false,
            not_transactional: None,
        };
        TablePlan {
            table: Arc::new(table),
            columns: columns.iter().map(column).collect(),
            key: key.to_vec(),
            upserts: true,
            rows_in_order: true,
        }
    }

    #[test]
    fn statements_of_each_dialect() {
        let plan = plan(&["id", "a", "b"], &[0]);
        let mut mysql = ValuesStatements::new(DbBackend::MySql, &plan);
        assert_eq!(
            &*mysql.text(Upsert, 2),
            "INSERT INTO `t` (`id`, `a`, `b`) VALUES (?, ?, ?), (?, ?, ?) \
             ON DUPLICATE KEY UPDATE `a` = VALUES(`a`), `b` = VALUES(`b`)"
        );
        assert_eq!(&*mysql.text(Delete, 2), "DELETE FROM `t` WHERE (`id`) IN ((?), (?))");
        let mut sqlite = ValuesStatements::new(DbBackend::Sqlite, &plan);
        assert_eq!(&*sqlite.text(Append, 1), r#"INSERT INTO "t" ("id", "a", "b") VALUES (?, ?, ?)"#);
        assert_eq!(&*sqlite.text(Update, 1), r#"UPDATE "t" SET "a" = ?, "b" = ? WHERE "id" = ?"#);
        assert_eq!(&*sqlite.text(Delete, 1), r#"DELETE FROM "t" WHERE ("id") IN (VALUES (?))"#);
    }

    #[test]
    fn every_row_of_a_step_is_written_once_and_in_order() {
        let row = |n: i64| [Value::Int(n), Value::Int(-n)].into_iter().collect::<Row>();
        let rows: Vec<Row> = (0..637).map(row).collect();
        let mut statements = ValuesStatements::new(DbBackend::MySql, &plan(&["id", "a"], &[0]));
        let step = Step { table: 0, kind: Append, rows: rows.iter().collect() };
        let written: Vec<(Sql, Vec<Row>)> = statements.of(&step).collect();
        let placeholders: Vec<usize> = written.iter().map(|(sql, _)| sql.matches('?').count()).collect();
        assert_eq!(placeholders, [1000, 200, 40, 8, 8, 8, 8, 2]);
        for ((_, values), placeholders) in written.iter().zip(placeholders) {
            assert_eq!(values.iter().flat_map(Row::values).count(), placeholders);
        }
        let all = |rows: &mut dyn Iterator<Item = &Row>| {
            rows.flat_map(|row| row.values().map(Value::into_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        assert_eq!(all(&mut written.iter().flat_map(|(_, rows)| rows)), all(&mut rows.iter()));
        let update = Step { table: 0, kind: Update, rows: vec![&rows[7]] };
        let (_, values) = statements.of(&update).next().expect("a statement");
        let values: Vec<_> = values.iter().flat_map(Row::values).collect();
        assert_eq!(values, [Value::Int(-7), Value::Int(7)], "the key comes last");
    }

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
