//! `pipeline migrate` on each database.

use super::{CONFIGURATION, WRONG_ARGUMENTS, assert_parts, pipeline, redis_yaml_at, succeeding};
use crate::support::database::{Kind, TestDatabase};
use crate::support::{folder, port};

const BOOKKEEPING: [&str; 3] = [
    "m20261123_000001_create_write_behind_checkpoint",
    "m20261123_000002_create_write_behind_dead_letter",
    "m20261123_000004_add_checkpoint_generation",
];
const EXAMPLE: &str = "m20261123_000003_create_user_actions";

fn lines(state: &str, names: &[&str]) -> String {
    names.iter().map(|name| format!("{state} {name}\n")).collect()
}

/// No Redis is needed.
fn config(database: &TestDatabase) -> String {
    redis_yaml_at(port::free()) + &database.settings_yaml()
}

#[tokio::test]
async fn up_status_and_down() {
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let config = config(&database);
        let status = || succeeding(&config, &["migrate", "status"]);
        assert_eq!(status().await, lines("pending", &BOOKKEEPING), "{kind:?}");
        assert_eq!(succeeding(&config, &["migrate", "up"]).await, lines("applied", &BOOKKEEPING));
        assert_eq!(status().await, lines("applied", &BOOKKEEPING));
        assert_parts(&succeeding(&config, &["migrate", "up"]).await, &["nothing to do"]);
        let example_status = ["migrate", "status", "--example"];
        assert_eq!(succeeding(&config, &example_status).await, lines("pending", &[EXAMPLE]));
        assert_eq!(succeeding(&config, &["migrate", "--example", "up"]).await, lines("applied", &[EXAMPLE]));
        assert_eq!(succeeding(&config, &example_status).await, lines("applied", &[EXAMPLE]));

        database
            .execute(
                "INSERT INTO write_behind_checkpoint (pipeline, stream, lane, lanes, last_id, owner, updated_at) \
                 VALUES ('p', 's', 0, 1, '5-0', 'o', CURRENT_TIMESTAMP); INSERT INTO user_actions VALUES ('u', 'a', NULL)",
            )
            .await;
        let refused = pipeline(&config, &["migrate", "down"]).await;
        assert_eq!(refused.code, WRONG_ARGUMENTS, "{refused:?}");
        assert_parts(&refused.stderr, &["with 1 checkpoints", "start_id", "with 0 dead letters", "--yes is needed"]);
        assert_eq!((database.count("write_behind_checkpoint").await, refused.stdout.as_str()), (1, ""));

        let mut reversed = BOOKKEEPING;
        reversed.reverse();
        let reverted = lines("reverted", &reversed);
        assert_eq!(succeeding(&config, &["migrate", "down", "--yes"]).await, reverted, "{kind:?}");
        assert_eq!(status().await, lines("pending", &BOOKKEEPING));
        assert_parts(&succeeding(&config, &["migrate", "down", "--yes"]).await, &["nothing to do"]);
        assert_eq!(database.count("user_actions").await, 1, "the example's table is not touched");

        let refused = pipeline(&config, &["migrate", "down", "--example"]).await;
        assert_eq!(refused.code, WRONG_ARGUMENTS, "{refused:?}");
        assert_parts(&refused.stderr, &["user_actions with 1 rows", "--yes is needed"]);
        let reverted = succeeding(&config, &["migrate", "down", "--example", "--yes"]).await;
        assert_eq!(reverted, lines("reverted", &[EXAMPLE]));
        let tables = match kind {
            Kind::Sqlite => "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite%'",
            Kind::Postgres => "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
            Kind::MariaDb => "SHOW TABLES",
        };
        assert!(database.rows(tables).await.is_empty(), "{:?}", database.rows(tables).await);
        assert_eq!(succeeding(&config, &["migrate", "up"]).await, lines("applied", &BOOKKEEPING), "once more");
    }
}

/// A table from before the column: its rows are kept.
#[tokio::test]
async fn a_checkpoint_without_a_generation_gets_one() {
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let config = config(&database);
        let all = lines("applied", &BOOKKEEPING);
        assert_eq!(succeeding(&config, &["migrate", "up"]).await, all);
        database
            .execute(
                "ALTER TABLE write_behind_checkpoint DROP COLUMN generation; \
                 DELETE FROM write_behind_migrations WHERE version LIKE '%generation'; \
                 INSERT INTO write_behind_checkpoint (pipeline, stream, lane, lanes, last_id, owner, updated_at) \
                 VALUES ('p', 's', 0, 1, '5-0', 'o', CURRENT_TIMESTAMP)",
            )
            .await;
        let [_, _, added] = BOOKKEEPING;
        assert_eq!(succeeding(&config, &["migrate", "up"]).await, lines("applied", &[added]), "{kind:?}");
        let rows = database.rows("SELECT last_id, generation FROM write_behind_checkpoint").await;
        assert_eq!(rows, [[Some("5-0".to_owned()), Some("0".to_owned())]], "{kind:?}");
    }
}

#[tokio::test]
async fn looking_does_not_create_a_file() {
    let folder = folder::temporary("migrate");
    let file = folder.path().join("new.db");
    let config = format!("rdbms:\n  type: sqlite\n  database: {}\n", file.display());
    for args in [&["migrate", "status"][..], &["migrate", "down", "--yes"], &["dead-letters", "list"]] {
        let output = pipeline(&config, args).await;
        assert_eq!((output.code, output.stdout.as_str()), (CONFIGURATION, ""), "{output:?}");
        assert_parts(&output.stderr, &["new.db is not there", "rdbms.database", "pipeline migrate up"]);
        assert!(!file.exists());
    }
    assert_eq!(succeeding(&config, &["migrate", "up"]).await, lines("applied", &BOOKKEEPING));
    assert!(file.exists());
}
