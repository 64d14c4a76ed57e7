//! Two changes of one row, put together into one with the same effect.

use std::str::FromStr;

use bigdecimal::BigDecimal;

use super::change::Places;
use crate::row::{Row, Value};

/// A row, and the places of its values if they are not all.
pub type Layer<'a> = (&'a Row, Option<&'a Places>);

/// The values of `below` with those of `above` over them; at the places of `adds` their sums. `None` if there is a sum that
/// only the database knows.
pub fn put_over(below: Layer<'_>, above: Layer<'_>, adds: &[usize]) -> Option<(Row, Option<Places>)> {
    let (mut values, mut over) = (placed(below), placed(above).into_iter().peekable());
    let mut all = Vec::with_capacity(values.len());
    for (place, value) in values.drain(..) {
        while let Some(only) = over.next_if(|(other, _)| *other < place) {
            all.push(only);
        }
        let value = match over.next_if(|(other, _)| *other == place) {
            Some((_, new)) if adds.contains(&place) => sum(&value, &new)?,
            Some((_, new)) => new,
            None => value,
        };
        all.push((place, value));
    }
    all.extend(over);
    let whole = below.1.is_none() || above.1.is_none();
    let places = (!whole).then(|| Places::new(all.iter().map(|(place, _)| *place).collect()));
    Some((all.into_iter().map(|(_, value)| value).collect(), places))
}

/// Each value with its place.
fn placed<'a>((row, places): Layer<'a>) -> Vec<(usize, Value<'a>)> {
    match places {
        Some(places) => places.iter().copied().zip(row.values()).collect(),
        None => row.values().enumerate().collect(),
    }
}

/// `None` where adding both to a value that is not known here might give another result than adding their sum: floats.
fn sum(one: &Value<'_>, other: &Value<'_>) -> Option<Value<'static>> {
    let integer = |value: &Value<'_>| match value {
        Value::Int(value) => Some(i128::from(*value)),
        Value::UInt(value) => Some(i128::from(*value)),
        _ => None,
    };
    if let Some((one, other)) = integer(one).zip(integer(other)) {
        let sum = one + other;
        return i64::try_from(sum).map(Value::Int).or_else(|_| u64::try_from(sum).map(Value::UInt)).ok();
    }
    match (one, other) {
        (Value::Text(one), Value::Text(other)) => {
            let sum = BigDecimal::from_str(one).ok()? + BigDecimal::from_str(other).ok()?;
            Some(Value::text(sum.to_plain_string()))
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn row(values: &[i64]) -> Row {
        values.iter().map(|value| Value::Int(*value)).collect()
    }

    #[test]
    fn what_is_above_counts_and_the_rest_stays() {
        let places = |places: &[usize]| Some(Places::new(places.to_vec()));
        for (below, of_below, above, of_above, expected, of_expected) in [
            (&[1, 2, 3][..], None, &[1, 9][..], places(&[0, 2]), &[1, 2, 9][..], None),
            (&[1, 2], places(&[0, 1]), &[1, 9], places(&[0, 3]), &[1, 2, 9], places(&[0, 1, 3])),
            (&[1, 9], places(&[0, 3]), &[1, 2, 8], places(&[0, 1, 3]), &[1, 2, 8], places(&[0, 1, 3])),
            (&[1, 9], places(&[0, 1]), &[1, 2, 3], None, &[1, 2, 3], None),
        ] {
            let put = put_over((&row(below), of_below.as_ref()), (&row(above), of_above.as_ref()), &[]).unwrap();
            assert_eq!(put, (row(expected), of_expected));
        }
    }

    #[test]
    fn sums_are_exact_or_left_to_the_database() {
        let text = |text: &'static str| Value::text(text);
        for (one, other, expected) in [
            (Value::Int(1), Value::Int(-3), Some(Value::Int(-2))),
            (Value::Int(i64::MAX), Value::Int(1), Some(Value::UInt(1 << 63))),
            (Value::Int(i64::MIN), Value::Int(-1), None),
            (Value::UInt(u64::MAX), Value::Int(1), None),
            (text("0.10"), text("12345678901234567890.123456789"), Some(text("12345678901234567890.223456789"))),
            (text("-1"), text("1.5"), Some(text("0.5"))),
            (text("1"), Value::Null, None),
            (Value::Float(0.1), Value::Float(0.2), None),
        ] {
            assert_eq!(sum(&one, &other), expected, "{one:?} + {other:?}");
        }
    }
}
