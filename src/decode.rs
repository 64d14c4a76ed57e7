//! From a stream entry to an event: which operation, on which key, and where the document is.
//!
//! Pure: what must be fetched from Redis is said by [`Located::AtKey`] and fetched by `stream::documents`.

use bytes::Bytes;

use crate::event::{Document, Entry, Op, Rejection, RejectionClass};
use crate::fields::Fields as Flat;
use crate::settings::{DocumentSource, FieldNames};

/// An entry, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What happened to the document.
    pub op: Op,
    /// The document's key, if the entry names one.
    pub key: Option<Bytes>,
    /// Where the document is.
    pub located: Located,
}

/// Where the document of an event is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// In the entry itself.
    Here(Document),
    /// At [`Decoded::key`], which is present then.
    AtKey,
    /// Nowhere, and the operation (`delete`) needs none.
    NotNeeded,
}

impl Located {
    /// Takes the document out, which `fetched` gives if it is at the key; that it was there can still be seen.
    ///
    /// # Errors
    /// That of `fetched`.
    pub fn document(&mut self, fetched: impl FnOnce() -> Result<Document, Rejection>) -> Result<Document, Rejection> {
        match self {
            Located::Here(document) => Ok(std::mem::replace(document, Document::None)),
            Located::AtKey => fetched(),
            Located::NotNeeded => Ok(Document::None),
        }
    }
}

/// Decodes `entry`, whose fields are called `names`, for a stream with `document: <source>`.
///
/// A field that is absent and a field that is empty mean the same; no operation means `insert`.
/// With `fields` the document is every field but the operation and the ack: a mapping may want the
/// timestamp or the key as members, and what it does not name it does not see.
/// A `delete` never fetches a document, but one that the entry carries is kept: key columns may come from it.
///
/// # Errors
///
/// [`RejectionClass::UnknownOp`], [`RejectionClass::MissingKey`] or [`RejectionClass::MissingDocument`],
/// in words that name the entry, the field and what the entry has instead.
pub fn decode(entry: &Entry, names: &FieldNames, source: DocumentSource) -> Result<Decoded, Rejection> {
    let control = Control::find(entry, names);
    let op = operation(entry, names, control.op)?;
    let key = control.key.map(|key| entry.fields.share(key));
    let located = match carried(entry, names, source, op, control.payload) {
        Some(document) => Located::Here(document),
        None if op == Op::Delete && key.is_some() => Located::NotNeeded,
        None => match source {
            DocumentSource::Inline => return Err(missing_document(entry, &names.payload)),
            DocumentSource::Fields => return Err(no_fields(entry)),
            _ if key.is_some() => Located::AtKey,
            _ => return Err(missing_key(entry, names, source)),
        },
    };
    Ok(Decoded { op, key, located })
}

/// Bytes as a person reads them in a message: text where it is text, and never long.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const LONGEST: usize = 120;
    let text = String::from_utf8_lossy(bytes);
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// The fields of an entry that mean something to the pipeline itself, where they are there and not empty.
#[derive(Default)]
struct Control<'a> {
    op: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    payload: Option<&'a [u8]>,
}

impl<'a> Control<'a> {
    /// Finds them in one pass. Of fields with one name the first counts.
    fn find(entry: &'a Entry, names: &FieldNames) -> Self {
        let mut found = Control::default();
        for (name, value) in entry.fields.iter() {
            // Two of the names may be one, in the settings.
            for (of, place) in
                [(&names.op, &mut found.op), (&names.key, &mut found.key), (&names.payload, &mut found.payload)]
            {
                if place.is_none() && name == of.as_bytes() {
                    *place = Some(value);
                }
            }
        }
        let filled = |value: &&[u8]| !value.is_empty();
        Control { op: found.op.filter(filled), key: found.key.filter(filled), payload: found.payload.filter(filled) }
    }
}

fn operation(entry: &Entry, names: &FieldNames, name: Option<&[u8]>) -> Result<Op, Rejection> {
    let Some(name) = name else { return Ok(Op::Insert) };
    Op::from_name(name).ok_or_else(|| {
        let known = Op::ALL.map(Op::name).join(", ");
        let message = format!(
            "entry {}: field `{}` says `{}`, which is not an operation: expected one of {known}, or nothing for insert",
            entry.id,
            names.op,
            shown(name)
        );
        Rejection::new(RejectionClass::UnknownOp, message)
    })
}

