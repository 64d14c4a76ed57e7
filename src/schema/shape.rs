//! What values look like: the least that a column must take.

use crate::mapping::{NumberSize, instant_of, is_day, is_number};
use crate::value_format::ValueFormat;

/// What all values of a column have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// There was no value, or only null.
    #[default]
    Nothing,
    /// `true` and `false`
    Bool,
    /// Numbers.
    Number(Digits),
    /// Days.
    Date,
    /// Day and time; with an offset from UTC where `instant`.
    Time {
        /// Whether an offset says which instant it is.
        instant: bool,
    },
    /// UUIDs.
    Uuid,
    /// Encoded bytes.
    Bytes,
    /// Texts, or scalars of different types.
    Text,
    /// Objects and arrays, maybe other values among them.
    Json,
}

/// How large numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits {
    /// Most digits before the point.
    pub before: i64,
    /// Most digits after it.
    pub after: i64,
    /// Most digits of one number, without zeros at its ends.
    pub significant: i64,
    /// Whether all are whole and within 64 bits.
    pub whole: bool,
}

/// What was seen of a column's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What they look like.
    pub shape: Shape,
    /// Characters of the longest, as a text.
    pub chars: u64,
}

impl Seen {
    /// Values of this shape, none of which was seen.
    pub fn of(shape: Shape) -> Seen {
        Seen { shape, chars: 0 }
    }

    /// A JSON value.
    pub fn json(json: &str) -> Seen {
        match json.as_bytes().first() {
            // What is no text has been refused before.
            Some(b'"') => serde_json::from_str::<String>(json).map_or(Seen::of(Shape::Text), |text| Seen::text(&text)),
            Some(b't' | b'f') => Seen::shaped(Shape::Bool, json),
            Some(b'n') | None => Seen::default(),
            Some(b'[' | b'{') => Seen::shaped(Shape::Json, json),
            Some(_) => Seen::shaped(number(json), json),
        }
    }

    /// A value of a hash or of an entry's field, which is a text whatever it stands for.
    pub fn plain(text: &str) -> Seen {
        match text {
            "true" | "false" => Seen::shaped(Shape::Bool, text),
            text if is_number(text) => Seen::shaped(number(text), text),
            text => Seen::text(text),
        }
    }

    fn text(text: &str) -> Seen {
        Seen::shaped(text_shape(text), text)
    }

    fn shaped(shape: Shape, text: &str) -> Seen {
        Seen { shape, chars: text.chars().count() as u64 }
    }

    /// These values and others.
    pub fn and(self, other: Seen) -> Seen {
        Seen { shape: self.shape.and(other.shape), chars: self.chars.max(other.chars) }
    }
}

impl Shape {
    /// The least that takes both. Objects and arrays among other values are JSON; scalars of different types are text.
    fn and(self, other: Shape) -> Shape {
        use Shape::{Date, Json, Nothing, Number, Text, Time};
        match (self, other) {
            (Nothing, shape) | (shape, Nothing) => shape,
            (Number(one), Number(two)) => Number(Digits {
                before: one.before.max(two.before),
                after: one.after.max(two.after),
                significant: one.significant.max(two.significant),
                whole: one.whole && two.whole,
            }),
            (Time { instant: one }, Time { instant: two }) => Time { instant: one || two },
            // A day alone is its midnight.
            (Date, Time { instant }) | (Time { instant }, Date) => Time { instant },
            (one, two) if one == two => one,
            (Json, _) | (_, Json) => Json,
            _ => Text,
        }
    }
}

fn number(number: &str) -> Shape {
    // An exponent beyond all reason.
    const BEYOND: i64 = i64::MAX / 4;
    let size = NumberSize::of(number);
    let (before, after, significant) = size.map_or((BEYOND, 0, 1), |size| (size.before, size.after, size.significant));
    // 42.0 stands among numbers with fractions.
    let whole = !number.contains('.') && after <= 0 && (before <= 18 || number.parse::<i64>().is_ok());
    Shape::Number(Digits { before: before.max(0), after: after.max(0), significant, whole })
}

