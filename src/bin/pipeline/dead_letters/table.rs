//! Dead letters as a table for a person.

use console::{Term, measure_text_width, truncate_str};

use super::Summary;
use crate::output::printable;

const HEAD: [&str; 8] = ["ID", "ENTRY ID", "ENTITY", "OP", "KEY", "CLASS", "COLUMN", "MESSAGE"];
const KEY: usize = 4;
const MESSAGE: usize = 7;

/// Longest key that is shown whole, in columns of the terminal: a UUID with the name of its entity.
const KEY_WIDTH_MAX: usize = 54;

/// The head and a line for each dead letter. On a terminal, lines are cut to its width; elsewhere they are whole.
pub fn lines(letters: &[Summary]) -> Vec<String> {
    let term = Term::stdout();
    let width = if term.is_term() { term.size_checked().map(|(_, columns)| usize::from(columns)) } else { None };
    of_width(letters, width)
}

fn of_width(letters: &[Summary], width: Option<usize>) -> Vec<String> {
    let head = HEAD.map(str::to_owned);
    let rows: Vec<_> =
        std::iter::once(head).chain(letters.iter().map(|letter| cells(letter, width.is_some()))).collect();
    let mut widths = [0; HEAD.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = measure_text_width(cell).max(*width);
        }
    }
    // The message is last, and nothing stands after it.
    widths[MESSAGE] = 0;
    let line = |row: &[String; HEAD.len()]| {
        let padded = row.iter().zip(widths).map(|(cell, width)| {
            let padding = width.saturating_sub(measure_text_width(cell));
            format!("{cell}{:padding$}", "")
        });
        let line = padded.collect::<Vec<_>>().join("  ");
        match width {
            Some(width) => truncate_str(line.trim_end(), width, "…").into_owned(),
            None => line.trim_end().to_owned(),
        }
    };
    rows.iter().map(line).collect()
}

fn cells(letter: &Summary, cut: bool) -> [String; HEAD.len()] {
    let optional = |value: &Option<String>| printable(value.as_deref().unwrap_or("-"));
    let mut cells = [
        letter.id.to_string(),
        printable(&letter.entry_id),
        printable(&letter.entity),
        optional(&letter.op),
        optional(&letter.doc_key),
        printable(&letter.error_class),
        optional(&letter.error_column),
        printable(&letter.message),
    ];
    if cut {
        cells[KEY] = truncate_str(&cells[KEY], KEY_WIDTH_MAX, "…").into_owned();
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(id: i64, key: &str, message: &str) -> Summary {
        Summary {
            id,
            entry_id: "5-1".into(),
            entity: "users".into(),
            op: None,
            doc_key: Some(key.into()),
            error_class: "wrong_type".into(),
            error_column: Some("age".into()),
            message: message.into(),
        }
    }

    #[test]
    fn columns_stand_below_each_other_whatever_their_width() {
        let letters = [letter(9, "käse:1", "one\ntwo"), letter(10, "奶酪:22", "three")];
        let want = [
            "ID  ENTRY ID  ENTITY  OP  KEY      CLASS       COLUMN  MESSAGE",
            "9   5-1       users   -   käse:1   wrong_type  age     one\\ntwo",
            "10  5-1       users   -   奶酪:22  wrong_type  age     three",
        ];
        assert_eq!(of_width(&letters, None), want);
    }

    #[test]
    fn lines_end_at_the_edge_of_the_terminal() {
        let letters = [letter(1, &"k".repeat(500), &"m".repeat(500))];
        for line in of_width(&letters, Some(100)) {
            assert!(measure_text_width(&line) <= 100, "{line}");
        }
        assert!(of_width(&letters, None)[1].ends_with(&"m".repeat(500)));
    }
}
