//! What a table needs for rows that are added to, versioned, marked as deleted, or many of one document.

use super::change::Places;
use super::compile::plain;
use super::convert;
use super::family::FamilyMapping;
use super::path::Path;
use super::source::Source;
use super::table_mapping::{MappedColumn, SoftDelete, TableMapping};
use crate::row::Value;
use crate::settings::DocumentSource;
use crate::table::{Column, ColumnKind, Owner};

/// The list that `for_each` names: `items[*]`.
pub fn list(text: &str) -> Result<Path, String> {
    let Some(list) = text.strip_suffix("[*]") else {
        let list = text.trim_start_matches('.').trim_end_matches("[]");
        return Err(format!("`{text}` must end in [*], such as {list}[*]"));
    };
    if list.contains("[*]") {
        return Err(format!("`{text}` goes through two lists: make one of them first, with `reshape`"));
    }
    Path::parse(list)
}

/// Whether numbers can be added to a column without losing any of them.
pub fn see_it_adds(column: &Column) -> Result<(), String> {
    match column.kind {
        ColumnKind::Decimal { as_float: true, .. } => Err(format!(
            "`add`: SQLite would add to {} `{}` as floats, which are not exact: declare it INTEGER and add the smallest \
             units, or REAL",
            column.sql_type, column.name
        )),
        ColumnKind::Int { .. } | ColumnKind::Float { .. } | ColumnKind::Decimal { .. } => Ok(()),
        _ => Err(format!("`add` needs a column of numbers, and `{}` is {}", column.name, column.sql_type)),
    }
}

/// Whether each event has an amount of its own to add: a document at its key may be a later one.
pub fn see_each_event_has_its_own(source: &Source, document: DocumentSource) -> Result<(), String> {
    use DocumentSource::{Auto, Fields, Hash, Inline, Json, String};
    match (source, document) {
        (Source::Member(..), Json | String | Hash) => Err(format!("`add`: {NOT_ITS_OWN}")),
        (_, Auto | Inline | Fields | Json | String | Hash) => Ok(()),
    }
}

/// Why a document at its key has nothing to add.
pub const NOT_ITS_OWN: &str = "the document at the key may be newer than the event, and then its amount would be added twice: put \
                               it into the entry (`document: inline` or `fields`), or take it from `$field.NAME`";

/// Makes a column the version of its row: each event must have one.
pub fn version(mapped: &mut MappedColumn) -> Result<(), String> {
    use ColumnKind::{Date, Decimal, Float, Int, Text, Timestamp};
    (mapped.required, mapped.is_version) = (true, true);
    if matches!(mapped.source, Source::Masked(_)) {
        return Err(format!("`{}` is masked, which does not tell what is newer", mapped.column.name));
    }
    match mapped.column.kind {
        Float { single: true } => Err(format!(
            "`{}` is {}, which holds another number than the document: declare it as a double or a decimal",
            mapped.column.name, mapped.column.sql_type
        )),
        Int { .. } | Decimal { .. } | Float { .. } | Timestamp { .. } | Date | Text { .. } => Ok(()),
        _ => Err(format!(
            "`{}` is {}: a version is a number, a time or a text, of which one is newer",
            mapped.column.name, mapped.column.sql_type
        )),
    }
}

