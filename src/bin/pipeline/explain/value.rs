//! Values on their way to the database, for a person to read.

use write_behind::row::{Value, day_and_time};
use write_behind::table::{Column, ColumnKind};

/// A value of a column: texts in quotes, all else as the database would write it.
pub fn shown(value: &Value<'_>, column: &Column) -> String {
    let quoted = matches!(column.kind, ColumnKind::Text { .. } | ColumnKind::Choice { .. });
    match value {
        Value::Text(text) if quoted => format!("'{}'", text.replace('\'', "''")),
        other => plain(other),
    }
}

fn plain(value: &Value<'_>) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::UInt(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(text) => text.to_string(),
        Value::Bytes(bytes) => format!("\\x{}", hex::encode(bytes)),
        Value::Timestamp(micros) => format!("{} UTC", day_and_time(*micros)),
        Value::Array(array) => {
            let lengths: Vec<_> = array.lengths().map(|length| length.to_string()).collect();
            let shape = if lengths.len() > 1 { format!(" ({})", lengths.join(" x ")) } else { String::new() };
            format!("[{}]{shape}", array.values().map(|value| plain(&value)).collect::<Vec<_>>().join(", "))
        }
    }
}
