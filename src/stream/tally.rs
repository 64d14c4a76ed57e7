//! What is counted and logged in Redis about writes: `metrics:<entity>:redis:*` and the log streams of the producer.

use std::collections::BTreeMap;

use redis::Pipeline;

use crate::event::{Op, StreamId};
use crate::metrics::names;
use crate::settings::{Durability, LogSettings, Mask, StreamSettings};
use crate::stream::write::{Reached, wanted_text};

/// One entry of `log.streams.success_insert` or `log.streams.failed_insert`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    failed: bool,
    fields: Vec<(&'static str, String)>,
}

impl Line {
    /// A write that reached Redis.
    pub(super) fn success(stream: &StreamSettings, op: Op, key: &str, timestamp: &str) -> Line {
        let key = if stream.masks_key() { Mask::REDACTED } else { key };
        let fields = vec![
            ("entity", stream.entity.clone()),
            ("stream", stream.stream_name.clone()),
            ("op", op.name().to_owned()),
            ("key", key.to_owned()),
            ("timestamp", timestamp.to_owned()),
        ];
        Line { failed: false, fields }
    }

    /// A write that did not reach Redis, or not as durably as wanted.
    pub(super) fn failure(stream: &StreamSettings, op: Op, key: &str, timestamp: &str, error: String) -> Line {
        let mut line = Line::success(stream, op, key, timestamp);
        let error = if stream.masks_key() { error.replace(key, Mask::REDACTED) } else { error };
        line.failed = true;
        line.fields.push(("error", error));
        line
    }

    /// The same line with what was wanted and reached.
    pub(super) fn reaching(mut self, id: StreamId, wanted: Durability, reached: Reached) -> Line {
        self.fields.push(("id", id.to_string()));
        self.fields.push(("wanted", wanted_text(wanted)));
        self.fields.push(("reached_local", reached.local.to_string()));
        self.fields.push(("reached_replicas", reached.replicas.to_string()));
        self
    }

    /// Adds the `XADD` of this line.
    pub(super) fn push(&self, pipeline: &mut Pipeline, log: &LogSettings) {
        let stream = if self.failed { &log.failed_insert } else { &log.success_insert };
        let command = pipeline.cmd("XADD").arg(stream).arg("MAXLEN").arg("~").arg(log.max_len).arg("*");
        for (name, value) in &self.fields {
            command.arg(*name).arg(value);
        }
    }
}

/// What is to be added to the counters of one entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Negative takes back what a transaction counted that turned out not to be a success.
    pub(super) success: i64,
    pub(super) fail: i64,
}

/// Counts and lines that Redis has not been told yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    counts: BTreeMap<String, Counts>,
    lines: Vec<Line>,
    /// Entries of the success log that turned out to be wrong.
    wrong: Vec<String>,
}

impl Tally {
    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.lines.is_empty() && self.wrong.is_empty()
    }

    /// One success of `entity`.
    pub(super) fn succeeded(&mut self, entity: &str, line: Line) {
        self.count(entity, Counts { success: 1, fail: 0 });
        self.lines.push(line);
    }

    /// One failure of `entity`.
    pub(super) fn failed(&mut self, entity: &str, line: Line) {
        self.count(entity, Counts { success: 0, fail: 1 });
        self.lines.push(line);
    }

    /// `count` failures of `entity` without lines in the log.
    pub(super) fn failed_unlogged(&mut self, entity: &str, count: usize) {
        self.count(entity, Counts { success: 0, fail: i64::try_from(count).unwrap_or(i64::MAX) });
    }

    /// Takes back a success that was counted, and its entry in the log.
    pub(super) fn take_back(&mut self, entity: &str, counted: bool, log_entry: Option<String>) {
        if counted {
            self.count(entity, Counts { success: -1, fail: 0 });
        }
        self.wrong.extend(log_entry);
    }

    /// Adds the counts of `other`. Its lines are left out: counters must be right, while the log is capped anyway
    /// and must not grow in memory while Redis is away.
    pub(super) fn absorb_counts(&mut self, other: Tally) {
        for (entity, counts) in other.counts {
            self.count(&entity, counts);
        }
    }

    /// Adds all of `other`.
    pub(super) fn absorb(&mut self, mut other: Tally) {
        self.lines.append(&mut other.lines);
        self.wrong.append(&mut other.wrong);
        self.absorb_counts(other);
    }

    /// All of it as one transaction.
    pub(super) fn pipeline(&self, log: &LogSettings) -> Pipeline {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("MULTI");
        for (entity, counts) in &self.counts {
            if counts.success != 0 {
                pipeline.cmd("INCRBY").arg(names::redis_success(entity)).arg(counts.success);
            }
            if counts.fail != 0 {
                pipeline.cmd("INCRBY").arg(names::redis_fail(entity)).arg(counts.fail);
            }
        }
        if log.enabled {
            self.lines.iter().for_each(|line| line.push(&mut pipeline, log));
            if !self.wrong.is_empty() {
                pipeline.cmd("XDEL").arg(&log.success_insert).arg(&self.wrong);
            }
        }
        pipeline.cmd("EXEC");
        pipeline
    }

    fn count(&mut self, entity: &str, more: Counts) {
        let counts = self.counts.entry(entity.to_owned()).or_default();
        counts.success += more.success;
        counts.fail += more.fail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::LogFormat;

    fn log(enabled: bool) -> LogSettings {
        LogSettings {
            level: slog::Level::Info,
            format: LogFormat::Auto,
            enabled,
            per_event: false,
            max_len: 9,
            success_insert: "log:ok".into(),
            failed_insert: "log:bad".into(),
            success_rdbms: "log:rdbms".into(),
            failed_rdbms: "log:rdbms:bad".into(),
        }
    }

    fn line(failed: bool) -> Line {
        Line { failed, fields: vec![("entity", "users".to_owned())] }
    }

    fn commands(tally: &Tally, log: &LogSettings) -> String {
        String::from_utf8_lossy(&tally.pipeline(log).get_packed_pipeline()).replace("\r\n", " ")
    }

    #[test]
    fn what_was_counted_too_early_is_taken_back() {
        let mut tally = Tally::default();
        tally.take_back("users", true, Some("6-0".to_owned()));
        tally.failed("users", line(true));
        assert_eq!(tally.counts["users"], Counts { success: -1, fail: 1 });
        let sent = commands(&tally, &log(true));
        for part in ["INCRBY $27 metrics:users:redis:success $2 -1", "$24 metrics:users:redis:fail $1 1"] {
            assert!(sent.contains(part), "`{part}` in {sent}");
        }
        assert!(sent.contains("$7 log:bad $6 MAXLEN") && sent.contains("XDEL $6 log:ok $3 6-0"), "{sent}");
    }

    #[test]
    fn while_redis_is_away_only_counts_are_kept() {
        let mut kept = Tally::default();
        for _ in 0..3 {
            let mut tally = Tally::default();
            tally.failed("users", line(true));
            kept.absorb_counts(tally);
        }
        assert_eq!(kept.counts["users"], Counts { success: 0, fail: 3 });
        assert!(kept.lines.is_empty() && !kept.is_empty());
    }

    #[test]
    fn without_log_streams_there_are_only_counters() {
        let mut tally = Tally::default();
        tally.succeeded("users", line(false));
        assert!(!commands(&tally, &log(false)).contains("XADD"));
        assert!(commands(&tally, &log(true)).contains("XADD"));
    }
}
