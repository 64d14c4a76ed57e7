//! Pure: the binary forms in which values travel to PostgreSQL, as the `recv` function of each type reads them.

use std::net::IpAddr;

use super::array_value::{Element, literal};
use crate::mapping::Interval;
use crate::row::{Cell, Value};
use crate::table::{Address, Clock, Column, ColumnKind};

/// The binary form of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "PostgreSQL's own names of the types")]
pub enum Form {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// Also of `varchar`, `bpchar`, `json` and enums.
    Text,
    Bytes,
    /// Also of `timestamptz`.
    Timestamp,
    Date,
    Time,
    TimeWithOffset,
    Interval,
    Uuid,
    Jsonb,
    Numeric,
    Inet,
    Cidr,
    /// Also of `macaddr8`.
    Mac,
    /// Of elements with a known form.
    Array(Element),
    /// An array as the text that a cast makes one of.
    ArrayText,
}

/// Why a value has no such form. The value may still be one that the server reads from its text.
pub type Unfit = &'static str;

const WRONG_TYPE: Unfit = "a value in a column of another type";
const OUT_OF_RANGE: Unfit = "the number is out of range";
const NULL: [u8; 4] = (-1i32).to_be_bytes();

/// What PostgreSQL counts its time from, in microseconds since 1970.
const YEAR_2000_MICROS: i64 = 946_684_800_000_000;

impl Form {
    /// The form of a column's own type, if it is known here.
    pub fn of(column: &Column) -> Option<Form> {
        let is = |name: &str| {
            let own = column.cast_type.strip_suffix('"').and_then(|quoted| quoted.rsplit('"').next());
            own == Some(name)
        };
        Some(match &column.kind {
            ColumnKind::Bool => Form::Bool,
            ColumnKind::Int { max, .. } if *max == i16::MAX.into() => Form::Int2,
            ColumnKind::Int { max, .. } if *max == i32::MAX.into() => Form::Int4,
            ColumnKind::Int { .. } => Form::Int8,
            ColumnKind::Float { single: true } => Form::Float4,
            ColumnKind::Float { single: false } => Form::Float8,
            // `money` and `"char"` have forms of their own.
            ColumnKind::Decimal { .. } if !is("numeric") => return None,
            ColumnKind::Text { .. } if is("char") => return None,
            ColumnKind::Decimal { .. } => Form::Numeric,
            ColumnKind::Json if is("jsonb") => Form::Jsonb,
            ColumnKind::Text { .. } | ColumnKind::Json | ColumnKind::Choice { .. } => Form::Text,
            ColumnKind::Bytes { .. } => Form::Bytes,
            ColumnKind::Uuid => Form::Uuid,
            ColumnKind::Date => Form::Date,
            ColumnKind::Time { clock: Clock::DayWithOffset, .. } => Form::TimeWithOffset,
            ColumnKind::Time { .. } => Form::Time,
            ColumnKind::Timestamp { .. } => Form::Timestamp,
            ColumnKind::Interval { .. } => Form::Interval,
            ColumnKind::Address(Address::Host) => Form::Inet,
            ColumnKind::Address(Address::Network) => Form::Cidr,
            ColumnKind::Address(Address::Mac | Address::Mac8) => Form::Mac,
            ColumnKind::Array { element } => Form::Array(Element::of(&element.cast_type)?),
            ColumnKind::Address(_) | ColumnKind::NumberOrText | ColumnKind::Other => return None,
        })
    }

    /// The same as [`Form::put`].
    #[inline]
    pub fn put_cell(self, cell: Cell<'_>, into: &mut Vec<u8>) -> Result<(), Unfit> {
        match (self, cell.text()) {
            (Form::Text, Some(text)) => run(into, text.bytes()),
            _ => self.put(&cell.value(), into),
        }
    }

    /// Adds a value with its length before it, as a field of `COPY` and an element of an array have it. After an error
    /// what was added is not whole.
    #[inline]
    pub fn put(self, value: &Value<'_>, into: &mut Vec<u8>) -> Result<(), Unfit> {
        match (self, value) {
            (_, Value::Null) => into.extend_from_slice(&NULL),
            (Form::Bool, Value::Bool(value)) => fixed(into, [u8::from(*value)]),
            (Form::Int8, Value::Int(value)) => fixed(into, value.to_be_bytes()),
            (Form::Int4, Value::Int(value)) => {
                fixed(into, i32::try_from(*value).map_err(|_| OUT_OF_RANGE)?.to_be_bytes());
            }
            (Form::Int2, Value::Int(value)) => {
                fixed(into, i16::try_from(*value).map_err(|_| OUT_OF_RANGE)?.to_be_bytes());
            }
            (Form::Float8, Value::Float(value)) => fixed(into, value.to_be_bytes()),
            (Form::Float4, Value::Float(value)) => {
                let single = *value as f32;
                if single.is_infinite() || (single == 0.0 && *value != 0.0) {
                    return Err(OUT_OF_RANGE);
                }
                fixed(into, single.to_be_bytes());
            }
            (Form::Text, Value::Text(text)) => run(into, text.as_bytes())?,
            (Form::Bytes, Value::Bytes(bytes)) => run(into, bytes)?,
            (Form::Timestamp, Value::Timestamp(micros)) => {
                fixed(into, micros.checked_sub(YEAR_2000_MICROS).ok_or(OUT_OF_RANGE)?.to_be_bytes());
            }
            (form, value) => form.put_rare(value, into)?,
        }
        Ok(())
    }

