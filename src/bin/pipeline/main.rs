//! The command line: arguments in, exit code out. Each subcommand has a file.

mod args;
mod run;

use std::process::ExitCode;

use clap::Parser;
use write_behind::error::PipelineError;
use write_behind::logging;
use write_behind::settings::{Layers, Settings};

use args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    match execute(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                eprintln!("error: {line}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn execute(args: Args) -> Result<(), PipelineError> {
    let settings = Settings::load(&Layers::from_process(args.config))?;
    let (log, _guard) = logging::start(&settings.log);
    match args.command.unwrap_or(Command::Run) {
        Command::Run => run::run(settings, log),
    }
}
