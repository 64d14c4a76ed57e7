//! What `pipeline check` says of the newest events: they go through the mapping, and no further.

use write_behind::error::PipelineError;
use write_behind::mapping::{Mapping, Unfound};
use write_behind::schema::refused;
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
    /// Tells which of the newest events would become dead letters, and why.
    pub async fn try_out(
        &self,
        stream: &StreamSettings,
        mapping: &Mapping,
        report: &mut Report,
    ) -> Result<(), PipelineError> {
        /// More than these nobody reads; they are mostly alike.
        const TOLD_MAX: usize = 10;
        let Some((client, capabilities)) = &self.redis else { return Ok(()) };
        let entity = &stream.entity;
        let samples = match newest_events(client, stream, capabilities.json, self.count).await {
            Ok(samples) => samples,
            // Whether the stream itself can be read has been told.
            Err(failure) => {
                return report.warning(format_args!("streams.{entity}: no event could be tried: {failure}"));
            }
        };
        let refused = refused(mapping, &samples);
        for (id, rejection) in refused.iter().rev().take(TOLD_MAX) {
            let class = rejection.class.name();
            // Of several tables it might be any.
            let setting = match (stream.tables.as_slice(), &rejection.column) {
                ([only], Some(column)) => format!("{}.columns.{column}", only.setting),
                _ => format!("streams.{entity}"),
            };
            report.warning(format_args!("{setting}: event {id} would become a dead letter ({class}): {rejection}"))?;
        }
        if refused.len() > TOLD_MAX {
            let more = refused.len() - TOLD_MAX;
            report
                .warning(format_args!("streams.{entity}: {more} older events of the newest {} too", samples.len()))?;
        }
        let tried = samples.iter().filter_map(|sample| {
            let (event, document) = sample.event.as_ref().ok()?;
            Some((&sample.entry, event, document))
        });
        for Unfound { table, column, source, tried } in mapping.unfound(tried) {
            let setting = &stream.tables[table].setting;
            let what = if source.contains("$item") { "items" } else { "documents" };
            report.warning(format_args!(
                "{setting}.columns.{column}: {source} is in none of the {tried} {what} tried: is it spelt so?"
            ))?;
        }
        match (samples.len(), refused.len()) {
            (0, _) => report.note(format_args!("stream {entity}: there is no event to try")),
            (all, 0) => report.ok(format_args!("stream {entity}: the newest {all} events fit their tables")),
            (all, bad) => report.note(format_args!("stream {entity}: {bad} of the newest {all} events do not fit")),
        }
    }
}