    /// The forms of types that few tables have, apart from the loop over all values.
    #[inline(never)]
    fn put_rare(self, value: &Value<'_>, into: &mut Vec<u8>) -> Result<(), Unfit> {
        match (self, value) {
            (Form::Jsonb, Value::Text(text)) => {
                const VERSION: u8 = 1;
                length(into, text.len() + 1)?;
                into.push(VERSION);
                into.extend_from_slice(text.as_bytes());
            }
            (Form::Uuid, Value::Text(text)) => {
                fixed(into, uuid::Uuid::try_parse(text).map_err(|_| "not a UUID")?.into_bytes());
            }
            (Form::Date, Value::Text(text)) => fixed(into, date(text).ok_or("not a day as YYYY-MM-DD")?.to_be_bytes()),
            (Form::Time, Value::Text(text)) => fixed(into, time(text).ok_or("not a time as HH:MM:SS")?.to_be_bytes()),
            (Form::TimeWithOffset, Value::Text(text)) => {
                let (micros, west) = time_with_offset(text).ok_or("not a time as HH:MM:SS+HH:MM")?;
                run_of(into, |into| {
                    into.extend_from_slice(&micros.to_be_bytes());
                    into.extend_from_slice(&west.to_be_bytes());
                    Ok(())
                })?;
            }
            (Form::Interval, Value::Text(text)) => {
                let Interval { months, days, micros } = Interval::parse(text).ok_or("not a length of time")?;
                run_of(into, |into| {
                    into.extend_from_slice(&micros.to_be_bytes());
                    into.extend_from_slice(&days.to_be_bytes());
                    into.extend_from_slice(&months.to_be_bytes());
                    Ok(())
                })?;
            }
            (Form::Inet, Value::Text(text)) => run(into, &inet(text, false).ok_or("not an address")?)?,
            (Form::Cidr, Value::Text(text)) => run(into, &inet(text, true).ok_or("not a network")?)?,
            (Form::Mac, Value::Text(text)) => run(into, &mac(text).ok_or("not the address of a device")?)?,
            (Form::Array(element), Value::Array(array)) => element.put(array, into)?,
            (Form::ArrayText, Value::Array(array)) => run(into, literal(array)?.as_bytes())?,
            (Form::Numeric, Value::Text(text)) => numeric(text, into)?,
            _ => return Err(WRONG_TYPE),
        }
        Ok(())
    }
}

fn length(into: &mut Vec<u8>, bytes: usize) -> Result<(), Unfit> {
    into.extend_from_slice(&i32::try_from(bytes).map_err(|_| "it is longer than 2 GiB")?.to_be_bytes());
    Ok(())
}

fn run(into: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Unfit> {
    length(into, bytes.len())?;
    into.extend_from_slice(bytes);
    Ok(())
}

/// Adds what `put` adds, with its length before it.
pub fn run_of(into: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>) -> Result<(), Unfit>) -> Result<(), Unfit> {
    let start = into.len();
    length(into, 0)?;
    let content = into.len();
    put(into)?;
    let bytes = i32::try_from(into.len() - content).map_err(|_| "it is longer than 2 GiB")?;
    into[start..content].copy_from_slice(&bytes.to_be_bytes());
    Ok(())
}

fn fixed<const N: usize>(into: &mut Vec<u8>, bytes: [u8; N]) {
    into.extend_from_slice(&(N as i32).to_be_bytes());
    into.extend_from_slice(&bytes);
}

/// Days since 2000 of `YYYY-MM-DD`. Other years than 1 to 9999 are left to the server.
fn date(text: &str) -> Option<i32> {
    const YEAR_2000_DAYS: i32 = 730_120;
    let is_plain =
        text.len() == 10 && text.starts_with(|first: char| first.is_ascii_digit()) && !text.starts_with("0000");
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| is_plain)?;
    Some(chrono::Datelike::num_days_from_ce(&day) - YEAR_2000_DAYS)
}

