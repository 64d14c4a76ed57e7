//! Numbers, as JSON writes them, to whole numbers, floats and exact decimals.

use super::{out_of_range, shown, text, time, wrong_type};
use crate::event::{Rejection, RejectionClass};
use crate::row::Value;
use crate::table::{Column, ColumnKind};
use crate::value_format::ValueFormat;

/// Converts a number to what the column wants.
pub fn convert<'a>(number: &'a str, column: &Column, format: &ValueFormat) -> Result<Value<'a>, Rejection> {
    match &column.kind {
        ColumnKind::Int { min, max, .. } => whole(number, *min, *max),
        ColumnKind::Float { single } => float(number, *single),
        ColumnKind::Decimal { precision, scale, as_float } => decimal(number, *precision, *scale, *as_float),
        ColumnKind::NumberOrText => decimal(number, None, None, true),
        ColumnKind::Bool => match number {
            "0" => Ok(Value::Bool(false)),
            "1" => Ok(Value::Bool(true)),
            _ => Err(wrong_type(number, column)),
        },
        ColumnKind::Text { max_chars, max_bytes } => text::within(number, *max_chars, *max_bytes),
        ColumnKind::Timestamp { .. } => time::epoch(number, column, format),
        ColumnKind::Json | ColumnKind::Other => Ok(Value::text(number)),
        ColumnKind::Bytes { .. }
        | ColumnKind::Uuid
        | ColumnKind::Date
        | ColumnKind::Time { .. }
        | ColumnKind::Interval { .. }
        | ColumnKind::Address(_)
        | ColumnKind::Array { .. }
        | ColumnKind::Choice { .. } => Err(wrong_type(number, column)),
    }
}

/// Whether a text is a number as JSON writes it: not `inf`, `nan`, `+1` or ` 1`, which others take.
pub fn is_number(text: &str) -> bool {
    let ends_in_digits = text.ends_with(|last: char| last.is_ascii_digit());
    ends_in_digits && text.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) && is_json_number(text)
}

fn is_json_number(text: &str) -> bool {
    serde_json::from_str::<serde_json::Number>(text).is_ok()
}

/// A whole number, also when it is written as `42.0` or `1e3`.
fn whole(number: &str, min: i128, max: i128) -> Result<Value<'static>, Rejection> {
    let outside = || out_of_range(number, &format!("is not within {min} to {max}"));
    let value = match number.parse::<i64>() {
        Ok(value) => i128::from(value),
        Err(_) => {
            let Size { before, after, .. } = Size::of(number).ok_or_else(outside)?;
            if after > 0 {
                let message = format!("{} is not a whole number", shown(number));
                return Err(Rejection::new(RejectionClass::WrongType, message));
            }
            // What is longer than all limits has not to be written out.
            const DIGITS_MAX: i64 = 38;
            let plain = (before <= DIGITS_MAX).then(|| canonical_decimal(number));
            plain.and_then(|plain| plain.parse().ok()).ok_or_else(outside)?
        }
    };
    if !(min..=max).contains(&value) {
        return Err(outside());
    }
    Ok(i64::try_from(value).map(Value::Int).unwrap_or_else(|_| Value::UInt(value as u64)))
}

/// The float that is nearest to the number; not an infinite one, nor 0 for what is not 0.
fn float(number: &str, single: bool) -> Result<Value<'static>, Rejection> {
    let value: f64 = number.parse().map_err(|_| out_of_range(number, "is not a number"))?;
    let stored = if single { f64::from(value as f32) } else { value };
    if !stored.is_finite() {
        return Err(out_of_range(number, "is too large for a float"));
    }
    if stored == 0.0 && Size::of(number).is_none_or(|size| size.significant > 0) {
        return Err(out_of_range(number, "is too close to 0 for a float"));
    }
    Ok(Value::Float(value))
}

