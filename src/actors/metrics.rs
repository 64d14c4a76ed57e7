//! Writes the counters and log streams to Redis. It holds up nobody: it works on what it was told, at its own pace.
//!
//! The counters are totals out of the checkpoints, and are *set*, never incremented; they go into the same `MULTI` as
//! the log entries of what they count. So whatever a killed process committed and did not report is the difference
//! between checkpoint and counter, and the next process makes up for it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::{Actor, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, Supervised};
use entity::dead_letter;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use slog::{Logger, warn};

use super::messages::{BatchCommitted, DeadLetters, EntriesLost, Flush, StreamOpened};
use crate::event::StreamId;
use crate::lane::Span;
use crate::metrics::log_entry::{DeadReason, LogEntry, LogSubject};
use crate::metrics::names;
use crate::metrics::stats::Stats;
use crate::settings::{LogSettings, MetricsSettings, StreamSettings};
use crate::sink::checkpoint::{self, Totals};
use crate::sink::{SqlError, Target};
use crate::stream::connection::{RedisClient, RedisConnection};

/// What the actor needs to begin.
#[derive(Clone)]
pub struct MetricsStart {
    /// Where counters and log streams are.
    pub redis: RedisClient,
    /// Where checkpoints and dead letters are.
    pub target: Target,
    /// `app.name`
    pub pipeline: String,
    /// The streams there are.
    pub streams: Vec<StreamSettings>,
    /// `metrics.*`
    pub settings: MetricsSettings,
    /// `log.*`
    pub log_settings: LogSettings,
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
    log_entries: VecDeque<LogEntry>,
    log_entries_dropped: u64,
    /// Commits whose dead letters must be read back.
    read_back: Vec<(String, u32, Span)>,
}

/// The counters of one stream.
struct StreamCounters {
    subject: LogSubject,
    /// By lane. Their sum is what the counters say.
    lanes: Vec<Totals>,
    /// Whether this process has worked on the stream, so that `totals` are what it has told.
    known: bool,
    catch_up: Option<CatchUp>,
    /// Entries lost and not yet told.
    lost: u64,
    changed: bool,
    refreshed: Instant,
}

impl StreamCounters {
    fn totals(&self) -> Totals {
        sum(&self.lanes)
    }
}

fn sum(lanes: &[Totals]) -> Totals {
    lanes.iter().fold(Totals::default(), |sum, lane| sum.plus(*lane))
}

/// What an earlier process or generation committed without telling, to be told now.
#[derive(Clone, Copy)]
struct CatchUp {
    /// What has been told; `None`: what the counters in Redis say.
    told: Option<Totals>,
    /// What the checkpoints say.
    committed: Totals,
}

/// What one publication takes with it.
struct Publication {
    start: MetricsStart,
    connection: Option<RedisConnection>,
    /// Streams whose counters are to be set.
    counters: Vec<Counter>,
    log_entries: VecDeque<LogEntry>,
    read_back: Vec<(String, u32, Span)>,
}

struct Counter {
    subject: LogSubject,
    totals: Totals,
    /// By lane, if they were read from the checkpoints.
    lanes: Vec<Totals>,
    catch_up: Option<CatchUp>,
    lost: u64,
    /// Take the totals from the checkpoints: nothing was heard of the stream for a while.
    refresh: bool,
}

