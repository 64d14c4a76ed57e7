//! A stream `stream:thing` of one pipeline, with its own Redis and database: what most small tests need.

use std::time::Duration;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;
use crate::workload::redis_yaml;

pub const DEADLINE: Duration = Duration::from_secs(60);

pub struct Setting {
    pub redis: RedisServer,
    pub connection: MultiplexedConnection,
    pub database: TestDatabase,
}

impl Setting {
    pub async fn new(kind: Kind, redis: RedisServer, table: &str) -> Self {
        let database = TestDatabase::new(kind).await;
        database.execute(table).await;
        let connection = redis.connection().await;
        Setting { redis, connection, database }
    }

    pub fn start(&self, stream: &str) -> PipelineProcess {
        let config = redis_yaml(self.redis.port()) + &self.database.settings_yaml() + "streams:\n  thing:\n" + stream;
        PipelineProcess::start(&config, &[])
    }

    pub async fn add(&mut self, fields: &[(&str, &str)]) -> String {
        self.connection.xadd("stream:thing", "*", fields).await.expect("redis takes the entry")
    }

    pub async fn rows(&self, sql: &str) -> Vec<String> {
        let rows = self.database.rows(sql).await.into_iter();
        rows.map(|row| row.into_iter().map(|value| value.unwrap_or("NULL".into())).collect::<Vec<_>>().join("|"))
            .collect()
    }
}

pub async fn reads(pipeline: &PipelineProcess) {
    eventually(DEADLINE, "the pipeline to read", async || {
        if pipeline.stderr().contains("reading stream") { Ok(()) } else { Err(pipeline.stderr()) }
    })
    .await;
}

pub async fn drained(pipeline: PipelineProcess) {
    // It may have found everything done already, and not yet have come so far as to hear signals.
    reads(&pipeline).await;
    pipeline.terminate();
    assert_eq!(pipeline.wait_exit(DEADLINE).await, Some(0), "{}", pipeline.stderr());
}
