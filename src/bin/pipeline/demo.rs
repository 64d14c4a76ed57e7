//! `pipeline demo`: the whole way from documents in a private Redis to rows in an SQLite file, watched and checked.

mod carry;
mod compare;
mod counters;
mod folder;
mod private_redis;
mod progress;
mod stop;
mod summary;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::HumanCount;
use migration::{ExampleMigrator, MigratorTrait};
use slog::Logger;
use write_behind::error::PipelineError;
use write_behind::logging;
use write_behind::metrics::stats::StreamStats;
use write_behind::pipeline::Pipeline;
use write_behind::settings::{Layers, Settings, StreamSettings};
use write_behind::sink::{Target, checkpoint};
use write_behind::startup;
use write_behind::stream::capabilities::Capabilities;
use write_behind::stream::connection::{RedisClient, RedisConnection};
use write_behind::stream::dummy;
use write_behind::stream::producer::Producer;
use write_behind::stream::reader::stream_info;

use crate::output::{line, remark};
use crate::runtime::block_on;
use crate::signals::Signals;

use carry::{Carried, Carry};
use compare::compare;
use counters::Counters;
use folder::DemoFolder;
use private_redis::PrivateRedis;
use stop::Stop;
use summary::{Files, Summary};

/// The arguments of `pipeline demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// User actions to insert
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    events: u64,
    /// Keep the files here; a demo that ran here before is continued [default: a temporary folder, removed at the end]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The Redis server to start
    #[arg(long, value_name = "PATH", default_value = "redis-server")]
    redis_server: PathBuf,
    /// Insert at most so many user actions a second [default: as fast as Redis takes them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: Option<u64>,
}

/// How the demo ended, if not with an error.
enum Ended {
    Compared,
    Interrupted,
}

/// After an interrupt, by the shells' convention: 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;

/// Runs the demo. `config` is whether a settings file was named, which it does not use.
///
/// # Errors
/// Redis and SQLite hold different things in the end, or something did not work.
pub fn demo(args: &DemoArgs, config: bool) -> Result<ExitCode, PipelineError> {
    if config {
        remark("note: the demo uses its own settings, not those of --config");
    }
    block_on(async {
        let stop = Stop::new();
        // Said where the progress is shown, which would overwrite it.
        let first = || stop.ask();
        // This ends the process as a kill does: the guard of the private Redis sees to it and to a temporary folder.
        let second = || remark("\nInterrupted again: ended at once.");
        let ended = Signals::catch()?.during(perform(args, &stop), first, second).await?;
        Ok(match ended {
            Ended::Compared => ExitCode::SUCCESS,
            Ended::Interrupted => ExitCode::from(INTERRUPTED),
        })
    })
}

/// Sets the scene, lets it play, and clears it away.
async fn perform(args: &DemoArgs, stop: &Stop) -> Result<Ended, PipelineError> {
    let mut folder = DemoFolder::open(args.folder.as_deref())?;
    let started = tokio::select! {
        redis = PrivateRedis::start(&args.redis_server, &folder) => Some(redis?),
        () = stop.asked() => None,
    };
    let Some(mut redis) = started else {
        line("Interrupted before anything was inserted.")?;
        return Ok(Ended::Interrupted);
    };
    folder.write_settings(redis.port())?;
    let settings = load_settings(&folder)?;
    let (log, _guard) = logging::start(&settings.log);
    let ended = Demo::prepare(args, &settings, &folder).await;
    let ended = match ended {
        Ok(mut demo) => demo.play(stop, log, &mut redis).await,
        Err(error) => Err(error),
    };
    let shut_down = redis.shut_down().await;
    let ended = ended?;
    shut_down?;
    line(Files { folder: &folder, redis_server: &args.redis_server, port: settings.redis.port })?;
    Ok(ended)
}

/// The demo's own file and nothing else: whatever the environment says of Redis and the database is for the real ones.
fn load_settings(folder: &DemoFolder) -> Result<Settings, PipelineError> {
    const OF_THE_LOG: &str = "PIPELINE__LOG__";
    let mut layers = Layers::from_process(Some(folder.settings()));
    layers.environment.retain(|(name, _)| name.to_ascii_uppercase().starts_with(OF_THE_LOG));
    // What goes well is told by the demo itself.
    for (key, value) in [("LEVEL", "warning"), ("FORMAT", "terminal")] {
        let name = format!("{OF_THE_LOG}{key}");
        if !layers.environment.iter().any(|(given, _)| given.eq_ignore_ascii_case(&name)) {
            layers.environment.push((name, value.to_owned()));
        }
    }
    Ok(Settings::load(&layers)?)
}

/// A demo whose servers and tables are there.
struct Demo<'a> {
    args: &'a DemoArgs,
    settings: &'a Settings,
    stream: &'a StreamSettings,
    redis: RedisClient,
    connection: RedisConnection,
    capabilities: Capabilities,
    target: Target,
    /// Entries that an earlier run in this folder left, and how many of them are not written yet.
    found: u64,
    backlog: u64,
}

