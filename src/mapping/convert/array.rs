//! JSON arrays to arrays of PostgreSQL.

use serde_json::value::RawValue;

use super::{json, shown};
use crate::event::{Rejection, RejectionClass};
use crate::row::{Array, RowWriter, Value};
use crate::table::{Column, ColumnKind};
use crate::value_format::ValueFormat;

/// Most dimensions of an array in PostgreSQL.
const DIMENSIONS_MAX: usize = 6;

/// An array whose elements are converted each by its own; arrays in it must have equal lengths.
pub fn convert(array: &str, element: &Column, format: &ValueFormat) -> Result<Value<'static>, Rejection> {
    let mut found = Found { element, format, lengths: Vec::new(), values: RowWriter::default() };
    found.list(array, 0)?;
    let Found { lengths, mut values, .. } = found;
    let lengths = if lengths == [0] { &[] } else { lengths.as_slice() };
    Ok(Value::Array(Array::new(lengths, values.finish())))
}

/// What was found of an array so far.
struct Found<'c> {
    element: &'c Column,
    format: &'c ValueFormat,
    /// Of each dimension, as the first list in it has it.
    lengths: Vec<u32>,
    values: RowWriter,
}

impl Found<'_> {
    fn list(&mut self, list: &str, depth: usize) -> Result<(), Rejection> {
        // Of bytes, so that the reader of texts has no user but `members`, and is a part of it there.
        let items: Vec<&RawValue> = serde_json::from_slice(list.as_bytes())
            .map_err(|error| Rejection::new(RejectionClass::BadJson, format!("{}: {error}", shown(list))))?;
        let length = u32::try_from(items.len()).unwrap_or(u32::MAX);
        if depth == DIMENSIONS_MAX {
            return Err(uneven(list, "has more than 6 dimensions"));
        }
        if self.lengths.len() == depth {
            self.lengths.push(length);
        }
        if self.lengths[depth] != length || depth > 0 && length == 0 {
            return Err(uneven(list, "is not as long as the arrays beside it, or is empty"));
        }
        for (place, item) in items.iter().enumerate() {
            let item = item.get();
            // An element of JSON may be an array itself.
            if item.starts_with('[') && self.element.kind != ColumnKind::Json {
                if place > 0 && self.lengths.len() == depth + 1 {
                    return Err(uneven(item, "stands beside a plain value"));
                }
                self.list(item, depth + 1)?;
            } else if self.lengths.len() > depth + 1 {
                return Err(uneven(item, "stands beside an array"));
            } else {
                let value = json(item, self.element, self.format);
                self.values.push(&value.map_err(|rejection| of_element(place, rejection))?);
            }
        }
        Ok(())
    }
}

fn of_element(place: usize, rejection: Rejection) -> Rejection {
    Rejection { message: format!("element {place}: {}", rejection.message), ..rejection }
}

fn uneven(item: &str, why: &str) -> Rejection {
    let message = format!("{} {why}: arrays within an array must have equal lengths", shown(item));
    Rejection::new(RejectionClass::WrongType, message)
}
