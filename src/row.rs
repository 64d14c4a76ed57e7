//! Pure: values on their way to the columns of a table, and rows as one run of bytes each.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, NaiveDateTime};

/// A value on its way to a column; borrowed where it stands in a document or a row as it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// NULL
    Null,
    /// Boolean.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Whole number over [`i64::MAX`].
    UInt(u64),
    /// Binary floating point, always finite.
    Float(f64),
    /// Text, and every type that the database reads from text: decimals, UUID, JSON, dates, times.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// Values in one or more dimensions.
    Array(Array<'a>),
    /// Day and time in UTC, in microseconds since 1970.
    Timestamp(i64),
}

/// Values in a list, or in lists of lists of equal lengths: the number of dimensions, the length of each in 4 bytes, and the
/// values as in a [`Row`]. All in one run, so that every other value stays small.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<'a>(Cow<'a, [u8]>);

impl Array<'static> {
    /// An array of `values`, which are as many as the product of the lengths says. There are at most 255 of these.
    pub fn new(lengths: &[u32], values: Row) -> Self {
        let lengths_bytes = lengths.iter().flat_map(|length| length.to_ne_bytes());
        Array([lengths.len() as u8].into_iter().chain(lengths_bytes).chain(values.0).collect())
    }
}

impl Array<'_> {
    /// The lengths of the lists, the outermost first; none of them is 0, and there are none in an empty array.
    pub fn lengths(&self) -> impl DoubleEndedIterator<Item = u32> + ExactSizeIterator {
        let length = |bytes: &[u8]| bytes.try_into().map(u32::from_ne_bytes).unwrap_or_default();
        self.parts().0.chunks_exact(LENGTH_BYTES).map(length)
    }

    /// The values, the last dimension's one after another.
    pub fn values(&self) -> impl Iterator<Item = Value<'_>> {
        Runs(self.parts().1).map(|run| value_of(run))
    }

    fn parts(&self) -> (&[u8], &[u8]) {
        let (dimensions, rest) = self.0.split_first().unwrap_or((&0, &[]));
        rest.split_at_checked(usize::from(*dimensions) * LENGTH_BYTES).unwrap_or_default()
    }
}

/// What a value weighs in a statement that has no length of its own, and what is around one that has.
const SCALAR_BYTES: usize = 16;

/// Bytes of a dimension's length.
const LENGTH_BYTES: usize = 4;

impl<'a> Value<'a> {
    /// A text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Value::Text(text.into())
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(value) => Value::Bool(value),
            Value::Int(value) => Value::Int(value),
            Value::UInt(value) => Value::UInt(value),
            Value::Float(value) => Value::Float(value),
            Value::Text(text) => Value::Text(text.into_owned().into()),
            Value::Bytes(bytes) => Value::Bytes(bytes.into_owned().into()),
            Value::Timestamp(micros) => Value::Timestamp(micros),
            Value::Array(array) => Value::Array(Array(array.0.into_owned().into())),
        }
    }

    /// The same, borrowed.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Value::Text(text) => Value::text(text.as_ref()),
            Value::Bytes(bytes) => Value::Bytes(bytes.as_ref().into()),
            scalar => scalar.clone().into_owned(),
        }
    }

    /// What the value weighs in a statement, in bytes, roughly.
    pub fn bytes(&self) -> usize {
        match self {
            Value::Text(text) => text.len() + SCALAR_BYTES,
            Value::Bytes(bytes) => bytes.len() + SCALAR_BYTES,
            Value::Array(array) => array.0.len() + SCALAR_BYTES,
            _ => SCALAR_BYTES,
        }
    }
}

/// The day and time of a [`Value::Timestamp`].
pub fn day_and_time(micros: i64) -> NaiveDateTime {
    DateTime::from_timestamp_micros(micros).unwrap_or_default().naive_utc()
}

/// The values of one row, one after another in one run of bytes, which is a part of a larger one that the rows made with
/// it share. Values that are equal are equal bytes, and no two of them run into each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Row(Bytes);

/// Makes rows, one after another. They are made by one thread and dropped by another: what they share is a piece of memory
/// for hundreds of them.
#[derive(Debug, Default)]
pub struct RowWriter(BytesMut);

/// Bytes of a piece of memory that rows share, if none of them is larger.
const PIECE_BYTES: usize = 64 << 10;

/// What begins each value in a [`Row`].
mod tag {
    pub const NULL: u8 = 0;
    pub const FALSE: u8 = 1;
    pub const TRUE: u8 = 2;
    pub const INT: u8 = 3;
    pub const UINT: u8 = 4;
    pub const FLOAT: u8 = 5;
    pub const TEXT: u8 = 6;
    pub const BYTES: u8 = 7;
    pub const ARRAY: u8 = 8;
    pub const TIMESTAMP: u8 = 9;
}

