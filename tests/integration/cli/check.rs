//! `pipeline check` says all that is right and wrong, and changes nothing.

use super::{
    CONFIGURATION, SUCCESS, UNAVAILABLE, assert_parts, config, config_to_nowhere, migrated, pipeline, redis_yaml,
    redis_yaml_at, succeeding,
};
use crate::support::database::{Kind, TestDatabase};
use crate::support::redis::RedisServer;
use crate::support::{folder, port};

/// Lines of the report that begin so.
fn lines<'a>(report: &'a str, label: &str) -> Vec<&'a str> {
    report.lines().filter_map(|line| line.strip_prefix(label)?.strip_prefix("  ")).collect()
}

#[tokio::test]
async fn what_is_right_is_told_and_nothing_else() {
    let redis = RedisServer::start_with_json();
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let config = config(&redis, &database);
        migrated(&config).await;
        let report = succeeding(&config, &["check"]).await;
        let address = format!("ok  redis at 127.0.0.1:{}: 7.", redis.port());
        assert_parts(&report, &[&address, ", RedisJSON\n", "ok  bookkeeping tables\n", "ok  stream user_action: "]);
        assert_parts(&report, &[&format!("ok  {} ", kind.name()), "note  stream user_action: no checkpoint yet"]);
        assert_eq!((lines(&report, "wrong"), lines(&report, "warning")), (vec![], vec![]), "{report}");
    }
}

#[tokio::test]
async fn nothing_is_created() {
    let redis = RedisServer::start();
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        database.execute("CREATE TABLE user_actions (user_id VARCHAR(50), action VARCHAR(50), ts VARCHAR(50))").await;
        let config = config(&redis, &database);
        let report = succeeding(&config, &["check"]).await;
        assert_parts(
            &report,
            &["note  bookkeeping tables: pending: run `pipeline migrate up`, or rdbms.migrate_on_start"],
        );
        let refused = pipeline(&(config + "  migrate_on_start: false\n"), &["check"]).await;
        assert_eq!(refused.code, CONFIGURATION, "{refused:?}");
        assert_parts(&refused.stdout, &["wrong  bookkeeping tables: pending: run `pipeline migrate up`"]);
        let tables = match kind {
            Kind::Sqlite => "SELECT name FROM sqlite_schema",
            Kind::Postgres => "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
            Kind::MariaDb => "SHOW TABLES",
        };
        assert_eq!(database.rows(tables).await, [[Some("user_actions".to_owned())]], "{kind:?}");
    }
}

#[tokio::test]
async fn a_sqlite_file_is_not_created() {
    let redis = RedisServer::start();
    let folder = folder::temporary("check");
    let file = folder.path().join("new.db");
    let config = format!("{}rdbms:\n  type: sqlite\n  database: {}\n", redis_yaml(&redis), file.display());
    let output = pipeline(&config, &["check"]).await;
    assert_eq!(output.code, CONFIGURATION, "{output:?}");
    assert_parts(&output.stdout, &["new.db is not there yet", "no table `user_actions`", "migrate up --example"]);
    assert!(!file.exists());
    let config = config.replace("new.db", "gone/new.db");
    let output = pipeline(&config, &["check"]).await;
    assert_eq!(output.code, CONFIGURATION, "{output:?}");
    assert_parts(&output.stdout, &["wrong  sqlite file", "there is no folder"]);
}

#[tokio::test]
async fn what_endangers_data_is_a_warning() {
    let redis = RedisServer::builder().args(["--maxmemory-policy", "allkeys-lru", "--appendonly", "no"]).start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let config = config(&redis, &database);
    migrated(&config).await;
    let report = succeeding(&config, &["check"]).await;
    let warnings = lines(&report, "warning");
    assert_eq!(warnings.len(), 3, "{report}");
    assert_parts(warnings[0], &["maxmemory-policy is allkeys-lru", "noeviction"]);
    assert_parts(warnings[1], &["append-only file is off", "appendonly"]);
    assert_parts(warnings[2], &["no RedisJSON", "producer.document to string or inline"]);

    let json = config.clone() + "producer:\n  document: json\nstreams:\n  user_action:\n    document: json\n";
    let report = succeeding(&json, &["check"]).await;
    assert_parts(&report, &["streams.user_action.document and producer.document wants it: load the module"]);

    let mut connection = redis.connection().await;
    let mut acl = redis::cmd("ACL");
    acl.arg(&["SETUSER", "blind", "on", ">secret", "~*", "+@all", "-info"]);
    let _: String = acl.query_async(&mut connection).await.unwrap();
    let blind = config.replacen("redis:\n", "redis:\n  user: blind\n  password: secret\n", 1);
    let report = succeeding(&blind, &["check"]).await;
    assert_parts(&report, &["of unknown version", "warning  redis at", "maxmemory-policy cannot be read"]);
}

