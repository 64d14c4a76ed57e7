//! From a JSON value to the value of a column, or the reason why not. Nothing is lost silently.
//!
//! What a document holds must come out of the database again. What would be cut, rounded, wrapped or guessed is refused,
//! before any SQL runs, with the column and the value: the event becomes a dead letter.
//!
//! | column | takes | refuses |
//! |---|---|---|
//! | whole numbers | numbers and texts of numbers without a fraction: `42`, `42.0`, `1e3`, `"-7"`; MySQL and SQLite also `true` and `false` as 1 and 0 | what is not within the type (`out_of_range`); what has a fraction |
//! | decimals | numbers and texts of numbers, digit by digit, never through a float | more digits before or after the point than declared; SQLite: more than 15 digits that are no 64-bit integer, because it would keep a float: declare such a column `TEXT` |
//! | floats | numbers and texts of numbers, as the nearest float | what would become infinite, or 0 though it is not; `NaN`, `Infinity` |
//! | booleans | `true`, `false`, 0, 1, and these as texts | everything else |
//! | text | texts; numbers and booleans as they are written | more characters, or bytes, than declared; the character NUL |
//! | JSON | every value as it stands in the document; a text of a hash as a JSON string | half a surrogate pair; `\u0000` in `jsonb`. A number is as exact as the database's JSON: MySQL and SQLite may keep a float |
//! | bytes | texts: their UTF-8, or what they encode (`encoding: base64`, `hex`) | what is not so encoded; more bytes than declared |
//! | UUID | texts in the usual forms | everything else |
//! | day | `YYYY-MM-DD` of the years 1 to 9999 | days that no calendar has; times |
//! | time | `HH:MM`, `HH:MM:SS`, `HH:MM:SS.f`; with an offset only where the type has one; MySQL's from `-838:59:59` to `838:59:59` | epochs |
//! | timestamp | ISO 8601, RFC 2822, epochs: see below | what is outside the type's years; leap seconds |
//! | interval | `P1Y2M3DT4H5M6.5S`, `1 year 2 mons 3 days 04:05:06.5`, `90 minutes` | fractions of a day or more; what is finer than the column |
//! | `inet`, `cidr`, `macaddr`, … | their usual forms | everything else; a network with bits of a host |
//! | enums, sets | their members; a set also as an array of them | other texts, numbers |
//! | arrays (PostgreSQL) | JSON arrays whose elements the element's type takes, `null` among them; arrays in arrays of equal lengths | lists of different lengths |
//! | SQLite, other names of types | numbers as decimals; texts | texts that SQLite would make a different number of, such as `007`: declare the column `TEXT` |
//! | any other type | texts and numbers, which the database reads | what the database refuses |
//!
//! **Times.** A time with an offset and an epoch are instants. One without an offset is in the `zone`
//! of its column, UTC unless declared; one that its clocks passed over or showed twice (summer time) is refused. The
//! unit of an epoch is told by its size, or declared (`epoch: s`, `ms`, `us`). In ISO 8601 the year has four digits (more
//! with a sign) and all else two; seconds and offset may be left out, and a fraction stands after a point or a comma. Texts
//! of 8 or 14 digits (`"20240601"`) are refused unless `epoch` is declared: they could be a day as well. Instants are written as UTC, into
//! columns with and without a time zone alike. **The one exception to the rule**: digits of a second's fraction that are
//! finer than the column are cut, on every database alike and never rounded, so that no time moves forward; declare
//! the column finer (`timestamp(6)`) to keep them.

mod address;
mod array;
mod bytes;
mod canonical;
mod json;
mod number;
#[cfg(test)]
mod tests;
mod text;
mod time;

use serde_json::value::RawValue;

use super::interval::Interval;
use crate::event::{Rejection, RejectionClass};
use crate::row::Value;
use crate::table::{Clock, Column, ColumnKind};
use crate::value_format::ValueFormat;

pub use canonical::canonical;
pub use number::{Size as NumberSize, canonical_decimal, is_number};
pub use time::{epoch_ms, is_day};

