//! What is told of one event, in the order in which the pipeline comes to it.

use serde::Serialize;
use write_behind::event::Rejection;

/// One event.
#[derive(Debug, Default, Serialize)]
pub struct Explained {
    pub stream: String,
    pub entity: String,
    /// The entry's id, and when Redis took it.
    pub id: String,
    pub taken_at: String,
    /// Names and values, in the order of the entry.
    pub fields: Vec<(String, String)>,
    pub lane: Lane,
    pub op: Option<&'static str>,
    pub key: Option<String>,
    pub document: Option<Found>,
    pub filter: Option<Step>,
    pub reshape: Option<Step>,
    /// The tables that pass the event over.
    pub passed_over: Vec<PassedOver>,
    pub rows: Vec<Row>,
    /// The SQL that would run, in this order.
    pub statements: Vec<String>,
    /// Why it is passed over, if it is.
    pub skipped: Option<String>,
    /// Why it becomes a dead letter, if it does.
    pub rejected: Option<Rejected>,
    pub dry_run: Option<DryRun>,
}

/// Where the event stands among others.
#[derive(Debug, Default, Serialize)]
pub struct Lane {
    pub number: u32,
    pub lanes: u32,
    /// What the settings want.
    pub wanted: u32,
    /// What decides.
    pub by: String,
    /// Whether the checkpoint of the lane is past the entry; none if there is no checkpoint.
    pub passed: Option<bool>,
}

/// A document.
#[derive(Debug, Serialize)]
pub struct Found {
    /// Where it is, or that it is gone.
    pub place: String,
    /// JSON, if there is one.
    pub content: Option<String>,
}

/// An expression and what came of it.
#[derive(Debug, Serialize)]
pub struct Step {
    pub expression: String,
    pub result: String,
}

/// A table that the event does not reach.
#[derive(Debug, Serialize)]
pub struct PassedOver {
    pub table: String,
    pub why: String,
}

/// A row of a table.
#[derive(Debug, Serialize)]
pub struct Row {
    pub table: String,
    /// What is done with it.
    pub change: String,
    pub columns: Vec<Cell>,
}

/// A value on its way to a column.
#[derive(Debug, Serialize)]
pub struct Cell {
    pub column: String,
    #[serde(rename = "type")]
    pub sql_type: String,
    pub source: String,
    pub value: String,
}

/// A dead letter.
#[derive(Debug, Serialize)]
pub struct Rejected {
    pub class: &'static str,
    pub column: Option<String>,
    pub message: String,
}

impl From<&Rejection> for Rejected {
    fn from(why: &Rejection) -> Self {
        Rejected { class: why.class.name(), column: why.column.clone(), message: why.message.clone() }
    }
}

/// What the database said, before it was rolled back.
#[derive(Debug, Serialize)]
pub struct DryRun {
    /// Of each table that was written, how many rows the database counted.
    pub counted: Vec<(String, u64)>,
    /// The database's words, if it refused.
    pub error: Option<String>,
    /// What the pipeline would do then.
    pub outcome: String,
}
