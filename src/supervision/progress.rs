//! Liveness is progress: an actor that works says so, and one that is busy and silent for too long is hung.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shared by an actor, which marks its work, and the supervisor, which looks at it. Never a message: a busy actor
/// hears none.
#[derive(Clone, Debug)]
pub struct Progress {
    origin: Instant,
    /// Milliseconds after `origin` of the last sign of progress, plus 1; 0 while idle.
    last_sign: Arc<AtomicU64>,
}

impl Default for Progress {
    fn default() -> Self {
        Progress { origin: Instant::now(), last_sign: Arc::default() }
    }
}

impl Progress {
    /// Work begins or goes on.
    pub fn working(&self) {
        let now = self.origin.elapsed().as_millis() as u64;
        self.last_sign.store(now + 1, Ordering::Relaxed);
    }

    /// Nothing to do.
    pub fn idle(&self) {
        self.last_sign.store(0, Ordering::Relaxed);
    }

    /// How long the actor has been busy without a sign of progress; `None` while it is idle.
    pub fn silent_for(&self) -> Option<Duration> {
        match self.last_sign.load(Ordering::Relaxed) {
            0 => None,
            sign => Some(self.origin.elapsed().saturating_sub(Duration::from_millis(sign - 1))),
        }
    }
}
