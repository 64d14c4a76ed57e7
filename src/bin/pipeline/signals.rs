//! SIGTERM and SIGINT: the first asks for a clean end, the second ends at once.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use write_behind::error::PipelineError;

/// Exit code after a second signal, as a shell gives it for SIGINT.
const SECOND_SIGNAL: i32 = 130;

/// What comes so soon after the first signal is the same: GNU `timeout` and some terminals signal a process, and then its group.
const SAME_SIGNAL: Duration = Duration::from_millis(500);

/// Both signals, caught from now on.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches the signals. Needs a tokio runtime.
    pub fn catch() -> Result<Signals, PipelineError> {
        let catch = |kind| {
            signal(kind).map_err(|error| {
                PipelineError::Failed(format!("SIGTERM and SIGINT cannot be caught: {error}; see the system's limits"))
            })
        };
        Ok(Signals { terminate: catch(SignalKind::terminate())?, interrupt: catch(SignalKind::interrupt())? })
    }

    /// Runs `work` to its end. The first signal calls `first`, which asks the work to end; the next one, unless it comes at
    /// once, calls `second` and ends the process.
    pub async fn during<T>(mut self, work: impl Future<Output = T>, first: impl Fn(), second: impl Fn()) -> T {
        let mut work = pin!(work);
        let mut asked: Option<Instant> = None;
        loop {
            tokio::select! {
                outcome = &mut work => return outcome,
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            match asked {
                Some(asked) if asked.elapsed() < SAME_SIGNAL => {}
                Some(_) => {
                    second();
                    std::process::exit(SECOND_SIGNAL);
                }
                None => {
                    asked = Some(Instant::now());
                    first();
                }
            }
        }
    }
}
