//! Pure: from an event and its document to what changes in the table.
//!
//! A [`Mapping`] is compiled once from the settings and the database's catalogue; every fault of the settings is
//! found then, every fault of an event when it is mapped, with the column's name, before any SQL runs.

mod compile;
mod convert;
mod fold;
mod format;
mod interval;
mod members;
mod path;
mod timestamp;

use std::fmt;
use std::sync::Arc;

use crate::decode::Decoded;
use crate::event::{Document, Entry, Op, Rejection, RejectionClass};
use crate::row::{RowWriter, Value};
use crate::settings::{OnMissing, WriteBehind, WriteMode};
use crate::table::{Column, Table, TablePlan};

pub use fold::{Change, ChangeKind, Step, fold};
pub use format::{BytesEncoding, EpochUnit, ValueFormat, Zone};
pub use interval::Interval;
use members::{Found, Paths};
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
    /// Where in a document the columns find their values.
    paths: Paths,
    mode: WriteMode,
    write_behind: WriteBehind,
    on_missing: OnMissing,
    stream_name: String,
    rows_in_order: bool,
    /// Whether two documents' rows can only meet if their document keys are equal.
    key_is_document_key: bool,
}

/// One column and where its value comes from.
#[derive(Clone, Debug)]
pub struct MappedColumn {
    /// The column of the table.
    pub column: Column,
    source: Source,
    /// How documents write its values.
    format: ValueFormat,
}

/// Where a column's value comes from.
#[derive(Clone, Debug, PartialEq)]
enum Source {
    /// A member of the document, and the number of its path.
    Member(Path, usize),
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
        let upserts = self.mode == WriteMode::Upsert;
        TablePlan {
            table: self.table.clone(),
            columns,
            key: self.key.clone(),
            upserts,
            rows_in_order: self.rows_in_order,
        }
    }

    /// Maps one event to a row made by `rows`.
    ///
    /// # Errors
    /// A [`Rejection`] names the column, the path and the fault; the event becomes a dead letter.
    pub fn map(
        &self,
        entry: &Entry,
        event: &Decoded,
        document: &Document,
        rows: &mut RowWriter,
    ) -> Result<Mapped, Rejection> {
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
        let members = self.members(document)?;
        let context = Context { entry, event, members, stream_name: &self.stream_name };
        // What an event left there that was rejected half way.
        rows.discard();
        let only_key = kind == ChangeKind::Delete;
        for nth in 0..if only_key { self.key.len() } else { self.columns.len() } {
            let place = if only_key { self.key[nth] } else { nth };
            let column = &self.columns[place];
            let value = context.value(column)?;
            if kind == ChangeKind::Append || !self.key.contains(&place) {
                rows.push(&value);
                continue;
            }
            // NULL equals nothing: such a row would never be found again, and two of them would fold into one.
            if value == Value::Null {
                let MappedColumn { column, source, .. } = column;
                let message = format!("column `{}` identifies the row, and {source} gives no value", column.name);
                return Err(reject(RejectionClass::MissingValue, &column.name, message));
            }
            rows.push(&convert::canonical(value, &column.column));
        }
        Ok(Mapped::Change(Change { kind, row: rows.finish() }))
    }

    /// What the columns' paths lead to; `None` where the operation has no document.
    fn members<'a>(&self, document: &'a Document) -> Result<Option<Members<'a>>, Rejection> {
        let bad = |message: String| Rejection::new(RejectionClass::BadJson, message);
        match document {
            Document::None | Document::Missing => Ok(None),
            Document::Json(json) => {
                let not_json = |error: &dyn fmt::Display| bad(format!("the document is not valid JSON: {error}"));
                let json = std::str::from_utf8(json).map_err(|error| not_json(&error))?;
                let found = self.paths.find(json).map_err(|error| not_json(&error))?;
                match json.trim_start() {
                    object if object.starts_with('{') => Ok(Some(Members::Json(found))),
                    other => Err(bad(format!("the document is {}, not a JSON object", convert::json_type(other)))),
                }
            }
            Document::Fields(fields) => {
                let text = |bytes: &'a [u8], what| {
                    std::str::from_utf8(bytes).map_err(|_| bad(format!("the {what} of a field is not UTF-8")))
                };
                let fields = fields.iter().map(|(name, value)| Ok((text(name, "name")?, text(value, "value")?)));
                let fields = fields.collect::<Result<Vec<_>, Rejection>>()?;
                Ok(Some(Members::Flat(self.paths.find_flat(fields))))
            }
        }
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

fn missing_document(event: &Decoded) -> Rejection {
    let key = event.key.as_deref().map_or("".into(), String::from_utf8_lossy);
    let message = format!("no document at key `{key}` when the event was read: it expired or was deleted");
    Rejection::new(RejectionClass::MissingDocument, message)
}

/// What the paths of the mapping lead to in one document.
enum Members<'a> {
    /// JSON texts.
    Json(Found<'a>),
    /// Plain texts.
    Flat(Found<'a>),
}

/// All that a column's value can come from.
struct Context<'a> {
    entry: &'a Entry,
    event: &'a Decoded,
    members: Option<Members<'a>>,
    stream_name: &'a str,
}

impl Context<'_> {
    fn value<'v>(&'v self, column: &MappedColumn) -> Result<Value<'v>, Rejection> {
        let (name, format) = (&column.column.name, &column.format);
        let value = match &column.source {
            Source::Member(path, number) => match &self.members {
                Some(Members::Json(found)) => {
                    found[*number].map_or(Ok(Value::Null), |json| convert::json(json, &column.column, format))
                }
                Some(Members::Flat(found)) => {
                    found[*number].map_or(Ok(Value::Null), |text| convert::text(text, &column.column, format))
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
            Source::EntryId => convert::text(&self.entry.id.to_string(), &column.column, format).map(Value::into_owned),
            Source::Key => self.key().and_then(|key| convert::text(key, &column.column, format)),
            Source::Op => convert::text(self.event.op.name(), &column.column, format),
            Source::Stream => convert::text(self.stream_name, &column.column, format),
            Source::Timestamp => convert::epoch_ms(self.entry.id.ms, &column.column, format),
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

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Member(path, _) => write!(f, "the document's `{path}`"),
            Source::EntryId => f.write_str("`$id`"),
            Source::Key => f.write_str("`$key`"),
            Source::Op => f.write_str("`$op`"),
            Source::Stream => f.write_str("`$stream`"),
            Source::Timestamp => f.write_str("`$timestamp`"),
        }
    }
}
