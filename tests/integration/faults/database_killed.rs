//! The database server is killed, restarted, or cuts all connections, again and again, while one pipeline process works.
//! Every other time a lock holds the pipeline inside its transaction, between the move of the checkpoint and the rows.

use std::time::Duration;

use super::report::{Run, sized};
use super::scene::{DEADLINE, Scene};
use crate::support::database::{Client, Kind, TestDatabase};
use crate::support::server::Server;
use crate::support::wait::eventually;
use crate::workload::Random;

#[derive(Clone, Copy)]
enum Way {
    Kill,
    Restart,
    Cut,
}

impl Way {
    fn words(self) -> &'static str {
        match self {
            Way::Kill => "SIGKILL, started again at once",
            Way::Restart => "orderly restart",
            Way::Cut => "all connections cut by the server",
        }
    }

    fn strike(self, server: &Server, database: &TestDatabase) {
        match self {
            Way::Kill => server.kill(),
            Way::Restart => server.stop(),
            Way::Cut => assert!(server.terminate_connections(database) > 0, "there was no connection to cut"),
        }
        if !server.is_running() {
            server.restart();
        }
    }
}

async fn taken_away(kind: Kind, way: Way) {
    let run = Run::of("2 the database goes away", way.words(), kind);
    let (times, events) = sized((3, 1_000), (20, 2_000));
    let server = Server::start(kind);
    let mut scene = Scene::begin(server.database().await, "").await;
    let mut random = Random::new(2);
    let mut inside = 0;
    for time in 0..times {
        if time % 2 == 0 {
            let _lock = locked(&scene.database).await;
            scene.add(events).await;
            held_inside(&server).await;
            inside += 1;
            way.strike(&server, &scene.database);
        } else {
            let rows = scene.database.count("ledger").await as u64;
            // More than it can have written when it is struck.
            scene.add(events).await;
            scene.beyond(rows).await;
            tokio::time::sleep(Duration::from_millis(random.below(30))).await;
            way.strike(&server, &scene.database);
        }
        assert!(scene.pipeline.is_running(), "the pipeline ended");
    }
    let total = scene.produced;
    let failures = scene.times_said(&["database failed, trying again", "stream failed, restarting"]);
    assert!(failures >= inside, "{failures} failures were told of, and {inside} transactions were cut");
    scene.finish().await;
    run.held(times, total, format!("{inside} times inside a transaction for certain"));
}

/// A client that lets nobody write the table.
async fn locked(database: &TestDatabase) -> Client {
    let mut client = database.client().await.expect("the server has a connection left");
    let lock = match database.kind() {
        Kind::Postgres => "BEGIN; LOCK TABLE ledger IN SHARE MODE",
        Kind::MariaDb => "LOCK TABLES ledger READ",
        Kind::Sqlite => "BEGIN EXCLUSIVE",
    };
    client.run(lock).await.expect("the table is locked");
    client
}

/// Waits until a transaction has written something, which can only be its checkpoint, and waits for the lock.
async fn held_inside(server: &Server) {
    let sql = match server {
        Server::Postgres(_) => {
            "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND wait_event_type = 'Lock'"
        }
        Server::MariaDb(_) => "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_rows_modified > 0",
    };
    eventually(DEADLINE, "the pipeline to be inside a transaction", async || match server.admin(sql).trim() {
        "0" => Err("no transaction has written and waits".to_owned()),
        _ => Ok(()),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgres() {
    taken_away(Kind::Postgres, Way::Kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_mariadb() {
    taken_away(Kind::MariaDb, Way::Kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_postgres() {
    taken_away(Kind::Postgres, Way::Restart).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_mariadb() {
    taken_away(Kind::MariaDb, Way::Restart).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_by_postgres() {
    taken_away(Kind::Postgres, Way::Cut).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_cut_by_mariadb() {
    taken_away(Kind::MariaDb, Way::Cut).await;
}
