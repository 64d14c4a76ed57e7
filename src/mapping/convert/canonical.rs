//! Values of keys, in a form in which equal is equal.

use super::number::canonical_decimal;
use crate::row::Value;
use crate::table::{Column, ColumnKind, EndBlanks};

/// The form of a key's value in which equal is equal: `1.0` and `1e0` are one decimal, minus zero is zero.
pub fn canonical<'a>(value: Value<'a>, column: &Column) -> Value<'a> {
    match (value, &column.kind) {
        // Blanks and the order of the members do not count.
        (Value::Text(json), ColumnKind::Json) => match serde_json::from_str::<serde_json::Value>(&json) {
            Ok(parsed) => Value::text(parsed.to_string()),
            Err(_) => Value::Text(json),
        },
        (Value::Text(number), ColumnKind::Decimal { .. }) => Value::text(canonical_decimal(&number)),
        (Value::Text(text), _) if text.ends_with(' ') && column.end_blanks == EndBlanks::Padding => {
            Value::text(text.trim_end_matches(' ').to_owned())
        }
        // The database stores it so, and finds it only so.
        (Value::Bytes(bytes), ColumnKind::Bytes { max: Some(max), padded: true }) if (bytes.len() as u64) < *max => {
            let mut bytes = bytes.into_owned();
            bytes.resize(*max as usize, 0);
            Value::Bytes(bytes.into())
        }
        (Value::Float(number), ColumnKind::Float { single: true }) => Value::Float(f64::from(number as f32) + 0.0),
        (Value::Float(number), _) => Value::Float(number + 0.0),
        (value, _) => value,
    }
}
