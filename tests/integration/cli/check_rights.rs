//! `pipeline check` tells of every right that `pipeline run` would miss, before and after the bookkeeping tables are made.

use super::{CONFIGURATION, assert_parts, config, pipeline, succeeding};
use crate::support::database::{Kind, TestDatabase};
use crate::support::redis::RedisServer;
use crate::support::{mariadb, postgres};

/// The settings of `database` for another user, who has nothing but the rights that `rights` gives on `table`.
fn for_a_poor_user(settings: &str, database: &TestDatabase, rights: &str, table: &str) -> String {
    let name = &database.access().database;
    let user = format!("poor_{name}");
    match database.kind() {
        Kind::Postgres => {
            let sql = format!(
                "CREATE ROLE {user} LOGIN PASSWORD 'poor'; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
                 GRANT USAGE ON SCHEMA public TO {user}; GRANT {rights} ON {table} TO {user}"
            );
            postgres::shared().admin(name, &sql);
        }
        Kind::MariaDb => {
            let sql =
                format!("CREATE USER {user}@'%' IDENTIFIED BY 'poor'; GRANT {rights} ON {name}.{table} TO {user}@'%'");
            mariadb::shared().admin(&sql);
        }
        Kind::Sqlite => unreachable!("SQLite has no rights"),
    }
    let (before, after) = settings.split_once("  user:").unwrap();
    let (_, streams) = after.split_once("streams:").unwrap();
    format!("{before}  user: {user}\n  password: poor\nstreams:{streams}")
}

#[tokio::test]
async fn a_right_that_only_a_row_would_miss_is_told() {
    let redis = RedisServer::start();
    let streams = "streams:\n  thing:\n    mode: upsert\n    key: [id]\n    columns: {id: $key, a: a, b: b}\n";
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let database = TestDatabase::new(kind).await;
        let count = if kind == Kind::Postgres { "serial" } else { "int" };
        database.execute(&format!("CREATE TABLE thing (id varchar(20) PRIMARY KEY, a int, b int, n {count})")).await;
        let settings = config(&redis, &database) + streams;
        // PostgreSQL hides what nobody may read; MariaDB tells of columns that may be written.
        let rights = "INSERT, UPDATE (id, a), DELETE, SELECT (a)";
        let poor = for_a_poor_user(&settings, &database, rights, "thing");
        let refused = pipeline(&poor, &["check"]).await;
        assert_eq!(refused.code, CONFIGURATION, "{kind:?}: {refused:?}");
        assert_parts(
            &refused.stdout,
            &[
                "bookkeeping tables: pending, and this user may not create them: ",
                "streams.thing.table: this user may not upsert into thing: ",
                "streams.thing.table: this user may not update thing: ",
                "streams.thing.table: this user may not delete from thing: ",
            ],
        );
        let sequence = "column `n` takes its values from the sequence thing_n_seq. GRANT it USAGE on that";
        assert_eq!(refused.stdout.contains(sequence), kind == Kind::Postgres, "{refused:?}");
        // Asking has made nothing.
        assert!(database.try_rows("SELECT * FROM write_behind_may_create").await.is_err(), "{kind:?}");
        assert_parts(&succeeding(&settings, &["check"]).await, &["bookkeeping tables: pending: run"]);
    }
}
