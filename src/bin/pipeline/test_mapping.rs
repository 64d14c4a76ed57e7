//! `pipeline test-mapping`: runs files of cases and shows what is not as it should be.

use std::path::PathBuf;

use console::style;
use migration::Migrator;
use write_behind::cases::{Case, Runner, TestFile, Verdict};
use write_behind::error::PipelineError;
use write_behind::settings::{Layers, Settings};
use write_behind::sink::Target;

use crate::database::{connect_existing, migrations};
use crate::output::{self, printable};
use crate::runtime::block_on;

/// Arguments of `pipeline test-mapping`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Neither Redis nor a database server is needed: the tables of the file's `schema` are made in a temporary SQLite file. \
With --database the cases run on the database of the settings, with its types and constraints, in transactions that are \
rolled back; its tables must be empty, and the bookkeeping tables must be there.

docs/MAPPING.md explains the files, and settings/examples/ has some:

  pipeline test-mapping settings/examples/*.test.yaml

Exit codes: 0 all cases passed, 1 some did not, 78 a file is not as it must be.")]
pub struct TestMappingArgs {
    /// Test files (YAML)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Run on the database of --config and the PIPELINE__RDBMS__… variables; nothing of it remains
    #[arg(long)]
    database: bool,
}

/// Runs all files and says how many cases failed.
pub fn test_mapping(args: &TestMappingArgs, layers: &Layers) -> Result<(), PipelineError> {
    let settings = args.database.then(|| Settings::load(layers)).transpose()?;
    block_on(async {
        let target = match &settings {
            Some(settings) => Some(existing(settings).await?),
            None => None,
        };
        let (mut cases, mut failed, mut broken) = (0, 0, Vec::new());
        for path in &args.files {
            let outcome = match TestFile::read(path) {
                Ok(file) => run(&file, target.as_ref().zip(settings.as_ref())).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(counts) => {
                    cases += counts.0;
                    failed += counts.1;
                }
                Err(PipelineError::Configuration(text)) => broken.push(text),
                Err(error) => return Err(error),
            }
        }
        match (broken.is_empty(), failed) {
            (false, _) => Err(PipelineError::Configuration(broken.join("\n"))),
            (true, 0) => Ok(()),
            (true, failed) => Err(PipelineError::Failed(format!("{failed} of {cases} cases failed"))),
        }
    })
}

/// The database of the settings, which the pipeline knows.
async fn existing(settings: &Settings) -> Result<Target, PipelineError> {
    let target = connect_existing(settings).await?;
    let migrations = migrations::<Migrator>(&target, settings).await?;
    if migrations.pending().is_empty() {
        return Ok(target);
    }
    let address = settings.rdbms.address();
    Err(PipelineError::Configuration(format!("{address}: no bookkeeping tables: run `pipeline migrate up` first")))
}

/// Runs a file; answers how many cases it has, and how many of them failed.
async fn run(file: &TestFile, database: Option<(&Target, &Settings)>) -> Result<(usize, usize), PipelineError> {
    let folder = tempfile::tempdir()
        .map_err(|error| PipelineError::Failed(format!("no temporary folder for SQLite: {error}; see TMPDIR")))?;
    let runner = match database {
        None => Runner::on_file(file, folder.path()).await?,
        Some((target, settings)) => Runner::on_database(file, target.clone(), settings.rdbms.clone()).await?,
    };
    output::line(&file.name)?;
    let mut failed = 0;
    for case in &file.cases {
        let verdict = runner.run(case).await?;
        failed += usize::from(!verdict.is_empty());
        tell(file, case, &verdict)?;
    }
    let (count, passed) = (file.cases.len(), file.cases.len() - failed);
    let legend = if failed > 0 { "; - is what was expected, + what there is" } else { "" };
    output::line(format_args!("  {passed} of {count} cases passed{legend}"))?;
    Ok((count, failed))
}

fn tell(file: &TestFile, case: &Case, verdict: &Verdict) -> Result<(), PipelineError> {
    let name = printable(&case.name);
    if verdict.is_empty() {
        return output::line(format_args!("  {}  {name}", style("ok").green()));
    }
    let place = format_args!("{}:{}", file.name, case.line);
    output::line(format_args!("  {}  {name} ({place})", style("FAILED").red()))?;
    verdict.iter().try_for_each(|line| {
        let line = printable(line);
        match line.chars().next() {
            Some('-') => output::line(format_args!("      {}", style(line).red())),
            Some('+') => output::line(format_args!("      {}", style(line).green())),
            _ => output::line(format_args!("    {line}")),
        }
    })
}
