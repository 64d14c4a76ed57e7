//! Filters, computed columns and reshaping, in jq.

use super::{add, dead, run_through, setting};
use crate::support::database::Kind;
use crate::support::pipeline::run_pipeline;
use crate::workload::redis_yaml;

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_chooses_and_an_expression_computes() {
    let table = "CREATE TABLE thing (id varchar(20) PRIMARY KEY, name varchar(20), total numeric(40, 10), cents bigint, \
                 tenant varchar(9))";
    let stream = r#"    mode: upsert
    key: [id]
    key_pattern: "{tenant}:{id}"
    filter: .status != "draft" and $parts.tenant != "test"
    columns:
      id: $key
      name: {expr: '[.first, .last] | join(" ")'}
      total: {expr: .total}
      cents: {expr: 'if .amount then .amount * 100 else null end', default: 0}
      tenant: {expr: $parts.tenant | ascii_upcase}
"#;
    for kind in Kind::ALL {
        // SQLite keeps no decimals of so many digits as numbers.
        let table = if kind == Kind::Sqlite { table.replace("numeric(40, 10)", "text") } else { table.to_owned() };
        let mut setting = setting(kind, &[&table]).await;
        let exact = "12345678901234567890.123456789";
        let good = format!(r#"{{"first": "Ada", "last": "L.", "total": {exact}, "amount": 12.34}}"#);
        let entries: [&[(&str, &str)]; 6] = [
            &[("key", "acme:1"), ("payload", &good)],
            &[("key", "acme:2"), ("payload", r#"{"status": "draft"}"#)],
            &[("key", "test:3"), ("payload", r#"{"first": "T"}"#)],
            &[("key", "acme:4"), ("payload", r#"{"first": 1, "last": 2, "total": 3}"#)],
            &[("key", "acme:5"), ("payload", r#"{"first": "B", "last": "C", "total": 3, "amount": "x"}"#)],
            &[("key", "acme:4"), ("op", "delete")],
        ];
        add(&mut setting, &entries).await;
        run_through(&setting, stream, 6).await;
        let total =
            if kind == Kind::MariaDb || kind == Kind::Postgres { format!("{exact}0") } else { exact.to_owned() };
        assert_eq!(
            setting.rows("SELECT id, name, total, cents, tenant FROM thing ORDER BY id").await,
            [format!("acme:1|Ada L.|{total}|1234|ACME")],
            "{kind:?}"
        );
        let dead = dead(&setting).await;
        assert_eq!(dead.len(), 1, "{kind:?}: {dead:?}");
        assert!(dead[0].starts_with("expression|column `cents`"), "{dead:?}");
        let skipped = setting.rows("SELECT skipped FROM write_behind_checkpoint").await;
        assert_eq!(skipped, ["2"], "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_can_be_reshaped_before_they_are_mapped() {
    let stream = r#"    reshape: |
      if .event.kind == "ping" then empty
      else .event.data + {at: $timestamp, source: .source}
      end
    columns: {id: id, source: source, at: at}
"#;
    for kind in Kind::ALL {
        let mut setting = setting(kind, &["CREATE TABLE thing (id int, source varchar(9), at bigint)"]).await;
        let documents = [
            r#"{"source": "web", "event": {"kind": "sale", "data": {"id": 7}}}"#,
            r#"{"source": "web", "event": {"kind": "ping"}}"#,
            r#"{"source": "web", "event": {"kind": "sale", "data": [7]}}"#,
        ];
        let entries = documents.map(|document| [("payload", document)]);
        add(&mut setting, &entries.iter().map(|entry| entry.as_slice()).collect::<Vec<_>>()).await;
        run_through(&setting, stream, 3).await;
        assert_eq!(setting.rows("SELECT id, source, at > 1600000000000 FROM thing").await.len(), 1, "{kind:?}");
        assert!(setting.rows("SELECT id, source FROM thing").await.contains(&"7|web".to_owned()), "{kind:?}");
        let dead = dead(&setting).await;
        assert!(dead.len() == 1 && dead[0].starts_with("expression|`reshape`: "), "{kind:?}: {dead:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_expression_is_refused_with_its_place_before_anything_is_read() {
    let setting = setting(Kind::Sqlite, &["CREATE TABLE thing (id int)"]).await;
    let stream = "streams:\n  thing:\n    filter: .a ==\n    reshape: .b | repeat(.)\n    \
                  tables: {thing: {filter: '.a [', columns: {id: {expr: .c + $nobody}}}}\n";
    let config = redis_yaml(setting.redis.port()) + &setting.database.settings_yaml() + stream;
    let output = run_pipeline(&config, &["check"], "").await;
    for words in [
        "streams.thing.filter: line 1, column ",
        "streams.thing.reshape: line 1, column 6: ",
        "streams.thing.tables.thing.filter: line 1, column ",
        "$nobody",
    ] {
        assert!((output.stdout.clone() + &output.stderr).contains(words), "{words}: {output:?}");
    }
    assert_eq!(output.code, Some(78), "{output:?}");
}
