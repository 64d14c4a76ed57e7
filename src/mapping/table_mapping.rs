//! One table of a mapping: its columns, and what each operation does to it.

use std::sync::Arc;

use super::context::Context;
use super::source::Source;
use super::{Change, ChangeKind, convert};
use crate::event::{Op, Rejection, RejectionClass};
use crate::row::{RowWriter, Value};
use crate::settings::{OnMissing, OnNull, WriteBehind, WriteMode};
use crate::table::{Column, Table, TablePlan};
use crate::value_format::ValueFormat;

/// How the events of one stream become rows of one table.
#[derive(Clone, Debug)]
pub struct TableMapping {
    /// The target table, as the catalogue described it.
    pub table: Arc<Table>,
    /// The mapped columns, in the order of every row.
    pub columns: Vec<MappedColumn>,
    /// Which of them identify a row.
    pub key: Vec<usize>,
    pub(super) mode: WriteMode,
    pub(super) write_behind: WriteBehind,
    pub(super) on_missing: OnMissing,
    pub(super) rows_in_order: bool,
}

/// One column and where its value comes from.
#[derive(Clone, Debug)]
pub struct MappedColumn {
    /// The column of the table.
    pub column: Column,
    pub(super) source: Source,
    pub(super) default: Option<Value<'static>>,
    pub(super) required: bool,
    pub(super) on_null: OnNull,
    /// How documents write its values.
    pub(super) format: ValueFormat,
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
    /// What the pipeline may come to do to the table.
    pub fn changes(&self) -> TableChanges {
        let inserts = self.write_behind.insert || self.write_behind.upsert;
        let keyed = !self.key.is_empty();
        let update = self.write_behind.update && keyed || inserts && self.mode == WriteMode::Upsert;
        let delete = keyed && (self.write_behind.delete || self.on_missing == OnMissing::Delete);
        TableChanges { insert: inserts, update, delete }
    }

    /// What the writers need to know of the table.
    pub fn plan(&self) -> TablePlan {
        let columns = self.columns.iter().map(|column| column.column.clone()).collect();
        let upserts = self.mode == WriteMode::Upsert;
        TablePlan {
            table: self.table.clone(),
            columns,
            key: self.key.clone(),
            upserts,
            rows_in_order: self.rows_in_order,
        }
    }

    /// Whether rows are keyed by what keys the documents, all of its parts, so that those of two documents never meet.
    pub(super) fn is_keyed_like(&self, key_parts: usize) -> bool {
        // The document's key is a text: two of them stay two only in a column that keeps texts apart.
        let key = self.key.iter().map(|place| &self.columns[*place]);
        let apart = key.filter(|column| column.column.keeps_texts_apart()).map(|column| column.source.unmasked());
        let (mut whole, mut parts) = (false, 0);
        for source in apart {
            match source {
                Source::Key => whole = true,
                Source::KeyPart(..) => parts += 1,
                _ => {}
            }
        }
        whole || (parts > 0 && parts == key_parts)
    }

    /// Maps an event that does `op` to a change of this table, which has number `table` in the mapping.
    pub(super) fn map(
        &self,
        table: usize,
        op: Op,
        context: &Context<'_>,
        rows: &mut RowWriter,
    ) -> Result<Change, Rejection> {
        let kind = self.kind(op)?;
        let only_key = kind == ChangeKind::Delete;
        for nth in 0..if only_key { self.key.len() } else { self.columns.len() } {
            let place = if only_key { self.key[nth] } else { nth };
            let column = &self.columns[place];
            let value = context.value(column);
            // Looked at where it is: moving it out of the result would take as long as converting it.
            if let Ok(value) = &value
                && (kind == ChangeKind::Append || !self.key.contains(&place))
            {
                rows.push(value);
                continue;
            }
            let value = value?;
            // NULL equals nothing: such a row would never be found again, and two of them would fold into one.
            if value == Value::Null {
                let MappedColumn { column, source, .. } = column;
                let message = format!("column `{}` identifies the row, and {source} gives no value", column.name);
                return Err(Rejection::of_column(RejectionClass::MissingValue, &column.name, message));
            }
            rows.push(&convert::canonical(value, &column.column));
        }
        Ok(Change { table, kind, row: rows.finish() })
    }

    fn kind(&self, op: Op) -> Result<ChangeKind, Rejection> {
        let keyed = |kind| {
            if self.key.is_empty() {
                let message = format!(
                    "operation `{op}` needs to know which columns identify a row of {}: name them in `key`",
                    self.table.name
                );
                return Err(Rejection::new(RejectionClass::UnknownOp, message));
            }
            Ok(kind)
        };
        match (op, self.mode) {
            (Op::Insert | Op::Upsert, WriteMode::Append) => Ok(ChangeKind::Append),
            (Op::Insert | Op::Upsert, WriteMode::Upsert) => keyed(ChangeKind::Upsert),
            (Op::Update, _) => keyed(ChangeKind::Update),
            (Op::Delete, _) => keyed(ChangeKind::Delete),
        }
    }
}
