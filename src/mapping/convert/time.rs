//! Days, times of the day, and instants.

use super::{out_of_range, shown, wrong_type};
use crate::event::{Rejection, RejectionClass};
use crate::mapping::timestamp::{self, NoTime};
use crate::row::Value;
use crate::table::{Clock, Column, ColumnKind};
use crate::value_format::{NotAnInstant, ValueFormat, Zone};

/// The instant of a text.
pub fn instant(text: &str, column: &Column, format: &ValueFormat) -> Result<Value<'static>, Rejection> {
    match timestamp::from_text(text, format) {
        Ok(micros) => at(micros, text, column),
        Err(NoTime::Unreadable) => Err(wrong_type(&super::json::quoted(text), column)),
        Err(NoTime::NotInCalendar) => Err(not_in_calendar(text)),
        Err(NoTime::OtherWeekday) => Err(no_such_time(text, "is not of that weekday")),
        Err(NoTime::DigitsOfADay) => {
            Err(no_such_time(text, "may be a day without hyphens or an epoch: write the hyphens, or declare `epoch`"))
        }
        Err(other) => Err(no_time(text, other, format.zone)),
    }
}

/// The instant of a number.
#[inline(never)]
pub fn epoch(number: &str, column: &Column, format: &ValueFormat) -> Result<Value<'static>, Rejection> {
    let plain = match number.contains(['e', 'E']) {
        true => super::number::canonical_decimal(number).into(),
        false => std::borrow::Cow::Borrowed(number),
    };
    match timestamp::from_epoch(&plain, format.epoch) {
        Ok(micros) => at(micros, number, column),
        Err(_) => Err(out_of_range(number, "is not an epoch in seconds, milliseconds or microseconds")),
    }
}

/// A time in epoch milliseconds, whatever the column's own unit: to a time where the column is one, to a day or a number
/// elsewhere.
pub fn epoch_ms(ms: u64, column: &Column, format: &ValueFormat) -> Result<Value<'static>, Rejection> {
    let number = ms.to_string();
    let time = || i64::try_from(ms).ok().and_then(chrono::DateTime::from_timestamp_millis);
    let none = || out_of_range(&number, "is not a time that can be written");
    match column.kind {
        ColumnKind::Timestamp { .. } => at(time().ok_or_else(none)?.timestamp_micros(), &number, column),
        ColumnKind::Date => Ok(Value::text(time().ok_or_else(none)?.date_naive().to_string())),
        _ => super::number::convert(&number, column, format).map(Value::into_owned),
    }
}

/// An instant with as fine a fraction as the column has, if it is in the column's reach.
#[inline(always)]
fn at(micros: i64, written: &str, column: &Column) -> Result<Value<'static>, Rejection> {
    let ColumnKind::Timestamp { fraction_digits, first, last } = column.kind else {
        return Err(wrong_type(written, column));
    };
    let micros = timestamp::cut_fraction(micros, fraction_digits);
    if !(first..=last).contains(&micros) {
        let day_and_time = crate::row::day_and_time;
        let why = format!("is not within {} to {} UTC", day_and_time(first), day_and_time(last));
        return Err(out_of_range(written, &why));
    }
    Ok(Value::Timestamp(micros))
}

/// A text that is written as a day or a time is, of which there is none.
pub fn not_in_calendar(text: &str) -> Rejection {
    no_such_time(text, "is a day or a time of day that does not exist")
}

#[cold]
fn no_such_time(text: &str, why: &str) -> Rejection {
    Rejection::new(RejectionClass::WrongType, format!("{} {why}", shown(text)))
}

#[cold]
fn no_time(text: &str, why: NoTime, zone: Zone) -> Rejection {
    let why = match why {
        NoTime::Unreadable
        | NoTime::OutOfReach
        | NoTime::NotInCalendar
        | NoTime::OtherWeekday
        | NoTime::DigitsOfADay => "is not a time that can be written".to_owned(),
        NoTime::LeapSecond => "is a leap second, which databases do not have".to_owned(),
        NoTime::Naive(NotAnInstant::Skipped) => format!("was passed over by the clocks of {zone}: write the offset"),
        NoTime::Naive(NotAnInstant::Twice) => format!("was shown twice by the clocks of {zone}: write the offset"),
    };
    out_of_range(text, &why)
}