impl RowWriter {
    /// Adds the value of the next column.
    pub fn push(&mut self, value: &Value<'_>) {
        match value {
            Value::Null => self.bytes(&[tag::NULL]),
            Value::Bool(value) => self.bytes(&[if *value { tag::TRUE } else { tag::FALSE }]),
            Value::Int(value) => self.scalar(tag::INT, value.to_ne_bytes()),
            Value::UInt(value) => self.scalar(tag::UINT, value.to_ne_bytes()),
            Value::Float(value) => self.scalar(tag::FLOAT, value.to_ne_bytes()),
            Value::Text(text) => self.run(tag::TEXT, text.as_bytes()),
            Value::Bytes(bytes) => self.run(tag::BYTES, bytes),
            Value::Timestamp(micros) => self.scalar(tag::TIMESTAMP, micros.to_ne_bytes()),
            Value::Array(array) => self.run(tag::ARRAY, &array.0),
        }
    }

    fn scalar(&mut self, tag: u8, value: [u8; 8]) {
        let mut tagged = [tag; 9];
        tagged[1..].copy_from_slice(&value);
        self.bytes(&tagged);
    }

    fn run(&mut self, tag: u8, bytes: &[u8]) {
        self.scalar(tag, (bytes.len() as u64).to_ne_bytes());
        self.bytes(bytes);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if self.0.capacity() - self.0.len() < bytes.len() {
            self.0.reserve(bytes.len().max(PIECE_BYTES));
        }
        self.0.extend_from_slice(bytes);
    }

    /// The row of what was added since the last one.
    pub fn finish(&mut self) -> Row {
        Row(self.0.split().freeze())
    }

    /// Forgets what was added since the last row.
    pub fn discard(&mut self) {
        self.0.clear();
    }
}

impl Row {
    /// The values, in the order of the columns.
    pub fn values(&self) -> impl Iterator<Item = Value<'_>> {
        Runs(&self.0).map(|run| value_of(run))
    }

    /// The same as they stand in the row, for who passes texts on as they are.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        Runs(&self.0).map(Cell)
    }

    /// The value of one column.
    pub fn value(&self, place: usize) -> Option<Value<'_>> {
        self.values().nth(place)
    }

    /// The bytes of some columns' values, in the order of `places`, which must be there: equal for equal values.
    pub fn key(&self, places: &[usize]) -> Cow<'_, [u8]> {
        let run = |place: &usize| Runs(&self.0).nth(*place).unwrap_or_default();
        match places {
            [place] => Cow::Borrowed(run(place)),
            places => Cow::Owned(places.iter().flat_map(run).copied().collect()),
        }
    }

    /// The values of some columns, in the order of `places`.
    pub fn some(&self, places: &[usize]) -> impl Iterator<Item = Value<'_>> {
        places.iter().filter_map(|place| self.value(*place))
    }

    /// All of its bytes: what [`Row::key`] gives for a row that is only a key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What the row weighs, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// The bytes of a text. It was one when it was pushed, and is not looked at again.
#[derive(Clone, Copy, Debug)]
pub struct Utf8<'a>(&'a [u8]);

impl<'a> Utf8<'a> {
    /// The bytes.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }
}

/// A value as it stands in a row.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a>(&'a [u8]);

impl<'a> Cell<'a> {
    /// It, if it is a text.
    #[inline(always)]
    pub fn text(self) -> Option<Utf8<'a>> {
        self.0.get(HEAD..).filter(|_| self.0[0] == tag::TEXT).map(Utf8)
    }

    /// The value.
    #[inline(always)]
    pub fn value(self) -> Value<'a> {
        value_of(self.0)
    }

    /// What it weighs in a statement, as [`Value::bytes`].
    pub fn bytes(self) -> usize {
        self.text().map_or_else(|| self.value().bytes(), |text| text.0.len() + SCALAR_BYTES)
    }
}

impl<'a> FromIterator<Value<'a>> for Row {
    fn from_iter<I: IntoIterator<Item = Value<'a>>>(values: I) -> Self {
        let mut row = RowWriter::default();
        values.into_iter().for_each(|value| row.push(&value));
        row.finish()
    }
}

/// What is left of a row, taken apart into the bytes of each value.
struct Runs<'a>(&'a [u8]);

/// Bytes of a tag and a scalar, or the length of a run.
const HEAD: usize = 9;

impl<'a> Iterator for Runs<'a> {
    type Item = &'a [u8];

    /// Stands in the loop over all values of every row.
    #[inline(always)]
    fn next(&mut self) -> Option<&'a [u8]> {
        let length = match *self.0.first()? {
            tag::NULL | tag::FALSE | tag::TRUE => 1,
            tag::TEXT | tag::BYTES | tag::ARRAY => HEAD + u64::from_ne_bytes(scalar(self.0)) as usize,
            _ => HEAD,
        };
        let (run, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(run)
    }
}

