//! Gathers what happened, and has it written to Redis now and then (`metrics::publication`). It holds up nobody: it
//! works on what it was told, at its own pace.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, Supervised};
use fail::fail_point;
use slog::{Logger, warn};

use super::messages::{BatchCommitted, DeadLetters, EntriesLost, Flush, StreamEnded, StreamOpened};
use crate::metrics::log_entry::{LogEntry, LogSubject};
use crate::metrics::publication::{CatchUp, Counter, Places, Publication, Reached, ReadBack};
use crate::metrics::stats::Stats;
use crate::settings::{MetricsSettings, StreamSettings};
use crate::sink::checkpoint::Position;
use crate::stream::connection::RedisConnection;

/// What the actor needs to begin.
#[derive(Clone)]
pub struct MetricsStart {
    /// Where everything is written to, and read from.
    pub places: Places,
    /// The streams there are.
    pub streams: Vec<StreamSettings>,
    /// `metrics.*`
    pub settings: MetricsSettings,
    /// Statistics of this process.
    pub stats: Stats,
    /// The actor's log.
    pub log: Logger,
}

/// The actor.
pub struct MetricsActor {
    start: MetricsStart,
    connection: Option<RedisConnection>,
    streams: BTreeMap<String, StreamCounters>,
    /// Generations that ended and are not yet told of, by entity and reason.
    ended: BTreeMap<(String, &'static str), u64>,
    log_entries: VecDeque<LogEntry>,
    log_entries_dropped: u64,
    /// Commits whose dead letters must be read back.
    read_back: Vec<ReadBack>,
    /// When it was last said that nothing can be written; `None` while all is well.
    warned: Option<Instant>,
}

/// The counters of one stream.
struct StreamCounters {
    subject: LogSubject,
    /// By lane. Their sum is what the counters say.
    lanes: Vec<Position>,
    /// Whether `lanes` are what the checkpoints say. Otherwise they are read before anything is told.
    known: bool,
    catch_up: Option<CatchUp>,
    /// Entries lost and not yet told.
    lost: u64,
    changed: bool,
    refreshed: Instant,
}

impl StreamCounters {
    fn reached(&self) -> Reached {
        Reached::of(&self.lanes)
    }
}

impl MetricsActor {
    /// Prepares the actor.
    pub fn new(start: MetricsStart) -> Self {
        let stream = |settings: &StreamSettings| {
            let subject = LogSubject {
                entity: settings.entity.clone(),
                stream: settings.stream_name.clone(),
                table: settings.table_names(),
            };
            let counters = StreamCounters {
                subject,
                lanes: Vec::new(),
                known: false,
                catch_up: None,
                lost: 0,
                changed: false,
                refreshed: Instant::now(),
            };
            (settings.entity.clone(), counters)
        };
        MetricsActor {
            streams: start.streams.iter().map(stream).collect(),
            ended: BTreeMap::new(),
            start,
            connection: None,
            log_entries: VecDeque::new(),
            log_entries_dropped: 0,
            read_back: Vec::new(),
            warned: None,
        }
    }

    fn note(&mut self, entry: LogEntry) {
        if self.log_entries.len() < self.start.settings.log_buffer_max {
            self.log_entries.push_back(entry);
        } else {
            self.log_entries_dropped += 1;
        }
    }

    /// Takes what is due; `None` if nothing is.
    fn due(&mut self) -> Option<Publication> {
        let mut counters = Vec::new();
        for stream in self.streams.values_mut() {
            let quiet = stream.known && !stream.changed;
            let refresh_due = quiet && stream.refreshed.elapsed() >= self.start.settings.refresh_interval;
            if stream.changed || refresh_due {
                counters.push(Counter {
                    subject: stream.subject.clone(),
                    reached: stream.reached(),
                    positions: Vec::new(),
                    catch_up: stream.catch_up.take(),
                    lost: std::mem::take(&mut stream.lost),
                    refresh: refresh_due || !stream.known,
                });
                stream.changed = false;
                stream.refreshed = Instant::now();
            }
        }
        if counters.is_empty() && self.ended.is_empty() && self.log_entries.is_empty() && self.read_back.is_empty() {
            return None;
        }
        Some(Publication {
            places: self.start.places.clone(),
            connection: self.connection.take(),
            counters,
            ended: std::mem::take(&mut self.ended),
            log_entries: std::mem::take(&mut self.log_entries),
            read_back: std::mem::take(&mut self.read_back),
        })
    }

    /// Takes back what a publication brings: the connection, and all that could not be written.
    fn published(&mut self, (publication, failure): (Publication, Option<String>)) {
        self.connection = publication.connection;
        for counter in publication.counters {
            let Some(stream) = self.streams.get_mut(&counter.subject.entity) else { continue };
            if counter.refresh && !stream.changed && !counter.positions.is_empty() {
                stream.lanes = counter.positions;
                stream.known = true;
            }
            if failure.is_some() {
                stream.changed = true;
                stream.catch_up = stream.catch_up.take().or(counter.catch_up);
                stream.lost += counter.lost;
            }
        }
        let Some(failure) = failure else { return self.warned = None };
        for (ended, times) in publication.ended {
            *self.ended.entry(ended).or_default() += times;
        }
        // It is tried again several times a second; to say so now and then is enough.
        const SAID_EVERY: Duration = Duration::from_secs(10);
        if self.warned.is_none_or(|warned| warned.elapsed() >= SAID_EVERY) {
            self.warned = Some(Instant::now());
            warn!(self.start.log, "counters and log streams could not be written, trying again"; "error" => failure);
        }
        self.read_back.splice(0..0, publication.read_back);
        let newer = std::mem::replace(&mut self.log_entries, publication.log_entries);
        newer.into_iter().for_each(|entry| self.note(entry));
    }

