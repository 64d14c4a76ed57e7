//! The arguments of the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::check::CheckArgs;
use crate::dead_letters::DeadLettersArgs;
use crate::demo::DemoArgs;
use crate::explain::ExplainArgs;
use crate::generate::GenerateArgs;
use crate::insert::InsertArgs;
use crate::metrics::MetricsArgs;
use crate::migrate::MigrateArgs;
use crate::schema::SchemaArgs;
use crate::test_mapping::TestMappingArgs;

/// Writes JSON documents behind from Redis Streams to PostgreSQL, MySQL/MariaDB or SQLite: once, in order, and soon.
#[derive(Debug, Parser)]
#[command(name = "pipeline", version, about, after_help = EXIT_CODES)]
pub struct Args {
    /// Settings file (YAML), over the defaults; PIPELINE__SECTION__KEY variables go over both
    #[arg(long, short, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write behind until SIGTERM or SIGINT (the default)
    Run,
    /// Show the pipeline at work: a private Redis, an SQLite file, sample user actions, and a comparison in the end
    #[command(long_about = DEMO)]
    Demo(DemoArgs),
    /// Say all that is right and wrong with the settings, Redis, the database and the mappings; changes nothing
    #[command(after_help = CHECK)]
    Check(CheckArgs),
    /// Tell what the settings make of real events, step by step; writes nothing
    Explain(ExplainArgs),
    /// Run test files: documents, and the rows that must come of them; needs no server
    TestMapping(TestMappingArgs),
    /// Print, compare or make the tables and columns that the mappings need
    Schema(SchemaArgs),
    /// Create or drop the bookkeeping tables, or the table of the example
    Migrate(MigrateArgs),
    /// Write made-up user actions to Redis
    Generate(GenerateArgs),
    /// Write one JSON document to Redis: insert, update, patch, upsert or delete
    Insert(InsertArgs),
    /// Print the counters in Redis
    Metrics(MetricsArgs),
    /// List the events that could not be written, or show one
    DeadLetters(DeadLettersArgs),
}

const CHECK: &str = "Each server is connected to once, without waiting for app.startup_timeout_sec. A line begins with `ok`, with `note` (no \
fault), with `warning` (it runs, but data is in danger), or with `wrong`. Nothing is created: tables that `run` would \
create are a note. The newest events of each stream go through the mapping and no further: those that would become dead \
letters are warnings, one for each cause, with the newest event of it, and those that would be passed over are counted.

Exit codes: 0 nothing is wrong, 78 settings, credentials, rights or tables are wrong, 69 a server cannot be reached \
(78 if both).";

const DEMO: &str = "\
Show the pipeline at work.

Starts a Redis server of its own (with an append-only file, on a free port of 127.0.0.1), inserts sample user actions \
while the pipeline writes them behind to an SQLite file, and compares in the end what Redis holds with what the table \
holds: any difference is an error (exit code 1). Ctrl-C stops inserting, finishes what is in flight and ends Redis \
(exit code 130); a second one ends everything at once.

It uses its own settings, which it writes to pipeline.yaml in its folder: neither --config nor the PIPELINE__ variables \
count, except those of the log, PIPELINE__LOG__LEVEL=info for instance. No other Redis or database is touched.";

const EXIT_CODES: &str = "\
Exit codes:
  0    done, or drained after SIGTERM or SIGINT
  1    what was asked does not hold: the demo or `schema diff` found a difference, a case of a mapping failed, a
       write did not become durable
  2    wrong arguments
  69   Redis or the database could not be reached in time (app.startup_timeout_sec); no redis-server for the demo
  70   gave up: a stream failed more often than supervisor.max_restarts allows
  78   settings, credentials, rights or tables are not as they must be
  130  a second signal ended a drain, or a signal ended the demo";
