//! Waiting for what is going to be true.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Asks again and again until the answer is `Ok`, and returns that; panics with the last `Err` at the deadline, also when
/// the question itself takes that long.
pub async fn eventually<T>(deadline: Duration, what: &str, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + deadline;
    let mut pause = FIRST_PAUSE;
    let mut last = "no answer yet".to_owned();
    loop {
        match timeout(end.saturating_duration_since(Instant::now()), probe()).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(reason)) => last = reason,
            Err(_) => panic!("{what}: not within {deadline:?}; the last probe did not return; before: {last}"),
        }
        assert!(Instant::now() + pause < end, "{what}: not within {deadline:?}: {last}");
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
