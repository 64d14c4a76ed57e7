//! Pure: the statements of a table for databases that take multi-row `VALUES` with `?` (MySQL, SQLite).

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use sea_orm::DbBackend;

use super::assign::{Existing, is_alive};
use super::sql::{PLACEHOLDERS_MAX, STATEMENT_BYTES_MAX, Sizes, Sql, quote, quote_table};
use crate::mapping::{ChangeKind, Places, Step};
use crate::row::{Row, Value};
use crate::table::{Owner, TablePlan};

/// The statements of a target table.
#[derive(Debug)]
pub struct ValuesStatements {
    backend: DbBackend,
    plan: TablePlan,
    /// `INSERT INTO t (…) `
    insert: String,
    on_conflict: String,
    /// Up to the keys.
    delete: String,
    /// Of rows with all columns.
    update: Update,
    /// Of rows with some columns.
    updates: HashMap<Places, Update>,
    sizes: Sizes,
    /// Texts of many rows that were needed before.
    made: HashMap<(Form, usize), Sql>,
}

/// The statement that updates one row.
#[derive(Clone, Debug)]
struct Update {
    sql: Sql,
    /// The places, among the row's values, of what its placeholders take.
    order: Vec<usize>,
}

/// The kinds of statement for many rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    Insert,
    Upsert,
    Delete,
    /// Rows of one document that are not among so many.
    DeleteOthers,
    /// All rows of one document, if its own is there.
    DeleteOwned,
    /// Both.
    DeleteOthersOwned,
    /// A row, if its owner is there.
    InsertOwned,
}

/// Sets of columns of which the statements are kept.
const UPDATES_MAX: usize = 100;

impl ValuesStatements {
    /// Builds the texts for a table.
    pub fn new(backend: DbBackend, plan: &TablePlan) -> Self {
        let existing = Existing::new(backend, plan);
        let table = quote_table(backend, &plan.table.name);
        let names = |places: &[usize]| {
            places.iter().map(|place| quote(backend, &plan.columns[*place].name)).collect::<Vec<_>>().join(", ")
        };
        let all: Vec<usize> = (0..plan.columns.len()).collect();
        ValuesStatements {
            backend,
            insert: format!("INSERT INTO {table}{} ({}) ", existing.alias(), names(&all)),
            on_conflict: if plan.key.is_empty() { String::new() } else { existing.on_conflict() },
            delete: format!("DELETE FROM {table} WHERE ({}) IN {}", names(plan.identity()), before_keys(backend)),
            update: update(backend, plan, &all),
            updates: HashMap::new(),
            sizes: if backend == DbBackend::MySql { Sizes::OF_SERVERS } else { Sizes::OF_SQLITE },
            made: HashMap::new(),
            plan: plan.clone(),
        }
    }

