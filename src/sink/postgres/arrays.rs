//! One statement a step, whatever its number of rows, with one array a column.

use std::collections::HashMap;

use sea_orm::DbBackend;
use sea_orm::sqlx::encode::{Encode, IsNull};
use sea_orm::sqlx::error::BoxDynError;
use sea_orm::sqlx::postgres::types::Oid;
use sea_orm::sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo};
use sea_orm::sqlx::{Arguments, Postgres, Type};

use super::super::assign::Existing;
use super::super::sql::{quote, quote_table};
use super::super::values::owner_exists;
use super::super::{Sql, SqlError};
use super::binary::Form;
use crate::mapping::{ChangeKind, Places, Step};
use crate::row::Value;
use crate::table::{Column, ColumnKind, Family, Owner, TablePlan};

/// The texts for one table. Each takes one array for each of its columns.
pub struct Statements {
    plan: TablePlan,
    insert: Statement,
    upsert: Statement,
    update: Statement,
    delete: Statement,
    /// Of rows with some columns.
    updates: HashMap<Places, Statement>,
    family: Option<FamilyStatements>,
}

/// Those of a table in which a document has many rows.
struct FamilyStatements {
    /// Rows whose owner is there.
    insert_owned: Statement,
    /// Rows that are not among those of a step: the arrays of the documents, then those of the keys.
    delete_others: Statement,
    /// The same, only of documents whose owner is there.
    delete_others_owned: Statement,
}

/// A statement, and the columns of its arrays.
#[derive(Clone)]
struct Statement {
    sql: Sql,
    columns: Vec<(String, Element)>,
}

/// Sets of columns of which the statements are kept.
const UPDATES_MAX: usize = 100;

impl Statements {
    /// Builds the texts for a table.
    pub fn new(plan: &TablePlan) -> Self {
        let existing = Existing::new(BACKEND, plan);
        let table = quote_table(BACKEND, &plan.table.name);
        let all: Vec<usize> = (0..plan.columns.len()).collect();
        let names = plan.columns.iter().map(quoted).collect::<Vec<_>>().join(", ");
        let values = all.iter().map(|place| cast("u", *place, &plan.columns[*place])).collect::<Vec<_>>().join(", ");
        let insert = format!(
            "INSERT INTO {table}{} ({names}) SELECT {values} FROM {}",
            existing.alias(),
            unnest("u", plan, &all, 1)
        );
        let delete = format!(
            "DELETE FROM {table} AS t USING {} WHERE {}",
            unnest("u", plan, plan.identity(), 1),
            equal("t", plan, plan.identity(), "u")
        );
        let on_conflict = if plan.key.is_empty() { String::new() } else { existing.on_conflict() };
        Statements {
            upsert: Statement::new(format!("{insert} {on_conflict}"), plan, &all),
            update: Statement::update(plan, &all),
            delete: Statement::new(delete, plan, plan.identity()),
            updates: HashMap::new(),
            family: plan.family.as_ref().map(|family| FamilyStatements {
                insert_owned: Statement::insert_owned(&insert, &on_conflict, plan, family),
                delete_others: Statement::delete_others(plan, family, None),
                delete_others_owned: Statement::delete_others(plan, family, family.owner.as_ref()),
            }),
            insert: Statement::new(insert, plan, &all),
            plan: plan.clone(),
        }
    }

    /// The statement of a step, with its rows.
    pub fn of(&mut self, step: &Step<'_>) -> Result<(Sql, PgArguments), SqlError> {
        let statement = match (step.kind, &self.family, &step.columns) {
            (ChangeKind::Update, Some(family), _) => &family.insert_owned,
            (ChangeKind::Update, None, Some(columns)) => {
                if self.updates.len() >= UPDATES_MAX && !self.updates.contains_key(columns) {
                    self.updates.clear();
                }
                self.updates.entry(columns.clone()).or_insert_with(|| Statement::update(&self.plan, columns))
            }
            (ChangeKind::Update, None, None) => &self.update,
            (ChangeKind::Upsert, ..) if self.plan.replaces_all() => &self.insert,
            (ChangeKind::Upsert, ..) => &self.upsert,
            (ChangeKind::Append, ..) => &self.insert,
            (ChangeKind::Delete, ..) => &self.delete,
        };
        let mut arrays = Arrays::of(&statement.columns, step.rows.len());
        for (number, row) in step.rows.iter().enumerate() {
            arrays.put(0, number, row.values())?;
        }
        Ok((statement.sql.clone(), arrays.bound()?))
    }

