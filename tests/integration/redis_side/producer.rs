//! Producing: what is in Redis after each outcome, exactly.

use std::time::Duration;

use serde_json::json;
use write_behind::event::StreamId;
use write_behind::settings::{DocumentSource, DocumentStore, Durability, ProducerSettings, RedisSettings};
use write_behind::stream::connection::{RedisClient, RedisConnection};
use write_behind::stream::dummy;
use write_behind::stream::producer::{Producer, WRITES_PER_ROUND_TRIP};
use write_behind::stream::reader::read_after;
use write_behind::stream::write::{ProduceError, Reached, Write};

use super::{client, connect, connect_to_read, log, run, settings, stream, try_run};
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;

const NONE: Durability = Durability::None;

async fn producer_with(server: &RedisServer, document: DocumentStore, durability: Durability) -> Producer {
    let streams = [stream("users", DocumentSource::Auto), stream(dummy::ENTITY, DocumentSource::Auto)];
    let settings = ProducerSettings { document, durability };
    Producer::connect(client(server), &settings, &log(true), &streams).await.unwrap()
}

async fn producer(server: &RedisServer) -> Producer {
    producer_with(server, DocumentStore::Auto, NONE).await
}

/// The entries of a stream, each as `name=value` in order.
async fn entries(connection: &mut RedisConnection, stream: &str) -> Vec<Vec<String>> {
    let entries: Vec<(String, Vec<String>)> = run(connection, &["XRANGE", stream, "-", "+"]).await;
    let shown = |pair: &[String]| format!("{}={}", pair[0], pair[1]);
    entries.iter().map(|(_, fields)| fields.chunks(2).map(shown).collect()).collect()
}

/// Counters and lengths of the log streams: success, fail, success log, failed log.
async fn counted(connection: &mut RedisConnection, entity: &str) -> (i64, i64, usize, usize) {
    let count = async |connection: &mut RedisConnection, name: &str| -> i64 {
        let key = format!("metrics:{entity}:redis:{name}");
        run::<Option<i64>>(connection, &["GET", &key]).await.unwrap_or_default()
    };
    (
        count(connection, "success").await,
        count(connection, "fail").await,
        entries(connection, "log:insert:ok").await.len(),
        entries(connection, "log:insert:failed").await.len(),
    )
}

/// A field of an entry shown by [`entries`].
fn field<'a>(entry: &'a [String], name: &str) -> &'a str {
    let found = entry.iter().find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name} in {entry:?}"))
}

