//! Settings and catalogue to a [`Mapping`], or all that is wrong with them.

use std::sync::Arc;

use super::members::Paths;
use super::path::Path;
use super::{MappedColumn, Mapping, Source, ValueFormat};
use crate::settings::{ColumnSource, RdbmsKind, StreamSettings, WriteMode};
use crate::table::{Column, ColumnKind, Table};

impl Mapping {
    /// Compiles the mapping of one stream.
    ///
    /// # Errors
    /// Every fault, each naming its setting.
    pub fn compile(stream: &StreamSettings, table: &Table, rdbms: RdbmsKind) -> Result<Mapping, Vec<String>> {
        let setting = format!("streams.{}", stream.entity);
        let mut problems = Vec::new();
        if let Some(reason) = &table.not_transactional {
            problems.push(format!("{setting}.table: {} {reason}: exactly once needs transactions", table.name));
        }
        let (mut columns, mut paths) = (Vec::new(), Paths::default());
        for from in &stream.columns {
            let name = format!("{setting}.columns.{}", from.column);
            match compile_column(from, table, &mut paths) {
                Ok(column) => columns.push(column),
                Err(problem) => problems.push(format!("{name}: {problem}")),
            }
        }
        let place = |name: &String| columns.iter().position(|column| column.column.name == *name);
        let key: Vec<usize> = stream.key.iter().filter_map(place).collect();
        problems.extend(
            columns_without_source(stream, table).into_iter().map(|problem| format!("{setting}.columns: {problem}")),
        );
        if stream.mode == WriteMode::Upsert {
            problems.extend(upsert_problems(stream, table, rdbms).map(|problem| format!("{setting}.key: {problem}")));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        // The document's key is a text: two of them stay two only in a column that keeps texts apart.
        let of_key = |index: &usize| {
            let MappedColumn { column, source, .. } = &columns[*index];
            let keeps_apart = matches!(column.kind, ColumnKind::Text { .. }) && column.compares_exactly;
            *source == Source::Key && keeps_apart
        };
        let key_is_document_key = stream.order_by.is_none() && key.iter().any(of_key);
        Ok(Mapping {
            table: Arc::new(table.clone()),
            key_is_document_key,
            columns,
            key,
            paths,
            rows_in_order: rdbms != RdbmsKind::Postgres,
            mode: stream.mode,
            write_behind: stream.write_behind,
            on_missing: stream.on_missing,
            stream_name: stream.stream_name.clone(),
        })
    }
}

fn compile_column(from: &ColumnSource, table: &Table, paths: &mut Paths) -> Result<MappedColumn, String> {
    let Some(column) = table.column(&from.column) else {
        return Err(format!("table {} has no such column; it has {}", table.name, column_names(&table.columns)));
    };
    if column.generated {
        return Err(format!("the database computes column `{}` itself: nothing can be written to it", column.name));
    }
    let source = match from.from.as_str() {
        "$id" => Source::EntryId,
        "$key" => Source::Key,
        "$op" => Source::Op,
        "$stream" => Source::Stream,
        "$timestamp" => Source::Timestamp,
        other if other.starts_with('$') => {
            return Err(format!("`{other}` is not one of $id, $key, $op, $stream, $timestamp"));
        }
        path => {
            let path = Path::parse(path)?;
            let number = paths.add(&path);
            Source::Member(path, number)
        }
    };
    Ok(MappedColumn { column: column.clone(), source, format: ValueFormat::default() })
}

/// Columns that every new row would lack.
fn columns_without_source(stream: &StreamSettings, table: &Table) -> Vec<String> {
    let inserts = stream.write_behind.insert || stream.write_behind.upsert;
    let mapped = |column: &Column| stream.columns.iter().any(|from| from.column == column.name);
    let needed = |column: &&Column| !column.nullable && !column.has_default && !column.generated && !mapped(column);
    let said = |column: &Column| {
        let (column, table) = (&column.name, &table.name);
        format!("column `{column}` of {table} must not be NULL and has no default, and nothing is mapped to it")
    };
    table.columns.iter().filter(|_| inserts).filter(needed).map(said).collect()
}

/// An upsert is right only if the database finds the row by exactly the columns that the pipeline orders by.
fn upsert_problems(stream: &StreamSettings, table: &Table, rdbms: RdbmsKind) -> impl Iterator<Item = String> {
    let same = |index: &Vec<String>| index.len() == stream.key.len() && index.iter().all(|c| stream.key.contains(c));
    let key = stream.key.join(", ");
    let missing = (!table.unique_keys.iter().any(same)).then(|| {
        format!(
            "mode upsert needs a primary key or unique index of {} on exactly ({key}), and there is none",
            table.name
        )
    });
    // ON DUPLICATE KEY UPDATE takes whichever unique index is hit first, and so may change another row.
    let takes_any_index = matches!(rdbms, RdbmsKind::MySql | RdbmsKind::MariaDb);
    let other = table.unique_keys.iter().find(|index| takes_any_index && !same(index)).map(|index| {
        format!(
            "{} has another unique index on ({}): ON DUPLICATE KEY UPDATE could change the row that has the same \
             values there. Drop that index, or write to the table in mode append",
            table.name,
            index.join(", ")
        )
    });
    missing.into_iter().chain(other)
}

fn column_names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}
