//! Pure: what is written to the log streams `success_rdbms` and `failed_rdbms`.

use std::time::Duration;

use crate::event::{Rejection, StreamId};
use crate::lane::Span;

/// One entry of a log stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Key of the log stream.
    pub stream: String,
    /// Names and values.
    pub fields: Vec<(&'static str, String)>,
}

/// Of what stream an entry speaks.
#[derive(Clone, Debug)]
pub struct LogSubject {
    /// `streams.<entity>`
    pub entity: String,
    /// Key of the stream.
    pub stream: String,
    /// The target tables, with commas between them.
    pub table: String,
}

impl LogSubject {
    fn entry(&self, log_stream: &str, more: Vec<(&'static str, String)>) -> LogEntry {
        let about = [("entity", self.entity.clone()), ("stream", self.stream.clone()), ("table", self.table.clone())];
        LogEntry { stream: log_stream.to_owned(), fields: about.into_iter().chain(more).collect() }
    }

    /// A batch that is committed.
    pub fn batch(&self, log_stream: &str, lane: u32, span: Span, applied: &[StreamId], took: Duration) -> LogEntry {
        let first = applied.first().copied().unwrap_or(span.upto);
        let last = applied.last().copied().unwrap_or(span.upto);
        let more = vec![
            ("lane", lane.to_string()),
            ("events", applied.len().to_string()),
            ("first_id", first.to_string()),
            ("last_id", last.to_string()),
            ("ms", took.as_millis().to_string()),
        ];
        self.entry(log_stream, more)
    }

    /// One event that is committed.
    pub fn event(&self, log_stream: &str, lane: u32, id: StreamId) -> LogEntry {
        self.entry(log_stream, vec![("lane", lane.to_string()), ("id", id.to_string())])
    }

    /// Batches that an earlier process committed and could not report any more.
    pub fn caught_up(&self, log_stream: &str, events: u64) -> LogEntry {
        self.entry(log_stream, vec![("events", events.to_string()), ("caught_up", "true".to_owned())])
    }

    /// An event that became a dead letter.
    pub fn dead(&self, log_stream: &str, id: &str, why: &DeadReason) -> LogEntry {
        let column = why.column.clone().map(|column| ("column", column));
        let more = [("id", id.to_owned()), ("class", why.class.clone())];
        let message = [("error", why.message.clone())];
        self.entry(log_stream, more.into_iter().chain(column).chain(message).collect())
    }
}

/// Why an event became a dead letter.
#[derive(Clone, Debug)]
pub struct DeadReason {
    /// Class of the error.
    pub class: String,
    /// The column at fault, where one is known.
    pub column: Option<String>,
    /// The error in words.
    pub message: String,
}

impl From<&Rejection> for DeadReason {
    fn from(rejection: &Rejection) -> Self {
        DeadReason {
            class: rejection.class.name().to_owned(),
            column: rejection.column.clone(),
            message: rejection.message.clone(),
        }
    }
}