#[tokio::test]
async fn a_plain_server_gets_strings_entries_counters_and_log() {
    let server = RedisServer::start();
    let (mut producer, mut redis) = (producer(&server).await, connect(&server).await);
    let receipt = producer.insert_document("users", &json!({"name": "Ada"})).await.unwrap();
    let uuid = receipt.key.strip_prefix("users:").unwrap().parse::<uuid::Uuid>().unwrap();
    assert_eq!(uuid.get_version_num(), 7);
    assert_eq!((receipt.reached, receipt.uncounted.as_deref()), (Reached::default(), None));
    assert_eq!(run::<String>(&mut redis, &["GET", &receipt.key]).await, r#"{"name":"Ada"}"#);
    let updated = producer.update_document("users", &receipt.key, &json!({"name": "Eva"})).await.unwrap();
    assert_eq!(run::<String>(&mut redis, &["GET", &receipt.key]).await, r#"{"name":"Eva"}"#);
    let deleted = producer.delete_document("users", &receipt.key).await.unwrap();
    assert_eq!(run::<i64>(&mut redis, &["EXISTS", &receipt.key]).await, 0);
    assert!(receipt.id < updated.id && updated.id < deleted.id);

    let mut reading = connect_to_read(&server).await;
    let ids = read_after(&mut reading, "stream:users", StreamId::ZERO, 10, None).await.unwrap();
    assert_eq!(ids.iter().map(|entry| entry.id).collect::<Vec<_>>(), [receipt.id, updated.id, deleted.id]);
    let entries_there = entries(&mut redis, "stream:users").await;
    let logged = entries(&mut redis, "log:insert:ok").await;
    for ((entry, line), op) in entries_there.iter().zip(&logged).zip(["insert", "update", "delete"]) {
        let time = field(entry, "timestamp");
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
        let (key, op) = (format!("key={}", receipt.key), format!("op={op}"));
        assert_eq!(*entry, [key.clone(), op.clone(), format!("timestamp={time}")]);
        let names = ["entity=users", "stream=stream:users"].map(str::to_owned);
        assert_eq!(*line, [names.to_vec(), vec![op, key, format!("timestamp={time}")]].concat());
    }
    assert_eq!(counted(&mut redis, "users").await, (3, 0, 3, 0));
}

#[tokio::test]
async fn a_server_with_redisjson_gets_json() {
    let server = RedisServer::start_with_json();
    let (mut producer, mut redis) = (producer(&server).await, connect(&server).await);
    let receipt = producer.insert_document("users", &json!({"name": "Ada", "tags": [1]})).await.unwrap();
    assert_eq!(run::<String>(&mut redis, &["TYPE", &receipt.key]).await, "ReJSON-RL");
    assert_eq!(run::<String>(&mut redis, &["JSON.GET", &receipt.key]).await, r#"{"name":"Ada","tags":[1]}"#);
    assert_eq!(entries(&mut redis, "stream:users").await.len(), 1);
}

#[tokio::test]
async fn inline_documents_are_in_the_entry_alone() {
    let server = RedisServer::start_with_json();
    let mut redis = connect(&server).await;
    let mut producer = producer_with(&server, DocumentStore::Inline, NONE).await;
    let ack = uuid::Uuid::from_u128(7);
    let write = Write::insert(&json!({"n": 1})).unwrap().at("users:1").with_ack(ack);
    producer.write("users", write, NONE).await.unwrap();
    producer.delete_document("users", "users:1").await.unwrap();
    let entries = entries(&mut redis, "stream:users").await;
    assert_eq!(field(&entries[0], "payload"), r#"{"n":1}"#);
    assert_eq!(field(&entries[0], "ack"), ack.to_string());
    assert_eq!(field(&entries[1], "op"), "delete");
    assert_eq!(run::<i64>(&mut redis, &["EXISTS", "users:1"]).await, 0);
}

#[tokio::test]
async fn many_writes_keep_their_order_and_are_all_counted() {
    let server = RedisServer::start();
    let (mut producer, mut redis) = (producer(&server).await, connect(&server).await);
    let total = 2 * WRITES_PER_ROUND_TRIP + 3;
    let writes: Vec<_> = (0..total).map(|n| Write::insert(&json!({"n": n})).unwrap()).collect();
    let receipts: Vec<_> =
        producer.write_all("users", writes, NONE).await.into_iter().map(|result| result.unwrap()).collect();
    assert!(receipts.windows(2).all(|pair| pair[0].id < pair[1].id && pair[0].key < pair[1].key));
    assert_eq!(counted(&mut redis, "users").await, (total as i64, 0, total, 0));
    for (n, receipt) in receipts.iter().enumerate().step_by(97) {
        assert_eq!(run::<String>(&mut redis, &["GET", &receipt.key]).await, format!(r#"{{"n":{n}}}"#));
    }
    let actions = producer.insert_dummy_user_actions(WRITES_PER_ROUND_TRIP + 1).await.unwrap();
    let more = producer.insert_dummy_user_actions(1).await.unwrap();
    let want = serde_json::to_string(&dummy::user_action(0, actions.len() as u64)).unwrap();
    assert_eq!(run::<String>(&mut redis, &["GET", &more[0].key]).await, want);
    assert_eq!(counted(&mut redis, dummy::ENTITY).await.0, actions.len() as i64 + 1);
}

#[tokio::test]
async fn an_error_inside_exec_is_an_error_and_no_success() {
    let server = RedisServer::start_with_json();
    let (mut producer, mut redis) = (producer(&server).await, connect(&server).await);
    run::<i64>(&mut redis, &["RPUSH", "users:1", "x"]).await;
    let error = producer.update_document("users", "users:1", &json!({"n": 1})).await.unwrap_err();
    assert!(matches!(error, ProduceError::Partial { .. }), "{error:?}");
    for part in ["stream:users", "users:1", "JSON.SET", "wrong Redis type", "is in the stream"] {
        assert!(error.to_string().contains(part), "`{part}` in: {error}");
    }
    assert_eq!(counted(&mut redis, "users").await, (0, 1, 0, 1));
    assert_eq!(field(&entries(&mut redis, "log:insert:failed").await[0], "key"), "users:1");
    producer.insert_document("users", &json!({})).await.unwrap();
    assert_eq!(counted(&mut redis, "users").await, (1, 1, 1, 1));
}

#[tokio::test]
async fn a_refused_write_is_counted_as_soon_as_redis_can_be_told() {
    let server = RedisServer::start();
    let (mut producer, mut redis) = (producer(&server).await, connect(&server).await);
    run::<()>(&mut redis, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let error = producer.insert_document("users", &json!({})).await.unwrap_err();
    assert!(matches!(&error, ProduceError::Refused { failure, .. } if failure.is_transient()), "{error:?}");
    assert!(error.to_string().contains("OOM") && error.to_string().contains("maxmemory"), "{error}");
    assert_eq!(counted(&mut redis, "users").await, (0, 0, 0, 0), "the counter was refused as well");
    run::<()>(&mut redis, &["CONFIG", "SET", "maxmemory", "0"]).await;
    producer.insert_document("users", &json!({})).await.unwrap();
    assert_eq!(counted(&mut redis, "users").await, (1, 1, 1, 0));
    assert_eq!(entries(&mut redis, "stream:users").await.len(), 1);
}

#[tokio::test]
async fn a_counter_that_cannot_count_does_not_fail_the_write() {
    let server = RedisServer::start();
    let (mut producer, mut redis) = (producer(&server).await, connect(&server).await);
    run::<()>(&mut redis, &["SET", "metrics:users:redis:success", "many"]).await;
    let receipt = producer.insert_document("users", &json!({})).await.unwrap();
    assert!(receipt.uncounted.is_some_and(|why| why.contains("not an integer")));
}

#[tokio::test]
async fn replicas_that_are_not_there_are_reported_and_counted() {
    let server = RedisServer::start();
    let (mut producer, mut redis) = (producer(&server).await, connect(&server).await);
    let wanted = Durability::Replicas { replicas: 1, timeout: Duration::from_millis(50) };
    let error = producer.insert_document_with("users", &json!({"n": 1}), wanted).await.unwrap_err();
    let ProduceError::NotDurable { key, id, wanted: told, reached_local, reached_replicas, cause } = &error else {
        panic!("{error:?}")
    };
    assert_eq!((*told, *reached_local, *reached_replicas, cause), (wanted, 0, 0, &None));
    assert_eq!(run::<String>(&mut redis, &["GET", key]).await, r#"{"n":1}"#, "the write is there all the same");
    assert_eq!(counted(&mut redis, "users").await, (0, 1, 0, 1));
    let line = entries(&mut redis, "log:insert:failed").await.remove(0);
    assert_eq!((field(&line, "id"), field(&line, "key")), (id.to_string().as_str(), key.as_str()));
    assert_eq!((field(&line, "wanted"), field(&line, "reached_replicas")), ("1 replicas within 50 ms", "0"));
}

#[tokio::test]
async fn a_wait_may_take_longer_than_an_answer() {
    let server = RedisServer::start();
    let quick = RedisSettings { response_timeout: Duration::from_millis(400), ..settings(&server) };
    let wanted = Durability::Replicas { replicas: 1, timeout: Duration::from_millis(900) };
    let producing = ProducerSettings { document: DocumentStore::Auto, durability: wanted };
    let streams = [stream("users", DocumentSource::Auto)];
    let mut producer = Producer::connect(RedisClient::new(&quick), &producing, &log(true), &streams).await.unwrap();
    let error = producer.insert_document("users", &json!({})).await.unwrap_err();
    assert!(matches!(error, ProduceError::NotDurable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_replica_that_follows_is_reached() {
    let (server, replica) = (RedisServer::start(), RedisServer::start());
    let (mut redis, mut follower) = (connect(&server).await, connect(&replica).await);
    run::<()>(&mut follower, &["REPLICAOF", "127.0.0.1", &server.port().to_string()]).await;
    eventually(Duration::from_secs(30), "the replica follows", async || {
        let info: String = run(&mut follower.clone(), &["INFO", "replication"]).await;
        if info.contains("master_link_status:up") { Ok(()) } else { Err(info) }
    })
    .await;
    let wanted = Durability::Replicas { replicas: 1, timeout: Duration::from_secs(20) };
    let mut producer = producer_with(&server, DocumentStore::Auto, wanted).await;
    let receipt = producer.insert_document("users", &json!({"n": 1})).await.unwrap();
    assert_eq!(receipt.reached, Reached { local: 0, replicas: 1 });
    assert_eq!(run::<String>(&mut follower, &["GET", &receipt.key]).await, r#"{"n":1}"#, "it was there at once");
    let writes = (0..20).map(|n| Write::insert(&json!({"n": n})).unwrap()).collect();
    assert!(producer.write_all("users", writes, wanted).await.iter().all(Result::is_ok));
    assert_eq!(counted(&mut redis, "users").await, (21, 0, 21, 0));
    let line = entries(&mut redis, "log:insert:ok").await.remove(0);
    assert_eq!((field(&line, "id"), field(&line, "reached_replicas")), (receipt.id.to_string().as_str(), "1"));
    let two = Durability::Replicas { replicas: 2, timeout: Duration::from_millis(50) };
    let error = producer.delete_document_with("users", &receipt.key, two).await.unwrap_err();
    assert!(matches!(error, ProduceError::NotDurable { reached_replicas: 1, .. }), "{error:?}");
    assert_eq!(counted(&mut redis, "users").await, (21, 1, 21, 1));
}

#[tokio::test]
async fn the_append_only_file_is_reached() {
    let server = RedisServer::start_v8();
    let (mut producer, mut redis) = (producer(&server).await, connect(&server).await);
    let wanted = Durability::Aof { local: 1, replicas: 0, timeout: Duration::from_secs(20) };
    let receipt = producer.insert_document_with("users", &json!({}), wanted).await.unwrap();
    assert_eq!(receipt.reached, Reached { local: 1, replicas: 0 });
    assert_eq!(counted(&mut redis, "users").await, (1, 0, 1, 0));
    run::<()>(&mut redis, &["CONFIG", "SET", "appendonly", "no"]).await;
    let error = producer.insert_document_with("users", &json!({}), wanted).await.unwrap_err();
    assert!(matches!(&error, ProduceError::NotDurable { cause: Some(_), .. }), "{error:?}");
    assert!(error.to_string().contains("appendonly"), "{error}");
    assert_eq!(counted(&mut redis, "users").await, (1, 1, 1, 1));
}

#[tokio::test]
async fn an_old_server_without_waitaof_is_named_before_anything_is_written() {
    let server = RedisServer::start();
    let (mut producer, mut redis) = (producer(&server).await, connect(&server).await);
    let wanted = Durability::Aof { local: 1, replicas: 0, timeout: Duration::from_secs(1) };
    let error = producer.insert_document_with("users", &json!({}), wanted).await.unwrap_err();
    for part in ["WAITAOF", "7.2", "is 7.", "nothing was written"] {
        assert!(error.to_string().contains(part), "`{part}` in: {error}");
    }
    assert_eq!(run::<i64>(&mut redis, &["DBSIZE"]).await, 0);
}

#[tokio::test]
async fn a_dead_server_is_reported_and_the_producer_comes_back_with_it() {
    let server = RedisServer::start();
    let mut producer = producer(&server).await;
    producer.insert_document("users", &json!({})).await.unwrap();
    // The append-only file is synced once a second; SIGKILL alone does not lose what was written to it.
    server.kill();
    let first = producer.insert_document("users", &json!({})).await.unwrap_err();
    assert!(matches!(first, ProduceError::Unanswered { .. }), "{first:?}");
    let writes = (0..WRITES_PER_ROUND_TRIP + 1).map(|_| Write::insert(&json!({})).unwrap()).collect();
    for result in producer.write_all("users", writes, NONE).await {
        assert!(matches!(result, Err(ProduceError::Unavailable { .. })), "{result:?}");
    }
    server.restart();
    producer.insert_document("users", &json!({})).await.unwrap();
    let (success, fail, ..) = counted(&mut connect(&server).await, "users").await;
    assert_eq!((success, fail), (2, 1 + WRITES_PER_ROUND_TRIP as i64 + 1));
}

#[tokio::test]
async fn what_the_settings_do_not_allow_writes_nothing() {
    let server = RedisServer::start();
    let (mut producer, mut redis) = (producer(&server).await, connect(&server).await);
    let error = producer.insert_document("orders", &json!({})).await.unwrap_err();
    assert!(error.to_string().contains("`orders`") && error.to_string().contains("`users`"), "{error}");
    let error = producer.insert_document("users", &json!([1])).await.unwrap_err();
    assert!(matches!(error, ProduceError::Document { .. }), "{error:?}");
    let error = producer.update_document("users", "", &json!({})).await.unwrap_err();
    assert!(matches!(error, ProduceError::Configuration(_)), "{error:?}");
    let settings = ProducerSettings { document: DocumentStore::Json, durability: NONE };
    let streams = [stream("users", DocumentSource::Auto)];
    let mut json = Producer::connect(client(&server), &settings, &log(false), &streams).await.unwrap();
    let error = json.insert_document("users", &json!({})).await.unwrap_err();
    assert!(error.to_string().contains("RedisJSON"), "{error}");
    assert_eq!(run::<i64>(&mut redis, &["DBSIZE"]).await, 0);
    run::<()>(&mut redis, &["ACL", "SETUSER", "default", "-multi"]).await;
    let failure = Producer::connect(client(&server), &settings, &log(false), &streams).await.unwrap_err();
    assert!(!failure.is_transient() && failure.to_string().contains("MULTI"), "{failure}");
    assert!(try_run::<()>(&mut redis, &["MULTI"]).await.is_err());
}
