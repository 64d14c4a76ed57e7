//! How many lanes a mapping allows.

use super::source::Source;
use super::{Mapping, TableMapping};

impl Mapping {
    /// How many lanes there can be, if so many are wanted. They are by document key; where rows are keyed by something else,
    /// two of them could meet in one row.
    pub fn usable_lanes(&self, wanted: u32) -> u32 {
        if self.why_one_lane().is_some() { 1 } else { wanted }
    }

    /// Why there can be only one lane, if that is so.
    pub fn why_one_lane(&self) -> Option<String> {
        let mut keyed = self.tables.iter().filter(|table| !table.key.is_empty());
        keyed.find_map(|table| {
            let why = if self.lanes_by_key { self.why_rows_meet(table)? } else { BY_ANOTHER_FIELD.to_owned() };
            Some(format!("table {}: {why}: two lanes could meet in one row", table.table.name))
        })
    }

    /// Whether rows are keyed by what keys the documents, all of its parts, so that those of two documents never meet; if not,
    /// why.
    fn why_rows_meet(&self, table: &TableMapping) -> Option<String> {
        let key_parts = self.key_pattern.as_ref().map_or(0, |pattern| pattern.names().count());
        let columns = || table.key.iter().map(|place| &table.columns[*place]);
        let is_whole = |sources: &mut dyn Iterator<Item = &Source>| {
            let (mut whole, mut parts) = (false, 0);
            for source in sources {
                match source {
                    Source::Key => whole = true,
                    Source::KeyPart(..) => parts += 1,
                    _ => {}
                }
            }
            whole || (parts > 0 && parts == key_parts)
        };
        // The document's key is a text: two of them stay two only in a column that keeps texts apart.
        let apart = columns().filter(|mapped| mapped.column.keeps_texts_apart());
        if is_whole(&mut apart.map(|mapped| mapped.source.unmasked())) {
            return None;
        }
        if !is_whole(&mut columns().map(|mapped| mapped.source.unmasked())) {
            return Some(
                "its key columns do not come from the document's key, or not from all of its parts".to_owned(),
            );
        }
        let of_key = columns().filter(|mapped| matches!(mapped.source.unmasked(), Source::Key | Source::KeyPart(..)));
        let mut alike = of_key.filter(|mapped| !mapped.column.keeps_texts_apart());
        let name = alike.next().map(|mapped| mapped.column.name.as_str()).unwrap_or_default();
        Some(format!(
            "its key column `{name}` takes two texts for one (a collation without case, a type that is no text)"
        ))
    }
}

const BY_ANOTHER_FIELD: &str = "lanes are by `order_by`, and its rows by their key";
