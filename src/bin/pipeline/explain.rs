//! `pipeline explain`: what the settings make of real events, step by step, without writing anything.

mod gather;
mod told;
mod trial;
mod value;
mod words;

use write_behind::error::PipelineError;
use write_behind::event::StreamId;
use write_behind::settings::{Settings, StreamSettings};
use write_behind::startup::{compile_mapping, connect_redis};
use write_behind::stream::connection::RedisClient;
use write_behind::stream::reader;

use crate::database::connect_existing;
use crate::output;
use crate::runtime::block_on;
use gather::Gatherer;

/// Arguments of `pipeline explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Tells for each entry: its fields, its lane, where its document is and what it holds, what filter and reshape made of it, \
the rows with each column's type, source and value, or why it becomes a dead letter, and the SQL that would write it. \
Nothing is written, and no checkpoint or counter moves. With --dry-run the database is asked too: the statements run in a \
transaction that is rolled back, which for that moment locks what a real one would.

A document at a key is read as it is now. The user of redis.user needs XRANGE and XREVRANGE.")]
pub struct ExplainArgs {
    /// Whose events: a name under `streams` in the settings
    #[arg(long, value_name = "ENTITY")]
    stream: String,
    /// The entry with this id
    #[arg(long, value_name = "ID", conflicts_with = "last")]
    id: Option<StreamId>,
    /// The newest N entries, the newest last
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    last: u64,
    /// Run the SQL in a transaction that is rolled back, and tell what the database says. Each entry is tried alone: it does not
    /// see what those before it would have written
    #[arg(long)]
    dry_run: bool,
    /// A JSON array with an object for each entry; documents are whole there
    #[arg(long)]
    json: bool,
}

/// Explains the wanted entries.
pub fn explain(args: &ExplainArgs, settings: &Settings) -> Result<(), PipelineError> {
    let Some(stream) = settings.stream(&args.stream) else {
        let known: Vec<_> = settings.streams.iter().map(|stream| stream.entity.as_str()).collect();
        let text = format!("there is no stream `{}` in the settings; there are {}", args.stream, known.join(", "));
        return Err(PipelineError::Configuration(text));
    };
    let explained = block_on(async {
        let (redis, capabilities) = connect_redis(settings).await?;
        let entries = entries(&redis, stream, args).await?;
        let target = connect_existing(settings).await?;
        let mapping = compile_mapping(&target, stream).await?;
        let mapping = mapping.map_err(|problems| PipelineError::Configuration(problems.join("\n")))?;
        let mut gatherer = Gatherer::new(settings, stream, &mapping, &target, redis, &capabilities).await?;
        let mut explained = Vec::new();
        for entry in entries {
            explained.push(gatherer.explain(&entry, args.dry_run).await?);
        }
        Ok(explained)
    })?;
    if args.json {
        let json = serde_json::to_string_pretty(&explained);
        let json = json.map_err(|error| PipelineError::Failed(format!("it cannot be put into JSON: {error}")))?;
        return output::line(json);
    }
    for (number, one) in explained.iter().enumerate() {
        if number > 0 {
            output::line("")?;
        }
        words::lines(one).into_iter().try_for_each(output::line)?;
    }
    Ok(())
}

async fn entries(
    redis: &RedisClient,
    stream: &StreamSettings,
    args: &ExplainArgs,
) -> Result<Vec<write_behind::event::Entry>, PipelineError> {
    let name = &stream.stream_name;
    let mut connection = redis.dedicated(std::time::Duration::ZERO).await?;
    let (found, what) = match args.id {
        Some(id) => {
            let entry = reader::entry(&mut connection, name, id).await?;
            (Vec::from_iter(entry), format!("`{name}` holds no entry {id}: it was never there, or was trimmed"))
        }
        None => {
            let count = usize::try_from(args.last).unwrap_or(usize::MAX);
            (reader::newest(&mut connection, name, count).await?, format!("`{name}` is empty"))
        }
    };
    if found.is_empty() { Err(PipelineError::Failed(format!("stream {what}"))) } else { Ok(found) }
}
