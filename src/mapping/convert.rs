//! From a JSON value to the value of a column, or the reason why not. Nothing is lost silently.

use std::borrow::Cow;

use super::timestamp;
use crate::event::{Rejection, RejectionClass};
use crate::row::Value;
use crate::table::{Column, ColumnKind};

/// Converts a member of a document, given as its JSON text. The rejection's message does not yet name the column.
pub fn json<'a>(json: &'a str, column: &Column) -> Result<Value<'a>, Rejection> {
    if column.kind == ColumnKind::Json && json != "null" {
        return Ok(Value::text(json));
    }
    match json.as_bytes().first() {
        Some(b'"') => match unescaped(json)? {
            Cow::Borrowed(plain) => text(plain, column),
            Cow::Owned(unescaped) => text(&unescaped, column).map(Value::into_owned),
        },
        Some(b'-' | b'0'..=b'9') => number(json, column),
        Some(b't' | b'f') => match column.kind {
            ColumnKind::Bool => Ok(Value::Bool(json == "true")),
            ColumnKind::Int { takes_bool: true, .. } => Ok(Value::Int(i64::from(json == "true"))),
            ColumnKind::Text { .. } => text(json, column),
            _ => Err(wrong_type(json, column)),
        },
        Some(b'n') => Ok(Value::Null),
        _ => Err(wrong_type(json, column)),
    }
}

/// The text of a JSON string, which is known to be one: as it stands where nothing in it is escaped.
fn unescaped(json: &str) -> Result<Cow<'_, str>, Rejection> {
    let plain = json.get(1..json.len() - 1).filter(|text| !text.as_bytes().contains(&b'\\'));
    match plain {
        Some(plain) => Ok(Cow::Borrowed(plain)),
        None => serde_json::from_str(json).map(Cow::Owned).map_err(|error| {
            let message = format!("{} cannot be a text: {error}", shown(json));
            Rejection::new(RejectionClass::BadJson, message)
        }),
    }
}

/// Converts a text: a JSON string, a hash's field, a key.
pub fn text<'a>(value: &'a str, column: &Column) -> Result<Value<'a>, Rejection> {
    let wrong = || wrong_type(&quoted(value), column);
    match &column.kind {
        ColumnKind::Text { max_chars } => within_length(value, *max_chars),
        ColumnKind::Bytes => Ok(Value::Bytes(value.as_bytes().into())),
        ColumnKind::Bool => match value {
            "true" | "1" => Ok(Value::Bool(true)),
            "false" | "0" => Ok(Value::Bool(false)),
            _ => Err(wrong()),
        },
        ColumnKind::Int { takes_bool: true, .. } if value == "true" || value == "false" => {
            Ok(Value::Int(i64::from(value == "true")))
        }
        ColumnKind::Int { .. } | ColumnKind::Float { .. } | ColumnKind::Decimal { .. } => {
            if is_number(value) {
                number(value, column)
            } else {
                Err(wrong())
            }
        }
        ColumnKind::Timestamp { .. } => {
            let micros = timestamp::from_text(value).ok_or_else(wrong)?;
            Ok(at(micros, column))
        }
        // A column that takes any JSON takes a text as a JSON string.
        ColumnKind::Json => Ok(Value::text(quoted(value))),
        ColumnKind::Uuid => match uuid::Uuid::try_parse(value) {
            Ok(uuid) => Ok(Value::text(uuid.to_string())),
            Err(_) => Err(wrong()),
        },
        ColumnKind::Date => match chrono::NaiveDate::parse_from_str(value, "%Y-%m-%d") {
            Ok(day) => Ok(Value::text(day.to_string())),
            Err(_) => Err(wrong()),
        },
        ColumnKind::Choice { members, several } => {
            let known = |text: &str| members.iter().any(|member| member == text);
            let fits = if *several { value.is_empty() || value.split(',').all(known) } else { known(value) };
            if fits { Ok(Value::text(value)) } else { Err(wrong()) }
        }
        ColumnKind::Time | ColumnKind::Other => Ok(Value::text(value)),
    }
    .and_then(without_nul)
}

