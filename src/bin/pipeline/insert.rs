//! `pipeline insert`: one document through the producer.

use std::io::{self, IsTerminal, Read};

use clap::ValueEnum;
use serde_json::value::RawValue;
use write_behind::error::PipelineError;
use write_behind::settings::{Durability, Layers, Settings};
use write_behind::stream::connection::RedisClient;
use write_behind::stream::producer::Producer;
use write_behind::stream::write::{ProduceError, Write};

use crate::failure::of_write;
use crate::output;
use crate::runtime::block_on;
use crate::usage::wrong_arguments;

/// Arguments of `pipeline insert`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints the document's key and the id of its entry in the stream, with a space between. Ends with 1 if the write is in \
Redis but not as durable as wanted in time, and says what was reached.

  pipeline insert user_action '{\"user_id\":\"user-0001\",\"action\":\"login\",\"timestamp\":\"2024-06-10T08:00:00Z\"}'
  pipeline insert user_action --op delete --key user_action:17
  pipeline insert user_action --durability waitaof --local 1 <document.json")]
pub struct InsertArgs {
    /// Whose document it is: a name under `streams` in the settings
    entity: String,
    /// The document, one JSON object; `-` or nothing reads it from standard input. A delete has none
    document: Option<String>,
    /// What happens to the document
    #[arg(long, value_enum, default_value = "insert")]
    op: OpArg,
    /// Key of the document in Redis; an insert without it gets a new one, ENTITY:UUID
    #[arg(long, required_if_eq_any([("op", "update"), ("op", "patch"), ("op", "delete"), ("op", "upsert")]))]
    key: Option<String>,
    /// What to wait for: nothing, replicas (WAIT), or the append-only files (WAITAOF) [default: producer.durability]
    #[arg(long, value_enum)]
    durability: Option<DurabilityArg>,
    /// Replicas to wait for, 0 to 100 [default: producer.wait_replicas]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    replicas: Option<u32>,
    /// For waitaof: 1 waits for the server's own append-only file too [default: producer.wait_local]
    #[arg(long, value_name = "0|1", value_parser = clap::value_parser!(u32).range(0..=1))]
    local: Option<u32>,
    /// Longest wait, in milliseconds [default: producer.wait_timeout_ms]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=600_000))]
    timeout_ms: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OpArg {
    Insert,
    Update,
    /// Only the members of the document that changed; it goes into the entry
    Patch,
    Delete,
    Upsert,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DurabilityArg {
    None,
    Wait,
    Waitaof,
}

impl InsertArgs {
    /// Puts the flags about durability over the settings, of which they are the top layer: so they meet the same
    /// defaults and the same rules.
    pub fn lay_over(&self, layers: &mut Layers) {
        let durability = self.durability.and_then(|choice| choice.to_possible_value());
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        for (key, value) in [
            ("DURABILITY", durability.map(|choice| choice.get_name().to_owned())),
            ("WAIT_REPLICAS", number(self.replicas)),
            ("WAIT_LOCAL", number(self.local)),
            ("WAIT_TIMEOUT_MS", number(self.timeout_ms)),
        ] {
            let Some(value) = value else { continue };
            let variable = format!("PIPELINE__PRODUCER__{key}");
            layers.environment.retain(|(name, _)| !name.eq_ignore_ascii_case(&variable));
            layers.environment.push((variable, value));
        }
    }
}

/// Writes the document and prints its key and entry id.
pub fn insert(args: InsertArgs, settings: &Settings) -> Result<(), PipelineError> {
    let durability = settings.producer.durability;
    match durability {
        Durability::None if args.replicas.or(args.local).or(args.timeout_ms).is_some() => {
            wrong_arguments::<InsertArgs>(
                "pipeline insert",
                "--replicas, --local and --timeout-ms need --durability wait or waitaof",
            );
        }
        Durability::Replicas { .. } if args.local.is_some() => {
            wrong_arguments::<InsertArgs>(
                "pipeline insert",
                "--local needs --durability waitaof: WAIT is about replicas only",
            );
        }
        _ => {}
    }
    let entity = args.entity.clone();
    let write = write(args)?;
    let receipt = block_on(async {
        let client = RedisClient::new(&settings.redis);
        let mut producer = Producer::connect(client, &settings.producer, &settings.log, &settings.streams).await?;
        Ok(producer.write(&entity, write, durability).await)
    })?;
    match receipt {
        Ok(receipt) => {
            if let Some(why) = receipt.uncounted {
                output::remark(format_args!("warning: it is written, but may not be in the counters: {why}"));
            }
            output::line(format_args!("{} {}", receipt.key, receipt.id))
        }
        Err(error) => {
            // It is in Redis all the same, so who reads the output must learn where.
            if let ProduceError::NotDurable { key, id, .. } = &error {
                output::line(format_args!("{key} {id}"))?;
            }
            Err(of_write(error))
        }
    }
}

/// The write that the arguments ask for.
fn write(args: InsertArgs) -> Result<Write, PipelineError> {
    let key = args.key;
    if args.op == OpArg::Delete {
        if args.document.is_some() {
            wrong_arguments::<InsertArgs>("pipeline insert", "a delete has no document: leave it out");
        }
        return Ok(Write::delete(key.unwrap_or_default()));
    }
    let text = match args.document {
        Some(text) if text != "-" => text,
        _ => from_stdin()?,
    };
    // Raw, so that the numbers and the order of the members stay as they were given.
    let document = match serde_json::from_str::<&RawValue>(&text) {
        Ok(document) => document,
        Err(error) => wrong_arguments::<InsertArgs>(
            "pipeline insert",
            &format!("the document is not JSON: {error}: give one JSON object"),
        ),
    };
    let write = match args.op {
        OpArg::Update => Write::update(key.unwrap_or_default(), &document),
        OpArg::Patch => Write::patch(key.unwrap_or_default(), &document),
        OpArg::Upsert => Write::upsert(key.unwrap_or_default(), &document),
        OpArg::Insert | OpArg::Delete => Write::insert(&document).map(|write| match key {
            Some(key) => write.at(key),
            None => write,
        }),
    };
    Ok(write.unwrap_or_else(|error| wrong_arguments::<InsertArgs>("pipeline insert", &error.to_string())))
}

fn from_stdin() -> Result<String, PipelineError> {
    if io::stdin().is_terminal() {
        output::remark("reading the document from the terminal; Ctrl-D ends it");
    }
    let mut text = String::new();
    match io::stdin().lock().read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(PipelineError::Failed(format!(
            "the document cannot be read from standard input: {error}; it must be UTF-8"
        ))),
    }
}
