//! The harness keeps what it promises: a test on a server that did not start, or that lost its data by the harness's own
//! doing, would prove nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};

use crate::support::database::{Kind, TestDatabase};
use crate::support::mariadb::MariaDbServer;
use crate::support::pipeline::PipelineProcess;
use crate::support::postgres::PostgresServer;
use crate::support::process::Launch;
use crate::support::python::run_python;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;
use crate::support::{folder, port};

const SOON: Duration = Duration::from_secs(30);

/// Set for the copy of this test binary that is started to be killed.
const VICTIM: &str = "HARNESS_SELFTEST_VICTIM";

#[tokio::test]
async fn redis_keeps_its_data_over_a_kill() {
    let server = RedisServer::start();
    let _: String =
        redis::cmd("SET").arg("key").arg("value").query_async(&mut server.connection().await).await.unwrap();
    let (pid, port) = (server.pid(), server.port());
    server.kill();
    assert!(!alive(pid));
    server.restart();
    assert_ne!(server.pid(), pid);
    assert_eq!(server.port(), port);
    let value: String = redis::cmd("GET").arg("key").query_async(&mut server.connection().await).await.unwrap();
    assert_eq!(value, "value");
}

#[tokio::test]
async fn redis_takes_extra_arguments_and_a_password() {
    let server = RedisServer::builder().password("it's p@ss").args(["--maxmemory-policy", "noeviction"]).start();
    let mut connection = server.connection().await;
    let policy: Vec<String> =
        redis::cmd("CONFIG").arg("GET").arg("maxmemory-policy").query_async(&mut connection).await.unwrap();
    assert_eq!(policy, ["maxmemory-policy", "noeviction"]);
}

#[tokio::test]
async fn redis_follows_another() {
    let first = RedisServer::start();
    let second = RedisServer::builder().args(["--replicaof", "127.0.0.1", &first.port().to_string()]).start();
    let _: String = redis::cmd("SET").arg("key").arg("value").query_async(&mut first.connection().await).await.unwrap();
    let mut connection = second.connection().await;
    eventually(SOON, "the replica has the key", async || {
        let value: Option<String> =
            redis::cmd("GET").arg("key").query_async(&mut connection).await.map_err(|e| e.to_string())?;
        value.filter(|value| value == "value").ok_or_else(|| "no such key yet".to_owned())
    })
    .await;
}

#[tokio::test]
async fn redis_stops_and_goes_on() {
    let server = RedisServer::start();
    let mut connection = server.connection().await;
    server.signal("STOP");
    let command = redis::cmd("PING");
    let stopped =
        tokio::time::timeout(Duration::from_millis(300), command.query_async::<String>(&mut connection)).await;
    assert!(stopped.is_err(), "a stopped server answered");
    server.signal("CONT");
    let answer: String = command.query_async(&mut connection).await.unwrap();
    assert_eq!(answer, "PONG");
}

#[tokio::test]
async fn redisjson_answers() {
    let server = RedisServer::start_with_json();
    let mut connection = server.connection().await;
    let _: String =
        redis::cmd("JSON.SET").arg("key").arg("$").arg(r#"{"a":[1,2]}"#).query_async(&mut connection).await.unwrap();
    server.restart();
    let mut connection = server.connection().await;
    let value: String = redis::cmd("JSON.GET").arg("key").arg("$.a[1]").query_async(&mut connection).await.unwrap();
    assert_eq!(value, "[2]");
}

#[tokio::test]
async fn redis_8_answers_waitaof() {
    let server = RedisServer::start_v8();
    let mut connection = server.connection().await;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await.unwrap();
    assert!(info.contains("redis_version:8.2.3"), "{info}");
    let _: String = redis::cmd("SET").arg("key").arg("value").query_async(&mut connection).await.unwrap();
    let synced: Vec<i64> = redis::cmd("WAITAOF").arg(1).arg(0).arg(10_000).query_async(&mut connection).await.unwrap();
    assert_eq!(synced, [1, 0]);
}

#[tokio::test]
async fn postgres_keeps_its_data_over_a_kill() {
    let server = PostgresServer::start();
    assert_eq!(server.admin("postgres", "SHOW fsync; SHOW synchronous_commit").trim(), "on\non");
    let database = TestDatabase::on_postgres(&server).await;
    survives(&database, || server.kill(), || server.restart()).await;
    assert!(server.log_tail().contains("database system was not properly shut down"), "{}", server.log_tail());
}

#[tokio::test]
async fn mariadb_keeps_its_data_over_a_kill() {
    let server = MariaDbServer::start();
    assert_eq!(server.admin("SELECT @@innodb_flush_log_at_trx_commit").trim(), "1");
    let database = TestDatabase::on_mariadb(&server).await;
    survives(&database, || server.kill(), || server.restart()).await;
}

async fn survives(database: &TestDatabase, kill: impl FnOnce(), restart: impl FnOnce()) {
    database.execute("CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1), (2)").await;
    kill();
    assert!(database.try_rows("SELECT id FROM t").await.is_err(), "a killed server answered");
    restart();
    assert_eq!(database.count("t").await, 2);
}

#[tokio::test]
async fn connections_are_cut() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let database = TestDatabase::new(kind).await;
        let name = &database.access().database;
        assert!(database.count("(SELECT 1 AS one) AS t").await == 1);
        let cut = match kind {
            Kind::Postgres => crate::support::postgres::shared().terminate_connections(name),
            _ => crate::support::mariadb::shared().terminate_connections(name),
        };
        assert!(cut >= 1, "{kind:?}");
        eventually(SOON, "the pool connects again", async || database.try_rows("SELECT 1").await).await;
    }
}

