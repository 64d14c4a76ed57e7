//! Times out of documents: ISO 8601 texts and Unix epochs, to UTC. All are microseconds since 1970.

use chrono::{DateTime, NaiveDate, NaiveDateTime};

/// The UTC time of an ISO 8601 text (`2024-06-01T12:30:00.5Z`, `2024-06-01 12:30:00+02:00`, `2024-06-01`).
/// Without a zone it is taken as UTC, a day alone as its midnight. Digits only are an epoch: see [`from_epoch`].
pub fn from_text(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    let with_zone = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"];
    if let Some(time) = with_zone.iter().find_map(|form| DateTime::parse_from_str(text, form).ok()) {
        return Some(time.timestamp_micros());
    }
    let without_zone = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    if let Some(time) = without_zone.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()) {
        return Some(micros(time));
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return day.and_hms_opt(0, 0, 0).map(micros);
    }
    from_epoch(text)
}

/// The UTC time of an epoch written as a decimal number. Its size tells the unit: below 10^11 seconds (until the
/// year 5138), below 10^14 milliseconds, below 10^17 microseconds. Seconds and milliseconds may have a fraction.
pub fn from_epoch(number: &str) -> Option<i64> {
    let (negative, digits) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 17 || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let (unit_micros, fraction_digits) = match whole {
        0..100_000_000_000 => (1_000_000, 6),
        100_000_000_000..100_000_000_000_000 => (1_000, 3),
        100_000_000_000_000..100_000_000_000_000_000 => (1, 0),
        _ => return None,
    };
    let fraction: String = fraction.chars().chain("000000".chars()).take(fraction_digits).collect();
    let fraction: i64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let micros = whole * unit_micros + fraction;
    Some(if negative { -micros } else { micros })
}

/// Whether the calendar has this time.
pub fn exists(micros: i64) -> bool {
    DateTime::from_timestamp_micros(micros).is_some()
}

/// Cuts a second's fraction to `digits`, 0 to 6: databases differ in rounding it, and a time must never move forward.
pub fn cut_fraction(micros: i64, digits: u32) -> i64 {
    micros - micros.rem_euclid(10i64.pow(6 - digits.min(6)))
}

fn micros(time: NaiveDateTime) -> i64 {
    time.and_utc().timestamp_micros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::day_and_time;

    #[test]
    fn iso_and_epoch_forms_give_utc() {
        for (text, expected) in [
            ("2024-06-01T12:30:00Z", "2024-06-01 12:30:00"),
            ("2024-06-01T12:30:00.123456Z", "2024-06-01 12:30:00.123456"),
            ("2024-06-01T12:30:00+02:00", "2024-06-01 10:30:00"),
            ("2024-06-01T12:30:00-0530", "2024-06-01 18:00:00"),
            ("2024-06-01T12:30:00+02", "2024-06-01 10:30:00"),
            ("2024-06-01 12:30:00.5", "2024-06-01 12:30:00.500"),
            ("2024-06-01T12:30", "2024-06-01 12:30:00"),
            ("2024-06-01", "2024-06-01 00:00:00"),
            ("2024-02-29T00:00:00", "2024-02-29 00:00:00"),
            ("0", "1970-01-01 00:00:00"),
            ("1717245000", "2024-06-01 12:30:00"),
            ("1717245000.25", "2024-06-01 12:30:00.250"),
            ("1717245000123", "2024-06-01 12:30:00.123"),
            ("1717245000123456", "2024-06-01 12:30:00.123456"),
            ("-1.5", "1969-12-31 23:59:58.500"),
        ] {
            assert_eq!(from_text(text).map(|t| day_and_time(t).to_string()).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in
            ["", "now", "2024-13-01", "2023-02-29", "2024-06-01T25:00:00", "1e9", "12345678901234567890", "-", ".5"]
        {
            assert_eq!(from_text(text), None, "{text}");
        }
    }

    #[test]
    fn fractions_are_cut_never_rounded() {
        let time = from_text("2024-06-01T23:59:59.999999Z").unwrap();
        for (digits, expected) in
            [(0, "2024-06-01 23:59:59"), (3, "2024-06-01 23:59:59.999"), (6, "2024-06-01 23:59:59.999999")]
        {
            assert_eq!(day_and_time(cut_fraction(time, digits)).to_string(), expected);
        }
    }
}
