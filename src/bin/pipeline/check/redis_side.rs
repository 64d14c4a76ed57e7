//! What `pipeline check` says of a Redis server that answered.

use write_behind::error::PipelineError;
use write_behind::settings::{DocumentSource, DocumentStore, Durability, Settings};
use write_behind::stream::capabilities::Capabilities;
use write_behind::stream::connection::RedisClient;
use write_behind::stream::reader::stream_info;

use super::report::Report;

/// Tells what the server is and what endangers data on it.
pub fn report(
    settings: &Settings,
    address: &str,
    capabilities: &Capabilities,
    report: &mut Report,
) -> Result<(), PipelineError> {
    let json = if capabilities.json { ", RedisJSON" } else { "" };
    report.ok(format_args!("redis at {address}: {}{json}", capabilities.version_shown()))?;
    match capabilities.maxmemory_policy.as_deref() {
        Some("noeviction") => {}
        Some(policy) => report.warning(format_args!(
            "redis at {address}: maxmemory-policy is {policy}: when memory is full, documents and streams go before \
             they are written behind: set it to noeviction"
        ))?,
        None => report.warning(format_args!(
            "redis at {address}: maxmemory-policy cannot be read: give the user of redis.user the right to INFO, and \
             see that it is noeviction"
        ))?,
    }
    if capabilities.aof_enabled == Some(false) {
        report.warning(format_args!(
            "redis at {address}: the append-only file is off: a crash of Redis loses what is not written behind yet: \
             set appendonly to yes"
        ))?;
    }
    if matches!(settings.producer.durability, Durability::Aof { .. }) && !capabilities.waitaof {
        report.warning(format_args!(
            "redis at {address}: producer.durability is waitaof, which needs Redis 7.2 or newer: producers of these \
             settings are refused"
        ))?;
    }
    if capabilities.json {
        return Ok(());
    }
    let absent = format!("redis at {address}: no RedisJSON, or no right to COMMAND INFO");
    let demand = demands_of_json(settings);
    if !demand.is_empty() {
        let demand = demand.join(" and ");
        return report.warning(format_args!("{absent}, but {demand} wants it: load the module, or set that to auto"));
    }
    match settings.producer.document {
        DocumentStore::Auto => report.warning(format_args!(
            "{absent}: producers of these settings store documents as JSON in strings: load the module, or set \
             producer.document to string or inline if that is as it should be"
        )),
        DocumentStore::Json | DocumentStore::String | DocumentStore::Inline => report.note(absent),
    }
}

/// Tells which streams cannot be read.
pub async fn streams(settings: &Settings, client: &RedisClient, report: &mut Report) -> Result<(), PipelineError> {
    let mut connection = client.multiplexed().await?;
    for stream in &settings.streams {
        match stream_info(&mut connection, &stream.stream_name).await {
            Ok(Some(info)) if info.length > 0 => {}
            Ok(Some(_)) => report.note(format_args!("stream {}: there is no event to try", stream.entity))?,
            // Producers may make it later; mostly it is called otherwise, or in another database.
            Ok(None) => report.note(format_args!(
                "stream {}: there is no key `{}` in database {} of redis at {}, so there is no event to try: see \
                 streams.{}.stream_name and redis.database if there should be",
                stream.entity,
                stream.stream_name,
                settings.redis.database,
                client.address(),
                stream.entity
            ))?,
            Err(failure) => {
                let text = format!("streams.{}.stream_name: {failure}", stream.entity);
                report.wrong(&match failure.is_transient() {
                    true => PipelineError::Unavailable(text),
                    false => PipelineError::Configuration(text),
                })?;
            }
        }
    }
    Ok(())
}

/// The settings that do not work without RedisJSON.
fn demands_of_json(settings: &Settings) -> Vec<String> {
    let streams = settings.streams.iter().filter(|stream| stream.document == DocumentSource::Json);
    let mut demands: Vec<_> = streams.map(|stream| format!("streams.{}.document", stream.entity)).collect();
    if settings.producer.document == DocumentStore::Json {
        demands.push("producer.document".to_owned());
    }
    demands
}
