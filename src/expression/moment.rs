//! Times in UTC: texts, seconds since 1970, and jq's arrays of year, month, day and so on.

use std::fmt::Write;

use chrono::format::{Item, Parsed, StrftimeItems};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeZone, Timelike, Utc};
use jaq_core::{Exn, ValX};
use jaq_json::{Num, Val};

use super::decimal::{self, Operation, Rounding};
use super::functions::{failure, text};

type Answer<'a> = ValX<'a, Val>;

const NANOSECONDS: u32 = 1_000_000_000;

/// Seconds since 1970 of a time of RFC 3339, with their fraction.
pub(super) fn from_date<'a>(value: &Val) -> Answer<'a> {
    let text = text(value)?;
    let time = DateTime::parse_from_rfc3339(text)
        .map_err(|error| failure(format_args!("`{}` is no time of RFC 3339: {error}", short(text))))?;
    Ok(seconds_of(&time.naive_utc()))
}

/// The time of RFC 3339 of seconds since 1970.
pub(super) fn to_date<'a>(value: &Val) -> Answer<'a> {
    let time = time_of(value)?;
    Ok(Val::from(time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)))
}

/// Seconds since 1970 of an array of year, month from 0, day, hour, minute, second.
pub(super) fn make_time<'a>(value: &Val) -> Answer<'a> {
    match value {
        Val::Arr(_) => Ok(seconds_of(&time_of(value)?.naive_utc())),
        _ => Err(failure("`mktime` takes what `strptime` gives")),
    }
}

/// A time in the form that `pattern` says.
pub(super) fn format<'a>(pattern: &Val, value: &Val) -> Answer<'a> {
    let items = items(text(pattern)?)?;
    let mut formatted = String::new();
    write!(formatted, "{}", time_of(value)?.format_with_items(items.iter()))
        .map_err(|_| failure("the time does not fit its form"))?;
    Ok(Val::from(formatted))
}

/// The array of year, month from 0, day, hour, minute, second, day of the week and day of the year from 0, of a text
/// in the form that `pattern` says. Without a zone it is UTC, without a time of day midnight.
pub(super) fn parse<'a>(pattern: &Val, value: &Val) -> Answer<'a> {
    let (pattern, text) = (text(pattern)?, text(value)?);
    let no_such_time =
        |error| failure(format_args!("`{}` is no time of the form `{}`: {error}", short(text), short(pattern)));
    let mut parsed = Parsed::new();
    chrono::format::parse(&mut parsed, text, items(pattern)?.iter()).map_err(no_such_time)?;
    let time = if let Ok(time) = parsed.to_datetime() {
        time.naive_utc()
    } else {
        let date = parsed.to_naive_date().map_err(no_such_time)?;
        date.and_time(parsed.to_naive_time().unwrap_or_default())
    };
    let fraction = time.nanosecond();
    let second = match fraction {
        0 => Val::from(time.second() as isize),
        _ => Val::Num(exact(i64::from(time.second()), fraction)),
    };
    let number = |number: u32| Val::from(number as isize);
    Ok([
        Val::from(time.year() as isize),
        number(time.month0()),
        number(time.day()),
        number(time.hour()),
        number(time.minute()),
        second,
        number(time.weekday().num_days_from_sunday()),
        number(time.ordinal0()),
    ]
    .into_iter()
    .collect())
}

fn items<'a>(pattern: &str) -> Result<Vec<Item<'_>>, Exn<'a, Val>> {
    StrftimeItems::new(pattern).parse().map_err(|_| failure(format_args!("`{}` is no form of a time", short(pattern))))
}

/// Seconds since 1970, whole or as an exact decimal.
fn seconds_of(time: &NaiveDateTime) -> Val {
    let time = time.and_utc();
    match time.timestamp_subsec_nanos().min(NANOSECONDS - 1) {
        0 => Val::from(time.timestamp() as isize),
        fraction => Val::Num(exact(time.timestamp(), fraction)),
    }
}

/// `seconds` and a billionth of them as often as `nanoseconds` says.
fn exact(seconds: i64, nanoseconds: u32) -> Num {
    let nanoseconds = i128::from(seconds) * i128::from(NANOSECONDS) + i128::from(nanoseconds);
    let whole = Num::from_integral(nanoseconds);
    decimal::calculate(whole, Operation::Divide, Num::Int(NANOSECONDS as isize)).unwrap_or(Num::Int(seconds as isize))
}

fn time_of<'a>(value: &Val) -> Result<DateTime<Utc>, Exn<'a, Val>> {
    let time = match value {
        Val::Num(seconds) => of_seconds(seconds.clone()),
        Val::Arr(parts) => of_parts(parts),
        _ => None,
    };
    time.ok_or_else(|| failure("a time is a number of seconds since 1970, or what `strptime` gives"))
}

fn of_seconds(seconds: Num) -> Option<DateTime<Utc>> {
    let billionths = decimal::calculate(seconds, Operation::Multiply, Num::Int(NANOSECONDS as isize)).ok()?;
    let nanoseconds: i128 = match decimal::round(billionths, Rounding::Floor) {
        Num::Float(float) if float.abs() < 1e24 => float as i128,
        Num::Float(_) => return None,
        whole => whole.to_string().parse().ok()?,
    };
    let seconds = nanoseconds.div_euclid(i128::from(NANOSECONDS));
    let fraction = nanoseconds.rem_euclid(i128::from(NANOSECONDS));
    Utc.timestamp_opt(i64::try_from(seconds).ok()?, fraction as u32).single()
}

fn of_parts(parts: &[Val]) -> Option<DateTime<Utc>> {
    let whole = |place: usize| match parts.get(place) {
        Some(Val::Num(number)) => decimal::round(number.clone(), Rounding::Floor).as_isize(),
        _ => None,
    };
    let part = |place: usize| u32::try_from(whole(place)?).ok();
    let date = NaiveDate::from_ymd_opt(i32::try_from(whole(0)?).ok()?, part(1)?.checked_add(1)?, part(2)?)?;
    let time = date.and_hms_opt(part(3)?, part(4)?, part(5)?)?.and_utc();
    let Some(Val::Num(seconds)) = parts.get(5) else { return None };
    let fraction = decimal::calculate(seconds.clone(), Operation::Remainder, Num::Int(1)).ok()?;
    let whole = decimal::calculate(Num::from_integral(time.timestamp()), Operation::Add, fraction).ok()?;
    of_seconds(whole)
}

/// Enough of a text to recognise it by.
fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
