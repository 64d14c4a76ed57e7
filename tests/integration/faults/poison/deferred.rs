//! Rows that the database refuses only at COMMIT, by constraints that it checks no earlier. MariaDB has none.

use super::super::ledger::{Ledger, STREAM};
use super::super::report::{Run, sized};
use super::layout::Layout;
use super::{DEADLINE, FAULT, config, letters_say_why};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::workload::done;

#[derive(Clone, Copy)]
enum Constraint {
    ForeignKey,
    Unique,
}

/// The table of the ledger with another constraint against negative amounts: a column that is computed from the amount
/// refers to nothing, or is the same as in the row of event `first`.
async fn create_table(database: &TestDatabase, constraint: Constraint, first: u64) {
    let position = match database.kind() {
        Kind::Postgres => "bigserial PRIMARY KEY",
        _ => "integer PRIMARY KEY AUTOINCREMENT",
    };
    let (computed, constraint) = match constraint {
        Constraint::ForeignKey => ("CASE WHEN cents < 0 THEN -1 ELSE 1 END".to_owned(), "REFERENCES signs (sign)"),
        Constraint::Unique => (format!("CASE WHEN cents < 0 THEN {first} ELSE n END"), "UNIQUE"),
    };
    database.execute("CREATE TABLE signs (sign bigint PRIMARY KEY)").await;
    database.execute("INSERT INTO signs VALUES (1)").await;
    let sql = format!(
        "CREATE TABLE ledger (position {position}, n bigint NOT NULL, account varchar(40) NOT NULL, note varchar(60), \
         cents bigint NOT NULL, computed bigint GENERATED ALWAYS AS ({computed}) STORED {constraint} \
         DEFERRABLE INITIALLY DEFERRED)"
    );
    database.execute(&sql).await;
}

fn words(constraint: Constraint) -> &'static str {
    match constraint {
        Constraint::ForeignKey => "foreign key",
        Constraint::Unique => "unique",
    }
}

async fn at_every_place(kind: Kind, constraint: Constraint) {
    let size = sized(8, 16);
    let what = format!("refused only at COMMIT ({}), at every place of a batch", words(constraint));
    let run = Run::of(FAULT, what, kind);
    let ledger = Ledger { bad_permille: 500 };
    let redis = RedisServer::start();
    let database = TestDatabase::new(kind).await;
    create_table(&database, constraint, Layout::first_event(&ledger)).await;
    let mut connection = redis.connection().await;
    let layout = Layout::every_place_and_pair(size);
    let events = layout.produce(&ledger, &mut connection).await;
    let pipeline = PipelineProcess::start(&config(&ledger, &redis, &database, 1, size), &["run"]);
    ledger.finish(pipeline, &database, &mut connection, events, DEADLINE).await;
    letters_say_why(&ledger, &database, &mut connection).await;
    layout.was_kept(&mut connection).await;
    run.held(layout.batches(), events, format!("batches of {size}"));
}

/// Where two lanes write at once, which rows a transaction holds is chance; so are the places of the bad ones.
async fn in_two_lanes(kind: Kind, constraint: Constraint) {
    let events = sized(1_500, 10_000);
    let what = format!("refused only at COMMIT ({}), two lanes", words(constraint));
    let run = Run::of(FAULT, what, kind);
    let ledger = Ledger { bad_permille: 60 };
    let redis = RedisServer::start();
    let database = TestDatabase::new(kind).await;
    let first = Layout::first_event(&ledger);
    create_table(&database, constraint, first).await;
    let mut connection = redis.connection().await;
    // The row that bad ones repeat must be there before them.
    ledger.produce(&mut connection, first..first + 1).await;
    let pipeline = PipelineProcess::start(&config(&ledger, &redis, &database, 2, 100), &["run"]);
    done(&database, STREAM, 1, DEADLINE).await;
    ledger.produce(&mut connection, first + 1..first + events).await;
    ledger.finish(pipeline, &database, &mut connection, events, DEADLINE).await;
    letters_say_why(&ledger, &database, &mut connection).await;
    let letters = database.count("write_behind_dead_letter").await as u64;
    run.held(letters, events, format!("{letters} dead letters"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_foreign_key_refuses_at_every_place_sqlite() {
    at_every_place(Kind::Sqlite, Constraint::ForeignKey).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_foreign_key_refuses_at_every_place_postgres() {
    at_every_place(Kind::Postgres, Constraint::ForeignKey).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_unique_constraint_refuses_at_every_place_postgres() {
    at_every_place(Kind::Postgres, Constraint::Unique).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_foreign_key_refuses_in_two_lanes_sqlite() {
    in_two_lanes(Kind::Sqlite, Constraint::ForeignKey).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_foreign_key_refuses_in_two_lanes_postgres() {
    in_two_lanes(Kind::Postgres, Constraint::ForeignKey).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_unique_constraint_refuses_in_two_lanes_postgres() {
    in_two_lanes(Kind::Postgres, Constraint::Unique).await;
}
