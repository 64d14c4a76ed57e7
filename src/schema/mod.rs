//! Pure: the tables that a mapping needs, and how they differ from those that there are.
//!
//! [`plan`] puts together what the settings declare, what the sources say by themselves, and what sample documents show,
//! all of it through the mapping that the pipeline itself runs.

mod holds;
mod index;
mod names;
mod observe;
mod plan;
mod planner;
mod shape;
mod tried;
mod types;

use crate::decode::Decoded;
use crate::event::{Document, Entry, Rejection};
use crate::table::TableName;

pub use names::Names;
pub use observe::faults;
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
    /// Rows are identified by a key, and no unique index says so.
    AddUniqueIndex(NewIndex),
}

impl Change {
    /// A unique index with a name that tells what it is for. Another table may have it.
    fn add_unique_index(table: TableName, key: Vec<String>) -> Change {
        let name = shortened(&format!("{}_{}_key", table.table, key.join("_")), "");
        Change::AddUniqueIndex(NewIndex { table, key, name })
    }
}

/// A unique index that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewIndex {
    /// Its table.
    pub table: TableName,
    /// Its columns.
    pub key: Vec<String>,
    /// Its name.
    pub name: String,
}

impl NewIndex {
    /// Takes a name that is free, where the case of names does not count.
    pub fn avoid(&mut self, taken: &[String]) {
        let is_taken = |name: &str| taken.iter().any(|taken| taken.to_lowercase() == name.to_lowercase());
        let mut numbered = (1..).map(|number| shortened(&self.name, &number.to_string()));
        if is_taken(&self.name)
            && let Some(free) = numbered.find(|name| !is_taken(name))
        {
            self.name = free;
        }
    }
}

/// A name with something at its end, of as many bytes as every database takes.
fn shortened(name: &str, end: &str) -> String {
    const BYTES: usize = 63;
    let room = BYTES - end.len();
    let cut = (0..=name.len().min(room)).rev().find(|cut| name.is_char_boundary(*cut)).unwrap_or(0);
    name[..cut].to_owned() + end
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_gets_a_name_that_is_free() {
        let Change::AddUniqueIndex(mut index) = Change::add_unique_index(TableName::parse("x"), vec!["a".into()])
        else {
            panic!("no index")
        };
        index.avoid(&["X_A_KEY".into(), "x_a_key1".into()]);
        assert_eq!(index.name, "x_a_key2");
        assert_eq!(shortened(&"\u{e9}".repeat(60), "").len(), 62);
        assert_eq!(shortened(&"x".repeat(70), "12").len(), 63);
    }
}
