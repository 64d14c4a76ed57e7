//! One table of a mapping: its columns, and what each operation does to it.

use std::sync::Arc;

use super::context::Context;
use super::family::{FamilyChange, FamilyMapping};
use super::path::Path;
use super::source::{MaskedSource, Source};
use super::{Change, ChangeKind, Changes, Extent, Places, Skipped, convert, patch};
use crate::event::{Op, Rejection, RejectionClass};
use crate::expression::Expression;
use crate::row::{Row, RowWriter, Value};
use crate::settings::{OnNull, WriteBehind, WriteMode};
use crate::table::{Column, EndBlanks, Table, TablePlan};
use crate::value_format::ValueFormat;

/// How the events of one stream become rows of one table.
#[derive(Clone, Debug)]
pub struct TableMapping {
    /// Its number among the tables of the stream's settings, which are in another order.
    pub number: usize,
    /// The target table, as the catalogue described it.
    pub table: Arc<Table>,
    /// The mapped columns, in the order of every row.
    pub columns: Vec<MappedColumn>,
    /// Which of them identify a row.
    pub key: Vec<usize>,
    pub(super) mode: WriteMode,
    pub(super) write_behind: WriteBehind,
    pub(super) filter: Option<Expression>,
    pub(super) rows_in_order: bool,
    /// The columns whose values are added.
    pub(super) adds: Vec<usize>,
    pub(super) version: Option<usize>,
    pub(super) soft_delete: Option<SoftDelete>,
    /// How one document becomes many rows.
    pub(super) family: Option<FamilyMapping>,
}

/// One column and where its value comes from.
#[derive(Clone, Debug)]
pub struct MappedColumn {
    /// The column of the table.
    pub column: Column,
    pub(super) source: Source,
    pub(super) default: Option<Value<'static>>,
    pub(super) required: bool,
    /// Whether it is the version of its row, which is required too.
    pub(super) is_version: bool,
    pub(super) on_null: OnNull,
    /// How documents write its values.
    pub(super) format: ValueFormat,
}

/// How a delete marks a row.
#[derive(Clone, Debug)]
pub struct SoftDelete {
    /// The place of the marked column, whose own source is the mark of a row that is not deleted.
    pub(super) place: usize,
    /// What a delete writes there.
    pub(super) mark: MappedColumn,
    /// The columns that a delete writes.
    pub(super) deleted: Places,
    /// All columns but the marked one: those that an update writes.
    pub(super) updated: Places,
}

/// The kinds of statement that a mapping can come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableChanges {
    /// `INSERT`
    pub insert: bool,
    /// `UPDATE`, also as part of an upsert.
    pub update: bool,
    /// `DELETE`
    pub delete: bool,
}

impl TableMapping {
    /// How events reach it.
    pub fn mode(&self) -> WriteMode {
        self.mode
    }

    /// What the pipeline may come to do to the table.
    pub fn changes(&self) -> TableChanges {
        let WriteBehind { insert, upsert, update, patch, delete } = self.write_behind;
        if self.mode == WriteMode::Log {
            return TableChanges { insert: self.write_behind != WriteBehind::NONE, update: false, delete: false };
        }
        let (inserts, updates) = (insert || upsert, update || patch);
        let keyed = !self.key.is_empty();
        let deletes = keyed && delete;
        let upserts = inserts && self.mode == WriteMode::Upsert;
        match &self.family {
            // What is there is replaced as a whole, or by the key.
            Some(family) => {
                let replaces = upserts || updates && keyed;
                TableChanges {
                    insert: inserts || replaces,
                    update: replaces && !family.replaces_all(&self.key),
                    delete: deletes || replaces,
                }
            }
            None => {
                let soft = self.soft_delete.is_some();
                let update = updates && keyed || upserts || deletes && soft;
                TableChanges { insert: inserts, update, delete: deletes && !soft }
            }
        }
    }

