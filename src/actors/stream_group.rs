//! The actors of one stream: one unit of failure. A group is one generation, made from the checkpoint.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Context, Recipient};
use actix_rt::Arbiter;
use fail::fail_point;
use slog::{Logger, error, info, o, warn};
use tokio::sync::watch;

use super::dead_letter_report::DeadLetterReport;
use super::messages::{ActorExited, ActorName, Begin, Drain, Feedback};
use super::metrics::MetricsActor;
use super::rdbms_writer::{RdbmsWriter, RdbmsWriterStart};
use super::stream_reader::{StreamReader, StreamReaderStart};
use super::table_watch::{TableWatch, TableWatchStart};
use super::transformer::{Transformer, TransformerStart};
use crate::audit::{StreamState, WentBack};
use crate::event::StreamId;
use crate::mapping::Mapping;
use crate::settings::{OnReset, Settings, StartId, StreamSettings};
use crate::sink::checkpoint::{self, Position};
use crate::sink::{ErrorClass, LaneIdentity, SqlError, Target};
use crate::startup::compile_mapping;
use crate::stream::capabilities::{Capabilities, is_replica};
use crate::stream::connection::{RedisClient, RedisConnection};
use crate::stream::reader::stream_info;
use crate::supervision::cell;
use crate::supervision::exit::{ExitReason, LastWords};
use crate::supervision::progress::Progress;
use crate::table::names_of;

/// What all groups share.
#[derive(Clone)]
pub struct Shared {
    /// All settings.
    pub settings: Arc<Settings>,
    /// Redis.
    pub redis: RedisClient,
    /// The database.
    pub target: Target,
    /// The counters.
    pub metrics: Addr<MetricsActor>,
    /// The one runtime that all arbiters run on: connections belong to the runtime that opened them, and must
    /// outlive an arbiter.
    pub runtime: Arc<tokio::runtime::Runtime>,
    /// The root of the actors' logs.
    pub log: Logger,
}

/// What is found out before a generation starts.
pub struct Prepared {
    mapping: Arc<Mapping>,
    json_available: bool,
    /// Where the lanes stand.
    pub positions: Vec<Position>,
    align: bool,
}

/// A running generation. Dropping it ends its actors at once, wherever they are.
pub struct StreamGroup {
    arbiters: Vec<Arbiter>,
    reader: Addr<StreamReader>,
    draining: watch::Sender<bool>,
    progress: Vec<(ActorName, Progress)>,
    dead_letters: Arc<DeadLetterReport>,
    /// An actor ends when nobody holds its address: these must not end before the reader has told why it did.
    _others: (Vec<Addr<Transformer>>, Vec<Addr<RdbmsWriter>>, Addr<TableWatch>),
}

/// Finds out all that a generation begins with: the table, the mapping, the server's abilities, the checkpoint.
/// `seen` is how the last generation saw the stream, if that had gone back.
///
/// # Errors
/// The reason why the stream cannot be worked on now.
pub async fn prepare(
    shared: &Shared,
    stream: &StreamSettings,
    seen: Option<WentBack>,
    log: &Logger,
) -> Result<Prepared, ExitReason> {
    fail_point!("stream_group::prepare");
    let mut connection = shared.redis.multiplexed().await?;
    let json_available = Capabilities::detect(&mut connection).await?.json;
    let address = shared.settings.rdbms.address();
    let there = shared.target.probe().await;
    there.map_err(|error| of_database(SqlError { message: format!("{address}: {error}"), ..error }))?;
    let mapping = compile_mapping(&shared.target, stream).await.map_err(of_database)?;
    let mapping = mapping.map_err(|problems| ExitReason::Configuration(problems.join("; ")))?;
    let lanes = usable_lanes(stream, &mapping, log);
    let (app, target) = (&shared.settings.app, &shared.target);
    let db = target.db();
    let who = (app.name.as_str(), stream.stream_name.as_str(), app.instance_id.as_str());
    let mut positions = checkpoint::load(db, who.0, who.1).await.map_err(of_database)?;
    if positions.is_empty() {
        let start = match stream.start_id {
            StartId::After(id) => id,
            StartId::Newest => newest_id(&mut connection, stream).await?,
        };
        positions = checkpoint::create(target, who, lanes, start).await.map_err(of_database)?;
        info!(log, "new checkpoint"; "start" => %start, "lanes" => lanes);
    }
    // After the checkpoint, also after one that another process made and has moved since: so the stream's newest id
    // cannot be below it unless the stream went back.
    let newest = newest_id(&mut connection, stream).await?;
    let furthest = furthest_of(&positions);
    // What was seen is old news if another process has followed the stream back since, and read on.
    let seen = seen.filter(|seen| furthest <= seen.known);
    let newest = seen.map_or(newest, |seen| seen.newest.min(newest));
    if newest < furthest {
        let reset = ExitReason::StreamReset(WentBack { newest, known: furthest });
        if is_replica(&mut connection).await? {
            let text = format!("{}: {reset}; but the server is a replica: redis.host must be the primary", who.1);
            return Err(ExitReason::Redis(text));
        }
        error!(log, "{}", reset; "checkpoint" => %furthest, "on_reset" => stream.on_reset.name());
        if stream.on_reset == OnReset::Pause {
            return Err(ExitReason::Configuration(format!(
                "{reset}, which is {furthest}. Restore the stream and restart the pipeline, or set streams.{}.on_reset to \
                 follow",
                stream.entity
            )));
        }
        if !checkpoint::follow_back(target, who, &positions, newest).await.map_err(of_database)? {
            // Another process, or a late transaction of ours, was quicker: to be looked at anew.
            return Err(reset);
        }
        positions = checkpoint::load(db, who.0, who.1).await.map_err(of_database)?;
    }
    let mut align = positions.len() != lanes as usize;
    if align && checkpoint::divide(target, who, &positions, lanes).await.map_err(of_database)? {
        info!(log, "divided into another number of lanes"; "before" => positions.len(), "now" => lanes);
        positions = checkpoint::load(db, who.0, who.1).await.map_err(of_database)?;
        align = false;
    }
    Ok(Prepared { mapping: Arc::new(mapping), json_available, positions, align })
}

