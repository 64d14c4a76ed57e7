//! `pipeline generate`: made-up user actions through the producer.

mod progress;

use std::time::{Duration, Instant};

use tokio::sync::watch;
use write_behind::error::PipelineError;
use write_behind::settings::Settings;
use write_behind::stream::connection::RedisClient;
use write_behind::stream::dummy;
use write_behind::stream::producer::{Producer, WRITES_PER_ROUND_TRIP};
use write_behind::stream::write::ProduceError;
use write_behind::supervision::retry::Waits;

use crate::failure::of_write;
use crate::output;
use crate::runtime::block_on;
use crate::signals::Signals;
use progress::Progress;

/// Arguments of `pipeline generate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
An event is a document {\"user_id\": \"user-0042\", \"action\": \"login\", \"timestamp\": \"2024-06-10T00:00:00.000Z\"} \
and its entry in the stream; the series is the same each time. Ctrl-C ends it after the round trip under way. The last \
line says how many events were written, how fast, and how many failed; ends with 1 if some failed.")]
pub struct GenerateArgs {
    /// Events to write
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// Events per second; without it as fast as it goes
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rate: Option<u32>,
    /// Whose documents they are: a name under `streams` in the settings
    #[arg(long, default_value = dummy::ENTITY)]
    entity: String,
}

/// What came of it so far.
#[derive(Default)]
struct Outcome {
    written: u64,
    failed: u64,
    first_failure: Option<ProduceError>,
    /// Why it ended before all events were tried.
    given_up: Option<String>,
}

/// Writes the events and says how it went.
pub fn generate(args: &GenerateArgs, settings: &Settings) -> Result<(), PipelineError> {
    let begin = Instant::now();
    let outcome = block_on(async {
        let signals = Signals::catch()?;
        let (stop, stopped) = watch::channel(false);
        let first = || {
            stop.send_replace(true);
        };
        signals.during(write_all(args, settings, stopped), first, || ()).await
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    let Outcome { written, failed, first_failure, given_up } = outcome;
    output::line(format_args!(
        "{written} events in {seconds:.1} s, {:.0} per second, {failed} failures",
        written as f64 / seconds.max(f64::MIN_POSITIVE)
    ))?;
    match (first_failure, given_up) {
        (None, _) => Ok(()),
        (Some(first), None) => Err(PipelineError::Failed(format!("{failed} events failed; the first: {first}"))),
        (Some(first), Some(why)) => {
            Err(PipelineError::Failed(format!("{failed} events failed; the first: {first}\n{why}")))
        }
    }
}

async fn write_all(
    args: &GenerateArgs,
    settings: &Settings,
    mut stopped: watch::Receiver<bool>,
) -> Result<Outcome, PipelineError> {
    let client = RedisClient::new(&settings.redis);
    let mut producer = Producer::connect(client, &settings.producer, &settings.log, &settings.streams).await?;
    let mut progress = Progress::new(args.events);
    let mut outcome = Outcome::default();
    let pace = Pace::new(args.rate);
    let mut silence = None;
    loop {
        let tried = outcome.written + outcome.failed;
        let size = pace.next_round(tried, args.events - tried);
        let before = outcome.written;
        for result in producer.insert_dummies(&args.entity, size).await {
            match result {
                Ok(_) => outcome.written += 1,
                Err(error @ (ProduceError::UnknownEntity { .. } | ProduceError::Configuration(_))) => {
                    return Err(of_write(error));
                }
                Err(error) => {
                    outcome.failed += 1;
                    outcome.first_failure.get_or_insert(error);
                }
            }
        }
        progress.now(outcome.written, outcome.failed);
        if outcome.written + outcome.failed >= args.events || *stopped.borrow() {
            return Ok(outcome);
        }
        let wait = if outcome.written > before {
            silence = None;
            pace.wait(outcome.written + outcome.failed)
        } else {
            let silence: &mut Silence = silence.get_or_insert_with(Silence::begin);
            if silence.is_too_long() {
                outcome.given_up = Some(silence.to_string());
                return Ok(outcome);
            }
            silence.wait()
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stopped.changed() => return Ok(outcome),
        }
    }
}

/// When how much is due.
struct Pace {
    begin: Instant,
    rate: Option<u32>,
}

impl Pace {
    /// At a rate a round trip holds this share of a second's events, so that they come evenly.
    const ROUNDS_PER_SECOND: u64 = 20;

    fn new(rate: Option<u32>) -> Self {
        Pace { begin: Instant::now(), rate }
    }

    /// Events of the next round trip, of which `left` are left; `tried` were in the ones before.
    fn next_round(&self, tried: u64, left: u64) -> usize {
        let most = left.min(WRITES_PER_ROUND_TRIP as u64);
        let due = match self.rate {
            None => most,
            Some(rate) => {
                let due = (self.begin.elapsed().as_secs_f64() * f64::from(rate)) as u64;
                let share = (u64::from(rate) / Self::ROUNDS_PER_SECOND).max(1);
                // What a slow round trip missed is made up for.
                most.min(due.saturating_sub(tried).max(share))
            }
        };
        due as usize
    }

    /// How long to wait until the event after `tried` is due.
    fn wait(&self, tried: u64) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let due = Duration::from_secs_f64(tried as f64 / f64::from(rate));
        due.saturating_sub(self.begin.elapsed())
    }
}

/// A time in which nothing got through: a Redis that restarts is waited for, one that is gone is not.
struct Silence {
    begin: Instant,
    waits: Waits,
}

impl Silence {
    const TOO_LONG: Duration = Duration::from_secs(15);
    const FIRST_WAIT: Duration = Duration::from_millis(50);
    const LONGEST_WAIT: Duration = Duration::from_secs(1);

    fn begin() -> Self {
        Silence { begin: Instant::now(), waits: Waits::new(Self::FIRST_WAIT, Self::LONGEST_WAIT, 2.0, 0.2) }
    }

    fn is_too_long(&self) -> bool {
        self.begin.elapsed() > Self::TOO_LONG
    }

    fn wait(&mut self) -> Duration {
        self.waits.next().unwrap_or(Self::LONGEST_WAIT)
    }
}

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.begin.elapsed().as_secs();
        write!(f, "gave up: no event got through for {seconds} s; see to Redis and start again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_in_small_rounds() {
        let pace = Pace::new(Some(1000));
        assert_eq!(pace.next_round(10, 5), 5);
        assert_eq!(pace.next_round(1_000_000, 10_000), 50);
        assert!(pace.wait(2000) > Duration::from_millis(1500));
        let slow = Pace::new(Some(1));
        assert_eq!(slow.next_round(1, 10), 1);
        assert!(slow.wait(1) > Duration::from_millis(500));
    }

    #[test]
    fn without_a_rate_rounds_are_full() {
        let pace = Pace::new(None);
        assert_eq!(pace.next_round(0, 10_000), WRITES_PER_ROUND_TRIP);
        assert_eq!(pace.next_round(9_999, 1), 1);
        assert_eq!(pace.next_round(10_000, 0), 0);
        assert_eq!(pace.wait(10_000), Duration::ZERO);
    }
}
