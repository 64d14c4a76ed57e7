//! Deadlocks with another client, in which the database chooses the pipeline's transaction to be rolled back.

use redis::aio::MultiplexedConnection;

use super::report::{Run, sized};
use super::scene::DEADLINE;
use crate::support::database::{Client, Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::support::server::Server;
use crate::support::wait::eventually;
use crate::thing::drained;
use crate::workload::{counted, done, redis_yaml};

const STREAM: &str = "stream:pair";

/// The rows of one event each, in the order in which the pipeline writes them. The other client takes the last one first.
const KEYS: [&str; 3] = ["a", "m", "z"];

async fn deadlocked(kind: Kind) {
    let run = Run::of("7 the database refuses", "deadlocks with another client", kind);
    let times = sized(3, 20);
    let server = Server::start(kind);
    let database = server.database().await;
    create_tables(&database).await;
    let mut other = patient_client(&server, &database).await;
    let redis = RedisServer::start();
    let mut connection = redis.connection().await;
    let config = redis_yaml(redis.port())
        + &database.settings_yaml()
        + "streams:\n  pair:\n    document: inline\n    mode: upsert\n    key: [id]\n    columns: {id: $key, n: n}\n";
    let pipeline = PipelineProcess::start(&config, &["run"]);
    let (mut rounds, mut of_pipeline, mut of_other) = (0, 0, 0);
    while of_pipeline < times {
        assert!(rounds < times * 3, "only {of_pipeline} of {rounds} deadlocks were the pipeline's");
        rounds += 1;
        // On MariaDB the transaction that has changed less is rolled back.
        other.run("BEGIN; UPDATE weight SET n = n + 1").await.expect("nobody else is there");
        other.run(&touch("z")).await.expect("the row is free");
        add(&mut connection, rounds).await;
        waiting(&server).await;
        match other.run(&touch("a")).await {
            Ok(()) => {
                of_pipeline += 1;
                other.run("COMMIT").await.expect("a commit");
            }
            Err(_) => {
                of_other += 1;
                other.run("ROLLBACK").await.expect("a rollback");
            }
        }
        done(&database, STREAM, rounds * KEYS.len() as u64, DEADLINE).await;
    }
    let events = rounds * KEYS.len() as u64;
    counted(&mut connection, "pair", [events, 0], DEADLINE).await;
    drained(pipeline).await;
    // A session tells the server's statistics of its deadlocks a little later.
    eventually(DEADLINE, "the server to have counted the deadlocks", async || match deadlocks(&server, &database) {
        counted if counted >= of_pipeline => Ok(()),
        counted => Err(format!("{counted} counted, {of_pipeline} of the pipeline's and {of_other} others")),
    })
    .await;
    for key in KEYS {
        let written = database.rows(&format!("SELECT n FROM history WHERE id = '{key}' ORDER BY position")).await;
        let written: Vec<u64> =
            written.iter().map(|row| row[0].as_deref().expect("a number").parse().unwrap()).collect();
        assert_eq!(written, (1..=rounds).collect::<Vec<_>>(), "what was written to {key}");
    }
    let touched: u64 = database.number("SELECT touched FROM pair WHERE id = 'z'").await;
    assert_eq!(touched, of_pipeline, "the other client's changes");
    assert_eq!(database.count("write_behind_dead_letter").await, 0);
    run.held(of_pipeline, events, format!("{of_other} more were the other client's"));
}

/// The rows, and a history of what the pipeline writes to them, so that a repetition would be seen.
async fn create_tables(database: &TestDatabase) {
    let (position, trigger) = match database.kind() {
        Kind::MariaDb => (
            "bigint AUTO_INCREMENT PRIMARY KEY",
            "CREATE TRIGGER note AFTER UPDATE ON pair FOR EACH ROW \
             INSERT INTO history (id, n) SELECT NEW.id, NEW.n FROM dual WHERE NOT OLD.n <=> NEW.n",
        ),
        _ => (
            "bigserial PRIMARY KEY",
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO history (id, n) VALUES (NEW.id, NEW.n); RETURN NEW; END $$; \
             CREATE TRIGGER note AFTER UPDATE ON pair FOR EACH ROW \
             WHEN (OLD.n IS DISTINCT FROM NEW.n) EXECUTE FUNCTION note()",
        ),
    };
    database.execute("CREATE TABLE pair (id varchar(9) PRIMARY KEY, n bigint, touched int NOT NULL DEFAULT 0)").await;
    database.execute(&format!("CREATE TABLE history (position {position}, id varchar(9), n bigint)")).await;
    database.execute("CREATE TABLE weight (id int PRIMARY KEY, n int NOT NULL)").await;
    let rows: Vec<String> = (0..100).map(|id| format!("({id}, 0)")).collect();
    database.execute(&format!("INSERT INTO weight VALUES {}", rows.join(", "))).await;
    for key in KEYS {
        database.execute(&format!("INSERT INTO pair (id) VALUES ('{key}')")).await;
    }
    database.execute(trigger).await;
}

/// PostgreSQL rolls back whose patience ends first once there is a deadlock: the other client's is the longer one.
async fn patient_client(server: &Server, database: &TestDatabase) -> Client {
    let patience = |time: &str| {
        if let Server::Postgres(server) = server {
            let name = &database.access().database;
            server.admin("postgres", &format!("ALTER DATABASE {name} SET deadlock_timeout = '{time}'"));
        }
    };
    patience("5s");
    let client = database.client().await.expect("a connection");
    patience("300ms");
    client
}

fn touch(key: &str) -> String {
    format!("UPDATE pair SET touched = touched + 1 WHERE id = '{key}'")
}

/// One event for each row, all in one batch.
async fn add(connection: &mut MultiplexedConnection, n: u64) {
    let mut pipe = redis::pipe();
    pipe.atomic();
    for key in KEYS {
        pipe.xadd(STREAM, "*", &[("key", key), ("op", "upsert"), ("payload", &format!("{{\"n\": {n}}}"))]).ignore();
    }
    pipe.query_async::<()>(connection).await.expect("redis takes the events");
}

/// Waits until the pipeline waits for a lock.
async fn waiting(server: &Server) {
    let sql = match server {
        Server::Postgres(_) => "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
        Server::MariaDb(_) => "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
    };
    eventually(DEADLINE, "the pipeline to wait for the row", async || match server.admin(sql).trim() {
        "0" => Err("nobody waits".to_owned()),
        _ => Ok(()),
    })
    .await;
}

/// Deadlocks that the server has counted since its start.
fn deadlocks(server: &Server, database: &TestDatabase) -> u64 {
    let sql = match server {
        Server::Postgres(_) => {
            format!("SELECT deadlocks FROM pg_stat_database WHERE datname = '{}'", database.access().database)
        }
        Server::MariaDb(_) => {
            "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'innodb_deadlocks'"
                .into()
        }
    };
    server.admin(&sql).trim().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres() {
    deadlocked(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_mariadb() {
    deadlocked(Kind::MariaDb).await;
}