/// The document in the entry itself, if there is one that `source` and `op` allow to use.
fn carried(
    entry: &Entry,
    names: &FieldNames,
    source: DocumentSource,
    op: Op,
    payload: Option<&[u8]>,
) -> Option<Document> {
    let payload = || payload.map(|json| Document::Json(entry.fields.share(json)));
    match source {
        DocumentSource::Auto | DocumentSource::Inline => payload(),
        DocumentSource::Fields => {
            let controls = [names.op.as_bytes(), names.ack.as_bytes()];
            let fields: Flat = entry.fields.iter().filter(|(name, _)| !controls.contains(name)).collect();
            (!fields.is_empty()).then_some(Document::Fields(fields))
        }
        // The setting says that the key holds the truth; after a delete there is nothing there to prefer, and what a patch
        // changes is only in the entry.
        DocumentSource::Json | DocumentSource::String | DocumentSource::Hash
            if matches!(op, Op::Delete | Op::Patch) =>
        {
            payload()
        }
        DocumentSource::Json | DocumentSource::String | DocumentSource::Hash => None,
    }
}

fn missing_document(entry: &Entry, payload: &str) -> Rejection {
    let message = format!(
        "entry {}: no document: field `{payload}` is absent or empty, and `document: inline` looks nowhere else; {}",
        entry.id,
        has(entry)
    );
    Rejection::new(RejectionClass::MissingDocument, message)
}

fn no_fields(entry: &Entry) -> Rejection {
    let message =
        format!("entry {}: no document: with `document: fields` the entry's fields are it; {}", entry.id, has(entry));
    Rejection::new(RejectionClass::MissingDocument, message)
}

fn missing_key(entry: &Entry, names: &FieldNames, source: DocumentSource) -> Rejection {
    let also = match source {
        DocumentSource::Auto => format!(", and no document in `{}`", names.payload),
        _ => String::new(),
    };
    let hint = match source {
        DocumentSource::Auto if !entry.fields.is_empty() => "; if these are the document, set `document: fields`",
        _ => "",
    };
    let message = format!("entry {}: no key in field `{}`{also}; {}{hint}", entry.id, names.key, has(entry));
    Rejection::new(RejectionClass::MissingKey, message)
}

