//! Pure: rows that should be there against rows that are, as texts. No number goes through a float.

use chrono::NaiveDateTime;

use super::case::ExpectedRow;
use super::yaml::{Node, NodeKind};
use crate::mapping::{canonical_decimal, is_number};
use crate::table::{Column, ColumnKind};

/// A value as the database writes it.
type Cell = Option<String>;

/// What differs between the rows that a table should have and those that it has, whose values stand in the order of
/// `columns`, in lines for a person; nothing if they are the same in any order.
pub fn differences(table: &str, expected: &[ExpectedRow], columns: &[Column], actual: &[Vec<Cell>]) -> Vec<String> {
    let mut left: Vec<&Vec<Cell>> = actual.iter().collect();
    let mut open: Vec<&ExpectedRow> = Vec::new();
    for row in expected {
        match left.iter().position(|cells| faults(row, columns, cells).is_empty()) {
            Some(place) => drop(left.remove(place)),
            None => open.push(row),
        }
    }
    let mut lines = Vec::new();
    for row in open {
        // The one that is most like it, if anything of it is.
        let like = |cells: &&Vec<Cell>| row.columns.len() - faults(row, columns, cells).len();
        let nearest = left.iter().enumerate().map(|(place, cells)| (like(cells), place));
        match nearest.max_by_key(|(like, place)| (*like, std::cmp::Reverse(*place))).filter(|(like, _)| *like > 0) {
            None => {
                lines.push(format!("{table}: the row of line {} is missing", row.line));
                lines.push(format!("- {}", shown_expected(row)));
            }
            Some((_, place)) => {
                lines.push(format!("{table}: the row of line {} is another", row.line));
                let cells = left.remove(place);
                for (name, value, cell) in faults(row, columns, cells) {
                    lines.push(format!("- {name}: {}", shown(value)));
                    lines.push(format!("+ {name}: {}", shown_cell(cell)));
                }
            }
        }
    }
    for cells in left {
        lines.push(format!("{table}: a row that is not expected"));
        let named = columns.iter().zip(cells).map(|(column, cell)| format!("{}: {}", column.name, shown_cell(cell)));
        lines.push(format!("+ {{{}}}", named.collect::<Vec<_>>().join(", ")));
    }
    lines
}

/// The columns in which a row is not as it should be.
fn faults<'a>(row: &'a ExpectedRow, columns: &[Column], cells: &'a [Cell]) -> Vec<(&'a str, &'a Node, &'a Cell)> {
    let wrong = |(name, value): &'a (String, Node)| {
        let place = columns.iter().position(|column| column.name == *name)?;
        let cell = &cells[place];
        (!equal(value, cell.as_deref(), &columns[place].kind)).then_some((name.as_str(), value, cell))
    };
    row.columns.iter().filter_map(wrong).collect()
}

/// Whether a value is the one that was expected in a column of this kind.
fn equal(expected: &Node, actual: Option<&str>, kind: &ColumnKind) -> bool {
    let Some(actual) = actual else { return expected.is_null() };
    let Some(text) = expected.scalar() else { return equal_json(&expected.to_json(), actual) };
    let also = match kind {
        _ if expected.is_null() => return false,
        ColumnKind::Bool | ColumnKind::Int { takes_bool: true, .. } if expected.flag().is_some() => {
            let flag = match actual {
                "t" | "true" | "1" => Some(true),
                "f" | "false" | "0" => Some(false),
                _ => None,
            };
            flag == expected.flag()
        }
        ColumnKind::Int { .. } | ColumnKind::Float { .. } | ColumnKind::Decimal { .. } | ColumnKind::NumberOrText => {
            is_number(text) && is_number(actual) && canonical_decimal(text) == canonical_decimal(actual)
        }
        ColumnKind::Timestamp { .. } => instant(text).is_some_and(|expected| Some(expected) == instant(actual)),
        ColumnKind::Json | ColumnKind::Array { .. } => {
            equal_json(text, actual) || equal_json(&expected.to_json(), actual)
        }
        ColumnKind::Bytes { .. } => bytes(text) == bytes(actual),
        _ => false,
    };
    also || text == actual
}

fn equal_json(expected: &str, actual: &str) -> bool {
    let parse = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    parse(expected).is_some_and(|expected| Some(expected) == parse(actual))
}

/// A day and time in UTC, which may say so.
fn instant(text: &str) -> Option<NaiveDateTime> {
    let naive = ["Z", "+00:00", "+00"].iter().find_map(|zone| text.strip_suffix(zone)).unwrap_or(text);
    let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
    formats.iter().find_map(|format| NaiveDateTime::parse_from_str(naive.trim_end(), format).ok())
}

