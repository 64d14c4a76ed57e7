//! Pure: one case of a test file: events, and what must come of them.

use super::reader::{Report, Section};
use super::yaml::{Node, NodeKind};
use crate::event::{Document, Entry, Op, Rejection, StreamId};
use crate::fields::Fields;
use crate::settings::{DocumentSource, StreamSettings};
use crate::table::TableName;

/// Events that are applied one after another to empty tables.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Where it begins in the file.
    pub line: usize,
    /// `streams.<entity>`
    pub entity: String,
    /// At least one.
    pub events: Vec<Event>,
    /// The rows of each table, in any order. A table that is not named must stay empty.
    pub rows: Vec<(String, Vec<ExpectedRow>)>,
}

/// A row that must be there. Columns that it does not name are not looked at.
#[derive(Clone, Debug)]
pub struct ExpectedRow {
    /// Where it begins in the file.
    pub line: usize,
    pub(super) columns: Vec<(String, Node)>,
}

/// An entry of the stream, and what its key holds.
#[derive(Clone, Debug)]
pub struct Event {
    /// Where it begins in the file.
    pub line: usize,
    /// Its id in the stream.
    pub id: StreamId,
    op: Option<String>,
    key: Option<String>,
    document: Option<Node>,
    fields: Vec<(String, String)>,
    /// What must become of it.
    pub outcome: Outcome,
}

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its rows are written.
    Applied,
    /// A setting passes it over.
    Skipped,
    /// It becomes a dead letter; what is given must be so.
    Rejected {
        /// The class.
        class: Option<String>,
        /// The column at fault.
        column: Option<String>,
        /// A part of the message.
        message: Option<String>,
    },
}

impl Outcome {
    /// Whether a rejection is as expected.
    pub fn allows(&self, why: &Rejection) -> bool {
        match self {
            Outcome::Applied | Outcome::Skipped => false,
            Outcome::Rejected { class, column, message } => {
                class.as_deref().is_none_or(|class| class == why.class.name())
                    && column.as_ref().is_none_or(|column| Some(column) == why.column.as_ref())
                    && message.as_ref().is_none_or(|part| why.message.contains(part))
            }
        }
    }

    /// Whether it is a dead letter.
    pub fn is_rejected(&self) -> bool {
        matches!(self, Outcome::Rejected { .. })
    }

    fn read(section: &Section<'_>, report: &Report) -> Option<Outcome> {
        let skipped = section.get("skipped");
        if let Some(node) = skipped.filter(|node| node.flag() != Some(true)) {
            report.add(node.line, "`skipped` can only be true; an event that is applied needs neither key");
        }
        let rejected = section.get("rejected").map(|node| match node.scalar() {
            Some(class) => Outcome::Rejected { class: Some(class.to_owned()), column: None, message: None },
            None => {
                let inner = Section::of(node, "`rejected`", report);
                let text = |key| inner.as_ref().and_then(|inner| inner.text(key));
                let read = Outcome::Rejected { class: text("class"), column: text("column"), message: text("message") };
                inner.into_iter().for_each(Section::finish);
                read
            }
        });
        match (skipped, rejected) {
            (Some(node), Some(_)) => {
                report.add(node.line, "an event cannot be both `skipped` and `rejected`");
                None
            }
            (Some(_), None) => Some(Outcome::Skipped),
            (None, rejected) => rejected,
        }
    }
}

impl Case {
    /// The rows that a table must have.
    pub fn rows_of(&self, table: &TableName) -> &[ExpectedRow] {
        let found = self.rows.iter().find(|(name, _)| TableName::parse(name) == *table);
        found.map_or(&[], |(_, rows)| rows)
    }

    /// Whether one of these rows names the column.
    pub fn names(&self, table: &TableName, column: &str) -> bool {
        self.rows_of(table).iter().any(|row| row.columns.iter().any(|(name, _)| name == column))
    }

    /// Reads a case. Its events come after the one with the id `after`, which becomes that of its last one.
    pub(super) fn read(node: &Node, stream: Option<&str>, after: &mut StreamId, report: &Report) -> Option<Case> {
        let section = Section::of(node, "a case", report)?;
        let line = section.line();
        let name = section.text("name").unwrap_or_else(|| format!("the case of line {line}"));
        let entity = section.text("stream").or_else(|| stream.map(str::to_owned));
        let events = section.list("events");
        let mut events: Vec<Event> = events.iter().filter_map(|node| Event::read(node, after, report)).collect();
        let rows = section.named("rows").iter().map(|(table, rows)| (table.clone(), expected_rows(rows, report)));
        let rows = rows.collect();
        if let Some(outcome) = Outcome::read(&section, report) {
            match events.as_mut_slice() {
                [only] if only.outcome == Outcome::Applied => only.outcome = outcome,
                [_] => report.add(line, "the case says what becomes of its event, and so does the event"),
                several => {
                    let count = several.len();
                    report.add(line, format!("which of its {count} events? Put `rejected` or `skipped` there"));
                }
            }
        }
        section.finish();
        if events.is_empty() {
            report.add(line, "a case needs `events`, a list");
        }
        if entity.is_none() {
            report.add(line, "there are several streams: say which it is with `stream`, here or for the whole file");
        }
        Some(Case { name, line, entity: entity?, events, rows })
    }
}

