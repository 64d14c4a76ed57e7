//! How long an event takes from `XADD` to its commit, while events come in steadily.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use redis::Pipeline;
use redis::aio::MultiplexedConnection;
use serde::Serialize;
use tokio::time::sleep;

use crate::load;
use crate::place::Place;
use crate::run::{self, Started};
use crate::support::database::Kind;
use crate::verify;
use crate::work::{Mode, Way, Work};

/// Events of a second.
pub const RATE: u64 = 5_000;

/// The first ones are not counted: connections are opened and statements prepared with them.
const WARM_UP: u64 = RATE;

/// Between two bursts, and between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// Without an end for this long something is wrong.
const DEADLINE: Duration = Duration::from_secs(120);

/// Latencies in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    pub database: &'static str,
    pub events: u64,
    /// What the producer kept, in events/s.
    pub rate: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
    /// The distribution: milliseconds, and the share of the events that took no longer.
    pub distribution: Vec<(f64, f64)>,
}

/// When each event was sent.
type Sent = RefCell<Vec<Instant>>;

/// Measures for that many seconds.
pub async fn measure(place: &Place, kind: Kind, seconds: u64) -> Latency {
    let works = [Work::user_actions(Way::Inline, Mode::Append, WARM_UP + RATE * seconds)];
    let [work] = &works;
    let mut redis = place.connection();
    load::clear(&mut redis).await;
    let fresh = place.fresh(kind, &works).await;
    let mut started = run::start(place, &fresh, &works).await;
    let sent = Sent::default();
    let (rate, latencies) = tokio::join!(produce(&mut redis, work, &sent), observe(&mut started, work, &sent));
    run::stop(started).await;
    verify::check(&fresh, work, verify::expected(work)).await;
    load::clear(&mut redis).await;
    let ms = |share: f64| latencies.value_at_quantile(share) as f64 / 1_000.0;
    let steps = latencies.iter_quantiles(20).map(|step| (step.value_iterated_to() as f64 / 1_000.0, step.quantile()));
    Latency {
        database: kind.name(),
        events: latencies.len(),
        rate,
        p50: ms(0.5),
        p90: ms(0.9),
        p99: ms(0.99),
        max: latencies.max() as f64 / 1_000.0,
        distribution: steps.collect(),
    }
}

/// Adds events at the rate, whatever becomes of them; returns the rate that was kept.
async fn produce(redis: &mut MultiplexedConnection, work: &Work, sent: &Sent) -> f64 {
    let (began, stream) = (Instant::now(), work.stream());
    let mut next = work.first;
    while next < work.numbers().end {
        let due = (began.elapsed().as_secs_f64() * RATE as f64) as u64;
        let burst = next..work.numbers().end.min(work.first + due).max(next);
        let mut pipe = Pipeline::new();
        for number in burst.clone() {
            load::add(&mut pipe, work, &stream, number);
        }
        if !burst.is_empty() {
            next = burst.end;
            sent.borrow_mut().resize((next - work.first) as usize, Instant::now());
            pipe.query_async::<()>(redis).await.expect("Redis takes the entries");
        }
        sleep(PAUSE).await;
    }
    work.events as f64 / began.elapsed().as_secs_f64()
}

/// Looks again and again at how far the checkpoint is: an event was committed before it is seen to be.
async fn observe(started: &mut Started, work: &Work, sent: &Sent) -> Histogram<u64> {
    let mut latencies = Histogram::new(3).expect("three digits");
    let (began, mut seen) = (Instant::now(), 0);
    while seen < work.events {
        let applied = started.observer.applied(&started.name).await;
        let now = Instant::now();
        for sent in &sent.borrow()[seen as usize..applied as usize] {
            if seen >= WARM_UP {
                let took = now.duration_since(*sent).as_micros();
                latencies.record(u64::try_from(took).unwrap_or(u64::MAX)).expect("it resizes itself");
            }
            seen += 1;
        }
        assert!(began.elapsed() < DEADLINE, "{seen} of {} are committed: {}", work.events, started.process.stderr());
        sleep(PAUSE).await;
    }
    latencies
}
