//! `pipeline schema`: tables made from the mapping alone are those that the pipeline can write to, and nothing that is
//! there is touched.

use std::io::Write;
use std::process::{Command, Stdio};

use redis::AsyncCommands;

use super::{
    CONFIGURATION, FAILED, SUCCESS, UNAVAILABLE, WRONG_ARGUMENTS, assert_parts, config, config_to_nowhere, pipeline,
    succeeding, written_behind,
};
use crate::support::database::{Kind, TestDatabase};
use crate::support::redis::RedisServer;

const STREAMS: &str = r#"streams:
  order:
    key_pattern: "order:{tenant}:{id}"
    tables:
      orders:
        mode: upsert
        key: [tenant, id]
        columns:
          tenant: $key.tenant
          id: $key.id
          entry: $id
          taken_at: $timestamp
          paid: paid
          number: number
          total: total
          due: due
          placed_at: placed_at
          local_at: local_at
          token: token
          items: items
          note: {from: note, required: true}
          mixed: mixed
          never: never
          photo: {from: photo, encoding: base64}
          seen_at: {from: seen, epoch: ms}
          cents: {expr: .total * 100}
          origin: {value: web}
          exact: {from: exact, type: "EXACT"}
      order_log:
        columns: {number: number, op: $op}
"#;

/// With the declared type of each database.
fn streams(kind: Kind) -> String {
    STREAMS.replace("EXACT", if kind == Kind::Sqlite { "text" } else { "numeric(40,10)" })
}

fn document(number: u32) -> String {
    let mixed = if number.is_multiple_of(2) { r#""two""# } else { "1" };
    format!(
        r#"{{"paid": true, "number": {number}, "total": {number}.25, "due": "2024-06-{:02}", "token":
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a{:02}", "placed_at": "2024-06-01T12:30:{:02}+02:00", "local_at":
        "2024-06-01 12:30:00.5", "items": [{{"sku": "s{number}"}}], "note": "gr\u00fc\u00dfe", "mixed": {mixed},
        "never": null, "photo": "aGFsbG8=", "seen": 1717245000123, "exact": 12345678901234567890.123456789}}"#,
        number % 28 + 1,
        number % 90 + 10,
        number % 60
    )
}

async fn add(redis: &RedisServer, stream: &str, entries: impl IntoIterator<Item = (String, String)>) {
    let mut connection = redis.connection().await;
    for (key, payload) in entries {
        let fields = [("key", key), ("payload", payload)];
        let _: String = connection.xadd(stream, "*", &fields).await.unwrap();
    }
}

