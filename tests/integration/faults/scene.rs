//! One pipeline process that has to live through all that is done to its database.

use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::ledger::{HASTY, IMPATIENT, Ledger, STREAM};
use crate::support::database::TestDatabase;
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;
use crate::thing::reads;
use crate::workload::{done, redis_yaml};

pub const DEADLINE: Duration = Duration::from_secs(180);

/// A running pipeline from its Redis into the ledger of a database.
pub struct Scene {
    pub pipeline: PipelineProcess,
    pub database: TestDatabase,
    pub connection: MultiplexedConnection,
    pub ledger: Ledger,
    /// Events that were added to the stream.
    pub produced: u64,
    redis: RedisServer,
    rdbms: String,
}

impl Scene {
    /// Starts in an empty database; `rdbms` are further lines of that section.
    pub async fn begin(database: TestDatabase, rdbms: &str) -> Self {
        let ledger = Ledger { bad_permille: 2 };
        ledger.create_table(&database).await;
        // Long rows, so that files grow soon.
        let padding = "x".repeat(500);
        database.execute(&format!("ALTER TABLE ledger ADD COLUMN padding varchar(500) DEFAULT '{padding}'")).await;
        let redis = RedisServer::start();
        let connection = redis.connection().await;
        let pipeline = PipelineProcess::start(&config(&ledger, &redis, &database, rdbms), &["run"]);
        reads(&pipeline).await;
        Scene { pipeline, database, connection, ledger, produced: 0, redis, rdbms: rdbms.to_owned() }
    }

    /// Starts the pipeline again, after its end.
    pub async fn start_again(&mut self) {
        assert!(!self.pipeline.is_running(), "the pipeline still runs");
        let config = config(&self.ledger, &self.redis, &self.database, &self.rdbms);
        self.pipeline = PipelineProcess::start(&config, &["run"]);
        reads(&self.pipeline).await;
    }

    /// Adds events to the stream.
    pub async fn add(&mut self, events: u64) {
        let first = self.produced;
        self.produced += events;
        self.ledger.produce(&mut self.connection, first..self.produced).await;
    }

    /// Waits until all events are done.
    pub async fn caught_up(&self) {
        done(&self.database, STREAM, self.produced, DEADLINE).await;
    }

    /// Waits until more rows than so many are in the table.
    pub async fn beyond(&self, rows: u64) {
        eventually(DEADLINE, &format!("more than {rows} rows"), async || {
            let found = self.database.try_rows("SELECT count(*) FROM ledger").await?;
            let found: u64 = found[0][0].as_deref().unwrap_or("0").parse().map_err(|error| format!("{error}"))?;
            if found > rows { Ok(()) } else { Err(format!("{found} rows")) }
        })
        .await;
    }

    /// How often the pipeline's log has said one of these.
    pub fn times_said(&self, texts: &[&str]) -> usize {
        let log = self.pipeline.stderr();
        texts.iter().map(|text| log.matches(text).count()).sum()
    }

    /// Waits until the log has said one of these more than so many times.
    pub async fn says(&self, texts: &[&str], more_than: usize) {
        eventually(DEADLINE, &format!("the pipeline to say {texts:?}"), async || {
            let times = self.times_said(texts);
            let said = || format!("{times} times; its last words: {}", last_lines(&self.pipeline.stderr()));
            if times > more_than { Ok(()) } else { Err(said()) }
        })
        .await;
    }

    /// Asserts that every event is in the table once, that no good one became a dead letter, that nothing was taken
    /// for a person's fault, and that the process, which is the one that was started, drains.
    pub async fn finish(mut self) {
        self.caught_up().await;
        let log = self.pipeline.stderr();
        assert!(!log.contains("stream paused"), "taken for a mistake in the settings: {}", last_lines(&log));
        let Scene { ledger, pipeline, database, produced, .. } = self;
        ledger.finish(pipeline, &database, &mut self.connection, produced, DEADLINE).await;
    }
}

/// The settings of a run, with further lines for `rdbms`.
pub fn config(ledger: &Ledger, redis: &RedisServer, database: &TestDatabase, rdbms: &str) -> String {
    let stream = ledger.streams_yaml(2) + "    batch_size: 250\n";
    // How soon a quiet stream finds out that the database was restored.
    let metrics = "metrics: {refresh_interval_sec: 1}\n";
    redis_yaml(redis.port()) + &database.settings_yaml() + HASTY + rdbms + IMPATIENT + metrics + &stream
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
