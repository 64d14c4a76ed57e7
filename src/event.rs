//! The small types that every part of the pipeline speaks: stream ids, entries, operations, documents.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::fields::Fields;

/// The id of a stream entry: milliseconds and a sequence number. Redis only ever lets it grow within a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Unix time in milliseconds, as the Redis server saw it.
    pub ms: u64,
    /// Number among the entries of that millisecond.
    pub seq: u64,
}

impl StreamId {
    /// The position before the first entry of any stream.
    pub const ZERO: StreamId = StreamId { ms: 0, seq: 0 };

    /// The longest text form, in characters: two 20-digit numbers and a dash.
    pub const TEXT_LEN_MAX: u32 = 41;

    /// The next position, if there is one.
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// A text that is not a stream id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a stream id: expected MILLISECONDS-SEQUENCE, such as 1718000000000-0")]
pub struct InvalidStreamId(pub String);

impl FromStr for StreamId {
    type Err = InvalidStreamId;

    /// Accepts `ms-seq`, and `ms` alone for `ms-0` as Redis does.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidStreamId(text.to_owned());
        let (ms, seq) = text.split_once('-').unwrap_or((text, "0"));
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        };
        Ok(StreamId { ms: number(ms).ok_or_else(invalid)?, seq: number(seq).ok_or_else(invalid)? })
    }
}

/// One entry as Redis delivered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id in the stream.
    pub id: StreamId,
    /// Field names and values, in the order of `XADD`.
    pub fields: Fields,
}

impl Entry {
    /// The value of the first field called `name`.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.get(name.as_bytes())
    }

    /// What the entry weighs in memory, in bytes: the unit of the reader's credits.
    pub fn bytes(&self) -> usize {
        size_of::<Entry>() + self.fields.bytes()
    }
}

/// What happened to the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// A new document. In `mode: upsert` it may replace a row, in `mode: append` it is always a new row.
    Insert,
    /// A new or changed document.
    Upsert,
    /// A changed document: only a row that exists is changed.
    Update,
    /// Changed members of a document: only they are written, and only to a row that exists.
    Patch,
    /// The document is gone: so is the row.
    Delete,
}

impl Op {
    /// Every operation, in the order of the documentation.
    pub const ALL: [Op; 5] = [Op::Insert, Op::Upsert, Op::Update, Op::Patch, Op::Delete];

    /// The name in a stream entry and in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Op::Insert => "insert",
            Op::Upsert => "upsert",
            Op::Update => "update",
            Op::Patch => "patch",
            Op::Delete => "delete",
        }
    }

    /// The operation called `name`, whatever its case.
    pub fn from_name(name: &[u8]) -> Option<Op> {
        Op::ALL.into_iter().find(|op| name.eq_ignore_ascii_case(op.name().as_bytes()))
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The document that an event speaks of, as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// JSON text, not yet parsed.
    Json(Bytes),
    /// Flat names and values: a Redis hash, or the fields of the entry itself. Every value is text.
    Fields(Fields),
    /// The key held nothing when it was read.
    Missing,
    /// The operation needs none (`delete`).
    None,
}

impl Document {
    /// What the document weighs in memory, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Document::Json(text) => text.len(),
            Document::Fields(fields) => fields.bytes(),
            Document::Missing | Document::None => 0,
        }
    }
}

/// Why an event cannot be written: the class of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectionClass {
    /// The document is not JSON, or not a JSON object.
    BadJson,
    /// The key held no document when it was read, or the entry names none.
    MissingDocument,
    /// The entry lacks the field that says which document it speaks of.
    MissingKey,
    /// The operation is not one of `insert`, `upsert`, `update`, `delete`, or the mapping has no key for it.
    UnknownOp,
    /// A value of another type than the column's.
    WrongType,
    /// A number or time that the column cannot hold.
    OutOfRange,
    /// A text longer than the column.
    TooLong,
    /// No value for a column that must have one.
    MissingValue,
    /// An expression of the mapping gave no answer for the document.
    Expression,
    /// The database refused the row: unique, foreign key, check or not-null constraint.
    Constraint,
    /// The database refused the row's data for another reason.
    Refused,
}

impl RejectionClass {
    /// The name in the dead letter and in the log stream.
    pub fn name(self) -> &'static str {
        match self {
            RejectionClass::BadJson => "bad_json",
            RejectionClass::MissingDocument => "missing_document",
            RejectionClass::MissingKey => "missing_key",
            RejectionClass::UnknownOp => "unknown_op",
            RejectionClass::WrongType => "wrong_type",
            RejectionClass::OutOfRange => "out_of_range",
            RejectionClass::TooLong => "too_long",
            RejectionClass::MissingValue => "missing_value",
            RejectionClass::Expression => "expression",
            RejectionClass::Constraint => "constraint",
            RejectionClass::Refused => "refused",
        }
    }
}

/// Why one event cannot be written, in words that name the column and the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// What kind of fault it is.
    pub class: RejectionClass,
    /// The number of its table in the settings, where one is known.
    pub table: Option<u16>,
    /// The column that could not be filled, where one is known.
    pub column: Option<String>,
    /// The fault in words.
    pub message: String,
}

impl Rejection {
    /// A fault of the event as a whole.
    pub fn new(class: RejectionClass, message: impl Into<String>) -> Self {
        Rejection { class, table: None, column: None, message: message.into() }
    }

    /// The same, with who it comes from.
    pub fn told_of(self, whom: &str) -> Self {
        Rejection { message: format!("{whom}: {}", self.message), ..self }
    }

    /// A fault of one column.
    pub fn of_column(class: RejectionClass, column: &str, message: String) -> Self {
        Rejection { class, table: None, column: Some(column.to_owned()), message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_ids_order_by_number_not_by_text() {
        let id = |text: &str| text.parse::<StreamId>().unwrap();
        assert!(id("9-0") < id("10-0"));
        assert!(id("10-9") < id("10-10"));
        assert_eq!(id("7"), id("7-0"));
        assert_eq!(id("18446744073709551615-18446744073709551615").to_string().len(), StreamId::TEXT_LEN_MAX as usize);
    }

    #[test]
    fn what_is_no_stream_id_is_refused() {
        for text in ["", "-", "1-", "-1", "+1-0", "a-0", "1-0-0", "18446744073709551616-0", "$"] {
            assert!(text.parse::<StreamId>().is_err(), "{text}");
        }
    }

    #[test]
    fn operations_are_found_by_name_in_any_case() {
        for op in Op::ALL {
            assert_eq!(Op::from_name(op.name().to_uppercase().as_bytes()), Some(op));
        }
        assert_eq!(Op::from_name(b"replace"), None);
    }
}
