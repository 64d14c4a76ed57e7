//! SIGKILL of the pipeline at random moments, restarted at once each time.

use std::time::Duration;

use super::ledger::{Ledger, STREAM};
use super::report::{Run, sized};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;
use crate::workload::Random;

const DEADLINE: Duration = Duration::from_secs(300);

async fn killed(kind: Kind) {
    let run = Run::of("1 SIGKILL of the pipeline", "at random moments, restarted at once", kind);
    let (events, kills) = sized((20_000, 5), (200_000, 50));
    let ledger = Ledger { bad_permille: 2 };
    let redis = RedisServer::start();
    let database = TestDatabase::new(kind).await;
    ledger.create_table(&database).await;
    let config = ledger.config(&redis, &database, 2) + "    batch_size: 250\n";
    let mut random = Random::new(1);
    let mut connection = redis.connection().await;
    ledger.produce(&mut connection, 0..events).await;
    for kill in 0..kills {
        let pipeline = PipelineProcess::start(&config, &["run"]);
        // Not before the process has got somewhere, or later kills would hit nothing but starts.
        done_at_least(&database, (kill + 1) * events / (kills + 5)).await;
        tokio::time::sleep(Duration::from_millis(random.below(60))).await;
        pipeline.kill();
    }
    let pipeline = PipelineProcess::start(&config, &["run"]);
    ledger.finish(pipeline, &database, &mut connection, events, DEADLINE).await;
    run.held(kills, events, "");
}

async fn done_at_least(database: &TestDatabase, least: u64) {
    eventually(DEADLINE, &format!("{least} events applied"), async || {
        let rows = database.try_rows("SELECT count(*) FROM ledger").await?;
        let count: u64 = rows[0][0].as_deref().unwrap_or("0").parse().map_err(|error| format!("{error}"))?;
        if count >= least { Ok(()) } else { Err(format!("{count} applied of {STREAM}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    killed(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    killed(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb() {
    killed(Kind::MariaDb).await;
}
