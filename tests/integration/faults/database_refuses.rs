//! The database answers, but only to refuse: it is read-only, or others have all connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::report::{Run, sized};
use super::scene::{DEADLINE, Scene};
use crate::support::database::{Kind, TestDatabase};
use crate::support::server::Server;
use crate::support::wait::eventually;

const FAULT: &str = "7 the database refuses";

fn size() -> (u64, u64) {
    sized((2, 1_000), (5, 3_000))
}

async fn read_only(kind: Kind, codes: &[&str], begin: &[&str], end: &[&str]) {
    let run = Run::of(FAULT, "read-only", kind);
    let (times, events) = size();
    let server = Server::start(kind);
    let mut scene = Scene::begin(server.database().await, "").await;
    for time in 0..times {
        scene.add(events / 2).await;
        let before = scene.times_said(codes);
        begin.iter().for_each(|sql| drop(server.admin(sql)));
        scene.add(events - events / 2).await;
        // Also of a connection that is new.
        if time % 2 == 1 {
            server.terminate_connections(&scene.database);
        }
        scene.says(codes, before + 1).await;
        end.iter().for_each(|sql| drop(server.admin(sql)));
        scene.caught_up().await;
    }
    let (total, said) = (scene.produced, scene.times_said(codes));
    scene.finish().await;
    run.held(times, total, format!("{said} errors"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_postgres() {
    let begin = ["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"];
    let end = ["ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"];
    read_only(Kind::Postgres, &["[SQLSTATE 25006]"], &begin, &end).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_mariadb() {
    let (begin, end) = (["SET GLOBAL read_only = 1"], ["SET GLOBAL read_only = 0"]);
    read_only(Kind::MariaDb, &["[error 1290]"], &begin, &end).await;
}

async fn too_many_connections(kind: Kind, codes: &[&str], limit: &[&str]) {
    let run = Run::of(FAULT, "others hold all connections", kind);
    let (times, events) = size();
    let server = Server::start_with(kind, limit);
    let others = Arc::new(server.database().await);
    let mut scene = Scene::begin(server.database().await, "").await;
    for _ in 0..times {
        scene.add(events / 2).await;
        let before = scene.times_said(codes);
        let refused = Arc::new(AtomicU64::new(0));
        let greedy = greedy(others.clone(), refused.clone());
        let mut seen = 0;
        eventually(DEADLINE, "others to hold all connections", async || {
            let refused = refused.load(Ordering::SeqCst);
            if refused == seen {
                return Err("there are connections left".to_owned());
            }
            seen = refused;
            match server.terminate_connections(&scene.database) {
                0 => Ok(()),
                cut => Err(format!("{cut} connections were cut")),
            }
        })
        .await;
        scene.add(events - events / 2).await;
        scene.says(codes, before + 1).await;
        greedy.abort();
        scene.caught_up().await;
    }
    let (total, said) = (scene.produced, scene.times_said(codes));
    scene.finish().await;
    run.held(times, total, format!("{said} errors"));
}

/// Takes every connection that comes free, sooner than the pipeline asks for one, until it is aborted; counts how often
/// there was none.
fn greedy(others: Arc<TestDatabase>, refused: Arc<AtomicU64>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            match others.client().await {
                Ok(client) => held.push(client),
                Err(_) => {
                    refused.fetch_add(1, Ordering::SeqCst);
                    sleep(Duration::from_millis(10)).await;
                }
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_connections_to_postgres() {
    too_many_connections(Kind::Postgres, &["[SQLSTATE 53300]"], &["-c", "max_connections=20"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_connections_to_mariadb() {
    too_many_connections(Kind::MariaDb, &["[error 1040]"], &["--max-connections=16"]).await;
}
