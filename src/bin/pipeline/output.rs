//! What commands print. Results go to standard output, remarks to standard error; a reader that has gone away, such as
//! `head`, is no reason to fail.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use write_behind::error::PipelineError;

/// Prints a line of the result.
pub fn line(text: impl Display) -> Result<(), PipelineError> {
    match writeln!(io::stdout().lock(), "{text}") {
        // Whoever read has enough. The command goes on: its exit code is about what it did.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            Err(PipelineError::Failed(format!("standard output cannot be written: {error}; see where it is led to")))
        }
        Ok(()) => Ok(()),
    }
}

/// Prints a remark.
pub fn remark(text: impl Display) {
    // If it cannot be said there is nobody to say that to either.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// `text` on one line, without what would make a terminal do something else than show it: keys and messages hold
/// whatever somebody put into Redis.
pub fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().collect::<String>() } else { c.to_string() };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_the_rest_stays() {
        assert_eq!(printable("a\tb\u{1b}[2Jc\nd é 🦀"), "a\\tb\\u{1b}[2Jc\\nd é 🦀");
    }
}