#[tokio::test]
async fn wrong_passwords_are_configuration() {
    let redis = RedisServer::builder().password("right").start();
    let sqlite = TestDatabase::new(Kind::Sqlite).await;
    let output = pipeline(&config(&redis, &sqlite), &["check"]).await;
    assert_eq!(output.code, CONFIGURATION, "{output:?}");
    assert_parts(&output.stdout, &["wrong  redis at 127.0.0.1:", "NOAUTH", "redis.password"]);

    let redis = RedisServer::start();
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let database = TestDatabase::new(kind).await;
        let config = config(&redis, &database);
        let (before, _) = config.split_once("  password:").unwrap();
        let output = pipeline(&format!("{before}  password: not it\n"), &["check"]).await;
        assert_eq!(output.code, CONFIGURATION, "{output:?}");
        assert_parts(&output.stdout, &[&format!("wrong  {} at", kind.name()), "rdbms.password", "were not looked at"]);
        assert!(!format!("{output:?}").contains("not it"), "{output:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_at_once() {
    let output = pipeline(&config_to_nowhere(), &["check"]).await;
    assert_eq!(output.code, UNAVAILABLE, "{output:?}");
    assert_eq!(lines(&output.stdout, "wrong").len(), 2, "{output:?}");
    assert_parts(&output.stdout, &["wrong  redis at", "redis.host and redis.port", "wrong  postgres at", "rdbms.host"]);
    assert_parts(&output.stderr, &["error: 2 things are wrong"]);
}

#[tokio::test]
async fn all_faults_are_told_and_configuration_counts_more() {
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        database.execute("CREATE TABLE orders (id INT PRIMARY KEY)").await;
        let streams = "streams:\n  user_action:\n  orders:\n    columns: {id: id, total: total, note: note}\n";
        let config = redis_yaml_at(port::free()) + &database.settings_yaml() + "  migrate_on_start: false\n" + streams;
        let output = pipeline(&config, &["check"]).await;
        assert_eq!(output.code, CONFIGURATION, "{output:?}");
        let wrong = lines(&output.stdout, "wrong");
        assert_eq!(wrong.len(), 5, "{output:?}");
        for (line, parts) in wrong.iter().zip([
            ["redis at 127.0.0.1:", "redis.port"],
            ["bookkeeping tables", "pipeline migrate up"],
            ["streams.orders.columns.note", "no such column"],
            ["streams.orders.columns.total", "no such column"],
            ["streams.user_action.table", "no table `user_actions`"],
        ]) {
            assert_parts(line, &parts);
        }
    }
}

#[tokio::test]
async fn a_table_without_transactions_is_refused() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::MariaDb).await;
    database
        .execute("CREATE TABLE user_actions (user_id VARCHAR(50), action VARCHAR(50), ts DATETIME) ENGINE=MyISAM")
        .await;
    let output = pipeline(&config(&redis, &database), &["check"]).await;
    assert_eq!(output.code, CONFIGURATION, "{output:?}");
    assert_parts(&output.stdout, &["wrong  streams.user_action.table", "MyISAM", "InnoDB"]);
}

#[tokio::test]
async fn wrong_settings_are_told_in_full_with_the_nearest_name() {
    let output = pipeline("redis:\n  prot: 1\nrdbms:\n  type: oracle\n", &["check"]).await;
    assert_eq!(output.code, CONFIGURATION, "{output:?}");
    assert_parts(
        &output.stdout,
        &["wrong  redis.prot: is not a setting: did you mean `redis.port`?", "wrong  rdbms.type"],
    );
    let other = pipeline("redis:\n  prot: 1\n", &["metrics"]).await;
    assert_eq!(other.code, CONFIGURATION, "{other:?}");
    assert_parts(&other.stderr, &["error: redis.prot: is not a setting: did you mean `redis.port`?"]);
}

#[tokio::test]
async fn the_checkpoint_is_told() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let config = config(&redis, &database);
    migrated(&config).await;
    succeeding(&config, &["generate", "--events", "7"]).await;
    super::written_behind(&config, &database, 7).await;
    let output = pipeline(&config, &["check"]).await;
    assert_eq!(output.code, SUCCESS, "{output:?}");
    assert_parts(&output.stdout, &["ok  stream user_action: checkpoint ", ", 7 events applied, 0 dead letters"]);
}
