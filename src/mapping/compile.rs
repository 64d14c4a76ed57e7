//! Settings and catalogue to a [`Mapping`], or all that is wrong with them.

use std::sync::Arc;

use super::context::{ITEM_VARIABLES, VARIABLES};
use super::family::FamilyMapping;
use super::fits::never_fits;
use super::key_pattern::KeyPattern;
use super::mask::Masker;
use super::members::Paths;
use super::path::Path;
use super::source::{MaskedSource, Names, Source};
use super::{MappedColumn, Mapping, MaskedCopies, TableMapping, convert, rules};
use crate::expression::Expression;
use crate::row::Value;
use crate::settings::{ColumnSettings, ColumnSource, OnNull, RdbmsKind, StreamSettings, TableSettings, WriteMode};
use crate::table::{Column, Table};
use crate::value_format::ValueFormat;

impl Mapping {
    /// Compiles the mapping of one stream; `tables` are those of `stream.tables`, in their order.
    ///
    /// # Errors
    /// Every fault, each naming its setting.
    pub fn compile(stream: &StreamSettings, tables: &[Table], rdbms: RdbmsKind) -> Result<Mapping, Vec<String>> {
        let mut problems = Vec::new();
        let parsed = stream.key_pattern.as_deref().map(KeyPattern::parse).transpose();
        let key_pattern = parsed.unwrap_or_else(|problem| {
            problems.push(format!("streams.{}.key_pattern: {problem}", stream.entity));
            None
        });
        let mut of_stream = |key: &str, text: &Option<String>| {
            let compiled = text.as_deref().map(expression).transpose();
            compiled.unwrap_or_else(|problem| {
                problems.push(format!("streams.{}.{key}: {problem}", stream.entity));
                None
            })
        };
        let filter = of_stream("filter", &stream.filter);
        let reshape = of_stream("reshape", &stream.reshape);
        let mut compiler = Compiler { stream, rdbms, key_pattern, paths: Paths::default(), problems };
        let pairs = stream.tables.iter().zip(tables);
        let mut tables: Vec<TableMapping> =
            pairs.enumerate().map(|(number, (settings, table))| compiler.table(number, settings, table)).collect();
        for (settings, place) in stream.tables.iter().zip(0..tables.len()) {
            if let Err(problem) = rules::find_owner(&mut tables, place) {
                compiler.problems.push(format!("{}.for_each: {problem}", settings.setting));
            }
        }
        compiler.problems.extend(written_twice(&stream.tables, &tables, rdbms));
        parents_first(&mut tables);
        let Compiler { key_pattern, paths, problems, .. } = compiler;
        if !problems.is_empty() {
            return Err(problems);
        }
        let masked = tables.iter().flat_map(TableMapping::masked);
        let masked_copies = MaskedCopies::new(stream, key_pattern.as_ref(), reshape.as_ref(), masked).map(Arc::new);
        Ok(Mapping {
            masked_copies,
            tables,
            paths,
            key_pattern,
            filter,
            reshape,
            write_behind: stream.write_behind(),
            on_missing: stream.on_missing,
            stream_name: stream.stream_name.clone(),
            payload: stream.fields.payload.clone(),
            lanes_by_key: stream.order_by.is_none(),
        })
    }
}

/// What the tables of one mapping share while they are compiled.
struct Compiler<'a> {
    stream: &'a StreamSettings,
    rdbms: RdbmsKind,
    key_pattern: Option<KeyPattern>,
    paths: Paths,
    problems: Vec<String>,
}

