//! `columns` and `column_defaults`: where the value of each column comes from.

use super::layer::LayerKind;
use super::section::Section;
use super::{ColumnSettings, ColumnSource, Mask, OnNull};
use crate::expression::TEXT_MAX as EXPRESSION_MAX;
use crate::value_format::{BytesEncoding, EpochUnit, ValueFormat, Zone};

const ON_NULL: [(&str, OnNull); 3] =
    [("write", OnNull::Write), ("default", OnNull::Default), ("reject", OnNull::Reject)];

const MASK: [(&str, Option<Mask>); 4] =
    [("none", None), ("hash", Some(Mask::Hash)), ("redact", Some(Mask::Redact)), ("last4", Some(Mask::Last4))];

/// Stands for every column that is not named.
const OTHERS: &str = "*";

/// The columns of a table.
pub(super) struct Columns {
    /// Columns that are not named take the member of their name, with these options.
    pub(super) auto: Option<ColumnSettings>,
    pub(super) named: Vec<ColumnSettings>,
    /// Names that are set to null: nothing is written to them.
    pub(super) left_out: Vec<String>,
}

/// Reads `columns` of a table.
pub(super) fn read(table: &Section, defaults: &Section) -> Columns {
    if table.is_text("columns") {
        let auto = table.parsed("columns", is_auto).map(|()| plain(defaults, OTHERS, String::new()));
        return Columns { auto, named: Vec::new(), left_out: Vec::new() };
    }
    let mut columns = table.section("columns");
    let own = format!("{}.columns", table.name());
    // Columns of the demo's table make no sense beside columns that a file chose for a table of its own.
    if columns.scopes().iter().any(|scope| scope.layer.kind == LayerKind::File && scope.name == own) {
        columns.keep(|scope| scope.layer.kind != LayerKind::Default);
    }
    let (mut auto, mut named, mut left_out) = (None, Vec::new(), Vec::new());
    for name in columns.names() {
        if name == OTHERS {
            auto = columns.parsed(OTHERS, is_auto).map(|()| plain(defaults, OTHERS, String::new()));
        } else if columns.is_section(name) {
            let section = columns.section(name).or(defaults);
            named.extend(column(&section, name));
            section.finish();
            if !section.all_sound() {
                columns.mark_failed(name);
            }
        } else if let Some(from) = columns.nullable_text(name, 1..=1024) {
            named.push(plain(defaults, name, from));
        } else if columns.is_null(name) {
            left_out.push(name.to_owned());
        }
    }
    if !columns.all_sound() {
        table.mark_failed("columns");
    }
    Columns { auto, named, left_out }
}

/// Reads `column_defaults` for itself: its problems are told even where no column has keys of its own.
pub(super) fn read_defaults(section: &Section) {
    options(section, "NAME", ColumnSource::From(String::new()));
    sources(section);
    section.finish();
}

fn is_auto(text: &str) -> Result<(), String> {
    if text == "auto" { Ok(()) } else { Err("must be auto, or a section of columns".to_owned()) }
}

/// A column for which nothing but its source is said.
fn plain(defaults: &Section, name: &str, from: String) -> ColumnSettings {
    options(defaults, name, ColumnSource::From(from))
}

fn column(section: &Section, name: &str) -> Option<ColumnSettings> {
    let mut sources = sources(section);
    match sources.pop() {
        Some(source) if sources.is_empty() => Some(options(section, name, source)),
        found => {
            options(section, name, ColumnSource::From(String::new()));
            if section.all_sound() {
                let count = if found.is_none() { "needs one of" } else { "can have only one of" };
                section.refuse_itself(format!("{count} `from`, `value`, `expr` and `add`"));
                section.mark_failed("from");
            }
            None
        }
    }
}

fn sources(section: &Section) -> Vec<ColumnSource> {
    let from = section.optional_text("from", 1..=1024).map(ColumnSource::From);
    let value = section.optional_json("value").map(ColumnSource::Constant);
    let expr = section.optional_lines("expr", EXPRESSION_MAX).map(ColumnSource::Expression);
    let add = section.optional_text("add", 1..=1024).map(ColumnSource::Add);
    from.into_iter().chain(value).chain(expr).chain(add).collect()
}

fn sql_type(section: &Section) -> Option<String> {
    let declared = section.optional_text("type", 1..=255)?;
    // It becomes part of a statement that somebody else may read and run.
    if declared.contains([';', '\\']) || declared.contains("--") || declared.contains("/*") {
        section.refuse("type", "must be the name of a type alone, such as numeric(30,9)");
    }
    Some(declared)
}

fn options(section: &Section, name: &str, source: ColumnSource) -> ColumnSettings {
    ColumnSettings {
        column: name.to_owned(),
        source,
        default: section.optional_json("default"),
        required: section.flag("required"),
        on_null: section.choice("on_null", &ON_NULL),
        mask: section.choice("mask", &MASK),
        format: ValueFormat {
            zone: section.parsed("zone", Zone::parse).unwrap_or_default(),
            epoch: section.parsed("epoch", EpochUnit::parse).unwrap_or_default(),
            encoding: section.parsed("encoding", BytesEncoding::parse).unwrap_or_default(),
        },
        sql_type: sql_type(section),
    }
}