/// Microseconds since midnight of `HH:MM`, `HH:MM:SS` or `HH:MM:SS.ffffff`. What is finer, and a leap second, is left to
/// the server.
fn time(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let two = |at: usize| {
        let digits = bytes.get(at..at + 2).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        Some(i64::from(digits[0] - b'0') * 10 + i64::from(digits[1] - b'0'))
    };
    let colon = |at: usize| (bytes.get(at) == Some(&b':')).then_some(());
    let (hours, minutes) = (two(0)?, colon(2).and_then(|()| two(3))?);
    let seconds = if bytes.len() > 5 { colon(5).and_then(|()| two(6))? } else { 0 };
    let fraction = match bytes.get(8..).unwrap_or_default() {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) => {
            let whole = digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
            whole * 10i64.pow(6 - digits.len() as u32)
        }
        _ => return None,
    };
    (hours < 24 && minutes < 60 && seconds < 60)
        .then_some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction)
}

/// Microseconds since midnight of `HH:MM:SS+HH:MM`, and the seconds that its clocks are behind UTC.
fn time_with_offset(text: &str) -> Option<(i64, i32)> {
    let (clock, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let sign = match offset.as_bytes()[0] {
        b'+' => -1,
        b'-' => 1,
        _ => return None,
    };
    Some((time(clock)?, sign * i32::try_from(time(&offset[1..])? / 1_000_000).ok()?))
}

/// Family, length of the prefix, whether it is a network, length of the address, address.
fn inet(text: &str, is_network: bool) -> Option<Vec<u8>> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let (family, address) = match address.parse().ok()? {
        IpAddr::V4(address) => (2, address.octets().to_vec()),
        IpAddr::V6(address) => (3, address.octets().to_vec()),
    };
    let bytes = address.len() as u8;
    let prefix = prefix.map_or(Some(8 * bytes), |prefix| prefix.parse().ok())?;
    Some([&[family, prefix, u8::from(is_network), bytes], address.as_slice()].concat())
}

