//! What sample documents show of a mapping's columns. They go through the mapping itself, to tables in which every column
//! takes everything: so paths, expressions, filters and reshaping count as they do when the pipeline runs.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::IgnoredAny;

use super::Sample;
use super::shape::{Seen, Shape};
use super::tried::each_value;
use crate::event::Document;
use crate::mapping::{Mapped, Mapping, is_number};
use crate::row::{RowWriter, Value};
use crate::settings::{ColumnSettings, ColumnSource, OnNull, RdbmsKind, StreamSettings, TableSettings};
use crate::table::{Column, ColumnKind, Table, TableName};
use crate::value_format::{BytesEncoding, EpochUnit};

/// What is known of the columns of one table.
#[derive(Debug, Default)]
pub struct SeenColumns {
    /// What was seen of each, by name.
    pub columns: BTreeMap<String, Seen>,
    /// Whether rows of one document have one key, so that it is no key of a row.
    pub key_is_shared: bool,
}

/// Looks at the samples. Answers for each table of the stream what there is to know of its columns: of those that the
/// settings name, of the key's, and, where `columns: auto` meets no table, of the documents' own members.
///
/// # Errors
/// What is wrong with the settings, whatever the tables are.
pub fn observe(
    stream: &StreamSettings,
    live: &[Option<Table>],
    samples: &[Sample],
    rdbms: RdbmsKind,
) -> Result<Vec<SeenColumns>, Vec<String>> {
    let mut probe = stream.clone();
    probe.tables.iter_mut().for_each(relax);
    let mut names: Vec<BTreeSet<String>> = stream.tables.iter().map(named).collect();
    let is_open = |(settings, live): (&TableSettings, &Option<Table>)| settings.auto.is_some() && live.is_none();
    let open: Vec<bool> = stream.tables.iter().zip(live).map(is_open).collect();
    if open.contains(&true) {
        let mut whole = probe.clone();
        for table in &mut whole.tables {
            let whole = if table.for_each.is_some() { "$item" } else { "." };
            let source = ColumnSource::Expression(whole.to_owned());
            table.columns.push(ColumnSettings { source, ..ColumnSettings::from(DOCUMENT, "") });
        }
        let whole_names: Vec<BTreeSet<String>> =
            names.iter().map(|names| names.iter().cloned().chain([DOCUMENT.to_owned()]).collect()).collect();
        let mapping = compile(&whole, &whole_names, rdbms)?;
        look(&mapping, samples, |table, column, json, _| {
            if column == DOCUMENT && open[table] {
                let members: BTreeMap<String, IgnoredAny> = serde_json::from_str(json).unwrap_or_default();
                names[table].extend(members.into_keys().filter(|name| is_name(name)));
            }
        });
    }
    for (settings, names) in stream.tables.iter().zip(&mut names) {
        names.retain(|name| settings.soft_delete.as_ref() != Some(name) && !settings.left_out.contains(name));
    }
    let mapping = compile(&probe, &names, rdbms)?;
    let shared: Vec<usize> =
        mapping.tables().iter().filter(|table| table.plan().replaces_all()).map(|table| table.number).collect();
    let of_table = |(number, names): (usize, &BTreeSet<String>)| SeenColumns {
        columns: names.iter().map(|name| (name.clone(), Seen::default())).collect(),
        key_is_shared: shared.contains(&number),
    };
    let mut seen: Vec<SeenColumns> = names.iter().enumerate().map(of_table).collect();
    look(&mapping, samples, |table, column, json, document| {
        let source =
            stream.tables[table].columns.iter().find(|named| named.column == column).map(|named| &named.source);
        let flat = matches!(document, Document::Fields(_)) && stream.reshape.is_none();
        let is_plain = match source {
            Some(ColumnSource::From(from) | ColumnSource::Add(from)) if from.starts_with('$') => {
                !from.starts_with("$item")
            }
            Some(ColumnSource::From(_) | ColumnSource::Add(_)) | None => flat,
            Some(ColumnSource::Constant(_) | ColumnSource::Expression(_)) => false,
        };
        let text = || serde_json::from_str::<String>(json).ok().filter(|_| is_plain);
        let value = text().map_or_else(|| Seen::json(json), |text| Seen::plain(&text));
        let all = seen[table].columns.entry(column.to_owned()).or_default();
        *all = all.and(value);
    });
    for (settings, seen) in stream.tables.iter().zip(&mut seen) {
        for (name, seen) in &mut seen.columns {
            let named = settings.columns.iter().find(|column| column.column == *name);
            if let Some(column) = named.or(settings.auto.as_ref()) {
                *seen = declared(column, *seen);
            }
        }
        let marked = settings.soft_delete.iter().map(|name| (name.clone(), Seen::of(Shape::Time { instant: true })));
        seen.columns.extend(marked);
    }
    Ok(seen)
}

