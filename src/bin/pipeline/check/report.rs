//! What `pipeline check` found, and what it comes to.

use std::fmt::Display;

use serde::Serialize;
use write_behind::error::PipelineError;

use crate::output::{self, printable};

/// Gathers what is found; tells it at once, a line each, or in the end as one JSON object.
pub struct Report {
    json: bool,
    findings: Vec<Finding>,
    configuration: usize,
    other: usize,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// As it must be.
    Ok,
    /// No fault, but good to know.
    Note,
    /// It runs, but data is in danger.
    Warning,
    /// It keeps the pipeline from running.
    Wrong,
}

#[derive(Serialize)]
struct Finding {
    level: Level,
    /// The setting that it is about, where there is one.
    setting: Option<String>,
    text: String,
}

#[derive(Serialize)]
struct Object<'a> {
    wrong: usize,
    warnings: usize,
    findings: &'a [Finding],
}

impl Report {
    /// A report of lines, or of one JSON object.
    pub fn new(json: bool) -> Self {
        Report { json, findings: Vec::new(), configuration: 0, other: 0 }
    }

    /// Something is as it must be.
    pub fn ok(&mut self, text: impl Display) -> Result<(), PipelineError> {
        self.tell(Level::Ok, text)
    }

    /// Something that is no fault, but good to know.
    pub fn note(&mut self, text: impl Display) -> Result<(), PipelineError> {
        self.tell(Level::Note, text)
    }

    /// Something that works, and endangers data.
    pub fn warning(&mut self, text: impl Display) -> Result<(), PipelineError> {
        self.tell(Level::Warning, text)
    }

    /// Something keeps the pipeline from running.
    pub fn wrong(&mut self, error: &PipelineError) -> Result<(), PipelineError> {
        match error {
            PipelineError::Configuration(_) => self.configuration += 1,
            _ => self.other += 1,
        }
        error.to_string().lines().try_for_each(|line| self.tell(Level::Wrong, line))
    }

    /// What it comes to. Waiting may mend a server that cannot be reached, but not the settings: they count more.
    pub fn verdict(self) -> Result<(), PipelineError> {
        if self.json {
            let count = |level| self.findings.iter().filter(|finding| finding.level == level).count();
            let (wrong, warnings) = (count(Level::Wrong), count(Level::Warning));
            let object = Object { wrong, warnings, findings: &self.findings };
            let text = serde_json::to_string(&object);
            output::line(text.map_err(|error| PipelineError::Failed(format!("the report is no JSON: {error}")))?)?;
        }
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

    fn tell(&mut self, level: Level, text: impl Display) -> Result<(), PipelineError> {
        let text = text.to_string();
        if self.json {
            self.findings.push(Finding { level, setting: setting_of(&text), text });
            return Ok(());
        }
        let label = match level {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Wrong => "wrong",
        };
        output::line(format_args!("{label}  {}", printable(&text)))
    }
}

/// The setting that a text begins with.
fn setting_of(text: &str) -> Option<String> {
    let (setting, _) = text.split_once(": ")?;
    (setting.contains('.') && !setting.contains(' ')).then(|| setting.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_what_stands_before_the_colon() {
        let setting = |text| setting_of(text);
        assert_eq!(setting("streams.a.columns.b: is wrong: so"), Some("streams.a.columns.b".to_owned()));
        assert_eq!(setting("redis at 127.0.0.1:6379: 7.2"), None);
        assert_eq!(setting("bookkeeping tables"), None);
        assert_eq!(setting("stream order: checkpoint 1-0"), None);
    }
}
