//! One event in a hundred is bad, or half of them, or all. Half of the bad ones are refused by the mapping, half by the
//! database.

use super::super::ledger::Ledger;
use super::super::report::{Run, sized};
use super::{DEADLINE, FAULT, letters_say_why};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;

async fn bad(kind: Kind, permille: u64, events: u64) {
    let run = Run::of(FAULT, format!("{} % of the events are bad", permille / 10), kind);
    let ledger = Ledger { bad_permille: permille };
    let redis = RedisServer::start();
    let database = TestDatabase::new(kind).await;
    ledger.create_table(&database).await;
    let mut connection = redis.connection().await;
    ledger.produce(&mut connection, 0..events).await;
    let pipeline = PipelineProcess::start(&ledger.config(&redis, &database, 2), &["run"]);
    ledger.finish(pipeline, &database, &mut connection, events, DEADLINE).await;
    letters_say_why(&ledger, &database, &mut connection).await;
    let letters = database.count("write_behind_dead_letter").await as u64;
    let expected = (0..events).filter(|n| ledger.is_bad(*n)).count() as u64;
    assert_eq!(letters, expected, "dead letters");
    run.held(letters, events, format!("{letters} dead letters"));
}

async fn one_in_a_hundred(kind: Kind) {
    bad(kind, 10, sized(3_000, 100_000)).await;
}

async fn half(kind: Kind) {
    bad(kind, 500, sized(3_000, 20_000)).await;
}

async fn all(kind: Kind) {
    bad(kind, 1_000, sized(3_000, 20_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_event_in_a_hundred_sqlite() {
    one_in_a_hundred(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_event_in_a_hundred_postgres() {
    one_in_a_hundred(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_event_in_a_hundred_mariadb() {
    one_in_a_hundred(Kind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_the_events_are_bad_sqlite() {
    half(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_the_events_are_bad_postgres() {
    half(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_the_events_are_bad_mariadb() {
    half(Kind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_events_are_bad_sqlite() {
    all(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_events_are_bad_postgres() {
    all(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_events_are_bad_mariadb() {
    all(Kind::MariaDb).await;
}
