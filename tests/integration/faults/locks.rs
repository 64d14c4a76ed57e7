//! Another client holds a lock for longer than a statement may take, several times over.

use std::time::Duration;

use migration::{Migrator, MigratorTrait};
use write_behind::event::StreamId;
use write_behind::settings::{RdbmsKind, RdbmsSettings, Settings};
use write_behind::sink::{Target, catalogue, checkpoint};
use write_behind::table::TableName;

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

/// Who holds the file's lock, and looks at a table before it commits dead letters, would wait for those who wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_lock_keeps_nobody_from_looking() {
    /// More than there are connections in a pool.
    const STREAMS: usize = 12;
    let database = TestDatabase::new(Kind::Sqlite).await;
    database.execute("CREATE TABLE t (id integer)").await;
    let defaults = Settings::load(&Default::default()).unwrap().rdbms;
    let settings = RdbmsSettings {
        kind: RdbmsKind::Sqlite,
        database: database.access().database.clone(),
        connect_timeout: Duration::from_secs(1),
        ..defaults
    };
    let target = Target::connect(&settings).await.unwrap();
    Migrator::up(target.db(), None).await.unwrap();
    let mut session = target.open_session(&[]).await.unwrap();
    session.control(session.begin_statement()).await.unwrap();
    let begun = (0..STREAMS).map(|stream| {
        let target = target.clone();
        let name = format!("s{stream}");
        tokio::spawn(async move { checkpoint::create(&target, ("p", &name, "o"), 1, StreamId::ZERO).await })
    });
    let begun: Vec<_> = begun.collect();
    // For longer than a look waits for a connection.
    for _ in 0..20 {
        tokio::time::sleep(settings.connect_timeout / 10).await;
        assert!(catalogue::read(target.db(), &TableName::parse("t")).await.unwrap().is_some());
    }
    assert!(begun.iter().all(|stream| !stream.is_finished()), "they wait for the lock");
    session.control("ROLLBACK").await.unwrap();
    for stream in begun {
        assert_eq!(stream.await.unwrap().unwrap().len(), 1);
    }
}