/// Converts a member of a document, given as its JSON text. The rejection's message does not yet name the column.
#[inline(always)] // Almost every value comes here, and all that is seldom is in functions of its own.
pub fn json<'a>(json: &'a str, column: &Column, format: &ValueFormat) -> Result<Value<'a>, Rejection> {
    if matches!(column.kind, ColumnKind::Json) && json != "null" {
        return json::convert(json, column);
    }
    match json.as_bytes().first() {
        Some(b'"') => match (unescaped(json), &column.kind) {
            // NUL stands in JSON only as an escape: it has not to be looked for here.
            (Some(plain), ColumnKind::Text { max_chars, max_bytes }) => text::within(plain, *max_chars, *max_bytes),
            (Some(plain), _) => text(plain, column, format),
            (None, _) => escaped(json, column, format),
        },
        Some(b'-' | b'0'..=b'9') => number::convert(json, column, format),
        Some(b't' | b'f') => match column.kind {
            ColumnKind::Bool => Ok(Value::Bool(json == "true")),
            ColumnKind::Int { takes_bool: true, .. } => Ok(Value::Int(i64::from(json == "true"))),
            ColumnKind::Text { .. } => text(json, column, format),
            _ => Err(wrong_type(json, column)),
        },
        Some(b'n') => Ok(Value::Null),
        Some(b'[') => list(json, column, format),
        _ => Err(wrong_type(json, column)),
    }
}

/// Converts an array. It stands apart, as [`other_text`] does, to keep small what every value goes through.
#[inline(never)]
fn list(json: &str, column: &Column, format: &ValueFormat) -> Result<Value<'static>, Rejection> {
    match &column.kind {
        ColumnKind::Array { element } => array::convert(json, element, format),
        ColumnKind::Choice { several: true, .. } => match serde_json::from_str::<Vec<String>>(json) {
            // A comma would make two members of one.
            Ok(members) if !members.iter().any(|member| member.is_empty() || member.contains(',')) => {
                text(&members.join(","), column, format).map(Value::into_owned)
            }
            _ => Err(wrong_type(json, column)),
        },
        _ => Err(wrong_type(json, column)),
    }
}

/// The text of a JSON string, which is known to be one, if it stands there as it is.
#[inline(always)]
fn unescaped(json: &str) -> Option<&str> {
    json.get(1..json.len() - 1).filter(|text| !text.as_bytes().contains(&b'\\'))
}

/// Converts a JSON string with escapes in it.
#[inline(never)]
fn escaped(json: &str, column: &Column, format: &ValueFormat) -> Result<Value<'static>, Rejection> {
    let unescaped: String = serde_json::from_str(json).map_err(|_| json::lone_surrogate(json))?;
    text(&unescaped, column, format).map(Value::into_owned)
}

/// Converts a text: a JSON string, a hash's field, a key.
pub fn text<'a>(value: &'a str, column: &Column, format: &ValueFormat) -> Result<Value<'a>, Rejection> {
    match &column.kind {
        ColumnKind::Text { max_chars, max_bytes } => text::within(text::without_nul(value)?, *max_chars, *max_bytes),
        ColumnKind::Timestamp { .. } => time::instant(value, column, format),
        _ => other_text(value, column, format),
    }
}

