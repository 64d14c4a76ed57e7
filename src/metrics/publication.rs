//! Writing counters and log streams to Redis, at once and whole.
//!
//! The counters are totals out of the checkpoints, and are *set*, never incremented; they go into the same `MULTI` as
//! the log entries of what they count. So whatever a killed process committed and did not report is the difference
//! between checkpoint and counter, and the next process makes up for it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use entity::dead_letter;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::log_entry::{DeadReason, LogEntry, LogSubject};
use super::names;
use crate::event::StreamId;
use crate::lane::Span;
use crate::settings::LogSettings;
use crate::sink::checkpoint::{self, Position, Totals};
use crate::sink::{SqlError, Target};
use crate::stream::connection::{RedisClient, RedisConnection};

/// Where everything is written to, and read from.
#[derive(Clone, Debug)]
pub struct Places {
    /// Where counters and log streams are.
    pub redis: RedisClient,
    /// Where checkpoints and dead letters are.
    pub target: Target,
    /// `app.name`
    pub pipeline: String,
    /// `log.*`
    pub log: LogSettings,
}

/// How far a stream has come, or how far that has been told.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// Events since the beginning.
    pub totals: Totals,
    /// By lane; empty if nobody knows.
    pub upto: Vec<StreamId>,
}

impl Reached {
    /// What checkpoints say.
    pub fn of(positions: &[Position]) -> Self {
        let totals: Vec<Totals> = positions.iter().map(|position| position.totals).collect();
        Reached { totals: Totals::sum(&totals), upto: positions.iter().map(|position| position.last_id).collect() }
    }

    /// Where a lane stands. One beyond the last is of another number of lanes: all stood at one position in between.
    fn of_lane(&self, lane: i32) -> StreamId {
        let place = usize::try_from(lane).unwrap_or_default();
        self.upto.get(place).or(self.upto.iter().max()).copied().unwrap_or_default()
    }
}

/// What an earlier process or generation committed without telling, to be told now.
#[derive(Clone, Debug)]
pub struct CatchUp {
    /// What has been told; `None`: what Redis says.
    pub told: Option<Reached>,
    /// What the checkpoints say.
    pub committed: Reached,
}

/// A commit whose answer was lost: its dead letters are read back from the database.
#[derive(Clone, Debug)]
pub struct ReadBack {
    /// Of what stream.
    pub subject: LogSubject,
    /// The lane that was moved.
    pub lane: u32,
    /// From where to where.
    pub span: Span,
}

/// The counters of one stream, to be set.
#[derive(Debug)]
pub struct Counter {
    /// Of what stream.
    pub subject: LogSubject,
    /// What they are set to.
    pub reached: Reached,
    /// What the checkpoints say, if they were read.
    pub positions: Vec<Position>,
    /// What is to be told first.
    pub catch_up: Option<CatchUp>,
    /// Entries lost, to be added.
    pub lost: u64,
    /// Take the totals from the checkpoints: nothing was heard of the stream for a while, or what was heard is gone.
    pub refresh: bool,
}