fn text_shape(text: &str) -> Shape {
    const UUID_CHARS: usize = 36;
    // Without its hyphens it may as well be a checksum.
    if text.len() == UUID_CHARS && uuid::Uuid::try_parse(text).is_ok() {
        return Shape::Uuid;
    }
    if is_day(text) {
        return Shape::Date;
    }
    let (day, time) = text.split_at_checked(10).unwrap_or_default();
    if is_day(day) && time.starts_with(['T', ' ']) && instant_of(text, &ValueFormat::default()).is_ok() {
        return Shape::Time { instant: time.contains(['Z', 'z', '+', '-']) };
    }
    Shape::Text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(before: i64, after: i64, significant: i64, whole: bool) -> Shape {
        Shape::Number(Digits { before, after, significant, whole })
    }

    #[test]
    fn a_value_is_looked_at_as_it_stands_in_the_document() {
        for (json, shape) in [
            ("null", Shape::Nothing),
            ("true", Shape::Bool),
            ("42", digits(2, 0, 2, true)),
            ("-9223372036854775808", digits(19, 0, 19, true)),
            ("9223372036854775808", digits(19, 0, 19, false)),
            ("1e3", digits(4, 0, 1, true)),
            ("42.0", digits(2, 0, 2, false)),
            ("12345678901234567890.123456789", digits(20, 9, 29, false)),
            ("1e-7", digits(0, 7, 1, false)),
            (r#""2024-06-01""#, Shape::Date),
            (r#""2024-06-01T12:30:00Z""#, Shape::Time { instant: true }),
            (r#""2024-06-01 12:30:00.5-05:30""#, Shape::Time { instant: true }),
            (r#""2024-06-01T12:30:00""#, Shape::Time { instant: false }),
            (r#""2024-06-31T12:30:00""#, Shape::Text),
            (r#""2024-06-01 was a Saturday""#, Shape::Text),
            (r#""a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11""#, Shape::Uuid),
            (r#""a0eebc999c0b4ef8bb6d6bb9bd380a11""#, Shape::Text),
            (r#""42""#, Shape::Text),
            (r#""""#, Shape::Text),
            ("[1]", Shape::Json),
            ("{}", Shape::Json),
        ] {
            assert_eq!(Seen::json(json).shape, shape, "{json}");
        }
        assert_eq!(Seen::json(r#""gr\u00f6\u00dfe""#).chars, 5);
    }

    #[test]
    fn a_plain_text_is_what_it_reads_as() {
        for (text, shape) in [
            ("42", digits(2, 0, 2, true)),
            ("007", Shape::Text),
            ("true", Shape::Bool),
            ("", Shape::Text),
            ("{\"a\":1}", Shape::Text),
            ("2024-06-01", Shape::Date),
        ] {
            assert_eq!(Seen::plain(text).shape, shape, "{text}");
        }
    }

    #[test]
    fn what_takes_several_values_takes_each_of_them() {
        for (values, shape) in [
            (&["null", "1", "null"][..], digits(1, 0, 1, true)),
            (&["1000", "0.25", "3"], digits(4, 2, 2, false)),
            (&[r#""2024-06-01""#, r#""2024-06-01T12:30:00""#], Shape::Time { instant: false }),
            (&[r#""2024-06-01T12:30:00""#, r#""2024-06-01T12:30:00Z""#], Shape::Time { instant: true }),
            (&["1", r#""1""#], Shape::Text),
            (&["true", "1"], Shape::Text),
            (&["1", "[1]"], Shape::Json),
            (&["{}", r#""x""#, "1"], Shape::Json),
            (&[r#""2024-06-01""#, r#""soon""#], Shape::Text),
            (&[r#""a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11""#, r#""none""#], Shape::Text),
        ] {
            let seen = |values: &mut dyn Iterator<Item = &&str>| {
                values.map(|json| Seen::json(json)).fold(Seen::default(), Seen::and)
            };
            assert_eq!(seen(&mut values.iter()).shape, shape, "{values:?}");
            assert_eq!(seen(&mut values.iter().rev()).shape, shape, "{values:?} the other way round");
        }
    }
}
