//! What is wrong with the settings: collected, so that all of it can be told at once.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use crate::error::PipelineError;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Full name of the setting, such as `redis.port`; the file or the variable if it is about one of those.
    pub setting: String,
    /// What is wrong and what would be right. Never holds a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.message)
    }
}

/// Everything that is wrong, ordered by setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(BTreeSet<Problem>);

impl Problems {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The problems, ordered by setting.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    /// One line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            let end = if i == 0 { "" } else { "\n" };
            write!(f, "{end}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Problems(BTreeSet::from([problem]))
    }
}

impl From<Problems> for PipelineError {
    fn from(problems: Problems) -> Self {
        PipelineError::Configuration(problems.to_string())
    }
}

/// Where the readers put what they find. A set, because streams share `stream_defaults` and find the same there.
#[derive(Debug, Default)]
pub(super) struct Report(RefCell<BTreeSet<Problem>>);

impl Report {
    pub(super) fn add(&self, setting: impl Into<String>, message: impl Into<String>) {
        self.0.borrow_mut().insert(Problem { setting: setting.into(), message: message.into() });
    }

    pub(super) fn into_problems(self) -> Problems {
        Problems(self.0.into_inner())
    }
}
