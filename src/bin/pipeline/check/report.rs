//! The lines of `pipeline check` and what they come to.

use std::fmt::Display;

use write_behind::error::PipelineError;

use crate::output::{self, printable};

/// Counts what is wrong while it is told.
#[derive(Default)]
pub struct Report {
    configuration: usize,
    other: usize,
}

impl Report {
    /// Something is as it must be.
    pub fn ok(&self, text: impl Display) -> Result<(), PipelineError> {
        tell("ok", text)
    }

    /// Something that is no fault, but good to know.
    pub fn note(&self, text: impl Display) -> Result<(), PipelineError> {
        tell("note", text)
    }

    /// Something that works, and endangers data.
    pub fn warning(&self, text: impl Display) -> Result<(), PipelineError> {
        tell("warning", text)
    }

    /// Something keeps the pipeline from running.
    pub fn wrong(&mut self, error: &PipelineError) -> Result<(), PipelineError> {
        match error {
            PipelineError::Configuration(_) => self.configuration += 1,
            _ => self.other += 1,
        }
        error.to_string().lines().try_for_each(|line| tell("wrong", line))
    }

    /// What it comes to. Waiting may mend a server that cannot be reached, but not the settings: they count more.
    pub fn verdict(self) -> Result<(), PipelineError> {
        let text = |count: usize| match count {
            1 => "1 thing is wrong: see the line that begins with `wrong`".to_owned(),
            _ => format!("{count} things are wrong: see the lines that begin with `wrong`"),
        };
        match (self.configuration, self.other) {
            (0, 0) => Ok(()),
            (0, other) => Err(PipelineError::Unavailable(text(other))),
            (configuration, other) => Err(PipelineError::Configuration(text(configuration + other))),
        }
    }
}

fn tell(label: &str, text: impl Display) -> Result<(), PipelineError> {
    output::line(format_args!("{label}  {}", printable(&text.to_string())))
}
