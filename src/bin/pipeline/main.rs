//! The command line: arguments in, exit code out. Each subcommand has a file.

mod args;
mod check;
mod confirm;
mod database;
mod dead_letters;
mod demo;
mod explain;
mod failure;
mod generate;
mod insert;
mod metrics;
mod migrate;
mod output;
mod run;
mod runtime;
mod schema;
mod signals;
mod test_mapping;
mod usage;

use std::process::ExitCode;

use clap::Parser;
use slog::Logger;
use write_behind::error::PipelineError;
use write_behind::logging;
use write_behind::settings::{Layers, Settings};

use args::{Args, Command};

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _faults = fail::FailScenario::setup();
    let args = Args::parse();
    match execute(args) {
        Ok(code) => code,
        Err(error) => {
            for line in error.to_string().lines() {
                output::remark(format_args!("error: {line}"));
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn execute(args: Args) -> Result<ExitCode, PipelineError> {
    let mut layers = Layers::from_process(args.config.clone());
    match args.command.unwrap_or(Command::Run) {
        // It makes settings of its own.
        Command::Demo(demo) => demo::demo(&demo, args.config.is_some()),
        Command::Run => with_settings(&layers, run::run),
        Command::Check(args) => check::check(&args, &layers).map(|()| ExitCode::SUCCESS),
        Command::Explain(args) => with_settings(&layers, |settings, _| explain::explain(&args, &settings)),
        Command::TestMapping(args) => test_mapping::test_mapping(&args, &layers).map(|()| ExitCode::SUCCESS),
        Command::Schema(args) => with_settings(&layers, |settings, _| schema::schema(&args, &settings)),
        Command::Migrate(args) => with_settings(&layers, |settings, _| migrate::migrate(&args, &settings)),
        Command::Generate(args) => with_settings(&layers, |settings, _| generate::generate(&args, &settings)),
        Command::Insert(args) => {
            args.lay_over(&mut layers);
            with_settings(&layers, |settings, _| insert::insert(args, &settings))
        }
        Command::Metrics(args) => with_settings(&layers, |settings, _| metrics::metrics(&args, &settings)),
        Command::DeadLetters(args) => {
            with_settings(&layers, |settings, _| dead_letters::dead_letters(&args, &settings))
        }
    }
}

/// Does `command` with the settings of the process, and keeps the log until it is done.
fn with_settings(
    layers: &Layers,
    command: impl FnOnce(Settings, Logger) -> Result<(), PipelineError>,
) -> Result<ExitCode, PipelineError> {
    let settings = Settings::load(layers)?;
    let (log, _guard) = logging::start(&settings.log);
    command(settings, log).map(|()| ExitCode::SUCCESS)
}
