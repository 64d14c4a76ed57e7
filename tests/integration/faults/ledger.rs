//! A table that forgets nothing: every event is a row of its own, and no key keeps one from being there twice. What it
//! holds at the end must be the model's: count, content, and order for each key; and so must dead letters and counters.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;

use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::workload::{counted, done, redis_yaml};

pub const STREAM: &str = "stream:ledger";

const KEYS: u64 = 499;

/// Failures are many and on purpose here, and tests are in a hurry. Not for tests of the restart limit.
pub const IMPATIENT: &str =
    "supervisor: {max_restarts: 100000, restart_delay_ms: 20, restart_delay_max_ms: 300, pause_retry_sec: 0.3}\n";

/// The same for the section `rdbms`, behind what the database itself says.
pub const HASTY: &str = "  retry_delay_sec: 0.02\n  retry_delay_max_sec: 0.3\n  max_retries: 3\n";

/// What the events of a run are like. Event n is the same in every run.
#[derive(Clone, Copy, Debug)]
pub struct Ledger {
    /// Bad events in a thousand; half are refused by the mapping, half by the database.
    pub bad_permille: u64,
}

/// An event as it stands in Redis.
pub struct Entry {
    pub id: String,
    pub n: u64,
}

impl Ledger {
    /// Creates the table.
    pub async fn create_table(&self, database: &TestDatabase) {
        let (position, options) = match database.kind() {
            Kind::Postgres => ("bigserial PRIMARY KEY", ""),
            Kind::MariaDb => ("bigint AUTO_INCREMENT PRIMARY KEY", " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
            Kind::Sqlite => ("integer PRIMARY KEY AUTOINCREMENT", ""),
        };
        let sql = format!(
            "CREATE TABLE ledger (position {position}, n bigint NOT NULL, account varchar(40) NOT NULL, \
             note varchar(60), cents bigint NOT NULL, CHECK (cents >= 0)){options}"
        );
        database.execute(&sql).await;
    }

    /// The section `streams`; lines of the stream's own may follow, indented by four.
    pub fn streams_yaml(&self, lanes: u32) -> String {
        format!(
            "streams:\n  ledger:\n    document: inline\n    table: ledger\n    mode: append\n    lanes: {lanes}\n    \
             columns: {{n: n, account: $key, note: note, cents: cents}}\n"
        )
    }

    /// All settings of a run: `rdbms` gets the lines of [`HASTY`], the supervisor is [`IMPATIENT`].
    pub fn config(&self, redis: &RedisServer, database: &TestDatabase, lanes: u32) -> String {
        redis_yaml(redis.port()) + &database.settings_yaml() + HASTY + IMPATIENT + &self.streams_yaml(lanes)
    }

    fn account(&self, n: u64) -> String {
        format!("account:{}", mixed(n) % KEYS)
    }

    fn note(&self, n: u64) -> String {
        let notes = ["paid", "Zoë", "O'Neil \"x\"", "tab\there", "\u{1F600}", "back\\slash", ""];
        format!("{} {n}", notes[(mixed(n) >> 20) as usize % notes.len()])
    }

    fn cents(&self, n: u64) -> u64 {
        (mixed(n) >> 30) % 1_000_000
    }

    pub fn is_bad(&self, n: u64) -> bool {
        mixed(n ^ 0x5555) % 1_000 < self.bad_permille
    }

    fn payload(&self, n: u64) -> String {
        let (note, cents) = (self.note(n), self.cents(n));
        let cents = match self.is_bad(n) {
            false => serde_json::json!(cents),
            true if n.is_multiple_of(2) => serde_json::json!("much"),
            true => serde_json::json!(-1 - cents as i64),
        };
        serde_json::json!({ "n": n, "note": note, "cents": cents }).to_string()
    }

    /// Adds events to the stream, a pipeline of 500 at a time.
    ///
    /// # Errors
    /// Redis failed; how far it took them is not known.
    pub async fn try_produce(&self, redis: &mut MultiplexedConnection, numbers: Range<u64>) -> redis::RedisResult<()> {
        let end = numbers.end;
        for first in numbers.step_by(500) {
            let mut pipe = redis::pipe();
            for n in first..end.min(first + 500) {
                pipe.cmd("XADD")
                    .arg(STREAM)
                    .arg("*")
                    .arg("key")
                    .arg(self.account(n))
                    .arg("payload")
                    .arg(self.payload(n));
                pipe.ignore();
            }
            pipe.query_async::<()>(redis).await?;
        }
        Ok(())
    }

    /// The same where Redis is not disturbed.
    pub async fn produce(&self, redis: &mut MultiplexedConnection, numbers: Range<u64>) {
        self.try_produce(redis, numbers).await.expect("redis takes the events");
    }

    /// What the stream holds.
    pub async fn entries(&self, redis: &mut MultiplexedConnection) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut after = "-".to_owned();
        loop {
            let page: StreamRangeReply = redis.xrange_count(STREAM, &after, "+", 10_000).await.expect("a stream");
            let Some(last) = page.ids.last() else { return entries };
            after = format!("({}", last.id);
            entries.extend(page.ids.iter().map(|entry| {
                let payload: String = entry.get("payload").expect("a payload");
                let document: serde_json::Value = serde_json::from_str(&payload).expect("JSON");
                Entry { id: entry.id.clone(), n: document["n"].as_u64().expect("a number") }
            }));
        }
    }

