//! Fetches the documents of a batch, in one round trip, and maps them to changes of the table.

use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Recipient};
use bytes::Bytes;
use fail::fail_point;

use super::messages::{DocumentsFetched, EntryBatch, Feedback, LaneBatch};
use super::rdbms_writer::RdbmsWriter;
use crate::batch::{MappedBatch, MappedEvent};
use crate::credits::cost_of_documents;
use crate::decode::{Decoded, Located, decode};
use crate::event::{Document, Entry, Rejection};
use crate::mapping::{Change, Mapped, Mapping};
use crate::row::RowWriter;
use crate::settings::{DocumentSource, FieldNames};
use crate::stream::connection::RedisClient;
use crate::stream::documents::DocumentFetcher;
use crate::stream::failure::RedisFailure;
use crate::stream::read_connection::ReadConnection;
use crate::supervision::exit::LastWords;
use crate::supervision::progress::Progress;

/// What a transformer needs to begin.
pub struct TransformerStart {
    /// Names of the entry's fields.
    pub fields: FieldNames,
    /// Where the documents are.
    pub document: DocumentSource,
    /// Whether the server has RedisJSON.
    pub json_available: bool,
    /// What becomes of a document.
    pub mapping: Arc<Mapping>,
    /// Where to fetch.
    pub redis: RedisClient,
    /// Lane l goes to writer l.
    pub writers: Vec<Addr<RdbmsWriter>>,
    /// Where to leave the reason before stopping.
    pub last_words: LastWords,
    /// Liveness.
    pub progress: Progress,
}

/// The actor. It keeps nothing between batches but its connection.
pub struct Transformer {
    fields: FieldNames,
    document: DocumentSource,
    mapping: Arc<Mapping>,
    writers: Vec<Addr<RdbmsWriter>>,
    /// Told of the weight of documents; set once the reader is there.
    reader: Option<Recipient<DocumentsFetched>>,
    /// Absent while a fetch is under way: it takes it along.
    source: Option<Source>,
    rows: RowWriter,
    last_words: LastWords,
    progress: Progress,
}

/// Where documents are fetched.
struct Source {
    redis: RedisClient,
    connection: Option<ReadConnection>,
    fetcher: DocumentFetcher,
}

/// An entry that was decoded, or could not be.
type DecodedEntry = (Entry, Result<Decoded, Rejection>);

impl Transformer {
    /// Prepares a transformer.
    pub fn new(start: TransformerStart) -> Self {
        let fetcher = DocumentFetcher::new(start.document, start.json_available);
        Transformer {
            fields: start.fields,
            document: start.document,
            mapping: start.mapping,
            writers: start.writers,
            reader: None,
            rows: RowWriter::default(),
            source: Some(Source { redis: start.redis, connection: None, fetcher }),
            last_words: start.last_words,
            progress: start.progress,
        }
    }

    /// Maps what has been fetched and sends it on.
    fn forward(&mut self, batch: EntryBatch, decoded: Vec<DecodedEntry>, fetched: Vec<Fetched>) {
        fail_point!("transformer::forward");
        let events = fetched.len();
        let documents: usize = fetched.iter().map(|fetched| fetched.as_ref().map_or(0, Document::bytes)).sum();
        let of_documents = self.spend(events, documents);
        let (events, skipped) = map_batch(&self.mapping, decoded, fetched, &mut self.rows);
        let credits = batch.credits + of_documents;
        // An expression can make much of little, and it is held until it is written.
        let rows =
            events.iter().filter_map(|event| event.outcome.as_ref().ok()).flatten().map(Change::bytes).sum::<usize>();
        let credits = credits + self.spend(events.len(), rows.saturating_sub(credits));
        let mapped = MappedBatch { span: batch.span, events, skipped, credits };
        self.writers[batch.lane as usize].do_send(LaneBatch(mapped));
        self.progress.idle();
    }

    /// Tells the reader what events weigh beside their entries, and answers what it costs.
    fn spend(&self, events: usize, bytes: usize) -> usize {
        if let Some(reader) = self.reader.as_ref().filter(|_| bytes > 0) {
            reader.do_send(DocumentsFetched { events, bytes });
        }
        cost_of_documents(bytes)
    }

