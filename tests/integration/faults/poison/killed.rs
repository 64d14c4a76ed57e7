//! SIGKILL of the pipeline while it bisects.

use std::time::Duration;

use super::super::ledger::Ledger;
use super::super::report::{Run, sized};
use super::{DEADLINE, FAULT, config, letters_say_why};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;
use crate::workload::Random;

/// With half of the events bad no batch goes through at once: a pipeline that has not done everything is bisecting.
async fn killed_while_bisecting(kind: Kind) {
    let run = Run::of(FAULT, "50 % bad, and SIGKILL in the middle of a bisection", kind);
    let (portion, kills) = sized((800, 4), (700, 12));
    let ledger = Ledger { bad_permille: 500 };
    let redis = RedisServer::start();
    let database = TestDatabase::new(kind).await;
    ledger.create_table(&database).await;
    let mut random = Random::new(8);
    let mut connection = redis.connection().await;
    let config = config(&ledger, &redis, &database, 2, 300);
    let (mut events, mut hit) = (0, 0);
    let mut before = 0;
    // On a busy machine a kill may come after everything is done: that one does not count.
    for _ in 0..10 * kills {
        ledger.produce(&mut connection, events..events + portion).await;
        events += portion;
        let pipeline = PipelineProcess::start(&config, &["run"]);
        eventually(DEADLINE, "some more events done", async || {
            let rows = database.try_rows(DONE).await?;
            let done: u64 = rows[0][0].as_deref().unwrap_or("0").parse().map_err(|error| format!("{error}"))?;
            if done > before { Ok(()) } else { Err(format!("{done} done")) }
        })
        .await;
        tokio::time::sleep(Duration::from_millis(random.below(80))).await;
        pipeline.kill();
        before = database.number(DONE).await;
        hit += u64::from(before < events);
        if hit == kills {
            break;
        }
    }
    assert_eq!(hit, kills, "kills that hit a bisection");
    let pipeline = PipelineProcess::start(&config, &["run"]);
    ledger.finish(pipeline, &database, &mut connection, events, DEADLINE).await;
    letters_say_why(&ledger, &database, &mut connection).await;
    let letters = database.count("write_behind_dead_letter").await as u64;
    run.held(hit, events, format!("{letters} dead letters"));
}

const DONE: &str = "SELECT (SELECT count(*) FROM ledger) + (SELECT count(*) FROM write_behind_dead_letter)";

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_bisecting_sqlite() {
    killed_while_bisecting(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_bisecting_postgres() {
    killed_while_bisecting(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_bisecting_mariadb() {
    killed_while_bisecting(Kind::MariaDb).await;
}