    /// Asserts that rows, dead letters and checkpoints are exactly what these entries make of an empty database.
    pub async fn check_rows(&self, database: &TestDatabase, entries: &[Entry]) {
        let (good, bad): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|entry| !self.is_bad(entry.n));
        let sql = "SELECT n, account, note, cents FROM ledger ORDER BY position";
        let rows = database.rows(sql).await;
        let mut by_account: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for row in &rows {
            let n: u64 = row[0].as_deref().and_then(|n| n.parse().ok()).expect("a number");
            let expected = [n.to_string(), self.account(n), self.note(n), self.cents(n).to_string()].map(Some);
            assert!(row[..] == expected, "the row of event {n} is {row:?}");
            by_account.entry(self.account(n)).or_default().push(n);
        }
        let mut expected: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        good.iter().for_each(|entry| expected.entry(self.account(entry.n)).or_default().push(entry.n));
        for (account, numbers) in &expected {
            let found = by_account.get(account).map_or(&[][..], Vec::as_slice);
            let differ = found.iter().zip(numbers).position(|(found, expected)| found != expected);
            assert!(
                differ.is_none() && found.len() == numbers.len(),
                "{account}: {} rows, and {} events; the first difference is at {:?}: rows {:?}, events {:?}",
                found.len(),
                numbers.len(),
                differ.unwrap_or(found.len().min(numbers.len())),
                excerpt(found, differ),
                excerpt(numbers, differ),
            );
        }
        assert_eq!(rows.len(), good.len(), "rows of accounts that had no event");

        let letters = database.rows("SELECT entry_id FROM write_behind_dead_letter").await;
        let mut letters: Vec<String> = letters.into_iter().map(|mut row| row.remove(0).expect("an id")).collect();
        let mut expected: Vec<String> = bad.iter().map(|entry| entry.id.clone()).collect();
        letters.sort();
        expected.sort();
        assert_eq!(letters.len(), expected.len(), "dead letters and bad events");
        assert!(letters == expected, "the dead letters are of other events than the bad ones");
    }

    /// Asserts that rows and dead letters are what the stream holds, and waits until the counters say so too.
    /// Answers how many events and dead letters there were.
    pub async fn check(
        &self,
        database: &TestDatabase,
        redis: &mut MultiplexedConnection,
        deadline: Duration,
    ) -> [u64; 2] {
        let entries = self.entries(redis).await;
        self.check_rows(database, &entries).await;
        let bad = entries.iter().filter(|entry| self.is_bad(entry.n)).count() as u64;
        let events = entries.len() as u64;
        counted(redis, "ledger", [events - bad, bad], deadline).await;
        [events, bad]
    }

    /// Waits until so many events are done, then asserts everything, drains the pipeline, and asserts that the end
    /// changed nothing.
    pub async fn finish(
        &self,
        pipeline: PipelineProcess,
        database: &TestDatabase,
        redis: &mut MultiplexedConnection,
        events: u64,
        deadline: Duration,
    ) {
        done(database, STREAM, events, deadline).await;
        assert_eq!(self.check(database, redis, deadline).await[0], events, "events in the stream");
        crate::thing::drained(pipeline).await;
        let rows = database.count("ledger").await as u64;
        let letters = database.count("write_behind_dead_letter").await as u64;
        assert_eq!(rows + letters, events, "rows after the end");
    }
}

/// Spreads numbers (the finaliser of SplitMix64).
fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn excerpt(numbers: &[u64], around: Option<usize>) -> &[u64] {
    let from = around.unwrap_or(numbers.len()).saturating_sub(2);
    &numbers[from.min(numbers.len())..numbers.len().min(from + 6)]
}
