//! The steps of one event through a mapping, for a person who wonders.

use std::fmt;

use super::context::{Context, Origin};
use super::source::Source;
use super::{Mapped, MappedColumn, Mapping, TableMapping, patch};
use crate::decode::Decoded;
use crate::event::{Document, Entry, Op, Rejection};
use crate::row::RowWriter;
use crate::settings::OnMissing;

/// Why an event is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skipped {
    /// Its operation is not written behind.
    Operation(Op),
    /// Its document is gone.
    Gone,
    /// The filter does not let it through.
    Filter,
    /// The reshaping gives nothing.
    Reshape,
    /// Each of several tables passes it over, for whatever reason.
    NoTable,
}

impl Skipped {
    /// The setting that says so, below its stream.
    pub fn setting(self) -> String {
        match self {
            Skipped::Operation(op) => format!("write_behind.{op}"),
            Skipped::Gone => "on_missing".to_owned(),
            Skipped::Filter => "filter".to_owned(),
            Skipped::Reshape => "reshape".to_owned(),
            Skipped::NoTable => "tables".to_owned(),
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skipped::Operation(op) => write!(f, "`write_behind.{op}` is false"),
            Skipped::Gone => f.write_str("the document is gone, and `on_missing` is skip"),
            Skipped::Filter => f.write_str("`filter` answers false"),
            Skipped::Reshape => f.write_str("`reshape` gives nothing"),
            Skipped::NoTable => f.write_str("no table takes it"),
        }
    }
}

/// What each part of a mapping makes of an event.
#[derive(Debug)]
pub struct Explanation {
    /// The filter, and its answer; `None` if a patch has not all that it looks at.
    pub filter: Option<(String, Result<Option<bool>, Rejection>)>,
    /// The expression that reshapes, if it came to that, and what it made: JSON, or nothing.
    pub reshape: Option<(String, Result<Option<String>, Rejection>)>,
    /// Why the event is passed over, if it is.
    pub skipped: Option<Skipped>,
    /// The tables that pass it over, by their numbers in the mapping, and why.
    pub tables: Vec<(usize, Skipped)>,
    /// What [`Mapping::map`] answers.
    pub outcome: Result<Mapped, Rejection>,
}

impl Mapping {
    /// Maps an event as [`Mapping::map`] does, and tells what came of each step.
    pub fn explain(&self, entry: &Entry, event: &Decoded, document: &Document) -> Explanation {
        let outcome = self.map(entry, event, document, &mut RowWriter::default());
        let mut told = Explanation { filter: None, reshape: None, skipped: None, tables: Vec::new(), outcome };
        if !self.write_behind.allows(event.op) {
            told.skipped = Some(Skipped::Operation(event.op));
        } else if *document == Document::Missing && self.on_missing == OnMissing::Skip {
            told.skipped = Some(Skipped::Gone);
        }
        if told.skipped.is_some() {
            return told;
        }
        let origin = Origin { entry, event, stream_name: &self.stream_name, key_pattern: self.key_pattern.as_ref() };
        let context = Context::new(origin, document, None);
        let asked = context.is_asked_about(event.op);
        if let Some(filter) = self.filter.as_ref().filter(|_| asked) {
            let answer = patch::answer(filter, event.op, &context);
            told.skipped = (answer == Ok(Some(false))).then_some(Skipped::Filter);
            let goes_on = matches!(answer, Ok(None | Some(true)));
            told.filter = Some((filter.text().to_owned(), answer));
            if !goes_on {
                return told;
            }
        }
        let mut seen = None;
        if let Some(reshape) = self.reshape.as_ref().filter(|_| asked) {
            let made = patch::reshaped(reshape, event.op, &context);
            told.skipped = (made == Ok(None)).then_some(Skipped::Reshape);
            seen = made.as_ref().ok().cloned().flatten().map(|json| Document::Json(json.into()));
            told.reshape = Some((reshape.text().to_owned(), made));
        }
        if told.outcome.is_ok() && told.skipped.is_none() {
            let gone = *document == Document::Missing;
            let op = if gone { Op::Delete } else { event.op };
            let context = Context::new(origin, seen.as_ref().unwrap_or(document), None);
            let why = |table: &TableMapping| table.passes_over(op, &context).ok().flatten();
            told.tables =
                self.tables.iter().enumerate().filter_map(|(place, table)| Some((place, why(table)?))).collect();
            told.skipped = (told.tables.len() == self.tables.len()).then_some(Skipped::NoTable);
        }
        told
    }
}

impl MappedColumn {
    /// Where its value comes from, as the settings say it.
    pub fn source_text(&self) -> String {
        text(&self.source)
    }
}

fn text(source: &Source) -> String {
    match source {
        Source::Member(path, _) => path.to_string(),
        Source::Expression(expression) => format!("expr: {}", expression.text()),
        Source::Constant(_) => "value".to_owned(),
        Source::Masked(masked) => format!("{} (masked)", text(&masked.source)),
        other => other.to_string().replace('`', ""),
    }
}
