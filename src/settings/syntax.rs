//! What is wrong with a text that is no YAML, in words that help: the YAML reader's own, the place first, and a hint.

use config::ConfigError;

/// Says where and why `text` cannot be read.
pub(super) fn message(error: &ConfigError, text: &str) -> String {
    let said = match error {
        ConfigError::FileParse { cause, .. } => cause.to_string(),
        other => other.to_string(),
    };
    if said.contains("expected a map") {
        return "must be `section:` with indented `key: value` lines below".to_owned();
    }
    if said.contains("unsupported hash key") {
        return "has a key that is not a text: a template's `{{ … }}` belongs in quotes".to_owned();
    }
    let Some((what, place)) = said.rsplit_once(" at byte ") else { return format!("not YAML: {said}") };
    let place = place.split_once(' ').map_or(place, |(_, line_and_column)| line_and_column);
    let place = place.replace(" column", ", column");
    if let Some(key) =
        what.strip_prefix("String(\"").and_then(|rest| rest.strip_suffix("\"): duplicated key in mapping"))
    {
        return format!("{place}: `{key}` is there twice");
    }
    match hint(what, before(&place, text)) {
        Some(hint) => format!("{place}: {what}; {hint}"),
        None => format!("{place}: {what}"),
    }
}

/// What stands in the line before the place that the reader names.
fn before<'t>(place: &str, text: &'t str) -> &'t str {
    let mut numbers = place.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<usize>().ok());
    let (Some(line), Some(column)) = (numbers.next(), numbers.next()) else { return "" };
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let end = line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(end, _)| end);
    &line[..end]
}

/// The usual slip behind an error.
fn hint(what: &str, before: &str) -> Option<&'static str> {
    let value = before.split_once(": ").map(|(_, value)| value.trim_start());
    let is_bracketed = value.is_some_and(|value| value.starts_with(['{', '[']));
    let has = |words: &str| what.contains(words);
    Some(if has("unknown anchor") || has("an anchor or alias") {
        "what begins with `*` or `&` belongs in quotes, such as \"*\": auto"
    } else if has("parsing a flow") {
        "within { } and [ ], a text with a bracket, a brace or a comma belongs in quotes, such as \"items[0].sku\""
    } else if has("mapping values are not allowed") && value.is_some() {
        "a text with `: ` in it belongs in quotes"
    } else if has("mapping values are not allowed") {
        "nothing can be indented below a line that has a value: see how far this line and the one before it are indented"
    } else if (has("expected key") || has("block scalar")) && is_bracketed {
        "a text that begins with `{` or `[`, such as an expression, belongs in quotes"
    } else if has("expected key") {
        "see whether it is indented like the keys around it"
    } else if has("block scalar") {
        "after `|` and `>` the text begins on the next line; one that begins with them belongs in quotes"
    } else if has("unexpected character") {
        "what begins with it belongs in quotes"
    } else if has("trailing content after") {
        "a text with quotes in it belongs in other quotes as a whole, such as \"enum('a', 'b')\""
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use crate::settings::Settings;

    #[test]
    fn the_usual_slips_are_hinted_at() {
        for (text, hint) in [
            (
                "streams:\n  a:\n    columns:\n      *: auto\n",
                "line 4, column 7: while parsing node, found unknown anchor; what \
             begins with `*` or `&` belongs in quotes, such as \"*\": auto",
            ),
            ("a: {for_each: [*]}", "what begins with `*`"),
            ("redis:\n  host: a\n    port: 5\n", "see how far this line and the one before it are indented"),
            ("a:\n  filter: .a == \"x: y\" and b: c\n", "a text with `: ` in it belongs in quotes"),
            (
                "a:\n  reshape: {a: .b} + {c: .d}\n  b: c\n",
                "begins with `{` or `[`, such as an expression, belongs in quotes",
            ),
            ("a:\n  expr: {a: .b} | tojson\n", "begins with `{` or `[`, such as an expression, belongs in quotes"),
            ("a:\n  filter: [.a, .b] | any\n", "begins with `{` or `[`, such as an expression, belongs in quotes"),
            ("a:\n  x: {expr: {a: .b} | tojson}\n", "within { } and [ ], a text with a bracket"),
            ("a:\n  filter: | .a\n", "the text begins on the next line"),
            ("a: {x: @a}", "what begins with it belongs in quotes"),
            ("a: '.a == 'x''\n", "a text with quotes in it belongs in other quotes"),
            ("a: {type: enum('a','b')}\n", "a text with quotes in it belongs in other quotes"),
        ] {
            let problems = Settings::of_text("my.yaml", text).expect_err("is refused").to_string();
            assert!(problems.starts_with("my.yaml: line ") && problems.contains(hint), "{text}: {problems}");
        }
    }

    #[test]
    fn so_are_slips_that_yaml_takes_for_something_else() {
        for (text, expected) in [
            (
                "streams: {a: {columns: {x: {from: p, type: numeric(12,4)}}}}",
                "streams.a.columns.x.4): is not a setting: within { } a text with a comma belongs in quotes, such as type: \
                 \"numeric(12,4)\" (from my.yaml)",
            ),
            (
                "streams: {a: {table: {x: {columns: {b: c}}}}}",
                "streams.a.table: is the name of a single table; sections of tables stand below `tables`",
            ),
            (
                "streams: {a: {columns: {b: c}}}\ntables: {x: {columns: {b: c}}}",
                "tables: is a setting of a stream: indent it below one, as streams.ENTITY.tables (from my.yaml)",
            ),
            (
                "streams: {a: {columns: {b: c}}, tables: {x: {columns: {b: c}}}}",
                "streams.tables: is a setting of a stream: indent it below one, as streams.ENTITY.tables",
            ),
        ] {
            let problems = Settings::of_text("my.yaml", text).expect_err("is refused").to_string();
            assert_eq!(problems, expected);
        }
    }
}