fn bytes(text: &str) -> Vec<u8> {
    let hex = text.strip_prefix("\\x").and_then(|digits| hex::decode(digits).ok());
    hex.unwrap_or_else(|| text.as_bytes().to_vec())
}

fn shown(value: &Node) -> String {
    match &value.kind {
        _ if value.is_null() => "NULL".to_owned(),
        NodeKind::Plain(text) | NodeKind::Text(text) => text.clone(),
        NodeKind::List(_) | NodeKind::Map(_) => value.to_json(),
    }
}

fn shown_cell(cell: &Cell) -> &str {
    cell.as_deref().unwrap_or("NULL")
}

fn shown_expected(row: &ExpectedRow) -> String {
    let named = row.columns.iter().map(|(name, value)| format!("{name}: {}", shown(value)));
    format!("{{{}}}", named.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: ColumnKind) -> Column {
        Column::new(name, "", kind)
    }

    fn rows(yaml: &str) -> Vec<ExpectedRow> {
        let NodeKind::List(rows) = Node::parse(yaml).unwrap().kind else { panic!("{yaml}") };
        let row = |node: Node| match node.kind {
            NodeKind::Map(columns) => ExpectedRow { line: node.line, columns },
            _ => panic!("{yaml}"),
        };
        rows.into_iter().map(row).collect()
    }

    #[test]
    fn values_are_equal_as_their_column_means_them() {
        let decimal = ColumnKind::Decimal { precision: None, scale: None, as_float: false };
        let text = ColumnKind::Text { max_chars: None, max_bytes: None };
        let time = ColumnKind::timestamp(6, 1..=9999);
        let bytes = ColumnKind::Bytes { max: None, padded: false };
        for (kind, expected, actual, same) in [
            (&decimal, "12.5", Some("12.50"), true),
            (&decimal, "1e3", Some("1000"), true),
            (&decimal, "0.1000000000000000055", Some("0.1"), false),
            (&decimal, "12345678901234567890.1", Some("12345678901234567890.2"), false),
            (&text, "12.5", Some("12.50"), false),
            (&text, "null", None, true),
            (&text, "'null'", None, false),
            (&text, "null", Some("null"), false),
            (&text, "''", Some(""), true),
            (&ColumnKind::Bool, "true", Some("t"), true),
            (&ColumnKind::Bool, "false", Some("1"), false),
            (&time, "2024-06-01T12:00:00Z", Some("2024-06-01 12:00:00.000"), true),
            (&time, "2024-06-01 12:00:00", Some("2024-06-01 12:00:00+00"), true),
            (&time, "2024-06-01 12:00:00", Some("2024-06-01 12:00:00.001"), false),
            (&ColumnKind::Json, "{b: 1.0, a: [x]}", Some(r#"{"a": ["x"], "b": 1.0}"#), true),
            (&ColumnKind::Json, "x", Some(r#""x""#), true),
            (&ColumnKind::Json, "{a: 1}", Some(r#"{"a": 2}"#), false),
            (&bytes, "hi", Some("\\x6869"), true),
            (&bytes, "hi", Some("ho"), false),
        ] {
            let node = Node::parse(expected).unwrap();
            assert_eq!(equal(&node, actual, kind), same, "{expected} {actual:?} {kind:?}");
        }
    }

    #[test]
    fn rows_are_paired_in_any_order_and_differences_name_row_and_column() {
        let text = || ColumnKind::Text { max_chars: None, max_bytes: None };
        let columns = [column("id", text()), column("name", text())];
        let cells = |rows: &[[&str; 2]]| -> Vec<Vec<Cell>> {
            rows.iter().map(|row| row.iter().map(|cell| Some((*cell).to_owned())).collect()).collect()
        };
        let expected = rows("- {id: a, name: Ada}\n- {id: b}\n- {name: Eve, id: c}\n");
        let actual = cells(&[["b", "Bob"], ["c", "Eve"], ["a", "Ada"]]);
        assert_eq!(differences("t", &expected, &columns, &actual), Vec::<String>::new());
        let actual = cells(&[["b", "Bob"], ["a", "Adam"], ["x", "y"]]);
        assert_eq!(
            differences("t", &expected, &columns, &actual),
            [
                "t: the row of line 1 is another",
                "- name: Ada",
                "+ name: Adam",
                "t: the row of line 3 is missing",
                "- {name: Eve, id: c}",
                "t: a row that is not expected",
                "+ {id: x, name: y}",
            ]
        );
    }
}
