//! The database answers, but only to refuse: it is read-only, or others have all connections.

use super::report::{Run, sized};
use super::scene::{DEADLINE, Scene};
use crate::support::database::{Client, Kind, TestDatabase};
use crate::support::server::Server;
use crate::support::wait::eventually;

const FAULT: &str = "7 the database refuses";

fn size() -> (u64, u64) {
    sized((2, 1_000), (6, 5_000))
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
    let others = server.database().await;
    let mut scene = Scene::begin(server.database().await, "").await;
    for _ in 0..times {
        scene.add(events / 2).await;
        let before = scene.times_said(codes);
        let held = hold_all(&server, &others, &scene.database).await;
        scene.add(events - events / 2).await;
        scene.says(codes, before + 1).await;
        drop(held);
        scene.caught_up().await;
    }
    let (total, said) = (scene.produced, scene.times_said(codes));
    scene.finish().await;
    run.held(times, total, format!("{said} errors"));
}

/// Takes every connection that the server gives, and those of `of` from it, until it has none left.
async fn hold_all(server: &Server, others: &TestDatabase, of: &TestDatabase) -> Vec<Client> {
    let mut held = Vec::new();
    eventually(DEADLINE, "others to hold all connections", async || {
        while let Ok(client) = others.client().await {
            held.push(client);
        }
        match server.terminate_connections(of) {
            0 => Ok(()),
            cut => Err(format!("{cut} connections were cut, {} are held", held.len())),
        }
    })
    .await;
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_connections_to_postgres() {
    too_many_connections(Kind::Postgres, &["[SQLSTATE 53300]"], &["-c", "max_connections=20"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_connections_to_mariadb() {
    too_many_connections(Kind::MariaDb, &["[error 1040]"], &["--max-connections=16"]).await;
}