#[tokio::test]
async fn databases_are_fresh_and_readable_as_text() {
    for kind in Kind::ALL {
        let (first, second) = (TestDatabase::new(kind).await, TestDatabase::new(kind).await);
        for database in [&first, &second] {
            database
                .execute("CREATE TABLE t (id BIGINT PRIMARY KEY, x DOUBLE PRECISION, s VARCHAR(20), d DECIMAL(20, 2))")
                .await;
        }
        first.execute("INSERT INTO t VALUES (1, 0.5, 'snow ❄ 🦀', 12.34), (2, NULL, NULL, NULL)").await;
        let rows = first.rows("SELECT id, x, s, d FROM t ORDER BY id").await;
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(rows[0], [text("1"), text("0.5"), text("snow ❄ 🦀"), text("12.34")], "{kind:?}");
        assert_eq!(rows[1], [text("2"), None, None, None], "{kind:?}");
        assert_eq!((first.count("t").await, second.count("t").await), (2, 0), "{kind:?}");
        first.connection().ping().await.unwrap();
        assert!(first.settings_yaml().starts_with(&format!("rdbms:\n  type: {}\n", kind.name())));
    }
}

#[tokio::test]
async fn python_writes_an_entry() {
    let server = RedisServer::start();
    let script = r#"
import redis, sys
client = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
print(client.xadd("events", {"payload": "from outside"}))
"#;
    let id = run_python(script, &[&server.port().to_string()], SOON);
    let entries: Vec<(String, Vec<String>)> =
        redis::cmd("XRANGE").arg("events").arg("-").arg("+").query_async(&mut server.connection().await).await.unwrap();
    assert_eq!(entries, [(id.trim().to_owned(), vec!["payload".to_owned(), "from outside".to_owned()])]);
}

#[tokio::test]
async fn the_pipeline_starts() {
    let pipeline = PipelineProcess::start("", &["--version"]);
    assert!(pipeline.wait_exit(SOON).await.is_some(), "--version does not end");
}

#[test]
fn ports_are_given_out_once() {
    let ports: std::collections::HashSet<u16> = (0..100).map(|_| port::free()).collect();
    assert_eq!(ports.len(), 100);
}

/// Runs only in the copy started by the next test: starts everything, says where, and waits to be killed.
#[tokio::test]
async fn victim() {
    let Some(report) = env::var_os(VICTIM) else { return };
    let (redis, postgres, mariadb) = (RedisServer::start(), PostgresServer::start(), MariaDbServer::start());
    let mut lines = vec![folder::root().to_string_lossy().into_owned()];
    lines.extend([redis.pid(), postgres.pid(), mariadb.pid()].map(|pid| pid.to_string()));
    let unfinished = Path::new(&report).with_extension("unfinished");
    fs::write(&unfinished, lines.join("\n")).unwrap();
    fs::rename(unfinished, report).unwrap();
    std::future::pending().await
}

#[tokio::test]
async fn nothing_is_left_of_a_killed_test() {
    let files = folder::temporary("victim");
    let report = files.path().join("report");
    let copy = Launch::new(env::current_exe().unwrap())
        .args(["--exact", "harness_selftest::victim", "--nocapture"])
        .env(VICTIM, &report)
        .spawn_logging_to(&files.path().join("log"));
    let started = eventually(4 * SOON, "the copy has its servers", async || {
        fs::read_to_string(&report).map_err(|e| format!("{e}; {}", copy.log_tail()))
    })
    .await;
    let (root, pids) = started.split_once('\n').unwrap();
    let pids: Vec<u32> = pids.lines().map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.iter().all(|pid| alive(*pid)), "{started}");

    // Only the copy itself: the method that also kills all descendants would hide what this is about.
    copy.signal("KILL");
    let root = PathBuf::from(root);
    eventually(SOON, "servers and folders go", async || {
        let left: Vec<_> = pids.iter().filter(|pid| alive(**pid)).collect();
        if left.is_empty() && !root.exists() { Ok(()) } else { Err(format!("{left:?}, folder: {}", root.exists())) }
    })
    .await;
}

#[tokio::test]
#[should_panic(expected = "the sky falls: not within 50ms: not today")]
async fn waiting_ends_with_the_reason() {
    eventually::<()>(Duration::from_millis(50), "the sky falls", async || Err("not today".to_owned())).await;
}

#[tokio::test]
async fn a_dropped_server_is_gone() {
    let started = Instant::now();
    let server = RedisServer::start();
    let (pid, folder) = (server.pid(), server.folder().to_owned());
    drop(server);
    assert!(!alive(pid) && !folder.exists());
    assert!(started.elapsed() < SOON);
}

/// Whether there is such a process and it is not merely waiting to be reaped.
fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
