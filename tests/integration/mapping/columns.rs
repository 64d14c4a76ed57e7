//! Where the value of a column comes from, and what happens where it gives none.

use super::{add, dead, run_through, setting};
use crate::support::database::Kind;

#[tokio::test(flavor = "multi_thread")]
async fn a_column_comes_from_the_document_the_entry_the_key_or_the_settings() {
    let table = "CREATE TABLE thing (id varchar(9) PRIMARY KEY, tenant varchar(9), source varchar(9), tag varchar(9), \
                 size int, kind varchar(9))";
    let stream = r#"    key_pattern: "thing:{tenant}:{id}"
    mode: upsert
    key: [id]
    columns:
      id: $key.id
      tenant: $key.tenant
      source: $field.origin
      tag: {from: "tags[0]", default: none}
      size: {from: size, default: 7}
      kind: {value: plain}
"#;
    for kind in Kind::ALL {
        let mut setting = setting(kind, &[table]).await;
        let entry =
            |key: &'static str, document: &'static str| [("key", key), ("payload", document), ("origin", "web")];
        let [first, second, bad] = [
            entry("thing:acme:a", r#"{"tags": ["x", "y"], "size": 3}"#),
            entry("thing:acme:b:c", r#"{"tags": [], "size": null}"#),
            entry("thing:acme", "{}"),
        ];
        add(&mut setting, &[&first, &second, &bad, &[("key", "thing:umbrella:z"), ("payload", "{}")]]).await;
        run_through(&setting, stream, 4).await;
        assert_eq!(
            setting.rows("SELECT id, tenant, source, tag, size, kind FROM thing ORDER BY id").await,
            ["a|acme|web|x|3|plain", "b:c|acme|web|none|NULL|plain", "z|umbrella|NULL|none|7|plain"],
            "{kind:?}"
        );
        let dead = dead(&setting).await;
        let message = "the key `thing:acme` is not made up like key_pattern `thing:{tenant}:{id}`";
        assert!(dead.len() == 1 && dead[0].starts_with("missing_key|") && dead[0].contains(message), "{dead:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_and_null_mean_what_the_settings_say() {
    let table = "CREATE TABLE thing (id int, written int, defaulted int, refused int, needed int)";
    let stream = r#"    columns:
      id: id
      written: {from: v, default: 1}
      defaulted: {from: v, default: 2, on_null: default}
      refused: {from: w, on_null: reject}
      needed: {from: x, required: true}
"#;
    for kind in Kind::ALL {
        let mut setting = setting(kind, &[table]).await;
        let documents = [
            r#"{"id": 1, "x": 5}"#,
            r#"{"id": 2, "v": null, "x": 5}"#,
            r#"{"id": 3, "v": 9, "w": 8, "x": 5}"#,
            r#"{"id": 4, "w": null, "x": 5}"#,
            r#"{"id": 5}"#,
            r#"{"id": 6, "x": null}"#,
        ];
        let entries = documents.map(|document| [("payload", document)]);
        add(&mut setting, &entries.iter().map(|entry| entry.as_slice()).collect::<Vec<_>>()).await;
        run_through(&setting, stream, 6).await;
        assert_eq!(
            setting.rows("SELECT id, written, defaulted, refused, needed FROM thing ORDER BY id").await,
            ["1|1|2|NULL|5", "2|NULL|2|NULL|5", "3|9|9|8|5"],
            "{kind:?}"
        );
        let [refused, absent, null] = &dead(&setting).await[..] else { panic!("{:?}", dead(&setting).await) };
        assert_eq!(refused, "missing_value|column `refused` takes no null, and the document's `w` is null");
        for (needed, why) in [(absent, "gives no value"), (null, "is null")] {
            assert_eq!(
                *needed,
                format!("missing_value|column `needed` is required, and the document's `x` {why}"),
                "{kind:?}"
            );
        }
    }
}

/// What is missing is told with the setting that asks for it, or that would give it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_told_with_its_setting() {
    let table = "CREATE TABLE thing (id varchar(9) PRIMARY KEY, v int, state varchar(9) NOT NULL DEFAULT 'new', n int NOT NULL)";
    let stream = "    mode: upsert\n    key: [id]\n    version: v\n    columns: {id: $key, v: v, state: state, n: \
                  {from: n, default: 1}}\n";
    let mut setting = setting(Kind::Sqlite, &[table]).await;
    let documents = [r#"{"n": 1, "state": "a"}"#, r#"{"v": 1}"#, r#"{"v": 1, "state": "a", "n": null}"#];
    let entries = documents.map(|document| [("key", "a"), ("payload", document)]);
    add(&mut setting, &entries.iter().map(|entry| entry.as_slice()).collect::<Vec<_>>()).await;
    run_through(&setting, stream, 3).await;
    let mut dead = dead(&setting).await;
    dead.sort();
    let expected = [
        "missing_value|column `n` must not be NULL, and the document's `n` is null: `on_null: default` takes its default for \
         null too",
        "missing_value|column `state` must not be NULL, and the document's `state` gives no value: the database's own default \
         is for columns that are not mapped, here the setting `default` gives one",
        "missing_value|column `v` is the `version` of its row, and the document's `v` gives no value",
    ];
    assert_eq!(dead, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_find_the_members_of_their_names() {
    for kind in Kind::ALL {
        let id = if kind == Kind::Sqlite { "varchar(9)" } else { "varchar(9) COLLATE \"C\"" };
        let id = if kind == Kind::MariaDb { "varchar(9) COLLATE utf8mb4_bin" } else { id };
        let table = format!(
            "CREATE TABLE thing (id {id} PRIMARY KEY, name varchar(9), age int, state varchar(9) DEFAULT 'new')"
        );
        let mut setting = setting(kind, &[&table]).await;
        add(&mut setting, &[&[("key", "a"), ("payload", r#"{"name": "Ada", "age": 36, "state": "old", "more": 1}"#)]])
            .await;
        run_through(&setting, "    mode: upsert\n    key: [id]\n    columns: {\"*\": auto, id: $key}\n", 1).await;
        // A column with a default in the database keeps it, unless it is named.
        assert_eq!(setting.rows("SELECT id, name, age, state FROM thing").await, ["a|Ada|36|new"], "{kind:?}");
        assert_eq!(dead(&setting).await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_says_how_its_values_are_written() {
    let stream = r#"    columns:
      local: {from: local, zone: Europe/Berlin}
      seconds: {from: seconds, epoch: s}
      bytes: {from: bytes, encoding: base64}
      hex: {from: hex, encoding: hex, default: "6b"}
"#;
    for kind in Kind::ALL {
        let bytes = if kind == Kind::Postgres { "bytea" } else { "blob" };
        let time = if kind == Kind::Postgres { "timestamp(3)" } else { "datetime(3)" };
        let table = format!("CREATE TABLE thing (local {time}, seconds {time}, bytes {bytes}, hex {bytes})");
        let mut setting = setting(kind, &[&table]).await;
        let documents = [
            r#"{"local": "2024-06-01T12:00:00", "seconds": 1717236000.5, "bytes": "aGk=", "hex": "6f6B"}"#,
            r#"{"local": "2024-06-01T12:00:00Z", "seconds": 0, "bytes": "aGk"}"#,
            r#"{"local": "2024-03-31T02:30:00"}"#,
            r#"{"bytes": "not base64"}"#,
        ];
        let entries = documents.map(|document| [("payload", document)]);
        add(&mut setting, &entries.iter().map(|entry| entry.as_slice()).collect::<Vec<_>>()).await;
        run_through(&setting, stream, 4).await;
        let text = |column: &str| match kind {
            Kind::Postgres => format!("to_char({column}, 'YYYY-MM-DD HH24:MI:SS')"),
            Kind::MariaDb => format!("date_format({column}, '%Y-%m-%d %H:%i:%s')"),
            Kind::Sqlite => format!("substr({column}, 1, 19)"),
        };
        let of_bytes = |column: &str| match kind {
            Kind::Postgres => format!("upper(encode({column}, 'hex'))"),
            Kind::MariaDb | Kind::Sqlite => format!("hex({column})"),
        };
        let sql = format!(
            "SELECT {}, {}, {}, {} FROM thing ORDER BY seconds",
            text("local"),
            text("seconds"),
            of_bytes("bytes"),
            of_bytes("hex")
        );
        assert_eq!(
            setting.rows(&sql).await,
            ["2024-06-01 12:00:00|1970-01-01 00:00:00|6869|6B", "2024-06-01 10:00:00|2024-06-01 10:00:00|6869|6F6B"],
            "{kind:?}"
        );
        let dead = dead(&setting).await;
        assert_eq!(dead.len(), 2, "{kind:?}: {dead:?}");
        assert!(dead[0].contains("column `local`") && dead[1].contains("column `bytes`"), "{dead:?}");
    }
}
