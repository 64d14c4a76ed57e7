//! SIGTERM while the database does not answer: a second signal ends the process at once, one signal alone in
//! `app.shutdown_timeout_sec`, and a wait between two tries is cut short.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::sqlx::{self, ConnectOptions};

use super::server::Server;
use super::{DEADLINE, FAULT};
use crate::faults::ledger::{HASTY, Ledger};
use crate::faults::owners::checkpoint::{done_at_least, try_done};
use crate::faults::report::{Run, sized};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;

const LEDGER: Ledger = Ledger { bad_permille: 5 };

/// A drain that succeeds may take as long as it likes; the tests' own deadline is far below that.
const PATIENT: &str = "app: {shutdown_timeout_sec: 86400}\n";
const IN_TIME: &str = "app: {shutdown_timeout_sec: 1}\n";

/// Waits between tries that nobody would wait for; and transactions so small that much is always left to do.
const LONG_WAITS: &str = "  retry_delay_sec: 3000\n  retry_delay_max_sec: 3000\n  transaction_events_max: 50\n";

/// How the process comes to its end.
#[derive(Clone, Copy)]
enum End {
    /// By a second signal.
    AtOnce,
    /// By `app.shutdown_timeout_sec`.
    InTime,
    /// By one more try, at once.
    AfterATry,
}

/// A pipeline at work, whose database the test can take away.
struct Busy {
    redis: RedisServer,
    connection: MultiplexedConnection,
    database: TestDatabase,
    produced: u64,
}

impl Busy {
    async fn new(database: TestDatabase) -> Self {
        let redis = RedisServer::start();
        LEDGER.create_table(&database).await;
        Busy { connection: redis.connection().await, redis, database, produced: 0 }
    }

    fn config(&self, app: &str) -> String {
        let config = LEDGER.config(&self.redis, &self.database, 2).replace(HASTY, LONG_WAITS);
        config + "    batch_size: 50\n" + app
    }

    async fn produce(&mut self, more: u64) {
        LEDGER.produce(&mut self.connection, self.produced..self.produced + more).await;
        self.produced += more;
    }

    /// Produces more and waits until the process has read it: then there is something in flight, even if the process
    /// was done with all else before its database went away.
    async fn more_in_flight(&mut self) {
        self.produce(500).await;
        let before = self.reads().await;
        // One read may have been under way, the next one brings the rest, and the third begins when that is handed out.
        eventually(DEADLINE, "the process to read", async || match self.reads().await {
            reads if reads >= before + 3 => Ok(()),
            reads => Err(format!("{reads} reads, {before} before")),
        })
        .await;
    }

    /// How many reads Redis has answered.
    async fn reads(&mut self) -> u64 {
        let mut info = redis::cmd("INFO");
        let info: String = info.arg("commandstats").query_async(&mut self.connection).await.expect("redis answers");
        let calls = info.lines().find_map(|line| line.strip_prefix("cmdstat_xread:calls="));
        calls.and_then(|calls| calls.split(',').next()?.parse().ok()).unwrap_or(0)
    }

    /// Starts a process and waits until it is in the middle of new work.
    async fn start(&mut self, app: &str) -> PipelineProcess {
        let done = try_done(&self.database).await.unwrap_or(0);
        self.produce(sized(4_000, 12_000)).await;
        let pipeline = PipelineProcess::start(&self.config(app), &["run"]);
        done_at_least(&self.database, done + 500).await;
        pipeline
    }

    async fn finish(mut self) -> u64 {
        let pipeline = PipelineProcess::start(&LEDGER.config(&self.redis, &self.database, 2), &["run"]);
        LEDGER.finish(pipeline, &self.database, &mut self.connection, self.produced, DEADLINE).await;
        self.produced
    }
}

/// Ends a pipeline whose database does not answer.
async fn end(pipeline: PipelineProcess, end: End) {
    pipeline.terminate();
    said(&pipeline, "\"draining\"").await;
    let (code, words) = match end {
        End::AtOnce => {
            // What comes sooner counts as the first one.
            tokio::time::sleep(Duration::from_millis(600)).await;
            pipeline.terminate();
            (130, "second signal: ending at once")
        }
        End::InTime => (0, "not drained within app.shutdown_timeout_sec"),
        End::AfterATry => (0, "ended before it was drained"),
    };
    assert_eq!(pipeline.wait_exit(DEADLINE).await, Some(code), "{}", pipeline.stderr());
    let log = pipeline.stderr();
    assert!(log.contains(words), "{log}");
}

async fn said(pipeline: &PipelineProcess, text: &str) {
    eventually(DEADLINE, text, async || if pipeline.stderr().contains(text) { Ok(()) } else { Err(pipeline.stderr()) })
        .await;
}

async fn without_database(kind: Kind) {
    let runs = [
        Run::of(FAULT, "twice, the database stopped (SIGSTOP)", kind),
        Run::of(FAULT, "once, the database stopped (SIGSTOP)", kind),
        Run::of(FAULT, "once, the database killed, the next try in 50 minutes", kind),
    ];
    let server = Server::start(kind);
    let mut busy = Busy::new(server.database().await).await;
    for (app, by) in [(PATIENT, End::AtOnce), (IN_TIME, End::InTime)] {
        let pipeline = busy.start(app).await;
        let frozen = server.freeze();
        busy.more_in_flight().await;
        end(pipeline, by).await;
        frozen.thaw();
    }
    let pipeline = busy.start(PATIENT).await;
    server.kill();
    busy.more_in_flight().await;
    said(&pipeline, "database failed, trying again").await;
    end(pipeline, End::AfterATry).await;
    server.restart();
    let events = busy.finish().await;
    let seen = ["exit code 130", "exit code 0 after shutdown_timeout_sec", "exit code 0 after one more try"];
    runs.into_iter().zip(seen).for_each(|(run, seen)| run.held(1, events, seen));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_is_stuck_can_be_ended_postgres() {
    without_database(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_is_stuck_can_be_ended_mariadb() {
    without_database(Kind::MariaDb).await;
}

/// Somebody else holds the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_is_stuck_can_be_ended_sqlite() {
    let run = |what| Run::of(FAULT, what, Kind::Sqlite);
    let runs = [run("twice, the file locked by another process"), run("once, the file locked by another process")];
    let mut busy = Busy::new(TestDatabase::new(Kind::Sqlite).await).await;
    let file = SqliteConnectOptions::new().filename(&busy.database.access().database);
    let mut other = file.busy_timeout(DEADLINE).connect().await.expect("SQLite opens the file");
    for (app, by) in [(PATIENT, End::AtOnce), (IN_TIME, End::InTime)] {
        let pipeline = busy.start(app).await;
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.expect("the file");
        busy.more_in_flight().await;
        end(pipeline, by).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await.expect("SQLite rolls back");
    }
    let events = busy.finish().await;
    let seen = ["exit code 130", "exit code 0 after shutdown_timeout_sec"];
    runs.into_iter().zip(seen).for_each(|(run, seen)| run.held(1, events, seen));
}
