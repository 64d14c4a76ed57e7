//! One event, rows of several tables: all or none of them, and none before what it refers to.

use super::{add, add_made, dead, run_through, setting};
use crate::support::database::Kind;
use crate::support::pipeline::run_pipeline;
use crate::workload::redis_yaml;

/// Their names sort the other way round than they refer to each other.
const TABLES: [&str; 3] = [
    "CREATE TABLE z_person (id varchar(20) PRIMARY KEY, name varchar(20) NOT NULL)",
    "CREATE TABLE m_address (person varchar(20) PRIMARY KEY, city varchar(9), FOREIGN KEY (person) REFERENCES z_person (id))",
    "CREATE TABLE a_letter (person varchar(20) PRIMARY KEY, text varchar(20), FOREIGN KEY (person) REFERENCES m_address (person))",
];

const STREAM: &str = r#"    tables:
      a_letter: {mode: upsert, key: [person], columns: {person: $key, text: letter}}
      m_address: {mode: upsert, key: [person], columns: {person: $key, city: address.city}}
      z_person: {mode: upsert, key: [id], columns: {id: $key, name: name}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_several_tables_come_and_go_together() {
    for kind in Kind::ALL {
        let mut setting = setting(kind, &TABLES).await;
        let document = |number: u32, city: &str| {
            format!(r#"{{"name": "n{number}", "address": {{"city": "{city}"}}, "letter": "l{number}"}}"#)
        };
        // Each person is written, half of them deleted, and every fourth written again, mixed within one batch.
        let mut entries: Vec<[(&str, String); 3]> = Vec::new();
        for number in 0..200 {
            let key = || ("key", format!("p{number:03}"));
            entries.push([("op", "upsert".into()), key(), ("payload", document(number, "Ulm"))]);
            if number % 2 == 0 {
                entries.push([("op", "delete".into()), key(), ("payload", String::new())]);
            }
            if number % 4 == 0 {
                entries.push([("op", "insert".into()), key(), ("payload", document(number, "Bern"))]);
            }
        }
        // No name: neither the person nor what refers to it; the city is too long for its column.
        entries.push([("op", "upsert".into()), ("key", "bad1".into()), ("payload", r#"{"address": {}}"#.into())]);
        entries.push([("op", "upsert".into()), ("key", "bad2".into()), ("payload", document(7, "Llanfairpwll"))]);
        add_made(&mut setting, &entries).await;
        run_through(&setting, STREAM, entries.len() as u64).await;
        let all = setting
            .rows(
                "SELECT p.id, p.name, a.city, l.text FROM z_person p JOIN m_address a ON a.person = p.id \
                 JOIN a_letter l ON l.person = p.id ORDER BY p.id",
            )
            .await;
        let expected: Vec<String> = (0..200)
            .filter(|number| number % 2 == 1 || number % 4 == 0)
            .map(|number| format!("p{number:03}|n{number}|{}|l{number}", if number % 4 == 0 { "Bern" } else { "Ulm" }))
            .collect();
        assert_eq!(all, expected, "{kind:?}");
        assert_eq!(setting.rows("SELECT count(*) FROM z_person").await, [expected.len().to_string()], "{kind:?}");
        let dead = dead(&setting).await;
        assert_eq!(dead.len(), 2, "{kind:?}: {dead:?}");
        assert!(dead[0].starts_with("missing_value|table z_person: column `name`"), "{dead:?}");
        assert!(dead[1].starts_with("too_long|table ") && dead[1].contains(": column `city`"), "{dead:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_which_the_database_refuses_one_row_leaves_none() {
    let tables = [
        "CREATE TABLE z_person (id varchar(20) PRIMARY KEY, name varchar(20))",
        "CREATE TABLE a_letter (person varchar(20) PRIMARY KEY, text varchar(20), CHECK (text <> 'bad'))",
    ];
    let stream = r#"    tables:
      a_letter: {columns: {person: $key, text: letter}}
      z_person: {columns: {id: $key, name: name}}
"#;
    for kind in Kind::ALL {
        let mut setting = setting(kind, &tables).await;
        let entries: Vec<(String, String)> = (0..500)
            .map(|number| {
                let letter = if number % 100 == 50 { "bad" } else { "good" };
                (format!("p{number:03}"), format!(r#"{{"name": "n", "letter": "{letter}"}}"#))
            })
            .collect();
        let entries: Vec<[(&str, &str); 2]> =
            entries.iter().map(|(key, document)| [("key", key.as_str()), ("payload", document.as_str())]).collect();
        add(&mut setting, &entries.iter().map(|entry| entry.as_slice()).collect::<Vec<_>>()).await;
        run_through(&setting, stream, 500).await;
        let bad = "SELECT count(*) FROM z_person WHERE id LIKE '%50'";
        assert_eq!(setting.rows(bad).await, ["0"], "{kind:?}");
        for table in ["z_person", "a_letter"] {
            assert_eq!(setting.rows(&format!("SELECT count(*) FROM {table}")).await, ["495"], "{kind:?} {table}");
        }
        let dead = dead(&setting).await;
        assert_eq!(dead.len(), 5, "{kind:?}: {dead:?}");
        assert!(dead.iter().all(|letter| letter.starts_with("constraint|table a_letter: ")), "{kind:?}: {dead:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_table_takes_the_operations_and_the_documents_that_it_says() {
    let tables = [
        "CREATE TABLE account (id varchar(20) PRIMARY KEY, owner varchar(20))",
        "CREATE TABLE transfer (id varchar(20) PRIMARY KEY, amount integer)",
        "CREATE TABLE history (entry varchar(40), op varchar(9))",
    ];
    let stream = r#"    on_missing: delete
    reshape: '. + {kind: ($key | split(":")[0])}'
    tables:
      account: {mode: upsert, key: [id], filter: '.kind == "a"', columns: {id: $key, owner: owner}}
      transfer:
        mode: upsert
        key: [id]
        filter: '.kind == "t"'
        write_behind: {delete: false, update: false}
        columns: {id: $key, amount: amount}
      history: {write_behind: {update: false, patch: false, delete: false}, columns: {entry: $id, op: $op}}
"#;
    for kind in Kind::ALL {
        let mut setting = setting(kind, &tables).await;
        let entries: [&[(&str, &str)]; 10] = [
            &[("key", "a:1"), ("payload", r#"{"owner": "Ada"}"#)],
            &[("key", "a:2"), ("payload", r#"{"owner": "Eve"}"#)],
            &[("key", "t:1"), ("payload", r#"{"amount": 1}"#)],
            &[("key", "t:2"), ("payload", r#"{"amount": 2}"#)],
            // No table takes these two.
            &[("key", "t:1"), ("op", "update"), ("payload", r#"{"amount": 9}"#)],
            &[("key", "x:1"), ("op", "update"), ("payload", r#"{"owner": "nobody"}"#)],
            // The reshaping knows the kind without the document.
            &[("key", "t:2"), ("op", "patch"), ("payload", r#"{"amount": 3}"#)],
            &[("key", "a:1"), ("op", "delete")],
            &[("key", "t:1"), ("op", "delete")],
            // Its document is gone.
            &[("key", "a:2"), ("op", "upsert")],
        ];
        add(&mut setting, &entries).await;
        run_through(&setting, stream, 10).await;
        assert_eq!(dead(&setting).await, [""; 0], "{kind:?}");
        assert_eq!(setting.rows("SELECT id FROM account").await, [""; 0], "{kind:?}");
        assert_eq!(setting.rows("SELECT id, amount FROM transfer ORDER BY id").await, ["t:1|1", "t:2|3"], "{kind:?}");
        assert_eq!(setting.rows("SELECT op FROM history").await, ["insert"; 4], "{kind:?}");
        assert_eq!(setting.rows("SELECT skipped FROM write_behind_checkpoint").await, ["2"], "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_stays_that_refers_to_another_row_when_its_former_one_is_deleted() {
    let tables = [
        "CREATE TABLE parent (id varchar(20) PRIMARY KEY, above varchar(20), \
         FOREIGN KEY (above) REFERENCES parent (id) ON DELETE CASCADE)",
        "CREATE TABLE child (id varchar(20) PRIMARY KEY, parent varchar(20), \
         FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE)",
    ];
    let stream = r#"    tables:
      parent: {mode: upsert, key: [id], filter: '.kind == "p"', columns: {id: $key, above: above}}
      child: {mode: upsert, key: [id], filter: '.kind == "c"', columns: {id: $key, parent: parent}}
"#;
    for kind in Kind::ALL {
        let mut setting = setting(kind, &tables).await;
        let before: [&[(&str, &str)]; 4] = [
            &[("key", "p:1"), ("payload", r#"{"kind": "p"}"#)],
            &[("key", "p:2"), ("payload", r#"{"kind": "p"}"#)],
            &[("key", "p:3"), ("payload", r#"{"kind": "p", "above": "p:1"}"#)],
            &[("key", "c:1"), ("payload", r#"{"kind": "c", "parent": "p:1"}"#)],
        ];
        add(&mut setting, &before).await;
        run_through(&setting, stream, 4).await;
        // In one batch.
        let after: [&[(&str, &str)]; 3] = [
            &[("key", "c:1"), ("op", "update"), ("payload", r#"{"kind": "c", "parent": "p:2"}"#)],
            &[("key", "p:3"), ("op", "patch"), ("payload", r#"{"kind": "p", "above": "p:2"}"#)],
            &[("key", "p:1"), ("op", "delete")],
        ];
        add(&mut setting, &after).await;
        run_through(&setting, stream, 7).await;
        assert_eq!(dead(&setting).await, [""; 0], "{kind:?}");
        assert_eq!(setting.rows("SELECT id, parent FROM child").await, ["c:1|p:2"], "{kind:?}");
        assert_eq!(setting.rows("SELECT id, above FROM parent ORDER BY id").await, ["p:2|NULL", "p:3|p:2"], "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_table_wants_of_documents_does_not_bind_the_others() {
    let tables = [
        "CREATE TABLE plain (id varchar(20) PRIMARY KEY, n integer)",
        "CREATE TABLE sums (id varchar(20) PRIMARY KEY, n integer)",
    ];
    let stream = r#"    tables:
      plain: {mode: upsert, key: [id], filter: '.kind == "p"', columns: {id: $key, n: n}}
      sums: {mode: upsert, key: [id], filter: '.kind == "s"', columns: {id: $key, n: {add: n}}}
"#;
    let mut setting = setting(Kind::Sqlite, &tables).await;
    for (key, document) in [("p:1", r#"{"kind": "p", "n": 1}"#), ("s:1", r#"{"kind": "s", "n": 1}"#)] {
        redis::cmd("SET").arg(key).arg(document).query_async::<()>(&mut setting.connection).await.unwrap();
    }
    add(&mut setting, &[&[("key", "p:1")], &[("key", "s:1")], &[("key", "p:2"), ("payload", "")]]).await;
    run_through(&setting, stream, 3).await;
    assert_eq!(setting.rows("SELECT id, n FROM plain").await, ["p:1|1"]);
    let dead = dead(&setting).await;
    assert!(dead.len() == 2 && dead[0].starts_with("missing_document|table sums: the document at the key"), "{dead:?}");
    assert!(dead[1].starts_with("missing_document|the entry's field `payload` is empty"), "{dead:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_would_be_in_each_others_way_are_refused_and_risky_ones_told() {
    let tables = [
        "CREATE TABLE thing (id varchar(20) PRIMARY KEY, x integer)",
        "CREATE TABLE other (id varchar(20) PRIMARY KEY, x integer)",
        "CREATE TABLE log (op varchar(20))",
        "CREATE TABLE line (id varchar(20), sku varchar(20), PRIMARY KEY (id, sku))",
    ];
    let setting = setting(Kind::Sqlite, &tables).await;
    let keyed = "mode: upsert, key: [id], columns: {id: $key, x: x}";
    let line = "line: {for_each: \"l[*]\", mode: upsert, key: [id, sku], columns: {id: $key, sku: $item.sku}";
    let new_rows = "write_behind: {update: false, patch: false, delete: false}";
    for (code, tables, words) in [
        (
            78,
            format!("a: {{table: thing, filter: .a, {keyed}}}, b: {{table: THING, filter: .b, {keyed}}}"),
            vec!["streams.thing.tables.b.table: THING is the table of streams.thing.tables.a too, and of two changes"],
        ),
        (
            0,
            format!(
                "a: {{table: log, {new_rows}, columns: {{op: $op}}}}, b: {{table: log, {new_rows}, columns: {{op: $id}}}}"
            ),
            vec!["ok"],
        ),
        (
            78,
            format!("thing: {{filter: .a, {keyed}}}, other: {{filter: .b, {keyed}}}, {line}}}"),
            vec!["streams.thing.tables.line.for_each: the rows of a document go with its own row, which could be in "],
        ),
        (
            0,
            format!("thing: {{filter: .a, {keyed}}}, other: {{filter: .b, {keyed}}}, {line}, filter: .b}}"),
            vec!["ok"],
        ),
        (
            78,
            format!("thing: {{{keyed}}}, {line}, filter: $item.n > 0}}"),
            vec!["; it is asked about documents: leave items out with `reshape`"],
        ),
        (
            0,
            format!(
                "thing: {{{keyed}, filter: '$op != \"delete\"'}}, log: {{columns: {{op: $op}}, write_behind: {{patch: false}}}}, \
                 other: {{{keyed}, write_behind: {{insert: false, upsert: false, update: false, patch: false, delete: false}}}}"
            ),
            vec![
                "warning  streams.thing: table thing: `filter` is not asked about deletes: `write_behind: {delete: false}`",
                "warning  streams.thing: table log: it has no `key`, so update, delete become dead letters, and no other table",
                "set `write_behind: {update: false, delete: false}` or `mode: log` for this table\n",
                "warning  streams.thing: table other: `write_behind` switches every operation off",
            ],
        ),
    ] {
        let stream = format!("streams:\n  thing:\n    tables: {{{tables}}}\n");
        let config = redis_yaml(setting.redis.port()) + &setting.database.settings_yaml() + &stream;
        let output = run_pipeline(&config, &["check"], "").await;
        assert_eq!(output.code, Some(code), "{tables}: {output:?}");
        words.iter().for_each(|words| assert!(output.stdout.contains(words), "{words}: {output:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_has_a_row_for_every_event_beside_what_is_there_now() {
    let tables = [
        "CREATE TABLE customer (id varchar(20) PRIMARY KEY, name varchar(20) NOT NULL)",
        "CREATE TABLE history (entry varchar(40) PRIMARY KEY, id varchar(20) NOT NULL, op varchar(9) NOT NULL, \
         name varchar(20), whole varchar(200))",
    ];
    let stream = r#"    lanes: 2
    on_missing: delete
    tables:
      customer: {mode: upsert, key: [id], columns: {id: $key, name: name}}
      history:
        mode: log
        columns: {entry: $id, id: $key, op: $op, name: name, whole: {expr: tojson}}
"#;
    for kind in Kind::ALL {
        let mut setting = setting(kind, &tables).await;
        let mut entries: Vec<[(&str, String); 3]> = Vec::new();
        for number in 0..100 {
            let key = || ("key", format!("c{number}"));
            let document = |text: &str| ("payload", text.replace('#', &number.to_string()));
            entries.push([("op", "insert".into()), key(), document(r#"{"name":"a#"}"#)]);
            entries.push([("op", "update".into()), key(), document(r#"{"name":"b#"}"#)]);
            entries.push([("op", "patch".into()), key(), document(r#"{"city":"Ulm"}"#)]);
            entries.push([("op", if number % 2 == 0 { "delete" } else { "patch" }.into()), key(), document("")]);
        }
        let last = |number: u32| {
            let payload = if number.is_multiple_of(2) { "" } else { r#"{"name":"z"}"# };
            ("payload", payload.to_owned())
        };
        (0..100).zip((3..).step_by(4)).for_each(|(number, place)| entries[place][2] = last(number));
        add_made(&mut setting, &entries).await;
        // Its document is gone.
        add(&mut setting, &[&[("op", "update"), ("key", "c1")]]).await;
        run_through(&setting, stream, 401).await;
        assert_eq!(dead(&setting).await, [""; 0], "{kind:?}");
        assert_eq!(setting.rows("SELECT count(*) FROM customer WHERE name = 'z'").await, ["49"], "{kind:?}");
        assert_eq!(setting.rows("SELECT count(*) FROM history").await, ["401"], "{kind:?}");
        let of = |id: &str| format!("SELECT op, name, whole FROM history WHERE id = '{id}' ORDER BY entry");
        let expected = [
            r#"insert|a0|{"name":"a0"}"#,
            r#"update|b0|{"name":"b0"}"#,
            r#"patch|NULL|{"city":"Ulm"}"#,
            "delete|NULL|{}",
        ];
        let rows = setting.rows(&of("c0")).await;
        // Ids of one millisecond do not sort as texts.
        assert_eq!(rows.len(), 4, "{kind:?}: {rows:?}");
        expected.iter().for_each(|row| assert!(rows.iter().any(|other| other == row), "{kind:?}: {row} in {rows:?}"));
        assert!(setting.rows(&of("c1")).await.contains(&"update|NULL|{}".to_owned()), "{kind:?}");
    }
}