/// Converts a text to what is less often one.
#[inline(never)]
fn other_text<'a>(value: &'a str, column: &Column, format: &ValueFormat) -> Result<Value<'a>, Rejection> {
    let wrong = || wrong_type(&json::quoted(value), column);
    match &column.kind {
        ColumnKind::Bytes { max, .. } => bytes::convert(value, *max, format.encoding),
        ColumnKind::Bool => match value {
            "true" | "1" => Ok(Value::Bool(true)),
            "false" | "0" => Ok(Value::Bool(false)),
            _ => Err(wrong()),
        },
        ColumnKind::Int { takes_bool: true, .. } if value == "true" || value == "false" => {
            Ok(Value::Int(i64::from(value == "true")))
        }
        ColumnKind::Int { .. } | ColumnKind::Float { .. } | ColumnKind::Decimal { .. } => {
            if number::is_number(value) {
                number::convert(value, column, format)
            } else {
                Err(wrong())
            }
        }
        ColumnKind::NumberOrText => number::number_or_text(text::without_nul(value)?, column),
        // A column that takes any JSON takes a text as a JSON string.
        ColumnKind::Json => {
            let quoted = json::quoted(value);
            json::convert(&quoted, column).map(Value::into_owned)
        }
        ColumnKind::Uuid => match uuid::Uuid::try_parse(value) {
            Ok(uuid) => Ok(Value::text(uuid.to_string())),
            Err(_) => Err(wrong()),
        },
        ColumnKind::Date => {
            if time::is_day(value) {
                Ok(Value::text(value))
            } else if time::is_written_as_day(value) {
                Err(time::not_in_calendar(value))
            } else {
                Err(wrong())
            }
        }
        ColumnKind::Time { .. } => time::clock(value, column, format),
        ColumnKind::Interval { smallest, fraction_digits } => match Interval::parse(value) {
            Some(interval) if interval.is_kept(*smallest, *fraction_digits) => Ok(Value::text(interval.to_string())),
            Some(_) => Err(out_of_range(value, "is finer than the column keeps")),
            None => Err(wrong()),
        },
        ColumnKind::Address(address) => address::convert(value, *address)?.map(Value::text).ok_or_else(wrong),
        // In a hash an array can only be a text. Of bytes as in `array`.
        ColumnKind::Array { element } => match serde_json::from_slice::<&RawValue>(value.as_bytes()) {
            Ok(array) if array.get().starts_with('[') => array::convert(array.get(), element, format),
            _ => Err(wrong()),
        },
        ColumnKind::Choice { members, several } => {
            if text::is_choice(value, members, *several) {
                Ok(Value::text(value))
            } else {
                Err(wrong())
            }
        }
        ColumnKind::Text { .. } | ColumnKind::Timestamp { .. } => Err(wrong()),
        ColumnKind::Other => Ok(Value::text(text::without_nul(value)?)),
    }
}

/// What a JSON value is, in words.
pub fn json_type(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "a text",
        Some(b'[') => "an array",
        Some(b'{') => "an object",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[cold]
fn wrong_type(json: &str, column: &Column) -> Rejection {
    let takes = match &column.kind {
        ColumnKind::Bool => "true or false",
        ColumnKind::Int { .. } => "a whole number",
        ColumnKind::Float { .. } | ColumnKind::Decimal { .. } => "a number",
        ColumnKind::NumberOrText => "a number or a text",
        ColumnKind::Text { .. } => "a text",
        ColumnKind::Bytes { .. } => "bytes",
        ColumnKind::Json => "JSON",
        ColumnKind::Uuid => "a UUID",
        ColumnKind::Date => "a day (YYYY-MM-DD)",
        ColumnKind::Time { clock: Clock::DayWithOffset, .. } => "a time (HH:MM:SS+HH:MM)",
        ColumnKind::Time { .. } => "a time (HH:MM:SS)",
        ColumnKind::Timestamp { .. } => "a time (ISO 8601, RFC 2822 or epoch)",
        ColumnKind::Interval { .. } => "a length of time (PT1H30M or `90 minutes`)",
        ColumnKind::Address(_) => "an address",
        ColumnKind::Array { .. } => "an array",
        ColumnKind::Choice { .. } => "one of its members, as a text",
        ColumnKind::Other => "a text that the database understands",
    };
    let message = format!("takes {takes}, and was given {} {}", json_type(json), shown(json));
    Rejection::new(RejectionClass::WrongType, message)
}

#[cold]
fn out_of_range(value: &str, why: &str) -> Rejection {
    Rejection::new(RejectionClass::OutOfRange, format!("{} {why}", shown(value)))
}

/// A value for a message, cut to a length that a person reads.
fn shown(value: &str) -> String {
    const CHARS_MAX: usize = 60;
    match value.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("`{}…`", &value[..end]),
        None => format!("`{value}`"),
    }
}
