//! Pure: the tables that a mapping needs, and how they differ from those that there are.
//!
//! [`plan`] puts together what the settings declare, what the sources say by themselves, and what sample documents show,
//! all of it through the mapping that the pipeline itself runs.

mod holds;
mod observe;
mod plan;
mod shape;
mod tried;
mod types;

use crate::decode::Decoded;
use crate::event::{Document, Entry, Rejection};
use crate::table::TableName;

pub use plan::{StreamPlan, plan};
pub use tried::{Refused, Tried, try_out};

/// An event of a stream, as it was found in Redis.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its entry.
    pub entry: Entry,
    /// What the entry means and the document that it speaks of, or why it can be no event.
    pub event: Result<(Decoded, Document), Rejection>,
}

/// What makes a table what the mapping needs. Nothing is ever taken away.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The table is not there.
    Create(NewTable),
    /// A column is not there.
    AddColumn(TableName, NewColumn),
    /// Rows are identified by these columns, and no unique index says so.
    AddUniqueIndex(TableName, Vec<String>),
}

/// A table that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTable {
    /// Its name.
    pub name: TableName,
    /// Where in the settings it stands.
    pub setting: String,
    /// Its columns, those of the key first.
    pub columns: Vec<NewColumn>,
    /// The columns of its primary key.
    pub key: Vec<String>,
    /// Whether it gets an `id` that the database counts, because nothing else would tell its rows apart.
    pub counted: bool,
}

/// A column that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewColumn {
    /// Its name.
    pub name: String,
    /// Its type, in the database's own words.
    pub sql_type: String,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Why it has this type, where that is not plain.
    pub remark: Option<String>,
}