/// A text as a JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Converts a time in epoch milliseconds: to a time where the column is one, to the number elsewhere.
pub fn epoch_ms(ms: u64, column: &Column) -> Result<Value<'static>, Rejection> {
    match column.kind {
        ColumnKind::Timestamp { .. } => {
            let micros = i64::try_from(ms).ok().and_then(|ms| ms.checked_mul(1000)).filter(|m| timestamp::exists(*m));
            let micros = micros.ok_or_else(|| out_of_range(&ms.to_string(), "is not a time that can be written"))?;
            Ok(at(micros, column))
        }
        ColumnKind::Date => match i64::try_from(ms).ok().and_then(chrono::DateTime::from_timestamp_millis) {
            Some(time) => Ok(Value::text(time.date_naive().to_string())),
            None => Err(out_of_range(&ms.to_string(), "is not a time that can be written")),
        },
        _ => number(&ms.to_string(), column).map(Value::into_owned),
    }
}

/// The form of a key's value in which equal is equal: `1.0` and `1e0` are one decimal, `12:30` and `12:30:00` one time.
pub fn canonical<'a>(value: Value<'a>, column: &Column) -> Value<'a> {
    match (value, &column.kind) {
        // Blanks and the order of the members do not count.
        (Value::Text(json), ColumnKind::Json) => match serde_json::from_str::<serde_json::Value>(&json) {
            Ok(parsed) => Value::text(parsed.to_string()),
            Err(_) => Value::Text(json),
        },
        (Value::Text(number), ColumnKind::Decimal { .. }) => Value::text(canonical_decimal(&number)),
        (Value::Text(time), ColumnKind::Time) => {
            let forms = ["%H:%M:%S%.f", "%H:%M"];
            let parsed = forms.iter().find_map(|form| chrono::NaiveTime::parse_from_str(&time, form).ok());
            Value::Text(parsed.map_or(time, |time| time.format("%H:%M:%S%.f").to_string().into()))
        }
        (Value::Text(text), _) if text.ends_with(' ') && has_fixed_length(column) => {
            Value::text(text.trim_end_matches(' ').to_owned())
        }
        // Minus zero is zero.
        (Value::Float(number), ColumnKind::Float { single: true }) => Value::Float(f64::from(number as f32) + 0.0),
        (Value::Float(number), _) => Value::Float(number + 0.0),
        (value, _) => value,
    }
}

/// Whether the column is a `CHAR(n)`: it is compared as if the blanks at its end were not there.
fn has_fixed_length(column: &Column) -> bool {
    let name = column.sql_type.split('(').next().unwrap_or_default().trim_end();
    matches!(column.kind, ColumnKind::Text { .. })
        && ["char", "character", "bpchar"].iter().any(|fixed| name.eq_ignore_ascii_case(fixed))
}