/// Runs SQL with the database's own client, or, where that is not there, with the harness.
async fn run_as_a_person_would(database: &TestDatabase, sql: &str) {
    let access = database.access();
    let mut command = match database.kind() {
        Kind::Postgres => {
            let mut command = Command::new("psql");
            let url = format!("postgres://{}@127.0.0.1:{}/{}", access.user, access.port, access.database);
            command.env("PGPASSWORD", &access.password).args(["-v", "ON_ERROR_STOP=1", "-q", &url]);
            command
        }
        Kind::MariaDb => {
            let mut command = Command::new("mariadb");
            let port = access.port.to_string();
            let (user, password) = (format!("-u{}", access.user), format!("-p{}", access.password));
            command.args(["-h127.0.0.1", "-P", &port, &user, &password, &access.database]);
            command
        }
        Kind::Sqlite => {
            let mut command = Command::new("sqlite3");
            command.args(["-bail", &access.database]);
            command
        }
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    match command.spawn() {
        Ok(mut client) => {
            client.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
            let output = client.wait_with_output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{sql}\n{output:?}");
        }
        Err(_) => database.execute(sql).await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_printed_from_samples_take_every_event() {
    let redis = RedisServer::start();
    add(&redis, "stream:order", (0..60).map(|number| (format!("order:acme:{number}"), document(number)))).await;
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let config = config(&redis, &database) + &streams(kind);
        let missing = pipeline(&config, &["schema", "diff"]).await;
        assert_eq!(missing.code, FAILED, "{missing:?}");
        assert_parts(
            &missing.stdout,
            &["missing  streams.order.tables.orders: table orders\n", "missing  streams.order.tables.order_log: "],
        );
        assert_parts(&missing.stderr, &["2 things are missing, which `pipeline schema apply` adds"]);
        let refused = pipeline(&config, &["check"]).await;
        assert_eq!(refused.code, CONFIGURATION);
        assert_parts(
            &refused.stdout,
            &["there is no table `orders`: create it (`pipeline schema print` gives the SQL"],
        );

        let printed = succeeding(&config, &["schema", "print"]).await;
        run_as_a_person_would(&database, &printed).await;
        let same = succeeding(&config, &["schema", "diff"]).await;
        assert_parts(&same, &["nothing differs: the mappings fit "]);
        let nothing = succeeding(&config, &["schema", "apply"]).await;
        assert_parts(&nothing, &["nothing to do: no table, column or index is missing"]);
        let checked = succeeding(&config, &["check"]).await;
        assert_parts(
            &checked,
            &["ok  stream order: stream:order to table order_log, 2 columns, append; table orders, "],
        );

        written_behind(&config, &database, 60).await;
        assert_eq!(database.count("write_behind_dead_letter").await, 0, "{kind:?}:\n{printed}");
        assert_eq!(database.count("orders").await, 60, "{kind:?}");
        assert_eq!(database.count("order_log").await, 60, "{kind:?}");
        let exact = "SELECT count(*) FROM orders WHERE cast(exact AS char(40)) LIKE '12345678901234567890.123456789%'";
        assert_eq!(database.number::<u32>(exact).await, 60, "{kind:?}");
        assert_eq!(types(&database).await, expected_types(kind), "{kind:?}:\n{printed}");
    }
}

/// Name, type and nullability of each column of `orders`, as the database says.
async fn types(database: &TestDatabase) -> Vec<String> {
    let sql = match database.kind() {
        Kind::Postgres => {
            "SELECT attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END \
             FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 ORDER BY attname"
        }
        Kind::MariaDb => {
            "SELECT concat(column_name, ' ', column_type, CASE WHEN is_nullable = 'NO' THEN ' NOT NULL' ELSE '' END, \
             CASE WHEN collation_name = 'utf8mb4_bin' THEN ' exact' ELSE '' END) FROM information_schema.columns \
             WHERE table_schema = database() AND table_name = 'orders' ORDER BY column_name"
        }
        Kind::Sqlite => {
            "SELECT name || ' ' || lower(type) || CASE WHEN \"notnull\" THEN ' NOT NULL' ELSE '' END \
             FROM pragma_table_info('orders') ORDER BY name"
        }
    };
    database.rows(sql).await.into_iter().map(|row| row[0].clone().unwrap()).collect()
}

fn expected_types(kind: Kind) -> Vec<String> {
    let [text, time, instant, key] = match kind {
        Kind::Postgres => ["text", "timestamp without time zone", "timestamp with time zone", "text NOT NULL"],
        Kind::MariaDb => ["longtext", "datetime(6)", "datetime(6)", "varchar(255) NOT NULL exact"],
        Kind::Sqlite => ["text", "timestamp", "timestamp", "text NOT NULL"],
    };
    let [decimal, exact, bool, int, uuid, json, bytes] = match kind {
        Kind::Postgres => ["numeric", "numeric(40,10)", "boolean", "bigint", "uuid", "jsonb", "bytea"],
        Kind::MariaDb => {
            ["decimal(38,9)", "decimal(40,10)", "tinyint(1)", "bigint(20)", "char(36)", "longtext exact", "longblob"]
        }
        Kind::Sqlite => ["decimal", "text", "boolean", "bigint", "uuid_text", "json_text", "blob"],
    };
    [
        ("cents", decimal),
        ("due", "date"),
        ("entry", text),
        ("exact", exact),
        ("id", key),
        ("items", json),
        ("local_at", time),
        ("mixed", text),
        ("never", text),
        ("note", &format!("{text} NOT NULL")),
        ("number", int),
        ("origin", text),
        ("paid", bool),
        ("photo", bytes),
        ("placed_at", instant),
        ("seen_at", instant),
        ("taken_at", instant),
        ("tenant", key),
        ("token", uuid),
        ("total", decimal),
    ]
    .map(|(name, sql_type)| format!("{name} {sql_type}"))
    .to_vec()
}

/// Rows that are marked, versioned, added to, and many of one document.
#[tokio::test(flavor = "multi_thread")]
async fn tables_of_every_kind_of_row_are_made() {
    let streams = r#"streams:
  order:
    tables:
      orders:
        mode: upsert
        key: [id]
        version: version
        soft_delete: deleted_at
        columns: {id: $key, version: version}
      # Before the table that owns its rows, by its name.
      order_parts:
        mode: upsert
        key: [order_id, place]
        for_each: items[*]
        columns: {order_id: $key, place: $index, sku: $item.sku, price: $item.price}
      tags:
        mode: upsert
        key: [order_id]
        for_each: tags[*]
        columns: {order_id: $key, tag: $item}
      sums:
        mode: upsert
        key: [id]
        columns: {id: $key, cents: {add: cents}}
"#;
    // A table that has a version keeps older documents out, which its items' tables cannot.
    let streams = streams.replace("        version: version\n", "");
    let redis = RedisServer::start();
    let document =
        r#"{"version": 1, "items": [{"sku": "a", "price": 1.25}, {"sku": "b"}], "tags": ["x", "y"], "cents": 5}"#;
    add(&redis, "stream:order", (0..3).map(|number| (format!("o{}", number % 2), document.to_owned()))).await;
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let config = config(&redis, &database) + &streams;
        let printed = succeeding(&config, &["schema", "print"]).await;
        assert!(!printed.contains("never seen") && printed.matches("sku").count() == 1, "{kind:?}: {printed}");
        succeeding(&config, &["schema", "apply", "--yes"]).await;
        assert_parts(&succeeding(&config, &["schema", "diff"]).await, &["nothing differs"]);
        written_behind(&config, &database, 3).await;
        assert_eq!(database.count("write_behind_dead_letter").await, 0, "{kind:?}");
        let text = |text: &str| Some(text.to_owned());
        let parts = database.rows("SELECT order_id, place, sku FROM order_parts ORDER BY order_id, place").await;
        assert_eq!(parts[1], [text("o0"), text("1"), text("b")], "{kind:?}: {parts:?}");
        assert_eq!(parts.len(), 4, "{kind:?}: {parts:?}");
        assert_eq!(database.count("tags").await, 4, "{kind:?}");
        let sums = database.rows("SELECT id, cents FROM sums ORDER BY id").await;
        assert_eq!(sums, [[text("o0"), text("10")], [text("o1"), text("5")]], "{kind:?}");
        let alive = database.count("orders WHERE deleted_at IS NULL").await;
        assert_eq!(alive, 2, "{kind:?}");
    }
}

#[tokio::test]
async fn nothing_is_made_without_being_asked() {
    let redis = RedisServer::start();
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let config = config(&redis, &database) + &streams(kind);
        let refused = pipeline(&config, &["schema", "apply", "--sample", "0"]).await;
        assert_eq!(refused.code, WRONG_ARGUMENTS, "{refused:?}");
        assert_parts(
            &refused.stderr,
            &[
                "CREATE TABLE",
                "nothing was changed: --yes is needed to run these statements",
                "Usage: pipeline schema apply [OPTIONS]",
            ],
        );
        assert!(database.try_rows("SELECT * FROM orders").await.is_err());
        let made = succeeding(&config, &["schema", "apply", "--sample", "0", "--yes"]).await;
        assert_eq!(made, "created table order_log\ncreated table orders\n");
        let again = succeeding(&config, &["schema", "apply", "--sample", "0", "--yes"]).await;
        assert_parts(&again, &["nothing to do"]);
        let printed = succeeding(&config, &["schema", "print", "--sample", "0"]).await;
        assert_eq!(printed, "-- no table, column or index is missing\n");
    }
}

