//! Redis loses entries: trimmed before they were read, or gone with the end of the stream. It is noticed, alarmed and
//! counted, and nothing that comes after is passed over.

mod failover;
mod reset;
pub mod survivors;
mod trimmed;

use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::ledger::IMPATIENT;
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::workload::redis_yaml;

const FAULT: &str = "10 Redis loses entries";
const STREAM: &str = "stream:thing";
const DEADLINE: Duration = Duration::from_secs(120);

async fn prepare() -> (RedisServer, TestDatabase) {
    let database = TestDatabase::new(Kind::Sqlite).await;
    database.execute("CREATE TABLE thing (n bigint)").await;
    (RedisServer::start(), database)
}

fn start(redis: &RedisServer, database: &TestDatabase, more: &str) -> PipelineProcess {
    let stream = "streams:\n  thing:\n    document: fields\n    columns: {n: n}\n    block_ms: 100\n";
    PipelineProcess::start(&(redis_yaml(redis.port()) + &database.settings_yaml() + stream + more + IMPATIENT), &[])
}

/// Adds entries in one step, so that no reader sees what lies between.
async fn add(connection: &mut MultiplexedConnection, count: u64) {
    let mut pipe = redis::pipe();
    pipe.atomic();
    for n in 0..count {
        pipe.xadd(STREAM, "*", &[("n", n)]).ignore();
    }
    pipe.query_async::<()>(connection).await.expect("redis takes the entries");
}
