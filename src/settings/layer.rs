//! One layer of settings: a tree of values and where it came from.

use std::path::Path;

use config::{FileFormat, Map, Source, Value, ValueKind};

use super::problem::Problem;
use super::syntax;

pub(super) type Table = Map<String, Value>;

/// The kinds of layers; a greater one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LayerKind {
    Default,
    File,
    Environment,
}

/// One layer.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) kind: LayerKind,
    /// Name of the file. Values of the environment each know their variable.
    pub(super) origin: String,
    pub(super) table: Table,
    /// The text of the file, for what YAML does not keep.
    source: String,
}

impl Layer {
    /// The layer that is part of the binary.
    pub(super) fn defaults() -> Result<Layer, Problem> {
        Layer::parse(LayerKind::Default, "settings/default.yaml", include_str!("../../settings/default.yaml"))
    }

    /// The user's file; none is an empty layer.
    pub(super) fn file(path: Option<&Path>) -> Result<Layer, Problem> {
        let Some(path) = path else { return Ok(Layer::empty(LayerKind::File)) };
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            // Some editors put a byte order mark in front, which the YAML reader takes for text.
            Ok(text) => Layer::parse(LayerKind::File, &name, text.strip_prefix('\u{feff}').unwrap_or(&text)),
            Err(error) => Err(Problem { setting: name, message: format!("the settings file cannot be read: {error}") }),
        }
    }

    pub(super) fn empty(kind: LayerKind) -> Layer {
        Layer { kind, origin: String::new(), table: Table::new(), source: String::new() }
    }

    pub(super) fn parse(kind: LayerKind, origin: &str, text: &str) -> Result<Layer, Problem> {
        let table = config::File::from_str(text, FileFormat::Yaml)
            .collect()
            .map_err(|error| Problem { setting: origin.to_owned(), message: syntax::message(&error, text) })?;
        Ok(Layer { kind, origin: origin.to_owned(), table, source: text.to_owned() })
    }

    /// Whether `number` stands after `key` just like that. YAML reads `007`, `0x7` and `+7` as 7: as a text,
    /// such as a password, it would silently become another one.
    pub(super) fn spells(&self, key: &str, number: i64) -> bool {
        let spelled = number.to_string();
        self.source.match_indices(key).any(|(at, _)| {
            let rest = self.source[at + key.len()..].trim_start_matches(['"', '\'']).trim_start();
            let value = rest.strip_prefix(':').map(str::trim_start).and_then(|rest| rest.strip_prefix(&spelled));
            value.is_some_and(|after| !after.starts_with(|c: char| !c.is_whitespace() && !matches!(c, ',' | '}' | ']')))
        })
    }
}

/// The variables that `value` was made of.
pub(super) fn variables(value: &Value) -> Vec<&str> {
    match &value.kind {
        ValueKind::Table(table) => table.values().flat_map(variables).collect(),
        _ => value.origin().into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        Layer::parse(LayerKind::File, "my.yaml", text).expect_err("is refused").to_string()
    }

    #[test]
    fn syntax_errors_say_where() {
        assert_eq!(message("redis:\n  host: a\n  host: b\n"), "my.yaml: line 3, column 9: `host` is there twice");
        for text in ["redis: [1, 2\nrdbms: x", "redis:\n\thost: a"] {
            assert!(message(text).starts_with("my.yaml: line 2, column "), "{}", message(text));
        }
        let path = message("a: {from: items[0].sku, mask: hash}");
        assert!(path.starts_with("my.yaml: line 1, ") && path.contains("belongs in quotes"), "{path}");
        assert!(message("- a\n- b").contains("section:"), "{}", message("- a\n- b"));
        assert!(message("a: {{ b }}").contains("in quotes"), "{}", message("a: {{ b }}"));
        assert!(message("a: 1\n---\nb: 2").contains("2 YAML documents"));
    }

    #[test]
    fn a_file_that_is_not_there_says_so() {
        let problem = Layer::file(Some(Path::new("no/such/file.yaml"))).expect_err("is not there");
        assert_eq!(problem.setting, "no/such/file.yaml");
        assert!(problem.message.contains("cannot be read"), "{problem}");
    }

    #[test]
    fn an_empty_file_is_an_empty_layer() {
        for text in ["", "# nothing yet\n"] {
            assert!(Layer::parse(LayerKind::File, "my.yaml", text).expect("loads").table.is_empty());
        }
    }

    #[test]
    fn spelling_is_checked_in_the_text() {
        let layer =
            Layer::parse(LayerKind::File, "f", "a: 7\nb: 007\n\"c\" : 7 # seven\nd: {e: 7}\nf: 7x").expect("loads");
        let spelled = |key| layer.spells(key, 7);
        assert_eq!(["a", "b", "c", "e", "f"].map(spelled), [true, false, true, true, false]);
    }
}
