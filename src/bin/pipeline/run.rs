//! `pipeline run`: write behind until a signal comes.

use std::time::Duration;

use slog::{Logger, info, warn};
use write_behind::error::PipelineError;
use write_behind::pipeline::Pipeline;
use write_behind::settings::Settings;

use crate::runtime::block_on;
use crate::signals::Signals;

/// Runs the pipeline until it ends, or until SIGTERM or SIGINT has drained it. A second signal ends it at once.
pub fn run(settings: Settings, log: Logger) -> Result<(), PipelineError> {
    block_on(async {
        let signals = Signals::catch()?;
        let pipeline = Pipeline::start(settings, log.clone())?;
        let stop = pipeline.stopper();
        let drain = || {
            info!(log, "signal received: draining; a second one ends at once");
            stop.stop();
        };
        let give_up = || {
            warn!(log, "second signal: ending at once; what is not committed stays in Redis");
            // The log is written by a thread of its own; an exit does not wait for it.
            std::thread::sleep(Duration::from_millis(50));
        };
        let ended = tokio::task::spawn_blocking(move || pipeline.wait());
        let outcome = signals.during(ended, drain, give_up).await;
        outcome.unwrap_or_else(|_| Err(PipelineError::GaveUp("waiting for the pipeline failed: see its log".into())))
    })
}