    fn publish_due(&mut self, context: &mut Context<Self>) {
        fail_point!("metrics::publish");
        if self.log_entries_dropped > 0 {
            let dropped = std::mem::take(&mut self.log_entries_dropped);
            warn!(self.start.log, "log-stream entries dropped: more came than metrics.log_buffer_max"; "dropped" => dropped);
        }
        if let Some(publication) = self.due() {
            // One at a time: what comes meanwhile waits in the mailbox, and nobody waits for this actor.
            let publishing = wrap_future(publication.run());
            context.wait(publishing.map(|outcome, actor: &mut Self, _| actor.published(outcome)));
        }
    }
}

impl Actor for MetricsActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        fail_point!("metrics::started");
        context.run_interval(self.start.settings.publish_interval, Self::publish_due);
    }
}

impl Supervised for MetricsActor {
    /// After a panic nobody knows what was written, nor what the message said that is gone: everything is told again
    /// from what Redis says it was told and what the checkpoints say.
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.connection = None;
        self.log_entries.clear();
        self.read_back.clear();
        for stream in self.streams.values_mut() {
            stream.catch_up = Some(CatchUp { told: None, committed: stream.reached() });
            stream.known = false;
            stream.changed = true;
        }
    }
}

impl Handler<StreamOpened> for MetricsActor {
    type Result = ();

    fn handle(&mut self, message: StreamOpened, _: &mut Context<Self>) {
        fail_point!("metrics::stream_opened");
        let Some(stream) = self.streams.get_mut(&message.entity) else { return };
        // An earlier catch-up that is still due begins where it would have begun.
        let told = match stream.catch_up.take() {
            Some(due) => due.told,
            None => stream.known.then(|| stream.reached()),
        };
        stream.catch_up = Some(CatchUp { told, committed: Reached::of(&message.positions) });
        stream.lanes = message.positions;
        stream.known = true;
        stream.changed = true;
    }
}

impl Handler<StreamEnded> for MetricsActor {
    type Result = ();

    fn handle(&mut self, message: StreamEnded, _: &mut Context<Self>) {
        fail_point!("metrics::stream_ended");
        *self.ended.entry((message.entity, message.reason)).or_default() += 1;
    }
}

impl Handler<EntriesLost> for MetricsActor {
    type Result = ();

    fn handle(&mut self, message: EntriesLost, _: &mut Context<Self>) {
        fail_point!("metrics::entries_lost");
        if let Some(stream) = self.streams.get_mut(&message.entity) {
            stream.lost += message.entries;
            stream.changed = true;
        }
    }
}

impl Handler<BatchCommitted> for MetricsActor {
    type Result = ();

    fn handle(&mut self, message: BatchCommitted, context: &mut Context<Self>) {
        fail_point!("metrics::batch_committed");
        let BatchCommitted { entity, lane, span, totals, lane_totals, applied, dead, took, committed_ms } = message;
        self.start.stats.committed(&entity, totals, &applied, committed_ms);
        let Some(stream) = self.streams.get_mut(&entity) else { return };
        match stream.lanes.get_mut(lane as usize) {
            // A refresh may have read them already, with more in them than this message knows of.
            Some(of_lane) => {
                of_lane.totals = of_lane.totals.max(lane_totals);
                of_lane.last_id = of_lane.last_id.max(span.upto);
            }
            None => stream.known = false,
        }
        stream.changed = true;
        if !self.start.places.log.enabled {
            return;
        }
        let subject = stream.subject.clone();
        let success = self.start.places.log.success_rdbms.clone();
        if self.start.places.log.per_event {
            applied.iter().for_each(|id| self.note(subject.event(&success, lane, *id)));
        } else if !applied.is_empty() {
            self.note(subject.batch(&success, lane, span, &applied, took));
        }
        let failed = self.start.places.log.failed_rdbms.clone();
        match dead {
            DeadLetters::Known(dead) => {
                dead.iter().for_each(|(id, why)| self.note(subject.dead(&failed, &id.to_string(), &why.into())));
            }
            DeadLetters::InDatabase => self.read_back.push(ReadBack { subject, lane, span }),
        }
        // The interval is for quiet times; a full buffer would have to drop entries.
        if self.log_entries.len() >= self.start.settings.log_buffer_max / 2 {
            self.publish_due(context);
        }
    }
}

impl Handler<Flush> for MetricsActor {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, _: Flush, _: &mut Context<Self>) -> Self::Result {
        fail_point!("metrics::flush");
        let publication = self.due();
        AtomicResponse::new(Box::pin(
            wrap_future(async move {
                match publication {
                    Some(publication) => Some(publication.run().await),
                    None => None,
                }
            })
            .map(|outcome, actor: &mut Self, _| {
                if let Some(outcome) = outcome {
                    actor.published(outcome);
                }
            }),
        ))
    }
}
