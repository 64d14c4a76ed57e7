//! The question before something that cannot be taken back.

use std::io::{self, BufRead, IsTerminal, Write};

use write_behind::error::PipelineError;

use crate::usage::wrong_arguments;

/// Asks on the terminal whether to go on. Where there is none, nobody can be asked, and the subcommand whose arguments are
/// `A` ends. `untouched` says what has not been done, `purpose` what `--yes` would be for.
///
/// # Errors
/// The answer is not `y`.
pub fn confirm<A: clap::Args>(subcommand: &'static str, untouched: &str, purpose: &str) -> Result<(), PipelineError> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        wrong_arguments::<A>(subcommand, &format!("{untouched}: --yes is needed {purpose}"));
    }
    let mut answer = String::new();
    let asked = write!(io::stderr(), "go on? y or n: ").and_then(|()| io::stdin().lock().read_line(&mut answer));
    match asked {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(PipelineError::Failed(format!("{untouched}: the answer was not `y`"))),
    }
}