/// All that is written at once. It is given back afterwards, with what could not be written.
#[derive(Debug)]
pub struct Publication {
    /// Where to.
    pub places: Places,
    /// The connection of the last one; absent after a failure.
    pub connection: Option<RedisConnection>,
    /// Streams whose counters are to be set.
    pub counters: Vec<Counter>,
    /// Generations that ended, by entity and reason, to be added.
    pub ended: BTreeMap<(String, &'static str), u64>,
    /// What the log streams get.
    pub log_entries: VecDeque<LogEntry>,
    /// What they get once it has been read.
    pub read_back: Vec<ReadBack>,
}

impl Publication {
    /// Writes it all, in one `MULTI`; the text says why that failed.
    pub async fn run(mut self) -> (Publication, Option<String>) {
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
            None => self.places.redis.multiplexed().await.map_err(|failure| failure.to_string())?,
        };
        let mut extra = self.catch_up(&mut connection).await?;
        extra.extend(self.read_dead_letters().await.map_err(|error| error.to_string())?);
        let mut pipe = redis::pipe();
        pipe.atomic();
        for Counter { subject, reached, lost, .. } in &self.counters {
            // Of a stream that has no checkpoint yet nothing is known, which is not the same as nothing done.
            if !reached.upto.is_empty() {
                pipe.set(names::rdbms_success(&subject.entity), reached.totals.applied).ignore();
                pipe.set(names::rdbms_fail(&subject.entity), reached.totals.dead_lettered).ignore();
                pipe.set(names::rdbms_skipped(&subject.entity), reached.totals.skipped).ignore();
                let upto: Vec<String> = reached.upto.iter().map(StreamId::to_string).collect();
                pipe.set(names::rdbms_told(&subject.entity), upto.join(" ")).ignore();
            }
            if *lost > 0 {
                pipe.incr(names::redis_lost(&subject.entity), *lost).ignore();
            }
        }
        for ((entity, reason), times) in &self.ended {
            pipe.incr(names::ended(entity, reason), *times).ignore();
        }
        if self.places.log.enabled {
            for entry in extra.iter().chain(&self.log_entries) {
                let length = redis::streams::StreamMaxlen::Approx(self.places.log.max_len as usize);
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
                let positions =
                    checkpoint::load(self.places.target.db(), &self.places.pipeline, &counter.subject.stream);
                counter.positions = positions.await.map_err(|error| error.to_string())?;
                counter.reached = Reached::of(&counter.positions);
            }
            let Some(CatchUp { told, committed }) = &counter.catch_up else { continue };
            // What was read just now is what `told` will be set to: nothing before it may be left untold.
            let committed = if counter.refresh { &counter.reached } else { committed };
            let told = match told {
                Some(told) => told.clone(),
                None => told_in_redis(connection, entity).await?,
            };
            let untold = committed.totals.since(told.totals);
            if untold.applied > 0 {
                entries.push(counter.subject.caught_up(&self.places.log.success_rdbms, untold.applied));
            }
            if untold.dead_lettered > 0 {
                let stream = &counter.subject.stream;
                let letters = untold_dead_letters(&self.places, stream, &told, committed, untold.dead_lettered).await;
                let letters = letters.map_err(|error| error.to_string())?;
                let failed = &self.places.log.failed_rdbms;
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
        for ReadBack { subject, lane, span } in &self.read_back {
            let letters = dead_letter::Entity::find()
                .filter(dead_letter::Column::Pipeline.eq(&self.places.pipeline))
                .filter(dead_letter::Column::Stream.eq(&subject.stream))
                .filter(dead_letter::Column::Lane.eq(*lane as i32))
                .filter(dead_letter::Column::EntryMs.between(span.after.ms as i64, span.upto.ms as i64))
                .order_by_asc(dead_letter::Column::Id)
                .all(self.places.target.db())
                .await?;
            let within = |id: &str| id.parse::<StreamId>().is_ok_and(|id| span.after < id && id <= span.upto);
            let failed = &self.places.log.failed_rdbms;
            let letters = letters.iter().filter(|letter| within(&letter.entry_id));
            entries.extend(letters.map(|letter| subject.dead(failed, &letter.entry_id, &letter.into())));
        }
        Ok(entries)
    }
}

async fn told_in_redis(connection: &mut RedisConnection, entity: &str) -> Result<Reached, String> {
    let keys = [names::rdbms_success(entity), names::rdbms_fail(entity), names::rdbms_told(entity)];
    let told = redis::cmd("MGET").arg(&keys).query_async(connection).await;
    let (applied, dead_lettered, upto): (Option<u64>, Option<u64>, Option<String>) =
        told.map_err(|error| error.to_string())?;
    let totals = Totals { applied: applied.unwrap_or(0), dead_lettered: dead_lettered.unwrap_or(0), skipped: 0 };
    let upto = upto.unwrap_or_default().split(' ').map_while(|id| id.parse().ok()).collect();
    Ok(Reached { totals, upto })
}

/// The dead letters of a stream after what was told and up to what was committed, `count` at most, oldest first. They
/// need not be its newest: a lane that committed later may have told its own.
async fn untold_dead_letters(
    places: &Places,
    stream: &str,
    told: &Reached,
    committed: &Reached,
    count: u64,
) -> Result<Vec<dead_letter::Model>, SqlError> {
    /// More than anyone reads in a log stream; all of them are in the table.
    const LETTERS_MAX: u64 = 10_000;
    let first = told.upto.iter().min().copied().unwrap_or_default();
    let letters = dead_letter::Entity::find()
        .filter(dead_letter::Column::Pipeline.eq(&places.pipeline))
        .filter(dead_letter::Column::Stream.eq(stream))
        .filter(dead_letter::Column::EntryMs.gte(first.ms as i64))
        .order_by_desc(dead_letter::Column::Id)
        .limit(LETTERS_MAX)
        .all(places.target.db())
        .await?;
    let is_untold = |letter: &dead_letter::Model| {
        let id = letter.entry_id.parse::<StreamId>();
        // Those beyond have entries of their own.
        id.is_ok_and(|id| told.of_lane(letter.lane) < id && id <= committed.of_lane(letter.lane))
    };
    let mut letters: Vec<_> = letters.into_iter().filter(is_untold).take(count as usize).collect();
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