/// What the entry does have: names only, because values are the application's data.
fn has(entry: &Entry) -> String {
    const MOST: usize = 12;
    let mut names: Vec<_> = entry.fields.iter().take(MOST).map(|(name, _)| format!("`{}`", shown(name))).collect();
    if entry.fields.len() > MOST {
        names.push("…".to_owned());
    }
    if names.is_empty() { "it has no fields".to_owned() } else { format!("it has the fields {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StreamId;
    use DocumentSource::{Auto, Fields, Hash, Inline, Json, String as Text};

    fn names() -> FieldNames {
        FieldNames {
            key: "key".into(),
            op: "op".into(),
            payload: "payload".into(),
            timestamp: "timestamp".into(),
            ack: "ack".into(),
        }
    }

    fn entry(fields: &[(&str, &str)]) -> Entry {
        Entry { id: StreamId { ms: 17, seq: 3 }, fields: fields.iter().copied().collect() }
    }

    fn json(text: &str) -> Located {
        Located::Here(Document::Json(text.to_owned().into()))
    }

    fn flat(fields: &[(&str, &str)]) -> Located {
        Located::Here(Document::Fields(entry(fields).fields))
    }

    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], DocumentSource, Op, Option<&'a str>, Located);

    #[test]
    fn what_an_entry_means() {
        use Located::{AtKey, NotNeeded};
        use Op::{Delete, Insert, Update, Upsert};
        let plain = [("user_id", "7"), ("action", "login"), ("timestamp", "2024-06-10T00:00:00.000Z")];
        let cases: &[Case] = &[
            ("no op is insert", &[("key", "k")], Auto, Insert, Some("k"), AtKey),
            ("an empty op is insert", &[("key", "k"), ("op", "")], Auto, Insert, Some("k"), AtKey),
            ("any case", &[("key", "k"), ("op", "UpSert")], Json, Upsert, Some("k"), AtKey),
            ("auto prefers the payload", &[("key", "k"), ("payload", "{}")], Auto, Insert, Some("k"), json("{}")),
            ("auto needs no key then", &[("payload", "{}")], Auto, Insert, None, json("{}")),
            ("an empty payload is none", &[("key", "k"), ("payload", "")], Auto, Insert, Some("k"), AtKey),
            ("inline", &[("key", "k"), ("op", "update"), ("payload", "{}")], Inline, Update, Some("k"), json("{}")),
            ("the key decides", &[("key", "k"), ("payload", "{}")], Text, Insert, Some("k"), AtKey),
            ("the key decides", &[("key", "k"), ("payload", "{}")], Hash, Insert, Some("k"), AtKey),
            ("delete needs none", &[("key", "k"), ("op", "delete")], Auto, Delete, Some("k"), NotNeeded),
            ("delete needs none", &[("key", "k"), ("op", "delete")], Inline, Delete, Some("k"), NotNeeded),
            ("delete keeps it", &[("op", "delete"), ("payload", "{}")], Json, Delete, None, json("{}")),
            ("the fields are it", &plain, Fields, Insert, None, flat(&plain)),
            (
                "fields without op and ack",
                &[("op", "update"), ("key", "k"), ("ack", "1"), ("x", "1"), ("x", "2")],
                Fields,
                Update,
                Some("k"),
                flat(&[("key", "k"), ("x", "1"), ("x", "2")]),
            ),
            ("delete by fields", &[("op", "delete"), ("x", "1")], Fields, Delete, None, flat(&[("x", "1")])),
        ];
        for (what, fields, source, op, key, located) in cases {
            let want = Decoded { op: *op, key: key.map(|key| key.to_owned().into()), located: located.clone() };
            assert_eq!(decode(&entry(fields), &names(), *source), Ok(want), "{what}: {fields:?}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_rejected_by_name() {
        use RejectionClass::{MissingDocument, MissingKey, UnknownOp};
        type Case<'a> = (&'a [(&'a str, &'a str)], DocumentSource, RejectionClass, &'a [&'a str]);
        let cases: &[Case] = &[
            (&[("op", "replace"), ("key", "k")], Auto, UnknownOp, &["17-3", "`op`", "`replace`", "upsert"]),
            (
                &[("id", "k"), ("kind", "x")],
                Auto,
                MissingKey,
                &["17-3", "`key`", "`payload`", "`id`, `kind`", "`document: fields`"],
            ),
            (&[("key", ""), ("payload", "{}")], Json, MissingKey, &["`key`"]),
            (&[("op", "delete")], Auto, MissingKey, &["`key`", "`op`"]),
            (&[("op", "delete")], Inline, MissingDocument, &["`payload`"]),
            (&[("key", "k")], Inline, MissingDocument, &["17-3", "`payload`", "inline"]),
            (&[("op", "insert")], Fields, MissingDocument, &["fields"]),
            (&[], Hash, MissingKey, &["no fields"]),
        ];
        for (fields, source, class, parts) in cases {
            let rejection = decode(&entry(fields), &names(), *source).unwrap_err();
            assert_eq!(rejection.class, *class, "{fields:?}");
            for part in *parts {
                assert!(rejection.message.contains(part), "`{part}` in: {rejection}");
            }
        }
    }

    #[test]
    fn the_names_are_those_of_the_settings() {
        let names = FieldNames { key: "doc_id".into(), op: "event_type".into(), ..names() };
        let entry = entry(&[("doc_id", "k"), ("event_type", "delete"), ("op", "nonsense")]);
        let want = Decoded { op: Op::Delete, key: Some("k".into()), located: Located::NotNeeded };
        assert_eq!(decode(&entry, &names, Auto), Ok(want));
    }

    #[test]
    fn values_never_show_in_a_rejection() {
        let rejection = decode(&entry(&[("secret", "4711")]), &names(), Auto).unwrap_err();
        assert!(!rejection.message.contains("4711"), "{rejection}");
    }

    #[test]
    fn long_or_binary_bytes_are_shown_short_and_printable() {
        assert_eq!(shown("größe".as_bytes()), "größe");
        assert_eq!(shown(b"a\nb"), "a\\nb");
        assert!(shown(&[b'x'; 500]).chars().count() <= 121);
        assert_eq!(shown(&[0xff]), "\u{fffd}");
    }
}