fn canonical_decimal(number: &str) -> String {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let Ok(exponent) = exponent.parse::<i64>() else { return number.to_owned() };
    let Some(point) = exponent.checked_add(whole.len() as i64) else { return number.to_owned() };
    const SANE: std::ops::Range<i64> = -1000..1000;
    if !SANE.contains(&point) {
        return number.to_owned();
    }
    let padded = format!(
        "{}{digits}{}",
        "0".repeat((-point).max(0) as usize),
        "0".repeat((point - digits.len() as i64).max(0) as usize)
    );
    let (whole, fraction) = padded.split_at(point.max(0) as usize);
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    match (whole, fraction) {
        ("", "") => "0".to_owned(),
        (whole, "") => format!("{sign}{whole}"),
        ("", fraction) => format!("{sign}0.{fraction}"),
        (whole, fraction) => format!("{sign}{whole}.{fraction}"),
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

fn number<'a>(number: &'a str, column: &Column) -> Result<Value<'a>, Rejection> {
    match &column.kind {
        ColumnKind::Int { min, max, .. } => {
            let value = whole(number).ok_or_else(|| match number.parse::<f64>() {
                Ok(value) if value.fract() == 0.0 && !has_fraction(number) => {
                    out_of_range(number, &format!("is not within {min} to {max}"))
                }
                _ => Rejection::new(RejectionClass::WrongType, format!("{} is not a whole number", shown(number))),
            })?;
            if !(*min..=*max).contains(&value) {
                return Err(out_of_range(number, &format!("is not within {min} to {max}")));
            }
            Ok(i64::try_from(value).map(Value::Int).unwrap_or_else(|_| Value::UInt(value as u64)))
        }
        ColumnKind::Float { single } => {
            let value: f64 = number.parse().map_err(|_| wrong_type(number, column))?;
            let fits = if *single { (value as f32).is_finite() } else { value.is_finite() };
            if fits { Ok(Value::Float(value)) } else { Err(out_of_range(number, "is too large for a float")) }
        }
        ColumnKind::Decimal { precision, scale } => decimal(number, *precision, *scale),
        ColumnKind::Bool => match number {
            "0" => Ok(Value::Bool(false)),
            "1" => Ok(Value::Bool(true)),
            _ => Err(wrong_type(number, column)),
        },
        ColumnKind::Text { max_chars } => within_length(number, *max_chars),
        ColumnKind::Timestamp { .. } => {
            let time = timestamp::from_epoch(number)
                .ok_or_else(|| out_of_range(number, "is not an epoch in seconds, milliseconds or microseconds"))?;
            Ok(at(time, column))
        }
        ColumnKind::Json | ColumnKind::Other => Ok(Value::text(number)),
        ColumnKind::Bytes | ColumnKind::Uuid | ColumnKind::Date | ColumnKind::Time | ColumnKind::Choice { .. } => {
            Err(wrong_type(number, column))
        }
    }
}

/// A whole number, also when it is written as `42.0` or `1e3`.
fn whole(number: &str) -> Option<i128> {
    if let Ok(value) = number.parse::<i64>() {
        return Some(value.into());
    }
    if let Ok(value) = number.parse() {
        return Some(value);
    }
    const EXACT_IN_F64: f64 = 9_007_199_254_740_992.0;
    let value: f64 = number.parse().ok()?;
    (!has_fraction(number) && value.fract() == 0.0 && value.abs() <= EXACT_IN_F64).then_some(value as i128)
}

/// Whether the number has a fraction that an `f64` might be too coarse to keep.
fn has_fraction(number: &str) -> bool {
    let has_exponent = number.contains(['e', 'E']);
    let fraction = number.split_once('.').map_or("", |(_, fraction)| fraction);
    !has_exponent && fraction.bytes().any(|digit| digit != b'0')
}

/// A decimal stays the text that it came as; only its size is looked at.
fn decimal(number: &str, precision: Option<u32>, scale: Option<u32>) -> Result<Value<'_>, Rejection> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent: i64 = exponent.parse().map_err(|_| out_of_range(number, "has an exponent out of reach"))?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches(['-', '+']));
    let leading_zeros = digits.len() - digits.trim_start_matches('0').len();
    let significant = digits.trim_start_matches('0').trim_end_matches('0').len() as i64;
    if significant == 0 {
        return Ok(Value::text(number));
    }
    // Position of the point, counted from the first significant digit.
    let integer_digits = (digits.len() as i64 - fraction.len() as i64 - leading_zeros as i64).saturating_add(exponent);
    let fraction_digits = significant.saturating_sub(integer_digits).max(0);
    let (Some(precision), scale) = (precision, i64::from(scale.unwrap_or(0))) else {
        return Ok(Value::text(number));
    };
    if integer_digits > i64::from(precision) - scale {
        let most = i64::from(precision) - scale;
        return Err(out_of_range(number, &format!("has more than {most} digits before the point")));
    }
    if fraction_digits > scale {
        return Err(out_of_range(
            number,
            &format!("would be rounded: it has more than {scale} digits after the point"),
        ));
    }
    Ok(Value::text(number))
}

fn within_length(value: &str, max_chars: Option<u64>) -> Result<Value<'_>, Rejection> {
    if let Some(max) = max_chars {
        // The length in bytes is no less than the length in characters, and costs nothing to know.
        let chars = if value.len() as u64 <= max { 0 } else { value.chars().count() as u64 };
        if chars > max {
            let message = format!("{} has {chars} characters, the column takes {max}", shown(value));
            return Err(Rejection::new(RejectionClass::TooLong, message));
        }
    }
    Ok(Value::text(value))
}

