//! `pipeline check`: all that is right and wrong, without changing anything and without waiting.

mod events;
mod redis_side;
mod report;

use write_behind::error::PipelineError;
use write_behind::logging;
use write_behind::mapping::Mapping;
use write_behind::settings::{Layers, Mask, Settings, StreamSettings};
use write_behind::sink::{ErrorClass, Target, checkpoint, rights};
use write_behind::startup::{compile_mapping, connect_redis};

use crate::database::{self, connect_without_creating, is_missing_file};
use crate::runtime::block_on;
use events::Events;
use migration::Migrator;
use report::Report;

/// Arguments of `pipeline check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// One JSON object on standard output, and nothing else
    #[arg(long)]
    json: bool,
    /// Try so many of the newest events of each stream, without writing anything; 0 tries none
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    sample: u32,
}

/// Checks everything and tells of each thing.
pub fn check(args: &CheckArgs, layers: &Layers) -> Result<(), PipelineError> {
    let mut report = Report::new(args.json);
    match Settings::load(layers) {
        Err(problems) => {
            for problem in problems.iter() {
                report.wrong(&PipelineError::Configuration(problem.to_string()))?;
            }
            report.note("nothing else was looked at: the settings come first")?;
        }
        Ok(settings) => {
            let (_, _guard) = logging::start(&settings.log);
            let file = layers.file.as_ref().map(|file| format!(" and {}", file.display())).unwrap_or_default();
            let streams: Vec<_> = settings.streams.iter().map(|stream| stream.entity.as_str()).collect();
            report.ok(format_args!("settings: defaults{file}; streams: {}", streams.join(", ")))?;
            // What ends the look at the servers half way is told like all else, and what was found before it too.
            if let Err(error) = block_on(servers(args, &settings, &mut report)) {
                report.wrong(&error)?;
            }
        }
    }
    report.verdict()
}

async fn servers(args: &CheckArgs, settings: &Settings, report: &mut Report) -> Result<(), PipelineError> {
    let mut redis = None;
    match connect_redis(settings).await {
        Ok((client, capabilities)) => {
            redis_side::report(settings, &client.address(), &capabilities, report)?;
            redis_side::streams(settings, &client, report).await?;
            redis = Some((client, capabilities));
        }
        Err(error) => report.wrong(&error)?,
    }
    let events = Events { redis: redis.filter(|_| args.sample > 0), count: args.sample as usize };
    match connect_database(settings, report).await {
        Ok(target) => tables(settings, &target, &events, report).await,
        Err(error) => {
            report.wrong(&error)?;
            report.note("tables and mappings were not looked at: they are in the database")
        }
    }
}

/// Connects, but does not create a SQLite file.
async fn connect_database(settings: &Settings, report: &mut Report) -> Result<Target, PipelineError> {
    let target = connect_without_creating(settings).await?;
    let address = settings.rdbms.address();
    match is_missing_file(&settings.rdbms) {
        true => report
            .note(format_args!("{address} is not there yet: `pipeline run` and `pipeline migrate up` create it"))?,
        false => report.ok(address)?,
    }
    Ok(target)
}

async fn tables(
    settings: &Settings,
    target: &Target,
    events: &Events,
    report: &mut Report,
) -> Result<(), PipelineError> {
    let bookkept = match database::migrations::<Migrator>(target, settings).await {
        Ok(migrations) if migrations.pending().is_empty() => {
            report.ok("bookkeeping tables")?;
            true
        }
        Ok(_) => {
            pending(settings, target, report).await?;
            false
        }
        Err(error) => {
            report.wrong(&error)?;
            false
        }
    };
    for stream in &settings.streams {
        match compile_mapping(target, stream).await {
            Ok(Ok(mapping)) => {
                report.ok(described(stream, &mapping))?;
                let doubts = mapping.doubts();
                doubts.iter().try_for_each(|text| report.warning(format_args!("streams.{}: {text}", stream.entity)))?;
                if let Some(why) = mapping.why_one_lane().filter(|_| stream.lanes > 1) {
                    let (entity, lanes) = (&stream.entity, stream.lanes);
                    report.warning(format_args!("streams.{entity}.lanes: is {lanes}, and one lane runs: {why}"))?;
                }
                events.try_out(stream, &mapping, report).await?;
                if stream.mask_key.is_none() && stream.masked_columns().any(|column| column.mask == Some(Mask::Hash)) {
                    report.warning(guessable(stream))?;
                }
                may_write(target, stream, &mapping, bookkept, report).await?;
            }
            Ok(Err(problems)) => {
                problems.into_iter().try_for_each(|text| report.wrong(&PipelineError::Configuration(text)))?;
            }
            Err(error) => {
                let text = format!("streams.{}.table: {error}", stream.entity);
                report.wrong(&match error.class {
                    ErrorClass::Configuration => PipelineError::Configuration(text),
                    _ => PipelineError::Unavailable(text),
                })?;
            }
        }
        if bookkept {
            progress(settings, target, stream, report).await?;
        }
    }
    Ok(())
}

