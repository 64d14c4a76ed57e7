//! What a table holds already, from somebody else too, decides what an event does to it.

use super::{add, add_made, dead, run_through, setting};
use crate::support::database::Kind;
use crate::support::pipeline::run_pipeline;
use crate::workload::redis_yaml;

#[tokio::test(flavor = "multi_thread")]
async fn an_older_document_does_not_overwrite_a_newer_row() {
    let table = "CREATE TABLE article (id varchar(20) PRIMARY KEY, title varchar(20), changed timestamp(3) NULL)";
    let stream = "    table: article\n    mode: upsert\n    key: [id]\n    version: changed\n    \
                  columns: {id: $key, title: title, changed: changed}\n";
    for kind in Kind::ALL {
        let mut setting = setting(kind, &[table]).await;
        for row in [
            "'newer', 'theirs', '2024-06-01 12:00:00.500'",
            "'older', 'theirs', '2024-06-01 11:59:59'",
            "'none', 'theirs', NULL",
        ] {
            setting.database.execute(&format!("INSERT INTO article VALUES ({row})")).await;
        }
        let document = r#"{"title": "ours", "changed": "2024-06-01T12:00:00.250Z"}"#;
        let same = r#"{"title": "same", "changed": "2024-06-01T12:00:00.250Z"}"#;
        let mut entries: Vec<[(&str, &str); 3]> = Vec::new();
        for key in ["newer", "older", "none", "new"] {
            entries.push([("op", "upsert"), ("key", key), ("payload", document)]);
        }
        entries.push([("op", "update"), ("key", "newer"), ("payload", document)]);
        entries.push([("op", "patch"), ("key", "newer"), ("payload", document)]);
        entries.push([("op", "upsert"), ("key", "new"), ("payload", same)]);
        entries.push([("op", "upsert"), ("key", "without"), ("payload", r#"{"title": "ours"}"#)]);
        add(&mut setting, &entries.iter().map(|entry| entry.as_slice()).collect::<Vec<_>>()).await;
        run_through(&setting, stream, entries.len() as u64).await;
        let rows = setting.rows("SELECT id, title FROM article ORDER BY id").await;
        assert_eq!(rows, ["new|same", "newer|theirs", "none|ours", "older|ours"], "{kind:?}");
        let dead = dead(&setting).await;
        assert_eq!(dead.len(), 1, "{dead:?}");
        assert!(dead[0].starts_with("missing_value|column `changed` is the `version` of its row"), "{dead:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_added_is_exact_or_refused() {
    let stream = |columns: &str| {
        format!("    table: account\n    mode: upsert\n    key: [id]\n    columns: {{id: $key, {columns}}}\n")
    };
    for kind in Kind::ALL {
        let decimals = kind != Kind::Sqlite;
        let balance = if decimals { "decimal(38, 9)" } else { "real" };
        let table = format!(
            "CREATE TABLE account (id varchar(20) PRIMARY KEY, visits bigint, balance {balance}, seen varchar(9) DEFAULT 'no')"
        );
        let mut setting = setting(kind, &[&table]).await;
        setting
            .database
            .execute("INSERT INTO account (id, visits, balance, seen) VALUES ('there', NULL, NULL, 'yes')")
            .await;
        setting.database.execute(&format!("INSERT INTO account VALUES ('full', {}, 1.5, 'yes')", i64::MAX - 1)).await;
        let amount = "12345678901234567890.123456789";
        let mut entries: Vec<[(&str, String); 3]> = Vec::new();
        for key in ["there", "new"] {
            for _ in 0..3 {
                let document = format!(r#"{{"amount": {amount}, "visits": 2}}"#);
                entries.push([("op", "upsert".into()), ("key", key.into()), ("payload", document)]);
            }
            entries.push([("op", "update".into()), ("key", key.into()), ("payload", r#"{"visits": null}"#.into())]);
            let document = r#"{"amount": "-0.000000001"}"#;
            entries.push([("op", "patch".into()), ("key", key.into()), ("payload", document.into())]);
        }
        for visits in [1, -1, 1] {
            let document = format!(r#"{{"visits": {visits}, "amount": 0}}"#);
            entries.push([("op", "update".into()), ("key", "full".into()), ("payload", document)]);
            entries.push([("op", "upsert".into()), ("key", "other".into()), ("payload", r#"{"visits": 1}"#.into())]);
        }
        add_made(&mut setting, &entries).await;
        run_through(&setting, &stream("visits: {add: visits}, balance: {add: amount}"), entries.len() as u64).await;
        let rows = setting.rows("SELECT id, visits, balance, seen FROM account ORDER BY id").await;
        let full = i64::MAX;
        if decimals {
            let sum = "37037036703703703670.370370366";
            assert_eq!(
                rows,
                [
                    format!("full|{full}|1.500000000|yes"),
                    format!("new|6|{sum}|no"),
                    "other|3|0.000000000|no".to_owned(),
                    format!("there|6|{sum}|yes")
                ],
                "{kind:?}"
            );
        } else {
            assert!(rows[0].starts_with(&format!("full|{full}|1.5|")), "{rows:?}");
            assert!(rows[1].starts_with("new|6|3.703703670370") && rows[3].starts_with("there|6|3.703"), "{rows:?}");
        }
        assert_eq!(dead(&setting).await, Vec::<String>::new(), "{kind:?}");
        // Now the sum of a batch does not.
        let over: &[(&str, &str)] = &[("op", "update"), ("key", "full"), ("payload", r#"{"visits": 1}"#)];
        let good: &[(&str, &str)] = &[("op", "update"), ("key", "other"), ("payload", r#"{"visits": 1}"#)];
        add(&mut setting, &[good, over, good]).await;
        run_through(&setting, &stream("visits: {add: visits}, balance: {add: amount}"), entries.len() as u64 + 3).await;
        assert_eq!(
            setting.rows("SELECT visits FROM account WHERE id IN ('full', 'other') ORDER BY id").await,
            [full.to_string(), "5".to_owned()]
        );
        let dead = dead(&setting).await;
        assert_eq!(dead.len(), 1, "{kind:?}: {dead:?}");
        assert!(dead[0].starts_with("out_of_range|"), "{kind:?}: {dead:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soft_delete_marks_the_row_and_an_insert_revives_it() {
    for kind in Kind::ALL {
        for (sql_type, mark, deleted, alive) in [
            ("timestamp(3) NULL", "CASE WHEN gone IS NULL THEN 'no' ELSE 'yes' END", "yes", "no"),
            ("boolean NOT NULL", "CASE WHEN gone THEN 'yes' ELSE 'no' END", "yes", "no"),
            ("integer", "gone", "1", "0"),
        ] {
            let table = format!(
                "CREATE TABLE session (id varchar(9), part int, note varchar(9), gone {sql_type}, PRIMARY KEY (id, part))"
            );
            let mut setting = setting(kind, &[&table]).await;
            let stream = "    table: session\n    mode: upsert\n    key: [id, part]\n    soft_delete: gone\n    \
                          key_pattern: \"{id}:{part}\"\n    columns: {id: $key.id, part: $key.part, note: note}\n";
            let entries: [&[(&str, &str)]; 7] = [
                &[("key", "a:1"), ("payload", r#"{"note": "x"}"#)],
                &[("key", "a:2"), ("payload", r#"{"note": "x"}"#)],
                &[("key", "b:1"), ("payload", r#"{"note": "x"}"#)],
                &[("op", "delete"), ("key", "a:1")],
                &[("op", "delete"), ("key", "b:1")],
                &[("op", "delete"), ("key", "never:1")],
                &[("op", "update"), ("key", "a:1"), ("payload", r#"{"note": "y"}"#)],
            ];
            add(&mut setting, &entries).await;
            run_through(&setting, stream, 7).await;
            let sql = format!("SELECT id, part, note, {mark} FROM session ORDER BY id, part");
            let [first, second] = [deleted, alive];
            assert_eq!(
                setting.rows(&sql).await,
                [format!("a|1|x|{first}"), format!("a|2|x|{second}"), format!("b|1|x|{first}")],
                "{kind:?} {sql_type}"
            );
            add(
                &mut setting,
                &[
                    &[("op", "patch"), ("key", "a:1"), ("payload", r#"{"note": "z"}"#)],
                    &[("op", "insert"), ("key", "b:1"), ("payload", r#"{"note": "w"}"#)],
                ],
            )
            .await;
            run_through(&setting, stream, 9).await;
            assert_eq!(
                setting.rows(&sql).await,
                [format!("a|1|x|{first}"), format!("a|2|x|{second}"), format!("b|1|w|{second}")],
                "{kind:?} {sql_type}"
            );
            assert_eq!(dead(&setting).await, Vec::<String>::new());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amount_that_is_not_the_events_own_is_not_added() {
    let table = "CREATE TABLE account (id varchar(20) PRIMARY KEY, balance bigint)";
    let stream =
        "    table: account\n    mode: upsert\n    key: [id]\n    columns: {id: $key, balance: {add: amount}}\n";
    for kind in Kind::ALL {
        let mut setting = setting(kind, &[table]).await;
        redis::cmd("SET").arg("a").arg(r#"{"amount": 5}"#).exec_async(&mut setting.connection).await.expect("set");
        let entries: [&[(&str, &str)]; 3] =
            [&[("key", "a")], &[("key", "a"), ("payload", r#"{"amount": 7}"#)], &[("op", "delete"), ("key", "b")]];
        add(&mut setting, &entries).await;
        run_through(&setting, stream, 3).await;
        assert_eq!(setting.rows("SELECT id, balance FROM account").await, ["a|7"], "{kind:?}");
        let dead = dead(&setting).await;
        assert_eq!(dead.len(), 1, "{dead:?}");
        assert!(dead[0].contains("its amount would be added twice"), "{dead:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_table_cannot_do_is_refused_with_its_setting() {
    let tables = [
        "CREATE TABLE thing (id varchar(9) PRIMARY KEY, name varchar(9), at timestamp NOT NULL, price decimal(9, 2), body json)",
        "CREATE TABLE part (thing varchar(9), name varchar(9), PRIMARY KEY (thing, name))",
    ];
    for (table, words) in [
        (
            "a: {table: part, mode: upsert, key: [thing, name], for_each: 'a[*]', columns: {thing: $key, name: $item}}\n      \
             b: {table: part, mode: upsert, key: [thing, name], for_each: 'b[*]', columns: {thing: $key, name: $item}}",
            "tables.b.table: part is the table of streams.thing.tables.a too",
        ),
        ("thing: {mode: upsert, key: [id], soft_delete: at, columns: {id: $key}}", "`at` must allow NULL"),
        (
            "thing: {mode: upsert, key: [id], soft_delete: name, columns: {id: $key, at: at}}",
            "must be a time, a boolean or an integer",
        ),
        (
            "thing: {mode: upsert, key: [id], soft_delete: gone, columns: {id: $key, at: at}}",
            "no such column; it has id, name",
        ),
        (
            "thing: {mode: upsert, key: [id], version: body, columns: {id: $key, at: at, body: b}}",
            "a version is a number, a time",
        ),
        (
            "thing: {mode: upsert, key: [id], columns: {id: $key, at: at, name: {add: n}}}",
            "`add` needs a column of numbers",
        ),
        ("thing: {mode: upsert, key: [id], columns: {id: $key, at: at, price: {add: n}}}", "SQLite would add"),
        ("thing: {columns: {id: $item, at: at}}", "`$item` needs the table's `for_each`"),
        ("thing: {for_each: items, columns: {id: $item, at: at}}", "must end in [*], such as items[*]"),
        ("thing: {for_each: 'a[*].b[*]', columns: {id: $item, at: at}}", "goes through two lists"),
        (
            "thing: {mode: upsert, key: [id], for_each: 'a[*]', columns: {id: $item, at: at}}",
            "does not tell whose row it is",
        ),
        (
            "part: {mode: upsert, key: [thing, name], for_each: 'a[*]', columns: {thing: $key, name: $item}}\n      \
             thing: {mode: upsert, key: [id], version: at, columns: {id: $key, at: at}}",
            "tables.part.for_each: `version` keeps older documents out of thing",
        ),
    ] {
        let setting = setting(Kind::Sqlite, &tables).await;
        let config = redis_yaml(setting.redis.port()) + &setting.database.settings_yaml();
        let config = format!("{config}streams:\n  thing:\n    tables:\n      {table}\n");
        let output = run_pipeline(&config, &["check"], "").await;
        assert_eq!(output.code, Some(78), "{table}: {output:?}");
        assert!(output.stdout.contains(words), "{table}: {output:?}");
    }
}
