//! What is left of the changes of one key: the rules by which they collapse.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::change::{Change, ChangeKind, Extent, Places};
use super::overlay::put_over;
use crate::row::{Row, Value};
use crate::table::TablePlan;

/// What is left of the changes of one key.
#[derive(Clone, Default)]
pub struct Left<'a> {
    /// The row is deleted first. This stays true if it is written again, for the columns that the mapping does not
    /// write: they begin anew with their defaults.
    pub delete: Option<&'a Row>,
    /// The row is written then.
    pub write: Option<Write<'a>>,
}

/// A row that is written.
#[derive(Clone)]
pub struct Write<'a> {
    /// An upsert or an update.
    pub kind: ChangeKind,
    values: Values<'a>,
}

/// The values that are written. Mostly those of one change: they stay where they are.
#[derive(Clone)]
enum Values<'a> {
    AsItCame(&'a Change),
    PutTogether(Box<(Row, Extent)>),
}

/// What two writes of one key come to.
enum Together<'a> {
    /// The older one alone.
    Older,
    /// The newer one alone, as an upsert or an update.
    Newer(ChangeKind),
    /// Both, in one.
    Both(Write<'a>),
    /// Two statements: only the database knows what they come to.
    Apart,
}

impl<'a> Left<'a> {
    /// Adds the next change of the same key, unless that must be written after what is here: then it answers `false`.
    pub fn add(&mut self, change: &'a Change, plan: &TablePlan) -> bool {
        if change.kind == ChangeKind::Delete {
            *self = Left { delete: Some(&change.row), write: None };
            return true;
        }
        let Some(older) = &self.write else {
            // What updates a deleted row is nothing.
            if change.kind == ChangeKind::Upsert || self.delete.is_none() {
                self.write = Some(Write::of(change));
            }
            return true;
        };
        match together(older, change, plan) {
            Together::Older => {}
            Together::Newer(kind) => self.write = Some(Write { kind, ..Write::of(change) }),
            Together::Both(both) => self.write = Some(both),
            Together::Apart => return false,
        }
        true
    }
}

impl<'a> Write<'a> {
    fn of(change: &'a Change) -> Self {
        Write { kind: change.kind, values: Values::AsItCame(change) }
    }

    /// The values.
    pub fn row(&self) -> Cow<'a, Row> {
        match &self.values {
            Values::AsItCame(change) => Cow::Borrowed(&change.row),
            // They share their bytes.
            Values::PutTogether(both) => Cow::Owned(both.0.clone()),
        }
    }

    /// Which they are.
    pub fn extent(&self) -> &Extent {
        match &self.values {
            Values::AsItCame(change) => &change.extent,
            Values::PutTogether(both) => &both.1,
        }
    }
}

fn together<'a>(older: &Write<'a>, newer: &'a Change, plan: &TablePlan) -> Together<'a> {
    use ChangeKind::{Update, Upsert};
    let plain = plan.adds.is_empty();
    if let Some(version) = plan.version {
        // What is added, or deleted, besides depends on whether the row that is there is older.
        return if plain && plan.soft_delete.is_none() { by_version(older, newer, version) } else { Together::Apart };
    }
    if older.is_soft_delete(plan) {
        return match newer.kind {
            Upsert if plain => Together::Newer(Upsert),
            // The sum begins anew.
            Upsert => Together::Apart,
            _ => Together::Older,
        };
    }
    match (older.kind, newer.kind) {
        (_, Upsert) if plain => Together::Newer(Upsert),
        // Two things are added to a row that is there, one to a new one.
        (Update, Upsert) => Together::Apart,
        (kind, _) if plain && newer.extent.columns().is_none() => Together::Newer(kind),
        (kind, _) => match put_over(older.layer(), (&newer.row, newer.extent.columns()), &plan.adds) {
            Some((row, columns)) => {
                let extent = columns.map_or(Extent::Whole, Extent::Columns);
                Together::Both(Write { kind, values: Values::PutTogether(Box::new((row, extent))) })
            }
            None => Together::Apart,
        },
    }
}

/// Where a row is written only if it is not older than what is there.
fn by_version<'a>(older: &Write<'a>, newer: &'a Change, place: usize) -> Together<'a> {
    use ChangeKind::{Update, Upsert};
    let newer_layer = (&newer.row, newer.extent.columns());
    let order =
        value_at(newer_layer, place).zip(value_at(older.layer(), place)).and_then(|(new, old)| compare(&new, &old));
    match (order, older.kind, newer.kind) {
        (None, ..) => Together::Apart,
        // Whatever row is there, the first of them is written and the second is not, or neither is; but an update makes no
        // row.
        (Some(Ordering::Less), Update, Upsert) => Together::Apart,
        (Some(Ordering::Less), ..) => Together::Older,
        (Some(_), _, Upsert) => Together::Newer(Upsert),
        // A row between the two versions takes only the columns of the newer one.
        (Some(_), kind, _) if covers(newer.extent.columns(), older.extent().columns()) => Together::Newer(kind),
        (Some(_), ..) => Together::Apart,
    }
}

/// The order of two versions, where it is the same for every database.
fn compare(one: &Value<'_>, other: &Value<'_>) -> Option<Ordering> {
    match (one, other) {
        (Value::Int(one), Value::Int(other)) | (Value::Timestamp(one), Value::Timestamp(other)) => Some(one.cmp(other)),
        (Value::UInt(one), Value::UInt(other)) => Some(one.cmp(other)),
        (Value::Float(one), Value::Float(other)) => one.partial_cmp(other),
        _ => None,
    }
}

fn covers(columns: Option<&Places>, others: Option<&Places>) -> bool {
    match (columns, others) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(columns), Some(others)) => others.iter().all(|place| columns.contains(place)),
    }
}

fn value_at<'r>((row, columns): (&'r Row, Option<&Places>), place: usize) -> Option<Value<'r>> {
    match columns {
        Some(columns) => row.value(columns.iter().position(|column| *column == place)?),
        None => row.value(place),
    }
}

impl Write<'_> {
    fn layer(&self) -> (&Row, Option<&Places>) {
        let row = match &self.values {
            Values::AsItCame(change) => &change.row,
            Values::PutTogether(both) => &both.0,
        };
        (row, self.extent().columns())
    }

    /// Whether the row is marked as deleted after it: an update that touches the mark does nothing else with it.
    fn is_soft_delete(&self, plan: &TablePlan) -> bool {
        let Some(mark) = plan.soft_delete else { return false };
        !matches!(value_at(self.layer(), mark), None | Some(Value::Null | Value::Bool(false) | Value::Int(0)))
    }
}
