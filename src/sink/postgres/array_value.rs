//! Pure: an array that is the value of one column, in PostgreSQL's binary form and as a text.

use std::fmt::Write;

use super::binary::{Form, Unfit, run_of};
use crate::row::{Array, Value, day_and_time};

/// The binary form of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    form: &'static Form,
    /// The number of the type, the same on every server.
    oid: u32,
}

impl Element {
    /// The form of a type's values, by the type's quoted name, if the server knows it by a number that is known here.
    pub fn of(cast_type: &str) -> Option<Element> {
        let name = cast_type.strip_prefix(r#""pg_catalog".""#)?.strip_suffix('"')?;
        let (form, oid) = match name {
            "bool" => (&Form::Bool, 16),
            "bytea" => (&Form::Bytes, 17),
            "int8" => (&Form::Int8, 20),
            "int2" => (&Form::Int2, 21),
            "int4" => (&Form::Int4, 23),
            "text" => (&Form::Text, 25),
            "json" => (&Form::Text, 114),
            "cidr" => (&Form::Cidr, 650),
            "float4" => (&Form::Float4, 700),
            "float8" => (&Form::Float8, 701),
            "macaddr8" => (&Form::Mac, 774),
            "macaddr" => (&Form::Mac, 829),
            "inet" => (&Form::Inet, 869),
            "bpchar" => (&Form::Text, 1042),
            "varchar" => (&Form::Text, 1043),
            "date" => (&Form::Date, 1082),
            "time" => (&Form::Time, 1083),
            "timestamp" => (&Form::Timestamp, 1114),
            "timestamptz" => (&Form::Timestamp, 1184),
            "interval" => (&Form::Interval, 1186),
            "timetz" => (&Form::TimeWithOffset, 1266),
            "numeric" => (&Form::Numeric, 1700),
            "uuid" => (&Form::Uuid, 2950),
            "jsonb" => (&Form::Jsonb, 3802),
            _ => return None,
        };
        Some(Element { form, oid })
    }

    /// Adds an array with its length before it.
    pub fn put(self, array: &Array<'_>, into: &mut Vec<u8>) -> Result<(), Unfit> {
        const MAY_HOLD_NULL: u32 = 1;
        const FIRST_INDEX: u32 = 1;
        run_of(into, |into| {
            for word in [array.lengths().len() as u32, MAY_HOLD_NULL, self.oid] {
                into.extend_from_slice(&word.to_be_bytes());
            }
            for length in array.lengths() {
                into.extend_from_slice(&length.to_be_bytes());
                into.extend_from_slice(&FIRST_INDEX.to_be_bytes());
            }
            array.values().try_for_each(|value| self.form.put(&value, into))
        })
    }
}

/// The text `{"1",NULL}` of an array, which a cast reads. Everything but NULL is quoted.
pub fn literal(array: &Array<'_>) -> Result<String, Unfit> {
    let lengths: Vec<u32> = array.lengths().collect();
    if lengths.is_empty() {
        return Ok("{}".to_owned());
    }
    let mut literal = String::new();
    for (nth, value) in (0u64..).zip(array.values()) {
        // How many lists begin, and end, with this value.
        let ends_at = |nth: u64| {
            let mut size = 1;
            lengths
                .iter()
                .rev()
                .take_while(|length| {
                    size *= u64::from(**length);
                    nth.is_multiple_of(size)
                })
                .count()
        };
        literal.push_str(if nth > 0 { "," } else { "" });
        literal.push_str(&"{".repeat(ends_at(nth)));
        element(&value, &mut literal)?;
        literal.push_str(&"}".repeat(ends_at(nth + 1)));
    }
    Ok(literal)
}

fn element(value: &Value<'_>, into: &mut String) -> Result<(), Unfit> {
    let written = match value {
        Value::Null => write!(into, "NULL"),
        Value::Bool(value) => write!(into, r#""{value}""#),
        Value::Int(value) => write!(into, r#""{value}""#),
        Value::UInt(value) => write!(into, r#""{value}""#),
        Value::Float(value) => write!(into, r#""{value:e}""#),
        Value::Timestamp(micros) => write!(into, r#""{}""#, day_and_time(*micros)),
        Value::Text(text) => {
            into.push('"');
            for character in text.chars() {
                into.push_str(if matches!(character, '"' | '\\') { "\\" } else { "" });
                into.push(character);
            }
            write!(into, "\"")
        }
        Value::Bytes(bytes) => {
            into.push_str(r#""\\x"#);
            bytes.iter().try_for_each(|byte| write!(into, "{byte:02x}")).and_then(|()| write!(into, "\""))
        }
        Value::Array(_) => return Err("an array as the element of an array"),
    };
    written.map_err(|_| "it cannot be written as a text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;

    fn array(lengths: &[u32], values: &[Value<'static>]) -> Array<'static> {
        Array::new(lengths, values.iter().cloned().collect::<Row>())
    }

    #[test]
    fn a_text_has_the_shape_of_the_array() {
        let int = |n| Value::Int(n);
        for (array, expected) in [
            (array(&[], &[]), "{}"),
            (array(&[1], &[Value::Null]), "{NULL}"),
            (array(&[3], &[int(1), Value::Null, int(-3)]), r#"{"1",NULL,"-3"}"#),
            (array(&[2, 2], &[int(1), int(2), int(3), int(4)]), r#"{{"1","2"},{"3","4"}}"#),
            (array(&[1, 2, 1], &[int(1), int(2)]), r#"{{{"1"},{"2"}}}"#),
            (
                array(&[4], &[Value::text(r#"a"b\c,{}"#), Value::text(""), Value::text("NULL"), Value::Float(1e300)]),
                r#"{"a\"b\\c,{}","","NULL","1e300"}"#,
            ),
            (array(&[1], &[Value::Bytes(vec![0, 255].into())]), r#"{"\\x00ff"}"#),
            (array(&[2], &[Value::Timestamp(0), Value::Bool(true)]), r#"{"1970-01-01 00:00:00","true"}"#),
        ] {
            assert_eq!(literal(&array).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn the_binary_form_has_dimensions_and_elements() {
        let mut bytes = Vec::new();
        let element = Element::of(r#""pg_catalog"."int2""#).unwrap();
        element.put(&array(&[2], &[Value::Int(7), Value::Null]), &mut bytes).unwrap();
        let words = [30, 1, 1, 21, 2, 1, 2].map(u32::to_be_bytes).concat();
        let expected = [words.as_slice(), &[0, 7], &[255; 4]].concat();
        assert_eq!(bytes, expected);
        assert!(element.put(&array(&[1], &[Value::Int(40_000)]), &mut Vec::new()).is_err());
        assert_eq!(Element::of(r#""public"."int2""#), None);
    }
}