fn expected_rows(node: &Node, report: &Report) -> Vec<ExpectedRow> {
    let NodeKind::List(rows) = &node.kind else {
        if !node.is_null() {
            report.add(node.line, "the rows of a table must be a list; `[]` is none");
        }
        return Vec::new();
    };
    let row = |row: &Node| match &row.kind {
        NodeKind::Map(columns) => Some(ExpectedRow { line: row.line, columns: columns.clone() }),
        _ => {
            report.add(row.line, "a row must be columns with values, such as {id: 7, name: Ada}");
            None
        }
    };
    rows.iter().filter_map(row).collect()
}

impl Event {
    fn read(node: &Node, after: &mut StreamId, report: &Report) -> Option<Event> {
        let section = Section::of(node, "an event", report)?;
        let given = section.text("id");
        let id = match given.as_deref().map(str::parse::<StreamId>).transpose() {
            Ok(Some(id)) if id <= *after => {
                report.add(node.line, format!("the id {id} must be above {after}, that of the event before it"));
                id
            }
            Ok(given) => given.or(after.next()).unwrap_or_else(|| {
                report.add(node.line, format!("there is no id above {after}, that of the event before it"));
                *after
            }),
            Err(error) => {
                report.add(node.line, error.to_string());
                *after
            }
        };
        *after = id;
        let fields = section.named("fields").iter().filter_map(|(name, node)| match node.scalar() {
            Some(value) => Some((name.clone(), value.to_owned())),
            None => {
                report.add(node.line, format!("field `{name}`: the fields of an entry are texts"));
                None
            }
        });
        let fields = fields.collect();
        let (op, key) = (section.text("op"), section.text("key"));
        let document = section.get("document").cloned();
        let outcome = Outcome::read(&section, report).unwrap_or(Outcome::Applied);
        section.finish();
        Some(Event { line: node.line, id, op, key, document, fields, outcome })
    }

    /// The entry in the stream: the document is in it where the settings look for it there.
    pub fn entry(&self, stream: &StreamSettings) -> Entry {
        let names = &stream.fields;
        let text = |name: &str, value: &Option<String>| value.clone().map(|value| (name.to_owned(), value));
        let mut fields: Vec<(String, String)> = Vec::new();
        fields.extend(text(&names.key, &self.key));
        fields.extend(text(&names.op, &self.op));
        fields.extend(self.fields.iter().cloned());
        if let Some(document) = self.document.as_ref().filter(|_| self.carries(stream)) {
            match stream.document {
                DocumentSource::Fields => fields.extend(flat(document)),
                _ => fields.push((names.payload.clone(), json(document))),
            }
        }
        Entry { id: self.id, fields: fields.into_iter().collect::<Fields>() }
    }

    /// What the key of the entry holds; [`Document::None`] if that does not matter, because the entry has the document.
    pub fn at_key(&self, stream: &StreamSettings) -> Document {
        match &self.document {
            None => Document::Missing,
            Some(_) if self.carries(stream) => Document::None,
            Some(document) if stream.document == DocumentSource::Hash => {
                Document::Fields(flat(document).into_iter().collect())
            }
            Some(document) => Document::Json(json(document).into()),
        }
    }

    /// Whether a document is looked for in the entry: a delete's and a patch's always.
    fn carries(&self, stream: &StreamSettings) -> bool {
        let op = self.op.as_ref().and_then(|op| Op::from_name(op.as_bytes()));
        let at_key = matches!(stream.document, DocumentSource::Json | DocumentSource::String | DocumentSource::Hash);
        !at_key || matches!(op, Some(Op::Delete | Op::Patch))
    }
}

/// A document as JSON. One that is a text is JSON already, or whatever else somebody wants to see refused.
fn json(document: &Node) -> String {
    match &document.kind {
        NodeKind::Text(text) => text.clone(),
        _ => document.to_json(),
    }
}

/// A document as names and texts.
fn flat(document: &Node) -> Vec<(String, String)> {
    let NodeKind::Map(members) = &document.kind else { return Vec::new() };
    let text = |value: &Node| value.scalar().map_or_else(|| value.to_json(), str::to_owned);
    members.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}