    /// What the writers need to know of the table.
    pub fn plan(&self) -> TablePlan {
        TablePlan {
            table: self.table.clone(),
            columns: self.columns.iter().map(|column| column.column.clone()).collect(),
            key: self.key.clone(),
            upserts: self.mode == WriteMode::Upsert,
            rows_in_order: self.rows_in_order,
            adds: self.adds.clone(),
            version: self.version,
            soft_delete: self.soft_delete.as_ref().map(|soft| soft.place),
            family: self.family.as_ref().map(FamilyMapping::plan),
        }
    }

    /// The sources of its masked columns, with the list in whose items they are.
    pub(super) fn masked(&self) -> impl Iterator<Item = (&MaskedSource, Option<&Path>)> {
        let list = self.family.as_ref().and_then(|family| family.list.path());
        self.columns.iter().filter_map(move |column| match &column.source {
            Source::Masked(masked) => Some((&**masked, list)),
            _ => None,
        })
    }

    /// Whether something that the document says is added to what is there.
    pub(super) fn adds_members(&self) -> bool {
        self.adds.iter().any(|place| matches!(self.columns[*place].source, Source::Member(..)))
    }

    /// Why an event that does `op` does not reach the table, if so.
    #[inline]
    pub(super) fn passes_over(&self, op: Op, context: &Context<'_>) -> Result<Option<Skipped>, Rejection> {
        let takes_all = self.filter.is_none() && self.write_behind.allows(op);
        if takes_all { Ok(None) } else { self.choose(op, context) }
    }

    #[inline(never)]
    fn choose(&self, op: Op, context: &Context<'_>) -> Result<Option<Skipped>, Rejection> {
        if !self.write_behind.allows(op) {
            return Ok(Some(Skipped::Operation(op)));
        }
        match &self.filter {
            Some(filter) if context.is_asked_about(op) => {
                Ok((patch::answer(filter, op, context)? == Some(false)).then_some(Skipped::Filter))
            }
            _ => Ok(None),
        }
    }

    /// Maps an event that does `op` to changes of this table, which has number `table` in the mapping: mostly to one.
    pub(super) fn map(
        &self,
        table: u16,
        op: Op,
        context: &mut Context<'_>,
        rows: &mut RowWriter,
        changes: &mut Changes,
    ) -> Result<(), Rejection> {
        let kind = self.kind(op)?;
        if self.mode == WriteMode::Log {
            let row = context.without_need(|context| self.whole(kind, context, rows))?;
            changes.push(Change { table, kind, row, extent: Extent::Whole });
            return Ok(());
        }
        if let Some(family) = &self.family {
            let change = |kind, row, extent| Change { table, kind, row, extent };
            match family.map(self, (op, kind), context, rows)? {
                FamilyChange::None => {}
                FamilyChange::Append(rows) => {
                    changes.extend(rows.into_iter().map(|row| change(kind, row, Extent::Whole)))
                }
                FamilyChange::Replace { parent, rows } => {
                    changes.push(change(kind, parent, Extent::Family(rows.into())))
                }
                FamilyChange::Delete(parent) => changes.push(change(kind, parent, Extent::Whole)),
            }
            return Ok(());
        }
        let (kind, row, extent) = match (op, &self.soft_delete) {
            (Op::Patch, _) => match self.patch(context, rows)? {
                Some((row, places)) => (kind, row, Extent::Columns(places)),
                None => return Ok(()),
            },
            (Op::Delete, Some(soft)) => {
                let row = self.soft_deleted(soft, context, rows)?;
                (ChangeKind::Update, row, Extent::Columns(soft.deleted.clone()))
            }
            (Op::Delete, None) => (kind, self.some(&self.key, kind, context, rows)?, Extent::Whole),
            (Op::Update, Some(soft)) => {
                let row = self.some(&soft.updated, kind, context, rows)?;
                (kind, row, Extent::Columns(soft.updated.clone()))
            }
            _ => (kind, self.whole(kind, context, rows)?, Extent::Whole),
        };
        changes.push(Change { table, kind, row, extent });
        Ok(())
    }

