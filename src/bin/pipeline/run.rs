//! `pipeline run`: write behind until a signal comes.

use slog::{Logger, info, warn};
use tokio::signal::unix::{SignalKind, signal};
use write_behind::error::PipelineError;
use write_behind::pipeline::Pipeline;
use write_behind::settings::Settings;

/// Runs the pipeline until it ends, or until SIGTERM or SIGINT has drained it. A second signal ends it at once.
pub fn run(settings: Settings, log: Logger) -> Result<(), PipelineError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| PipelineError::Failed(format!("no runtime for signals: {error}")))?;
    runtime.block_on(async {
        let no_signals = |error| PipelineError::Failed(format!("signals cannot be caught: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        let pipeline = Pipeline::start(settings, log.clone())?;
        let stop = pipeline.stopper();
        let mut ended = tokio::task::spawn_blocking(move || pipeline.wait());
        let mut asked = false;
        loop {
            tokio::select! {
                outcome = &mut ended => {
                    return outcome.unwrap_or_else(|_| Err(PipelineError::GaveUp("waiting for the pipeline failed".into())));
                }
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked {
                warn!(log, "second signal: ending at once; what is not committed stays in Redis");
                // The log is written by a thread of its own; an exit does not wait for it.
                std::thread::sleep(std::time::Duration::from_millis(50));
                std::process::exit(130);
            }
            asked = true;
            info!(log, "signal received: draining; a second one ends at once");
            stop.stop();
        }
    })
}
