//! The environment variables `PIPELINE__SECTION__KEY` as a layer.
//!
//! `config`'s own source makes every name lower case and forgets which variable a value came from; column names need
//! their case, and a message needs the variable.

use config::{Value, ValueKind};

use super::layer::{Layer, LayerKind, Table};
use super::problem::Report;

/// What the variables of the pipeline begin with.
const PREFIX: &str = "PIPELINE__";

const SEPARATOR: &str = "__";

/// The layer of `variables`; others than the pipeline's are passed over. Names are matched without regard to case
/// with those of `file` and `defaults`; an unknown one is kept, so that it is reported like an unknown key of a file.
pub(super) fn layer(variables: &[(String, String)], file: &Table, defaults: &Table, report: &Report) -> Layer {
    let mut layer = Layer::empty(LayerKind::Environment);
    let mut sorted: Vec<_> = variables.iter().collect();
    sorted.sort();
    for (variable, text) in sorted {
        let Some(name) = strip_prefix(variable) else { continue };
        if text.contains(char::REPLACEMENT_CHARACTER) {
            report.add(variable, "must be UTF-8");
        }
        let path = resolve(name, file, defaults);
        let value = Value::new(Some(variable), ValueKind::String(text.clone()));
        if !insert(&mut layer.table, &path, value) {
            report.add(variable, "sets what another variable sets too, itself or as a section");
        }
    }
    layer
}

/// Whether a variable is one of the pipeline's.
pub(super) fn is_ours(variable: &str) -> bool {
    strip_prefix(variable).is_some()
}

/// The variable for a setting.
pub(super) fn variable(setting: &str) -> String {
    format!("{PREFIX}{}", setting.replace('.', SEPARATOR).to_uppercase())
}

fn strip_prefix(variable: &str) -> Option<&str> {
    let (start, rest) = variable.split_at_checked(PREFIX.len())?;
    start.eq_ignore_ascii_case(PREFIX).then_some(rest)
}

/// The path that a variable names. Where a level is open (entities, columns) an unknown name is taken in lower case.
fn resolve(name: &str, file: &Table, defaults: &Table) -> Vec<String> {
    let mut path = Vec::new();
    let mut levels = vec![file, defaults];
    let mut rest = name;
    loop {
        let known = levels.iter().flat_map(|table| table.keys()).filter(|key| begins_with(rest, key));
        // The longest, in case a name holds the separator itself.
        let (segment, length) = match known.max_by_key(|key| key.len()) {
            Some(key) => (key.clone(), key.len()),
            None => {
                let length = rest.find(SEPARATOR).unwrap_or(rest.len());
                (rest[..length].to_lowercase(), length)
            }
        };
        levels = levels.iter().filter_map(|table| subtable(table, &segment)).collect();
        path.push(segment);
        if path.len() == 2 && path[0] == "streams" {
            levels.extend(subtable(defaults, "stream_defaults"));
        }
        match rest[length..].strip_prefix(SEPARATOR) {
            Some(next) => rest = next,
            None => return path,
        }
    }
}

fn begins_with(rest: &str, key: &str) -> bool {
    match rest.split_at_checked(key.len()) {
        Some((start, end)) => start.eq_ignore_ascii_case(key) && (end.is_empty() || end.starts_with(SEPARATOR)),
        None => false,
    }
}

fn subtable<'a>(table: &'a Table, key: &str) -> Option<&'a Table> {
    match &table.get(key)?.kind {
        ValueKind::Table(table) => Some(table),
        _ => None,
    }
}

/// Puts `value` at `path`; false if that would replace something.
fn insert(table: &mut Table, path: &[String], value: Value) -> bool {
    match path {
        [] => false,
        [key] => table.insert(key.clone(), value).is_none(),
        [key, rest @ ..] => {
            let section = table.entry(key.clone()).or_insert_with(|| Value::new(None, ValueKind::Table(Table::new())));
            match &mut section.kind {
                ValueKind::Table(section) => insert(section, rest, value),
                _ => false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_with_what_is_known() {
        let file = "streams: {Orders: {columns: {userId: userId}}, a__b: {}}";
        let file = Layer::parse(LayerKind::File, "my.yaml", file).expect("loads").table;
        let defaults = Layer::defaults().expect("loads").table;
        for (name, path) in [
            ("REDIS__HOST", "redis.host"),
            ("LOG__STREAMS__FAILED_RDBMS", "log.streams.failed_rdbms"),
            ("STREAMS__USER_ACTION__BATCH_SIZE", "streams.user_action.batch_size"),
            ("STREAMS__ORDERS__FIELDS__KEY", "streams.Orders.fields.key"),
            ("STREAMS__ORDERS__COLUMNS__USERID", "streams.Orders.columns.userId"),
            ("STREAMS__A__B__TABLE", "streams.a__b.table"),
            ("STREAMS__NEW__TABLE", "streams.new.table"),
            ("REDIS__HOSST", "redis.hosst"),
            ("", ""),
            ("REDIS__", "redis."),
        ] {
            assert_eq!(resolve(name, &file, &defaults).join("."), path, "{name}");
        }
    }

    #[test]
    fn other_variables_are_passed_over() {
        for name in ["PATH", "PIPELINE", "PIPELINE_PORT", "XPIPELINE__REDIS__HOST", "PÏPELINE__A"] {
            assert_eq!(strip_prefix(name), None, "{name}");
        }
    }
}
