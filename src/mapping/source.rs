//! Where the value of a column comes from.

use std::fmt;

use super::context::ITEM_VARIABLES;
use super::key_pattern::KeyPattern;
use super::mask::Masker;
use super::members::Paths;
use super::path::Path;
use crate::expression::{Expression, Reads};
use crate::row::Value;
use crate::settings::nearest;
use crate::table::Column;

/// The names that begin with `$`.
const NAMES: &str = "$id, $key, $key.PART, $op, $stream, $timestamp, $field.NAME, and with `for_each` $item, $item.PATH, \
                     $index";

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
    /// `$item`: the item that the row is for.
    Item,
    /// `$item.PATH`: a member of it, and the number of its path.
    ItemMember(Path, usize),
    /// `$index`: its number in the list, from 0.
    Index,
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

/// What the sources of a table can name.
pub struct Names<'a> {
    /// The parts of the document's key.
    pub key_pattern: Option<&'a KeyPattern>,
    /// Where in the document values are found.
    pub paths: &'a mut Paths,
    /// Where in an item, in a table with a row for each.
    pub item_paths: Option<&'a mut Paths>,
}

impl Source {
    /// Reads what `from` says. Its path is added to those of `names`.
    pub fn parse(from: &str, names: &mut Names<'_>) -> Result<Source, String> {
        Ok(match from {
            "$item" | "$index" if names.item_paths.is_none() => return Err(no_items(from)),
            "$item" => Source::Item,
            "$index" => Source::Index,
            "$id" => Source::EntryId,
            "$key" => Source::Key,
            "$op" => Source::Op,
            "$stream" => Source::Stream,
            "$timestamp" => Source::Timestamp,
            name if name.starts_with('$') => match name.split_once('.') {
                Some(("$field", field)) if !field.is_empty() => Source::Field(field.to_owned()),
                Some(("$key", part)) => key_part(part, names.key_pattern)?,
                Some(("$item", path)) => {
                    let Some(paths) = &mut names.item_paths else { return Err(no_items(from)) };
                    Source::item_member(Path::parse(path)?, paths)
                }
                Some(("$", path)) => return Err(format!("`{name}` is not a path here: write `{path}`")),
                _ => return Err(unknown(name)),
            },
            path => Source::member(Path::parse(path)?, names.paths),
        })
    }

    /// Whether its value differs between the items of one document.
    pub fn is_of_item(&self) -> bool {
        match self.unmasked() {
            Source::Item | Source::ItemMember(..) | Source::Index => true,
            Source::Expression(expression) => ITEM_VARIABLES.iter().any(|name| expression.uses(name)),
            _ => false,
        }
    }

    /// Whether it gives what this event has to say, and not what every event has.
    pub fn is_of_event(&self) -> bool {
        match self.unmasked() {
            Source::Member(..) | Source::Field(_) | Source::Item | Source::ItemMember(..) => true,
            Source::Expression(expression) => *expression.reads() != Reads::Members(Default::default()),
            _ => false,
        }
    }

    /// Whether both give the same for every document.
    pub fn is_same(&self, other: &Source) -> bool {
        match (self, other) {
            (Source::Member(_, one), Source::Member(_, other)) => one == other,
            (Source::KeyPart(_, one), Source::KeyPart(_, other)) => one == other,
            (Source::Field(one), Source::Field(other)) => one == other,
            (Source::Constant(one), Source::Constant(other)) => one == other,
            (Source::Expression(one), Source::Expression(other)) => one.text() == other.text(),
            (Source::Masked(one), Source::Masked(other)) => {
                one.masker.is_same(&other.masker) && one.source.is_same(&other.source)
            }
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        }
    }

    /// The member of an item that `path` leads to.
    pub fn item_member(path: Path, paths: &mut Paths) -> Source {
        let number = paths.add(&path);
        Source::ItemMember(path, number)
    }

    /// The member that `path` leads to.
    pub fn member(path: Path, paths: &mut Paths) -> Source {
        let number = paths.add(&path);
        Source::Member(path, number)
    }

    /// The path into the document, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Source::Member(path, _) => Some(path),
            _ => None,
        }
    }

    /// The same, to be seen.
    pub fn unmasked(&self) -> &Source {
        match self {
            Source::Masked(masked) => &masked.source,
            source => source,
        }
    }
}

fn unknown(name: &str) -> String {
    let (head, tail) = name.split_once('.').map_or((name, String::new()), |(head, tail)| (head, format!(".{tail}")));
    let heads = ["$id", "$key", "$op", "$stream", "$timestamp", "$field", "$item", "$index"];
    match nearest(head, heads.into_iter()).filter(|near| *near != head) {
        Some(near) => format!("`{name}` is not one of {NAMES}: did you mean `{near}{tail}`?"),
        None => format!("`{name}` is not one of {NAMES}"),
    }
}

fn no_items(from: &str) -> String {
    format!("`{from}` needs the table's `for_each`, such as items[*]")
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
            Source::Item => f.write_str("`$item`"),
            Source::ItemMember(path, _) => write!(f, "`$item.{path}`"),
            Source::Index => f.write_str("`$index`"),
            Source::Constant(_) => f.write_str("the constant"),
            Source::Expression(_) => f.write_str("the expression"),
            Source::Masked(masked) => masked.source.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_known_gets_the_nearest() {
        for (from, meant) in [
            ("$items.sku", ": did you mean `$item.sku`?"),
            ("$fields.source", ": did you mean `$field.source`?"),
            ("$time_stamp", ": did you mean `$timestamp`?"),
            ("$document", ", $index"),
            ("$field", ", $index"),
        ] {
            let (mut paths, mut item_paths) = (Paths::default(), Paths::default());
            let mut names = Names { key_pattern: None, paths: &mut paths, item_paths: Some(&mut item_paths) };
            let told = Source::parse(from, &mut names).expect_err(from);
            assert!(told.starts_with(&format!("`{from}` is not one of $id, ")) && told.ends_with(meant), "{told}");
        }
    }
}