    /// The statement that deletes the rows that the documents of a step had and have no more.
    pub fn others_of(&self, step: &Step<'_>) -> Result<Option<(Sql, PgArguments)>, SqlError> {
        let Some(family) = self.family.as_ref().filter(|_| !step.families.is_empty()) else { return Ok(None) };
        // An update is nothing to a document whose own row is not there.
        let statement = match step.kind {
            ChangeKind::Update => &family.delete_others_owned,
            _ => &family.delete_others,
        };
        let mut arrays = Arrays::of(&statement.columns, step.rows.len());
        for (number, family) in step.families.iter().enumerate() {
            arrays.put(0, number, family.parent.values())?;
        }
        for (number, row) in step.rows.iter().enumerate() {
            arrays.put(self.plan.identity().len(), number, row.some(&self.plan.key))?;
        }
        Ok(Some((statement.sql.clone(), arrays.bound()?)))
    }
}

impl Statement {
    fn new(sql: String, plan: &TablePlan, places: &[usize]) -> Self {
        let columns = places.iter().map(|place| element_of(&plan.columns[*place])).collect();
        Statement { sql: sql.into(), columns }
    }

    fn update(plan: &TablePlan, places: &[usize]) -> Self {
        let existing = Existing::new(BACKEND, plan);
        let table = quote_table(BACKEND, &plan.table.name);
        let nth = |place: usize| places.iter().position(|other| *other == place).unwrap_or_default();
        let new = |place: usize| cast("u", nth(place), &plan.columns[place]);
        let equals = plan.key.iter().map(|place| format!("t.{} = {}", quoted(&plan.columns[*place]), new(*place)));
        let sql = format!(
            "UPDATE {table} AS t SET {} FROM {} WHERE {}{}",
            existing.set(places, new),
            unnest("u", plan, places, 1),
            equals.collect::<Vec<_>>().join(" AND "),
            existing.guards(places, new)
        );
        Statement::new(sql, plan, places)
    }

    fn insert_owned(insert: &str, on_conflict: &str, plan: &TablePlan, family: &Family) -> Self {
        let exists =
            family.owner.as_ref().map(|owner| format!(" WHERE {}", owned(plan, family, owner, |_, place| place)));
        let on_conflict = if plan.replaces_all() { "" } else { on_conflict };
        let all: Vec<usize> = (0..plan.columns.len()).collect();
        Statement::new(format!("{insert}{} {on_conflict}", exists.unwrap_or_default()), plan, &all)
    }

    fn delete_others(plan: &TablePlan, family: &Family, owner: Option<&Owner>) -> Self {
        let table = quote_table(BACKEND, &plan.table.name);
        let parents = &family.parent;
        let owned = owner.map(|owner| format!(" AND {}", owned(plan, family, owner, |nth, _| nth)));
        let sql = format!(
            "DELETE FROM {table} AS t USING {} WHERE {}{}",
            unnest("u", plan, parents, 1),
            equal("t", plan, parents, "u"),
            owned.unwrap_or_default()
        );
        if plan.replaces_all() {
            return Statement::new(sql, plan, parents);
        }
        let kept = format!(
            "{sql} AND NOT EXISTS (SELECT 1 FROM {} WHERE {})",
            unnest("k", plan, &plan.key, 1 + parents.len()),
            equal("t", plan, &plan.key, "k")
        );
        Statement::new(kept, plan, &[parents.as_slice(), &plan.key].concat())
    }
}

/// Whether the owner of rows is there, where `array` tells which array of `u` has the column of the parent at a place.
fn owned(plan: &TablePlan, family: &Family, owner: &Owner, array: impl Fn(usize, usize) -> usize) -> String {
    let parents = owner.key.iter().zip(&family.parent).enumerate();
    let matches = parents.map(|(nth, (name, place))| {
        format!("o.{} = {}", quote(BACKEND, name), cast("u", array(nth, *place), &plan.columns[*place]))
    });
    owner_exists(BACKEND, owner, &matches.collect::<Vec<_>>().join(" AND "))
}

const BACKEND: DbBackend = DbBackend::Postgres;

fn quoted(column: &Column) -> String {
    quote(BACKEND, &column.name)
}

/// `unnest($1::int8[], $2::text[]) AS u(c0, c1)`
fn unnest(name: &str, plan: &TablePlan, places: &[usize], first: usize) -> String {
    let arrays = places.iter().enumerate().map(|(nth, place)| {
        let (_, element) = element_of(&plan.columns[*place]);
        format!("${}::{}[]", first + nth, element.name)
    });
    let arrays = arrays.collect::<Vec<_>>().join(", ");
    let names = (0..places.len()).map(|nth| format!("c{nth}")).collect::<Vec<_>>().join(", ");
    format!("unnest({arrays}) AS {name}({names})")
}