fn mac(text: &str) -> Option<Vec<u8>> {
    text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

/// A decimal as JSON writes it, in digits of base 10,000.
fn numeric(text: &str, into: &mut Vec<u8>) -> Result<(), Unfit> {
    const NOT_A_NUMBER: Unfit = "not a decimal number";
    const TOO_LONG: Unfit = "a decimal of more digits than the binary form takes";
    // What the server takes in this form; of texts it takes more.
    const GROUPS_MAX: usize = 3000;
    const SCALE_MAX: i64 = 16383;
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().map_err(|_| NOT_A_NUMBER)?;
    // No number that PostgreSQL takes is near; and what is added to it below cannot overflow.
    if exponent.unsigned_abs() > u64::from(u32::MAX) {
        return Err(TOO_LONG);
    }
    let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if whole.is_empty() || !digits().all(|digit| digit.is_ascii_digit()) {
        return Err(NOT_A_NUMBER);
    }
    let scale = (fraction.len() as i64).checked_sub(exponent).ok_or(TOO_LONG)?.max(0);
    let first = digits().position(|digit| digit != b'0');
    let last = digits().rev().position(|digit| digit != b'0').map(|zeros| whole.len() + fraction.len() - zeros);
    let (first, significant) = first.zip(last).map_or((0, 0), |(first, end)| (first, end - first));
    // Power of ten of the first digit, and of 10,000 of its group; what stands before it in that group are zeros.
    let power = if significant == 0 { 0 } else { whole.len() as i64 - first as i64 - 1 + exponent };
    let (weight, zeros) = (power.div_euclid(4), 3 - power.rem_euclid(4) as usize);
    let groups = if significant == 0 { 0 } else { (zeros + significant).div_ceil(4) };
    let weight = i16::try_from(weight).map_err(|_| TOO_LONG)?;
    if scale > SCALE_MAX || groups > GROUPS_MAX {
        return Err(TOO_LONG);
    }
    const NEGATIVE: u16 = 0x4000;
    let sign = if negative && groups > 0 { NEGATIVE } else { 0 };
    length(into, 8 + 2 * groups)?;
    for head in [groups as u16, weight as u16, sign, scale as u16] {
        into.extend_from_slice(&head.to_be_bytes());
    }
    let mut left = std::iter::repeat_n(b'0', zeros).chain(digits().skip(first).take(significant));
    for _ in 0..groups {
        let group = (0..4).fold(0u16, |group, _| group * 10 + u16::from(left.next().unwrap_or(b'0') - b'0'));
        into.extend_from_slice(&group.to_be_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands after the length.
    fn put(form: Form, value: Value<'_>) -> Result<Vec<u8>, Unfit> {
        let mut bytes = Vec::new();
        form.put(&value, &mut bytes)?;
        let (length, content) = bytes.split_at(4);
        assert_eq!(i32::from_be_bytes(length.try_into().unwrap()), content.len() as i32);
        Ok(content.to_vec())
    }

    #[test]
    fn decimals_are_digits_of_base_10_000() {
        for (text, weight, sign, scale, groups) in [
            ("0", 0, 0, 0, vec![]),
            ("-0.00", 0, 0, 2, vec![]),
            ("1", 0, 0, 0, vec![1]),
            ("-12345.678", 1, 0x4000, 3, vec![1, 2345, 6780]),
            ("10000", 1, 0, 0, vec![1]),
            ("1e-3", -1, 0, 3, vec![10]),
            ("1.5e3", 0, 0, 0, vec![1500]),
            ("0.00010", -1, 0, 5, vec![1]),
            ("12e4", 1, 0, 0, vec![12]),
            ("0.000012345", -2, 0, 9, vec![1234, 5000]),
            ("007.50", 0, 0, 2, vec![7, 5000]),
        ] {
            let mut expected: Vec<u16> = vec![groups.len() as u16, weight as i16 as u16, sign, scale];
            expected.extend(&groups);
            let expected: Vec<u8> = expected.iter().flat_map(|word| word.to_be_bytes()).collect();
            assert_eq!(put(Form::Numeric, Value::text(text)), Ok(expected), "{text}");
        }
        let long = "9".repeat(12_001);
        for text in ["", "-", "NaN", "1.2.3", "1e", "0x1", "1e999999", "1e-20000", "1e99999999999999999999", &long] {
            assert!(put(Form::Numeric, Value::text(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn days_and_times_count_from_2000_and_midnight() {
        for (text, days) in [("2000-01-01", 0), ("1999-12-31", -1), ("2024-02-29", 8825), ("0001-01-01", -730_119)] {
            assert_eq!(date(text), Some(days), "{text}");
        }
        for text in ["infinity", "2023-02-29", "0000-01-01", "-0044-03-15", "+12345-01-01", "20240229", "2024-2-291"] {
            assert_eq!(date(text), None, "{text}");
        }
        for (text, micros) in [("00:00", 0), ("12:30:01", 45_001_000_000), ("23:59:59.999999", 86_399_999_999)] {
            assert_eq!(time(text), Some(micros), "{text}");
        }
        for text in
            ["", "12", "12:3", "1:30:00", "24:00:00", "12:60", "12:30:60", "12:30:", "12:30 PM", "12:30:00.", "é2:30"]
        {
            assert_eq!(time(text), None, "{text}");
        }
        assert_eq!(time("12:30:00.1234567"), None, "the server rounds it");
        assert_eq!(put(Form::Timestamp, Value::Timestamp(YEAR_2000_MICROS - 1)), Ok(vec![255; 8]));
        assert!(put(Form::Timestamp, Value::Timestamp(i64::MIN)).is_err());
    }

    #[test]
    fn what_does_not_fit_has_no_form() {
        for (form, value) in [
            (Form::Int2, Value::Int(32_768)),
            (Form::Int4, Value::Int(-2_147_483_649)),
            (Form::Int8, Value::UInt(u64::MAX)),
            (Form::Float4, Value::Float(1e39)),
            (Form::Float4, Value::Float(1e-50)),
            (Form::Uuid, Value::text("x")),
            (Form::Text, Value::Int(1)),
            (Form::Bool, Value::Int(1)),
        ] {
            assert!(put(form, value.clone()).is_err(), "{value:?} as {form:?}");
        }
        let mut null = Vec::new();
        Form::Text.put(&Value::Null, &mut null).unwrap();
        assert_eq!(null, [255; 4]);
        assert_eq!(put(Form::Jsonb, Value::text("{}")), Ok(b"\x01{}".to_vec()));
    }

    #[test]
    fn addresses_and_lengths_of_time_are_fixed_fields() {
        for (form, text, expected) in [
            (Form::Inet, "10.0.0.1", vec![2, 32, 0, 4, 10, 0, 0, 1]),
            (Form::Inet, "10.0.0.1/24", vec![2, 24, 0, 4, 10, 0, 0, 1]),
            (Form::Cidr, "10.0.0.0/8", vec![2, 8, 1, 4, 10, 0, 0, 0]),
            (Form::Inet, "::1", [&[3, 128, 0, 16][..], &[0; 15], &[1]].concat()),
            (Form::Mac, "08:00:2b:01:02:03", vec![8, 0, 0x2b, 1, 2, 3]),
            (
                Form::TimeWithOffset,
                "00:00:01+01:00",
                [&1_000_000i64.to_be_bytes()[..], &(-3600i32).to_be_bytes()].concat(),
            ),
            (
                Form::Interval,
                "1 mons -2 days -00:00:00.000003",
                [&(-3i64).to_be_bytes()[..], &(-2i32).to_be_bytes(), &1i32.to_be_bytes()].concat(),
            ),
        ] {
            assert_eq!(put(form, Value::text(text)), Ok(expected), "{text}");
        }
    }
}
