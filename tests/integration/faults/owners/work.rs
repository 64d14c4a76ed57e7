//! Two streams of one pipeline: one whose every event is a row, and one whose rows are replaced, changed and deleted.

use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::checkpoint;
use crate::faults::ledger::{HASTY, IMPATIENT, Ledger, STREAM};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::thing::drained;
use crate::workload::{Event, Random, Way, create_items, done, events, items, items_yaml, model, produce, redis_yaml};

const ITEMS: &str = "stream:item";
const KEYS: u64 = 500;
const DEADLINE: Duration = Duration::from_secs(180);

pub struct Work {
    pub database: TestDatabase,
    pub random: Random,
    redis: RedisServer,
    connection: MultiplexedConnection,
    ledger: Ledger,
    in_ledger: u64,
    of_items: Vec<Event>,
    rdbms: String,
    supervisor: String,
}

impl Work {
    pub async fn new(kind: Kind, seed: u64) -> Self {
        let redis = RedisServer::start();
        let database = TestDatabase::new(kind).await;
        let ledger = Ledger { bad_permille: 5 };
        ledger.create_table(&database).await;
        create_items(&database).await;
        Work {
            connection: redis.connection().await,
            redis,
            database,
            random: Random::new(seed),
            ledger,
            in_ledger: 0,
            of_items: Vec::new(),
            rdbms: HASTY.to_owned(),
            supervisor: IMPATIENT.to_owned(),
        }
    }

    /// Makes everything of the pipeline's time out within this.
    pub fn with_timeouts(mut self, limit: Duration) -> Self {
        self.rdbms += &format!("  statement_timeout_ms: {}\n", limit.as_millis());
        let hang = format!(", hang_timeout_sec: {}}}", 2.0 * limit.as_secs_f64());
        self.supervisor = self.supervisor.replace('}', &hang);
        self
    }

    /// Adds so many events to either stream.
    pub async fn produce(&mut self, count: u64) {
        let numbers = self.in_ledger..self.in_ledger + count;
        self.in_ledger = numbers.end;
        self.ledger.produce(&mut self.connection, numbers).await;
        let events = events(&mut self.random, count, KEYS);
        produce(&mut self.connection, ITEMS, Way::Inline, &events).await;
        self.of_items.extend(events);
    }

    /// The settings of a process with this number of lanes.
    pub fn config(&self, lanes: u32) -> String {
        let small = "    batch_size: 100\n";
        let items = items_yaml(ITEMS, Way::Inline, lanes);
        let items = items.strip_prefix("streams:\n").expect("the section");
        redis_yaml(self.redis.port())
            + "  response_timeout_ms: 1000\n"
            + &self.database.settings_yaml()
            + &self.rdbms
            + "  transaction_events_max: 500\n"
            + &self.supervisor
            // Of two processes, the one that did less has an old number to say until it looks again.
            + "metrics: {refresh_interval_sec: 1}\n"
            + &self.ledger.streams_yaml(lanes)
            + small
            + items
            + small
    }

    /// Starts a process with this number of lanes.
    pub fn start(&self, lanes: u32) -> PipelineProcess {
        PipelineProcess::start(&self.config(lanes), &["run"])
    }

    /// Events of both streams.
    pub fn events(&self) -> u64 {
        self.in_ledger + self.of_items.len() as u64
    }

    /// Waits until so many events of both streams are done.
    pub async fn done_at_least(&self, least: u64) {
        checkpoint::done_at_least(&self.database, least).await;
    }

    /// Waits until everything is done.
    pub async fn done(&self) {
        done(&self.database, STREAM, self.in_ledger, DEADLINE).await;
        done(&self.database, ITEMS, self.of_items.len() as u64, DEADLINE).await;
    }

    /// Waits until everything is done, drains the process, and asserts that the tables are the models'.
    pub async fn finish(&mut self, pipeline: PipelineProcess) {
        self.done().await;
        let checked = self.ledger.check(&self.database, &mut self.connection, DEADLINE).await;
        assert_eq!(checked[0], self.in_ledger, "events in the stream");
        drained(pipeline).await;
        let in_ledger = self.database.count("ledger").await as u64;
        assert_eq!(in_ledger + checked[1], self.in_ledger, "rows and dead letters after the end");
        let (found, expected) = (items(&self.database).await, model(&self.of_items));
        assert!(found == expected, "{} rows of items, {} in the model", found.len(), expected.len());
    }
}