/// Whether a text is a day of the years 1 to 9999 as `YYYY-MM-DD`.
pub fn is_day(text: &str) -> bool {
    is_written_as_day(text) && !text.starts_with("0000") && chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

/// Whether a text is of the form `YYYY-MM-DD`.
pub fn is_written_as_day(text: &str) -> bool {
    let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
    matches!(text.as_bytes(), [y @ .., b'-', m1, m2, b'-', d1, d2]
        if y.len() == 4 && digits(y) && digits(&[*m1, *m2, *d1, *d2]))
}

/// A time without a day as `HH:MM`, `HH:MM:SS` or `HH:MM:SS.f`, which comes out as the second or third.
pub fn clock(text: &str, column: &Column, format: &ValueFormat) -> Result<Value<'static>, Rejection> {
    let ColumnKind::Time { clock, fraction_digits } = column.kind else { return Err(wrong_type(text, column)) };
    let wrong = || wrong_type(&super::json::quoted(text), column);
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) if clock == Clock::Span => ("-", rest),
        _ => ("", text),
    };
    let (time, offset) = unsigned.split_at(unsigned.find(['+', '-', 'Z']).unwrap_or(unsigned.len()));
    let (hours, minutes, seconds, fraction) = parts(time).ok_or_else(wrong)?;
    let outside = minutes > 59 || seconds > 59;
    let cut: String = fraction.chars().take(fraction_digits as usize).collect();
    let fraction = cut.trim_end_matches('0');
    let past_the_end = match clock {
        Clock::Day | Clock::DayWithOffset => hours > 23,
        Clock::Span => {
            (hours, minutes, seconds) > (838, 59, 59)
                || (hours, minutes, seconds) == (838, 59, 59) && !fraction.is_empty()
        }
    };
    if outside || past_the_end {
        let until = if clock == Clock::Span { "838:59:59 before or after 0" } else { "00:00:00 to 23:59:59" };
        return Err(out_of_range(text, &format!("is not within {until}")));
    }
    let offset = match clock {
        Clock::DayWithOffset => offset_of(text, offset, format.zone)?.ok_or_else(wrong)?,
        // The database would pass it over.
        Clock::Day | Clock::Span if !offset.is_empty() => return Err(wrong()),
        Clock::Day | Clock::Span => String::new(),
    };
    let is_zero = hours == 0 && minutes == 0 && seconds == 0 && fraction.is_empty();
    let sign = if is_zero { "" } else { sign };
    let point = if fraction.is_empty() { "" } else { "." };
    Ok(Value::text(format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{point}{fraction}{offset}")))
}

/// Hours, minutes, seconds and the digits of the fraction.
fn parts(time: &str) -> Option<(u32, u32, u32, &str)> {
    let number = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        let is_number = lengths.contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    let (hours, rest) = time.split_once(':')?;
    let (minutes, rest) = rest.split_once(':').map_or((rest, None), |(minutes, rest)| (minutes, Some(rest)));
    let (seconds, fraction) = match rest.map(|rest| rest.split_once(['.', ',']).ok_or(rest)) {
        None => ("00", "0"),
        Some(Ok((seconds, fraction))) => (seconds, fraction),
        Some(Err(seconds)) => (seconds, "0"),
    };
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|digit| digit.is_ascii_digit());
    Some((number(hours, 2..=3)?, number(minutes, 2..=2)?, number(seconds, 2..=2)?, is_fraction.then_some(fraction)?))
}

/// An offset as `+HH:MM`; that of the zone where there is none.
fn offset_of(text: &str, offset: &str, zone: Zone) -> Result<Option<String>, Rejection> {
    if offset.is_empty() {
        let Some(offset) = zone.offset() else {
            let message = format!("{} needs an offset: that of {zone} depends on the day", shown(text));
            return Err(Rejection::new(RejectionClass::WrongType, message));
        };
        return Ok(Some(offset.to_string()));
    }
    if offset == "Z" {
        return Ok(Some("+00:00".to_owned()));
    }
    let digits = offset[1..].replacen(':', "", 1);
    let is_plain = matches!(offset.len(), 3 | 5 | 6) && matches!(digits.len(), 2 | 4);
    let is_plain = is_plain && digits.bytes().all(|digit| digit.is_ascii_digit());
    let (hours, minutes) = digits.split_at_checked(2).filter(|_| is_plain).unwrap_or(("99", ""));
    let minutes = if minutes.is_empty() { "00" } else { minutes };
    let exists = hours <= "15" && minutes <= "59";
    Ok(exists.then(|| format!("{}{hours}:{minutes}", &offset[..1])))
}
