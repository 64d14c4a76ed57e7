//! The runtime of the commands, which do one thing at a time.

use write_behind::error::PipelineError;

/// Runs `work` to its end on a runtime of its own.
pub fn block_on<T>(work: impl Future<Output = Result<T, PipelineError>>) -> Result<T, PipelineError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        PipelineError::Failed(format!("the asynchronous runtime cannot start: {error}; see the limits of the system"))
    })?;
    runtime.block_on(work)
}