impl<'a> Demo<'a> {
    async fn prepare(
        args: &'a DemoArgs,
        settings: &'a Settings,
        folder: &DemoFolder,
    ) -> Result<Demo<'a>, PipelineError> {
        let entity = dummy::ENTITY;
        let stream = settings.stream(entity).ok_or_else(|| {
            PipelineError::Configuration(format!("settings/default.yaml has no stream `{entity}`: add it for the demo"))
        })?;
        let (redis, capabilities) = startup::connect_redis(settings).await?;
        let mut connection = redis.multiplexed().await?;
        let target = startup::connect_target(settings).await?;
        let unusable = |error: String| {
            let (file, advice) = (folder.database(), "name another folder with --folder");
            PipelineError::Failed(format!("the SQLite file {} cannot be used: {error}; {advice}", file.display()))
        };
        startup::migrate(&target).await.map_err(|error| unusable(error.to_string()))?;
        ExampleMigrator::up(target.db(), None).await.map_err(|error| unusable(error.to_string()))?;
        let positions = checkpoint::load(target.db(), &settings.app.name, &stream.stream_name).await;
        let positions = positions.map_err(|error| unusable(error.to_string()))?;
        let done = positions.iter().map(|position| {
            let totals = position.totals;
            totals.applied + totals.dead_lettered + totals.skipped
        });
        let found = stream_info(&mut connection, &stream.stream_name).await?.map_or(0, |info| info.length);
        let backlog = found.saturating_sub(done.sum());
        remark(format_args!(
            "Redis {} on port {}, SQLite file {}",
            capabilities.version_shown(),
            settings.redis.port,
            folder.database().display()
        ));
        if found > 0 {
            let (found, backlog) = (HumanCount(found), HumanCount(backlog));
            remark(format_args!("There from before: {found} documents, {backlog} of them still to be written"));
        }
        Ok(Demo { args, settings, stream, redis, connection, capabilities, target, found, backlog })
    }

    /// Inserts and writes behind at the same time, ends the pipeline, and compares.
    async fn play(&mut self, stop: &Stop, log: Logger, redis: &mut PrivateRedis) -> Result<Ended, PipelineError> {
        let Settings { producer, log: log_settings, streams, .. } = self.settings;
        let mut producer = Producer::connect(self.redis.clone(), producer, log_settings, streams).await?;
        let pipeline = Pipeline::start(self.settings.clone(), log)?;
        let carry = Carry {
            settings: self.settings,
            stream: self.stream,
            pipeline: &pipeline,
            target: &self.target,
            stop,
            events: self.args.events,
            first: self.found,
            backlog: self.backlog,
            rate: self.args.rate,
        };
        let carried = carry.run(&mut producer, redis).await;
        let stats = pipeline.stats().clone();
        // Whatever came of it: the pipeline ends before its Redis does.
        end(pipeline).await?;
        let (carried, stats) = (carried?, stats.stream(&self.stream.entity));
        if stop.is_asked() {
            self.say_interrupted(carried, &stats)?;
            return Ok(Ended::Interrupted);
        }
        self.compare(carried, &stats).await
    }

    async fn compare(&mut self, carried: Carried, stats: &StreamStats) -> Result<Ended, PipelineError> {
        let mut reading = self.redis.dedicated(Duration::ZERO).await?;
        let comparison = compare(&mut reading, self.capabilities.json, self.stream, &self.target).await?;
        let counters = Counters::read(&mut self.connection, &self.stream.entity).await?;
        let summary = Summary { carried, backlog: self.backlog, stats, counters: &counters, comparison: &comparison };
        line(format_args!("{summary}\n"))?;
        let mut differences = comparison.differences.clone();
        differences.extend(counters.differences(&comparison));
        if differences.is_empty() { Ok(Ended::Compared) } else { Err(different(&differences)) }
    }

    fn say_interrupted(&self, carried: Carried, stats: &StreamStats) -> Result<(), PipelineError> {
        let [inserted, events, written] = [carried.inserted, self.args.events, stats.totals.applied].map(HumanCount);
        line(format_args!(
            "Interrupted: {inserted} of {events} user actions were inserted, {written} rows were written behind."
        ))
    }
}

/// Ends a pipeline, and waits for it without keeping signals waiting.
async fn end(pipeline: Pipeline) -> Result<(), PipelineError> {
    const POLL: Duration = Duration::from_millis(5);
    pipeline.stopper().stop();
    while !pipeline.has_ended() {
        tokio::time::sleep(POLL).await;
    }
    pipeline.wait()
}

fn different(differences: &[String]) -> PipelineError {
    const SHOWN: usize = 10;
    let mut text = "Redis and SQLite differ:".to_owned();
    differences.iter().take(SHOWN).for_each(|difference| text.push_str(&format!("\n  {difference}")));
    if let Some(more) = differences.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        text.push_str(&format!("\n  and {} more", HumanCount(more as u64)));
    }
    text.push_str(
        "\nIf nobody else wrote there, this is a bug: please report it, with the folder (--folder DIR keeps it)",
    );
    PipelineError::Failed(text)
}
