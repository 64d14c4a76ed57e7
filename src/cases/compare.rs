//! Pure: rows that should be there against rows that are, as texts. No number goes through a float.

use super::case::ExpectedRow;
use super::yaml::{Node, NodeKind};
use crate::mapping::{canonical_decimal, instant_of, is_day, is_number};
use crate::table::{Column, ColumnKind};
use crate::value_format::ValueFormat;

/// A value as the database writes it.
type Cell = Option<String>;

/// What differs between the rows that a table should have and those that it has, whose values stand in the order of
/// `columns`, in lines for a person; nothing if they are the same in any order.
pub fn differences(table: &str, expected: &[ExpectedRow], columns: &[Column], actual: &[Vec<Cell>]) -> Vec<String> {
    let fits = |row: &ExpectedRow| {
        let places = (0..actual.len()).filter(|place| faults(row, columns, &actual[*place]).is_empty());
        places.collect::<Vec<usize>>()
    };
    let fits: Vec<Vec<usize>> = expected.iter().map(fits).collect();
    let mut pairs = vec![None; actual.len()];
    let is_open = |row: &usize| !find_place(*row, &fits, &mut pairs, &mut vec![false; actual.len()]);
    let open: Vec<&ExpectedRow> = (0..expected.len()).filter(is_open).map(|row| &expected[row]).collect();
    let left = actual.iter().zip(&pairs).filter(|(_, pair)| pair.is_none());
    let mut left: Vec<&Vec<Cell>> = left.map(|(cells, _)| cells).collect();
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

/// Pairs an expected row with one that fits it, if need be by giving another expected row another one: a row that names few
/// columns may fit many. `tried` are the places that were asked already.
fn find_place(row: usize, fits: &[Vec<usize>], pairs: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    for place in &fits[row] {
        if std::mem::replace(&mut tried[*place], true) {
            continue;
        }
        if pairs[*place].is_none_or(|other| find_place(other, fits, pairs, tried)) {
            pairs[*place] = Some(row);
            return true;
        }
    }
    false
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

/// A day and time, in UTC if it does not say otherwise, in microseconds.
fn instant(text: &str) -> Option<i64> {
    let begins_with_day = text.get(..10).is_some_and(is_day);
    begins_with_day.then(|| instant_of(text, &ValueFormat::default()).ok()).flatten()
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
            (&time, "2024-06-01T12:00:00+02:00", Some("2024-06-01 10:00:00"), true),
            (&time, "2024-06-01 10:00", Some("2024-06-01 12:00:00+02"), true),
            (&time, "1717236000", Some("2024-06-01 10:00:00"), false),
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
        // The one that names least takes what the others leave.
        let vague = rows("- {id: n}\n- {id: n}\n- {id: n, name: b}\n- {id: n, name: a}\n");
        let actual = cells(&[["n", "a"], ["n", "b"], ["n", "c"], ["n", "a"]]);
        assert_eq!(differences("t", &vague, &columns, &actual), Vec::<String>::new());
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
