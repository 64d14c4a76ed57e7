//! `pipeline metrics`: the counters in Redis.

use redis::{ErrorKind, Pipeline, RedisError, Value};
use write_behind::error::PipelineError;
use write_behind::metrics::names;
use write_behind::settings::Settings;
use write_behind::stream::connection::RedisClient;
use write_behind::supervision::exit::ExitReason;

use crate::output;
use crate::runtime::block_on;

/// Arguments of `pipeline metrics`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints, for each stream of the settings, one line a counter: `metrics:<entity>:redis:success: N` (writes that reached \
Redis), `…:rdbms:success` (events applied to the database) and `…:rdbms:fail` (events that became dead letters). A \
counter that is not there is 0. `…:rdbms:skipped` (events passed over, because a filter or another setting says so), \
`…:redis:fail` (writes that failed), `…:redis:lost` (entries that were deleted from the stream before they were read) and `…:ended:<reason>` (how often the stream's actors ended, and why) are printed \
only when they are not 0.")]
pub struct MetricsArgs {
    /// One JSON object with all counters of each stream
    #[arg(long)]
    json: bool,
}

/// Reads and prints the counters of all streams.
pub fn metrics(args: &MetricsArgs, settings: &Settings) -> Result<(), PipelineError> {
    let counters = block_on(read(settings))?;
    if args.json {
        let members = counters.into_iter().map(|counter| (counter.name, counter.count.into()));
        return output::line(serde_json::Value::Object(members.collect()));
    }
    for Counter { name, count, shown_at_zero } in counters {
        if count != 0 || shown_at_zero {
            output::line(format_args!("{name}: {count}"))?;
        }
    }
    Ok(())
}

struct Counter {
    name: String,
    count: u64,
    shown_at_zero: bool,
}

async fn read(settings: &Settings) -> Result<Vec<Counter>, PipelineError> {
    let streams = settings.streams.iter().map(|stream| stream.entity.as_str());
    let mut counters: Vec<_> = streams.flat_map(of_stream).collect();
    // Not MGET: it answers nil for a key that holds something else than a text.
    let mut gets = Pipeline::with_capacity(counters.len());
    for counter in &counters {
        gets.cmd("GET").arg(&counter.name);
    }
    let mut connection = RedisClient::new(&settings.redis).multiplexed().await?;
    let replies =
        connection.replies(&gets).await.map_err(|error| connection.failure("reading the counters", &error))?;
    for (counter, reply) in counters.iter_mut().zip(replies) {
        let doing = format_args!("reading the counter `{}`", counter.name);
        counter.count = number(reply).map_err(|error| connection.failure(doing, &error))?;
    }
    Ok(counters)
}

fn of_stream(entity: &str) -> Vec<Counter> {
    let counter = |name, shown_at_zero| Counter { name, count: 0, shown_at_zero };
    let mut counters = vec![
        counter(names::redis_success(entity), true),
        counter(names::redis_fail(entity), false),
        counter(names::redis_lost(entity), false),
        counter(names::rdbms_success(entity), true),
        counter(names::rdbms_fail(entity), true),
        counter(names::rdbms_skipped(entity), false),
    ];
    counters.extend(ExitReason::NAMES.map(|reason| counter(names::ended(entity, reason), false)));
    counters
}

fn number(reply: Value) -> Result<u64, RedisError> {
    match reply {
        Value::Nil => Ok(0),
        Value::ServerError(error) => Err(error.into()),
        reply => redis::from_redis_value(reply)
            .map_err(|_| (ErrorKind::UnexpectedReturnType, "the key holds no number of events: delete it").into()),
    }
}
