//! The wish to stop, passed from the signals to whoever works.

use std::sync::Arc;

use tokio::sync::watch;

/// Whether the demo has been asked to stop. Clones are one wish.
#[derive(Clone)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    /// Not asked yet.
    pub fn new() -> Stop {
        Stop(Arc::new(watch::Sender::new(false)))
    }

    /// Asks.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Whether it has been asked.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it has been asked.
    pub async fn asked(&self) {
        // It cannot fail: the sender is borrowed as long as this waits.
        drop(self.0.subscribe().wait_for(|asked| *asked).await);
    }
}