/// The nth column of arrays that are called `of`.
fn cast(of: &str, nth: usize, column: &Column) -> String {
    format!("{of}.c{nth}::{}", column.cast_type)
}

/// Whether the columns at `places` of the table `table` are those of arrays that have only them.
fn equal(table: &str, plan: &TablePlan, places: &[usize], of: &str) -> String {
    let equals = places.iter().enumerate().map(|(nth, place)| {
        let column = &plan.columns[*place];
        format!("{table}.{} = {}", quoted(column), cast(of, nth, column))
    });
    equals.collect::<Vec<_>>().join(" AND ")
}

/// The type in which a column's values travel; the server casts it to the column's own.
#[derive(Clone, Copy)]
struct Element {
    form: Form,
    name: &'static str,
    oid: Oid,
    array_oid: Oid,
}

/// A column's name, and what its values travel in.
fn element_of(column: &Column) -> (String, Element) {
    // Numbers of types are the same on every server.
    let (form, name, oid, array_oid) = match &column.kind {
        ColumnKind::Bool => (Form::Bool, "bool", 16, 1000),
        ColumnKind::Int { .. } => (Form::Int8, "int8", 20, 1016),
        ColumnKind::Float { .. } => (Form::Float8, "float8", 701, 1022),
        ColumnKind::Bytes { .. } => (Form::Bytes, "bytea", 17, 1001),
        ColumnKind::Timestamp { .. } => (Form::Timestamp, "timestamp", 1114, 1115),
        ColumnKind::Array { .. } => (Form::ArrayText, "text", 25, 1009),
        _ => (Form::Text, "text", 25, 1009),
    };
    (column.name.clone(), Element { form, name, oid: Oid(oid), array_oid: Oid(array_oid) })
}

/// The arrays of a statement.
struct Arrays<'a> {
    columns: &'a [(String, Element)],
    arrays: Vec<Array>,
}

impl<'a> Arrays<'a> {
    /// Empty ones, with room for so many rows.
    fn of(columns: &'a [(String, Element)], rows: usize) -> Self {
        Arrays { columns, arrays: columns.iter().map(|(_, element)| Array::new(*element, rows)).collect() }
    }

    /// Adds the values of row `number` to the arrays from `first` on.
    fn put<'v>(
        &mut self,
        first: usize,
        number: usize,
        values: impl Iterator<Item = Value<'v>>,
    ) -> Result<(), SqlError> {
        for (((name, element), array), value) in self.columns[first..].iter().zip(&mut self.arrays[first..]).zip(values)
        {
            let put = element.form.put(&value, &mut array.elements);
            put.map_err(|why| SqlError::unfit(name, why, number))?;
            array.count += 1;
        }
        Ok(())
    }

    fn bound(self) -> Result<PgArguments, SqlError> {
        let mut arguments = PgArguments::default();
        let bytes = self.arrays.iter().map(|array| array.elements.len() + HEADER_BYTES).sum();
        arguments.reserve(self.arrays.len(), bytes);
        for array in self.arrays {
            arguments.add(array).map_err(SqlError::unbindable)?;
        }
        Ok(arguments)
    }
}

/// The values of one column, in the binary form of an array, which sqlx would make only out of a vector of them.
struct Array {
    element: Element,
    count: usize,
    elements: Vec<u8>,
}

/// Dimensions, flags, the elements' type, and of the one dimension its length and first index.
const HEADER_BYTES: usize = 20;

impl Array {
    fn new(element: Element, rows: usize) -> Self {
        const ELEMENT_BYTES: usize = 12;
        Array { element, count: 0, elements: Vec::with_capacity(rows * ELEMENT_BYTES) }
    }
}

impl Type<Postgres> for Array {
    fn type_info() -> PgTypeInfo {
        // Each says its own, by `produces`.
        PgTypeInfo::with_name("text[]")
    }
}

impl Encode<'_, Postgres> for Array {
    fn encode_by_ref(&self, into: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        const MAY_HOLD_NULL: i32 = 1;
        let count = i32::try_from(self.count)?;
        for word in [1, MAY_HOLD_NULL, self.element.oid.0 as i32, count, 1] {
            into.extend_from_slice(&word.to_be_bytes());
        }
        into.extend_from_slice(&self.elements);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(self.element.array_oid))
    }
}