    /// The statements that write a step, each with the rows whose values its placeholders take.
    pub fn of<'a>(&'a mut self, step: &'a Step<'a>) -> impl Iterator<Item = (Sql, Vec<Row>)> {
        let mut others: VecDeque<(Sql, Vec<Row>)> = self.others_of(step).into();
        let mut rows = step.rows.as_slice();
        std::iter::from_fn(move || {
            if let Some(statement) = others.pop_front() {
                return Some(statement);
            }
            if rows.is_empty() {
                return None;
            }
            let (statement, written) = match self.form(step) {
                None => self.updating(step, &rows[0]),
                Some(Form::InsertOwned) => self.inserting_owned(&rows[0]),
                Some(form) => {
                    let size = self.sizes.rows_of_next(rows.iter().map(|row| row.bytes()), self.width(form));
                    let chunk = rows[..size].iter().map(|row| row.as_ref().clone()).collect();
                    ((self.text(form, size), chunk), size)
                }
            };
            rows = &rows[written..];
            Some(statement)
        })
    }

    /// How the rows of a step are written; `None` if one by one as updates.
    fn form(&self, step: &Step<'_>) -> Option<Form> {
        let family = self.plan.family.as_ref().filter(|_| !step.families.is_empty());
        match (step.kind, family) {
            (ChangeKind::Update, Some(family)) if family.owner.is_some() => Some(Form::InsertOwned),
            (ChangeKind::Update | ChangeKind::Upsert, Some(_)) if self.plan.replaces_all() => Some(Form::Insert),
            (ChangeKind::Update, None) => None,
            (ChangeKind::Upsert | ChangeKind::Update, _) => Some(Form::Upsert),
            (ChangeKind::Append, _) => Some(Form::Insert),
            (ChangeKind::Delete, _) => Some(Form::Delete),
        }
    }

    /// Placeholders of a row.
    fn width(&self, form: Form) -> usize {
        match form {
            Form::Insert | Form::Upsert | Form::InsertOwned => self.plan.columns.len(),
            Form::Delete | Form::DeleteOwned => self.plan.identity().len(),
            Form::DeleteOthers | Form::DeleteOthersOwned => self.plan.key.len(),
        }
    }

    fn updating(&mut self, step: &Step<'_>, row: &Row) -> ((Sql, Vec<Row>), usize) {
        let update = match &step.columns {
            None => &self.update,
            Some(columns) => {
                if self.updates.len() >= UPDATES_MAX && !self.updates.contains_key(columns) {
                    self.updates.clear();
                }
                self.updates.entry(columns.clone()).or_insert_with(|| update(self.backend, &self.plan, columns))
            }
        };
        let values: Vec<Value<'_>> = row.values().collect();
        let ordered = update.order.iter().filter_map(|place| values.get(*place).cloned()).collect();
        ((update.sql.clone(), vec![ordered]), 1)
    }

    fn inserting_owned(&mut self, row: &Row) -> ((Sql, Vec<Row>), usize) {
        let parent: Row = row.some(self.plan.identity()).collect();
        ((self.text(Form::InsertOwned, 1), vec![row.clone(), parent]), 1)
    }

    /// What deletes the rows that the documents of a step had and have no more.
    fn others_of(&mut self, step: &Step<'_>) -> Vec<(Sql, Vec<Row>)> {
        let mut rows = step.rows.as_slice();
        let mut statements = Vec::with_capacity(step.families.len());
        for family in &step.families {
            let (own, rest) = rows.split_at(family.rows.min(rows.len()));
            rows = rest;
            statements.push(self.others(step.kind, &family.parent, own));
        }
        statements
    }

    fn others(&mut self, kind: ChangeKind, parent: &Row, own: &[Cow<'_, Row>]) -> (Sql, Vec<Row>) {
        let is_owned = self.plan.family.as_ref().is_some_and(|family| family.owner.is_some());
        // An update is nothing to a document whose own row is not there.
        let (only_owned, all_owned) = match kind {
            ChangeKind::Update if is_owned => (Form::DeleteOthersOwned, Form::DeleteOwned),
            _ => (Form::DeleteOthers, Form::Delete),
        };
        let owner = (kind == ChangeKind::Update && is_owned).then(|| parent.clone());
        let keys: Vec<Row> = own.iter().map(|row| row.some(&self.plan.key).collect()).collect();
        let placeholders = 2 * parent.values().count() + keys.len().next_power_of_two() * self.plan.key.len();
        let bytes: usize = keys.iter().map(Row::bytes).sum();
        let too_many = placeholders > PLACEHOLDERS_MAX || bytes > STATEMENT_BYTES_MAX;
        let mut bound = vec![parent.clone()];
        let Some(last) = keys.last().cloned().filter(|_| !self.plan.replaces_all() && !too_many) else {
            // What is not among so many is written again all the same.
            bound.extend(owner);
            return (self.text(all_owned, 1), bound);
        };
        // Few lengths, so that each connection prepares few statements: the last key fills up.
        let filled = keys.len().next_power_of_two();
        bound.extend(keys);
        bound.resize(1 + filled, last);
        bound.extend(owner);
        (self.text(only_owned, filled), bound)
    }

    /// The statement of a form for so many rows.
    fn text(&mut self, form: Form, rows: usize) -> Sql {
        if let Some(made) = self.made.get(&(form, rows)) {
            return made.clone();
        }
        let groups = groups(rows, self.width(form));
        let text: Sql = match form {
            Form::Insert => format!("{}VALUES {groups}", self.insert).into(),
            Form::Upsert => format!("{}VALUES {groups} {}", self.insert, self.on_conflict).into(),
            Form::Delete => format!("{}{groups})", self.delete).into(),
            Form::DeleteOwned => format!("{}{groups}) AND {}", self.delete, self.owner_exists()).into(),
            Form::DeleteOthers => self.delete_others(&groups).into(),
            Form::DeleteOthersOwned => format!("{} AND {}", self.delete_others(&groups), self.owner_exists()).into(),
            Form::InsertOwned => self.insert_owned().into(),
        };
        self.made.insert((form, rows), text.clone());
        text
    }

    fn names(&self, places: &[usize]) -> Vec<String> {
        places.iter().map(|place| quote(self.backend, &self.plan.columns[*place].name)).collect()
    }

    /// `INSERT INTO t (…) SELECT ?, … WHERE EXISTS (SELECT 1 FROM owner AS o WHERE o.id = ?) ON CONFLICT …`
    fn insert_owned(&self) -> String {
        let values = vec!["?"; self.plan.columns.len()].join(", ");
        let from = if self.backend == DbBackend::MySql { " FROM DUAL" } else { "" };
        let on_conflict = if self.plan.replaces_all() { "" } else { &self.on_conflict };
        format!("{}SELECT {values}{from} WHERE {} {on_conflict}", self.insert, self.owner_exists())
    }

    fn delete_others(&self, groups: &str) -> String {
        let parent = self::groups(1, self.plan.identity().len());
        let key = self.names(&self.plan.key).join(", ");
        format!("{}{parent}) AND ({key}) NOT IN {}{groups})", self.delete, before_keys(self.backend))
    }

    /// Whether the document's own row is there; its key are the last placeholders.
    fn owner_exists(&self) -> String {
        let exists = self.plan.family.as_ref().and_then(|family| family.owner.as_ref()).map(|owner| {
            let matches = owner.key.iter().map(|name| format!("o.{} = ?", quote(self.backend, name)));
            owner_exists(self.backend, owner, &matches.collect::<Vec<_>>().join(" AND "))
        });
        exists.unwrap_or_default()
    }
}

