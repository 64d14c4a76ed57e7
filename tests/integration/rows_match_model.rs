//! For each database and each way a document can come: mixed operations end up as exactly the rows of the model.

use std::time::Duration;

use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::workload::{Random, Way, create_items, done, events, items, items_yaml, model, produce, redis_yaml};

const EVENTS: u64 = 20_000;
const KEYS: u64 = 500;
const STREAM: &str = "stream:item";
const DEADLINE: Duration = Duration::from_secs(120);

async fn check(kind: Kind, way: Way, lanes: u32) {
    let redis = if way == Way::Json { RedisServer::start_with_json() } else { RedisServer::start() };
    let database = TestDatabase::new(kind).await;
    create_items(&database).await;
    let config = redis_yaml(redis.port()) + &database.settings_yaml() + &items_yaml(STREAM, way, lanes);
    let mut random = Random::new(EVENTS + lanes as u64);
    let events = events(&mut random, EVENTS, KEYS);
    let mut connection = redis.connection().await;
    // Some are there before the pipeline, most come while it works.
    let (first, rest) = events.split_at(3_000);
    produce(&mut connection, STREAM, way, first).await;
    let pipeline = PipelineProcess::start(&config, &["run"]);
    produce(&mut connection, STREAM, way, rest).await;
    done(&database, STREAM, EVENTS, DEADLINE).await;
    pipeline.terminate();
    assert_eq!(pipeline.wait_exit(DEADLINE).await, Some(0), "{}", pipeline.stderr());
    let dead = database.rows("SELECT entry_id, message FROM write_behind_dead_letter LIMIT 3").await;
    assert_eq!(dead, Vec::<Vec<Option<String>>>::new());
    assert_eq!(items(&database).await, model(&events));
}

macro_rules! each_way {
    ($($name:ident: $way:ident;)*) => {
        mod sqlite { $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
            super::check(super::Kind::Sqlite, super::Way::$way, 1).await;
        })* }
        mod postgres { $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
            super::check(super::Kind::Postgres, super::Way::$way, 3).await;
        })* }
        mod mariadb { $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
            super::check(super::Kind::MariaDb, super::Way::$way, 2).await;
        })* }
    };
}

each_way! {
    redis_json: Json;
    string: String;
    hash: Hash;
    inline: Inline;
    fields: Fields;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_with_two_lanes() {
    check(Kind::Sqlite, Way::Inline, 2).await;
}
