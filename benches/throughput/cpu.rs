//! What processes spent, as the kernel counts it.

use std::collections::HashMap;
use std::fs;
use std::ops::Sub;

/// Ticks of the kernel's accounts in a second: 100 for all programs, whatever the kernel itself uses.
const TICKS_PER_SECOND: f64 = 100.0;

/// The processes of one run.
pub struct Processes {
    pub pipeline: Option<u32>,
    pub redis: u32,
    /// Not there for SQLite, which is in the process that uses it.
    pub database: Option<u32>,
}

/// Seconds of CPU, of the user's and the kernel's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    pub pipeline: f64,
    pub redis: f64,
    pub database: f64,
}

impl Processes {
    /// All that they spent until now.
    pub fn spent(&self) -> Cpu {
        let all = accounts();
        let spent = |process: Option<u32>| process.map_or(0.0, |pid| family(&all, pid));
        Cpu { pipeline: spent(self.pipeline), redis: spent(Some(self.redis)), database: spent(self.database) }
    }
}

impl Sub for Cpu {
    type Output = Cpu;

    fn sub(self, before: Cpu) -> Cpu {
        Cpu {
            pipeline: self.pipeline - before.pipeline,
            redis: self.redis - before.redis,
            database: self.database - before.database,
        }
    }
}

/// What this process and all servers that it started spent until now: while a limit runs, that is the limit's.
pub fn spent_by_all() -> f64 {
    family(&accounts(), std::process::id())
}

/// The most memory that a process ever had resident, in MiB.
pub fn peak_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}

struct Account {
    parent: u32,
    /// Its own ticks and those of its children that have ended: no child of a server's is lost, whenever it ends.
    ticks: u64,
}

fn accounts() -> HashMap<u32, Account> {
    let processes = fs::read_dir("/proc").expect("/proc is mounted").filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The command before it is in parentheses and may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Some((pid, Account { parent: fields.get(1)?.parse().ok()?, ticks }))
    });
    processes.collect()
}

fn family(all: &HashMap<u32, Account>, of: u32) -> f64 {
    let is_member = |pid: u32| {
        let mut next = Some(pid);
        while let Some(pid) = next {
            if pid == of {
                return true;
            }
            next = all.get(&pid).map(|account| account.parent);
        }
        false
    };
    let ticks: u64 = all.iter().filter(|(pid, _)| is_member(**pid)).map(|(_, account)| account.ticks).sum();
    ticks as f64 / TICKS_PER_SECOND
}