impl Compiler<'_> {
    /// Compiles one table. Worth something only if there are no problems in the end.
    fn table(&mut self, number: usize, settings: &TableSettings, table: &Table) -> TableMapping {
        let setting = &settings.setting;
        if let Some(reason) = &table.not_transactional {
            self.problems.push(format!("{setting}.table: {} {reason}: exactly once needs transactions", table.name));
        }
        let filter = settings.filter.as_deref().map(expression).transpose().unwrap_or_else(|problem| {
            let of_item = settings.for_each.is_some() && ITEM_VARIABLES.iter().any(|name| problem.contains(name));
            let hint = if of_item { "; it is asked about documents: leave items out with `reshape`" } else { "" };
            self.problems.push(format!("{setting}.filter: {problem}{hint}"));
            None
        });
        let list = settings.for_each.as_deref().and_then(|text| match rules::list(text) {
            Ok(path) => Some(Source::member(path, &mut self.paths)),
            Err(problem) => {
                self.problems.push(format!("{setting}.for_each: {problem}"));
                None
            }
        });
        let mut item_paths = settings.for_each.is_some().then(Paths::default);
        let (mut columns, mut adds) = (Vec::new(), Vec::new());
        for column in &settings.columns {
            match self.column(column, settings, table, &mut item_paths) {
                Ok(mapped) => {
                    if matches!(column.source, ColumnSource::Add(_)) {
                        adds.push(columns.len());
                    }
                    columns.push(mapped);
                }
                Err(problem) => self.problems.push(format!("{setting}.columns.{}: {problem}", column.column)),
            }
        }
        if let Some(options) = &settings.auto {
            for column in table.columns.iter().filter(|column| is_taken_by_auto(column, settings)) {
                let path = Path::member(&column.name);
                let source = match &mut item_paths {
                    Some(paths) => Source::item_member(path, paths),
                    None => Source::member(path, &mut self.paths),
                };
                match self.mapped(options, settings, column, source) {
                    Ok(mapped) => columns.push(mapped),
                    Err(problem) => self.problems.push(format!("{setting}.columns.{}: {problem}", column.name)),
                }
            }
        }
        let key: Vec<usize> = settings.key.iter().filter_map(|name| place_of(&columns, name)).collect();
        let version = settings.version.as_ref().and_then(|name| place_of(&columns, name));
        if let Some(problem) = version.and_then(|version| rules::version(&mut columns[version]).err()) {
            self.problems.push(format!("{setting}.version: {problem}"));
        }
        let soft_delete = settings.soft_delete.as_ref().and_then(|name| {
            let found = table.column(name).ok_or_else(|| no_such_column(table));
            let soft_delete = found.and_then(|column| rules::soft_delete(column, &mut columns, &key));
            soft_delete.map_err(|problem| self.problems.push(format!("{setting}.soft_delete: {problem}"))).ok()
        });
        let family = list.map(|list| {
            let parent = key.iter().copied().filter(|place| !columns[*place].source.is_of_item()).collect();
            FamilyMapping { list, paths: item_paths.unwrap_or_default(), parent, owner: None }
        });
        if settings.auto.is_some() {
            let named = |name: &String| settings.columns.iter().any(|column| column.column == *name);
            let missing = settings.key.iter().filter(|name| place_of(&columns, name).is_none() && !named(name));
            self.problems.extend(missing.map(|name| {
                format!(
                    "{setting}.key: names `{name}`, which `\"*\": auto` does not map (it is no column of {}, has a default, or \
                         is set to null): name it in `columns`",
                    table.name
                )
            }));
        }
        let inserts = settings.mode == WriteMode::Log || settings.write_behind.insert || settings.write_behind.upsert;
        let without = if inserts { columns_without_source(settings, table) } else { Vec::new() };
        self.problems.extend(without.into_iter().map(|problem| format!("{setting}.columns: {problem}")));
        let has_index = family.as_ref().is_none_or(|family| !family.replaces_all(&key));
        if settings.mode == WriteMode::Upsert && has_index {
            let problems = upsert_problems(&settings.key, table, &columns, self.rdbms);
            self.problems.extend(problems.map(|problem| format!("{setting}.key: {problem}")));
        }
        TableMapping {
            number,
            table: Arc::new(table.clone()),
            columns,
            key,
            mode: settings.mode,
            write_behind: settings.write_behind,
            filter,
            rows_in_order: self.rdbms != RdbmsKind::Postgres,
            adds,
            version,
            soft_delete,
            family,
        }
    }

    fn column(
        &mut self,
        settings: &ColumnSettings,
        of: &TableSettings,
        table: &Table,
        item_paths: &mut Option<Paths>,
    ) -> Result<MappedColumn, String> {
        let column = table.column(&settings.column).ok_or_else(|| no_such_column(table))?;
        if column.generated {
            return Err(format!("the database computes column `{}` itself: nothing can be written to it", column.name));
        }
        let has_items = item_paths.is_some();
        let key_pattern = self.key_pattern.as_ref();
        let mut names = Names { key_pattern, paths: &mut self.paths, item_paths: item_paths.as_mut() };
        let source = match &settings.source {
            // That the pattern was refused is said already.
            ColumnSource::From(from)
                if from.starts_with("$key.") && key_pattern.is_none() && self.stream.key_pattern.is_some() =>
            {
                Source::Key
            }
            ColumnSource::From(from) | ColumnSource::Add(from) => Source::parse(from, &mut names)?,
            ColumnSource::Constant(json) => Source::Constant(constant("value", json, column, &settings.format)?),
            ColumnSource::Expression(text) => {
                let compiled = if has_items { item_expression(text) } else { expression(text) };
                Source::Expression(compiled.map_err(|why| format!("`expr`: {why}"))?)
            }
        };
        self.mapped(settings, of, column, source)
    }

    /// A column of the table `of` with all its options.
    fn mapped(
        &self,
        settings: &ColumnSettings,
        of: &TableSettings,
        column: &Column,
        source: Source,
    ) -> Result<MappedColumn, String> {
        let ColumnSettings { required, on_null, format, mask, .. } = *settings;
        let default = settings.default.as_ref().map(|json| constant("default", json, column, &format)).transpose()?;
        let adds = matches!(settings.source, ColumnSource::Add(_));
        if mask.is_none()
            && let Some(problem) = never_fits(&source, column, &format, (self.stream, of), self.key_pattern.as_ref())
        {
            return Err(problem);
        }
        let source = match mask.map(|mask| Masker::new(mask, self.stream.mask_key.as_ref())) {
            None => source,
            Some(_) if adds => return Err("`add` needs the number itself: set `mask` to `none`".to_owned()),
            Some(masker) => {
                masked(masker, column, source, of.key.contains(&column.name), required || !column.nullable)?
            }
        };
        let mapped = MappedColumn { default, required, on_null, format, ..plain(column, source) };
        if !adds {
            return Ok(mapped);
        }
        rules::see_it_adds(column)?;
        rules::see_each_event_has_its_own(&mapped.source, self.stream.document)?;
        let nothing = constant("add", "0", column, &format)?;
        let on_null = if on_null == OnNull::Write { OnNull::Default } else { on_null };
        Ok(MappedColumn { default: mapped.default.or(Some(nothing)), on_null, ..mapped })
    }
}

