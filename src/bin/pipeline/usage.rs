//! Arguments that are wrong in themselves, where clap alone cannot see it.

use clap::error::ErrorKind;

/// Ends the process as clap does, with the usage of the subcommand whose arguments are `A`.
pub fn wrong_arguments<A: clap::Args>(subcommand: &'static str, message: &str) -> ! {
    A::augment_args(clap::Command::new(subcommand)).error(ErrorKind::ValueValidation, message).exit()
}