/// Whether the owner of rows is there, and not deleted.
pub fn owner_exists(backend: DbBackend, owner: &Owner, matches: &str) -> String {
    let table = quote_table(backend, &owner.table);
    let alive = owner.soft_delete.as_ref().map(|column| {
        let name = format!("o.{}", quote(backend, &column.name));
        format!(" AND {}", is_alive(&name, column))
    });
    format!("EXISTS (SELECT 1 FROM {table} AS o WHERE {matches}{})", alive.unwrap_or_default())
}

/// MySQL's `IN` takes rows without `VALUES`.
fn before_keys(backend: DbBackend) -> &'static str {
    if backend == DbBackend::MySql { "(" } else { "(VALUES " }
}

/// Of one row with the columns at `places`.
fn update(backend: DbBackend, plan: &TablePlan, places: &[usize]) -> Update {
    let existing = Existing::new(backend, plan);
    let table = quote_table(backend, &plan.table.name);
    let besides = places.iter().copied().filter(|place| !plan.key.contains(place));
    let version = plan.version.filter(|version| places.contains(version));
    let order: Vec<usize> = besides.chain(plan.key.iter().copied()).chain(version).collect();
    // In SQLite they have numbers, because one that is added to stands in the text more than once.
    let new = |place: usize| match (backend, order.iter().position(|other| *other == place)) {
        (DbBackend::Sqlite, Some(number)) => format!("?{}", number + 1),
        _ => "?".to_owned(),
    };
    let key = plan.key.iter().map(|place| format!("{} = {}", quote(backend, &plan.columns[*place].name), new(*place)));
    let key = key.collect::<Vec<_>>().join(" AND ");
    let (set, guards) = (existing.set(places, new), existing.guards(places, new));
    let sql = format!("UPDATE {table}{} SET {set} WHERE {key}{guards}", existing.alias()).into();
    let placeholders = order.len() - usize::from(backend == DbBackend::Sqlite && version.is_some());
    let place_of = |column: &usize| places.iter().position(|place| place == column);
    Update { sql, order: order[..placeholders].iter().filter_map(place_of).collect() }
}

