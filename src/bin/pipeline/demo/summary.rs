//! What the demo says in the end, on stdout.

use std::fmt::{self, Display};
use std::path::Path;
use std::time::Duration;

use indicatif::HumanCount;
use write_behind::metrics::stats::StreamStats;

use super::carry::Carried;
use super::compare::Comparison;
use super::counters::Counters;
use super::folder::DemoFolder;

/// Everything that was measured and compared.
pub struct Summary<'a> {
    /// What was inserted, and how long it took.
    pub carried: Carried,
    /// Entries of an earlier run that were written behind as well.
    pub backlog: u64,
    /// What the pipeline did.
    pub stats: &'a StreamStats,
    /// The counters in Redis.
    pub counters: &'a Counters,
    /// Redis and SQLite, side by side.
    pub comparison: &'a Comparison,
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Carried { inserted, inserting, writing } = self.carried;
        let written = inserted + self.backlog;
        let (lag, totals) = (&self.stats.lag_ms, self.stats.totals);
        writeln!(f)?;
        line(f, "events", &format!("{} in {:.1} s", HumanCount(written), writing.as_secs_f64()))?;
        line(f, "inserted", &format!("{} events/s", per_second(inserted, inserting)))?;
        line(f, "written behind", &format!("{} events/s", per_second(written, writing)))?;
        line(f, "transactions", &self.transactions())?;
        if totals.dead_lettered + totals.skipped > 0 {
            let (dead, skipped) = (HumanCount(totals.dead_lettered), HumanCount(totals.skipped));
            line(f, "not written", &format!("{dead} became dead letters, {skipped} were passed over"))?;
        }
        let at = |quantile| HumanCount(lag.value_at_quantile(quantile));
        line(f, "lag", &format!("p50 {} ms, p99 {} ms (from XADD to COMMIT)", at(0.5), at(0.99)))?;
        writeln!(f)?;
        for counter in self.counters.lines() {
            writeln!(f, "  {counter}")?;
        }
        writeln!(f)?;
        write!(f, "  {}", self.comparison)
    }
}

impl Summary<'_> {
    fn transactions(&self) -> String {
        let (events, transactions) = (self.stats.totals.applied, self.stats.transactions);
        let each = events.checked_div(transactions).unwrap_or_default();
        format!("{}, {} events each on average", HumanCount(transactions), HumanCount(each))
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    writeln!(f, "  {name:16}{value}")
}

fn per_second(count: u64, time: Duration) -> HumanCount {
    let milliseconds = time.as_millis().max(1);
    HumanCount(u64::try_from(u128::from(count) * 1_000 / milliseconds).unwrap_or(u64::MAX))
}

/// Where the files are, and what to do with them.
pub struct Files<'a> {
    /// Where they are.
    pub folder: &'a DemoFolder,
    /// The Redis server that wrote there.
    pub redis_server: &'a Path,
    /// The port it had, which stands in the settings.
    pub port: u16,
}

impl Display for Files<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder;
        if !folder.is_kept() {
            return write!(f, "The files were temporary and are gone; --folder DIR keeps them.");
        }
        writeln!(f, "Kept in {}, where the next demo goes on. To look at the table:", folder.path().display())?;
        if is_installed("sqlite3") {
            writeln!(f, "  sqlite3 {} 'select * from user_actions limit 5'", shell(&folder.database()))?;
        } else {
            writeln!(f, "  any SQLite client, on {}", shell(&folder.database()))?;
        }
        // Under cargo the pipeline is not on PATH; what it was called by works again.
        let pipeline = std::env::args_os().next().unwrap_or_else(|| "pipeline".into());
        writeln!(f, "To start its Redis again, and a pipeline that writes behind from it:")?;
        writeln!(
            f,
            "  {} --port {} --dir {} --appendonly yes --save ''",
            shell(self.redis_server),
            self.port,
            shell(folder.path())
        )?;
        write!(f, "  {} --config {}", shell(Path::new(&pipeline)), shell(&folder.settings()))
    }
}

/// Whether `program` is on PATH: only what works is worth proposing.
fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// A path as a shell takes it.
fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_can_be_pasted_into_a_shell() {
        assert_eq!(shell(Path::new("/tmp/demo-1/x.db")), "/tmp/demo-1/x.db");
        assert_eq!(shell(Path::new("/tmp/it's mine")), r"'/tmp/it'\''s mine'");
    }

    #[test]
    fn rates_are_of_the_time_taken() {
        assert_eq!(per_second(10_000, Duration::from_millis(500)).to_string(), "20,000");
        assert_eq!(per_second(1, Duration::ZERO).to_string(), "1,000");
    }
}
