//! Columns come, grow, go and come back while events flow. The pipeline notices by itself: it writes what the settings can
//! map now, or pauses with an alarm that names the column. No event is given up for it, and each arrives once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::task::JoinHandle;

use super::ledger::{HASTY, IMPATIENT};
use super::report::{Run, sized};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;
use crate::workload::{done, redis_yaml};

const DEADLINE: Duration = Duration::from_secs(120);
const STREAM: &str = "stream:thing";
const FAULT: &str = "7 table changed";
const PAUSED: &str = "stream paused until this is mended";

/// Events that come all the time, number by number.
struct Load {
    produced: Arc<AtomicU64>,
    /// Whether names are longer than the table's first column for them is.
    long_names: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Load {
    fn start(mut connection: MultiplexedConnection, from: u64) -> Load {
        let (produced, long_names, stop) =
            (Arc::new(AtomicU64::new(from)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (counted, long, stopped) = (produced.clone(), long_names.clone(), stop.clone());
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::SeqCst) {
                let first = counted.load(Ordering::SeqCst);
                let name = if long.load(Ordering::SeqCst) { "longer than it was" } else { "short" };
                let mut pipe = redis::pipe();
                for n in first..first + 50 {
                    let document = format!(r#"{{"n": {n}, "name": "{name}", "extra": {n}}}"#);
                    pipe.xadd(STREAM, "*", &[("key", n.to_string()), ("payload", document)]).ignore();
                }
                pipe.query_async::<()>(&mut connection).await.expect("redis takes them");
                counted.store(first + 50, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        Load { produced, long_names, stop, task }
    }

    fn produced(&self) -> u64 {
        self.produced.load(Ordering::SeqCst)
    }

    /// Waits until so many more have come.
    async fn further(&self, events: u64) {
        let wanted = self.produced() + events;
        eventually(DEADLINE, "more events", async || {
            if self.produced() >= wanted { Ok(()) } else { Err(self.produced().to_string()) }
        })
        .await;
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.expect("the load goes on to its end");
        self.produced.load(Ordering::SeqCst)
    }
}

struct Setting {
    redis: RedisServer,
    database: TestDatabase,
    pipeline: PipelineProcess,
}

impl Setting {
    async fn new(kind: Kind, columns: &str) -> Setting {
        let redis = RedisServer::start();
        let database = TestDatabase::new(kind).await;
        database.execute("CREATE TABLE thing (n bigint, name varchar(5))").await;
        let config = redis_yaml(redis.port()) + &database.settings_yaml() + HASTY + "  catalogue_refresh_sec: 0.3\n";
        let stream = format!("streams:\n  thing:\n    lanes: 2\n    batch_size: 100\n    columns: {columns}\n");
        let pipeline = PipelineProcess::start(&(config + IMPATIENT + &stream), &["run"]);
        Setting { redis, database, pipeline }
    }

    async fn load(&self, from: u64) -> Load {
        Load::start(self.redis.connection().await, from)
    }

    /// Waits until the log has said this more than so many times.
    async fn says(&self, text: &str, more_than: usize) {
        eventually(DEADLINE, &format!("the log to say `{text}`"), async || {
            let log = self.pipeline.stderr();
            if log.matches(text).count() > more_than { Ok(()) } else { Err(log) }
        })
        .await;
    }

    /// Does something with a column that there is now. A connection of SQLite's may still have the old table in mind: a
    /// query tells it, `ALTER TABLE` does not.
    async fn alter(&self, column: &str, change: &str) {
        let sql = format!("SELECT count({column}) FROM thing; ALTER TABLE thing {change}");
        self.database.execute(&sql).await;
    }

    /// Every event is a row of its own, and none a dead letter.
    async fn finish(self, events: u64) {
        done(&self.database, STREAM, events, DEADLINE).await;
        assert_eq!(self.database.count("write_behind_dead_letter").await, 0);
        let rows = self.database.rows("SELECT count(*), count(DISTINCT n), min(n), max(n) FROM thing").await.concat();
        assert_eq!(rows, [events, events, 0, events - 1].map(|number| Some(number.to_string())));
        crate::thing::drained(self.pipeline).await;
    }
}

/// `columns: auto` writes to the new column from then on, and the wider column takes longer names.
async fn a_column_is_added_and_another_widened_under_load(kind: Kind) {
    let run = Run::of(FAULT, "a column is added and another widened, under load", kind);
    let setting = Setting::new(kind, "auto").await;
    let load = setting.load(0).await;
    load.further(sized(1_000, 10_000)).await;
    match kind {
        Kind::Postgres => {
            let change = "ALTER TABLE thing ADD COLUMN extra bigint, ALTER COLUMN name TYPE varchar(50)";
            setting.database.execute(change).await;
        }
        Kind::MariaDb => {
            let change = "ALTER TABLE thing ADD COLUMN extra bigint, MODIFY COLUMN name varchar(50)";
            setting.database.execute(change).await;
        }
        Kind::Sqlite => {
            let change = "BEGIN IMMEDIATE; ALTER TABLE thing RENAME TO narrow; \
                          CREATE TABLE thing (n bigint, name varchar(50), extra bigint); \
                          INSERT INTO thing (n, name) SELECT * FROM narrow; DROP TABLE narrow; COMMIT";
            setting.database.execute(change).await;
        }
    }
    load.long_names.store(true, Ordering::SeqCst);
    setting.says("thing was altered", 0).await;
    // What was on the way was mapped for the old table.
    setting.says("reading stream", 1).await;
    let noticed = load.produced();
    load.further(sized(1_000, 10_000)).await;
    let events = load.end().await;
    done(&setting.database, STREAM, events, DEADLINE).await;
    let wrong = format!("SELECT count(*) FROM thing WHERE n >= {noticed} AND (extra IS NULL OR extra <> n)");
    assert_eq!(setting.database.number::<u64>(&wrong).await, 0, "the new column is written to");
    let long = "SELECT count(*) FROM thing WHERE name = 'longer than it was'";
    assert!(setting.database.number::<u64>(long).await > 0, "the wider column takes them");
    assert!(!setting.pipeline.stderr().contains(PAUSED), "{}", setting.pipeline.stderr());
    setting.finish(events).await;
    run.held(1, events, "both noticed; the new column is written to");
}

/// First while nothing comes, then under load.
async fn a_mapped_column_is_gone_for_a_while(kind: Kind) {
    let run = Run::of(FAULT, "a mapped column is renamed, then dropped under load", kind);
    let setting = Setting::new(kind, "{n: n, name: name}").await;
    let load = setting.load(0).await;
    load.further(500).await;
    let events = load.end().await;
    done(&setting.database, STREAM, events, DEADLINE).await;

    setting.alter("name", "RENAME COLUMN name TO label").await;
    setting.says(PAUSED, 0).await;
    let alarm = "streams.thing.columns.name: table thing has no such column; it has n, label";
    setting.says(alarm, 0).await;
    let load = setting.load(events).await;
    load.further(500).await;
    setting.alter("label", "RENAME COLUMN label TO name").await;
    setting.says("reading stream", 1).await;

    load.further(sized(500, 10_000)).await;
    let pauses = setting.pipeline.stderr().matches(PAUSED).count();
    setting.alter("name", "DROP COLUMN name").await;
    setting.says(PAUSED, pauses).await;
    setting.says("streams.thing.columns.name: table thing has no such column; it has n:", 0).await;
    load.further(500).await;
    assert_eq!(setting.database.count("write_behind_dead_letter").await, 0);
    setting.database.execute("ALTER TABLE thing ADD COLUMN name varchar(5)").await;
    let events = load.end().await;
    setting.finish(events).await;
    run.held(2, events, "paused with an alarm that names the column, and went on by itself");
}

on_each_database!(a_column_is_added_and_another_widened_under_load, a_mapped_column_is_gone_for_a_while);