    fn end(&mut self, failure: RedisFailure, context: &mut Context<Self>) {
        self.last_words.say(failure.into());
        context.stop();
    }
}

/// A document that was fetched, or why it could not be.
type Fetched = Result<Document, Rejection>;

/// Decodes, and gathers the keys whose documents must be fetched, in the order of the entries.
fn decode_batch(entries: Vec<Entry>, names: &FieldNames, source: DocumentSource) -> (Vec<DecodedEntry>, Vec<Bytes>) {
    let mut keys = Vec::new();
    let decoded = entries.into_iter().map(|entry| {
        let decoded = decode(&entry, names, source);
        if let Ok(Decoded { located: Located::AtKey, key: Some(key), .. }) = &decoded {
            keys.push(key.clone());
        }
        (entry, decoded)
    });
    let decoded = decoded.collect();
    (decoded, keys)
}

/// Maps every event; answers those that are to be written and the number of those passed over.
fn map_batch(
    mapping: &Mapping,
    decoded: Vec<DecodedEntry>,
    fetched: Vec<Fetched>,
    rows: &mut RowWriter,
) -> (Vec<MappedEvent>, usize) {
    let mut fetched = fetched.into_iter();
    let mut events = Vec::with_capacity(decoded.len());
    let mut skipped = 0;
    for (entry, decoded) in decoded {
        let mut document = Document::None;
        let mapped = decoded.and_then(|mut event| {
            document = event.located.document(|| fetched.next().unwrap_or(Ok(Document::Missing)))?;
            mapping.map(&entry, &event, &document, rows)
        });
        let outcome = match mapped {
            Ok(Mapped::Skip) => {
                skipped += 1;
                continue;
            }
            Ok(Mapped::Changes(changes)) => Ok(changes),
            Err(rejection) => Err(mapping.told(rejection)),
        };
        events.push(MappedEvent { entry, document, outcome });
    }
    debug_assert!(fetched.next().is_none(), "a document was fetched for nobody");
    (events, skipped)
}

async fn fetch(mut source: Source, keys: Vec<Bytes>) -> Result<(Source, Vec<Fetched>), RedisFailure> {
    let mut connection = match source.connection.take() {
        Some(connection) => connection,
        None => source.redis.dedicated(Duration::ZERO).await?,
    };
    let fetched = source.fetcher.fetch(&mut connection, &keys).await?;
    source.connection = Some(connection);
    Ok((source, fetched))
}

impl Actor for Transformer {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        fail_point!("transformer::started");
    }
}

impl Handler<Feedback<DocumentsFetched>> for Transformer {
    type Result = ();

    fn handle(&mut self, message: Feedback<DocumentsFetched>, _: &mut Context<Self>) {
        fail_point!("transformer::feedback");
        self.reader = Some(message.0);
    }
}

impl Handler<EntryBatch> for Transformer {
    type Result = ();

    fn handle(&mut self, mut batch: EntryBatch, context: &mut Context<Self>) {
        self.progress.working();
        fail_point!("transformer::entry_batch");
        let entries = std::mem::take(&mut batch.entries);
        let (decoded, keys) = decode_batch(entries, &self.fields, self.document);
        if keys.is_empty() {
            return self.forward(batch, decoded, Vec::new());
        }
        let Some(source) = self.source.take() else {
            // `wait` below keeps further batches in the mailbox until the source is back.
            debug_assert!(false, "two fetches at once");
            return;
        };
        let fetching = fetch(source, keys);
        // Nothing else is handled meanwhile: batches leave in the order in which they came.
        context.wait(wrap_future(fetching).map(move |outcome, transformer: &mut Self, context: &mut Context<Self>| {
            match outcome {
                Ok((source, fetched)) => {
                    transformer.source = Some(source);
                    transformer.forward(batch, decoded, fetched);
                }
                Err(failure) => transformer.end(failure, context),
            }
        }));
    }
}
