//! A real fail-over: the primary dies, and its replica, which lacks the end of the stream, is promoted.

use redis::AsyncCommands;

use super::super::ledger::{HASTY, IMPATIENT, Ledger, STREAM};
use super::super::report::{Run, sized};
use super::survivors::{alarmed, alarms, caught_up, check};
use super::{DEADLINE, FAULT};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::proxy::Proxy;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;
use crate::thing::drained;
use crate::workload::redis_yaml;

async fn fails_over(kind: Kind) {
    const REPLICATED: u64 = 400;
    const LOST: u64 = 300;
    const AFTERWARDS: u64 = 200;
    let run = Run::of(FAULT, "a replica that lacks the end is promoted", kind);
    // None is bad: of two dead letters with one entry id only the newer one is kept.
    let ledger = Ledger { bad_permille: 0 };
    let database = TestDatabase::new(kind).await;
    ledger.create_table(&database).await;
    let (mut primary, mut replica) = (RedisServer::start(), RedisServer::start());
    stand_still(&primary).await;
    let front = Proxy::start(primary.port()).await;
    let config = redis_yaml(front.port())
        + &database.settings_yaml_through(database.access().port)
        + HASTY
        + IMPATIENT
        + &ledger.streams_yaml(2);
    let pipeline = PipelineProcess::start(&config, &[]);
    let (mut produced, times) = (0, sized(1, 4));
    for _ in 0..times {
        let link = Proxy::start(primary.port()).await;
        replica.replicate(Some(link.port())).await;
        let mut connection = primary.connection().await;
        ledger.produce(&mut connection, produced..produced + REPLICATED).await;
        produced += REPLICATED;
        eventually(DEADLINE, "the replica to have it all", async || {
            let wait = redis::cmd("WAIT").arg(1).arg(1_000).query_async(&mut connection).await;
            let replicas: u64 = wait.map_err(|error| error.to_string())?;
            if replicas == 1 { Ok(()) } else { Err("it lags behind".to_owned()) }
        })
        .await;
        // The replica hears no more of it, but the pipeline does.
        link.stall();
        ledger.produce(&mut connection, produced..produced + LOST).await;
        produced += LOST;
        caught_up(&database, &mut connection, DEADLINE).await;

        primary.kill();
        let (refused, before) = (disbelieved(&pipeline), alarms(&pipeline));
        front.lead_to(replica.port());
        // Until it is promoted it may only lag behind: nothing is concluded from what it lacks.
        eventually(DEADLINE, "the replica not to be believed", async || {
            if disbelieved(&pipeline) > refused { Ok(()) } else { Err(pipeline.stderr()) }
        })
        .await;
        assert_eq!(alarms(&pipeline), before, "a replica is never believed: {}", pipeline.stderr());
        replica.replicate(None).await;
        alarmed(&pipeline, before + 1, DEADLINE).await;
        let mut connection = replica.connection().await;
        ledger.produce(&mut connection, produced..produced + AFTERWARDS).await;
        produced += AFTERWARDS;
        caught_up(&database, &mut connection, DEADLINE).await;
        // The old primary comes back as the next replica, and gives up what only it had.
        primary.restart();
        std::mem::swap(&mut primary, &mut replica);
    }
    let mut connection = primary.connection().await;
    let found = check(&ledger, &database, &mut connection, produced, DEADLINE).await;
    assert_eq!((found.events, found.lost), (produced, times * LOST), "all events, and those that Redis lost");
    let alarms = alarms(&pipeline);
    assert_eq!(alarms, times, "alarms");
    drained(pipeline).await;
    check(&ledger, &database, &mut connection, produced, DEADLINE).await;
    run.held(times, produced, format!("{alarms} alarms, {} applied events lost by Redis", found.lost));
}

/// Puts the stream's newest id into the future, where Redis only counts on from it. So new entries get the very ids of
/// those that were lost, as on a server whose clock is behind.
async fn stand_still(redis: &RedisServer) {
    let mut connection = redis.connection().await;
    let id: String = connection.xadd(STREAM, "9000000000000-0", &[("a", "b")]).await.expect("an entry");
    let () = connection.xdel(STREAM, &[id]).await.expect("it is deleted");
}

fn disbelieved(pipeline: &PipelineProcess) -> usize {
    pipeline.stderr().matches("but the server is a replica").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_replica_that_lacks_the_end_is_followed_sqlite() {
    fails_over(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_replica_that_lacks_the_end_is_followed_postgres() {
    fails_over(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_replica_that_lacks_the_end_is_followed_mariadb() {
    fails_over(Kind::MariaDb).await;
}
