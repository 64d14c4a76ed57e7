//! The Redis side against real servers: connections, reading, fetching documents, producing.

mod connections;
mod documents;
mod producer;
mod reader;

use std::time::Duration;

use redis::{Cmd, FromRedisValue};
use write_behind::event::StreamId;
use write_behind::settings::{
    DocumentSource, FieldNames, LogFormat, LogSettings, OnMissing, OnReset, RedisSettings, StartId, StreamSettings,
};
use write_behind::stream::connection::{RedisClient, RedisConnection};
use write_behind::stream::read_connection::ReadConnection;

use crate::support::redis::RedisServer;

/// The settings that reach `server`.
fn settings(server: &RedisServer) -> RedisSettings {
    RedisSettings {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        user: None,
        password: None,
        database: 0,
        replicas: 1,
        connect_timeout: Duration::from_secs(10),
        response_timeout: Duration::from_secs(20),
    }
}

fn client(server: &RedisServer) -> RedisClient {
    RedisClient::new(&settings(server))
}

async fn connect(server: &RedisServer) -> RedisConnection {
    client(server).multiplexed().await.unwrap()
}

/// A connection for reading.
async fn connect_to_read(server: &RedisServer) -> ReadConnection {
    client(server).dedicated(Duration::ZERO).await.unwrap()
}

/// Runs a command given as words.
async fn run<T: FromRedisValue>(connection: &mut RedisConnection, words: &[&str]) -> T {
    try_run(connection, words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

async fn try_run<T: FromRedisValue>(connection: &mut RedisConnection, words: &[&str]) -> redis::RedisResult<T> {
    let mut command = Cmd::new();
    words.iter().for_each(|word| {
        command.arg(*word);
    });
    command.query_async(connection).await
}

/// The settings of an entity whose stream is `stream:<entity>`.
fn stream(entity: &str, document: DocumentSource) -> StreamSettings {
    let name = str::to_owned;
    StreamSettings {
        entity: name(entity),
        stream_name: format!("stream:{entity}"),
        batch_size: 100,
        start_id: StartId::After(StreamId::ZERO),
        block: Duration::from_secs(1),
        document,
        on_missing: OnMissing::Skip,
        on_reset: OnReset::Follow,
        fields: FieldNames {
            key: name("key"),
            op: name("op"),
            payload: name("payload"),
            timestamp: name("timestamp"),
            ack: name("ack"),
        },
        order_by: None,
        lanes: 1,
        transformers: 1,
        max_in_flight_bytes: 1 << 20,
        idle_checkpoint: Duration::from_secs(1),
        filter: None,
        reshape: None,
        key_pattern: None,
        mask_key: None,
        tables: vec![],
    }
}

fn log(enabled: bool) -> LogSettings {
    LogSettings {
        level: slog::Level::Info,
        format: LogFormat::Auto,
        enabled,
        per_event: false,
        max_len: 100_000,
        success_insert: "log:insert:ok".to_owned(),
        failed_insert: "log:insert:failed".to_owned(),
        success_rdbms: "log:rdbms:ok".to_owned(),
        failed_rdbms: "log:rdbms:failed".to_owned(),
    }
}
