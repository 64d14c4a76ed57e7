//! A typed reader over the layers of one section.
//!
//! Whoever asks for a key says its type and range. So one place is the schema, the validation and the list of names
//! that an unknown key is compared with: what nobody asked for is unknown.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use config::{Value, ValueKind};

use super::environment;
use super::layer::{Layer, LayerKind, Table, variables};
use super::problem::Report;
use super::scalar::{self, shown};
use super::secret::Secret;

/// Said of `tables` anywhere else than at a stream.
pub(super) const TABLES_MISPLACED: &str = "is a setting of a stream: indent it below one, as streams.ENTITY.tables";

const COMMA_UNQUOTED: &str =
    "is not a setting: within { } a text with a comma belongs in quotes, such as type: \"numeric(12,4)\"";

/// One layer's part of a section.
#[derive(Clone, Debug)]
pub(super) struct Scope<'a> {
    pub(super) name: String,
    pub(super) layer: &'a Layer,
    pub(super) table: &'a Table,
}

/// One section: the same part of several layers, strongest first. The first that has a key decides it.
pub(super) struct Section<'a> {
    name: String,
    scopes: Vec<Scope<'a>>,
    report: &'a Report,
    asked: RefCell<BTreeSet<String>>,
    failed: RefCell<BTreeSet<String>>,
}

impl<'a> Section<'a> {
    pub(super) fn new(name: impl Into<String>, scopes: Vec<Scope<'a>>, report: &'a Report) -> Self {
        Section { name: name.into(), scopes, report, asked: RefCell::default(), failed: RefCell::default() }
    }

