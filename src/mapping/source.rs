//! Where the value of a column comes from.

use std::fmt;

use super::key_pattern::KeyPattern;
use super::mask::Masker;
use super::members::Paths;
use super::path::Path;
use crate::expression::Expression;
use crate::row::Value;
use crate::table::Column;

/// The names that begin with `$`.
const NAMES: &str = "$id, $key, $key.PART, $op, $stream, $timestamp, $field.NAME";

/// Where a column's value comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A member of the document, and the number of its path.
    Member(Path, usize),
    /// `$id`: the entry's id.
    EntryId,
    /// `$key`: the document's key.
    Key,
    /// `$key.PART`: a part of the document's key, by its number.
    KeyPart(String, usize),
    /// `$op`: the operation.
    Op,
    /// `$stream`: the stream's key in Redis.
    Stream,
    /// `$timestamp`: when Redis took the entry, from its id.
    Timestamp,
    /// `$field.NAME`: a field of the entry.
    Field(String),
    /// Always the same.
    Constant(Value<'static>),
    /// Computed.
    Expression(Expression),
    /// One of the others, not to be seen.
    Masked(Box<MaskedSource>),
}

/// A source, and what is written instead of its values.
#[derive(Clone, Debug)]
pub struct MaskedSource {
    /// Where the value comes from.
    pub source: Source,
    /// The column as which it is read.
    pub read_as: Column,
    /// What is put over it.
    pub masker: Masker,
}

impl Source {
    /// Reads what `from` says. Paths are added to `paths`.
    pub fn parse(from: &str, key_pattern: Option<&KeyPattern>, paths: &mut Paths) -> Result<Source, String> {
        Ok(match from {
            "$id" => Source::EntryId,
            "$key" => Source::Key,
            "$op" => Source::Op,
            "$stream" => Source::Stream,
            "$timestamp" => Source::Timestamp,
            name if name.starts_with('$') => match name.split_once('.') {
                Some(("$field", field)) if !field.is_empty() => Source::Field(field.to_owned()),
                Some(("$key", part)) => key_part(part, key_pattern)?,
                _ => return Err(format!("`{name}` is not one of {NAMES}")),
            },
            path => Source::member(Path::parse(path)?, paths),
        })
    }

    /// The member that `path` leads to.
    pub fn member(path: Path, paths: &mut Paths) -> Source {
        let number = paths.add(&path);
        Source::Member(path, number)
    }

    /// The same, to be seen.
    pub fn unmasked(&self) -> &Source {
        match self {
            Source::Masked(masked) => &masked.source,
            source => source,
        }
    }
}

fn key_part(part: &str, pattern: Option<&KeyPattern>) -> Result<Source, String> {
    let Some(pattern) = pattern else {
        return Err(format!("`$key.{part}` needs the stream's `key_pattern`, such as order:{{tenant}}:{{id}}"));
    };
    let place = pattern.place(part).ok_or_else(|| {
        let names = pattern.names().collect::<Vec<_>>().join(", ");
        format!("key_pattern `{pattern}` has no part `{part}`; it has {names}")
    })?;
    Ok(Source::KeyPart(part.to_owned(), place))
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Member(path, _) => write!(f, "the document's `{path}`"),
            Source::EntryId => f.write_str("`$id`"),
            Source::Key => f.write_str("`$key`"),
            Source::KeyPart(part, _) => write!(f, "`$key.{part}`"),
            Source::Op => f.write_str("`$op`"),
            Source::Stream => f.write_str("`$stream`"),
            Source::Timestamp => f.write_str("`$timestamp`"),
            Source::Field(name) => write!(f, "`$field.{name}`"),
            Source::Constant(_) => f.write_str("the constant"),
            Source::Expression(_) => f.write_str("the expression"),
            Source::Masked(masked) => masked.source.fmt(f),
        }
    }
}
