//! What a transformer does: it maps entries to changes, or says why not.

use std::collections::VecDeque;

use write_behind::actors::messages::{DocumentsFetched, EntryBatch};
use write_behind::batch::{MappedBatch, MappedEvent};
use write_behind::credits::cost_of_documents;
use write_behind::event::{Document, Rejection, RejectionClass};
use write_behind::mapping::{Change, ChangeKind, Changes, Extent};
use write_behind::row::Value;

use crate::world::database::sound;
use crate::world::stream::{Event, Nature, Stream, key_text};

#[derive(Default)]
pub struct Transformer {
    pub mailbox: VecDeque<EntryBatch>,
}

impl Transformer {
    /// Maps the next batch, if there is one; answers its lane, and what the reader must know of the documents.
    pub fn step(&mut self, stream: &Stream) -> Option<(u32, MappedBatch, Option<DocumentsFetched>)> {
        let EntryBatch { lane, span, entries, credits } = self.mailbox.pop_front()?;
        let (mut events, mut skipped) = (Vec::new(), 0);
        let mut fetched = DocumentsFetched { events: 0, bytes: 0 };
        for entry in entries {
            let (number, event) = stream.event(&entry);
            fetched.events += usize::from(event.document > 0);
            fetched.bytes += event.document;
            let outcome = match event.nature {
                Nature::Skipped => {
                    skipped += 1;
                    continue;
                }
                Nature::RefusedByMapping => Err(Rejection::new(RejectionClass::WrongType, "poison")),
                Nature::Good => Ok(change(number, event, sound::YES)),
                Nature::RefusedByRow => Ok(change(number, event, sound::NOT_THE_ROW)),
                Nature::RefusedAtCommit => Ok(change(number, event, sound::NOT_AT_COMMIT)),
            };
            events.push(MappedEvent { entry, document: Document::None, outcome });
        }
        let credits = credits + cost_of_documents(fetched.bytes);
        let fetched = Some(fetched).filter(|fetched| fetched.bytes > 0);
        Some((lane, MappedBatch { span, events, skipped, credits }, fetched))
    }
}

fn change(number: usize, event: &Event, sound: i64) -> Changes {
    let key = Value::text(key_text(event.key));
    let values = match event.kind {
        ChangeKind::Delete => vec![key],
        _ => vec![key, Value::Int(number as i64), Value::Int(sound)],
    };
    [Change { table: 0, kind: event.kind, row: values.into_iter().collect(), extent: Extent::Whole }].into()
}