    /// The section `key` of this one. Nothing at all (`redis:` with all its keys commented out) is an empty section.
    pub(super) fn section(&self, key: &str) -> Section<'a> {
        self.asked.borrow_mut().insert(key.to_owned());
        let scopes = self.scopes.iter().filter_map(|scope| {
            let name = join(&scope.name, key);
            let value = scope.table.get(key)?;
            match &value.kind {
                ValueKind::Table(table) => return Some(Scope { name, layer: scope.layer, table }),
                ValueKind::Nil => {}
                // The value is not shown: one who misplaced a secret should not find it in a log.
                _ => {
                    self.report.add(name, format!("must be a section with keys of its own{}", from(value, scope)));
                    self.mark_failed(key);
                }
            }
            None
        });
        Section::new(join(&self.name, key), scopes.collect(), self.report)
    }

    /// This section, over `weaker` ones: what a user says anywhere is stronger than the default layer.
    pub(super) fn or(mut self, weaker: &Section<'a>) -> Section<'a> {
        self.scopes.extend(weaker.scopes.iter().cloned());
        self.scopes.sort_by_key(|scope| scope.layer.kind == LayerKind::Default);
        self
    }

    /// Whether the strongest layer that has `key` makes it a section.
    pub(super) fn is_section(&self, key: &str) -> bool {
        self.strongest(key).is_some_and(|value| matches!(value.kind, ValueKind::Table(_)))
    }

    /// Whether the strongest layer that has `key` makes it a text.
    pub(super) fn is_text(&self, key: &str) -> bool {
        self.strongest(key).is_some_and(|value| matches!(value.kind, ValueKind::String(_)))
    }

    /// Whether the strongest layer that has `key` makes it null.
    pub(super) fn is_null(&self, key: &str) -> bool {
        self.strongest(key).is_some_and(|value| matches!(value.kind, ValueKind::Nil))
    }

    fn strongest(&self, key: &str) -> Option<&'a Value> {
        self.scopes.iter().find_map(|scope| scope.table.get(key))
    }

    /// Its full name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Takes `key` for one that is read, elsewhere.
    pub(super) fn knows(&self, key: &str) {
        self.asked.borrow_mut().insert(key.to_owned());
    }

    /// The layers of this section, strongest first.
    pub(super) fn scopes(&self) -> &[Scope<'a>] {
        &self.scopes
    }

    /// Forgets the layers for which `wanted` is false.
    pub(super) fn keep(&mut self, wanted: impl Fn(&Scope<'a>) -> bool) {
        self.scopes.retain(wanted);
    }

    /// Every name that any layer has here: for sections whose keys are the user's own.
    pub(super) fn names(&self) -> BTreeSet<&'a str> {
        self.scopes.iter().flat_map(|scope| scope.table.keys().map(String::as_str)).collect()
    }

    /// The layer of the user that decides `key`; none if that is the default layer, or if it is unset.
    pub(super) fn set_by(&self, key: &str) -> Option<LayerKind> {
        let (scope, value) = self.scopes.iter().find_map(|scope| Some((scope, scope.table.get(key)?)))?;
        Some(scope.layer.kind).filter(|&kind| kind != LayerKind::Default && !scalar::is_unset(value))
    }

    /// Whether a layer of the user says `key` in this very section, and not in one that stands for it.
    pub(super) fn says(&self, key: &str) -> bool {
        let own = |scope: &&Scope| scope.name == self.name && scope.layer.kind != LayerKind::Default;
        self.scopes.iter().filter(own).any(|scope| scope.table.get(key).is_some_and(|value| !scalar::is_unset(value)))
    }

    /// Whether every one of `keys` could be read: a rule about several keys makes no sense otherwise.
    pub(super) fn sound(&self, keys: &[&str]) -> bool {
        let failed = self.failed.borrow();
        !keys.iter().any(|key| failed.contains(*key))
    }

    /// Whether every key could be read.
    pub(super) fn all_sound(&self) -> bool {
        self.failed.borrow().is_empty()
    }

    /// Takes `key` for one that could not be read.
    pub(super) fn mark_failed(&self, key: &str) {
        self.failed.borrow_mut().insert(key.to_owned());
    }

    /// Says that a rule about `key` does not hold.
    pub(super) fn refuse(&self, key: &str, message: impl Into<String>) {
        self.report.add(join(&self.name, key), message);
    }

    /// Says that the section itself is not as it must be.
    pub(super) fn refuse_itself(&self, message: impl Into<String>) {
        self.report.add(&self.name, message);
    }

    /// Checks what `host` was read to. It is not shown: it may be a URL with a password in it.
    pub(super) fn check_host(&self, host: &str) {
        if self.sound(&["host"]) && !scalar::is_host(host) {
            self.refuse("host", "must be a host name or address alone; the port is a setting of its own");
        }
    }

    pub(super) fn text(&self, key: &str, length: RangeInclusive<usize>) -> String {
        self.read(key, false, |value, layer| scalar::text(value, key, layer, &length)).unwrap_or_default()
    }

    /// A text that may be absent: `null`, or an empty variable.
    pub(super) fn optional_text(&self, key: &str, length: RangeInclusive<usize>) -> Option<String> {
        let parse = |value: &Value, layer: &Layer| optional(value, |value| scalar::text(value, key, layer, &length));
        self.read(key, false, parse).flatten()
    }

    /// A text of one or more lines that may be absent, of at most so many bytes.
    pub(super) fn optional_lines(&self, key: &str, bytes_max: usize) -> Option<String> {
        let parse = |value: &Value, _: &Layer| optional(value, |value| scalar::lines(value, bytes_max));
        self.read(key, false, parse).flatten()
    }

    /// A text that may be absent and must not be shown.
    pub(super) fn secret(&self, key: &str) -> Option<Secret> {
        let length = 1..=4096;
        let parse = |value: &Value, layer: &Layer| optional(value, |value| scalar::text(value, key, layer, &length));
        self.read(key, true, parse).flatten().map(Secret::new)
    }

    pub(super) fn integer<T: TryFrom<u64> + Default>(&self, key: &str, range: RangeInclusive<u64>) -> T {
        self.read(key, false, |value, _| scalar::integer(value, &range)).unwrap_or_default()
    }

    /// A number that may be absent: `null`.
    pub(super) fn optional_integer<T: TryFrom<u64>>(&self, key: &str, range: RangeInclusive<u64>) -> Option<T> {
        let parse = |value: &Value, _: &Layer| match value.kind {
            ValueKind::Nil => Ok(None),
            _ => scalar::integer(value, &range).map(Some),
        };
        self.read(key, false, parse).flatten()
    }

    pub(super) fn number(&self, key: &str, range: RangeInclusive<f64>) -> f64 {
        self.read(key, false, |value, _| scalar::number(value, &range, "a number")).unwrap_or_default()
    }

    pub(super) fn milliseconds(&self, key: &str, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.integer(key, range))
    }

    pub(super) fn seconds(&self, key: &str, range: RangeInclusive<f64>) -> Duration {
        let parse = |value: &Value, _: &Layer| {
            let seconds = scalar::number(value, &range, "a number of seconds")?;
            Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
        };
        self.read(key, false, parse).unwrap_or_default()
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.read(key, false, |value, _| scalar::flag(value)).unwrap_or_default()
    }

    /// The same, which may be absent: `null`.
    pub(super) fn optional_flag(&self, key: &str) -> Option<bool> {
        self.read(key, false, |value, _| optional(value, scalar::flag)).flatten()
    }

    /// One of the names of `choices`.
    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> T {
        self.read(key, false, |value, _| scalar::choice(value, choices)).unwrap_or(choices[0].1)
    }

    /// What `parse` makes of a text; its error says what the text must be.
    pub(super) fn parsed<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.read(key, false, |value, layer| parse(&scalar::text(value, key, layer, &(1..=255))?))
    }

    pub(super) fn list(&self, key: &str) -> Vec<String> {
        self.read(key, false, |value, layer| scalar::list(value, key, layer)).unwrap_or_default()
    }

    /// The text of one of the user's own names; `null` takes away what a weaker layer says.
    pub(super) fn nullable_text(&self, key: &str, length: RangeInclusive<usize>) -> Option<String> {
        let parse = |value: &Value, layer: &Layer| match value.kind {
            ValueKind::Nil => Ok(None),
            _ => scalar::text(value, key, layer, &length).map(Some),
        };
        self.read(key, false, parse).flatten()
    }

    /// A value of any simple type that may be absent, as JSON.
    pub(super) fn optional_json(&self, key: &str) -> Option<String> {
        let parse = |value: &Value, layer: &Layer| match value.kind {
            ValueKind::Nil => Ok(None),
            _ => scalar::json(value, key, layer).map(Some),
        };
        self.read(key, false, parse).flatten()
    }

    /// Reports every key that nobody asked for. To be called when all are read.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        for scope in &self.scopes {
            for (key, value) in scope.table.iter().filter(|(key, _)| !asked.contains(*key)) {
                let of_environment = scope.layer.kind == LayerKind::Environment;
                let name = |key: &str| match of_environment {
                    true => environment::variable(&join(&scope.name, key)),
                    false => join(&scope.name, key),
                };
                let hint = match nearest(key, asked.iter().map(String::as_str)) {
                    _ if key == "tables" => TABLES_MISPLACED.to_owned(),
                    // YAML takes what follows a comma for a key of its own.
                    _ if key.ends_with(')') && scalar::is_unset(value) => COMMA_UNQUOTED.to_owned(),
                    Some(known) => format!("is not a setting: did you mean `{}`?", name(known)),
                    None => {
                        let known: Vec<_> = asked.iter().map(String::as_str).collect();
                        format!("is not a setting: here are {}", known.join(", "))
                    }
                };
                if of_environment {
                    variables(value).into_iter().for_each(|variable| self.report.add(variable, hint.as_str()));
                } else {
                    self.report.add(name(key), format!("{hint}{}", from(value, scope)));
                }
            }
        }
    }

    /// The first layer's value that `key` has. One that is refused is reported, and the next layer's taken for it, so
    /// that one wrong value does not hide or cause other problems.
    fn read<T>(&self, key: &str, secret: bool, parse: impl Fn(&Value, &Layer) -> Result<T, String>) -> Option<T> {
        self.asked.borrow_mut().insert(key.to_owned());
        for scope in &self.scopes {
            let Some(value) = scope.table.get(key) else { continue };
            match parse(value, scope.layer) {
                Ok(read) => return Some(read),
                Err(rule) if self.failed.borrow_mut().insert(key.to_owned()) => {
                    let value_text = if secret { String::new() } else { format!(", not {}", shown(value)) };
                    self.report.add(join(&scope.name, key), format!("{rule}{value_text}{}", from(value, scope)));
                }
                Err(_) => {}
            }
        }
        if self.sound(&[key]) {
            self.refuse(key, "has no default in settings/default.yaml");
        }
        None
    }
}

/// The one of `known` that `name` was most likely meant to be.
pub(crate) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    let wanted = plain(name);
    let distance = |known: &str| {
        let known = plain(known);
        let edits = strsim::damerau_levenshtein(&wanted, &known);
        // `retries` for `max_retries`, `pass` for `password`, `username` for `user`.
        let part = wanted.len() >= 4 && (known.starts_with(&wanted) || known.ends_with(&wanted));
        let whole =
            known.len() >= 4 && !wanted.contains('.') && (wanted.starts_with(&known) || wanted.ends_with(&known));
        (if part || whole { 1 } else { edits }, edits)
    };
    let limit = wanted.chars().count().div_ceil(3).max(1);
    let near = known.map(|known| (distance(known), known)).filter(|((distance, _), _)| *distance <= limit);
    near.min().map(|(_, known)| known)
}

fn optional<T>(value: &Value, parse: impl Fn(&Value) -> Result<T, String>) -> Result<Option<T>, String> {
    if scalar::is_unset(value) { Ok(None) } else { parse(value).map(Some) }
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

fn from(value: &Value, scope: &Scope) -> String {
    let variables = variables(value);
    format!(" (from {})", variables.first().copied().unwrap_or(&scope.layer.origin))
}
