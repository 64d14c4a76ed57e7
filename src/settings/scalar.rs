//! One value as the type that a setting wants. Values of a file have YAML's types, those of the environment are texts.

use std::fmt::Display;
use std::ops::RangeInclusive;

use config::{Value, ValueKind};

use super::layer::Layer;

/// Whether a value that may be absent is: `null`, or an empty text, which is what an unset variable of a
/// container file becomes.
pub(super) fn is_unset(value: &Value) -> bool {
    match &value.kind {
        ValueKind::Nil => true,
        ValueKind::String(text) => text.is_empty(),
        _ => false,
    }
}

pub(super) fn text(value: &Value, key: &str, layer: &Layer, length: &RangeInclusive<usize>) -> Result<String, String> {
    let text = match &value.kind {
        ValueKind::String(text) => text.clone(),
        ValueKind::I64(number) if layer.spells(key, *number) => number.to_string(),
        ValueKind::Nil | ValueKind::Table(_) | ValueKind::Array(_) => return Err(must_be_text(length)),
        _ => return Err("must be text: put it in quotes, because YAML reads it as something else".to_owned()),
    };
    if !length.contains(&text.chars().count()) || text.chars().any(char::is_control) {
        return Err(must_be_text(length));
    }
    Ok(text)
}

pub(super) fn integer<T: TryFrom<u64>>(value: &Value, range: &RangeInclusive<u64>) -> Result<T, String> {
    let number = match &value.kind {
        ValueKind::I64(number) => u64::try_from(*number).ok(),
        ValueKind::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let number = number.filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("must be a whole number {}", bounds(range)))
}

/// `what` is the kind of number, for the message.
pub(super) fn number(value: &Value, range: &RangeInclusive<f64>, what: &str) -> Result<f64, String> {
    let number = match &value.kind {
        // Every range of a setting ends far below the whole numbers that a float cannot hold.
        ValueKind::I64(number) => Some(*number as f64),
        ValueKind::Float(number) => Some(*number),
        ValueKind::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| range.contains(number)).ok_or_else(|| format!("must be {what} {}", bounds(range)))
}

pub(super) fn flag(value: &Value) -> Result<bool, String> {
    let text = match &value.kind {
        ValueKind::Boolean(flag) => return Ok(*flag),
        ValueKind::String(text) => text.trim().to_ascii_lowercase(),
        _ => String::new(),
    };
    match text.as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

pub(super) fn choice<T: Copy>(value: &Value, choices: &[(&str, T)]) -> Result<T, String> {
    let wanted = match &value.kind {
        ValueKind::String(text) => text.trim(),
        _ => "",
    };
    let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        format!("must be one of {}", names.join(", "))
    })
}

/// A list of texts; a text is split at its commas.
pub(super) fn list(value: &Value, key: &str, layer: &Layer) -> Result<Vec<String>, String> {
    let length = 1..=255;
    match &value.kind {
        ValueKind::Array(values) => values.iter().map(|value| text(value, key, layer, &length)).collect(),
        ValueKind::String(text) if text.trim().is_empty() => Ok(Vec::new()),
        ValueKind::String(text) => Ok(text.split(',').map(|part| part.trim().to_owned()).collect()),
        _ => Err("must be a list".to_owned()),
    }
}

/// A text that may have several lines.
pub(super) fn lines(value: &Value, bytes_max: usize) -> Result<String, String> {
    let allowed = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    match &value.kind {
        ValueKind::String(text) if text.len() <= bytes_max && text.chars().all(allowed) => Ok(text.clone()),
        ValueKind::String(_) => Err(format!("must be text of at most {bytes_max} bytes")),
        _ => Err("must be text: put it in quotes, because YAML reads it as something else".to_owned()),
    }
}

