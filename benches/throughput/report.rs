//! What was measured: everything that the table, the JSON and the plots are made of.

use serde::Serialize;

use crate::latency::Latency;

/// All of it.
#[derive(Serialize)]
pub struct Report {
    pub machine: Machine,
    /// What is asked of the pipeline, and by which limit.
    pub reach: Vec<Line>,
    /// How the cost grows with the length of the backlog.
    pub backlog: Vec<Line>,
    /// With the number of columns.
    pub columns: Vec<Line>,
    /// With the number of streams.
    pub streams: Vec<Line>,
    pub latency: Vec<Latency>,
    pub verdicts: Vec<Verdict>,
    /// How long all of it took.
    pub seconds: f64,
}

/// Where it was measured.
#[derive(Serialize)]
pub struct Machine {
    pub date: String,
    pub commit: String,
    pub cpu: String,
    pub cores: usize,
    pub memory_gib: f64,
    /// How many wanted a core in the last minute before: what else was going on.
    pub load: f64,
    /// Names and versions.
    pub servers: Vec<(&'static str, String)>,
}

/// Limit and pipeline in turn on the same work.
#[derive(Clone, Serialize)]
pub struct Line {
    pub name: String,
    pub limit_name: &'static str,
    /// The events, columns or streams by which lines of a kind differ.
    pub x: u64,
    pub events: u64,
    /// Rows/s.
    pub limit: Spread,
    /// Events/s.
    pub pipeline: Spread,
    /// Pipeline to limit in the same round.
    pub ratio: Spread,
    /// Seconds of CPU: medians. The limit's is that of its client and its server together.
    pub cpu_limit: f64,
    pub cpu_pipeline: f64,
    pub cpu_redis: f64,
    /// Nothing for SQLite, which is in the pipeline's process.
    pub cpu_database: Option<f64>,
    /// The most that any round had.
    pub peak_mib: f64,
    pub at_least: Option<f64>,
    pub aim: Option<f64>,
}

/// Several rounds.
#[derive(Clone, Copy, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

/// Whether something that was asked for is so.
#[derive(Serialize)]
pub struct Verdict {
    pub what: String,
    pub found: String,
    pub holds: bool,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (values[0], values[values.len() - 1]);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Spread { median: (low + high) / 2.0, min, max }
    }
}

impl Line {
    /// Microseconds of the pipeline's CPU for one event.
    pub fn us_per_event(&self) -> f64 {
        self.cpu_pipeline * 1e6 / self.events as f64
    }
}

/// What the figures say about everything that was asked for beside the ratios.
pub fn verdicts(report: &Report) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut verdict = |what: &str, found: String, holds| verdicts.push(Verdict { what: what.into(), found, holds });
    if let Some(million) = report.backlog.iter().find(|line| line.x == 1_000_000) {
        let (pipeline, redis) = (million.cpu_pipeline, million.cpu_redis);
        verdict(
            "pipeline: at most 2.0 s of CPU on 1,000,000 inline events",
            format!("{pipeline:.2} s"),
            pipeline <= 2.0,
        );
        verdict("Redis: at most 1.2 s of CPU on 1,000,000 inline events", format!("{redis:.2} s"), redis <= 1.2);
    }
    let all = [&report.reach, &report.backlog, &report.columns, &report.streams];
    let peak = all.into_iter().flatten().map(|line| line.peak_mib).fold(0.0, f64::max);
    if peak > 0.0 {
        verdict("memory: under 100 MiB resident in every run", format!("{peak:.0} MiB"), peak < 100.0);
    }
    let throughput = |events| report.backlog.iter().find(|line| line.x == events).map(|line| line.pipeline.median);
    if let (Some(few), Some(many)) = (throughput(200_000), throughput(2_000_000)) {
        let change = many / few - 1.0;
        let found = format!("{:+.1} %", change * 100.0);
        verdict("throughput: within 10 % between 200,000 and 2,000,000 entries", found, change.abs() <= 0.1);
    }
    if let Some(latency) = report.latency.iter().find(|latency| latency.database == "postgres") {
        let found = format!("p50 {:.1} ms, p99 {:.1} ms", latency.p50, latency.p99);
        let holds = latency.p50 < 15.0 && latency.p99 < 60.0;
        verdict("latency on PostgreSQL: p50 under 15 ms, p99 under 60 ms", found, holds);
    }
    verdicts
}
