//! Times out of documents: ISO 8601 and RFC 2822 texts and Unix epochs, to instants in microseconds since 1970.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Timelike};

use crate::value_format::{EpochUnit, NotAnInstant, ValueFormat};

/// Why a text is no instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTime {
    /// It is no time at all.
    Unreadable,
    /// It is written as a time is, and there is no such day or time of day.
    NotInCalendar,
    /// The day is not of the weekday that it is said to be.
    OtherWeekday,
    /// It may be a day without its hyphens, or an epoch.
    DigitsOfADay,
    /// The clocks of the declared zone did not show it exactly once.
    Naive(NotAnInstant),
    /// It is the second that clocks show as `:60`, which neither databases nor epochs have.
    LeapSecond,
    /// The calendar ends before it.
    OutOfReach,
}

/// The instant of a text.
///
/// - ISO 8601: `2024-06-01T12:30:00.5Z`, `2024-06-01 12:30:00+02:00`, `2024-06-01T12:30`; a day alone is its midnight. Years
///   have four digits, or a sign and up to six, all else two, and a fraction a point or a comma.
/// - RFC 2822, as in mail and HTTP: `Sat, 01 Jun 2024 12:30:00 +0200`, `… GMT`.
/// - Digits only are an epoch: see [`from_epoch`]. But for 8 and 14 of them, which are rather a day as `20240601`, the unit
///   must be declared.
///
/// What has no offset is in the zone of `format`. What is finer than a microsecond is cut.
pub fn from_text(text: &str, format: &ValueFormat) -> Result<i64, NoTime> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => instant(time),
        Err(_) => from_other_text(text, format),
    }
}

/// The instant of a text that is not of the usual form. It stands apart, because almost all are.
#[inline(never)]
fn from_other_text(text: &str, format: &ValueFormat) -> Result<i64, NoTime> {
    if let Some(iso) = Iso::parse(text) {
        return iso.instant(format);
    }
    if text.contains(':') && !has_military_zone(text) {
        return from_mail(text, format);
    }
    let is_rather_a_day = matches!(text.len(), 8 | 14) && text.bytes().all(|digit| digit.is_ascii_digit());
    if format.epoch == EpochUnit::Auto && is_rather_a_day {
        return Err(NoTime::DigitsOfADay);
    }
    from_epoch(text, format.epoch)
}

/// The instant of a text as in mail and HTTP.
fn from_mail(text: &str, format: &ValueFormat) -> Result<i64, NoTime> {
    let parse = |text: &str| DateTime::parse_from_rfc2822(text).ok();
    let without_offset = |text: &str| parse(&format!("{text} +0000"));
    if let Some(time) = parse(text) {
        return instant(time);
    }
    if let Some(time) = without_offset(text) {
        return in_zone(time.naive_utc(), format);
    }
    let without_weekday = text.split_once(',').map(|(_, rest)| rest.trim_start());
    match without_weekday.and_then(|rest| parse(rest).or_else(|| without_offset(rest))) {
        Some(_) => Err(NoTime::OtherWeekday),
        None => Err(NoTime::Unreadable),
    }
}

/// A text that is written as ISO 8601 has it, whether there is such a time or not.
struct Iso<'a> {
    year: i32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    /// Digits after the point.
    fraction: &'a str,
    /// Seconds that the clock is before UTC, if the text says so.
    offset: Option<i32>,
}

