//! What a write that failed means for the command that wanted it.

use write_behind::error::PipelineError;
use write_behind::stream::write::ProduceError;

/// The error that ends the command.
pub fn of_write(error: ProduceError) -> PipelineError {
    let text = error.to_string();
    match error {
        ProduceError::UnknownEntity { .. } | ProduceError::Configuration(_) | ProduceError::NoWaitAof { .. } => {
            PipelineError::Configuration(text)
        }
        ProduceError::Unavailable { failure, .. } | ProduceError::Refused { failure, .. } if failure.is_transient() => {
            PipelineError::Unavailable(text)
        }
        ProduceError::Unavailable { .. } | ProduceError::Refused { .. } => PipelineError::Configuration(text),
        ProduceError::Document { .. }
        | ProduceError::Unanswered { .. }
        | ProduceError::Partial { .. }
        | ProduceError::NotDurable { .. } => PipelineError::Failed(text),
    }
}
