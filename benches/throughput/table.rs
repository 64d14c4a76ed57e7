//! The report as text.

use std::fmt::Write;

use crate::latency::RATE;
use crate::report::{Line, Report, Spread};

/// The whole of it.
pub fn text(report: &Report) -> String {
    let mut text = head(report);
    lines(&mut text, "Reach", &report.reach);
    lines(&mut text, "Length of the backlog", &report.backlog);
    lines(&mut text, "Columns beside the key", &report.columns);
    lines(&mut text, "Streams, each with its table", &report.streams);
    latencies(&mut text, report);
    verdicts(&mut text, report);
    text
}

fn head(report: &Report) -> String {
    let machine = &report.machine;
    let servers: Vec<String> = machine.servers.iter().map(|(name, version)| format!("{name} {version}")).collect();
    format!(
        "{}, commit {}\n{}, {} cores, {:.0} GiB, load before {:.1}; {}\n\
         Rates are medians, [least-most]; ratios are of the pipeline to the limit of the same round; CPU in seconds:\n\
         of the limit's client and server, then of the pipeline, Redis and the database, and the pipeline's for one event.\n\
         Every table was verified by count and checksum. All of it took {:.0} s.\n",
        machine.date,
        machine.commit,
        machine.cpu,
        machine.cores,
        machine.memory_gib,
        machine.load,
        servers.join(", "),
        report.seconds
    )
}

fn lines(text: &mut String, title: &str, lines: &[Line]) {
    const HEAD: [&str; 14] = [
        "",
        "events",
        "limit rows/s",
        "events/s",
        "ratio",
        "at least",
        "aim",
        "CPU limit",
        "pipeline",
        "us/event",
        "Redis",
        "database",
        "peak MiB",
        "limit",
    ];
    if lines.is_empty() {
        return;
    }
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    rows[0][0] = title.to_owned();
    for line in lines {
        let mark = |bar: Option<f64>| {
            bar.map_or(String::new(), |bar| {
                format!("{bar:.2} {}", if line.ratio.median >= bar { "reached" } else { "missed" })
            })
        };
        rows.push(vec![
            line.name.clone(),
            grouped(line.events as f64),
            rates(line.limit),
            rates(line.pipeline),
            format!("{:.2} [{:.2}-{:.2}]", line.ratio.median, line.ratio.min, line.ratio.max),
            mark(line.at_least),
            mark(line.aim),
            format!("{:.2}", line.cpu_limit),
            format!("{:.2}", line.cpu_pipeline),
            format!("{:.2}", line.us_per_event()),
            format!("{:.2}", line.cpu_redis),
            line.cpu_database.map_or("in pipeline".to_owned(), |cpu| format!("{cpu:.2}")),
            format!("{:.0}", line.peak_mib),
            line.limit_name.to_owned(),
        ]);
    }
    aligned(text, &rows);
}

fn latencies(text: &mut String, report: &Report) {
    const HEAD: [&str; 7] = ["", "events", "kept events/s", "p50 ms", "p90 ms", "p99 ms", "max ms"];
    if report.latency.is_empty() {
        return;
    }
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    rows[0][0] = format!("From XADD to commit at {} events/s", grouped(RATE as f64));
    for latency in &report.latency {
        let mut row = vec![latency.database.to_owned(), grouped(latency.events as f64), grouped(latency.rate)];
        row.extend([latency.p50, latency.p90, latency.p99, latency.max].map(|ms| format!("{ms:.1}")));
        rows.push(row);
    }
    aligned(text, &rows);
}

fn verdicts(text: &mut String, report: &Report) {
    if report.verdicts.is_empty() {
        return;
    }
    let row = |verdict: &crate::report::Verdict| {
        vec![verdict.what.clone(), verdict.found.clone(), if verdict.holds { "reached" } else { "missed" }.to_owned()]
    };
    let head = ["Beside that", "found", ""].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(report.verdicts.iter().map(row)).collect();
    aligned(text, &rows);
}

/// Appends rows under each other; the first and the last column to the left, the others to the right.
fn aligned(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows[0].len();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    text.push('\n');
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let written = match column {
                0 => write!(line, "{cell:<width$}"),
                _ if column == columns - 1 => write!(line, "  {cell}"),
                _ => write!(line, "  {cell:>width$}"),
            };
            written.expect("a text takes all");
        }
        *text += line.trim_end();
        text.push('\n');
    }
}

fn rates(spread: Spread) -> String {
    format!("{} [{:.0}k-{:.0}k]", grouped(spread.median), spread.min / 1_000.0, spread.max / 1_000.0)
}

/// `1,234,567`
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