impl<'a> Iso<'a> {
    fn parse(text: &'a str) -> Option<Iso<'a>> {
        let (year, rest) = year(text)?;
        let (month, rest) = number(rest.strip_prefix('-')?, 2)?;
        let (day, rest) = number(rest.strip_prefix('-')?, 2)?;
        let midnight = Iso { year, month, day, hour: 0, minute: 0, second: 0, fraction: "", offset: None };
        if rest.is_empty() {
            return Some(midnight);
        }
        let (hour, rest) = number(rest.strip_prefix(['T', 't', ' '])?, 2)?;
        let (minute, mut rest) = number(rest.strip_prefix(':')?, 2)?;
        let (mut second, mut fraction) = (0, "");
        if let Some(seconds) = rest.strip_prefix(':') {
            (second, rest) = number(seconds, 2)?;
            if let Some(digits) = rest.strip_prefix(['.', ',']) {
                let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
                (fraction, rest) = digits.split_at(end);
                if fraction.is_empty() {
                    return None;
                }
            }
        }
        let rest = rest.trim_start();
        let offset = if rest.is_empty() { None } else { Some(offset(rest)?) };
        Some(Iso { hour, minute, second, fraction, offset, ..midnight })
    }

    fn instant(&self, format: &ValueFormat) -> Result<i64, NoTime> {
        if self.second == 60 {
            return Err(NoTime::LeapSecond);
        }
        let micros = self.fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
        let micros = micros.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        NaiveDate::from_ymd_opt(self.year, 1, 1).ok_or(NoTime::OutOfReach)?;
        let day = NaiveDate::from_ymd_opt(self.year, self.month, self.day);
        let time = day.and_then(|day| day.and_hms_micro_opt(self.hour, self.minute, self.second, micros));
        let time = time.ok_or(NoTime::NotInCalendar)?;
        match self.offset {
            Some(seconds) => Ok(time.and_utc().timestamp_micros() - i64::from(seconds) * 1_000_000),
            None => in_zone(time, format),
        }
    }
}

/// A year of four digits; with a sign of up to six.
fn year(text: &str) -> Option<(i32, &str)> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return number(text, 4).and_then(|(year, rest)| Some((i32::try_from(year).ok()?, rest))),
    };
    let digits = unsigned.find('-').filter(|digits| (4..=6).contains(digits))?;
    let (year, rest) = number(unsigned, digits)?;
    Some((sign * i32::try_from(year).ok()?, rest))
}

/// A number of so many digits, and what follows it.
fn number(text: &str, digits: usize) -> Option<(u32, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    let is_number = number.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| number.parse().ok()).flatten().map(|number| (number, rest))
}

/// `Z`, `+02`, `+0200` or `+02:00`, in seconds.
fn offset(text: &str) -> Option<i32> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = text.strip_prefix('+').map(|rest| (1, rest)).or_else(|| Some((-1, text.strip_prefix('-')?)))?;
    let (hours, rest) = number(rest, 2)?;
    let rest = rest.strip_prefix(':').filter(|rest| !rest.is_empty()).unwrap_or(rest);
    let (minutes, rest) = if rest.is_empty() { (0, rest) } else { number(rest, 2)? };
    let seconds = i32::try_from(hours * 3_600 + minutes * 60).ok()?;
    (rest.is_empty() && hours < 24 && minutes < 60).then_some(sign * seconds)
}

/// The instant at which the clocks of the declared zone show this.
fn in_zone(time: NaiveDateTime, format: &ValueFormat) -> Result<i64, NoTime> {
    match is_leap_second(&time) {
        true => Err(NoTime::LeapSecond),
        false => format.zone.micros(time).map_err(NoTime::Naive),
    }
}

/// The instant of an epoch, a decimal number of seconds, milliseconds or microseconds since 1970. Seconds and
/// milliseconds may have a fraction; what is finer than a microsecond is cut.
pub fn from_epoch(number: &str, unit: EpochUnit) -> Result<i64, NoTime> {
    let (negative, digits) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(NoTime::Unreadable);
    }
    let whole: i64 = whole.parse().map_err(|_| NoTime::OutOfReach)?;
    let (unit_micros, fraction_digits) = match (unit, whole) {
        (EpochUnit::Seconds, _) | (EpochUnit::Auto, 0..100_000_000_000) => (1_000_000, 6),
        (EpochUnit::Millis, _) | (EpochUnit::Auto, 100_000_000_000..100_000_000_000_000) => (1_000, 3),
        (EpochUnit::Micros, _) | (EpochUnit::Auto, 100_000_000_000_000..100_000_000_000_000_000) => (1, 0),
        _ => return Err(NoTime::OutOfReach),
    };
    let (kept, finer) = fraction.split_at(fraction.len().min(fraction_digits));
    let kept = kept.bytes().chain(std::iter::repeat(b'0')).take(fraction_digits);
    let fraction = kept.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let micros = whole.checked_mul(unit_micros).and_then(|micros| micros.checked_add(fraction));
    let micros = micros.filter(|micros| exists(*micros)).ok_or(NoTime::OutOfReach)?;
    // Before 1970 too, what is cut makes a time earlier.
    let cut = i64::from(negative && finer.bytes().any(|digit| digit != b'0'));
    Ok(if negative { -micros - cut } else { micros })
}

