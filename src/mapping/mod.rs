//! Pure: from an event and its document to what changes in the tables.
//!
//! A [`Mapping`] is compiled once from the settings and the database's catalogue; every fault of the settings is
//! found then, every fault of an event when it is mapped, with the column's name, before any SQL runs.

mod change;
mod compile;
mod context;
mod convert;
mod doubts;
mod explain;
mod family;
mod fits;
mod fold;
mod interval;
mod key_pattern;
mod lanes;
mod left;
mod mask;
mod masked_copy;
mod members;
mod overlay;
mod patch;
mod path;
mod rules;
mod source;
mod table_mapping;
mod timestamp;
mod unfound;

use std::sync::Arc;

use smallvec::SmallVec;

use crate::decode::{Decoded, Located};
use crate::event::{Document, Entry, Op, Rejection, RejectionClass};
use crate::expression::Expression;
use crate::row::RowWriter;
use crate::settings::{OnMissing, WriteBehind};
use crate::table::TablePlan;

pub use change::{Change, ChangeKind, Extent, Places};
use context::{Context, Members, Origin};
pub(crate) use convert::{NumberSize, canonical_decimal, is_day, is_number};
pub use explain::{Explanation, Skipped};
pub use fold::{FamilyRows, Step, fold};
pub use interval::Interval;
use key_pattern::KeyPattern;
pub use masked_copy::MaskedCopies;
use members::Paths;
pub use table_mapping::{MappedColumn, TableChanges, TableMapping};
pub(crate) use timestamp::from_text as instant_of;
pub use unfound::Unfound;

/// How the events of one stream become rows.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Its tables, those that others refer to first.
    tables: Vec<TableMapping>,
    /// Where in a document the columns find their values.
    paths: Paths,
    key_pattern: Option<KeyPattern>,
    filter: Option<Expression>,
    reshape: Option<Expression>,
    /// What dead letters may hold, where columns are masked.
    masked_copies: Option<Arc<MaskedCopies>>,
    /// The operations that reach some table.
    write_behind: WriteBehind,
    on_missing: OnMissing,
    stream_name: String,
    /// The field of an entry that may hold the document.
    payload: String,
    /// Whether the document's key decides the lane.
    lanes_by_key: bool,
}

/// What one event changes: mostly one row.
pub type Changes = SmallVec<[Change; 1]>;

/// What is to be done for one event.
#[derive(Clone, Debug, PartialEq)]
pub enum Mapped {
    /// Changes of the tables.
    Changes(Changes),
    /// Nothing, because a setting says so; it is counted.
    Skip,
}

impl Mapping {
    /// Its tables, those that others refer to first.
    pub fn tables(&self) -> &[TableMapping] {
        &self.tables
    }

    /// What the writers need to know of each table.
    pub fn plans(&self) -> Vec<TablePlan> {
        self.tables.iter().map(TableMapping::plan).collect()
    }

    /// How copies of events are masked, for dead letters, where columns are.
    pub fn masked_copies(&self) -> Option<&Arc<MaskedCopies>> {
        self.masked_copies.as_ref()
    }

    /// Why an event is rejected, as it may be told: where columns are masked it quotes no values.
    pub fn told(&self, why: Rejection) -> Rejection {
        if self.masked_copies.is_none() {
            return why;
        }
        let told = masked_copy::without_quotes(why);
        match self.tables.iter().find(|table| told.table.map(usize::from) == Some(table.number)) {
            Some(table) => self.of_table(table, told),
            None => told,
        }
    }

    /// A rejection by one of the tables; where there are several it says by which.
    #[cold]
    #[inline(never)]
    fn of_table(&self, table: &TableMapping, why: Rejection) -> Rejection {
        let why = Rejection { table: u16::try_from(table.number).ok(), ..why };
        let whom = format!("table {}", table.table.name);
        let is_said = why.message.starts_with(&format!("{whom}: "));
        if self.tables.len() == 1 || is_said { why } else { why.told_of(&whom) }
    }

