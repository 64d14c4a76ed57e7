//! Another client holds a lock for longer than a statement may take, several times over.

use super::report::{Run, sized};
use super::scene::Scene;
use crate::support::database::{Kind, TestDatabase};

/// The limit of a statement, well below the time for which a lock is held.
const RDBMS: &str = "  statement_timeout_ms: 300\n";

async fn locked(kind: Kind, what: &str, lock: &str, said: &[&str]) {
    let run = Run::of("7 the database refuses", what, kind);
    let (times, events) = sized((2, 1_000), (5, 3_000));
    let mut scene = Scene::begin(TestDatabase::new(kind).await, RDBMS).await;
    for _ in 0..times {
        scene.add(events / 2).await;
        let mut other = scene.database.client().await.expect("a connection");
        other.run(lock).await.expect("the lock is granted");
        let before = scene.times_said(said);
        scene.add(events - events / 2).await;
        scene.says(said, before + 2).await;
        drop(other);
        scene.caught_up().await;
    }
    let (total, told) = (scene.produced, scene.times_said(said));
    scene.finish().await;
    run.held(times, total, format!("{told} times too long"));
}

const TABLE: &str = "another client locks the table";
const ROW: &str = "another client locks the checkpoint's row";

const POSTGRES: &[&str] = &["[SQLSTATE 57014]", "a statement took longer than"];
const MARIADB: &[&str] = &["[error 1205]", "a statement took longer than"];

#[tokio::test(flavor = "multi_thread")]
async fn the_table_on_postgres() {
    locked(Kind::Postgres, TABLE, "BEGIN; LOCK TABLE ledger IN SHARE MODE", POSTGRES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_on_mariadb() {
    locked(Kind::MariaDb, TABLE, "LOCK TABLES ledger READ", MARIADB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checkpoint_on_postgres() {
    let lock = "BEGIN; SELECT * FROM write_behind_checkpoint FOR UPDATE";
    locked(Kind::Postgres, ROW, lock, POSTGRES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checkpoint_on_mariadb() {
    let lock = "BEGIN; SELECT * FROM write_behind_checkpoint FOR UPDATE";
    locked(Kind::MariaDb, ROW, lock, MARIADB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_on_sqlite() {
    let said = ["database is locked", "a statement took longer than"];
    locked(Kind::Sqlite, "another client locks the file", "BEGIN EXCLUSIVE", &said).await;
}