/// Whether the calendar has this time.
pub fn exists(micros: i64) -> bool {
    DateTime::from_timestamp_micros(micros).is_some()
}

/// Cuts a second's fraction to `digits`, 0 to 6: databases differ in rounding it, and a time must never move forward.
pub fn cut_fraction(micros: i64, digits: u32) -> i64 {
    micros - micros.rem_euclid(10i64.pow(6 - digits.min(6)))
}

fn instant<Z: chrono::TimeZone>(time: DateTime<Z>) -> Result<i64, NoTime> {
    if is_leap_second(&time) { Err(NoTime::LeapSecond) } else { Ok(time.timestamp_micros()) }
}

fn is_leap_second(time: &impl Timelike) -> bool {
    time.nanosecond() >= 1_000_000_000
}

/// Single letters at the end of mail's dates were written with the wrong sign for so long that nobody knows what one means.
fn has_military_zone(text: &str) -> bool {
    let last = text.rsplit(' ').next().unwrap_or_default();
    last.len() == 1 && last.bytes().all(|letter| letter.is_ascii_alphabetic() && !letter.eq_ignore_ascii_case(&b'z'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::day_and_time;
    use crate::value_format::Zone;

    fn read(text: &str, format: &ValueFormat) -> Result<String, NoTime> {
        from_text(text, format).map(|time| day_and_time(time).to_string())
    }

    #[test]
    fn iso_mail_and_epoch_forms_give_utc() {
        for (text, expected) in [
            ("2024-06-01T12:30:00Z", "2024-06-01 12:30:00"),
            ("2024-06-01T12:30:00.123456Z", "2024-06-01 12:30:00.123456"),
            ("2024-06-01T12:30:00.123456789Z", "2024-06-01 12:30:00.123456"),
            ("2024-06-01T12:30:00+02:00", "2024-06-01 10:30:00"),
            ("2024-06-01T12:30:00-0530", "2024-06-01 18:00:00"),
            ("2024-06-01T12:30:00+02", "2024-06-01 10:30:00"),
            ("2024-06-01 12:30:00.5", "2024-06-01 12:30:00.500"),
            ("2024-06-01T12:30", "2024-06-01 12:30:00"),
            ("2024-06-01", "2024-06-01 00:00:00"),
            ("2024-02-29T00:00:00", "2024-02-29 00:00:00"),
            ("+12024-02-29", "+12024-02-29 00:00:00"),
            ("2024-06-01T12:30Z", "2024-06-01 12:30:00"),
            ("2024-06-01 12:30+02:00", "2024-06-01 10:30:00"),
            ("2024-06-01 12:30:00 +0200", "2024-06-01 10:30:00"),
            ("2024-06-01T12:30:00,25Z", "2024-06-01 12:30:00.250"),
            ("2024-06-01T12:30:00,1234567", "2024-06-01 12:30:00.123456"),
            ("Sat, 01 Jun 2024 12:30:00 +0200", "2024-06-01 10:30:00"),
            ("Sat, 01 Jun 2024 12:30:00", "2024-06-01 12:30:00"),
            ("Sat, 01 Jun 2024 12:30:00 GMT", "2024-06-01 12:30:00"),
            ("1 Jun 2024 12:30 EST", "2024-06-01 17:30:00"),
            ("0", "1970-01-01 00:00:00"),
            ("1717245000", "2024-06-01 12:30:00"),
            ("1717245000.25", "2024-06-01 12:30:00.250"),
            ("1717245000123", "2024-06-01 12:30:00.123"),
            ("1717245000123.4567", "2024-06-01 12:30:00.123456"),
            ("1717245000123456", "2024-06-01 12:30:00.123456"),
            ("-1.5", "1969-12-31 23:59:58.500"),
            ("-0.0000001", "1969-12-31 23:59:59.999999"),
        ] {
            assert_eq!(read(text, &ValueFormat::default()).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        use NoTime::{DigitsOfADay, LeapSecond, NotInCalendar, OtherWeekday, OutOfReach, Unreadable};
        for (text, why) in [
            ("", Unreadable),
            ("now", Unreadable),
            ("infinity", Unreadable),
            ("2024-13-01", NotInCalendar),
            ("2023-02-29", NotInCalendar),
            ("2024-06-01T25:00:00", NotInCalendar),
            ("2024-06-01T24:00:00", NotInCalendar),
            ("Sun, 01 Jun 2024 12:30:00 GMT", OtherWeekday),
            ("Sun, 01 Jun 2024 12:30:00", OtherWeekday),
            ("20240601", DigitsOfADay),
            ("20240601123000", DigitsOfADay),
            ("+300000-01-01", OutOfReach),
            ("24-06-01", Unreadable),
            ("-24-06-01", Unreadable),
            ("1-1-1", Unreadable),
            ("2024-6-1", Unreadable),
            ("2024-06-01T1:30", Unreadable),
            ("2024-06-01T12:30:00.", Unreadable),
            ("2024-06-01T12:30:00+02:", Unreadable),
            ("2024-06-01T12:30:00+2", Unreadable),
            ("Sat, 01 Jun 2024 12:30:00 B", Unreadable),
            ("1e9", Unreadable),
            ("-", Unreadable),
            (".5", Unreadable),
            ("100000000000000000", OutOfReach),
            ("12345678901234567890", OutOfReach),
            ("2016-12-31T23:59:60Z", LeapSecond),
            ("2016-12-31 23:59:60", LeapSecond),
        ] {
            assert_eq!(read(text, &ValueFormat::default()), Err(why), "{text}");
        }
    }

    #[test]
    fn a_declared_unit_is_not_guessed() {
        for (text, unit, expected) in [
            ("1", EpochUnit::Seconds, Ok("1970-01-01 00:00:01")),
            ("1.000001", EpochUnit::Seconds, Ok("1970-01-01 00:00:01.000001")),
            ("1", EpochUnit::Millis, Ok("1970-01-01 00:00:00.001")),
            ("1", EpochUnit::Micros, Ok("1970-01-01 00:00:00.000001")),
            ("-1", EpochUnit::Micros, Ok("1969-12-31 23:59:59.999999")),
            ("20240601", EpochUnit::Seconds, Ok("1970-08-23 06:23:21")),
            ("253402300800", EpochUnit::Seconds, Ok("+10000-01-01 00:00:00")),
            ("9223372036854775807", EpochUnit::Seconds, Err(NoTime::OutOfReach)),
            ("9223372036854775807", EpochUnit::Micros, Err(NoTime::OutOfReach)),
        ] {
            let format = ValueFormat { epoch: unit, ..ValueFormat::default() };
            assert_eq!(read(text, &format), expected.map(str::to_owned), "{text} {unit:?}");
        }
    }

    #[test]
    fn only_times_without_an_offset_are_in_the_declared_zone() {
        let format = ValueFormat { zone: Zone::parse("Europe/Berlin").unwrap(), ..ValueFormat::default() };
        for (text, expected) in [
            ("2024-06-01T12:30:00", Ok("2024-06-01 10:30:00")),
            ("2024-06-01", Ok("2024-05-31 22:00:00")),
            ("Sat, 01 Jun 2024 12:30:00", Ok("2024-06-01 10:30:00")),
            ("2024-06-01T12:30Z", Ok("2024-06-01 12:30:00")),
            ("2024-06-01T12:30:00Z", Ok("2024-06-01 12:30:00")),
            ("Sat, 01 Jun 2024 12:30:00 GMT", Ok("2024-06-01 12:30:00")),
            ("1717245000", Ok("2024-06-01 12:30:00")),
            ("2024-03-31 02:30:00", Err(NoTime::Naive(NotAnInstant::Skipped))),
            ("2024-10-27 02:30:00", Err(NoTime::Naive(NotAnInstant::Twice))),
            ("2024-10-27 02:30:00+01", Ok("2024-10-27 01:30:00")),
        ] {
            assert_eq!(read(text, &format), expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn fractions_are_cut_never_rounded() {
        let time = from_text("2024-06-01T23:59:59.999999Z", &ValueFormat::default()).unwrap();
        for (digits, expected) in
            [(0, "2024-06-01 23:59:59"), (3, "2024-06-01 23:59:59.999"), (6, "2024-06-01 23:59:59.999999")]
        {
            assert_eq!(day_and_time(cut_fraction(time, digits)).to_string(), expected);
        }
    }
}