async fn pending(settings: &Settings, target: &Target, report: &mut Report) -> Result<(), PipelineError> {
    let text =
        "bookkeeping tables: pending: run `pipeline migrate up`, or rdbms.migrate_on_start creates them at start";
    if !settings.rdbms.migrate_on_start {
        return report.wrong(&PipelineError::Configuration(format!("{text}, but it is false")));
    }
    match rights::may_not_create(target).await {
        Ok(None) => report.note(text),
        Ok(Some(refused)) => report.wrong(&PipelineError::Configuration(format!(
            "bookkeeping tables: pending, and this user may not create them: {refused}. Let a user who may run `pipeline \
             migrate up`, and set rdbms.migrate_on_start: false"
        ))),
        Err(error) => report.wrong(&PipelineError::Unavailable(format!("bookkeeping tables: {error}"))),
    }
}

/// Whether the user may do what the mapping will do.
async fn may_write(
    target: &Target,
    stream: &StreamSettings,
    mapping: &Mapping,
    bookkept: bool,
    report: &mut Report,
) -> Result<(), PipelineError> {
    let said = |text: &str| format!("streams.{}.table: {text}", stream.entity);
    match rights::try_all(target, mapping, bookkept).await {
        Ok(refused) => refused.iter().try_for_each(|text| report.wrong(&PipelineError::Configuration(said(text)))),
        Err(error) => report.wrong(&PipelineError::Unavailable(said(&error.to_string()))),
    }
}

fn described(stream: &StreamSettings, mapping: &Mapping) -> String {
    let tables = mapping.tables().iter().map(|table| {
        let mode = table.mode().name();
        format!("table {}, {} columns, {mode}", table.table.name, table.columns.len())
    });
    format!("stream {}: {} to {}", stream.entity, stream.stream_name, tables.collect::<Vec<_>>().join("; "))
}

fn guessable(stream: &StreamSettings) -> String {
    let entity = &stream.entity;
    format!(
        "streams.{entity}.mask_key is not set: whoever tries out all mail addresses or telephone numbers finds which of \
         them a hash is of"
    )
}

/// How far the stream has come, which also shows whether the checkpoints can be read.
async fn progress(
    settings: &Settings,
    target: &Target,
    stream: &StreamSettings,
    report: &mut Report,
) -> Result<(), PipelineError> {
    let entity = &stream.entity;
    match checkpoint::load(target.db(), &settings.app.name, &stream.stream_name).await {
        Ok(lanes) => match lanes.iter().map(|lane| lane.last_id).min() {
            None => report.note(format_args!("stream {entity}: no checkpoint yet, so it begins at start_id")),
            Some(last_id) => {
                let totals = lanes.iter().fold(checkpoint::Totals::default(), |sum, lane| sum.plus(lane.totals));
                report.ok(format_args!(
                    "stream {entity}: checkpoint {last_id}, {} events applied, {} dead letters, {} passed over",
                    totals.applied, totals.dead_lettered, totals.skipped
                ))
            }
        },
        Err(error) => report.wrong(&PipelineError::Configuration(format!("stream {entity}: {error}"))),
    }
}
