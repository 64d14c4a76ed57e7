//! The network between the pipeline and its servers cuts, stalls, swallows, delays and tears packets.

mod answers;
mod database;
mod redis_link;
mod starts;
mod swallowed;

use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::ledger::{IMPATIENT, Ledger, STREAM};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::proxy::Proxy;
use crate::support::redis::RedisServer;
use crate::thing::reads;
use crate::workload::{done, redis_yaml};

const FAULT: &str = "4 proxy";
const DEADLINE: Duration = Duration::from_secs(120);

/// Small batches, so that there are many transactions to harm.
const SMALL_BATCHES: &str = "    batch_size: 100\n    block_ms: 100\n";

/// Limits for the database that are soon over, behind [`super::ledger::HASTY`].
const SHORT_LIMITS: &str = "  statement_timeout_ms: 400\n  connect_timeout_ms: 400\n  transaction_events_max: 200\n";

/// The same for Redis.
const SHORT_REDIS_LIMITS: &str = "  response_timeout_ms: 400\n  connect_timeout_ms: 400\n";

/// The supervisor of [`IMPATIENT`] with this time after which an actor counts as hung.
fn supervisor_with(hang_timeout_sec: f64) -> String {
    IMPATIENT.replace('}', &format!(", hang_timeout_sec: {hang_timeout_sec}}}"))
}

/// Pipeline, Redis and database, with a proxy before one of the servers.
struct Line {
    ledger: Ledger,
    redis: RedisServer,
    connection: MultiplexedConnection,
    database: TestDatabase,
    proxy: Proxy,
    events: u64,
}

/// The server that the proxy stands before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Database,
    Redis,
}

impl Line {
    async fn new(kind: Kind, before: Before) -> Self {
        let ledger = Ledger { bad_permille: 5 };
        let redis = RedisServer::start();
        let connection = redis.connection().await;
        let database = TestDatabase::new(kind).await;
        ledger.create_table(&database).await;
        let server = if before == Before::Database { database.access().port } else { redis.port() };
        let proxy = Proxy::start(server).await;
        Line { ledger, redis, connection, database, proxy, events: 0 }
    }

    /// The settings, with lines of one's own for `redis`, `rdbms`, `supervisor` and the stream.
    fn config(&self, before: Before, [redis, rdbms, supervisor, stream]: [&str; 4]) -> String {
        let port = |server, own| if server == before { self.proxy.port() } else { own };
        redis_yaml(port(Before::Redis, self.redis.port()))
            + redis
            + &self.database.settings_yaml_through(port(Before::Database, self.database.access().port))
            + rdbms
            + supervisor
            + &self.ledger.streams_yaml(2)
            + stream
    }

    /// A pipeline that has come as far as reading.
    async fn start(&self, config: &str) -> PipelineProcess {
        let pipeline = PipelineProcess::start(config, &[]);
        reads(&pipeline).await;
        pipeline
    }

    async fn produce(&mut self, count: u64) {
        self.ledger.produce(&mut self.connection, self.events..self.events + count).await;
        self.events += count;
    }

    /// Waits until everything that was produced is in the database.
    async fn all_done(&self) {
        done(&self.database, STREAM, self.events, DEADLINE).await;
    }

    /// Gives the pipeline work until so many packets have been harmed.
    async fn work_until_harmed(&mut self, least: u64) {
        while self.proxy.harmed() < least {
            self.produce(1_000).await;
            self.all_done().await;
        }
    }

    /// Asserts rows, dead letters and counters, and that the pipeline has never ended and now does so as asked.
    async fn finish(&mut self, pipeline: PipelineProcess) -> u64 {
        assert!(pipeline.is_running(), "the pipeline ended by itself: {}", pipeline.stderr());
        self.ledger.finish(pipeline, &self.database, &mut self.connection, self.events, DEADLINE).await;
        self.events
    }
}