fn furthest_of(positions: &[Position]) -> StreamId {
    positions.iter().map(|position| position.last_id).max().unwrap_or_default()
}

async fn newest_id(connection: &mut RedisConnection, stream: &StreamSettings) -> Result<StreamId, ExitReason> {
    let info = stream_info(connection, &stream.stream_name).await?;
    Ok(StreamState::of(info).newest)
}

fn usable_lanes(stream: &StreamSettings, mapping: &Mapping, log: &Logger) -> u32 {
    if stream.lanes > 1
        && let Some(why) = mapping.why_one_lane()
    {
        warn!(log, "one lane instead of more: {}", why; "lanes" => stream.lanes);
    }
    mapping.usable_lanes(stream.lanes)
}

fn of_database(error: SqlError) -> ExitReason {
    match error.class {
        ErrorClass::Configuration => ExitReason::Configuration(error.to_string()),
        _ => ExitReason::Database(error.to_string()),
    }
}

impl StreamGroup {
    /// Starts a generation. Every actor's end is told to `on_exit`.
    pub fn start(
        shared: &Shared,
        stream: &StreamSettings,
        generation: u64,
        prepared: Prepared,
        on_exit: &Recipient<ActorExited>,
        log: &Logger,
    ) -> StreamGroup {
        let (draining, _) = watch::channel(false);
        let tables = names_of(&prepared.mapping.plans());
        let dead_letters = Arc::new(DeadLetterReport::new(log.clone(), tables));
        let mut group = Builder {
            shared,
            stream,
            generation,
            on_exit,
            log,
            draining: &draining,
            dead_letters: &dead_letters,
            arbiters: Vec::new(),
            progress: Vec::new(),
        };
        // Each writer has a thread, because what it does between two statements the database waits for. Reader and first
        // transformer share one: with a thread each they would take the database's processor from it, where it has to
        // share one with them.
        let writers: Vec<Addr<RdbmsWriter>> = (0u32..)
            .zip(&prepared.positions)
            .map(|(lane, position)| {
                let arbiter = group.arbiter();
                group.writer(arbiter, lane, position, &prepared.mapping)
            })
            .collect();
        let threads: Vec<usize> = (0..stream.transformers).map(|_| group.arbiter()).collect();
        let transformers: Vec<Addr<Transformer>> = threads
            .iter()
            .enumerate()
            .map(|(number, arbiter)| group.transformer(*arbiter, number, &prepared, &writers))
            .collect();
        let reader = group.reader(threads[0], &prepared, transformers.clone());
        writers.iter().for_each(|writer| writer.do_send(Feedback(reader.clone().recipient())));
        transformers.iter().for_each(|transformer| transformer.do_send(Feedback(reader.clone().recipient())));
        // Only now: a batch that came through before could give its credits back to nobody.
        reader.do_send(Begin);
        let watch = group.table_watch(threads[0], &prepared.mapping);
        let _others = (transformers, writers, watch);
        let Builder { arbiters, progress, .. } = group;
        StreamGroup { arbiters, reader, draining, progress, dead_letters, _others }
    }

    /// Asks the group to read no more and to end when everything is committed.
    pub fn drain(&self) {
        self.draining.send_replace(true);
        self.reader.do_send(Drain);
    }

    /// The first actor that has been busy without progress for longer than `limit`.
    pub fn hung(&self, limit: Duration) -> Option<&ActorName> {
        let silent = |progress: &Progress| progress.silent_for().is_some_and(|silent| silent > limit);
        self.progress.iter().find(|(_, progress)| silent(progress)).map(|(actor, _)| actor)
    }
}

impl Drop for StreamGroup {
    fn drop(&mut self) {
        // The threads may not come to it before the process ends.
        self.dead_letters.say_rest();
        // Without this an arbiter's thread lives on. What is in flight is dropped: connections close, and the
        // database rolls back what was not committed.
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
    }
}

