//! How a column's values are written in documents, where JSON leaves that open.

use chrono::offset::MappedLocalTime;
use chrono::{FixedOffset, NaiveDateTime, TimeZone};
use chrono_tz::Tz;

/// How documents write the values of one column. The default is what needs no setting: naive times are UTC, the size of
/// an epoch tells its unit, and a text is its own bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValueFormat {
    /// The zone of times that name none.
    pub zone: Zone,
    /// What the numbers count that are times.
    pub epoch: EpochUnit,
    /// How texts hold bytes.
    pub encoding: BytesEncoding,
}

/// The zone of naive times: those that are written without an offset.
///
/// A time that the zone's clocks passed over, or showed twice, is none: it is refused, and can be written with an
/// offset. Rules of summer time are known until the year 2099; after it clocks stay at standard time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zone {
    /// UTC.
    #[default]
    Utc,
    /// Always so far from UTC.
    Fixed(FixedOffset),
    /// A zone of the IANA database.
    Named(Tz),
}

/// What an epoch, the number of a time since 1970, counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EpochUnit {
    /// Its size tells: below 10^11 seconds (until the year 5138), below 10^14 milliseconds, below 10^17 microseconds.
    #[default]
    Auto,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
}

/// How a text holds the bytes of a column of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BytesEncoding {
    /// They are the text's own, in UTF-8.
    #[default]
    Text,
    /// Base64, in the standard alphabet (`+/`) or the one for URLs (`-_`), with or without padding.
    Base64,
    /// Two hexadecimal digits a byte, in either case; `\x` may stand before them.
    Hex,
}

/// Why a naive time is no instant in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAnInstant {
    /// The clocks passed it over.
    Skipped,
    /// The clocks showed it twice.
    Twice,
}

impl Zone {
    /// Reads `UTC`, an offset (`+02:00`) or a name of the IANA database (`Europe/Berlin`).
    ///
    /// # Errors
    /// What it should be.
    pub fn parse(text: &str) -> Result<Zone, String> {
        if matches!(text, "UTC" | "Z") {
            return Ok(Zone::Utc);
        }
        if text.starts_with(['+', '-']) {
            return text.parse().map(Zone::Fixed).map_err(|_| "must be an offset such as +02:00".to_owned());
        }
        text.parse().map(Zone::Named).map_err(|_| {
            "must be UTC, a name of the IANA time zones, such as Europe/Berlin, or an offset, such as +02:00".to_owned()
        })
    }

    /// The instant of a naive time, in microseconds since 1970.
    ///
    /// # Errors
    /// The zone's clocks did not show it exactly once.
    pub fn micros(self, time: NaiveDateTime) -> Result<i64, NotAnInstant> {
        let instant = match self {
            Zone::Utc => return Ok(time.and_utc().timestamp_micros()),
            Zone::Fixed(offset) => offset.from_local_datetime(&time).map(|time| time.timestamp_micros()),
            Zone::Named(zone) => zone.from_local_datetime(&time).map(|time| time.timestamp_micros()),
        };
        match instant {
            MappedLocalTime::Single(micros) => Ok(micros),
            MappedLocalTime::Ambiguous(..) => Err(NotAnInstant::Twice),
            MappedLocalTime::None => Err(NotAnInstant::Skipped),
        }
    }

    /// How far it is from UTC, if that is the same all year.
    pub fn offset(self) -> Option<FixedOffset> {
        match self {
            Zone::Utc => FixedOffset::east_opt(0),
            Zone::Fixed(offset) => Some(offset),
            Zone::Named(_) => None,
        }
    }
}

impl std::fmt::Display for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Zone::Utc => f.write_str("UTC"),
            Zone::Fixed(offset) => offset.fmt(f),
            Zone::Named(zone) => f.write_str(zone.name()),
        }
    }
}

impl EpochUnit {
    /// Reads `auto`, `s`, `ms` or `us`.
    ///
    /// # Errors
    /// What it should be.
    pub fn parse(text: &str) -> Result<EpochUnit, String> {
        match text {
            "auto" => Ok(EpochUnit::Auto),
            "s" => Ok(EpochUnit::Seconds),
            "ms" => Ok(EpochUnit::Millis),
            "us" => Ok(EpochUnit::Micros),
            _ => Err("must be one of auto, s, ms, us".to_owned()),
        }
    }
}

impl BytesEncoding {
    /// Reads `text`, `base64` or `hex`.
    ///
    /// # Errors
    /// What it should be.
    pub fn parse(text: &str) -> Result<BytesEncoding, String> {
        match text {
            "text" => Ok(BytesEncoding::Text),
            "base64" => Ok(BytesEncoding::Base64),
            "hex" => Ok(BytesEncoding::Hex),
            _ => Err("must be one of text, base64, hex".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_names_or_offsets() {
        for text in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "+02:00", "-05:30", "+14:00"] {
            assert_eq!(Zone::parse(text).map(|zone| zone.to_string()).as_deref(), Ok(text), "{text}");
        }
        for text in ["", "Berlin", "europe/berlin", "CEST", "+2", "02:00", "+25:00", "Europe/Berlin "] {
            assert!(Zone::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn clocks_that_jump_leave_no_guess() {
        let micros = |zone: &str, time: &str| {
            let time = NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M").unwrap();
            let utc = Zone::parse(zone).unwrap().micros(time)?;
            Ok(crate::row::day_and_time(utc).format("%Y-%m-%d %H:%M").to_string())
        };
        for (zone, time, expected) in [
            ("UTC", "2024-03-31 02:30", Ok("2024-03-31 02:30")),
            ("+02:00", "2024-03-31 02:30", Ok("2024-03-31 00:30")),
            ("Europe/Berlin", "2024-03-31 01:59", Ok("2024-03-31 00:59")),
            ("Europe/Berlin", "2024-03-31 02:00", Err(NotAnInstant::Skipped)),
            ("Europe/Berlin", "2024-03-31 02:59", Err(NotAnInstant::Skipped)),
            ("Europe/Berlin", "2024-03-31 03:00", Ok("2024-03-31 01:00")),
            ("Europe/Berlin", "2024-10-27 01:59", Ok("2024-10-26 23:59")),
            ("Europe/Berlin", "2024-10-27 02:00", Err(NotAnInstant::Twice)),
            ("Europe/Berlin", "2024-10-27 02:59", Err(NotAnInstant::Twice)),
            ("Europe/Berlin", "2024-10-27 03:00", Ok("2024-10-27 02:00")),
            ("Asia/Kathmandu", "2024-06-01 00:00", Ok("2024-05-31 18:15")),
        ] {
            assert_eq!(micros(zone, time), expected.map(str::to_owned), "{time} {zone}");
        }
    }

    #[test]
    fn units_and_encodings_have_short_names() {
        assert_eq!(["auto", "s", "ms", "us"].map(|name| EpochUnit::parse(name).is_ok()), [true; 4]);
        assert_eq!(["text", "base64", "hex"].map(|name| BytesEncoding::parse(name).is_ok()), [true; 3]);
        assert_eq!(EpochUnit::parse("ns"), Err("must be one of auto, s, ms, us".to_owned()));
        assert!(BytesEncoding::parse("Base64").is_err());
    }
}