/// A text, whole number or boolean as JSON. A number with a fraction must be a text: as a number of YAML it would be
/// rounded.
pub(super) fn json(value: &Value, key: &str, layer: &Layer) -> Result<String, String> {
    match &value.kind {
        ValueKind::Boolean(flag) => Ok(flag.to_string()),
        ValueKind::I64(number) if layer.spells(key, *number) => Ok(number.to_string()),
        ValueKind::String(text) => Ok(serde_json::Value::from(text.as_str()).to_string()),
        _ => Err("must be a text, a whole number, true or false; put other numbers in quotes".to_owned()),
    }
}

/// Whether `host` is a host name or an address and nothing more.
pub(super) fn is_host(host: &str) -> bool {
    let is_name = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/@?#[]".contains(c));
    // One colon begins a port; more are an IPv6 address.
    is_name && host.matches(':').count() != 1
}

/// A value for a message: short and on one line.
pub(super) fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    match &value.kind {
        ValueKind::Nil => "null".to_owned(),
        ValueKind::Table(_) => "a section".to_owned(),
        ValueKind::Array(_) => "a list".to_owned(),
        ValueKind::String(text) if text.is_empty() => "an empty text".to_owned(),
        ValueKind::String(text) => {
            let more = if text.chars().count() > LONGEST { "…" } else { "" };
            format!("`{}{more}`", text.chars().take(LONGEST).collect::<String>().escape_debug())
        }
        number => number.to_string(),
    }
}

fn must_be_text(length: &RangeInclusive<usize>) -> String {
    format!("must be text of {} to {} characters on one line", length.start(), length.end())
}

fn bounds<T: Display>(range: &RangeInclusive<T>) -> String {
    format!("from {} to {}", range.start(), range.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::layer::LayerKind;

    fn yaml(text: &str) -> (Layer, Value) {
        let layer = Layer::parse(LayerKind::File, "f", &format!("key: {text}")).expect("is YAML");
        let value = layer.table["key"].clone();
        (layer, value)
    }

    #[test]
    fn texts_keep_their_spelling_or_are_refused() {
        for (given, wanted) in [
            ("abc", Some("abc")),
            ("12345", Some("12345")),
            ("-7", Some("-7")),
            ("\"007\"", Some("007")),
            ("0-0", Some("0-0")),
            ("$", Some("$")),
            ("007", None),
            ("0x1f", None),
            ("+5", None),
            ("1e5", None),
            ("1.10", None),
            ("99999999999999999999", None),
            ("true", None),
            ("null", None),
            ("\"\"", None),
            ("\"a\\nb\"", None),
            ("[a]", None),
        ] {
            let (layer, value) = yaml(given);
            assert_eq!(text(&value, "key", &layer, &(1..=10)).ok().as_deref(), wanted, "{given}");
        }
    }

    #[test]
    fn numbers_flags_and_lists() {
        let whole = |given| integer::<u16>(&yaml(given).1, &(1..=70_000)).ok();
        assert_eq!(["10", "\"10\"", "0", "-1", "70000", "1.5", "ten", "null"].map(whole), {
            [Some(10), Some(10), None, None, None, None, None, None]
        });
        let real = |given| number(&yaml(given).1, &(0.5..=2.0), "a number").ok();
        assert_eq!(
            ["1", "0.5", "\"1.5\"", "2.1", "nan", "x"].map(real),
            [Some(1.0), Some(0.5), Some(1.5), None, None, None]
        );
        let on = |given| flag(&yaml(given).1).ok();
        assert_eq!(["true", "no", "\"1\"", "2", "null"].map(on), [Some(true), Some(false), Some(true), None, None]);
        let names = |given| {
            let (layer, value) = yaml(given);
            list(&value, "key", &layer).ok().map(|names| names.join("+"))
        };
        assert_eq!(
            ["[a, b]", "\"a, b\"", "a", "[]", "\"\""].map(names).map(Option::unwrap),
            ["a+b", "a+b", "a", "", ""]
        );
        assert_eq!(["[1]", "{a: b}", "null"].map(names), [None, None, None]);
    }
}