/// What is wrong with the settings of a stream whatever its tables are.
pub fn faults(stream: &StreamSettings, rdbms: RdbmsKind) -> Vec<String> {
    let mut probe = stream.clone();
    probe.tables.iter_mut().for_each(relax);
    let names: Vec<BTreeSet<String>> = stream.tables.iter().map(named).collect();
    compile(&probe, &names, rdbms).err().unwrap_or_default()
}

/// No name of a column.
const DOCUMENT: &str = "\u{0}";

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.chars().count()) && !name.contains(char::is_control)
}

fn named(settings: &TableSettings) -> BTreeSet<String> {
    let columns = settings.columns.iter().map(|column| &column.column);
    columns.chain(&settings.key).cloned().collect()
}

/// A mask has nothing to do with what a path leads to. A value that is missing says nothing of the others, and a default stands for none that was seen.
fn relax(settings: &mut TableSettings) {
    for column in settings.columns.iter_mut().chain(&mut settings.auto) {
        column.required = false;
        column.mask = None;
        column.on_null = OnNull::Write;
        column.default = None;
        if let ColumnSource::Add(from) = &column.source {
            column.source = ColumnSource::From(from.clone());
        }
    }
    (settings.version, settings.soft_delete) = (None, None);
}

/// Compiles the mapping to tables whose columns take everything.
fn compile(stream: &StreamSettings, names: &[BTreeSet<String>], rdbms: RdbmsKind) -> Result<Mapping, Vec<String>> {
    let tables = stream.tables.iter().zip(names).map(|(settings, names)| {
        let columns = names.iter().map(|name| Column::new(name, "anything", ColumnKind::Json)).collect();
        Table { unique_keys: vec![settings.key.clone()], ..Table::new(TableName::parse(&settings.table), columns) }
    });
    Mapping::compile(stream, &tables.collect::<Vec<_>>(), rdbms)
}

/// Tells of every value: the number of its table in the settings, its column, itself as JSON, and the document. What the mapping refuses or
/// passes over says nothing.
fn look(mapping: &Mapping, samples: &[Sample], mut tell: impl FnMut(usize, &str, &str, &Document)) {
    let mut rows = RowWriter::default();
    for Sample { entry, event } in samples {
        let Ok((event, document)) = event else { continue };
        let Ok(Mapped::Changes(changes)) = mapping.map(entry, event, document, &mut rows) else { continue };
        each_value(mapping, &changes, |table, column, value| {
            if let Value::Text(json) = value {
                tell(table, column, json, document);
            }
        });
    }
}

/// What the settings say of a column, beside what was seen.
fn declared(column: &ColumnSettings, seen: Seen) -> Seen {
    let seen = match &column.source {
        ColumnSource::From(from) | ColumnSource::Add(from) => match from.as_str() {
            "$index" => Seen::json("0"),
            "$timestamp" => return Seen::of(Shape::Time { instant: true }),
            "$id" | "$key" | "$op" | "$stream" => Seen { shape: Shape::Text, ..seen },
            part if part.starts_with("$key.") => Seen { shape: Shape::Text, ..seen },
            _ => seen,
        },
        ColumnSource::Constant(json) => literal(json),
        ColumnSource::Expression(_) => seen,
    };
    let seen = column.default.as_deref().map_or(seen, |json| seen.and(literal(json)));
    let format = &column.format;
    match seen.shape {
        // 64 digits of a hash, or no more characters than before.
        _ if column.mask.is_some() => Seen { shape: Shape::Text, chars: seen.chars.max(64) },
        Shape::Number(_) if format.epoch != EpochUnit::Auto => Seen { shape: Shape::Time { instant: true }, ..seen },
        _ if format.encoding != BytesEncoding::Text => Seen { shape: Shape::Bytes, ..seen },
        _ => seen,
    }
}

/// A value that the settings give. Numbers with a fraction stand there in quotes.
fn literal(json: &str) -> Seen {
    let text = serde_json::from_str::<String>(json).ok();
    let fraction = text.filter(|text| text.contains('.') && is_number(text));
    fraction.map_or_else(|| Seen::json(json), |number| Seen::plain(&number))
}
