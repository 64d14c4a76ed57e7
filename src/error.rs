//! How the process ends: errors that a person reads, and the exit code each of them means.

/// An error that ends a command. The text says what happened and what to do.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// Settings, credentials, tables or rights are not as they must be; trying again will not help. Exit code 78.
    #[error("{0}")]
    Configuration(String),
    /// Redis or the database could not be reached in time. Exit code 69.
    #[error("{0}")]
    Unavailable(String),
    /// The supervisor gave up: more restarts than `supervisor.max_restarts`. Exit code 70.
    #[error("{0}")]
    GaveUp(String),
    /// What was promised does not hold, for instance the demo found a difference. Exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl PipelineError {
    /// The process's exit code, after `sysexits.h`.
    pub fn exit_code(&self) -> u8 {
        match self {
            PipelineError::Failed(_) => 1,
            PipelineError::Unavailable(_) => 69,
            PipelineError::GaveUp(_) => 70,
            PipelineError::Configuration(_) => 78,
        }
    }
}