/// Makes the actors of one generation.
struct Builder<'a> {
    shared: &'a Shared,
    stream: &'a StreamSettings,
    generation: u64,
    on_exit: &'a Recipient<ActorExited>,
    log: &'a Logger,
    draining: &'a watch::Sender<bool>,
    dead_letters: &'a Arc<DeadLetterReport>,
    arbiters: Vec<Arbiter>,
    progress: Vec<(ActorName, Progress)>,
}

impl Builder<'_> {
    fn arbiter(&mut self) -> usize {
        let runtime = self.shared.runtime.clone();
        self.arbiters.push(Arbiter::with_tokio_rt(move || runtime));
        self.arbiters.len() - 1
    }

    fn writer(&mut self, arbiter: usize, lane: u32, position: &Position, mapping: &Mapping) -> Addr<RdbmsWriter> {
        let settings = &self.shared.settings;
        let identity = LaneIdentity {
            pipeline: settings.app.name.clone(),
            owner: settings.app.instance_id.clone(),
            stream: self.stream.stream_name.clone(),
            entity: self.stream.entity.clone(),
            lane,
            generation: position.generation,
            fields: self.stream.fields.clone(),
            masked_copies: mapping.masked_copies().cloned(),
        };
        let name = ActorName { actor: format!("RdbmsWriter {lane}"), lane: Some(lane) };
        let last_words = LastWords::default();
        let start = RdbmsWriterStart {
            lane: identity,
            position: position.clone(),
            target: self.shared.target.clone(),
            plans: mapping.plans().into(),
            settings: settings.rdbms.clone(),
            look_interval: settings.metrics.refresh_interval,
            metrics: self.shared.metrics.clone(),
            dead_letters: self.dead_letters.clone(),
            last_words: last_words.clone(),
            progress: self.watch(&name),
            draining: self.draining.subscribe(),
            log: self.log.new(o!("actor" => "RdbmsWriter", "lane" => lane)),
        };
        self.start(arbiter, name, last_words, move |_| RdbmsWriter::new(start))
    }

    fn transformer(
        &mut self,
        arbiter: usize,
        number: usize,
        prepared: &Prepared,
        writers: &[Addr<RdbmsWriter>],
    ) -> Addr<Transformer> {
        let name = ActorName { actor: format!("Transformer {number}"), lane: None };
        let last_words = LastWords::default();
        let start = TransformerStart {
            fields: self.stream.fields.clone(),
            document: self.stream.document,
            json_available: prepared.json_available,
            mapping: prepared.mapping.clone(),
            redis: self.shared.redis.clone(),
            writers: writers.to_vec(),
            last_words: last_words.clone(),
            progress: self.watch(&name),
        };
        self.start(arbiter, name, last_words, move |_| Transformer::new(start))
    }

    fn reader(
        &mut self,
        arbiter: usize,
        prepared: &Prepared,
        transformers: Vec<Addr<Transformer>>,
    ) -> Addr<StreamReader> {
        let name = ActorName { actor: "StreamReader".to_owned(), lane: None };
        let last_words = LastWords::default();
        let start = StreamReaderStart {
            settings: self.stream.clone(),
            redis: self.shared.redis.clone(),
            positions: prepared.positions.iter().map(|position| position.last_id).collect(),
            align: prepared.align,
            transformers,
            metrics: self.shared.metrics.clone(),
            last_words: last_words.clone(),
            progress: self.watch(&name),
            log: self.log.new(o!("actor" => "StreamReader")),
        };
        self.start(arbiter, name, last_words, move |_| StreamReader::new(start))
    }

    fn table_watch(&self, arbiter: usize, mapping: &Mapping) -> Addr<TableWatch> {
        let name = ActorName { actor: "TableWatch".to_owned(), lane: None };
        let last_words = LastWords::default();
        let settings = &self.shared.settings.rdbms;
        let start = TableWatchStart {
            target: self.shared.target.clone(),
            plans: mapping.plans().into(),
            interval: settings.catalogue_refresh,
            limit: settings.statement_timeout,
            draining: self.draining.subscribe(),
            last_words: last_words.clone(),
        };
        self.start(arbiter, name, last_words, move |_| TableWatch::new(start))
    }

    fn watch(&mut self, actor: &ActorName) -> Progress {
        let progress = Progress::default();
        self.progress.push((actor.clone(), progress.clone()));
        progress
    }

    fn start<A: Actor<Context = Context<A>>>(
        &self,
        arbiter: usize,
        actor: ActorName,
        last_words: LastWords,
        factory: impl FnOnce(&mut Context<A>) -> A + Send + 'static,
    ) -> Addr<A> {
        let on_exit = self.on_exit.clone();
        let (entity, generation) = (self.stream.entity.clone(), self.generation);
        cell::start(&self.arbiters[arbiter].handle(), last_words, factory, move |reason| {
            on_exit.do_send(ActorExited { entity, generation, actor, reason });
        })
    }
}