#[tokio::test]
async fn a_table_that_is_there_is_only_added_to() {
    let redis = RedisServer::start();
    add(
        &redis,
        "stream:thing",
        [("k1".to_owned(), r#"{"n": 70000, "at": "2024-06-01T12:00:00Z", "price": 1.5}"#.to_owned())],
    )
    .await;
    let streams = "streams:\n  thing:\n    mode: upsert\n    key: [id]\n    columns:\n      id: $key\n      n: n\n      \
                   at: {from: at, required: true}\n      price: {from: price, type: \"numeric(12,4)\"}\n";
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let (price, n) = if kind == Kind::Sqlite { ("varchar(3)", "boolean") } else { ("numeric(6,2)", "smallint") };
        let table = format!("CREATE TABLE thing (id varchar(20), n {n}, price {price}, other varchar(9))");
        database.execute(&table).await;
        database.execute("INSERT INTO thing (id, other) VALUES ('old', 'kept')").await;
        let config = config(&redis, &database) + streams;
        let found = pipeline(&config, &["schema", "diff"]).await;
        assert_eq!(found.code, FAILED, "{found:?}");
        let lines: Vec<&str> = found.stdout.lines().collect();
        assert_eq!(lines.len(), 4, "{found:?}");
        assert_parts(lines[0], &["missing  column at of thing, "]);
        assert_parts(lines[1], &["missing  unique index of thing on (id)"]);
        let declared = "differs  streams.thing.columns.price.type: is numeric(12,4), and column `price` of thing is ";
        assert_parts(lines[2], &[declared, "does not hold all of that"]);
        let sampled = "differs  streams.thing.columns.n: event ";
        assert_parts(lines[3], &[sampled, " would become a dead letter (", "): column `n`"]);

        let applied = pipeline(&config, &["schema", "apply", "--yes"]).await;
        assert_eq!(applied.code, FAILED, "{applied:?}");
        let done = "added column at to thing\nadded a unique index to thing on (id)\nleft to you: ";
        assert!(applied.stdout.starts_with(done), "{applied:?}");
        assert_parts(&applied.stderr, &["2 differences are left to you"]);
        let rows = database.rows("SELECT id, n, at, price, other FROM thing").await;
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(rows, [[text("old"), None, None, None, text("kept")]], "{kind:?}");
        let duplicate = "INSERT INTO thing (id) VALUES ('old')";
        assert!(database.client().await.unwrap().run(duplicate).await.is_err(), "the index is there");
    }
}

/// Single events that do not fit say nothing of the tables, unless none fits, or there is no room.
#[tokio::test]
async fn dead_letters_to_be_are_no_difference() {
    let redis = RedisServer::start();
    let documents = [r#"{"n": 1}"#, r#"{"n": "one"}"#, "[]", r#"{"n": "two", "size": "big"}"#];
    add(&redis, "stream:thing", documents.map(|document| ("k".to_owned(), document.to_owned()))).await;
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        database.execute("CREATE TABLE thing (n integer, size integer)").await;
        let diff = async |columns: &str| {
            let streams = format!("streams:\n  thing:\n    columns: {columns}\n");
            pipeline(&(config(&redis, &database) + &streams), &["schema", "diff"]).await
        };
        let found = diff("{n: n}").await;
        assert_eq!(found.code, SUCCESS, "{found:?}");
        let parts = [
            "note  streams.thing: event ",
            "note  streams.thing.columns.n: 2 of the newest 4 events would become dead letters (wrong_type), the newest is ",
            "nothing differs",
        ];
        assert_parts(&found.stdout, &parts);
        let found = diff("{size: size}").await;
        assert_eq!(found.code, FAILED, "{found:?}");
        assert_parts(&found.stdout, &["differs  streams.thing.columns.size: event "]);
        assert_parts(&found.stderr, &["1 difference, which `apply` leaves to you"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn automatic_columns_are_the_members_of_the_documents() {
    let redis = RedisServer::start();
    let documents =
        [r#"{"id": "a", "n": 1, "nested": {"x": 1}}"#, r#"{"id": "b", "n": 2.5, "with.dot": "2024-06-01"}"#];
    add(&redis, "stream:thing", documents.map(|document| (String::new(), document.to_owned()))).await;
    let mut connection = redis.connection().await;
    for n in ["5", "6"] {
        let _: String =
            connection.xadd("stream:flat", "*", &[("n", n), ("name", "007"), ("spare", "out")]).await.unwrap();
    }
    let streams = "streams:\n  thing:\n    mode: upsert\n    key: [id]\n    columns: auto\n  flat:\n    document: fields\n    \
                   columns: {\"*\": auto, spare: null}\n";
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let config = config(&redis, &database) + streams;
        succeeding(&config, &["schema", "apply", "--yes"]).await;
        assert_parts(&succeeding(&config, &["schema", "diff"]).await, &["nothing differs"]);
        written_behind(&config, &database, 4).await;
        assert_eq!(database.count("write_behind_dead_letter").await, 0, "{kind:?}");
        let quote = if kind == Kind::MariaDb { '`' } else { '"' };
        let rows = database.rows(&format!("SELECT id, {quote}with.dot{quote} FROM thing ORDER BY id")).await;
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(rows, [[text("a"), None], [text("b"), text("2024-06-01")]], "{kind:?}");
        assert!(database.try_rows("SELECT spare FROM flat").await.is_err(), "{kind:?}");
        let rows = database.rows("SELECT id, n + 1, name FROM flat ORDER BY n").await;
        let row = |id: &str, n: &str| [text(id), text(n), text("007")];
        assert_eq!(rows, [row("1", "6"), row("2", "7")], "{kind:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let redis = RedisServer::start();
    for kind in Kind::ALL {
        let database = TestDatabase::new(kind).await;
        let config = config(&redis, &database) + &streams(kind);
        let output = pipeline(&config, &["schema", "print", "--stream", "orders"]).await;
        assert_eq!(output.code, CONFIGURATION);
        assert_parts(&output.stderr, &["there is no stream `orders`; there are order"]);
        // Rows that are there already have one key.
        database.execute("CREATE TABLE thing (id varchar(20), n integer)").await;
        database.execute("INSERT INTO thing VALUES ('a', 1), ('a', 2)").await;
        let thing = "  thing:\n    mode: upsert\n    key: [id]\n    columns: {id: $key, n: n}\n";
        let output = pipeline(&(config + thing), &["schema", "apply", "--yes", "--stream", "thing"]).await;
        assert_eq!(output.code, FAILED, "{output:?}");
        assert_eq!(database.count("thing").await, 2);
    }
    let output = pipeline(&config_to_nowhere(), &["schema", "print"]).await;
    assert_eq!(output.code, UNAVAILABLE, "{output:?}");
    assert_parts(&output.stderr, &["redis at", "or infer nothing: --sample 0"]);
    let output = pipeline(&config_to_nowhere(), &["schema", "print", "--sample", "0"]).await;
    assert_eq!(output.code, UNAVAILABLE, "{output:?}");
    assert_parts(&output.stderr, &["postgres at"]);
}

#[tokio::test]
async fn a_sqlite_file_is_created_only_by_apply() {
    let redis = RedisServer::start();
    let folder = crate::support::folder::temporary("schema");
    let file = folder.path().join("new.db");
    let config = format!("{}rdbms:\n  type: sqlite\n  database: {}\n", super::redis_yaml(&redis), file.display());
    let printed = succeeding(&config, &["schema", "print"]).await;
    assert_parts(
        &printed,
        &["-- streams.user_action\nCREATE TABLE \"user_actions\" (\n    \"id\" integer PRIMARY KEY,"],
    );
    assert_eq!(pipeline(&config, &["schema", "diff"]).await.code, FAILED);
    assert!(!file.exists());
    let output = pipeline(&config, &["schema", "apply", "--yes"]).await;
    assert_eq!((output.code, file.exists()), (SUCCESS, true), "{output:?}");
}
