//! The database goes back in time: an older copy of it is put in its place. Rows and checkpoint go back together, and
//! what the copy lacks is applied again from Redis.

use std::fs;
use std::path::Path;

use super::report::{Run, sized};
use super::scene::Scene;
use crate::support::database::{Kind, TestDatabase};
use crate::support::folder;
use crate::support::server::Server;

const FAULT: &str = "6 the database goes back in time";

/// Times, and events between the copy and what is lost with it.
fn size() -> (u64, u64) {
    sized((1, 1_500), (2, 5_000))
}

fn lost(events: u64, times: u64) -> String {
    format!("at least {} events lost and applied again", events * times)
}

/// Ends the pipeline in the middle of its work.
async fn killed_at_work(scene: &mut Scene, events: u64) {
    let rows = rows(&scene.database).await;
    scene.add(events).await;
    scene.beyond(rows).await;
    scene.pipeline.kill();
}

async fn rows(database: &TestDatabase) -> u64 {
    database.count("ledger").await as u64
}

/// The files of a stopped server, while the pipeline does not run either.
async fn files_of_a_stopped_server(kind: Kind) {
    let run = Run::of(FAULT, "files of a stopped server", kind);
    let (times, events) = size();
    let server = Server::start(kind);
    let mut scene = Scene::begin(server.database().await, "").await;
    let backup = folder::temporary("backup");
    let copy = backup.path().join("data");
    for _ in 0..times {
        killed_at_work(&mut scene, events).await;
        server.stop();
        server.copy_files_to(&copy);
        server.restart();
        let then = rows(&scene.database).await;
        scene.start_again().await;
        scene.caught_up().await;
        scene.add(events).await;
        scene.caught_up().await;
        killed_at_work(&mut scene, events).await;
        server.stop();
        server.put_files_back(&copy);
        server.restart();
        assert_eq!(rows(&scene.database).await, then, "rows of the copy");
        scene.start_again().await;
        scene.caught_up().await;
    }
    let total = scene.produced;
    scene.finish().await;
    run.held(times, total, lost(events, times));
}

/// The same under the pipeline, which finds it out by itself while it works.
async fn files_under_a_running_pipeline(kind: Kind) {
    let run = Run::of(FAULT, "files of a killed server, put back under the running pipeline", kind);
    let (times, events) = size();
    let server = Server::start(kind);
    let mut scene = Scene::begin(server.database().await, "").await;
    let backup = folder::temporary("backup");
    let copy = backup.path().join("data");
    for _ in 0..times {
        let before = rows(&scene.database).await;
        scene.add(events).await;
        scene.beyond(before).await;
        server.kill();
        server.copy_files_to(&copy);
        server.restart();
        scene.caught_up().await;
        scene.add(events).await;
        scene.caught_up().await;
        let before = rows(&scene.database).await;
        scene.add(events).await;
        scene.beyond(before).await;
        server.kill();
        server.put_files_back(&copy);
        server.restart();
        scene.caught_up().await;
    }
    let total = scene.produced;
    scene.finish().await;
    run.held(times, total, lost(events, times));
}

/// The same while the pipeline has nothing to do: no new event shows it that the database went back.
async fn files_under_a_quiet_pipeline(kind: Kind) {
    let run = Run::of(FAULT, "files put back while the stream is quiet", kind);
    let (_, events) = size();
    let server = Server::start(kind);
    let mut scene = Scene::begin(server.database().await, "").await;
    let backup = folder::temporary("backup");
    let copy = backup.path().join("data");
    scene.add(events).await;
    scene.caught_up().await;
    server.stop();
    server.copy_files_to(&copy);
    server.restart();
    scene.add(events).await;
    scene.caught_up().await;
    server.stop();
    server.put_files_back(&copy);
    server.restart();
    scene.caught_up().await;
    let total = scene.produced;
    scene.finish().await;
    run.held(1, total, lost(events, 1));
}