/// A source behind a mask; `never_null` says whether the column must have a value.
fn masked(masker: Masker, column: &Column, source: Source, is_key: bool, never_null: bool) -> Result<Source, String> {
    let own = match source {
        Source::EntryId | Source::Op | Source::Stream | Source::Timestamp | Source::Index => {
            "the pipeline itself keeps"
        }
        Source::Constant(_) => "the settings hold",
        _ => "",
    };
    if !own.is_empty() {
        return Err(format!("`mask` makes no secret of {source}, which {own} as it is: set it to `none`"));
    }
    if is_key && !masker.keeps_apart() {
        return Err(format!("`mask`: `{}` is of the `key`, and rows could be found only by a `hash`", column.name));
    }
    match masker.refuses(column, never_null) {
        Some(why) => Err(why),
        None => Ok(Source::Masked(Box::new(MaskedSource { source, read_as: masker.reads_as(column), masker }))),
    }
}

fn expression(text: &str) -> Result<Expression, String> {
    Expression::compile(text, &VARIABLES).map_err(|problem| problem.to_string())
}

/// Of a table with a row for each item.
fn item_expression(text: &str) -> Result<Expression, String> {
    Expression::compile(text, &[&VARIABLES[..], &ITEM_VARIABLES].concat()).map_err(|problem| problem.to_string())
}

fn place_of(columns: &[MappedColumn], name: &str) -> Option<usize> {
    columns.iter().position(|column| column.column.name == name)
}

/// Whether `"*": auto` takes a member for this column.
fn is_taken_by_auto(column: &Column, settings: &TableSettings) -> bool {
    let named = settings.columns.iter().any(|named| named.column == column.name);
    let marks = settings.soft_delete.as_ref() == Some(&column.name);
    let left_out = settings.left_out.contains(&column.name);
    !named && !marks && !left_out && !column.generated && !column.has_default
}

fn no_such_column(table: &Table) -> String {
    format!(
        "table {} has no such column; it has {}: name one of them, or add it (`pipeline schema print` gives the SQL)",
        table.name,
        column_names(&table.columns)
    )
}

/// A column with nothing but a source.
pub(super) fn plain(column: &Column, source: Source) -> MappedColumn {
    MappedColumn {
        column: column.clone(),
        source,
        default: None,
        required: false,
        is_version: false,
        on_null: OnNull::Write,
        format: ValueFormat::default(),
    }
}

/// A value that the settings give, as JSON.
fn constant(setting: &str, json: &str, column: &Column, format: &ValueFormat) -> Result<Value<'static>, String> {
    match convert::json(json, column, format) {
        Ok(value) => Ok(value.into_owned()),
        Err(rejection) => Err(format!("`{setting}` does not fit {} `{}`: {rejection}", column.sql_type, column.name)),
    }
}

