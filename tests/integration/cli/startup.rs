//! How `pipeline run` refuses to start: one clear line, and the exit code that says whether waiting can help.

use std::time::{Duration, Instant};

use super::{CONFIGURATION, UNAVAILABLE, assert_parts, config, migrated, redis_yaml_at, succeeding};
use crate::support::database::{Kind, TestDatabase};
use crate::support::folder;
use crate::support::pipeline::PipelineProcess;
use crate::support::port;
use crate::support::process::Output;
use crate::support::redis::RedisServer;

/// With this patience a wrong start that is not told at once takes longer than [`AT_ONCE`].
const PATIENCE: (&str, &str) = ("PIPELINE__APP__STARTUP_TIMEOUT_SEC", "60");
const AT_ONCE: Duration = Duration::from_secs(30);

async fn run(config: &str, patience: (&str, &str)) -> Output {
    let process = PipelineProcess::start_with(config, &["run"], &[patience], "");
    let began = Instant::now();
    let code = process.wait_exit(AT_ONCE).await;
    assert!(code.is_some(), "still running after {:?}: {}", began.elapsed(), process.stderr());
    Output { code, stdout: process.stdout(), stderr: process.stderr() }
}

/// The lines with which the process ends.
fn errors(output: &Output) -> Vec<&str> {
    output.stderr.lines().filter(|line| line.starts_with("error: ")).collect()
}

async fn refused(config: &str, parts: &[&str]) {
    let output = run(config, PATIENCE).await;
    assert_eq!(output.code, CONFIGURATION, "{output:?}");
    let [line] = errors(&output)[..] else { panic!("not one line: {output:?}") };
    assert_parts(line, parts);
}

#[tokio::test]
async fn no_redis() {
    let database = TestDatabase::new(Kind::Sqlite).await;
    let output = run(&(redis_yaml_at(port::free()) + &database.settings_yaml()), (PATIENCE.0, "1")).await;
    assert_eq!(output.code, UNAVAILABLE, "{output:?}");
    let [line] = errors(&output)[..] else { panic!("not one line: {output:?}") };
    assert_parts(line, &["redis at 127.0.0.1:", "redis.host and redis.port"]);
}

#[tokio::test]
async fn no_database() {
    let redis = RedisServer::start();
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let database = TestDatabase::new(kind).await;
        let config = super::redis_yaml(&redis) + &database.settings_yaml_through(port::free());
        let output = run(&config, (PATIENCE.0, "1")).await;
        assert_eq!(output.code, UNAVAILABLE, "{output:?}");
        let [line] = errors(&output)[..] else { panic!("not one line: {output:?}") };
        assert_parts(line, &[kind.name(), "rdbms.host, rdbms.port"]);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_a_database() {
    let redis = RedisServer::start();
    let folder = crate::support::folder::temporary("startup");
    let config = |file: &str| {
        let file = folder.path().join(file);
        format!("{}rdbms:\n  type: sqlite\n  database: {}\n", super::redis_yaml(&redis), file.display())
    };
    refused(&config("gone/x.db"), &["sqlite file", "there is no folder", "rdbms.database"]).await;
    std::fs::write(folder.path().join("letter"), "Dear Sir or Madam, this is not a database. ".repeat(9)).unwrap();
    refused(&config("letter"), &["sqlite file", "not a database", "rdbms.database"]).await;
}

#[tokio::test]
async fn a_wrong_password() {
    let redis = RedisServer::start();
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let database = TestDatabase::new(kind).await;
        let config = config(&redis, &database);
        let (before, _) = config.split_once("  password:").unwrap();
        refused(&format!("{before}  password: wrong\n"), &[kind.name(), "refused", "rdbms.password"]).await;
    }
    let redis = RedisServer::builder().password("right").start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    refused(&config(&redis, &database), &["NOAUTH", "redis.password"]).await;
}

#[tokio::test]
async fn a_missing_table_or_column() {
    let redis = RedisServer::start();
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let config = config(&redis, &database);
        refused(&config, &["streams.user_action.table: there is no table `user_actions`: create it", "--example"])
            .await;
        database.execute("CREATE TABLE user_action (user_id VARCHAR(50))").await;
        refused(&config, &["no table `user_actions`: did you mean `user_action`? Else create it"]).await;
        if kind == Kind::Postgres {
            database.execute("DROP TABLE user_action; CREATE SCHEMA web; CREATE TABLE web.user_actions (n int)").await;
            refused(&config, &["no table `user_actions`: did you mean `web.user_actions`? Else"]).await;
        }
        database.execute("CREATE TABLE user_actions (user_id VARCHAR(50), action VARCHAR(50))").await;
        refused(&config, &["streams.user_action.columns.ts", "no such column", "user_id, action"]).await;
    }
}