/// `(?, ?), (?, ?)`: `rows` groups of `width` placeholders.
fn groups(rows: usize, width: usize) -> String {
    let group = format!("({})", vec!["?"; width].join(", "));
    vec![group; rows].join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column, ColumnKind, Family, Table, TableName};

    fn plan(columns: &[&str], key: &[usize]) -> TablePlan {
        let text = || ColumnKind::Text { max_chars: None, max_bytes: None };
        let columns = columns.iter().map(|name| Column::new(*name, "text", text())).collect();
        TablePlan::new(Table::new(TableName::parse("t"), Vec::new()), columns, key.to_vec())
    }

    fn row(values: &[i64]) -> Row {
        values.iter().map(|value| Value::Int(*value)).collect()
    }

    fn steps<'a>(kind: ChangeKind, rows: &'a [Row]) -> Step<'a> {
        Step::new(0, kind, rows.iter().map(Cow::Borrowed).collect())
    }

    fn written(statements: &mut ValuesStatements, step: &Step<'_>) -> Vec<(String, Vec<i64>)> {
        let int = |value: Value<'_>| if let Value::Int(int) = value { int } else { panic!("{value:?}") };
        let ints = |rows: Vec<Row>| rows.iter().flat_map(|row| row.values().map(int).collect::<Vec<_>>()).collect();
        statements.of(step).map(|(sql, rows)| (sql.to_string(), ints(rows))).collect()
    }

    #[test]
    fn statements_of_each_dialect() {
        let plan = plan(&["id", "a", "b"], &[0]);
        let rows = [row(&[1, 2, 3])];
        let [mut mysql, mut sqlite] =
            [DbBackend::MySql, DbBackend::Sqlite].map(|backend| ValuesStatements::new(backend, &plan));
        let upsert = "INSERT INTO `t` (`id`, `a`, `b`) VALUES (?, ?, ?) \
                      ON DUPLICATE KEY UPDATE `a` = VALUES(`a`), `b` = VALUES(`b`)";
        assert_eq!(written(&mut mysql, &steps(ChangeKind::Upsert, &rows)), [(upsert.to_owned(), vec![1, 2, 3])]);
        for (kind, sql, values) in [
            (ChangeKind::Append, r#"INSERT INTO "t" ("id", "a", "b") VALUES (?, ?, ?)"#, [1, 2, 3]),
            (ChangeKind::Update, r#"UPDATE "t" SET "a" = ?1, "b" = ?2 WHERE "id" = ?3"#, [2, 3, 1]),
        ] {
            assert_eq!(written(&mut sqlite, &steps(kind, &rows)), [(sql.to_owned(), values.to_vec())]);
        }
        let keys = [row(&[1]), row(&[2])];
        assert_eq!(
            written(&mut mysql, &steps(ChangeKind::Delete, &keys[..1]))[0].0,
            "DELETE FROM `t` WHERE (`id`) IN ((?))"
        );
        assert_eq!(
            written(&mut sqlite, &steps(ChangeKind::Delete, &keys[..1]))[0].0,
            r#"DELETE FROM "t" WHERE ("id") IN (VALUES (?))"#
        );
    }

    #[test]
    fn every_row_of_a_step_is_written_once_and_in_order() {
        let rows: Vec<Row> = (0..637).map(|n| row(&[n, -n])).collect();
        let mut statements = ValuesStatements::new(DbBackend::MySql, &plan(&["id", "a"], &[0]));
        let written = written(&mut statements, &steps(ChangeKind::Append, &rows));
        let placeholders: Vec<usize> = written.iter().map(|(sql, _)| sql.matches('?').count()).collect();
        assert_eq!(placeholders, [1000, 200, 40, 8, 8, 8, 8, 2]);
        for ((_, values), placeholders) in written.iter().zip(placeholders) {
            assert_eq!(values.len(), placeholders);
        }
        let all: Vec<i64> = written.into_iter().flat_map(|(_, values)| values).collect();
        assert_eq!(all, (0..637).flat_map(|n| [n, -n]).collect::<Vec<_>>());
    }

    #[test]
    fn an_update_of_some_columns_sets_only_them() {
        let plan = TablePlan { version: Some(3), ..plan(&["a", "id", "b", "v"], &[1]) };
        let mut statements = ValuesStatements::new(DbBackend::Sqlite, &plan);
        let rows = [row(&[7, 20, 5])];
        let step = Step { columns: Some(Places::new(vec![1, 2, 3])), ..steps(ChangeKind::Update, &rows) };
        let sql = r#"UPDATE "t" AS t SET "b" = ?1, "v" = ?2 WHERE "id" = ?3 AND (t."v" IS NULL OR t."v" <= ?2)"#;
        assert_eq!(written(&mut statements, &step), [(sql.to_owned(), vec![20, 5, 7])]);
        let mut statements = ValuesStatements::new(DbBackend::MySql, &plan);
        let sql = "UPDATE `t` SET `b` = ?, `v` = ? WHERE `id` = ? AND (`v` IS NULL OR `v` <= ?)";
        assert_eq!(written(&mut statements, &step), [(sql.to_owned(), vec![20, 5, 7, 5])]);
    }

    #[test]
    fn what_a_document_has_no_more_is_deleted_first() {
        let owner = Owner { table: TableName::parse("o"), key: vec!["id".into()], soft_delete: None };
        let family = Family { parent: vec![0], owner: Some(owner) };
        let plan = TablePlan { family: Some(family), ..plan(&["parent", "item", "a"], &[0, 1]) };
        let mut statements = ValuesStatements::new(DbBackend::MySql, &plan);
        let (rows, parents) = ([row(&[1, 1, 5]), row(&[1, 2, 6]), row(&[1, 3, 7])], [row(&[1]), row(&[2])]);
        let families = [(&parents[0], 3), (&parents[1], 0)];
        let families: Vec<_> = families
            .map(|(parent, rows)| crate::mapping::FamilyRows { parent: Cow::Borrowed(parent), rows })
            .into_iter()
            .collect();
        let step = |kind| Step { families: families.clone(), ..steps(kind, &rows) };
        let upserted = written(&mut statements, &step(ChangeKind::Upsert));
        let others = "DELETE FROM `t` WHERE (`parent`) IN ((?)) AND (`parent`, `item`) NOT IN \
                      ((?, ?), (?, ?), (?, ?), (?, ?))";
        assert_eq!(upserted[0], (others.to_owned(), vec![1, 1, 1, 1, 2, 1, 3, 1, 3]));
        assert_eq!(upserted[1], ("DELETE FROM `t` WHERE (`parent`) IN ((?))".to_owned(), vec![2]));
        assert!(upserted[2].0.contains("ON DUPLICATE KEY UPDATE `a` = VALUES(`a`)"), "{upserted:?}");
        let updated = written(&mut statements, &step(ChangeKind::Update));
        assert_eq!(updated.len(), 5);
        let exists = " AND EXISTS (SELECT 1 FROM `o` AS o WHERE o.`id` = ?)";
        assert_eq!(updated[0], (others.to_owned() + exists, vec![1, 1, 1, 1, 2, 1, 3, 1, 3, 1]));
        assert_eq!(updated[1], (format!("DELETE FROM `t` WHERE (`parent`) IN ((?)){exists}"), vec![2, 2]));
        let owned = "INSERT INTO `t` (`parent`, `item`, `a`) SELECT ?, ?, ? FROM DUAL WHERE EXISTS \
                     (SELECT 1 FROM `o` AS o WHERE o.`id` = ?) ON DUPLICATE KEY UPDATE `a` = VALUES(`a`)";
        assert_eq!(updated[2], (owned.to_owned(), vec![1, 1, 5, 1]));
    }
}
