//! Arguments that are wrong in themselves, where clap alone cannot see it.

use clap::error::ErrorKind;

/// Ends the process as clap does, with the usage of the subcommand whose arguments are `A`, or of the one below it that
/// `subcommand` ends in.
pub fn wrong_arguments<A: clap::Args>(subcommand: &'static str, message: &str) -> ! {
    let mut command = A::augment_args(clap::Command::new(subcommand));
    let below = subcommand.rsplit(' ').next().and_then(|name| command.find_subcommand(name).cloned());
    if let Some(below) = below {
        command = below.bin_name(subcommand);
    }
    command.error(ErrorKind::ValueValidation, message).exit()
}
