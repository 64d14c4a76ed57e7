//! A row that the database refuses, at every place of a batch and at every pair of places.

use super::super::ledger::Ledger;
use super::super::report::{Run, sized};
use super::layout::Layout;
use super::{DEADLINE, FAULT, config, letters_say_why};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;

async fn at_every_place(kind: Kind) {
    let size = sized(12, 24);
    let run = Run::of(FAULT, "one or two rows refused, at every place of a batch", kind);
    let ledger = Ledger { bad_permille: 500 };
    let redis = RedisServer::start();
    let database = TestDatabase::new(kind).await;
    ledger.create_table(&database).await;
    let mut connection = redis.connection().await;
    let layout = Layout::every_place_and_pair(size);
    let events = layout.produce(&ledger, &mut connection).await;
    let pipeline = PipelineProcess::start(&config(&ledger, &redis, &database, 1, size), &["run"]);
    ledger.finish(pipeline, &database, &mut connection, events, DEADLINE).await;
    letters_say_why(&ledger, &database, &mut connection).await;
    layout.was_kept(&mut connection).await;
    run.held(layout.batches(), events, format!("batches of {size}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_is_found_at_every_place_of_a_batch_sqlite() {
    at_every_place(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_is_found_at_every_place_of_a_batch_postgres() {
    at_every_place(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_is_found_at_every_place_of_a_batch_mariadb() {
    at_every_place(Kind::MariaDb).await;
}
