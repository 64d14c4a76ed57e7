//! What identifies a row: values that are one key for the database and two for everybody else, and none at all.

use crate::hard_cases::{UPSERT, dead, run_through, setting, write};
use crate::support::database::Kind;

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_one_row_only_to_the_database_keep_their_order() {
    for (kind, table, events, expected) in [
        (Kind::Postgres, "id numeric PRIMARY KEY, v text", [r#"{"id": 1, "v": "a"}"#, r#"{"id": 1.0, "v": "b"}"#], "b"),
        (
            Kind::Postgres,
            "id char(5) PRIMARY KEY, v text",
            [r#"{"id": "a", "v": "a"}"#, r#"{"id": "a ", "v": "b"}"#],
            "b",
        ),
        (
            Kind::Postgres,
            "id time PRIMARY KEY, v text",
            [r#"{"id": "12:30", "v": "a"}"#, r#"{"id": "12:30:00", "v": "b"}"#],
            "b",
        ),
        (
            Kind::MariaDb,
            "id varchar(9) PRIMARY KEY, v text",
            [r#"{"id": "A", "v": "a"}"#, r#"{"id": "a", "v": "b"}"#],
            "b",
        ),
        (
            Kind::MariaDb,
            "id decimal(10,2) PRIMARY KEY, v text",
            [r#"{"id": 1.0, "v": "a"}"#, r#"{"id": 1, "v": "b"}"#],
            "b",
        ),
        (
            Kind::Sqlite,
            "id decimal(10,2) PRIMARY KEY, v text",
            [r#"{"id": 1.0, "v": "a"}"#, r#"{"id": 1, "v": "b"}"#],
            "b",
        ),
        (Kind::Postgres, "id five PRIMARY KEY, v text", [r#"{"id": "a", "v": "a"}"#, r#"{"id": "a ", "v": "b"}"#], "b"),
        (
            Kind::Sqlite,
            "id text COLLATE NOCASE PRIMARY KEY, v text",
            [r#"{"id": "A", "v": "a"}"#, r#"{"id": "a", "v": "b"}"#],
            "b",
        ),
        (
            Kind::Sqlite,
            "id text COLLATE RTRIM PRIMARY KEY, v text",
            [r#"{"id": "A", "v": "a"}"#, r#"{"id": "A ", "v": "b"}"#],
            "b",
        ),
        (Kind::Sqlite, "id string PRIMARY KEY, v text", [r#"{"id": 1.0, "v": "a"}"#, r#"{"id": 1, "v": "b"}"#], "b"),
        (
            Kind::MariaDb,
            "id char(9) COLLATE utf8mb4_bin PRIMARY KEY, v text",
            [r#"{"id": "a", "v": "a"}"#, r#"{"id": "a ", "v": "b"}"#],
            "b",
        ),
    ] {
        // What is one key through its domain.
        let domain = if table.contains(" five ") { "CREATE DOMAIN five AS char(5); " } else { "" };
        let mut setting = setting(kind, &format!("{domain}CREATE TABLE thing ({table})")).await;
        write(&mut setting, &[("upsert", events[0]), ("upsert", events[1])]).await;
        run_through(&setting, UPSERT, 2).await;
        assert_eq!(setting.rows("SELECT v FROM thing").await, [expected], "{table}");
        // The second form of the key deletes the row of the first.
        write(&mut setting, &[("upsert", events[0]), ("delete", events[1])]).await;
        run_through(&setting, UPSERT, 4).await;
        assert_eq!(setting.rows("SELECT v FROM thing").await, Vec::<String>::new(), "{table}");
        assert_eq!(dead(&setting).await, Vec::<String>::new(), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blanks_at_the_end_of_a_key_are_refused_where_they_do_not_count() {
    for (column, kept) in
        [("varchar(9) COLLATE utf8mb4_bin", vec!["k|1"]), ("varchar(9) COLLATE utf8mb4_nopad_bin", vec!["k|1", "k |2"])]
    {
        let mut setting =
            setting(Kind::MariaDb, &format!("CREATE TABLE thing (id {column} PRIMARY KEY, v text)")).await;
        write(&mut setting, &[("upsert", r#"{"id": "k", "v": 1}"#), ("upsert", r#"{"id": "k ", "v": 2}"#)]).await;
        run_through(&setting, UPSERT, 2).await;
        assert_eq!(setting.rows("SELECT id, v FROM thing ORDER BY v").await, kept, "{column}");
        let letters = dead(&setting).await;
        assert_eq!(letters.len(), 2 - kept.len(), "{letters:?}");
        assert!(letters.iter().all(|letter| letter.contains("takes it for the same as without")), "{letters:?}");
    }
}

/// Else all keys that are no text would be one.
#[tokio::test(flavor = "multi_thread")]
async fn an_expression_takes_no_key_that_is_no_text() {
    let mut setting = setting(Kind::Sqlite, "CREATE TABLE thing (id text PRIMARY KEY)").await;
    for key in [&b"k\xff"[..], b"k"] {
        let fields: [(&str, &[u8]); 3] = [("op", b"upsert"), ("key", key), ("payload", b"{}")];
        redis::cmd("XADD").arg("stream:thing").arg("*").arg(&fields).exec_async(&mut setting.connection).await.unwrap();
    }
    run_through(&setting, "    mode: upsert\n    key: [id]\n    columns: {id: {expr: $key}}\n", 2).await;
    assert_eq!(setting.rows("SELECT id FROM thing").await, ["k"]);
    let letters = dead(&setting).await;
    assert!(letters.len() == 1 && letters[0].contains("the key is not UTF-8"), "{letters:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_value_for_its_key_an_event_is_a_dead_letter() {
    for (kind, id) in [
        (Kind::Postgres, "int UNIQUE"),
        (Kind::MariaDb, "int UNIQUE"),
        (Kind::Sqlite, "int UNIQUE"),
        (Kind::Sqlite, "INTEGER PRIMARY KEY"),
    ] {
        let mut setting = setting(kind, &format!("CREATE TABLE thing (id {id}, v varchar(9))")).await;
        let events = [("upsert", r#"{"v": "a"}"#), ("upsert", r#"{"id": 1, "v": "b"}"#), ("delete", r#"{"v": "c"}"#)];
        write(&mut setting, &events).await;
        run_through(&setting, UPSERT, 3).await;
        assert_eq!(setting.rows("SELECT v FROM thing").await, ["b"], "{kind:?}");
        let dead = dead(&setting).await;
        assert_eq!(dead.len(), 2, "{kind:?}: {dead:?}");
        assert!(dead.iter().all(|letter| letter.starts_with("missing_value|")), "{kind:?}: {dead:?}");
    }
}
