//! What `pipeline check` says of the newest events: they go through the mapping, and no further.

use write_behind::error::PipelineError;
use write_behind::mapping::{Mapping, Unfound};
use write_behind::schema::{self, Sample, Tried};
use write_behind::settings::StreamSettings;
use write_behind::stream::capabilities::Capabilities;
use write_behind::stream::connection::RedisClient;
use write_behind::stream::samples::newest_events;

use super::report::Report;

/// Where to find events, and how many of each stream to try.
pub struct Events {
    /// Redis, if it answered and events are wanted.
    pub redis: Option<(RedisClient, Capabilities)>,
    /// Most events of a stream.
    pub count: usize,
}

impl Events {
    /// Tells which of the newest events would become dead letters, which are passed over, and why.
    pub async fn try_out(
        &self,
        stream: &StreamSettings,
        mapping: &Mapping,
        report: &mut Report,
    ) -> Result<(), PipelineError> {
        let Some((client, capabilities)) = &self.redis else { return Ok(()) };
        let entity = &stream.entity;
        let samples = match newest_events(client, stream, capabilities.json, self.count).await {
            Ok(samples) => samples,
            // Whether the stream itself can be read has been told.
            Err(failure) => {
                return report.warning(format_args!("streams.{entity}: no event could be tried: {failure}"));
            }
        };
        let tried = schema::try_out(stream, mapping, &samples);
        dead_letters(stream, &tried, report)?;
        unfound(stream, mapping, &samples, report)?;
        outcome(stream, &tried, report)
    }
}

/// A line for each cause: the events of one are mostly alike.
fn dead_letters(stream: &StreamSettings, tried: &Tried, report: &mut Report) -> Result<(), PipelineError> {
    /// More than these nobody reads.
    const TOLD_MAX: usize = 10;
    let (told, untold) = tried.refused.split_at(tried.refused.len().min(TOLD_MAX));
    told.iter().try_for_each(|refused| report.warning(refused.text(tried.all)))?;
    let more: usize = untold.iter().map(|refused| refused.events).sum();
    match more {
        0 => Ok(()),
        _ => report.warning(format_args!(
            "streams.{}: {more} events would become dead letters for {} other causes",
            stream.entity,
            untold.len()
        )),
    }
}

/// Paths that lead to nothing in any of the documents.
fn unfound(
    stream: &StreamSettings,
    mapping: &Mapping,
    samples: &[Sample],
    report: &mut Report,
) -> Result<(), PipelineError> {
    let events = samples.iter().filter_map(|sample| {
        let (event, document) = sample.event.as_ref().ok()?;
        Some((&sample.entry, event, document))
    });
    for Unfound { table, column, source, tried } in mapping.unfound(events) {
        let setting = &stream.tables[table].setting;
        let key = column.map_or_else(|| "for_each".to_owned(), |column| format!("columns.{column}"));
        let what = if source.contains("$item") { "items" } else { "documents" };
        report.warning(format_args!(
            "{setting}.{key}: {source} is in none of the {tried} {what} tried: is it spelt so?"
        ))?;
    }
    Ok(())
}

/// How many fit, and how many are passed over.
fn outcome(stream: &StreamSettings, tried: &Tried, report: &mut Report) -> Result<(), PipelineError> {
    let entity = &stream.entity;
    let Tried { all, fit, whole, passed_over, refused, reached, .. } = tried;
    let unreached = stream.tables.iter().enumerate().filter(|(number, _)| *whole > 0 && !reached.contains(number));
    for (_, table) in unreached.filter(|(_, table)| table.filter.is_some()) {
        report.warning(format_args!(
            "{}.filter: lets none of the {whole} whole documents tried through: is it as you mean it?",
            table.setting
        ))?;
    }
    let bad: usize = refused.iter().map(|refused| refused.events).sum();
    if let Some((why, count)) = passed_over.iter().max_by_key(|(_, count)| **count).filter(|_| *fit == 0) {
        report.warning(format_args!(
            "streams.{entity}.{}: {count} of the newest {all} events are passed over ({why}), and none is written: is it as \
             you mean it?",
            why.setting()
        ))?;
    }
    let reasons: Vec<String> = passed_over.iter().map(|(why, count)| format!("{count}: {why}")).collect();
    let passed = match passed_over.values().sum::<usize>() {
        0 => String::new(),
        count => format!(", {count} are passed over ({})", reasons.join("; ")),
    };
    match (all, bad) {
        // That its key is not there has been told.
        (0, _) => Ok(()),
        (_, 0) if passed.is_empty() => {
            report.ok(format_args!("stream {entity}: the newest {all} events fit their tables"))
        }
        (_, 0) => report.ok(format_args!("stream {entity}: {fit} of the newest {all} events fit their tables{passed}")),
        (_, bad) => report.note(format_args!("stream {entity}: {bad} of the newest {all} events do not fit{passed}")),
    }
}
