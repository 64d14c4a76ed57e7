//! Pure: from an event and its document to what changes in the table.
//!
//! A [`Mapping`] is compiled once from the settings and the database's catalogue; every fault of the settings is
//! found then, every fault of an event when it is mapped, with the column's name, before any SQL runs.

mod compile;
mod convert;
mod fold;
mod path;
mod timestamp;

use std::sync::Arc;

use serde_json::Value as Json;

use crate::decode::Decoded;
use crate::event::{Document, Entry, Op, Rejection, RejectionClass};
use crate::settings::{OnMissing, WriteBehind, WriteMode};
use crate::table::{Column, Table, TablePlan, Value};

pub use fold::{Change, ChangeKind, Step, fold};
use path::Path;

/// How the events of one stream become rows of one table.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The target table, as the catalogue described it.
    pub table: Arc<Table>,
    /// The mapped columns, in the order of every row.
    pub columns: Vec<MappedColumn>,
    /// Which of them identify a row.
    pub key: Vec<usize>,
    mode: WriteMode,
    write_behind: WriteBehind,
    on_missing: OnMissing,
    stream_name: String,
    /// Whether two documents' rows can only meet if their document keys are equal.
    key_is_document_key: bool,
}

/// One column and where its value comes from.
#[derive(Clone, Debug)]
pub struct MappedColumn {
    /// The column of the table.
    pub column: Column,
    source: Source,
}

/// Where a column's value comes from.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    /// A member of the document.
    Member(Path),
    /// `$id`: the entry's id.
    EntryId,
    /// `$key`: the document's key.
    Key,
    /// `$op`: the operation.
    Op,
    /// `$stream`: the stream's key in Redis.
    Stream,
    /// `$timestamp`: when Redis took the entry, from its id.
    Timestamp,
}

/// The kinds of statement that a mapping can come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableChanges {
    /// `INSERT`
    pub insert: bool,
    /// `UPDATE`, also as part of an upsert.
    pub update: bool,
    /// `DELETE`
    pub delete: bool,
}

/// What is to be done for one event.
#[derive(Clone, Debug, PartialEq)]
pub enum Mapped {
    /// A change of the table.
    Change(Change),
    /// Nothing, because a setting says so; it is counted.
    Skip,
}

impl Mapping {
    /// Whether rows are keyed by the document's key, so that lanes of documents never meet in a row.
    pub fn key_is_document_key(&self) -> bool {
        self.key_is_document_key
    }

    /// What the pipeline may come to do to the table.
    pub fn changes(&self) -> TableChanges {
        let inserts = self.write_behind.insert || self.write_behind.upsert;
        let keyed = !self.key.is_empty();
        let update = self.write_behind.update && keyed || inserts && self.mode == WriteMode::Upsert;
        let delete = keyed && (self.write_behind.delete || self.on_missing == OnMissing::Delete);
        TableChanges { insert: inserts, update, delete }
    }

    /// What the writers need to know of the table.
    pub fn plan(&self) -> TablePlan {
        let columns = self.columns.iter().map(|column| column.column.clone()).collect();
        TablePlan { table: self.table.clone(), columns, key: self.key.clone() }
    }

    /// Maps one event.
    ///
    /// # Errors
    /// A [`Rejection`] names the column, the path and the fault; the event becomes a dead letter.
    pub fn map(&self, entry: &Entry, event: &Decoded, document: &Document) -> Result<Mapped, Rejection> {
        if !self.write_behind.allows(event.op) {
            return Ok(Mapped::Skip);
        }
        let mut kind = self.kind(event.op)?;
        if *document == Document::Missing {
            match self.on_missing {
                OnMissing::Skip => return Ok(Mapped::Skip),
                OnMissing::Delete => kind = self.kind(Op::Delete)?,
                OnMissing::DeadLetter => return Err(missing_document(event)),
            }
        }
        let json = parse(document)?;
        let context = Context { entry, event, json: json.as_ref(), stream_name: &self.stream_name };
        let is_key = |place: usize| kind != ChangeKind::Append && self.key.contains(&place);
        let value = |place: usize| {
            let value = context.value(&self.columns[place])?;
            Ok(if is_key(place) { convert::canonical(value, &self.columns[place].column) } else { value })
        };
        let row: Vec<Value> = if kind == ChangeKind::Delete {
            self.key.iter().copied().map(value).collect::<Result<_, Rejection>>()?
        } else {
            (0..self.columns.len()).map(value).collect::<Result<_, Rejection>>()?
        };
        // NULL equals nothing: such a row would never be found again, and two of them would fold into one.
        let place = |nth: usize, index: &usize| if kind == ChangeKind::Delete { nth } else { *index };
        let null = self.key.iter().enumerate().find(|(nth, index)| row[place(*nth, index)] == Value::Null);
        if let Some((_, index)) = null.filter(|_| kind != ChangeKind::Append) {
            let MappedColumn { column, source } = &self.columns[*index];
            let message = format!("column `{}` identifies the row, and {source} gives no value", column.name);
            return Err(reject(RejectionClass::MissingValue, &column.name, message));
        }
        Ok(Mapped::Change(Change { kind, row }))
    }

