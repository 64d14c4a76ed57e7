//! Dead letters: events that cannot be written, stored in the transaction that passes them.

use sea_orm::DbBackend;

use super::sql::{Sizes, placeholder};
use super::{LaneIdentity, Session, Sql, SqlError};
use crate::batch::MappedEvent;
use crate::event::{Document, Entry, Rejection};
use crate::row::Value;
use crate::settings::FieldNames;

/// How much of an event a dead letter keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// As it came, up to [`KEPT_BYTES_MAX`] a field.
    AsItCame,
    /// In ASCII, and little of it: what a database takes that refused the other form, because of its encoding or of
    /// the size of its packets.
    Plain,
}

/// Stores one dead letter for each event and its rejection.
pub async fn insert(
    session: &mut dyn Session,
    lane: &LaneIdentity,
    dead: &[(&MappedEvent, &Rejection)],
    kept: Kept,
) -> Result<(), SqlError> {
    let mut rows: Vec<[Value<'static>; COLUMNS.len()]> =
        dead.iter().map(|(event, why)| row_of(lane, event, why)).collect();
    if kept == Kept::Plain {
        rows.iter_mut().flatten().for_each(make_plain);
    }
    let mut rows = rows.as_slice();
    while !rows.is_empty() {
        let bytes = rows.iter().map(|row| row.iter().map(Value::bytes).sum());
        let (chunk, rest) = rows.split_at(Sizes::OF_SERVERS.rows_of_next(bytes, COLUMNS.len()));
        rows = rest;
        let sql = insert_sql(session.backend(), chunk.len());
        session.execute(sql, chunk.iter().flatten().cloned().collect()).await?;
    }
    Ok(())
}

/// Most bytes of an entry or a document that a dead letter keeps. What is longer is cut, with its length: a row too
/// large for the database must not stop the stream, and the stream in Redis still has all of it.
const KEPT_BYTES_MAX: usize = 1 << 20;

const COLUMNS: [&str; 15] = [
    "pipeline",
    "stream",
    "entry_id",
    "entry_ms",
    "entry_seq",
    "lane",
    "entity",
    "doc_key",
    "op",
    "entry",
    "document",
    "error_class",
    "error_column",
    "message",
    "attempts",
];

fn insert_sql(backend: DbBackend, rows: usize) -> Sql {
    let group = |row: usize| {
        let first = row * COLUMNS.len() + 1;
        let places = (first..first + COLUMNS.len()).map(|number| placeholder(backend, number));
        format!("({}, CURRENT_TIMESTAMP)", places.collect::<Vec<_>>().join(", "))
    };
    let groups = (0..rows).map(group).collect::<Vec<_>>().join(", ");
    // An event that is read again (checkpoints deleted on purpose, a stream made anew) keeps one dead letter.
    const RENEWED: [&str; 5] = ["entry", "document", "error_class", "error_column", "message"];
    let (clause, value) = match backend {
        DbBackend::MySql => ("ON DUPLICATE KEY UPDATE", ("VALUES(", ")")),
        _ => ("ON CONFLICT (pipeline, stream, entry_id) DO UPDATE SET", ("excluded.", "")),
    };
    let renewed = RENEWED.map(|name| format!("{name} = {}{name}{}", value.0, value.1)).join(", ");
    format!(
        "INSERT INTO write_behind_dead_letter ({}, created_at) VALUES {groups} \
         {clause} attempts = write_behind_dead_letter.attempts + 1, {renewed}",
        COLUMNS.join(", ")
    )
    .into()
}

fn row_of(lane: &LaneIdentity, event: &MappedEvent, why: &Rejection) -> [Value<'static>; COLUMNS.len()] {
    match &lane.masked_copies {
        Some(copies) => row(lane, &copies.entry(&event.entry), &copies.document(&event.document), why),
        None => row(lane, &event.entry, &event.document, why),
    }
}

fn row(lane: &LaneIdentity, entry: &Entry, document: &Document, why: &Rejection) -> [Value<'static>; COLUMNS.len()] {
    let text = |text: &str| Value::text(text.to_owned());
    let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let optional = |value: Option<String>| value.map_or(Value::Null, Value::text);
    let field = |name: &str| optional(entry.field(name).map(readable));
    [
        text(&lane.pipeline),
        text(&lane.stream),
        text(&entry.id.to_string()),
        number(entry.id.ms),
        number(entry.id.seq),
        number(u64::from(lane.lane)),
        text(&lane.entity),
        field(&lane.fields.key),
        field(&lane.fields.op),
        text(&entry_json(entry, &lane.fields)),
        // What could not even be decoded still keeps its payload.
        document_text(document).map_or_else(|| field(&lane.fields.payload), Value::text),
        text(why.class.name()),
        optional(why.column.clone()),
        text(&why.message.replace('\0', "\u{fffd}")),
        Value::Int(1),
    ]
}

/// The entry's fields as a JSON object. The payload stands in the column `document`, not here a second time.
fn entry_json(entry: &Entry, names: &FieldNames) -> String {
    let fields = entry.fields.iter().filter(|(name, _)| *name != names.payload.as_bytes());
    let members = fields.map(|(name, value)| (readable(name), serde_json::Value::String(readable(value))));
    cut(serde_json::Value::Object(members.collect()).to_string())
}

fn document_text(document: &Document) -> Option<String> {
    match document {
        Document::Json(text) => Some(readable(text)),
        Document::Fields(fields) => {
            let members = fields.iter().map(|(name, value)| (readable(name), readable(value).into()));
            Some(cut(serde_json::Value::Object(members.collect()).to_string()))
        }
        Document::Missing | Document::None => None,
    }
}

/// The bytes as text where they are UTF-8 that every database can store; otherwise all of them as hex, so that
/// nothing of the event is lost.
fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => cut(text.to_owned()),
        _ => cut(format!("hex:{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())),
    }
}

fn make_plain(value: &mut Value<'_>) {
    const PLAIN_CHARS_MAX: usize = 4096;
    if let Value::Text(text) = value {
        let plain = text.chars().take(PLAIN_CHARS_MAX);
        let plain: String =
            plain.map(|c| if c.is_ascii() { c.to_string() } else { c.escape_unicode().to_string() }).collect();
        *text = plain.into();
    }
}

fn cut(mut text: String) -> String {
    let length = text.len();
    if length > KEPT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(KEPT_BYTES_MAX));
        text.push_str(&format!("… (cut: {length} bytes in all)"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_database_can_store_what_is_kept() {
        for (bytes, expected) in
            [(&b"plain \xc3\xab"[..], "plain ë"), (b"a\0b", "hex:610062"), (b"\xff\x01", "hex:ff01"), (b"", "")]
        {
            assert_eq!(readable(bytes), expected);
        }
        let long = readable("ë".repeat(KEPT_BYTES_MAX).as_bytes());
        assert!(long.len() < KEPT_BYTES_MAX + 100 && long.ends_with("(cut: 2097152 bytes in all)"));
    }
}
