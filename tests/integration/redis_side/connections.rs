//! Connecting, and what its failures are called.

use std::time::{Duration, Instant};

use write_behind::event::StreamId;
use write_behind::settings::{RedisSettings, Secret};
use write_behind::stream::capabilities::Capabilities;
use write_behind::stream::connection::RedisClient;
use write_behind::stream::failure::{FailureKind, RedisFailure};
use write_behind::stream::reader::read_after;

use super::{connect, run, settings};
use crate::support::redis::RedisServer;

async fn refused(settings: &RedisSettings) -> RedisFailure {
    let failure = RedisClient::new(settings).multiplexed().await.expect_err("nobody gets in");
    assert!(failure.to_string().contains(&settings.address()), "{failure}");
    failure
}

#[tokio::test]
async fn wrong_credentials_are_a_matter_of_configuration() {
    let server = RedisServer::builder().password("right").start();
    let with = |user: Option<&str>, password: Option<&str>, database| RedisSettings {
        user: user.map(str::to_owned),
        password: password.map(Secret::new),
        database,
        ..settings(&server)
    };
    for (settings, code, key) in [
        (with(None, Some("wrong"), 0), "WRONGPASS", "redis.password"),
        (with(Some("nobody"), Some("right"), 0), "WRONGPASS", "redis.user"),
        (with(None, None, 0), "NOAUTH", "redis.password"),
        (with(None, Some("right"), 99), "DB index", "redis.database"),
    ] {
        let failure = refused(&settings).await;
        let text = failure.to_string();
        assert_eq!(failure.kind, FailureKind::Configuration, "{text}");
        assert!(text.contains(code) && text.contains(key), "{text}");
        assert!(!text.contains("right") && !text.contains("wrong "), "{text}");
    }
    let mut connection = RedisClient::new(&with(Some("default"), Some("right"), 3)).multiplexed().await.unwrap();
    run::<()>(&mut connection, &["SET", "k", "v"]).await;
    let mut other = RedisClient::new(&with(None, Some("right"), 0)).multiplexed().await.unwrap();
    assert_eq!(run::<Option<String>>(&mut other, &["GET", "k"]).await, None, "it is in database 3");
}

#[tokio::test]
async fn a_server_that_is_not_there_or_stuck_is_transient() {
    let server = RedisServer::start();
    let mut connection = connect(&server).await;
    let quick = RedisSettings { response_timeout: Duration::from_millis(300), ..settings(&server) };
    server.signal("STOP");
    let begin = Instant::now();
    let stuck = refused(&quick).await;
    assert!(begin.elapsed() < Duration::from_secs(10), "the timeout of the settings holds");
    server.signal("CONT");
    assert_eq!(stuck.kind, FailureKind::Transient, "{stuck}");
    server.kill();
    let away = refused(&settings(&server)).await;
    assert_eq!(away.kind, FailureKind::Transient, "{away}");
    assert!(away.to_string().contains("redis.port"), "{away}");
    let error = redis::cmd("PING").exec_async(&mut connection).await.expect_err("the server is dead");
    let dropped = connection.failure("asking", &error);
    assert!(dropped.is_transient() && dropped.reconnect, "{dropped}");
}

#[tokio::test]
async fn a_full_server_is_transient_and_no_wrong_password() {
    let server = RedisServer::builder().password("right").args(["--maxclients", "1"]).start();
    let settings = RedisSettings { password: Some(Secret::new("right")), ..settings(&server) };
    let _first = RedisClient::new(&settings).multiplexed().await.unwrap();
    let full = refused(&settings).await;
    assert_eq!(full.kind, FailureKind::Transient, "{full}");
}

#[tokio::test]
async fn capabilities_are_what_the_server_has() {
    let plain = RedisServer::start();
    let detected = Capabilities::detect(&mut connect(&plain).await).await.unwrap();
    assert!(!detected.json && !detected.waitaof, "{detected:?}");
    assert_eq!(detected.aof_enabled, Some(true));
    assert_eq!(detected.maxmemory_policy.as_deref(), Some("noeviction"));
    assert!(detected.version.is_some_and(|version| version.starts_with("7.")));
    let json = RedisServer::start_with_json();
    assert!(Capabilities::detect(&mut connect(&json).await).await.unwrap().json);
    let newer = RedisServer::start_v8();
    let detected = Capabilities::detect(&mut connect(&newer).await).await.unwrap();
    assert!(detected.waitaof && !detected.json, "{detected:?}");
}

#[tokio::test]
async fn a_user_with_few_rights_gets_in_and_the_rest_is_unknown() {
    let server = RedisServer::start_with_json();
    let mut admin = connect(&server).await;
    run::<()>(&mut admin, &["ACL", "SETUSER", "few", "on", ">pw", "~*", "+xread", "+xinfo|stream"]).await;
    let few = RedisSettings { user: Some("few".to_owned()), password: Some(Secret::new("pw")), ..settings(&server) };
    let mut connection = RedisClient::new(&few).multiplexed().await.unwrap();
    let detected = Capabilities::detect(&mut connection).await.unwrap();
    assert_eq!((detected.version.as_deref(), detected.aof_enabled, detected.json), (None, None, false));
    run::<()>(&mut admin, &["ACL", "SETUSER", "few", "+command", "+info"]).await;
    let detected = Capabilities::detect(&mut connection).await.unwrap();
    assert!(detected.json && detected.version.is_some(), "{detected:?}");
}

#[tokio::test]
async fn a_dedicated_connection_outlasts_its_block() {
    let server = RedisServer::start();
    let quick = RedisSettings { response_timeout: Duration::from_millis(500), ..settings(&server) };
    let block = Duration::from_millis(1200);
    let mut connection = RedisClient::new(&quick).dedicated(block).await.unwrap();
    let begin = Instant::now();
    assert_eq!(read_after(&mut connection, "absent", StreamId::ZERO, 10, Some(block)).await.unwrap(), []);
    assert!(begin.elapsed() >= block);
}
