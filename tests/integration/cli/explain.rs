//! `pipeline explain` tells beforehand what the pipeline then does, and changes nothing.

use serde_json::Value;

use super::{CONFIGURATION, FAILED, assert_parts, pipeline, redis_yaml, succeeding, written_behind};
use crate::support::database::{Kind, TestDatabase};
use crate::support::redis::RedisServer;

const TABLES: [&str; 2] = [
    "CREATE TABLE orders (id varchar(20) PRIMARY KEY, customer varchar(10) NOT NULL, total numeric(10,2), \
     source varchar(10), CHECK (total >= 0))",
    "CREATE TABLE cities (id varchar(20) PRIMARY KEY, city varchar(10))",
];

const STREAM: &str = r#"streams:
  order:
    lanes: 4
    key_pattern: "order:{id}"
    filter: .status != "draft"
    reshape: |
      . + {source: "web"}
    tables:
      orders:
        mode: upsert
        key: [id]
        columns: {id: $key.id, customer: customer.name, total: total, source: {expr: .source | ascii_upcase}}
      cities:
        mode: upsert
        key: [id]
        columns: {id: $key, city: address.city}
"#;

async fn ready(kind: Kind, redis: &RedisServer) -> (TestDatabase, String) {
    let database = TestDatabase::new(kind).await;
    for table in TABLES {
        database.execute(table).await;
    }
    let config = redis_yaml(redis) + &database.settings_yaml() + STREAM;
    (database, config)
}

async fn keys(redis: &RedisServer) -> i64 {
    redis::cmd("DBSIZE").query_async(&mut redis.connection().await).await.unwrap()
}

async fn command(redis: &RedisServer, args: &[&str]) -> String {
    redis::cmd(args[0]).arg(&args[1..]).query_async(&mut redis.connection().await).await.unwrap()
}

