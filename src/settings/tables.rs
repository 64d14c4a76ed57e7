//! `streams.*.tables` and `table_defaults`: the tables of a stream, or the one of which the keys stand at the stream.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::columns::{self, Columns};
use super::section::{Section, nearest};
use super::{ColumnSettings, ColumnSource, TableSettings, WriteBehind, WriteMode};
use crate::event::Op;
use crate::expression::TEXT_MAX as EXPRESSION_MAX;

const MODE: [WriteMode; 3] = [WriteMode::Append, WriteMode::Upsert, WriteMode::Log];

/// The keys of a table, which may also stand at the stream.
const KEYS: [&str; 7] = ["table", "mode", "key", "columns", "for_each", "version", "soft_delete"];

/// What tables and columns have unless they say otherwise.
pub(super) struct Defaults<'a> {
    pub(super) table: Section<'a>,
    pub(super) column: Section<'a>,
}

impl<'a> Defaults<'a> {
    /// Reads each once for itself, so that its problems are told even if everybody overrides them.
    pub(super) fn new(root: &Section<'a>) -> Self {
        let defaults = Defaults { table: root.section("table_defaults"), column: root.section("column_defaults") };
        with_choice(table(&defaults.table, "NAME", &defaults.column), &defaults.table, WriteBehind::NONE);
        defaults.table.finish();
        columns::read_defaults(&defaults.column);
        defaults
    }
}

/// The tables of a stream, ordered by name. Of a key that tables and streams have, the stream's stands in `alone`. `entities` are the names of all streams, for hints; without them there is no
/// stream whose tables could be wrong.
pub(super) fn read(
    (stream, alone): (&Section, &Section),
    entity: &str,
    defaults: &Defaults,
    entities: Option<&BTreeSet<String>>,
) -> Vec<TableSettings> {
    let sections = stream.section("tables");
    let names: Vec<&str> = sections.names().into_iter().collect();
    let of_stream = write_behind(&alone.section("write_behind"), |section, op| section.flag(op.name()));
    // Asked for in any case: they are known.
    let short = with_choice(table(stream, entity, &defaults.column), &defaults.table, of_stream);
    let Some(entities) = entities else { return vec![short] };
    if names.is_empty() {
        // A misspelled entity becomes a stream of its own, and this is how it shows.
        let others = entities.iter().map(String::as_str).chain(["user_action"]).filter(|other| *other != entity);
        let hint = nearest(entity, others).map(|other| format!("; did you mean `streams.{other}`?"));
        check(&short, stream, &hint.unwrap_or_default());
        return vec![short];
    }
    for key in KEYS {
        if stream.says(key) {
            stream.refuse(
                key,
                "is the short form of a single table: this stream has `tables`, so put it into one of them",
            );
        }
    }
    let tables = names.iter().filter_map(|name| {
        let is_key = KEYS.contains(name) || ["write_behind", "filter", "reshape"].contains(name);
        if is_key && !(sections.is_section(name) && sections.section(name).says("columns")) {
            sections.refuse(name, "is no table: it belongs below one of the tables, or to the stream itself");
            return None;
        }
        let section = sections.section(name).or(&defaults.table);
        let read = with_choice(table(&section, name, &defaults.column), &section, of_stream);
        section.finish();
        let others = names.iter().copied().filter(|other| other != name);
        let hint = nearest(name, others).map(|other| format!("; did you mean `{}.{other}`?", sections.name()));
        check(&read, &section, &hint.unwrap_or_default());
        Some(read)
    });
    tables.collect()
}

/// A table with what `section` says reaches it; `of_stream` is what holds for operations of which that says nothing.
fn with_choice(table: TableSettings, section: &Section, of_stream: WriteBehind) -> TableSettings {
    let own = |section: &Section, op: Op| section.optional_flag(op.name()).unwrap_or_else(|| of_stream.allows(op));
    TableSettings {
        write_behind: write_behind(&section.section("write_behind"), own),
        filter: section.optional_lines("filter", EXPRESSION_MAX),
        ..table
    }
}

fn write_behind(section: &Section, allows: impl Fn(&Section, Op) -> bool) -> WriteBehind {
    let allowed = WriteBehind {
        insert: allows(section, Op::Insert),
        upsert: allows(section, Op::Upsert),
        update: allows(section, Op::Update),
        patch: allows(section, Op::Patch),
        delete: allows(section, Op::Delete),
    };
    section.finish();
    allowed
}

fn table(section: &Section, name: &str, column_defaults: &Section) -> TableSettings {
    if section.is_section("table") {
        section.section("table");
        section.refuse("table", "is the name of a single table; sections of tables stand below `tables`");
        // What stands there was meant for these.
        section.mark_failed("table");
        section.mark_failed("columns");
    }
    let Columns { auto, named, left_out } = columns::read(section, column_defaults);
    TableSettings {
        setting: section.name().to_owned(),
        table: name_of(section).unwrap_or_else(|| name.to_owned()),
        mode: section.choice("mode", &MODE.map(|mode| (mode.name(), mode))),
        key: section.list("key"),
        write_behind: WriteBehind::NONE,
        filter: None,
        auto,
        columns: named,
        left_out,
        for_each: section.optional_text("for_each", 1..=1024),
        version: section.optional_text("version", 1..=64),
        soft_delete: section.optional_text("soft_delete", 1..=64),
    }
}