    /// A row of all columns.
    pub(super) fn whole(
        &self,
        kind: ChangeKind,
        context: &Context<'_>,
        rows: &mut RowWriter,
    ) -> Result<Row, Rejection> {
        for place in 0..self.columns.len() {
            self.push(place, kind, context, rows)?;
        }
        Ok(rows.finish())
    }

    /// A row of the columns at these places.
    pub(super) fn some(
        &self,
        places: &[usize],
        kind: ChangeKind,
        context: &Context<'_>,
        rows: &mut RowWriter,
    ) -> Result<Row, Rejection> {
        places.iter().try_for_each(|place| self.push(*place, kind, context, rows))?;
        Ok(rows.finish())
    }

    /// Adds the value of the column at `place` to the row. This stands in the loop over all columns of every event.
    #[inline(always)]
    pub(super) fn push(
        &self,
        place: usize,
        kind: ChangeKind,
        context: &Context<'_>,
        rows: &mut RowWriter,
    ) -> Result<(), Rejection> {
        let value = context.value(&self.columns[place]);
        // Looked at where it is: moving it out of the result would take as long as converting it.
        match &value {
            Ok(value) if kind == ChangeKind::Append || !self.key.contains(&place) => {
                rows.push(value);
                Ok(())
            }
            _ => self.push_key(&self.columns[place], value, rows),
        }
    }

    #[inline(never)]
    fn push_key(
        &self,
        of: &MappedColumn,
        value: Result<Value<'_>, Rejection>,
        rows: &mut RowWriter,
    ) -> Result<(), Rejection> {
        let value = value?;
        // NULL equals nothing: such a row would never be found again, and two of them would fold into one.
        if value == Value::Null {
            let MappedColumn { column, source, .. } = of;
            let message = format!("column `{}` identifies the row, and {source} gives no value", column.name);
            return Err(Rejection::of_column(RejectionClass::MissingValue, &column.name, message));
        }
        if let (Value::Text(text), EndBlanks::Kept) = (&value, of.column.end_blanks)
            && text.ends_with(' ')
        {
            let MappedColumn { column, source, .. } = of;
            let message = format!(
                "column `{}` identifies the row, {source} ends in a blank, and the database takes it for the same as without: \
                 give the column a collation with NO PAD (utf8mb4_0900_bin, MariaDB: utf8mb4_nopad_bin)",
                column.name
            );
            return Err(Rejection::of_column(RejectionClass::WrongType, &column.name, message));
        }
        rows.push(&convert::canonical(value, &of.column));
        Ok(())
    }

    fn soft_deleted(&self, soft: &SoftDelete, context: &Context<'_>, rows: &mut RowWriter) -> Result<Row, Rejection> {
        for place in soft.deleted.iter() {
            if *place == soft.place {
                rows.push(&context.value(&soft.mark)?);
            } else {
                self.push(*place, ChangeKind::Update, context, rows)?;
            }
        }
        Ok(rows.finish())
    }

    fn kind(&self, op: Op) -> Result<ChangeKind, Rejection> {
        let keyed = |kind| {
            if self.key.is_empty() {
                let message = format!(
                    "operation `{op}` needs to know which columns identify a row of {}: name them in `key`, or pass such \
                     events over with `write_behind: {{{op}: false}}`",
                    self.table.name
                );
                return Err(Rejection::new(RejectionClass::UnknownOp, message));
            }
            Ok(kind)
        };
        match (op, self.mode) {
            (_, WriteMode::Log) => Ok(ChangeKind::Append),
            (Op::Insert | Op::Upsert, WriteMode::Append) => Ok(ChangeKind::Append),
            (Op::Insert | Op::Upsert, WriteMode::Upsert) => keyed(ChangeKind::Upsert),
            (Op::Update | Op::Patch, _) => keyed(ChangeKind::Update),
            (Op::Delete, _) => keyed(ChangeKind::Delete),
        }
    }
}