/// Entries with every kind of outcome: what is passed over, what becomes a dead letter, what is written.
async fn fill(redis: &RedisServer) {
    let document = r#"{"customer": {"name": "Ada"}, "total": 12.50, "address": {"city": "Ulm"}}"#;
    command(redis, &["SET", "order:1", document]).await;
    for fields in [
        &["key", "order:1", "op", "upsert"][..],
        &["key", "order:2", "op", "upsert"],
        &["key", "order:3", "payload", r#"{"status": "draft"}"#],
        &["key", "order:4", "payload", r#"{"customer": {"name": "much too long"}}"#],
        &["key", "order:5", "payload", r#"{"customer": {"name": "Eve"}, "total": -1}"#],
        &["key", "order:6", "op", "frob"],
        &["key", "order:7", "payload", "[7]"],
        &["key", "order:8", "op", "delete"],
    ] {
        let entry = [&["XADD", "stream:order", "*"], fields].concat();
        command(redis, &entry).await;
    }
}

#[tokio::test]
async fn each_step_is_told_and_nothing_changes() {
    for kind in Kind::ALL {
        let redis = RedisServer::start();
        let (database, config) = ready(kind, &redis).await;
        fill(&redis).await;
        let before = keys(&redis).await;
        let text = succeeding(&config, &["explain", "--stream", "order", "--last", "8", "--dry-run"]).await;
        let decimal = if kind == Kind::MariaDb { "decimal(10,2)" } else { "numeric(10,2)" };
        // Its texts are compared without regard to case.
        let lane = match kind {
            Kind::MariaDb => "lane      the only one instead of 4, because rows of two lanes could be the same",
            Kind::Sqlite | Kind::Postgres => " of 4, by its field `key`; it has no checkpoint yet\n",
        };
        let upsert = match kind {
            Kind::Sqlite => {
                r#"sql       INSERT INTO "orders" ("customer", "id", "source", "total") VALUES (?, ?, ?, ?) ON CONFLICT ("id")"#
            }
            Kind::Postgres => r#"sql       INSERT INTO "orders" ("customer", "id", "source", "total") SELECT u.c0::"#,
            Kind::MariaDb => {
                "sql       INSERT INTO `orders` (`customer`, `id`, `source`, `total`) VALUES (?, ?, ?, ?) ON DUPLICATE KEY"
            }
        };
        assert_parts(
            &text,
            &[
                "fields    key = order:1\n          op = upsert\n",
                lane,
                "document  at the key `order:1`\n          {\n",
                "            \"total\": 12.50\n",
                "filter    .status != \"draft\"\n          gives true\n",
                "reshape   . + {source: \"web\"}\n          gives\n",
                "            \"source\": \"web\",\n",
                "table     orders: a new row, or the new values of the one with this key\n",
                "expr: .source | ascii_upcase  'WEB'\n",
                &format!("  {decimal}  "),
                "  12.50\n",
                upsert,
                "dry run   cities: 1 row counted; orders: 1 row counted; the database takes it; rolled back\n",
                "document  gone: there is nothing at the key `order:2`; `on_missing` makes a dead letter of the event\n",
                "skipped   passed over: `filter` answers false\n",
                "rejected  dead letter: too_long, column customer: table orders: column `customer` ",
                "it would become a dead letter of the class constraint; rolled back\n",
                "table     orders: the row with this key is deleted\n",
            ],
        );
        for table in ["orders", "cities"] {
            assert_eq!(database.count(table).await, 0, "{kind:?}");
        }
        assert_eq!(keys(&redis).await, before, "{kind:?}");
        assert!(database.try_rows("SELECT * FROM write_behind_checkpoint").await.is_err(), "{kind:?}: it was made");
    }
}

/// Of each entry: the class of its dead letter, `skipped`, or `applied`.
async fn told(config: &str) -> Vec<String> {
    let json = succeeding(config, &["explain", "--stream", "order", "--last", "8", "--dry-run", "--json"]).await;
    let Value::Array(all) = serde_json::from_str(&json).unwrap() else { panic!("{json}") };
    let outcome = |one: &Value| match (&one["rejected"]["class"], &one["skipped"], &one["dry_run"]["outcome"]) {
        (Value::String(class), ..) => class.clone(),
        (_, Value::String(_), _) => "skipped".to_owned(),
        (.., Value::String(outcome)) if outcome == "the database takes it" => "applied".to_owned(),
        (.., Value::String(outcome)) => outcome.rsplit(' ').next().unwrap().to_owned(),
        _ => panic!("{one}"),
    };
    all.iter().map(outcome).collect()
}

#[tokio::test]
async fn what_is_told_is_what_happens() {
    for kind in Kind::ALL {
        let redis = RedisServer::start();
        let (database, config) = ready(kind, &redis).await;
        fill(&redis).await;
        let told_before = told(&config).await;
        assert_eq!(
            told_before,
            ["applied", "missing_document", "skipped", "too_long", "constraint", "unknown_op", "expression", "applied"],
            "{kind:?}"
        );
        written_behind(&config, &database, 7).await;
        let sql = "SELECT error_class FROM write_behind_dead_letter ORDER BY entry_ms, entry_seq";
        let dead: Vec<String> = database.rows(sql).await.into_iter().flatten().flatten().collect();
        let told_dead = told_before.iter().filter(|outcome| !["applied", "skipped"].contains(&outcome.as_str()));
        assert!(told_dead.eq(&dead), "{kind:?}: {told_before:?} {dead:?}");
        assert_eq!(database.count("orders").await, 1, "{kind:?}");
        let text = succeeding(&config, &["explain", "--stream", "order"]).await;
        assert_parts(
            &text,
            &[
                "; its checkpoint is past the entry: it has been dealt with (written, passed over or a dead letter)\n",
                "op        delete\n",
            ],
        );
    }
}

#[tokio::test]
async fn what_a_missing_document_means_is_a_setting() {
    let redis = RedisServer::start();
    let (_database, config) = ready(Kind::Sqlite, &redis).await;
    let id = command(&redis, &["XADD", "stream:order", "*", "key", "order:1"]).await;
    for (on_missing, parts) in [
        (
            "skip",
            [
                "`on_missing` passes the event over",
                "skipped   passed over: the document is gone, and `on_missing` is skip",
            ],
        ),
        ("delete", ["`on_missing` deletes the row", "sql       DELETE FROM \"orders\""]),
    ] {
        let config = config.replace("lanes: 4", &format!("on_missing: {on_missing}"));
        let text = succeeding(&config, &["explain", "--stream", "order", "--id", &id]).await;
        assert_parts(&text, &parts);
        assert_parts(&text, &["lane      the only one; it has no checkpoint yet\n"]);
    }
}

#[tokio::test]
async fn tables_that_an_event_does_not_reach_are_told() {
    let redis = RedisServer::start();
    let (_database, config) = ready(Kind::Sqlite, &redis).await;
    let config = config.replace("      cities:\n", "      cities:\n        filter: .address.city == \"Ulm\"\n");
    let config =
        config.replace("      orders:\n", "      orders:\n        write_behind: {delete: false, patch: false}\n");
    let add = async |op: &str, document: &str| {
        let entry = ["XADD", "stream:order", "*", "key", "order:1", "op", op, "payload", document];
        let id = command(&redis, &entry).await;
        succeeding(&config, &["explain", "--stream", "order", "--id", &id]).await
    };
    let bern = add("insert", r#"{"customer": {"name": "Ada"}, "total": 1, "address": {"city": "Bern"}}"#).await;
    assert_parts(&bern, &["table     cities: passed over: `filter` answers false\n", "table     orders: a new row"]);
    let deleted = add("delete", "").await;
    assert_parts(
        &deleted,
        &["table     orders: passed over: `write_behind.delete` is false\n", "table     cities: the row with this key"],
    );
    let neither = add("patch", r#"{"total": 2, "address": {"city": "Bern"}}"#).await;
    assert_parts(
        &neither,
        &[
            "table     cities: passed over: `filter` answers false\n",
            "table     orders: passed over: `write_behind.patch` is false\n",
            "skipped   passed over: no table takes it",
        ],
    );
}

#[tokio::test]
async fn what_cannot_be_explained_is_said() {
    let redis = RedisServer::start();
    let (_database, config) = ready(Kind::Sqlite, &redis).await;
    let empty = pipeline(&config, &["explain", "--stream", "order"]).await;
    assert_eq!(empty.code, FAILED, "{empty:?}");
    assert_parts(&empty.stderr, &["error: stream `stream:order` is empty"]);
    let gone = pipeline(&config, &["explain", "--stream", "order", "--id", "5-1"]).await;
    assert_eq!(gone.code, FAILED, "{gone:?}");
    assert_parts(&gone.stderr, &["error: stream `stream:order` holds no entry 5-1"]);
    let unknown = pipeline(&config, &["explain", "--stream", "ordr"]).await;
    assert_eq!(unknown.code, CONFIGURATION, "{unknown:?}");
    assert_parts(&unknown.stderr, &["error: there is no stream `ordr` in the settings; there are order"]);
}

#[tokio::test]
async fn rows_of_a_list_are_told_and_what_is_masked_is_not_shown() {
    let stream = r#"streams:
  order:
    reshape: '. + {source: "web"}'
    tables:
      orders: {mode: upsert, key: [id], columns: {id: $key, mail: {from: $field.mail, mask: hash}, source: source}}
      order_lines: {for_each: "lines[*]", mode: upsert, key: [id, sku], columns: {id: $key, sku: $item.sku, place: $index}}
"#;
    for kind in Kind::ALL {
        let redis = RedisServer::start();
        let database = TestDatabase::new(kind).await;
        database.execute("CREATE TABLE orders (id varchar(20) PRIMARY KEY, mail varchar(64), source varchar(9))").await;
        let lines = "CREATE TABLE order_lines (id varchar(20), sku varchar(5), place int, PRIMARY KEY (id, sku))";
        database.execute(lines).await;
        let config = redis_yaml(&redis) + &database.settings_yaml() + stream;
        for (op, lines) in
            [("upsert", r#"[{"sku": "A"}, {"sku": "B"}]"#), ("upsert", "[]"), ("delete", "[]"), ("upsert", "[7]")]
        {
            let document = format!(r#"{{"lines": {lines}}}"#);
            let fields = ["key", "o:1", "op", op, "mail", "ada@example.org", "payload", &document];
            command(&redis, &[&["XADD", "stream:order", "*"][..], &fields].concat()).await;
        }
        let text = succeeding(&config, &["explain", "--stream", "order", "--last", "4", "--dry-run"]).await;
        assert!(!text.contains("ada@"), "{kind:?}: {text}");
        assert_parts(
            &text,
            &[
                "  $field.mail (masked)  '",
                "table     order_lines: a row of this document; others of it are deleted\n",
                "  $item.sku  'B'\n",
                "  1\n",
                "table     order_lines: no rows of this document any more\n",
                "table     order_lines: all rows of this document are deleted\n",
                "the database takes it; rolled back\n",
                "rejected  dead letter: missing_value, column sku",
            ],
        );
        assert_eq!(database.count("order_lines").await, 0, "{kind:?}");
    }
}