    fn kind(&self, op: Op) -> Result<ChangeKind, Rejection> {
        let keyed = |kind| {
            if self.key.is_empty() {
                let message = format!(
                    "operation `{op}` needs to know which columns identify a row of {}: name them in `key`",
                    self.table.name
                );
                return Err(Rejection::new(RejectionClass::UnknownOp, message));
            }
            Ok(kind)
        };
        match (op, self.mode) {
            (Op::Insert | Op::Upsert, WriteMode::Append) => Ok(ChangeKind::Append),
            (Op::Insert | Op::Upsert, WriteMode::Upsert) => keyed(ChangeKind::Upsert),
            (Op::Update, _) => keyed(ChangeKind::Update),
            (Op::Delete, _) => keyed(ChangeKind::Delete),
        }
    }
}

/// The parsed document: an object, or `None` where the operation has none.
fn parse(document: &Document) -> Result<Option<Json>, Rejection> {
    let bad = |message: String| Rejection::new(RejectionClass::BadJson, message);
    match document {
        Document::None | Document::Missing => Ok(None),
        Document::Json(text) => match serde_json::from_slice::<Json>(text) {
            Ok(json @ Json::Object(_)) => Ok(Some(json)),
            Ok(other) => Err(bad(format!("the document is {}, not a JSON object", convert::json_type(&other)))),
            Err(error) => Err(bad(format!("the document is not valid JSON: {error}"))),
        },
        Document::Fields(fields) => {
            let mut object = serde_json::Map::new();
            for (name, value) in fields {
                let text = |bytes: &[u8], what| {
                    String::from_utf8(bytes.to_vec()).map_err(|_| bad(format!("the {what} of a field is not UTF-8")))
                };
                object.insert(text(name, "name")?, Json::String(text(value, "value")?));
            }
            Ok(Some(Json::Object(object)))
        }
    }
}

fn missing_document(event: &Decoded) -> Rejection {
    let key = event.key.as_deref().map_or("".into(), String::from_utf8_lossy);
    let message = format!("no document at key `{key}` when the event was read: it expired or was deleted");
    Rejection::new(RejectionClass::MissingDocument, message)
}

/// All that a column's value can come from.
struct Context<'a> {
    entry: &'a Entry,
    event: &'a Decoded,
    json: Option<&'a Json>,
    stream_name: &'a str,
}

impl Context<'_> {
    fn value(&self, column: &MappedColumn) -> Result<Value, Rejection> {
        let name = &column.column.name;
        let value = match &column.source {
            Source::Member(path) => match self.json {
                Some(json) => {
                    path.find(json).map_or(Ok(Value::Null), |member| convert::convert(member, &column.column))
                }
                None => {
                    return Err(reject(
                        RejectionClass::MissingDocument,
                        name,
                        format!(
                            "column `{name}` comes from the document's `{path}`, and operation `{}` brings no \
                             document: map the column from `$key`, or put the document into the entry",
                            self.event.op
                        ),
                    ));
                }
            },
            Source::EntryId => convert::text(&self.entry.id.to_string(), &column.column),
            Source::Key => self.key().and_then(|key| convert::text(key, &column.column)),
            Source::Op => convert::text(self.event.op.name(), &column.column),
            Source::Stream => convert::text(self.stream_name, &column.column),
            Source::Timestamp => convert::epoch_ms(self.entry.id.ms, &column.column),
        };
        let value = value.map_err(|rejection| Rejection {
            column: Some(name.clone()),
            message: format!("column `{name}` ({}): {}", column.column.sql_type, rejection.message),
            ..rejection
        })?;
        if value == Value::Null && !column.column.nullable {
            let from = &column.source;
            let message = format!("column `{name}` must not be NULL, and {from} gives no value");
            return Err(reject(RejectionClass::MissingValue, name, message));
        }
        Ok(value)
    }

    fn key(&self) -> Result<&str, Rejection> {
        let Some(key) = &self.event.key else {
            return Err(Rejection::new(RejectionClass::MissingKey, "the entry has no key"));
        };
        std::str::from_utf8(key).map_err(|_| Rejection::new(RejectionClass::WrongType, "the key is not UTF-8"))
    }
}

fn reject(class: RejectionClass, column: &str, message: String) -> Rejection {
    Rejection { class, column: Some(column.to_owned()), message }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Member(path) => write!(f, "the document's `{path}`"),
            Source::EntryId => f.write_str("`$id`"),
            Source::Key => f.write_str("`$key`"),
            Source::Op => f.write_str("`$op`"),
            Source::Stream => f.write_str("`$stream`"),
            Source::Timestamp => f.write_str("`$timestamp`"),
        }
    }
}
