//! End to end, against real servers and with the durability that they have as installed: how near the pipeline comes to
//! what a good client reaches that only writes the same rows.
//!
//! `make bench`, or `cargo bench --bench throughput -- --help`.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod cpu;
mod latency;
mod limits;
mod load;
mod machine;
mod measure;
mod observer;
mod place;
mod plot;
mod report;
mod run;
#[path = "../../tests/integration/support/mod.rs"]
#[allow(dead_code, reason = "the harness offers more than a benchmark needs")]
mod support;
mod table;
mod tasks;
mod verify;
mod work;

use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;

use crate::measure::told;
use crate::place::Place;
use crate::report::Report;

/// Measures the pipeline against what a good client reaches, on servers of its own.
#[derive(Parser)]
struct Args {
    /// Only what the ratios are asked for, with fewer rounds.
    #[arg(long)]
    quick: bool,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Rounds of each ratio; by default 5, or 3 with --quick.
    #[arg(long)]
    rounds: Option<usize>,
    /// Only what has this in its name, for instance postgres, append, backlog, latency.
    #[arg(long, default_value = "")]
    only: String,
    /// Draws benchmark.svg in this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with = "quick")]
    plots: Option<PathBuf>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    if !args.bench {
        // `cargo test --benches` runs it too.
        told("not run: it takes minutes, and an optimised build; use `cargo bench --bench throughput`");
        return;
    }
    let began = Instant::now();
    let place = Place::new().await;
    let rounds = args.rounds.unwrap_or(if args.quick { 3 } else { 5 }).max(1);
    let chosen =
        |tasks: Vec<measure::Task>| tasks.into_iter().filter(|task| task.name.contains(&args.only)).collect::<Vec<_>>();
    let mut report = Report {
        machine: machine::describe(&place).await,
        reach: measure::measure(&place, chosen(tasks::reach()), rounds).await,
        backlog: Vec::new(),
        columns: Vec::new(),
        streams: Vec::new(),
        latency: Vec::new(),
        verdicts: Vec::new(),
        seconds: 0.0,
    };
    if !args.quick {
        let rounds = rounds.min(3);
        report.backlog = measure::measure(&place, chosen(tasks::backlog()), rounds).await;
        report.columns = measure::measure(&place, chosen(tasks::columns()), rounds).await;
        report.streams = measure::measure(&place, chosen(tasks::streams()), rounds).await;
    }
    for (name, kind, seconds) in tasks::latency(args.quick) {
        if name.contains(&args.only) {
            told(&name);
            report.latency.push(latency::measure(&place, kind, seconds).await);
        }
    }
    report.verdicts = report::verdicts(&report);
    report.seconds = began.elapsed().as_secs_f64();
    if let Some(folder) = &args.plots {
        plot::draw(&report, folder).expect("the plot is written");
    }
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report).expect("a report is JSON")),
        false => print!("{}", table::text(&report)),
    }
}