/// Makes a column of the table the one in which a delete marks the row, and adds it to the mapped ones.
pub fn soft_delete(column: &Column, columns: &mut Vec<MappedColumn>, key: &[usize]) -> Result<SoftDelete, String> {
    let of_value = |json: &str| {
        let value = convert::json(json, column, &Default::default()).map(Value::into_owned);
        value.map(Source::Constant).map_err(|why| why.to_string())
    };
    let (alive, deleted) = match column.kind {
        _ if column.generated => return Err(format!("the database computes column `{}` itself", column.name)),
        ColumnKind::Timestamp { .. } if !column.nullable => {
            return Err(format!("`{}` must allow NULL: that is a row that is not deleted", column.name));
        }
        ColumnKind::Timestamp { .. } => (Source::Constant(Value::Null), Source::Timestamp),
        ColumnKind::Bool => (of_value("false")?, of_value("true")?),
        ColumnKind::Int { .. } => (of_value("0")?, of_value("1")?),
        _ => {
            let (name, sql_type) = (&column.name, &column.sql_type);
            return Err(format!("`{name}` is {sql_type}: it must be a time, a boolean or an integer"));
        }
    };
    let place = columns.len();
    columns.push(plain(column, alive));
    let mut marked: Vec<usize> = key.iter().copied().chain([place]).collect();
    marked.sort_unstable();
    Ok(SoftDelete {
        place,
        mark: plain(column, deleted),
        deleted: marked.into(),
        updated: Places::new((0..place).collect()),
    })
}

/// Finds the table with the own row of each document of which the table at `place` has many.
pub fn find_owner(tables: &mut [TableMapping], place: usize) -> Result<(), String> {
    let of = &tables[place];
    let Some(FamilyMapping { parent, .. }) = &of.family else { return Ok(()) };
    if parent.is_empty() && !of.key.is_empty() {
        return Err(
            "the key must have a column that the rows of one document have in common, such as one from `$key`: what \
                    comes from the item alone does not tell whose row it is"
                .to_owned(),
        );
    }
    let same_key = |other: &&TableMapping| {
        let matching = parent.iter().map(|place| key_like(other, &of.columns[*place]));
        let matching: Option<Vec<usize>> = matching.collect();
        other.family.is_none()
            && !parent.is_empty()
            && matching.is_some_and(|matching| matching.len() == other.key.len())
    };
    let all: Vec<&TableMapping> = tables.iter().filter(same_key).collect();
    let referred = all.iter().find(|owner| of.table.refers_to(&owner.table.name));
    // Of documents of several kinds a table that takes only one kind has rows of that.
    let filter = |table: &TableMapping| table.filter.as_ref().map(|filter| filter.text().to_owned());
    let has_all = |owner: &&&TableMapping| owner.filter.is_none() || filter(owner) == filter(of);
    let mut candidates: Vec<&TableMapping> = all.iter().filter(has_all).copied().collect();
    if let (true, None, [one, two, ..]) = (candidates.is_empty(), referred, all.as_slice()) {
        return Err(format!(
            "the rows of a document go with its own row, which could be in {} or in {}: give this table the `filter` of the one \
             that has it",
            one.table.name, two.table.name
        ));
    }
    if candidates.is_empty() {
        candidates.clone_from(&all);
    }
    // The one that these rows refer to; else the one whose row may stay when it is deleted, or that keeps older documents out.
    let stays = || candidates.iter().find(|owner| owner.soft_delete.is_some() || owner.version.is_some());
    let Some(owner) = referred.or_else(stays).or_else(|| candidates.first()) else { return Ok(()) };
    if owner.version.is_some() {
        return Err(format!(
            "`version` keeps older documents out of {}, but not out of these rows: keep the items in a JSON column, or \
             leave one of the two off",
            owner.table.name
        ));
    }
    let key = parent.iter().filter_map(|place| key_like(owner, &of.columns[*place]));
    let owner = Owner {
        table: owner.table.name.clone(),
        key: key.map(|place| owner.columns[place].column.name.clone()).collect(),
        soft_delete: owner.soft_delete.as_ref().map(|soft| owner.columns[soft.place].column.clone()),
    };
    if let Some(family) = &mut tables[place].family {
        family.owner = Some(owner);
    }
    Ok(())
}

/// The place of the key's column that always has the value of `column`.
fn key_like(table: &TableMapping, column: &MappedColumn) -> Option<usize> {
    table.key.iter().copied().find(|place| table.columns[*place].source.is_same(&column.source))
}
