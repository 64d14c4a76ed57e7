//! Fetching documents of each type.

use bytes::Bytes;
use redis::Cmd;
use write_behind::event::{Document, RejectionClass};
use write_behind::settings::DocumentSource;
use write_behind::stream::connection::RedisConnection;
use write_behind::stream::documents::{DocumentFetcher, Fetched, KEYS_PER_ROUND_TRIP};
use write_behind::stream::failure::FailureKind;
use write_behind::stream::read_connection::ReadConnection;

use super::{connect, connect_to_read, run};
use crate::support::redis::RedisServer;

const BINARY: [u8; 3] = [0xff, 0, b'\n'];

/// Every type there is, at the keys `json`, `string`, `hash`, `list`, `stream`.
async fn fill(connection: &mut RedisConnection, json: bool) {
    if json {
        run::<()>(connection, &["JSON.SET", "json", "$", r#"{"n":[1,2],"s":"ü"}"#]).await;
    }
    run::<()>(connection, &["SET", "string", r#"{"a":1}"#]).await;
    run::<()>(connection, &["HSET", "hash", "z", "1", "a", "2"]).await;
    run::<()>(connection, &["RPUSH", "list", "x"]).await;
    run::<()>(connection, &["XADD", "stream", "*", "a", "b"]).await;
}

async fn fetch(fetcher: &mut DocumentFetcher, connection: &mut ReadConnection, keys: &[&[u8]]) -> Vec<Fetched> {
    let keys: Vec<Bytes> = keys.iter().map(|key| Bytes::copy_from_slice(key)).collect();
    fetcher.fetch(connection, &keys).await.unwrap()
}

fn json(text: &str) -> Fetched {
    Ok(Document::Json(text.to_owned().into()))
}

fn hash() -> Fetched {
    Ok(Document::Fields([("z", "1"), ("a", "2")].into_iter().collect()))
}

fn is_wrong_type(fetched: &Fetched, key: &str, kind: &str) {
    let rejection = fetched.as_ref().expect_err("it is no document");
    assert_eq!(rejection.class, RejectionClass::WrongType);
    assert!(rejection.message.contains(key) && rejection.message.contains(kind), "{rejection}");
}

#[tokio::test]
async fn each_type_is_fetched_and_the_others_are_told_apart() {
    let server = RedisServer::start_with_json();
    let mut connection = connect(&server).await;
    let mut reading = connect_to_read(&server).await;
    fill(&mut connection, true).await;
    let keys: [&[u8]; 8] = [b"json", b"absent", b"string", b"hash", b"list", b"json", b"string", b"hash"];
    let document = [json(r#"{"n":[1,2],"s":"ü"}"#), json(r#"{"a":1}"#), hash()];
    let types = ["RedisJSON", "string", "hash"];
    for (source, good) in [(DocumentSource::Json, 0), (DocumentSource::String, 1), (DocumentSource::Hash, 2)] {
        let mut fetcher = DocumentFetcher::new(source, true);
        for _ in 0..2 {
            let found = fetch(&mut fetcher, &mut reading, &keys).await;
            assert_eq!(found[1], Ok(Document::Missing), "{source:?}");
            is_wrong_type(&found[4], "`list`", "a list");
            for (at, index) in [(0, 0), (2, 1), (3, 2), (5, 0), (6, 1), (7, 2)] {
                if index == good {
                    assert_eq!(found[at], document[good], "{source:?}");
                } else {
                    is_wrong_type(&found[at], std::str::from_utf8(keys[at]).unwrap(), types[index]);
                }
            }
        }
    }
}

#[tokio::test]
async fn auto_takes_whatever_type_a_key_has() {
    let server = RedisServer::start_with_json();
    let mut connection = connect(&server).await;
    let mut reading = connect_to_read(&server).await;
    fill(&mut connection, true).await;
    let keys: [&[u8]; 6] = [b"hash", b"json", b"string", b"absent", b"list", b"stream"];
    let mut fetcher = DocumentFetcher::new(DocumentSource::Auto, true);
    // The guess of each round is the outcome of the one before: it must never change what is found.
    for most in [&b"hash"[..], b"string", b"json", b"hash"] {
        let found = fetch(&mut fetcher, &mut reading, &keys).await;
        assert_eq!(found[..4], [hash(), json(r#"{"n":[1,2],"s":"ü"}"#), json(r#"{"a":1}"#), Ok(Document::Missing)]);
        is_wrong_type(&found[4], "`list`", "a list");
        is_wrong_type(&found[5], "`stream`", "a stream");
        fetch(&mut fetcher, &mut reading, &[most]).await;
    }
}

#[tokio::test]
async fn the_usual_batch_is_one_command() {
    let server = RedisServer::start();
    let mut connection = connect(&server).await;
    let mut reading = connect_to_read(&server).await;
    fill(&mut connection, false).await;
    let mut fetcher = DocumentFetcher::new(DocumentSource::Auto, false);
    fetch(&mut fetcher, &mut reading, &[b"hash"]).await;
    run::<()>(&mut connection, &["CONFIG", "RESETSTAT"]).await;
    for _ in 0..3 {
        assert_eq!(fetch(&mut fetcher, &mut reading, &[b"hash", b"hash"]).await, [hash(), hash()]);
    }
    let stats: String = run(&mut connection, &["INFO", "commandstats"]).await;
    assert!(stats.contains("cmdstat_hgetall:calls=3,"), "{stats}");
    assert!(!stats.contains("cmdstat_type") && !stats.contains("cmdstat_mget"), "{stats}");
}

#[tokio::test]
async fn keys_may_be_any_bytes() {
    let server = RedisServer::start_with_json();
    let mut connection = connect(&server).await;
    let mut reading = connect_to_read(&server).await;
    for (command, args, source, want) in [
        ("JSON.SET", ["$", r#"{"b":1}"#].as_slice(), DocumentSource::Json, json(r#"{"b":1}"#)),
        ("SET", [r#"{"b":2}"#].as_slice(), DocumentSource::String, json(r#"{"b":2}"#)),
        ("HSET", ["f", "v"].as_slice(), DocumentSource::Hash, Ok(Document::Fields([("f", "v")].into_iter().collect()))),
    ] {
        let mut set = Cmd::new();
        set.arg(command).arg(&BINARY).arg(args);
        set.exec_async(&mut connection).await.unwrap();
        for source in [source, DocumentSource::Auto] {
            let mut fetcher = DocumentFetcher::new(source, true);
            let found = fetch(&mut fetcher, &mut reading, &[&BINARY]).await;
            assert_eq!(found.first(), Some(&want), "{command}");
        }
        redis::cmd("DEL").arg(&BINARY).exec_async(&mut connection).await.unwrap();
    }
}

#[tokio::test]
async fn batches_of_any_size_keep_their_order() {
    let server = RedisServer::start_with_json();
    let mut connection = connect(&server).await;
    let mut reading = connect_to_read(&server).await;
    let total = 2 * KEYS_PER_ROUND_TRIP + 7;
    let mut pipeline = redis::pipe();
    for number in 0..total {
        let (key, value) = (format!("k{number}"), format!(r#"{{"n":{number}}}"#));
        match number % 3 {
            0 => pipeline.cmd("JSON.SET").arg(key).arg("$").arg(value).ignore(),
            1 => pipeline.cmd("SET").arg(key).arg(value).ignore(),
            _ => pipeline.cmd("HSET").arg(key).arg("n").arg(number).ignore(),
        };
    }
    pipeline.exec_async(&mut connection).await.unwrap();
    let keys: Vec<Bytes> = (0..total).rev().map(|number| format!("k{number}").into()).collect();
    let mut fetcher = DocumentFetcher::new(DocumentSource::Auto, true);
    let found = fetcher.fetch(&mut reading, &keys).await.unwrap();
    for (number, found) in (0..total).rev().zip(found) {
        let want = match number % 3 {
            2 => Ok(Document::Fields([("n", number.to_string())].into_iter().collect())),
            _ => json(&format!(r#"{{"n":{number}}}"#)),
        };
        assert_eq!(found, want);
    }
    assert_eq!(fetcher.fetch(&mut reading, &[]).await.unwrap(), []);
}

#[tokio::test]
async fn json_of_a_server_without_the_module_is_a_matter_of_configuration() {
    let server = RedisServer::start();
    let mut reading = connect_to_read(&server).await;
    let mut fetcher = DocumentFetcher::new(DocumentSource::Json, false);
    let failure = fetcher.fetch(&mut reading, &[Bytes::from("user:1")]).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Configuration);
    for part in ["JSON.MGET", "RedisJSON", "`user:1`"] {
        assert!(failure.to_string().contains(part), "{failure}");
    }
}
