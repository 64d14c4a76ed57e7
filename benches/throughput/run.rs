//! One run of the pipeline over a backlog: from the moment at which the stream is there until all of it is committed.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::cpu::{self, Cpu, Processes};
use crate::load::{self, Loaded};
use crate::observer::Observer;
use crate::place::{Fresh, Place};
use crate::support::pipeline::PipelineProcess;
use crate::work::{Mode, Way, Work};

/// Without an end for this long something is wrong.
const DEADLINE: Duration = Duration::from_secs(180);

/// Shortest and longest time between two looks at the checkpoint.
const POLL: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(25)];

/// How a run went.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub took: Duration,
    pub cpu: Cpu,
    pub peak_mib: f64,
}

/// A pipeline at work, and the checkpoint that it moves.
pub struct Started {
    pub process: PipelineProcess,
    pub observer: Observer,
    /// `app.name`: one that no run had before begins at the beginning.
    pub name: String,
}

/// Carries the loaded work to the fresh tables.
pub async fn run(place: &Place, fresh: &Fresh<'_>, loaded: &[Loaded]) -> Run {
    let works: Vec<Work> = loaded.iter().map(|loaded| loaded.work().clone()).collect();
    let events = works.iter().map(|work| work.events).sum();
    let mut redis = place.connection();
    let mut started = start(place, fresh, &works).await;
    let processes = Processes {
        pipeline: Some(started.process.pid()),
        redis: place.redis.pid(),
        database: place.database_pid(fresh.database().kind()),
    };
    let before = processes.spent();
    let began = Instant::now();
    load::put_in_place(&mut redis, loaded).await;
    let took = committed(&mut started, events, began).await;
    let cpu = processes.spent() - before;
    let peak_mib = cpu::peak_mib(started.process.pid());
    stop(started).await;
    load::take_away(&mut redis, loaded).await;
    Run { took, cpu, peak_mib }
}

/// Starts a pipeline and waits until it waits for its streams.
pub async fn start(place: &Place, fresh: &Fresh<'_>, works: &[Work]) -> Started {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let name = format!("bench-{}", RUNS.fetch_add(1, Ordering::Relaxed));
    let process = PipelineProcess::start(&settings(place, fresh, works, &name), &["run"]);
    let (mut redis, began) = (place.connection(), Instant::now());
    while load::waiting(&mut redis).await < works.len() {
        assert!(process.is_running() && began.elapsed() < DEADLINE, "it does not read: {}", process.stderr());
        sleep(POLL[1]).await;
    }
    let observer = Observer::new(fresh.database()).await;
    Started { process, observer, name }
}

/// Has it drain.
pub async fn stop(started: Started) {
    let Started { process, .. } = started;
    process.terminate();
    assert_eq!(process.wait_exit(DEADLINE).await, Some(0), "{}", process.stderr());
}

/// Waits until all events are committed; returns how long that took.
async fn committed(started: &mut Started, events: u64, began: Instant) -> Duration {
    loop {
        let applied = started.observer.applied(&started.name).await;
        let took = began.elapsed();
        if applied >= events {
            return took;
        }
        assert!(took < DEADLINE, "{applied} of {events} are committed: {}", started.process.stderr());
        // Often only when the end is near: looking costs the database time.
        let left = took.mul_f64((events - applied) as f64 / applied.max(1) as f64);
        sleep((left / 4).clamp(POLL[0], POLL[1])).await;
    }
}

/// Defaults, apart from what the work asks for.
fn settings(place: &Place, fresh: &Fresh<'_>, works: &[Work], name: &str) -> String {
    let redis = format!("redis:\n  host: 127.0.0.1\n  port: {}\n", place.redis.port());
    let streams = works.iter().map(|work| {
        let document = match work.way {
            Way::Inline => "inline",
            Way::Ref => "json",
        };
        let mode = match work.mode {
            Mode::Append => "append",
            Mode::Upsert => "upsert",
        };
        let columns = work.columns.iter().map(|column| format!(", {}: {}", column.name, column.member));
        format!(
            "  {}:\n    stream_name: {}\n    table: {}\n    mode: {mode}\n    key: [id]\n    document: {document}\n    \
             columns: {{id: $key{}}}\n",
            work.entity(),
            work.stream(),
            work.table(),
            columns.collect::<String>()
        )
    });
    let streams: String = streams.collect();
    format!("{redis}{}app:\n  name: {name}\nstreams:\n{streams}", fresh.database().settings_yaml())
}
