//! Reads one stream from its checkpoint and hands the entries out to the lanes, as far as the credits go.

use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler};
use fail::fail_point;
use slog::{Logger, debug, error, info};

use super::messages::{Begin, Committed, DocumentsFetched, Drain, EntriesLost, EntryBatch};
use super::metrics::MetricsActor;
use super::transformer::Transformer;
use crate::audit::{Audit, Finding, StreamState, WentBack};
use crate::credits::Credits;
use crate::event::{Entry, StreamId};
use crate::lane::{LanePart, LaneSplitter};
use crate::settings::StreamSettings;
use crate::stream::connection::RedisClient;
use crate::stream::failure::RedisFailure;
use crate::stream::read_connection::ReadConnection;
use crate::stream::reader::{read_after, stream_info};
use crate::supervision::exit::{ExitReason, LastWords};
use crate::supervision::progress::Progress;

/// How often the stream is compared with what was read of it, at its end.
const AUDIT_INTERVAL: Duration = Duration::from_secs(1);

/// What a reader needs to begin.
pub struct StreamReaderStart {
    /// The stream's settings.
    pub settings: StreamSettings,
    /// Where to read.
    pub redis: RedisClient,
    /// Where the lanes stand, lane 0 first.
    pub positions: Vec<StreamId>,
    /// Read no further than the lane that is furthest, then end as [`ExitReason::Aligned`]: the stream is to be
    /// divided into another number of lanes.
    pub align: bool,
    /// Lane l goes to transformer l modulo their number.
    pub transformers: Vec<Addr<Transformer>>,
    /// Told of entries that were lost.
    pub metrics: Addr<MetricsActor>,
    /// Where to leave the reason before stopping.
    pub last_words: LastWords,
    /// Liveness.
    pub progress: Progress,
    /// The actor's log.
    pub log: Logger,
}

/// The actor.
pub struct StreamReader {
    settings: StreamSettings,
    redis: RedisClient,
    /// Present while no read is under way: a read takes it along.
    connection: Option<ReadConnection>,
    transformers: Vec<Addr<Transformer>>,
    splitter: LaneSplitter,
    credits: Credits,
    /// Where each lane has been handed out to, and where it is committed.
    handed_out: Vec<StreamId>,
    committed: Vec<StreamId>,
    align_at: Option<StreamId>,
    reading: bool,
    /// Why the reader will end once everything is committed.
    draining: Option<ExitReason>,
    idle_checked: Instant,
    audit: Audit,
    audited: Instant,
    metrics: Addr<MetricsActor>,
    last_words: LastWords,
    progress: Progress,
    log: Logger,
}

impl StreamReader {
    /// Prepares a reader; it begins when it is started.
    pub fn new(start: StreamReaderStart) -> Self {
        let order_by = start.settings.order_by.as_ref().unwrap_or(&start.settings.fields.key);
        let splitter = LaneSplitter::new(order_by, start.positions.clone());
        StreamReader {
            credits: Credits::new(start.settings.max_in_flight_bytes),
            align_at: start.align.then(|| splitter.furthest()),
            splitter,
            settings: start.settings,
            redis: start.redis,
            connection: None,
            transformers: start.transformers,
            handed_out: start.positions.clone(),
            committed: start.positions,
            reading: false,
            draining: None,
            idle_checked: Instant::now(),
            audit: Audit::default(),
            audited: Instant::now(),
            metrics: start.metrics,
            last_words: start.last_words,
            progress: start.progress,
            log: start.log,
        }
    }

    /// Starts the next read, if one may be started. At most one is under way.
    fn read(&mut self, context: &mut Context<Self>) {
        let count = self.credits.read_count(self.settings.batch_size);
        if self.reading || self.draining.is_some() || count == 0 {
            return;
        }
        self.reading = true;
        self.progress.working();
        let audit = self.align_at.is_none() && self.audited.elapsed() >= AUDIT_INTERVAL;
        if audit {
            self.audited = Instant::now();
        }
        // On the way to an alignment the end of the stream is a result, not something to wait at.
        let block = self.align_at.is_none().then_some(self.settings.block);
        let read = read(
            self.redis.clone(),
            self.connection.take(),
            self.settings.stream_name.clone(),
            self.splitter.scanned(),
            count,
            block,
            audit,
        );
        context.spawn(wrap_future(read).map(|outcome, reader: &mut Self, context| reader.read_done(outcome, context)));
    }

    fn read_done(&mut self, outcome: Result<Read, RedisFailure>, context: &mut Context<Self>) {
        self.reading = false;
        self.progress.working();
        fail_point!("stream_reader::read_done");
        self.take(outcome, context);
        self.rest();
    }

    /// Has nothing more to do until something comes, unless a read is under way.
    fn rest(&self) {
        if !self.reading {
            self.progress.idle();
        }
    }

