//! The database's disk is full: a real one, of a few megabytes. When there is space again everything goes on by itself.

use std::fs;
use std::path::Path;

use super::ledger::Ledger;
use super::owners::checkpoint::try_done;
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

/// Times, and events between two of them.
fn size() -> (u64, u64) {
    sized((2, 1_000), (5, 3_000))
}

/// Fills the disk again and again, until the pipeline has said one of `words`, and the server's log `log`.
async fn filled(run: Run, server: Option<Server>, words: &[&str], log: &str) {
    let Some(server) = server else { return };
    let (times, events) = size();
    let mut scene = Scene::begin(server.database().await, "").await;
    let (mut of_server, mut ended) = (0, 0);
    for _ in 0..times {
        scene.add(events).await;
        let (said, logged) = (scene.times_said(words), server.log().matches(log).count());
        eventually(DEADLINE, "the database to need space", async || {
            server.disk().fill();
            scene.add(500).await;
            match (scene.times_said(words) > said, server.log().matches(log).count() - logged) {
                (true, found @ 1..) => {
                    of_server += found;
                    Ok(())
                }
                (said, found) => Err(format!("the pipeline: {said}, the server: {found} times")),
            }
        })
        .await;
        server.disk().free();
        // It may end only now, of what it met before.
        eventually(DEADLINE, "all events to be done", async || {
            if !server.is_running() {
                ended += 1;
                server.restart();
            }
            match try_done(&scene.database).await? {
                done if done == scene.produced => Ok(()),
                done => Err(format!("{done} done of {}", scene.produced)),
            }
        })
        .await;
    }
    let (total, said) = (scene.produced, scene.times_said(words));
    scene.finish().await;
    run.held(times, total, format!("{said} errors, `{log}` {of_server} times; the server gave up {ended} times"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_the_data_of_postgres() {
    let run = Run::of(FAULT, "disk of the data full", Kind::Postgres);
    let server = PostgresServer::builder().small_data(128).start().map(Server::Postgres);
    filled(run, server, &["[SQLSTATE 53100]"], "could not extend file").await;
}

/// Here the server cannot go on: it ends all connections, and may not come up again before there is space.
#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_the_write_ahead_log_of_postgres() {
    let run = Run::of(FAULT, "disk of the write-ahead log full", Kind::Postgres);
    let small = ["-c", "min_wal_size=2MB", "-c", "max_wal_size=8MB"];
    let server = PostgresServer::builder().args(small).small_wal(32).start().map(Server::Postgres);
    filled(run, server, &["database failed, trying again", "stream failed, restarting"], "PANIC").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_mariadb() {
    let run = Run::of(FAULT, "disk full", Kind::MariaDb);
    let server = MariaDbServer::builder().small_data(128).start().map(Server::MariaDb);
    filled(run, server, &["[error 1114]", "[error 1021]"], "failed with error 28").await;
}

/// The disk is over the file's folder, and only the pipeline sees it; the harness sees what is copied back.
#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_sqlite() {
    const WORDS: &str = "database or disk is full [SQLite code 13]";
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
    let said = || pipeline.stderr().matches(WORDS).count();
    let [mut produced, mut good] = [0, 0];
    let mut add = async |events: u64| {
        ledger.produce(&mut connection, produced..produced + events).await;
        good += (produced..produced + events).filter(|n| !ledger.is_bad(*n)).count() as u64;
        produced += events;
        [good, produced - good]
    };
    let mut seen = redis.connection().await;
    for _ in 0..times {
        add(events).await;
        let before = said();
        eventually(DEADLINE, "the pipeline to say that the disk is full", async || {
            disk.fill();
            add(500).await;
            if said() > before { Ok(()) } else { Err(pipeline.stderr()) }
        })
        .await;
        disk.free();
        counted(&mut seen, "ledger", add(1).await, DEADLINE).await;
    }
    let errors = said();
    assert!(!pipeline.stderr().contains("stream paused"), "taken for a mistake in the settings");
    drained(pipeline).await;
    database.while_closed(|folder| copy_files(&disk.path(), folder)).await;
    assert_eq!(ledger.check(&database, &mut connection, DEADLINE).await, [produced, produced - good]);
    run.held(times, produced, format!("{errors} errors"));
}

fn copy_files(from: &Path, to: &Path) {
    for file in fs::read_dir(from).expect("a folder").filter_map(Result::ok) {
        // The index of the write-ahead log is made anew from it.
        if !file.file_name().to_string_lossy().ends_with("-shm") {
            fs::copy(file.path(), to.join(file.file_name())).expect("the file is copied");
        }
    }
}
