//! SIGKILL of Redis while producers go on: with all it had written, without the last bytes of its append-only file, and
//! back at an old snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::ledger::{Ledger, STREAM};
use super::redis_loses::survivors::{Found, alarmed, alarms, caught_up, check, newest};
use super::report::{Run, sized};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::{RedisBuilder, RedisServer};
use crate::support::wait::eventually;
use crate::thing::drained;
use crate::workload::Random;

const FAULT: &str = "3 SIGKILL of Redis";
const DEADLINE: Duration = Duration::from_secs(180);

/// Goes on whatever becomes of Redis. What an `XADD` did whose answer was lost is not known; no number is used twice.
struct Producer {
    /// Held for each write; a test that holds it has silence.
    turn: Arc<Mutex<()>>,
    produced: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Producer {
    fn start(ledger: Ledger, redis: Arc<RedisServer>) -> Self {
        let (turn, produced) = (Arc::new(Mutex::new(())), Arc::new(AtomicU64::new(0)));
        let (its_turn, used) = (turn.clone(), produced.clone());
        let task = tokio::spawn(async move {
            const AT_ONCE: u64 = 40;
            let mut connection: Option<MultiplexedConnection> = None;
            loop {
                sleep(Duration::from_millis(10)).await;
                let _turn = its_turn.lock().await;
                let Some(open) = &mut connection else {
                    connection = redis.try_connection().await.ok();
                    continue;
                };
                let first = used.fetch_add(AT_ONCE, Ordering::SeqCst);
                if ledger.try_produce(open, first..first + AT_ONCE).await.is_err() {
                    connection = None;
                }
            }
        });
        Producer { turn, produced, task }
    }

    fn produced(&self) -> u64 {
        self.produced.load(Ordering::SeqCst)
    }

    /// Nothing is written while the answer is held.
    async fn silence(&self) -> OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A producer, Redis, a pipeline and a database, all at work.
struct Works {
    ledger: Ledger,
    redis: Arc<RedisServer>,
    database: TestDatabase,
    pipeline: PipelineProcess,
    producer: Producer,
}

impl Works {
    async fn start(kind: Kind, redis: RedisBuilder) -> Self {
        let ledger = Ledger { bad_permille: 5 };
        let redis = Arc::new(redis.start());
        let database = TestDatabase::new(kind).await;
        ledger.create_table(&database).await;
        let pipeline = PipelineProcess::start(&ledger.config(&redis, &database, 2), &[]);
        let producer = Producer::start(ledger, redis.clone());
        Works { ledger, redis, database, pipeline, producer }
    }

    /// Waits until more events have been applied: the pipeline works again.
    async fn some_more(&self) {
        const MORE: u64 = 400;
        let before = self.applied().await.unwrap_or(0);
        eventually(DEADLINE, "more events to be applied", async || {
            let now = self.applied().await?;
            if now >= before + MORE { Ok(()) } else { Err(format!("{now} of {STREAM} applied, {before} before")) }
        })
        .await;
    }

    async fn applied(&self) -> Result<u64, String> {
        let rows = self.database.try_rows("SELECT count(*) FROM ledger").await?;
        rows[0][0].as_deref().unwrap_or("0").parse().map_err(|error| format!("{error}"))
    }

    /// The furthest position of any lane.
    async fn checkpoint(&self) -> (u64, u64) {
        let rows = self.database.rows("SELECT last_id FROM write_behind_checkpoint").await;
        rows.into_iter().flatten().flatten().map(|id| parsed(&id)).max().expect("a checkpoint")
    }

    /// Silences the producer, asserts everything, and that the end of the pipeline changes nothing.
    async fn finish(self) -> Found {
        let _silence = self.producer.silence().await;
        let mut connection = self.redis.connection().await;
        let produced = self.producer.produced();
        check(&self.ledger, &self.database, &mut connection, produced, DEADLINE).await;
        drained(self.pipeline).await;
        check(&self.ledger, &self.database, &mut connection, produced, DEADLINE).await
    }
}

fn parsed(id: &str) -> (u64, u64) {
    let parts = id.split_once('-').and_then(|(ms, seq)| Some((ms.parse().ok()?, seq.parse().ok()?)));
    parts.expect("an id")
}

/// The file has all that was written: what the kernel was given, a SIGKILL does not take away.
async fn killed(kind: Kind) {
    let run = Run::of(FAULT, "AOF everysec, producers go on", kind);
    let kills = sized(3, 20);
    let works = Works::start(kind, RedisServer::builder()).await;
    let mut random = Random::new(3);
    for _ in 0..kills {
        works.some_more().await;
        sleep(Duration::from_millis(random.below(100))).await;
        works.redis.kill();
        sleep(Duration::from_millis(random.below(50))).await;
        works.redis.restart();
    }
    works.some_more().await;
    let alarms = alarms(&works.pipeline);
    let found = works.finish().await;
    // Redis may put off a write while the disk is busy with the last sync, for at most two seconds.
    assert!(found.lost > 0 || alarms == 0, "{alarms} alarms, and nothing was lost");
    run.held(kills, found.events, format!("{} applied events lost by Redis, {alarms} alarms", found.lost));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_sqlite() {
    killed(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_postgres() {
    killed(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_mariadb() {
    killed(Kind::MariaDb).await;
}

/// What Redis does not have any more once it is back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// The last bytes of the append-only file, as after a loss of power.
    AppendOnlyFile,
    /// All since the last snapshot.
    Snapshot,
}

/// The pipeline has applied what Redis loses, and must neither repeat nor skip anything. In every other round the
/// producer is silent until the pipeline has noticed, so that it is known that there is something to notice.
async fn lost_tail(kind: Kind, tail: Tail, kills: u64, run: Run) {
    let redis = match tail {
        Tail::AppendOnlyFile => RedisServer::builder(),
        Tail::Snapshot => RedisServer::builder().args(["--appendonly", "no"]),
    };
    let works = Works::start(kind, redis).await;
    let mut random = Random::new(4);
    let mut resets = 0;
    for kill in 0..kills {
        works.some_more().await;
        if tail == Tail::Snapshot && kill > 0 {
            let () = redis::cmd("SAVE").query_async(&mut works.redis.connection().await).await.expect("a snapshot");
            works.some_more().await;
        }
        sleep(Duration::from_millis(random.below(100))).await;
        let mut silence = None;
        if kill % 2 == 0 {
            silence = Some(works.producer.silence().await);
            caught_up(&works.database, &mut works.redis.connection().await, DEADLINE).await;
        }
        works.redis.kill();
        // Without Redis it can go forward by what is under way, never back.
        let (checkpoint, before) = (works.checkpoint().await, alarms(&works.pipeline));
        loop {
            if tail == Tail::AppendOnlyFile {
                works.redis.cut_append_only_file(4_000 + random.below(30_000));
            }
            works.redis.restart();
            let newest = parsed(&newest(&mut works.redis.connection().await).await);
            if silence.is_none() || newest < checkpoint {
                break;
            }
            // What was cut were only counters: more.
            assert!(tail == Tail::AppendOnlyFile, "back at a snapshot, and nothing is lost");
            works.redis.kill();
        }
        if silence.is_some() {
            alarmed(&works.pipeline, before + 1, DEADLINE).await;
            resets += 1;
        }
    }
    works.some_more().await;
    let raised = alarms(&works.pipeline);
    let found = works.finish().await;
    assert!(found.lost > 0, "nothing was lost");
    run.held(
        kills,
        found.events,
        format!("{} applied events lost by Redis, {raised} alarms for {resets} sure resets", found.lost),
    );
}

async fn lost_end_of_the_file(kind: Kind) {
    let run = Run::of(FAULT, "and the end of the AOF is lost, as without power", kind);
    lost_tail(kind, Tail::AppendOnlyFile, sized(3, 20), run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_end_of_its_file_lost_sqlite() {
    lost_end_of_the_file(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_end_of_its_file_lost_postgres() {
    lost_end_of_the_file(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_end_of_its_file_lost_mariadb() {
    lost_end_of_the_file(Kind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn back_at_an_old_snapshot() {
    let run = Run::of(FAULT, "and all since the last snapshot is lost", Kind::Sqlite);
    lost_tail(Kind::Sqlite, Tail::Snapshot, sized(3, 8), run).await;
}