/// Tables that two entries of one stream change rows of: a batch does what it does for one entry before the other, whatever
/// the order of the events. New rows have no order.
fn written_twice(all: &[TableSettings], compiled: &[TableMapping], rdbms: RdbmsKind) -> impl Iterator<Item = String> {
    let name = move |table: &TableMapping| match rdbms {
        RdbmsKind::Postgres => table.table.name.to_string(),
        _ => table.table.name.to_string().to_lowercase(),
    };
    let changes = |table: &TableMapping| table.changes().update || table.changes().delete;
    all.iter().zip(compiled).enumerate().filter_map(move |(place, (settings, table))| {
        let same = |(_, with): &(&TableSettings, &TableMapping)| {
            name(with) == name(table) && (changes(with) || changes(table))
        };
        let (other, with) = all[..place].iter().zip(compiled).find(same)?;
        let replaced = |table: &TableMapping| table.family.is_some() && !table.key.is_empty();
        let why = if replaced(with) || replaced(table) {
            "what vanishes from a list is deleted: each of the two would delete the other's rows. Put both lists into one, with \
             `reshape`"
        } else {
            "of two changes of one row the older one could be written last: put both into one, with `reshape` or `expr`, or let \
             both only take new rows"
        };
        Some(format!("{}.table: {} is the table of {} too, and {why}", settings.setting, table.table.name, other.setting))
    })
}

/// Puts tables after those that their foreign keys refer to, or that own their rows; what refers to each other in a circle stays as it is.
fn parents_first(tables: &mut Vec<TableMapping>) {
    let mut left = std::mem::take(tables);
    while !left.is_empty() {
        let refers = |of: &TableMapping, to: &TableMapping| {
            let owner = of.family.as_ref().and_then(|family| family.owner.as_ref());
            let owned = owner.is_some_and(|owner| owner.table == to.table.name);
            of.table.name != to.table.name && (owned || of.table.refers_to(&to.table.name))
        };
        let free = left.iter().position(|table| !left.iter().any(|other| refers(table, other)));
        tables.push(left.remove(free.unwrap_or(0)));
    }
}

/// Columns that every new row would lack.
fn columns_without_source(settings: &TableSettings, table: &Table) -> Vec<String> {
    let named = |column: &Column| settings.columns.iter().any(|named| named.column == column.name);
    let marks = |column: &Column| settings.soft_delete.as_ref() == Some(&column.name);
    let automatic = |column: &Column| settings.auto.is_some() && !settings.left_out.contains(&column.name);
    let mapped = |column: &Column| automatic(column) || named(column) || marks(column);
    let needed = |column: &&Column| !column.nullable && !column.has_default && !column.generated && !mapped(column);
    let said = |column: &Column| {
        let (column, table) = (&column.name, &table.name);
        format!("column `{column}` of {table} must not be NULL and has no default, and nothing is mapped to it")
    };
    table.columns.iter().filter(needed).map(said).collect()
}

/// An upsert is right only if the database finds the row by exactly the columns that the pipeline orders by.
fn upsert_problems(
    key: &[String],
    table: &Table,
    columns: &[MappedColumn],
    rdbms: RdbmsKind,
) -> impl Iterator<Item = String> {
    let same = |index: &Vec<String>| index.len() == key.len() && index.iter().all(|column| key.contains(column));
    let names = key.join(", ");
    let missing = (!table.unique_keys.iter().any(same)).then(|| {
        format!(
            "mode upsert needs a primary key or unique index of {} on exactly ({names}), and there is none",
            table.name
        )
    });
    // ON DUPLICATE KEY UPDATE takes whichever unique index is hit first, and so may change another row.
    let takes_any_index = matches!(rdbms, RdbmsKind::MySql | RdbmsKind::MariaDb);
    // A column that the database counts, or leaves NULL, has no value that is there already.
    let is_new = |name: &String| {
        let column = table.column(name).filter(|_| place_of(columns, name).is_none());
        column.is_some_and(|column| column.counts || column.nullable && !column.has_default && !column.generated)
    };
    let hit = |index: &&Vec<String>| takes_any_index && !same(index) && !index.iter().any(is_new);
    let other = table.unique_keys.iter().find(hit).map(|index| {
        format!(
            "{} has another unique index on ({}): ON DUPLICATE KEY UPDATE could change the row that has the same values \
             there. Drop that index, leave a column of it that the database counts or that may be NULL out of the mapping, \
             or write to the table in mode append",
            table.name,
            index.join(", ")
        )
    });
    missing.into_iter().chain(other)
}

fn column_names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}
