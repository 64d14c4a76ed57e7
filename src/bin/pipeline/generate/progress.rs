//! How far `generate` has come: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// Between two lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(2);

/// Shows progress on standard error. A bar goes away when it is dropped: the summary says how it ended.
pub struct Progress {
    total: u64,
    begin: Instant,
    shown: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Nothing of `total` events is done.
    pub fn new(total: u64) -> Self {
        let bar = io::stderr().is_terminal().then(|| bar(total));
        let now = Instant::now();
        Progress { total, begin: now, shown: now, bar }
    }

    /// So many events are written, and so many failed.
    pub fn now(&mut self, written: u64, failed: u64) {
        let per_second = written as f64 / self.begin.elapsed().as_secs_f64();
        let rest = format!("{per_second:.0} per second, {failed} failed");
        if let Some(bar) = &self.bar {
            bar.set_position(written + failed);
            bar.set_message(rest);
        } else if self.shown.elapsed() >= BETWEEN_LINES {
            self.shown = Instant::now();
            output::remark(format_args!("{written} of {} events, {rest}", self.total));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: u64) -> ProgressBar {
    const TEMPLATE: &str = "{wide_bar} {pos} of {len} events, {msg}, {eta} left";
    let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}