/// PostgreSQL cannot store the character NUL in a text, and C programs that read the others stop at it.
fn without_nul(value: Value<'_>) -> Result<Value<'_>, Rejection> {
    match &value {
        Value::Text(text) if text.contains('\0') => {
            Err(out_of_range(text, "holds the character NUL, which a text column cannot store"))
        }
        _ => Ok(value),
    }
}

fn at(micros: i64, column: &Column) -> Value<'static> {
    let digits = match column.kind {
        ColumnKind::Timestamp { fraction_digits } => fraction_digits,
        _ => 6,
    };
    Value::Timestamp(timestamp::cut_fraction(micros, digits))
}

/// Whether a text is a number as JSON writes it: not `inf`, `nan` or `+1`, which Rust's parser takes.
fn is_number(text: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(text).is_ok()
}

fn wrong_type(json: &str, column: &Column) -> Rejection {
    let takes = match column.kind {
        ColumnKind::Bool => "true or false",
        ColumnKind::Int { .. } => "a whole number",
        ColumnKind::Float { .. } | ColumnKind::Decimal { .. } => "a number",
        ColumnKind::Text { .. } => "a text",
        ColumnKind::Bytes => "bytes",
        ColumnKind::Json => "JSON",
        ColumnKind::Uuid => "a UUID",
        ColumnKind::Date => "a day (YYYY-MM-DD)",
        ColumnKind::Time => "a time (HH:MM:SS)",
        ColumnKind::Timestamp { .. } => "a time (ISO 8601 or epoch)",
        ColumnKind::Choice { .. } => "one of its members, as a text",
        ColumnKind::Other => "a text that the database understands",
    };
    let message = format!("takes {takes}, and the document has {} {}", json_type(json), shown(json));
    Rejection::new(RejectionClass::WrongType, message)
}

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn column(kind: ColumnKind) -> Column {
        let sql_type = "type".to_owned();
        Column {
            name: "c".into(),
            sql_type,
            cast_type: String::new(),
            kind,
            compares_exactly: true,
            nullable: true,
            has_default: false,
            generated: false,
        }
    }

    fn int() -> ColumnKind {
        ColumnKind::Int { min: i128::from(i32::MIN), max: i128::from(i32::MAX), takes_bool: false }
    }

    fn unsigned() -> ColumnKind {
        ColumnKind::Int { min: 0, max: i128::from(u64::MAX), takes_bool: true }
    }

    fn decimal(precision: u32, scale: u32) -> ColumnKind {
        ColumnKind::Decimal { precision: Some(precision), scale: Some(scale) }
    }

    fn timestamp(fraction_digits: u32) -> ColumnKind {
        ColumnKind::Timestamp { fraction_digits }
    }

    #[test]
    fn what_fits_is_converted() {
        let text = |value: &'static str| Value::text(value);
        let time = |value: &str| Value::Timestamp(super::timestamp::from_text(value).unwrap());
        let number = |value: &str| serde_json::from_str::<serde_json::Value>(value).unwrap();
        for (json, kind, expected) in [
            (json!(null), int(), Value::Null),
            (json!(42), int(), Value::Int(42)),
            (number("42.0"), int(), Value::Int(42)),
            (number("1e3"), int(), Value::Int(1000)),
            (json!("-7"), int(), Value::Int(-7)),
            (json!(u64::MAX), unsigned(), Value::UInt(u64::MAX)),
            (json!(true), unsigned(), Value::Int(1)),
            (json!("true"), unsigned(), Value::Int(1)),
            (json!(true), ColumnKind::Bool, Value::Bool(true)),
            (json!("0"), ColumnKind::Bool, Value::Bool(false)),
            (number("0.1"), ColumnKind::Float { single: false }, Value::Float(0.1)),
            (number("12345678901234567890.123456789"), decimal(30, 9), text("12345678901234567890.123456789")),
            (number("1.50"), decimal(3, 1), text("1.50")),
            (number("-0.001"), decimal(3, 3), text("-0.001")),
            (number("1e2"), decimal(3, 0), text("1e+2")),
            (number("0.000"), decimal(1, 0), text("0.000")),
            (json!("é\u{1F600}"), ColumnKind::Text { max_chars: Some(2) }, text("é\u{1F600}")),
            (number("1.10"), ColumnKind::Text { max_chars: None }, text("1.10")),
            (json!({"a": [1]}), ColumnKind::Json, text(r#"{"a":[1]}"#)),
            (json!("x"), ColumnKind::Json, text(r#""x""#)),
            (json!("2024-06-01T12:00:00.123456Z"), timestamp(3), time("2024-06-01T12:00:00.123Z")),
            (json!(1717245000123u64), timestamp(3), time("2024-06-01T12:30:00.123Z")),
            (
                json!("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
                ColumnKind::Uuid,
                text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ),
            (json!("b,a"), ColumnKind::Choice { members: vec!["a".into(), "b".into()], several: true }, text("b,a")),
            (json!("2024-02-29"), ColumnKind::Date, text("2024-02-29")),
        ] {
            assert_eq!(super::json(&json.to_string(), &column(kind.clone())), Ok(expected), "{json} to {kind:?}");
        }
    }

    #[test]
    fn equal_decimals_have_one_canonical_form() {
        for (number, expected) in [
            ("1", "1"),
            ("1.0", "1"),
            ("01.50", "1.5"),
            ("1e2", "100"),
            ("1E+2", "100"),
            ("12.5e-3", "0.0125"),
            ("-0.00", "0"),
            ("-00.10", "-0.1"),
            ("123456789012345678901234567890.10", "123456789012345678901234567890.1"),
        ] {
            assert_eq!(canonical_decimal(number), expected, "{number}");
        }
    }

    #[test]
    fn what_would_be_changed_is_refused() {
        use RejectionClass::{OutOfRange, TooLong, WrongType};
        let number = |value: &str| serde_json::from_str::<serde_json::Value>(value).unwrap();
        for (json, kind, class) in [
            (json!(2147483648u64), int(), OutOfRange),
            (json!(-1), unsigned(), OutOfRange),
            (number("18446744073709551616"), unsigned(), OutOfRange),
            (number("1e300"), int(), OutOfRange),
            (number("1.5"), int(), WrongType),
            (number("1.00000000000000001"), int(), WrongType),
            (number("4503599627370497.4"), unsigned(), WrongType),
            (json!("c"), ColumnKind::Choice { members: vec!["a".into(), "b".into()], several: false }, WrongType),
            (json!(1), ColumnKind::Choice { members: vec!["a".into(), "b".into()], several: false }, WrongType),
            (json!("12x"), int(), WrongType),
            (json!("inf"), ColumnKind::Float { single: false }, WrongType),
            (json!(""), int(), WrongType),
            (json!(true), int(), WrongType),
            (json!("true"), int(), WrongType),
            (json!([1]), int(), WrongType),
            (json!({"a": 1}), ColumnKind::Text { max_chars: None }, WrongType),
            (number("1e999"), ColumnKind::Float { single: false }, OutOfRange),
            (number("1e39"), ColumnKind::Float { single: true }, OutOfRange),
            (number("1000"), decimal(5, 2), OutOfRange),
            (number("1.234"), decimal(5, 2), OutOfRange),
            (number("1e-3"), decimal(5, 2), OutOfRange),
            (number("12e9223372036854775807"), decimal(5, 2), OutOfRange),
            (number("12e-9223372036854775808"), decimal(5, 2), OutOfRange),
            (json!("abc"), ColumnKind::Text { max_chars: Some(2) }, TooLong),
            (json!("a\u{0}b"), ColumnKind::Text { max_chars: None }, OutOfRange),
            (json!("yesterday"), timestamp(0), WrongType),
            (json!("2023-02-29"), ColumnKind::Date, WrongType),
            (json!("x"), ColumnKind::Uuid, WrongType),
            (json!(2), ColumnKind::Bool, WrongType),
        ] {
            let rejection = super::json(&json.to_string(), &column(kind.clone())).unwrap_err();
            assert_eq!(rejection.class, class, "{json} to {kind:?}: {rejection}");
        }
    }
}
