//! Lengths of time, as PostgreSQL counts them.

use std::fmt;

use crate::table::IntervalPart;

/// A length of time. Months and days have no fixed length, so they are kept apart from what has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// Twelve are a year.
    pub months: i32,
    /// Seven are a week.
    pub days: i32,
    /// All that is shorter than a day, in microseconds.
    pub micros: i64,
}

/// Sums that no part can overflow while it is read.
#[derive(Default)]
struct Sums {
    months: i128,
    days: i128,
    micros: i128,
    any: bool,
}

const SECOND: i128 = 1_000_000;

impl Interval {
    /// Reads an ISO 8601 duration (`P1Y2M3DT4H5M6.5S`, `P2W`, `-PT1H`, `PT-5M`) or PostgreSQL's own form
    /// (`1 year 2 mons -3 days 04:05:06.5`, `90 minutes`, `2 weeks ago`).
    ///
    /// Only what is shorter than a day may have a fraction, and only one that comes out in whole microseconds. `None` for
    /// everything else: there is no length that it surely means.
    pub fn parse(text: &str) -> Option<Interval> {
        let (sign, unsigned) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let sums = match unsigned.strip_prefix('P') {
            Some(parts) => iso(parts).map(|sums| sums.times(sign)),
            None => own(text),
        };
        let sums = sums.filter(|sums| sums.any)?;
        let (months, days) = (sums.months.try_into().ok()?, sums.days.try_into().ok()?);
        Some(Interval { months, days, micros: sums.micros.try_into().ok()? })
    }

    /// Whether a column that keeps nothing less than `smallest`, with that many digits of a second's fraction, keeps all.
    pub fn is_kept(&self, smallest: IntervalPart, fraction_digits: u32) -> bool {
        const MINUTE: i64 = 60 * SECOND as i64;
        let multiple_of = |micros| self.micros % micros == 0;
        match smallest {
            IntervalPart::Year => self.months % 12 == 0 && self.days == 0 && self.micros == 0,
            IntervalPart::Month => self.days == 0 && self.micros == 0,
            IntervalPart::Day => self.micros == 0,
            IntervalPart::Hour => multiple_of(60 * MINUTE),
            IntervalPart::Minute => multiple_of(MINUTE),
            IntervalPart::Second => multiple_of(10i64.pow(6 - fraction_digits.min(6))),
        }
    }
}

/// A form that [`Interval::parse`] and every version of PostgreSQL read, whatever its `IntervalStyle` is.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interval { months, days, micros } = self;
        let sign = if *micros < 0 { '-' } else { '+' };
        let (seconds, fraction) = (micros.unsigned_abs() / SECOND as u64, micros.unsigned_abs() % SECOND as u64);
        let (minutes, seconds) = (seconds / 60, seconds % 60);
        write!(f, "{months} mons {days} days {sign}{:02}:{:02}:{seconds:02}.{fraction:06}", minutes / 60, minutes % 60)
    }
}

impl Sums {
    /// Adds so many of a unit of which `micros` or `days` or `months` make one.
    fn add(&mut self, number: &str, unit: Unit) -> Option<()> {
        let (negative, digits) = match number.as_bytes().first()? {
            b'-' => (true, &number[1..]),
            b'+' => (false, &number[1..]),
            _ => (false, number),
        };
        let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, f)| (whole, Some(f)));
        let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
        const DIGITS_MAX: usize = 18;
        if !all_digits(whole) || whole.len() > DIGITS_MAX {
            return None;
        }
        let sign = if negative { -1 } else { 1 };
        let whole = whole.parse::<i128>().ok()? * sign;
        match (unit, fraction) {
            (Unit::Months(each), None) => self.months += whole * each,
            (Unit::Days(each), None) => self.days += whole * each,
            (Unit::Micros(each), None) => self.micros += whole * each,
            (Unit::Micros(each), Some(fraction)) if all_digits(fraction) && fraction.len() <= DIGITS_MAX => {
                let one = 10i128.pow(fraction.len() as u32);
                let part = fraction.parse::<i128>().ok()? * each;
                self.micros += (part % one == 0).then_some(whole * each + sign * part / one)?;
            }
            _ => return None,
        }
        self.any = true;
        Some(())
    }

    fn times(self, factor: i128) -> Sums {
        let Sums { months, days, micros, any } = self;
        Sums { months: months * factor, days: days * factor, micros: micros * factor, any }
    }
}

/// What a unit is so many of.
#[derive(Clone, Copy)]
enum Unit {
    Months(i128),
    Days(i128),
    Micros(i128),
}

const HOURS: Unit = Unit::Micros(3600 * SECOND);
const MINUTES: Unit = Unit::Micros(60 * SECOND);
const SECONDS: Unit = Unit::Micros(SECOND);