impl MetricsActor {
    /// Prepares the actor.
    pub fn new(start: MetricsStart) -> Self {
        let stream = |settings: &StreamSettings| {
            let subject = LogSubject {
                entity: settings.entity.clone(),
                stream: settings.stream_name.clone(),
                table: settings.table.clone(),
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
            start,
            connection: None,
            log_entries: VecDeque::new(),
            log_entries_dropped: 0,
            read_back: Vec::new(),
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
            let refresh = quiet && stream.refreshed.elapsed() >= self.start.settings.refresh_interval;
            if stream.changed || refresh {
                counters.push(Counter {
                    subject: stream.subject.clone(),
                    totals: stream.totals(),
                    lanes: Vec::new(),
                    catch_up: stream.catch_up.take(),
                    lost: std::mem::take(&mut stream.lost),
                    refresh,
                });
                stream.changed = false;
                stream.refreshed = Instant::now();
            }
        }
        if counters.is_empty() && self.log_entries.is_empty() && self.read_back.is_empty() {
            return None;
        }
        Some(Publication {
            start: self.start.clone(),
            connection: self.connection.take(),
            counters,
            log_entries: std::mem::take(&mut self.log_entries),
            read_back: std::mem::take(&mut self.read_back),
        })
    }

    /// Takes back what a publication brings: the connection, and all that could not be written.
    fn published(&mut self, (publication, failure): (Publication, Option<String>)) {
        self.connection = publication.connection;
        for counter in publication.counters {
            let Some(stream) = self.streams.get_mut(&counter.subject.entity) else { continue };
            if counter.refresh && !stream.changed {
                stream.lanes = counter.lanes;
            }
            if failure.is_some() {
                stream.changed = true;
                stream.catch_up = stream.catch_up.or(counter.catch_up);
                stream.lost += counter.lost;
            }
        }
        let Some(failure) = failure else { return };
        warn!(self.start.log, "counters and log streams could not be written, trying again"; "error" => failure);
        self.read_back.splice(0..0, publication.read_back);
        let newer = std::mem::replace(&mut self.log_entries, publication.log_entries);
        newer.into_iter().for_each(|entry| self.note(entry));
    }

    fn publish_due(&mut self, context: &mut Context<Self>) {
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

impl Publication {
    async fn run(mut self) -> (Publication, Option<String>) {
        // The pool's connections have no timeout for an answer.
        const LONGEST: Duration = Duration::from_secs(30);
        let publishing = tokio::time::timeout(LONGEST, self.publish()).await;
        let failure = publishing.unwrap_or_else(|_| Err(format!("no answer within {} s", LONGEST.as_secs()))).err();
        if failure.is_some() {
            self.connection = None;
        }
        (self, failure)
    }

    async fn publish(&mut self) -> Result<(), String> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.start.redis.multiplexed().await.map_err(|failure| failure.to_string())?,
        };
        let mut extra = self.catch_up(&mut connection).await?;
        extra.extend(self.read_dead_letters().await.map_err(|error| error.to_string())?);
        let mut pipe = redis::pipe();
        pipe.atomic();
        for Counter { subject, totals, lost, .. } in &self.counters {
            pipe.set(names::rdbms_success(&subject.entity), totals.applied).ignore();
            pipe.set(names::rdbms_fail(&subject.entity), totals.dead_lettered).ignore();
            if *lost > 0 {
                pipe.incr(names::redis_lost(&subject.entity), *lost).ignore();
            }
        }
        if self.start.log_settings.enabled {
            for entry in extra.iter().chain(&self.log_entries) {
                let length = redis::streams::StreamMaxlen::Approx(self.start.log_settings.max_len as usize);
                pipe.xadd_maxlen(&entry.stream, length, "*", &entry.fields).ignore();
            }
        }
        pipe.query_async::<()>(&mut connection).await.map_err(|error| error.to_string())?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Log entries for what the checkpoints have and the counters in Redis have not: an earlier process committed it
    /// and was killed before it could say so.
    async fn catch_up(&mut self, connection: &mut RedisConnection) -> Result<Vec<LogEntry>, String> {
        let mut entries = Vec::new();
        for counter in &mut self.counters {
            let entity = &counter.subject.entity;
            if counter.refresh {
                let positions = checkpoint::load(self.start.target.db(), &self.start.pipeline, &counter.subject.stream);
                let positions = positions.await.map_err(|error| error.to_string())?;
                counter.lanes = positions.iter().map(|position| position.totals).collect();
                counter.totals = sum(&counter.lanes);
            }
            let Some(CatchUp { told, committed }) = counter.catch_up else { continue };
            let told = match told {
                Some(told) => told,
                None => told_in_redis(connection, entity).await?,
            };
            let untold = committed.since(told);
            if untold.applied > 0 {
                entries.push(counter.subject.caught_up(&self.start.log_settings.success_rdbms, untold.applied));
            }
            if untold.dead_lettered > 0 {
                // Those that came later have entries of their own.
                let later = counter.totals.since(committed).dead_lettered;
                let stream = &counter.subject.stream;
                let letters = newest_dead_letters(&self.start, stream, untold.dead_lettered, later).await;
                let letters = letters.map_err(|error| error.to_string())?;
                let failed = &self.start.log_settings.failed_rdbms;
                entries.extend(
                    letters.iter().map(|letter| counter.subject.dead(failed, &letter.entry_id, &letter.into())),
                );
            }
        }
        Ok(entries)
    }

    /// Log entries for dead letters of commits whose answer was lost.
    async fn read_dead_letters(&self) -> Result<Vec<LogEntry>, SqlError> {
        let mut entries = Vec::new();
        for (entity, lane, span) in &self.read_back {
            let Some(counter) = self.counters.iter().find(|counter| counter.subject.entity == *entity) else {
                continue;
            };
            let letters = dead_letter::Entity::find()
                .filter(dead_letter::Column::Pipeline.eq(&self.start.pipeline))
                .filter(dead_letter::Column::Stream.eq(&counter.subject.stream))
                .filter(dead_letter::Column::Lane.eq(*lane as i32))
                .filter(dead_letter::Column::EntryMs.between(span.after.ms as i64, span.upto.ms as i64))
                .order_by_asc(dead_letter::Column::Id)
                .all(self.start.target.db())
                .await?;
            let within = |id: &str| id.parse::<StreamId>().is_ok_and(|id| span.after < id && id <= span.upto);
            let failed = &self.start.log_settings.failed_rdbms;
            let letters = letters.iter().filter(|letter| within(&letter.entry_id));
            entries.extend(letters.map(|letter| counter.subject.dead(failed, &letter.entry_id, &letter.into())));
        }
        Ok(entries)
    }
}

async fn told_in_redis(connection: &mut RedisConnection, entity: &str) -> Result<Totals, String> {
    let keys = [names::rdbms_success(entity), names::rdbms_fail(entity)];
    let told = redis::cmd("MGET").arg(&keys).query_async(connection).await;
    let (applied, dead_lettered): (Option<u64>, Option<u64>) = told.map_err(|error| error.to_string())?;
    Ok(Totals { applied: applied.unwrap_or(0), dead_lettered: dead_lettered.unwrap_or(0), skipped: 0 })
}

/// The newest `count` dead letters of a stream besides the very last `skip`, oldest first.
async fn newest_dead_letters(
    start: &MetricsStart,
    stream: &str,
    count: u64,
    skip: u64,
) -> Result<Vec<dead_letter::Model>, SqlError> {
    let mut letters = dead_letter::Entity::find()
        .filter(dead_letter::Column::Pipeline.eq(&start.pipeline))
        .filter(dead_letter::Column::Stream.eq(stream))
        .order_by_desc(dead_letter::Column::Id)
        .offset(skip)
        .limit(count.min(start.settings.log_buffer_max as u64))
        .all(start.target.db())
        .await?;
    letters.reverse();
    Ok(letters)
}

impl From<&dead_letter::Model> for DeadReason {
    fn from(letter: &dead_letter::Model) -> Self {
        DeadReason {
            class: letter.error_class.clone(),
            column: letter.error_column.clone(),
            message: letter.message.clone(),
        }
    }
}

impl Actor for MetricsActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.run_interval(self.start.settings.publish_interval, Self::publish_due);
    }
}

