//! The database's disk is full: a real one, of a few megabytes. When there is space again everything goes on by itself.

use std::fs;
use std::path::Path;

use super::ledger::Ledger;
use super::report::{Run, sized};
use super::scene::{DEADLINE, Scene, config};
use crate::support::database::{Kind, TestDatabase};
use crate::support::disk::SmallDisk;
use crate::support::mariadb::MariaDbServer;
use crate::support::pipeline::PipelineProcess;
use crate::support::postgres::PostgresServer;
use crate::support::redis::RedisServer;
use crate::support::server::Server;
use crate::support::wait::eventually;
use crate::thing::{drained, reads};
use crate::workload::counted;

const FAULT: &str = "7 the database refuses";

/// Events for which every database needs more space than it holds ready.
fn size() -> (u64, u64) {
    sized((2, 4_000), (6, 6_000))
}

/// Fills the disk again and again; `words` are what the pipeline says then.
async fn filled(run: Run, server: Option<Server>, words: &[&str]) {
    let Some(server) = server else { return };
    let (times, events) = size();
    let mut scene = Scene::begin(server.database().await, "  statement_timeout_ms: 5000\n").await;
    let mut ended = 0;
    for _ in 0..times {
        scene.add(events / 4).await;
        let before = scene.times_said(words);
        server.disk().fill();
        scene.add(events - events / 4).await;
        scene.says(words, before).await;
        server.disk().free();
        if !server.is_running() {
            ended += 1;
            server.restart();
        }
        scene.caught_up().await;
    }
    let (total, said) = (scene.produced, scene.times_said(words));
    scene.finish().await;
    run.held(times, total, format!("{said} errors; the server gave up {ended} times"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_the_data_of_postgres() {
    let run = Run::of(FAULT, "disk of the data full", Kind::Postgres);
    let server = PostgresServer::builder().small_data(128).start().map(Server::Postgres);
    filled(run, server, &["[SQLSTATE 53100]"]).await;
}

/// Here the server cannot say that the disk is full: it gives up, and does not come up again before there is space.
#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_the_write_ahead_log_of_postgres() {
    let run = Run::of(FAULT, "disk of the write-ahead log full", Kind::Postgres);
    let small = ["-c", "min_wal_size=2MB", "-c", "max_wal_size=8MB"];
    let server = PostgresServer::builder().args(small).small_wal(32).start().map(Server::Postgres);
    filled(run, server, &["database failed, trying again", "stream failed, restarting"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_mariadb() {
    let run = Run::of(FAULT, "disk full", Kind::MariaDb);
    let server = MariaDbServer::builder().small_data(128).start().map(Server::MariaDb);
    filled(run, server, &["[error 1114]", "[error 1021]", "[error 1030]"]).await;
}

/// The disk is over the file's folder, and only the pipeline sees it; the harness sees what is copied back.
#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_sqlite() {
    const WORDS: &[&str] = &["database or disk is full [SQLite code 13]"];
    let run = Run::of(FAULT, "disk full", Kind::Sqlite);
    let (times, events) = size();
    let ledger = Ledger { bad_permille: 2 };
    let mut database = TestDatabase::new(Kind::Sqlite).await;
    ledger.create_table(&database).await;
    let folder = Path::new(&database.access().database).parent().expect("a file is in a folder").to_owned();
    let Some(disk) = SmallDisk::over(&folder, 64) else { return };
    database.while_closed(|folder| copy_files(folder, &disk.path())).await;

    let redis = RedisServer::start();
    let mut connection = redis.connection().await;
    let pipeline = PipelineProcess::start_on(&disk, &config(&ledger, &redis, &database, ""));
    reads(&pipeline).await;
    let said = || WORDS.iter().map(|words| pipeline.stderr().matches(words).count()).sum::<usize>();
    let [mut good, mut bad] = [0, 0];
    for time in 0..times {
        let numbers = time * events..(time + 1) * events;
        let before = said();
        disk.fill();
        ledger.produce(&mut connection, numbers.clone()).await;
        eventually(DEADLINE, "the pipeline to say that the disk is full", async || {
            if said() > before { Ok(()) } else { Err(pipeline.stderr()) }
        })
        .await;
        disk.free();
        bad += numbers.clone().filter(|n| ledger.is_bad(*n)).count() as u64;
        good += numbers.filter(|n| !ledger.is_bad(*n)).count() as u64;
        counted(&mut connection, "ledger", [good, bad], DEADLINE).await;
    }
    let errors = said();
    assert!(!pipeline.stderr().contains("stream paused"), "taken for a mistake in the settings");
    drained(pipeline).await;
    database.while_closed(|folder| copy_files(&disk.path(), folder)).await;
    assert_eq!(ledger.check(&database, &mut connection, DEADLINE).await, [good + bad, bad]);
    run.held(times, good + bad, format!("{errors} errors"));
}

fn copy_files(from: &Path, to: &Path) {
    for file in fs::read_dir(from).expect("a folder").filter_map(Result::ok) {
        // The index of the write-ahead log is made anew from it.
        if !file.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(file.path(), to.join(file.file_name())).expect("the file is copied");
        }
    }
}