/// A decimal stays the text that it came as; only its size is looked at. One with an exponent is written out: MariaDB cuts the
/// digits before it looks at the exponent, and no sum has to deal with one.
fn decimal(number: &str, precision: Option<u32>, scale: Option<i32>, as_float: bool) -> Result<Value<'_>, Rejection> {
    let Some(Size { significant, before, after }) = Size::of(number) else {
        return Err(out_of_range(number, "has an exponent out of reach"));
    };
    let has_exponent = number.contains(['e', 'E']);
    if significant == 0 {
        return Ok(Value::text(if has_exponent { "0" } else { number }));
    }
    // Without a declared precision: PostgreSQL's own limits. What is finer it rounds.
    const WHOLE_DIGITS_MAX: i64 = 131_072;
    const SCALE_MAX: i64 = 16_383;
    let scale = i64::from(scale.unwrap_or(0));
    let (most, scale) = precision.map_or((WHOLE_DIGITS_MAX, SCALE_MAX), |all| (i64::from(all) - scale, scale));
    if before > most {
        let why = match most {
            0.. => format!("has more than {most} digits before the point"),
            _ => format!("does not begin with {} zeros after the point", -most),
        };
        return Err(out_of_range(number, &why));
    }
    if after > scale {
        let why = match scale {
            0.. => format!("would be rounded: it has more than {scale} digits after the point"),
            _ => format!("would be rounded: its last {} digits before the point are not all 0", -scale),
        };
        return Err(out_of_range(number, &why));
    }
    if as_float {
        within_float(number, significant, before)?;
    }
    Ok(if has_exponent && !as_float { Value::text(canonical_decimal(number)) } else { Value::text(number) })
}

/// SQLite keeps a number that is no 64-bit integer as a float, whatever the column is called.
fn within_float(number: &str, significant: i64, before: i64) -> Result<(), Rejection> {
    const DIGITS: i64 = f64::DIGITS as i64;
    const POINT: std::ops::RangeInclusive<i64> = -306..=308;
    if significant > DIGITS && number.parse::<i64>().is_err() {
        let why = "would be rounded: SQLite keeps 15 digits of a decimal, declare the column TEXT";
        return Err(out_of_range(number, why));
    }
    if !POINT.contains(&before) {
        return Err(out_of_range(number, "is out of reach of the floats in which SQLite keeps decimals"));
    }
    Ok(())
}

/// A text in a column where SQLite makes numbers of the texts that look like one: only if it reads back as it is.
pub fn number_or_text<'a>(text: &'a str, column: &Column) -> Result<Value<'a>, Rejection> {
    let is_numeric = text.trim().parse::<f64>().is_ok_and(f64::is_finite);
    let is_kept = || {
        let is_canonical = is_number(text) && canonical_decimal(text) == text;
        let is_small = Size::of(text).is_some_and(|size| size.significant <= f64::DIGITS.into() && size.before > 0);
        text.parse::<i64>().is_ok_and(|number| number.to_string() == text) || is_canonical && is_small
    };
    if is_numeric && !is_kept() {
        let why = format!("would become a number in a column of type {}: declare the column TEXT", column.sql_type);
        return Err(out_of_range(text, &why));
    }
    Ok(Value::text(text))
}

/// How many digits a number has, and where, without the zeros at its ends.
pub struct Size {
    /// All of them; none for 0.
    pub significant: i64,
    /// Those before the point: below 0, as many zeros stand between the point and the first digit.
    pub before: i64,
    /// Those after the point: below 0, as many zeros stand between the last digit and the point.
    pub after: i64,
}

impl Size {
    /// `None` if the exponent is beyond all reason.
    pub fn of(number: &str) -> Option<Size> {
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let exponent: i64 = exponent.parse().ok()?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let whole = whole.trim_start_matches(['-', '+']);
        let digits = || whole.bytes().chain(fraction.bytes());
        let Some(first) = digits().position(|digit| digit != b'0') else {
            return Some(Size { significant: 0, before: 0, after: 0 });
        };
        let zeros_at_end = digits().rev().take_while(|digit| *digit == b'0').count();
        let significant = (whole.len() + fraction.len() - first - zeros_at_end) as i64;
        let before = (whole.len() as i64 - first as i64).checked_add(exponent)?;
        Some(Size { significant, before, after: significant.checked_sub(before)? })
    }
}

/// The form of a decimal in which equal is equal: without an exponent and without zeros at its ends.
pub fn canonical_decimal(number: &str) -> String {
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
