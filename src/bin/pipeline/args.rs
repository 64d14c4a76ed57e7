//! The arguments of the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Writes JSON documents behind from Redis Streams to PostgreSQL, MySQL/MariaDB or SQLite: once, in order, and soon.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_CODES)]
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
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done, or drained after SIGTERM or SIGINT
  1    what was asked does not hold: the demo found a difference, a write did not become durable
  2    wrong arguments
  69   Redis or the database could not be reached in time (app.startup_timeout_sec)
  70   gave up: a stream failed more often than supervisor.max_restarts allows
  78   settings, credentials, rights or tables are not as they must be
  130  a second signal ended a drain";