impl Supervised for MetricsActor {
    /// After a panic nobody knows what was written: everything is told again from what Redis says it was told.
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.connection = None;
        self.log_entries.clear();
        self.read_back.clear();
        for stream in self.streams.values_mut().filter(|stream| stream.known) {
            stream.catch_up = Some(CatchUp { told: None, committed: stream.totals() });
            stream.changed = true;
        }
    }
}

impl Handler<StreamOpened> for MetricsActor {
    type Result = ();

    fn handle(&mut self, message: StreamOpened, _: &mut Context<Self>) {
        let Some(stream) = self.streams.get_mut(&message.entity) else { return };
        let lanes: Vec<Totals> = message.positions.iter().map(|position| position.totals).collect();
        let committed = sum(&lanes);
        // An earlier catch-up that is still due begins where it would have begun.
        let told = match stream.catch_up {
            Some(due) => due.told,
            None => stream.known.then(|| stream.totals()),
        };
        stream.catch_up = Some(CatchUp { told, committed });
        stream.lanes = lanes;
        stream.known = true;
        stream.changed = true;
    }
}

impl Handler<EntriesLost> for MetricsActor {
    type Result = ();

    fn handle(&mut self, message: EntriesLost, _: &mut Context<Self>) {
        if let Some(stream) = self.streams.get_mut(&message.entity) {
            stream.lost += message.entries;
            stream.changed = true;
        }
    }
}

impl Handler<BatchCommitted> for MetricsActor {
    type Result = ();

    fn handle(&mut self, message: BatchCommitted, context: &mut Context<Self>) {
        let BatchCommitted { entity, lane, span, totals, lane_totals, applied, dead, took, committed_ms } = message;
        self.start.stats.committed(&entity, totals, &applied, committed_ms);
        let Some(stream) = self.streams.get_mut(&entity) else { return };
        if let Some(of_lane) = stream.lanes.get_mut(lane as usize) {
            // A refresh may have read them already, with more in them than this message knows of.
            *of_lane = of_lane.max(lane_totals);
        }
        stream.changed = true;
        if !self.start.log_settings.enabled {
            return;
        }
        let subject = stream.subject.clone();
        let success = self.start.log_settings.success_rdbms.clone();
        if self.start.log_settings.per_event {
            applied.iter().for_each(|id| self.note(subject.event(&success, lane, *id)));
        } else if !applied.is_empty() {
            self.note(subject.batch(&success, lane, span, &applied, took));
        }
        let failed = self.start.log_settings.failed_rdbms.clone();
        match dead {
            DeadLetters::Known(dead) => {
                dead.iter().for_each(|(id, why)| self.note(subject.dead(&failed, &id.to_string(), &why.into())));
            }
            DeadLetters::InDatabase => self.read_back.push((entity, lane, span)),
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
