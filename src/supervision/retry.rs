//! Patience within one actor: the waits between tries. The only user of the crate `backoff`.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

use crate::settings::RdbmsSettings;

/// The waits between the tries of one batch: exponential, with jitter, and limited in number.
#[derive(Debug)]
pub struct Retry {
    waits: Waits,
    tries_left: u32,
}

impl Retry {
    /// A fresh start, by `rdbms.max_retries`, `rdbms.retry_delay_sec` and their siblings.
    pub fn new(settings: &RdbmsSettings) -> Self {
        Retry {
            waits: Waits::new(
                settings.retry_delay,
                settings.retry_delay_max,
                settings.retry_multiplier,
                settings.retry_jitter,
            ),
            tries_left: settings.max_retries,
        }
    }

    /// How long to wait before the next try; `None` when they are used up.
    pub fn next_wait(&mut self) -> Option<Duration> {
        self.tries_left = self.tries_left.checked_sub(1)?;
        self.waits.next()
    }
}

/// Waits from a first to a longest one. They never end by themselves.
#[derive(Debug)]
pub struct Waits(ExponentialBackoff);

impl Waits {
    /// Waits from `first` to `most`, each `multiplier` times the one before, varied by `jitter` (0 to 1) at random.
    pub fn new(first: Duration, most: Duration, multiplier: f64, jitter: f64) -> Self {
        Waits(ExponentialBackoff {
            current_interval: first,
            initial_interval: first,
            randomization_factor: jitter,
            multiplier,
            max_interval: most,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        })
    }
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next_backoff()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_vary_within_the_jitter() {
        let waits = Waits::new(Duration::from_secs(2), Duration::from_secs(30), 2.0, 0.5);
        for (base, wait) in [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0].into_iter().zip(waits) {
            let wait = wait.as_secs_f64();
            assert!((base * 0.5..=base * 1.5).contains(&wait), "{wait} around {base}");
        }
    }
}
