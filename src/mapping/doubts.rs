//! What is risky about a mapping that compiles.

use super::table_mapping::TableMapping;
use super::{MappedColumn, Mapping, fits};
use crate::event::Op;
use crate::expression::Expression;
use crate::settings::{WriteBehind, WriteMode};

impl Mapping {
    /// What is risky about it, each with its table: columns that do not take all that their source can give, operations that
    /// a table refuses, and filters that are not asked what they seem to say.
    pub fn doubts(&self) -> Vec<String> {
        let of_stream = self.filter.as_ref().and_then(about_deletes);
        let of_table = |table: &TableMapping| {
            let columns = table.columns.iter().filter_map(|column| may_not_fit(table, column));
            let others = [
                inserts_once(table),
                self.dead_letters_of_all(table),
                reached_by_nothing(table),
                table.filter.as_ref().and_then(about_deletes),
            ];
            let told = columns.chain(others.into_iter().flatten());
            told.map(|doubt| format!("table {}: {doubt}", table.table.name)).collect::<Vec<_>>()
        };
        of_stream.into_iter().chain(self.tables.iter().flat_map(of_table)).collect()
    }

    /// What a table without a key refuses, and another one would take: it is written to none of them.
    fn dead_letters_of_all(&self, table: &TableMapping) -> Option<String> {
        let taken = |op: &Op| self.tables.iter().any(|other| !other.key.is_empty() && other.write_behind.allows(*op));
        let refuses = table.key.is_empty() && table.mode != WriteMode::Log;
        let refused = |op: &Op| refuses && table.write_behind.allows(*op) && taken(op);
        let refused: Vec<&str> =
            [Op::Update, Op::Patch, Op::Delete].into_iter().filter(refused).map(Op::name).collect();
        (!refused.is_empty()).then(|| {
            let off: Vec<String> = refused.iter().map(|op| format!("{op}: false")).collect();
            format!(
                "it has no `key`, so {} become dead letters, and no other table of the stream is written for them: name the \
                 `key`, or set `write_behind: {{{}}}` or `mode: log` for this table",
                refused.join(", "),
                off.join(", ")
            )
        })
    }
}

fn may_not_fit(table: &TableMapping, mapped: &MappedColumn) -> Option<String> {
    let MappedColumn { column, source, format, .. } = mapped;
    fits::may_not_fit(source, column, format, (table.write_behind, table.mode))
}

/// Rows that are only to be appended, if a second one of a key would be refused.
fn inserts_once(table: &TableMapping) -> Option<String> {
    let key: Vec<&String> = table.key.iter().map(|place| &table.columns[*place].column.name).collect();
    let is_key = |index: &&Vec<String>| index.len() == key.len() && key.iter().all(|name| index.contains(name));
    let inserts = table.mode == WriteMode::Append && (table.write_behind.insert || table.write_behind.upsert);
    let index = table.table.unique_keys.iter().filter(|_| inserts && !key.is_empty()).find(is_key)?;
    Some(format!(
        "in mode append (the default) a second insert of a key is refused by the unique index on ({}): set `mode: upsert` \
         if it is to replace the row",
        index.join(", ")
    ))
}

fn reached_by_nothing(table: &TableMapping) -> Option<String> {
    let nothing = table.write_behind == WriteBehind::NONE;
    nothing.then(|| "`write_behind` switches every operation off, so nothing reaches it".to_owned())
}

/// Filters see documents, and a delete has none.
fn about_deletes(filter: &Expression) -> Option<String> {
    let is_about = filter.uses("$op") && filter.text().contains("\"delete\"");
    is_about.then(|| "`filter` is not asked about deletes: `write_behind: {delete: false}` passes them over".to_owned())
}