fn name_of(section: &Section) -> Option<String> {
    if section.is_section("table") { None } else { section.optional_text("table", 1..=129) }
}

/// Rules about several keys of one table.
fn check(table: &TableSettings, section: &Section, hint: &str) {
    let parts: Vec<_> = table.table.split('.').collect();
    if section.sound(&["table"]) && (parts.len() > 2 || parts.iter().any(|part| !is_identifier(part))) {
        section.refuse("table", "must be table or schema.table, each 1 to 64 characters");
    }
    for column in &table.columns {
        let column = &column.column;
        if !is_identifier(column) {
            section.refuse("columns", format!("`{}` must be a column name, 1 to 64 characters", column.escape_debug()));
        }
    }
    let columns_are_known = section.sound(&["columns"]) && table.auto.is_none();
    if columns_are_known && table.columns.is_empty() {
        section.refuse("columns", format!("must name at least one column{hint}"));
    }
    if section.sound(&["mode", "key"]) && table.mode == WriteMode::Upsert && table.key.is_empty() {
        section.refuse("key", "must name the columns that identify a row, because mode is upsert");
    }
    let is_log = section.sound(&["mode"]) && table.mode == WriteMode::Log;
    if is_log && section.sound(&["key"]) && !table.key.is_empty() {
        section.refuse("key", "must be [] in mode log: every event is a new row, and no row is ever looked for");
    }
    if is_log && table.for_each.is_some() {
        section.refuse("for_each", "does not go with mode log: an update or a delete would have no items to tell of");
    }
    if !is_log {
        check_deleting_and_versions(table, section, columns_are_known);
    } else {
        let adds = table.columns.iter().find(|column| matches!(column.source, ColumnSource::Add(_)));
        let adding = adds.map(|column| format!("columns.{}.add", column.column));
        let [version, soft_delete] = [("version", &table.version), ("soft_delete", &table.soft_delete)]
            .map(|(key, value)| value.as_ref().map(|_| key));
        let changing = version.or(soft_delete).map(str::to_owned).or(adding);
        changing.into_iter().for_each(|key| section.refuse(&key, "does not go with mode log: rows stay as they are"));
    }
    let mut seen = BTreeSet::new();
    for key in &table.key {
        if !seen.insert(key) {
            section.refuse("key", format!("names `{key}` twice"));
        } else if columns_are_known
            && !table.columns.is_empty()
            && !table.columns.iter().any(|column| column.column == *key)
        {
            section.refuse("key", format!("names `{key}`, which is not one of the columns"));
        }
    }
}

/// Rules about `for_each`, `version` and `soft_delete`.
fn check_deleting_and_versions(table: &TableSettings, section: &Section, columns_are_known: bool) {
    let is_named = |name: &String| table.columns.iter().any(|column| column.column == *name);
    let adds = |column: &&ColumnSettings| matches!(column.source, ColumnSource::Add(_));
    if let Some(version) = &table.version {
        if section.sound(&["mode"]) && table.mode != WriteMode::Upsert {
            section.refuse("version", "needs mode upsert: in mode append every insert is a new row");
        } else if columns_are_known && !is_named(version) {
            section.refuse("version", format!("names `{version}`, which is not one of the columns"));
        } else if table.key.contains(version) {
            section.refuse("version", format!("names `{version}`, which is part of the key"));
        }
    }
    if let Some(mark) = &table.soft_delete {
        if section.sound(&["columns"]) && is_named(mark) {
            section.refuse(
                "soft_delete",
                format!("names `{mark}`, which the pipeline sets itself: remove it from `columns`"),
            );
        } else if section.sound(&["key"]) && table.key.is_empty() {
            section.refuse("soft_delete", "needs `key`: the columns that identify a row");
        }
    }
    if let (true, Some(column)) = (section.sound(&["columns"]), table.columns.iter().find(adds)) {
        if section.sound(&["key"]) && table.key.is_empty() {
            section
                .refuse("key", format!("must name the columns that identify a row, because `{}` adds", column.column));
        } else if section.sound(&["mode"]) && table.mode != WriteMode::Upsert {
            let name = &column.column;
            section
                .refuse("mode", format!("must be upsert, because `{name}` adds: in append every insert is a new row"));
        } else if table.key.contains(&column.column) {
            section.refuse("key", format!("names `{}`, which adds: a key stays as it is", column.column));
        }
    }
    if table.for_each.is_some() {
        if section.sound(&["mode", "key"]) && table.mode == WriteMode::Append && !table.key.is_empty() {
            section.refuse(
                "mode",
                "must be upsert for rows with a `key`, which a new list replaces; in append every item is a new row, and there \
                 is no key",
            );
        }
        let refuse = |what: &str| {
            section.refuse("for_each", format!("cannot stand beside {what}: put that into a table of its own"))
        };
        match (&table.version, &table.soft_delete, table.columns.iter().find(adds)) {
            (Some(_), ..) => refuse("`version`"),
            (_, Some(_), _) => refuse("`soft_delete`"),
            (.., Some(_)) => refuse("a column that adds"),
            _ => {}
        }
    }
}

fn is_identifier(name: &str) -> bool {
    (1..=64).contains(&name.chars().count()) && !name.contains(char::is_control)
}
