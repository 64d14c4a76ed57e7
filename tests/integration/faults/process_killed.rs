//! SIGKILL of the pipeline at random moments, restarted at once each time. Afterwards every event is in the table once,
//! and the log streams have told it once.

mod told;

use std::time::Duration;

use super::ledger::{HASTY, Ledger, STREAM};
use super::owners::checkpoint::{Lock, done_at_least};
use super::report::{Run, sized};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::thing::drained;
use crate::workload::{Random, counted, done};

pub use told::{PER_EVENT, told_once};

const DEADLINE: Duration = Duration::from_secs(300);

/// Small transactions, so that a life between two kills has many of them.
const SMALL: &str = "  transaction_events_max: 500\n";

async fn killed(kind: Kind) {
    let run = Run::of("1 SIGKILL of the pipeline", "at random moments, restarted at once", kind);
    let (events, kills) = sized((20_000, 5), (200_000, 50));
    let ledger = Ledger { bad_permille: 2 };
    let redis = RedisServer::start();
    let database = TestDatabase::new(kind).await;
    ledger.create_table(&database).await;
    let config = ledger.config(&redis, &database, 2).replace(HASTY, &(HASTY.to_owned() + SMALL));
    let config = config + "    batch_size: 250\n" + PER_EVENT;
    let mut producing = redis.connection().await;
    let producer = tokio::spawn(async move { ledger.produce(&mut producing, 0..events).await });
    let mut random = Random::new(1);
    let mut lock = Lock::of(&database).await;
    let mut in_transaction = 0;
    for kill in 1..=kills {
        let pipeline = PipelineProcess::start(&config, &["run"]);
        // Evenly over the work: kills at once after the start would hit nothing but starts.
        done_at_least(&database, kill * events / (kills + 1)).await;
        tokio::time::sleep(Duration::from_millis(random.below(30))).await;
        // Stopped before it is killed, it can be asked what the kill hits.
        pipeline.signal("STOP");
        in_transaction += u64::from(lock.is_held().await);
        pipeline.kill();
    }
    producer.await.expect("all events are produced");
    let pipeline = PipelineProcess::start(&config, &["run"]);
    done(&database, STREAM, events, DEADLINE).await;
    let mut connection = redis.connection().await;
    let entries = ledger.entries(&mut connection).await;
    let bad = entries.iter().filter(|entry| ledger.is_bad(entry.n)).count() as u64;
    counted(&mut connection, "ledger", [events - bad, bad], DEADLINE).await;
    drained(pipeline).await;
    ledger.check_rows(&database, &entries).await;
    let caught_up = told_once(&ledger, &mut connection, &entries).await;
    run.held(kills, events, format!("{in_transaction} in the middle of a transaction; {caught_up} events told later"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_there_and_told_once_sqlite() {
    killed(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_there_and_told_once_postgres() {
    killed(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_there_and_told_once_mariadb() {
    killed(Kind::MariaDb).await;
}
