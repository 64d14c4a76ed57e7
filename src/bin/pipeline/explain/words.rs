//! An explanation as lines for a person.

use console::{measure_text_width, style};

use super::told::{Cell, DryRun, Explained, Lane, PassedOver, Rejected, Row};
use crate::output::printable;

/// Most lines and characters of a document.
const DOCUMENT_LINES_MAX: usize = 60;
const TEXT_MAX: usize = 2_000;

/// The lines of one event.
pub fn lines(told: &Explained) -> Vec<String> {
    let mut lines = vec![style(format!("entry {} of {}", told.id, printable(&told.stream))).bold().to_string()];
    let mut part = |name: &str, text: &str| lines.push(format!("{name:<10}{}", printable(&cut(text))));
    part("taken at", &told.taken_at);
    for (number, (name, value)) in told.fields.iter().enumerate() {
        part(if number == 0 { "fields" } else { "" }, &format!("{name} = {value}"));
    }
    part("lane", &lane(&told.lane));
    if let Some(op) = told.op {
        part("op", op);
    }
    if let Some(key) = &told.key {
        part("key", key);
    }
    if let Some(document) = &told.document {
        part("document", &document.place);
        lines.extend(document.content.iter().flat_map(|content| pretty(content)));
    }
    for (name, step) in [("filter", &told.filter), ("reshape", &told.reshape)] {
        let Some(step) = step else { continue };
        let expression = step.expression.trim_end().lines().map(|line| format!("{:<10}{}", "", printable(line)));
        let expression = expression.collect::<Vec<_>>().join("\n");
        lines.push(format!("{name:<10}{}", expression.trim_start()));
        let result = pretty(&step.result);
        match result.as_slice() {
            [only] => lines.push(format!("{:<10}gives {}", "", only.trim_start())),
            several => {
                lines.push(format!("{:<10}gives", ""));
                lines.extend_from_slice(several);
            }
        }
    }
    for PassedOver { table, why } in &told.passed_over {
        lines.push(format!("{:<10}{}: passed over: {why}", "table", printable(table)));
    }
    told.rows.iter().for_each(|of_table| lines.extend(row(of_table)));
    for statement in &told.statements {
        lines.push(format!("{:<10}{}", "sql", printable(&cut(statement))));
    }
    lines.push(outcome(told));
    lines
}

fn lane(lane: &Lane) -> String {
    let Lane { number, lanes, wanted, by, passed } = lane;
    let which = match (lanes, wanted) {
        (1, 1) => "the only one".to_owned(),
        (1, _) => {
            format!("the only one instead of {wanted}, because rows of two lanes could be the same for the database")
        }
        _ => format!("{number} of {lanes}, by {by}"),
    };
    let state = match passed {
        Some(true) => {
            "its checkpoint is past the entry: it has been dealt with (written, passed over or a dead letter)"
        }
        Some(false) => "its checkpoint has not come to the entry yet",
        None => "it has no checkpoint yet",
    };
    format!("{which}; {state}")
}

/// A line for each column: name, type, source, value.
fn row(row: &Row) -> Vec<String> {
    let mut lines = vec![format!("{:<10}{}: {}", "table", printable(&row.table), row.change)];
    let cells = row.columns.iter().map(|cell| {
        let Cell { column, sql_type, source, value } = cell;
        [column, sql_type, source, value].map(|text| printable(&cut(text)))
    });
    let cells: Vec<[String; 4]> = cells.collect();
    let width = |place: usize| cells.iter().map(|cell| measure_text_width(&cell[place])).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2).min(60)];
    for [column, sql_type, source, value] in &cells {
        let padded = [column, sql_type, source].into_iter().zip(widths).map(|(text, width)| {
            format!("{text}{:padding$}  ", "", padding = width.saturating_sub(measure_text_width(text)))
        });
        lines.push(format!("{:<10}{}{value}", "", padded.collect::<String>()));
    }
    lines
}

fn outcome(told: &Explained) -> String {
    let (head, text) = match (&told.rejected, &told.skipped, &told.dry_run) {
        (Some(Rejected { class, column, message }), ..) => {
            let column = column.as_ref().map(|column| format!(", column {column}")).unwrap_or_default();
            (style("rejected").red(), format!("dead letter: {class}{column}: {message}"))
        }
        (None, Some(why), _) => (style("skipped").yellow(), format!("passed over: {why}")),
        (None, None, None) => (style("outcome").green(), "it fits its columns; --dry-run asks the database".to_owned()),
        (None, None, Some(dry_run)) => (style("dry run").green(), told_by_database(dry_run)),
    };
    let padding = 10_usize.saturating_sub(measure_text_width(&head.to_string()));
    format!("{head}{:padding$}{}", "", printable(&text))
}

fn told_by_database(dry_run: &DryRun) -> String {
    let counted = dry_run.counted.iter().map(|(table, rows)| match rows {
        1 => format!("{table}: 1 row counted"),
        rows => format!("{table}: {rows} rows counted"),
    });
    let mut parts: Vec<String> = counted.collect();
    parts.extend(dry_run.error.iter().map(|error| format!("the database refuses: {error}")));
    parts.push(dry_run.outcome.clone());
    parts.push("rolled back".to_owned());
    parts.join("; ")
}

/// JSON over several lines, and what is none as it is; of a long one the beginning.
fn pretty(content: &str) -> Vec<String> {
    let json = serde_json::from_str::<serde_json::Value>(content).ok();
    let text = json.and_then(|json| serde_json::to_string_pretty(&json).ok()).unwrap_or_else(|| content.to_owned());
    let mut lines: Vec<String> = text.lines().map(|line| format!("{:<10}{}", "", printable(&cut(line)))).collect();
    let more = lines.len().saturating_sub(DOCUMENT_LINES_MAX);
    if more > 0 {
        lines.truncate(DOCUMENT_LINES_MAX);
        lines.push(format!("{:<10}… {more} more lines: --json shows all of it", ""));
    }
    lines
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((at, _)) => format!("{}… ({} bytes in all)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_documents_are_cut_with_a_note() {
        let list = format!("[{}]", vec!["1"; 100].join(","));
        let lines = pretty(&list);
        assert_eq!(lines.len(), DOCUMENT_LINES_MAX + 1);
        assert!(lines[DOCUMENT_LINES_MAX].ends_with("… 42 more lines: --json shows all of it"), "{lines:?}");
        let text = pretty(&format!("\"{}\"", "ä".repeat(3_000)));
        assert!(text[0].ends_with("ä… (6002 bytes in all)"), "{text:?}");
    }

    #[test]
    fn json_keeps_its_digits() {
        assert_eq!(pretty(r#"{"a":1.10}"#)[1].trim(), "\"a\": 1.10");
    }
}