    fn take(&mut self, outcome: Result<Read, RedisFailure>, context: &mut Context<Self>) {
        let Read { connection, mut entries, state } = match outcome {
            Ok(read) => read,
            // A drain needs no more reads: what is handed out goes on being committed.
            Err(_) if self.draining.is_some() => return,
            Err(failure) => return self.end(failure.into(), context),
        };
        self.connection = Some(connection);
        if self.draining.is_some() {
            // Nothing was handed out: the entries will be read again.
            return;
        }
        if let Some(align_at) = self.align_at {
            let passed = entries.last().is_none_or(|last| last.id >= align_at);
            entries.retain(|entry| entry.id <= align_at);
            self.hand_out(entries);
            if passed {
                self.splitter.skip_to(align_at);
                return self.drain(ExitReason::Aligned, context);
            }
            return self.read(context);
        }
        let gone = self.audit.read(entries.len());
        self.hand_out(entries);
        if let Some((upto, lost)) = gone {
            self.splitter.skip_to(upto);
            self.note_lost(lost);
        }
        if let Some(state) = state {
            match self.audit.look(state, self.splitter.scanned()) {
                Finding::Sound => {}
                Finding::Lost(lost) => self.note_lost(lost),
                Finding::WentBack => {
                    let known = self.splitter.furthest().max(self.splitter.scanned());
                    return self.end(ExitReason::StreamReset(WentBack { newest: state.newest, known }), context);
                }
            }
        }
        self.move_idle_lanes();
        self.read(context);
    }

    /// Entries were deleted or trimmed before they were read: nobody can write them any more, so somebody must know.
    fn note_lost(&mut self, entries: u64) {
        if entries > 0 {
            error!(self.log, "entries were deleted from the stream before they were read: trim it less, or later";
                "entries" => entries, "stream" => &self.settings.stream_name, "read_upto" => %self.splitter.scanned());
            self.metrics.do_send(EntriesLost { entity: self.settings.entity.clone(), entries });
        }
    }

    fn hand_out(&mut self, entries: Vec<Entry>) {
        for part in self.splitter.split(entries) {
            self.send(part);
        }
    }

    /// Moves lanes without entries on, so that a restart does not read from where they last had one.
    fn move_idle_lanes(&mut self) {
        if self.idle_checked.elapsed() >= self.settings.idle_checkpoint {
            self.idle_checked = Instant::now();
            for part in self.splitter.idle() {
                self.send(part);
            }
        }
    }

    fn send(&mut self, LanePart { lane, span, entries }: LanePart) {
        let bytes = entries.iter().map(Entry::bytes).sum();
        let credits = self.credits.spend(entries.len(), bytes);
        debug_assert_eq!(self.handed_out[lane as usize], span.after, "handed out is not one chain");
        self.handed_out[lane as usize] = span.upto;
        let transformer = &self.transformers[lane as usize % self.transformers.len()];
        transformer.do_send(EntryBatch { lane, span, entries, credits });
    }

    fn drain(&mut self, reason: ExitReason, context: &mut Context<Self>) {
        if self.draining.is_none() {
            for part in self.splitter.idle() {
                self.send(part);
            }
            debug_assert!(
                reason != ExitReason::Aligned || self.handed_out.windows(2).all(|pair| pair[0] == pair[1]),
                "aligned, but the lanes will stand apart"
            );
            self.draining = Some(reason);
        }
        self.end_when_drained(context);
    }

    fn end_when_drained(&mut self, context: &mut Context<Self>) {
        if let Some(reason) = &self.draining
            && self.committed == self.handed_out
        {
            debug_assert_eq!(self.credits.bytes_in_flight(), 0, "everything is committed, but credits are out");
            let reason = reason.clone();
            self.end(reason, context);
        }
    }

    fn end(&mut self, reason: ExitReason, context: &mut Context<Self>) {
        self.last_words.say(reason);
        context.stop();
    }
}

/// What one read brings.
struct Read {
    connection: ReadConnection,
    entries: Vec<Entry>,
    /// The state of the stream after the read, if it was asked for and the read came to the stream's end.
    state: Option<StreamState>,
}

async fn read(
    redis: RedisClient,
    connection: Option<ReadConnection>,
    stream: String,
    after: StreamId,
    count: usize,
    block: Option<Duration>,
    audit: bool,
) -> Result<Read, RedisFailure> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => redis.dedicated(block.unwrap_or_default()).await?,
    };
    let entries = read_after(&mut connection, &stream, after, count, block).await?;
    let state = match audit && entries.len() < count {
        true => Some(StreamState::of(stream_info(&mut connection, &stream).await?)),
        false => None,
    };
    Ok(Read { connection, entries, state })
}

impl Actor for StreamReader {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        fail_point!("stream_reader::started");
    }
}

impl Handler<Begin> for StreamReader {
    type Result = ();

    fn handle(&mut self, _: Begin, context: &mut Context<Self>) {
        fail_point!("stream_reader::begin");
        info!(self.log, "reading stream"; "stream" => &self.settings.stream_name, "after" => %self.splitter.scanned());
        self.read(context);
    }
}

impl Handler<Committed> for StreamReader {
    type Result = ();

    fn handle(&mut self, Committed { lane, upto, credits, events }: Committed, context: &mut Context<Self>) {
        self.progress.working();
        fail_point!("stream_reader::committed");
        debug_assert!(upto <= self.handed_out[lane as usize], "committed what was not handed out");
        debug_assert!(upto > self.committed[lane as usize], "committed twice");
        self.committed[lane as usize] = upto;
        drop(events);
        self.credits.give_back(credits);
        self.end_when_drained(context);
        self.read(context);
        self.rest();
    }
}

impl Handler<DocumentsFetched> for StreamReader {
    type Result = ();

    fn handle(&mut self, message: DocumentsFetched, _: &mut Context<Self>) {
        fail_point!("stream_reader::documents_fetched");
        self.credits.spend_documents(message.events, message.bytes);
    }
}

impl Handler<Drain> for StreamReader {
    type Result = ();

    fn handle(&mut self, _: Drain, context: &mut Context<Self>) {
        fail_point!("stream_reader::drain");
        debug!(self.log, "draining"; "scanned" => %self.splitter.scanned());
        self.drain(ExitReason::Drained, context);
    }
}