#[tokio::test]
async fn a_table_without_transactions() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::MariaDb).await;
    let table = "CREATE TABLE user_actions (user_id VARCHAR(50), action VARCHAR(50), ts DATETIME) ENGINE=MyISAM";
    database.execute(table).await;
    refused(&config(&redis, &database), &["streams.user_action.table", "MyISAM", "InnoDB"]).await;
}

#[tokio::test]
async fn tables_that_must_not_be_made() {
    for kind in Kind::ALL {
        let (redis, database) = (RedisServer::start(), TestDatabase::new(kind).await);
        let config = config(&redis, &database) + "  migrate_on_start: false\n";
        succeeding(&config, &["migrate", "up", "--example"]).await;
        refused(&config, &["rdbms.migrate_on_start", "pipeline migrate up"]).await;
        migrated(&config).await;
        let process = PipelineProcess::start(&config, &["run"]);
        succeeding(&config, &["generate", "--events", "1"]).await;
        crate::support::wait::eventually(super::SOON, "the event is written", async || {
            match database.try_rows("SELECT * FROM user_actions").await?.len() {
                1 => Ok(()),
                rows => Err(format!("{rows} rows; {}", process.stderr())),
            }
        })
        .await;
    }
}

/// GNU `timeout` signals a process and then its group, which it is in.
#[tokio::test]
async fn two_signals_at_once_are_one() {
    let (redis, database) = (RedisServer::start(), TestDatabase::new(Kind::Sqlite).await);
    let config = config(&redis, &database);
    migrated(&config).await;
    let process = PipelineProcess::start(&config, &["run"]);
    crate::thing::reads(&process).await;
    process.signal("TERM");
    process.signal("INT");
    assert_eq!(process.wait_exit(super::SOON).await, super::SUCCESS, "{}", process.stderr());
    assert!(!process.stderr().contains("second signal: ending at once"), "{}", process.stderr());
}

#[tokio::test]
async fn a_user_who_may_not_create_tables() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Postgres).await;
    let owner = config(&redis, &database);
    migrated(&owner).await;
    let server = crate::support::postgres::shared();
    let name = &database.access().database;
    let user = format!("poor_{name}");
    server.admin(
        name,
        &format!(
            "CREATE ROLE {user} LOGIN PASSWORD 'poor'; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
             GRANT USAGE ON SCHEMA public TO {user}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user}; \
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {user}"
        ),
    );
    let (before, _) = owner.split_once("  user:").unwrap();
    let poor = format!("{before}  user: {user}\n  password: poor\n");
    succeeding(&owner, &["generate", "--events", "3"]).await;
    // All tables are there, so no right to create any is needed.
    super::written_behind(&poor, &database, 3).await;
    succeeding(&owner, &["migrate", "down", "--yes"]).await;
    refused(&poor, &["permission denied", "pipeline migrate up", "rdbms.migrate_on_start: false"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_level_shows_a_password() {
    let redis = RedisServer::start();
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let database = TestDatabase::new(kind).await;
        database.execute("CREATE TABLE thing (n integer)").await;
        let config = config(&redis, &database) + "log: {level: trace}\nstreams:\n  thing:\n    columns: {n: n}\n";
        let output = super::pipeline(&config, &["check"]).await;
        assert!(output.stderr.contains(r#""level":"trace""#), "libraries are heard: {output:?}");
        assert!(!format!("{output:?}").contains(&database.access().password), "{output:?}");
    }
}

/// SQLite keeps in the file itself whether its journal is ahead of it.
#[tokio::test(flavor = "multi_thread")]
async fn who_only_looks_leaves_the_file_as_it_is() {
    let redis = RedisServer::start();
    let mut connection = redis.connection().await;
    redis::cmd("XADD").arg(&["stream:thing", "1-1", "payload", "{}"]).exec_async(&mut connection).await.unwrap();
    let folder = folder::temporary("look");
    let path = folder.path().join("theirs.db");
    let open = || rusqlite::Connection::open(&path).unwrap();
    open().execute_batch("CREATE TABLE thing (n integer)").unwrap();
    let rdbms = format!("rdbms: {{type: sqlite, database: \"{}\"}}\n", path.display());
    let config = super::redis_yaml(&redis) + &rdbms + "streams:\n  thing:\n    columns: {n: n}\n";
    let before = std::fs::read(&path).unwrap();
    for command in [
        &["check"][..],
        &["schema", "diff"],
        &["schema", "print"],
        &["explain", "--stream", "thing", "--dry-run"],
        &["migrate", "status"],
    ] {
        let output = super::pipeline(&config, command).await;
        assert_eq!(output.code, Some(0), "{command:?}: {output:?}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "{command:?}");
    }
    succeeding(&config, &["migrate", "up"]).await;
    let mode: String = open().query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}
