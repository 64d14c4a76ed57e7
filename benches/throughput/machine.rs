//! On what, and of what, the measurement was made.

use std::fs;
use std::process::Command;

use chrono::{SecondsFormat, Utc};

use crate::load;
use crate::place::Place;
use crate::report::Machine;

/// This machine and its servers.
pub async fn describe(place: &Place) -> Machine {
    let postgres = place.postgres.admin("postgres", "SHOW server_version");
    let mariadb = place.mariadb.admin("SELECT version()");
    Machine {
        date: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
        commit: commit().unwrap_or_else(|| "unknown".to_owned()),
        cpu: line_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown CPU".to_owned()),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_gib: memory_gib().unwrap_or(0.0),
        load: load().unwrap_or(0.0),
        servers: vec![
            ("Redis", load::version(&mut place.connection()).await),
            ("PostgreSQL", first_word(&postgres)),
            ("MariaDB", first_word(&mariadb)),
            ("SQLite", rusqlite::version().to_owned()),
        ],
    }
}

fn commit() -> Option<String> {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--abbrev=10"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = git.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn memory_gib() -> Option<f64> {
    let kib: f64 = line_of("/proc/meminfo", "MemTotal")?.trim_end_matches(" kB").parse().ok()?;
    Some(kib / 1_048_576.0)
}

fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// The value of a line `NAME: VALUE`.
fn line_of(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}