    /// What the filter and the reshaping make of a document.
    fn seen(&self, document: &Document, origin: Origin<'_>) -> Result<Seen, Rejection> {
        if self.filter.is_none() && self.reshape.is_none() {
            return Ok(Seen::AsItCame);
        }
        let context = Context::new(origin, document, None);
        let op = origin.event.op;
        if !context.is_asked_about(op) {
            return Ok(Seen::AsItCame);
        }
        if let Some(filter) = &self.filter
            && patch::answer(filter, op, &context)? == Some(false)
        {
            return Ok(Seen::Not);
        }
        let Some(reshape) = &self.reshape else { return Ok(Seen::AsItCame) };
        let reshaped = patch::reshaped(reshape, op, &context)?;
        Ok(reshaped.map_or(Seen::Not, |json| Seen::Reshaped(Document::Json(json.into()))))
    }

    /// Maps one event to rows made by `rows`.
    ///
    /// # Errors
    /// A [`Rejection`] names the column, the path and the fault; the event becomes a dead letter. It may quote values that
    /// are not to be seen: [`Mapping::told`] is for others.
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
        let mut op = event.op;
        if *document == Document::Missing {
            if let Some(payload) = entry.field(&self.payload) {
                let why = if payload.is_empty() { empty(&self.payload) } else { unlooked_at(&self.payload) };
                return Err(Rejection::new(RejectionClass::MissingDocument, why));
            }
            match self.on_missing {
                OnMissing::Skip => return Ok(Mapped::Skip),
                OnMissing::Delete => op = Op::Delete,
                OnMissing::DeadLetter => return Err(missing_document(event)),
            }
        }
        let origin = Origin { entry, event, stream_name: &self.stream_name, key_pattern: self.key_pattern.as_ref() };
        let seen = self.seen(document, origin)?;
        let Some(document) = seen.document(document) else { return Ok(Mapped::Skip) };
        let members = Members::find(document, &self.paths)?;
        let mut context = Context::new(origin, document, members);
        // What an event left there that was rejected half way.
        rows.discard();
        let mut changes = Changes::new();
        let mut reaches_none = true;
        for (number, table) in (0..).zip(&self.tables) {
            let skipped = table.passes_over(op, &context).map_err(|why| self.of_table(table, why))?;
            if skipped.is_none() {
                reaches_none = false;
                if event.located == Located::AtKey && op != Op::Delete && table.adds_members() {
                    let why = Rejection::new(RejectionClass::MissingDocument, rules::NOT_ITS_OWN);
                    return Err(self.of_table(table, why));
                }
                let mapped = table.map(number, op, &mut context, rows, &mut changes);
                mapped.map_err(|why| self.of_table(table, why))?;
            }
        }
        Ok(if reaches_none { Mapped::Skip } else { Mapped::Changes(changes) })
    }
}

/// What the columns see of a document.
enum Seen {
    AsItCame,
    Reshaped(Document),
    /// The event is passed over.
    Not,
}

impl Seen {
    /// The document itself, which came as `came`; `None` if the event is passed over.
    fn document<'d>(&'d self, came: &'d Document) -> Option<&'d Document> {
        match self {
            Seen::AsItCame => Some(came),
            Seen::Reshaped(document) => Some(document),
            Seen::Not => None,
        }
    }
}

/// What is said of an event whose document is not where the settings say, and seems to be in the entry. Whatever
/// `on_missing` says: a row that is deleted for it is not brought back.
fn unlooked_at(payload: &str) -> String {
    format!(
        "no document at the key, and the entry has the field `{payload}`, which is not looked at: set `document` to auto or \
         inline if the document is there, or `fields.payload` to another name if that field is something else"
    )
}

fn empty(payload: &str) -> String {
    format!("the entry's field `{payload}` is empty, and there is no document at the key")
}

fn missing_document(event: &Decoded) -> Rejection {
    let key = event.key.as_deref().map_or("".into(), String::from_utf8_lossy);
    let message = format!("no document at key `{key}` when the event was read: it expired or was deleted");
    Rejection::new(RejectionClass::MissingDocument, message)
}
