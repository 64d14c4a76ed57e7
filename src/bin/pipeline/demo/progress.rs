//! How far the demo is: two bars on a terminal, a line a second elsewhere. On stderr, beside the result.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressStyle};

use crate::output::remark;

/// What is shown while events are on their way.
pub enum Progress {
    /// A person looks on.
    Bars {
        /// Events in Redis.
        inserted: ProgressBar,
        /// Events in the table.
        written: ProgressBar,
    },
    /// A file or a pipe.
    Lines {
        /// Events there will be.
        events: u64,
        /// When the last line was printed.
        last: Instant,
    },
}

impl Progress {
    /// Begins to show `events` on their way; `to_write` of them reach the table, the backlog of an earlier run included.
    pub fn begin(events: u64, to_write: u64) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress::Lines { events: to_write, last: Instant::now() };
        }
        let template = "  {prefix:9} [{bar:32}] {human_pos:>9} of {human_len}  {per_sec}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        // `{per_sec}` is of the last moments and has digits nobody reads.
        let style = style
            .with_key("per_sec", |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                // A line of a progress bar that cannot be written is not missed.
                let _ = write!(out, "{:>9}/s", HumanCount(state.per_sec() as u64));
            })
            .progress_chars("=>-");
        let bars = MultiProgress::new();
        let bar = |name, length| bars.add(ProgressBar::new(length).with_style(style.clone()).with_prefix(name));
        Progress::Bars { inserted: bar("inserted", events), written: bar("written", to_write) }
    }

    /// Shows where things stand.
    pub fn show(&mut self, inserted_now: u64, written_now: u64) {
        const BETWEEN_LINES: Duration = Duration::from_secs(1);
        match self {
            Progress::Bars { inserted, written } => {
                inserted.set_position(inserted_now);
                written.set_position(written_now);
            }
            Progress::Lines { events, last } if last.elapsed() >= BETWEEN_LINES => {
                *last = Instant::now();
                let (inserted, written, events) =
                    (HumanCount(inserted_now), HumanCount(written_now), HumanCount(*events));
                remark(format_args!("inserted {inserted}, written {written} of {events}"));
            }
            Progress::Lines { .. } => {}
        }
    }

    /// Leaves the bars as they stand.
    pub fn end(&self) {
        if let Progress::Bars { inserted, written } = self {
            inserted.abandon();
            written.abandon();
        }
    }
}