#[inline]
fn scalar(run: &[u8]) -> [u8; 8] {
    run.get(1..HEAD).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
}

/// As does this.
#[inline(always)]
fn value_of(run: &[u8]) -> Value<'_> {
    let content = || run.get(HEAD..).unwrap_or_default();
    match run.first() {
        Some(&tag::FALSE) => Value::Bool(false),
        Some(&tag::TRUE) => Value::Bool(true),
        Some(&tag::INT) => Value::Int(i64::from_ne_bytes(scalar(run))),
        Some(&tag::UINT) => Value::UInt(u64::from_ne_bytes(scalar(run))),
        Some(&tag::FLOAT) => Value::Float(f64::from_ne_bytes(scalar(run))),
        Some(&tag::TIMESTAMP) => Value::Timestamp(i64::from_ne_bytes(scalar(run))),
        // It was a text when it was pushed.
        Some(&tag::TEXT) => Value::text(std::str::from_utf8(content()).unwrap_or_default()),
        Some(&tag::BYTES) => Value::Bytes(content().into()),
        Some(&tag::ARRAY) => array_of(content()),
        _ => Value::Null,
    }
}

/// Apart, because few rows have one.
#[cold]
#[inline(never)]
fn array_of(content: &[u8]) -> Value<'_> {
    Value::Array(Array(content.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Value<'static>> {
        vec![
            Value::Null,
            Value::Bool(true),
            Value::Bool(false),
            Value::Int(i64::MIN),
            Value::UInt(u64::MAX),
            Value::Float(-0.5),
            Value::text(""),
            Value::text("größe\n"),
            Value::Bytes(vec![0, 255].into()),
            Value::Timestamp(-1),
            Value::Array(Array::new(&[], Row::default())),
            Value::Array(Array::new(&[1, 2], [Value::Null, Value::text("a")].into_iter().collect())),
            Value::Array(Array::new(&[2, 1], [Value::Null, Value::text("a")].into_iter().collect())),
        ]
    }

    #[test]
    fn a_row_gives_back_what_was_pushed() {
        let row: Row = all().into_iter().collect();
        assert_eq!(row.values().collect::<Vec<_>>(), all());
        assert_eq!(row.value(7), Some(Value::text("größe\n")));
        assert_eq!(row.value(all().len()), None);
        assert_eq!(Row::default().values().count(), 0);
    }

    #[test]
    fn rows_that_share_memory_are_apart() {
        let mut rows = RowWriter::default();
        rows.push(&Value::Int(0));
        rows.discard();
        let long = "x".repeat(PIECE_BYTES / 3);
        let values = |n: i64| [Value::Int(n), Value::text(long.as_str()), Value::Null];
        let made: Vec<Row> = (0..10)
            .map(|n| {
                values(n).iter().for_each(|value| rows.push(value));
                rows.finish()
            })
            .collect();
        for (n, row) in (0..).zip(&made) {
            assert_eq!(row.values().collect::<Vec<_>>(), values(n));
        }
    }

    #[test]
    fn keys_are_equal_exactly_where_values_are() {
        let row = |values: &[&'static str]| values.iter().map(|text| Value::text(*text)).collect::<Row>();
        let (one, other) = (row(&["ab", "c", "x"]), row(&["a", "bc", "x"]));
        assert_ne!(one.key(&[0, 1]), other.key(&[0, 1]), "values run into each other");
        assert_eq!(one.key(&[2]), other.key(&[2]));
        assert_eq!(one.key(&[1]), row(&["c"]).as_bytes());
        for (place, value) in all().iter().enumerate() {
            for (other_place, other) in all().iter().enumerate() {
                let key = |value: &Value<'static>| [value.clone()].into_iter().collect::<Row>();
                assert_eq!(key(value) == key(other), place == other_place, "{value:?} and {other:?}");
            }
        }
    }

    #[test]
    fn an_array_keeps_its_shape_and_its_values() {
        let values = [Value::Int(1), Value::Null, Value::text("x"), Value::Bool(true)];
        let array = Array::new(&[2, 2], values.iter().cloned().collect());
        let row: Row = [Value::Array(array), Value::Int(7)].into_iter().collect();
        let Some(Value::Array(array)) = row.value(0) else { panic!("not an array: {row:?}") };
        assert_eq!(array.lengths().collect::<Vec<_>>(), [2, 2]);
        assert_eq!(array.values().collect::<Vec<_>>(), values);
        assert_eq!(row.value(1), Some(Value::Int(7)));
    }

    #[test]
    fn a_timestamp_is_a_day_and_a_time() {
        assert_eq!(day_and_time(1_717_245_000_123_456).to_string(), "2024-06-01 12:30:00.123456");
        assert_eq!(day_and_time(-1).to_string(), "1969-12-31 23:59:59.999999");
    }
}