/// What follows the `P`.
fn iso(parts: &str) -> Option<Sums> {
    let mut sums = Sums::default();
    let (date, time) = parts.split_once('T').map_or((parts, None), |(date, time)| (date, Some(time)));
    let date_units = [('Y', Unit::Months(12)), ('M', Unit::Months(1)), ('W', Unit::Days(7)), ('D', Unit::Days(1))];
    let time_units = [('H', HOURS), ('M', MINUTES), ('S', SECONDS)];
    iso_parts(date, &date_units, &mut sums)?;
    match time {
        Some("") => None,
        Some(time) => iso_parts(time, &time_units, &mut sums).map(|()| sums),
        None => Some(sums),
    }
}

/// Numbers before letters, the letters in their order and each at most once.
fn iso_parts(mut rest: &str, units: &[(char, Unit)], sums: &mut Sums) -> Option<()> {
    for (letter, unit) in units {
        if let Some((number, after)) = rest.split_once(*letter)
            && !number.contains(|character: char| character.is_ascii_alphabetic())
        {
            sums.add(number, *unit)?;
            rest = after;
        }
    }
    rest.is_empty().then_some(())
}

/// PostgreSQL's own form.
fn own(text: &str) -> Option<Sums> {
    let mut words = text.split_ascii_whitespace();
    let mut sums = Sums::default();
    while let Some(word) = words.next() {
        if word == "ago" && sums.any {
            return words.next().is_none().then(|| sums.times(-1));
        }
        if word.contains(':') {
            time_of_day(word, &mut sums)?;
        } else {
            sums.add(word, unit(words.next()?)?)?;
        }
    }
    Some(sums)
}

fn time_of_day(word: &str, sums: &mut Sums) -> Option<()> {
    let (sign, unsigned) = match word.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", word.strip_prefix('+').unwrap_or(word)),
    };
    let mut parts = unsigned.split(':');
    for (unit, is_within_hour) in [(HOURS, false), (MINUTES, true), (SECONDS, true)] {
        let Some(part) = parts.next() else { continue };
        let whole = part.split('.').next().unwrap_or_default();
        let has_fraction = whole.len() < part.len();
        let fits = !is_within_hour || whole.len() == 2 && whole < "60";
        if !fits || has_fraction && !matches!(unit, Unit::Micros(SECOND)) {
            return None;
        }
        sums.add(&format!("{sign}{part}"), unit)?;
    }
    parts.next().is_none().then_some(())
}

fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "year" | "years" | "yr" | "yrs" => Unit::Months(12),
        "mon" | "mons" | "month" | "months" => Unit::Months(1),
        "week" | "weeks" => Unit::Days(7),
        "day" | "days" => Unit::Days(1),
        "hour" | "hours" | "hr" | "hrs" => HOURS,
        "minute" | "minutes" | "min" | "mins" => MINUTES,
        "second" | "seconds" | "sec" | "secs" => SECONDS,
        "millisecond" | "milliseconds" | "ms" => Unit::Micros(1_000),
        "microsecond" | "microseconds" | "us" => Unit::Micros(1),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_in_both_forms() {
        const HOUR: i64 = 3_600_000_000;
        for (text, months, days, micros) in [
            ("P1Y2M3DT4H5M6.5S", 14, 3, 4 * HOUR + 306_500_000),
            ("P2W", 0, 14, 0),
            ("P3M", 3, 0, 0),
            ("PT3M", 0, 0, 180_000_000),
            ("PT0.5H", 0, 0, HOUR / 2),
            ("PT0S", 0, 0, 0),
            ("-P1DT1S", 0, -1, -1_000_000),
            ("P1DT-1S", 0, 1, -1_000_000),
            ("PT-0.5S", 0, 0, -500_000),
            ("1 year 2 mons 3 days 04:05:06.5", 14, 3, 4 * HOUR + 306_500_000),
            ("-1 days +02:03", 0, -1, 2 * HOUR + 180_000_000),
            ("-00:00:01", 0, 0, -1_000_000),
            ("100:00:00", 0, 0, 100 * HOUR),
            ("90 minutes", 0, 0, 3 * HOUR / 2),
            ("1.5 hours", 0, 0, 3 * HOUR / 2),
            ("2 weeks 1 day ago", 0, -15, 0),
            ("PT9223372036854.775807S", 0, 0, i64::MAX),
        ] {
            let interval = Interval { months, days, micros };
            assert_eq!(Interval::parse(text), Some(interval), "{text}");
            assert_eq!(Interval::parse(&interval.to_string()), Some(interval), "{interval}");
        }
    }

    #[test]
    fn what_has_no_sure_length_is_none() {
        for text in [
            "",
            "P",
            "PT",
            "P1DT",
            "P1",
            "1",
            "P1S",
            "PT1D",
            "P1M1Y",
            "P1.5M",
            "P0.5D",
            "PT0.0000001S",
            "PT9223372036854.775808S",
            "P2147483648D",
            "1 day 2",
            "1.5 months",
            "1 fortnight",
            "ago",
            "1 day ago 2 days",
            "04:60:00",
            "04:5:00",
            "1:02:03:04",
            "--1 day",
            "-P-",
            "infinity",
        ] {
            assert_eq!(Interval::parse(text), None, "{text}");
        }
    }
}
