//! One statement a step, whatever its number of rows, with one array a column.

use sea_orm::DbBackend;
use sea_orm::sqlx::encode::{Encode, IsNull};
use sea_orm::sqlx::error::BoxDynError;
use sea_orm::sqlx::postgres::types::Oid;
use sea_orm::sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo};
use sea_orm::sqlx::{Arguments, Postgres, Type};

use super::super::sql::{on_conflict_postgres, places_besides, quote, quote_table};
use super::super::{Sql, SqlError};
use super::binary::Form;
use crate::mapping::{ChangeKind, Step};
use crate::table::{Column, ColumnKind, TablePlan};

/// The texts for one table. Each takes one array for each of its columns.
pub struct Statements {
    insert: Sql,
    upsert: Sql,
    update: Sql,
    delete: Sql,
    /// For each place in a row of [`ChangeKind::Append`], [`ChangeKind::Upsert`] and [`ChangeKind::Update`].
    columns: Vec<(String, Element)>,
    /// For each place in a row of [`ChangeKind::Delete`].
    key_columns: Vec<(String, Element)>,
}

impl Statements {
    /// Builds the texts for a table.
    pub fn new(plan: &TablePlan) -> Self {
        let name = |column: &Column| quote(DbBackend::Postgres, &column.name);
        let table = quote_table(DbBackend::Postgres, &plan.table.name);
        let all: Vec<usize> = (0..plan.columns.len()).collect();
        let names = plan.columns.iter().map(name).collect::<Vec<_>>().join(", ");
        let values = all.iter().map(|place| cast(*place, &plan.columns[*place])).collect::<Vec<_>>().join(", ");
        let insert = format!("INSERT INTO {table} ({names}) SELECT {values} FROM {}", unnest(plan, &all));
        // `source` gives the place of a key column in the arrays of the statement.
        let matches = |source: &dyn Fn(usize, usize) -> usize| {
            let equals = plan.key.iter().enumerate().map(|(nth, place)| {
                let column = &plan.columns[*place];
                format!("t.{} = {}", name(column), cast(source(nth, *place), column))
            });
            equals.collect::<Vec<_>>().join(" AND ")
        };
        let mut set: Vec<usize> = places_besides(plan).collect();
        if set.is_empty() {
            set.extend(&plan.key);
        }
        let set = set.iter().map(|place| {
            let column = &plan.columns[*place];
            format!("{} = {}", name(column), cast(*place, column))
        });
        let set = set.collect::<Vec<_>>().join(", ");
        let update =
            format!("UPDATE {table} AS t SET {set} FROM {} WHERE {}", unnest(plan, &all), matches(&|_, place| place));
        let delete =
            format!("DELETE FROM {table} AS t USING {} WHERE {}", unnest(plan, &plan.key), matches(&|nth, _| nth));
        Statements {
            upsert: format!("{insert} {}", on_conflict_postgres(plan)).into(),
            insert: insert.into(),
            update: update.into(),
            delete: delete.into(),
            columns: all.iter().map(|place| element_of(&plan.columns[*place])).collect(),
            key_columns: plan.key.iter().map(|place| element_of(&plan.columns[*place])).collect(),
        }
    }

    /// The statement of a step, with its rows.
    pub fn of(&self, step: &Step<'_>) -> Result<(Sql, PgArguments), SqlError> {
        let (sql, columns) = match step.kind {
            ChangeKind::Append => (&self.insert, &self.columns),
            ChangeKind::Upsert => (&self.upsert, &self.columns),
            ChangeKind::Update => (&self.update, &self.columns),
            ChangeKind::Delete => (&self.delete, &self.key_columns),
        };
        let mut arrays: Vec<Array> = columns.iter().map(|(_, element)| Array::new(*element, step.rows.len())).collect();
        for (number, row) in step.rows.iter().enumerate() {
            for (((name, element), array), value) in columns.iter().zip(&mut arrays).zip(row.values()) {
                let put = element.form.put(&value, &mut array.elements);
                put.map_err(|why| SqlError::unfit(name, why, number))?;
            }
        }
        let mut arguments = PgArguments::default();
        arguments.reserve(arrays.len(), arrays.iter().map(|array| array.elements.len() + HEADER_BYTES).sum());
        for array in arrays {
            arguments.add(array).map_err(SqlError::unbindable)?;
        }
        Ok((sql.clone(), arguments))
    }
}

/// `unnest($1::int8[], $2::text[]) AS u(c0, c1)`
fn unnest(plan: &TablePlan, places: &[usize]) -> String {
    let arrays = places.iter().enumerate().map(|(nth, place)| {
        let (_, element) = element_of(&plan.columns[*place]);
        format!("${}::{}[]", nth + 1, element.name)
    });
    let arrays = arrays.collect::<Vec<_>>().join(", ");
    let names = (0..places.len()).map(|nth| format!("c{nth}")).collect::<Vec<_>>().join(", ");
    format!("unnest({arrays}) AS u({names})")
}

fn cast(place: usize, column: &Column) -> String {
    format!("u.c{place}::{}", column.cast_type)
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

/// The values of one column, in the binary form of an array, which sqlx would make only out of a vector of them.
struct Array {
    element: Element,
    count: usize,
    elements: Vec<u8>,
}

/// Dimensions, flags, the elements' type, and of the one dimension its length and first index.
const HEADER_BYTES: usize = 20;

impl Array {
    fn new(element: Element, count: usize) -> Self {
        const ELEMENT_BYTES: usize = 12;
        Array { element, count, elements: Vec::with_capacity(count * ELEMENT_BYTES) }
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