/// A dump that was made while the pipeline worked.
async fn a_dump(kind: Kind) {
    let run = Run::of(FAULT, "dump of a database in use", kind);
    let (times, events) = size();
    let server = Server::start(kind);
    let mut scene = Scene::begin(server.database().await, "").await;
    for _ in 0..times {
        let before = rows(&scene.database).await;
        scene.add(events).await;
        scene.beyond(before).await;
        let dump = server.dump(&scene.database);
        scene.caught_up().await;
        scene.add(events).await;
        scene.caught_up().await;
        killed_at_work(&mut scene, events).await;
        let then = rows(&scene.database).await;
        server.restore(&scene.database, &dump);
        let now = rows(&scene.database).await;
        assert!(now + events / 2 < then, "{then} rows before, and {now} in the dump");
        scene.start_again().await;
        scene.caught_up().await;
    }
    let total = scene.produced;
    scene.finish().await;
    run.held(times, total, lost(events, times));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_stopped_postgres() {
    files_of_a_stopped_server(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_stopped_mariadb() {
    files_of_a_stopped_server(Kind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_under_a_running_pipeline_on_postgres() {
    files_under_a_running_pipeline(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_under_a_running_pipeline_on_mariadb() {
    files_under_a_running_pipeline(Kind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_under_a_quiet_pipeline_on_postgres() {
    files_under_a_quiet_pipeline(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_under_a_quiet_pipeline_on_mariadb() {
    files_under_a_quiet_pipeline(Kind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_postgres() {
    a_dump(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_mariadb() {
    a_dump(Kind::MariaDb).await;
}

/// A killed process leaves a write-ahead log beside the file, which belongs to the copy.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_sqlite() {
    let run = Run::of(FAULT, "files while the pipeline does not run", Kind::Sqlite);
    let (times, events) = size();
    let mut scene = Scene::begin(TestDatabase::new(Kind::Sqlite).await, "").await;
    let backup = folder::temporary("backup");
    let copy = backup.path().join("data");
    for _ in 0..times {
        killed_at_work(&mut scene, events).await;
        scene.database.while_closed(|folder| folder::copy(folder, &copy)).await;
        let then = rows(&scene.database).await;
        scene.start_again().await;
        scene.caught_up().await;
        scene.add(events).await;
        scene.caught_up().await;
        killed_at_work(&mut scene, events).await;
        scene.database.while_closed(|folder| folder::copy(&copy, folder)).await;
        assert_eq!(rows(&scene.database).await, then, "rows of the copy");
        scene.start_again().await;
        scene.caught_up().await;
    }
    let total = scene.produced;
    scene.finish().await;
    run.held(times, total, lost(events, times));
}

/// A backup of a file in use, by SQLite's own statement, put back table by table in one transaction.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_sqlite() {
    let run = Run::of(FAULT, "VACUUM INTO while the pipeline works", Kind::Sqlite);
    let (times, events) = size();
    let mut scene = Scene::begin(TestDatabase::new(Kind::Sqlite).await, "").await;
    let backup = format!("{}.backup", scene.database.access().database);
    for _ in 0..times {
        let before = rows(&scene.database).await;
        scene.add(events).await;
        scene.beyond(before).await;
        scene.database.execute(&format!("VACUUM INTO '{backup}'")).await;
        scene.caught_up().await;
        scene.add(events).await;
        scene.caught_up().await;
        killed_at_work(&mut scene, events).await;
        let then = rows(&scene.database).await;
        put_back(&scene.database, Path::new(&backup)).await;
        let now = rows(&scene.database).await;
        assert!(now + events / 2 < then, "{then} rows before, and {now} in the backup");
        scene.start_again().await;
        scene.caught_up().await;
    }
    let total = scene.produced;
    scene.finish().await;
    run.held(times, total, lost(events, times));
}

async fn put_back(database: &TestDatabase, backup: &Path) {
    let tables = ["ledger", "write_behind_checkpoint", "write_behind_dead_letter"]
        .map(|table| format!("DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM backup.{table};"))
        .concat();
    // All in one, because what is attached belongs to one connection.
    let file = backup.display();
    database.execute(&format!("ATTACH '{file}' AS backup; BEGIN; {tables} COMMIT; DETACH backup")).await;
    fs::remove_file(backup).expect("the backup is there");
}
