//! Cases that once went wrong, or go wrong elsewhere: each would lose an event, apply it wrongly, or stop its stream.

use std::fs;
use std::time::Duration;

use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::{PipelineProcess, run_pipeline};
use crate::support::postgres;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;
use crate::thing::{DEADLINE, Setting, drained};
use crate::workload::{done, redis_yaml};

pub(super) const UPSERT: &str = "    mode: upsert\n    key: [id]\n    columns: {id: id, v: v}\n    document: inline\n";

pub(super) async fn setting(kind: Kind, table: &str) -> Setting {
    Setting::new(kind, RedisServer::start(), table).await
}

pub(super) async fn write(setting: &mut Setting, events: &[(&str, &str)]) {
    let mut pipe = redis::pipe();
    pipe.atomic();
    for (op, payload) in events {
        pipe.xadd("stream:thing", "*", &[("op", op), ("payload", payload)]).ignore();
    }
    pipe.query_async::<()>(&mut setting.connection).await.unwrap();
}

pub(super) async fn run_through(setting: &Setting, stream: &str, events: u64) {
    let pipeline = setting.start(stream);
    done(&setting.database, "stream:thing", events, DEADLINE).await;
    drained(pipeline).await;
}

pub(super) async fn dead(setting: &Setting) -> Vec<String> {
    setting.rows("SELECT error_class, message FROM write_behind_dead_letter ORDER BY id").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_deleted_and_written_again_begins_anew() {
    for kind in Kind::ALL {
        let mut setting =
            setting(kind, "CREATE TABLE thing (id int PRIMARY KEY, v varchar(9), note varchar(9) DEFAULT 'new')").await;
        setting.database.execute("INSERT INTO thing VALUES (1, 'a', 'old')").await;
        write(&mut setting, &[("delete", r#"{"id": 1}"#), ("upsert", r#"{"id": 1, "v": "b"}"#)]).await;
        run_through(&setting, UPSERT, 2).await;
        assert_eq!(setting.rows("SELECT v, note FROM thing").await, ["b|new"], "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_read_again_keeps_one_dead_letter() {
    for kind in Kind::ALL {
        let mut setting = setting(kind, "CREATE TABLE thing (id int, v varchar(9))").await;
        write(&mut setting, &[("insert", r#"{"id": "no number"}"#), ("insert", r#"{"id": 1}"#)]).await;
        let stream = "    columns: {id: id, v: v}\n";
        run_through(&setting, stream, 2).await;
        setting.database.execute("DELETE FROM write_behind_checkpoint").await;
        run_through(&setting, stream, 2).await;
        let letters = setting.rows("SELECT error_class, attempts FROM write_behind_dead_letter").await;
        assert_eq!(letters.len(), 1, "{kind:?}");
        let attempts: i64 = setting.database.number("SELECT attempts FROM write_behind_dead_letter").await;
        assert_eq!(attempts, 2, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_trigger_raises_is_the_events_fault() {
    let mut setting = setting(Kind::Postgres, "CREATE TABLE thing (id int, v text)").await;
    setting
        .database
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF new.v = 'own' THEN RAISE EXCEPTION 'not this one' USING ERRCODE = 'MY001'; END IF; \
             IF new.v = 'none' THEN RAISE no_data_found; END IF; RETURN new; END $$",
        )
        .await;
    setting.database.execute("CREATE TRIGGER t BEFORE INSERT ON thing FOR EACH ROW EXECUTE FUNCTION refuse()").await;
    let values = ["good", "own", "good", "none", "good"];
    let events: Vec<String> = values.iter().map(|v| format!(r#"{{"id": 1, "v": "{v}"}}"#)).collect();
    write(&mut setting, &events.iter().map(|event| ("insert", event.as_str())).collect::<Vec<_>>()).await;
    run_through(&setting, "    columns: {id: id, v: v}\n", 5).await;
    assert_eq!(setting.database.count("thing").await, 3);
    let dead = dead(&setting).await;
    assert!(dead.len() == 2 && dead.iter().all(|letter| letter.starts_with("refused|")), "{dead:?}");
}

/// The database's encoding has no sign for what the event holds, and so none for the dead letter either.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_the_database_refuses_is_stored_in_a_plain_form() {
    let server = postgres::shared();
    let access = server.create_database();
    let latin1 = format!("{}_latin1", access.database);
    server.admin(
        &access.database,
        &format!(
            "CREATE DATABASE {latin1} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0 OWNER \"{}\"",
            access.user
        ),
    );
    server.admin(&latin1, &format!("CREATE TABLE thing (v text); ALTER TABLE thing OWNER TO \"{}\"", access.user));
    server.admin(&latin1, &format!("GRANT ALL ON SCHEMA public TO \"{}\"", access.user));
    let redis = RedisServer::start();
    let mut connection = redis.connection().await;
    for v in ["plain", "euro € and \u{1F600}", "plain"] {
        let fields = [("payload", format!(r#"{{"v": "{v}"}}"#))];
        let _: String = redis::AsyncCommands::xadd(&mut connection, "stream:thing", "*", &fields).await.unwrap();
    }
    let config = redis_yaml(redis.port())
        + &format!(
            "rdbms: {{type: postgres, host: 127.0.0.1, port: {}, database: {latin1}, user: '{}', password: '{}'}}\n",
            access.port,
            access.user,
            access.password.replace('\'', "''")
        )
        + "streams:\n  thing:\n    columns: {v: v}\n";
    let pipeline = PipelineProcess::start(&config, &[]);
    crate::support::wait::eventually(DEADLINE, "both good rows", async || {
        let count = server.admin(&latin1, "SELECT count(*) FROM thing");
        if count.trim() == "2" { Ok(()) } else { Err(count) }
    })
    .await;
    drained(pipeline).await;
    let letter = server.admin(&latin1, "SELECT document FROM write_behind_dead_letter");
    assert_eq!(letter.trim(), r#"{"v": "euro \u{20ac} and \u{1f600}"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn appended_rows_and_their_deletes_never_meet_in_two_lanes() {
    let mut setting = setting(Kind::Postgres, "CREATE TABLE thing (id int PRIMARY KEY, v text)").await;
    let events: Vec<(&str, String)> = (0..500)
        .flat_map(|id| [("insert", format!(r#"{{"id": {id}, "v": "a"}}"#)), ("delete", format!(r#"{{"id": {id}}}"#))])
        .collect();
    write(&mut setting, &events.iter().map(|(op, event)| (*op, event.as_str())).collect::<Vec<_>>()).await;
    run_through(&setting, "    key: [id]\n    lanes: 4\n    batch_size: 50\n    columns: {id: id, v: v}\n", 1000).await;
    assert_eq!(setting.database.count("thing").await, 0);
    assert_eq!(dead(&setting).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_changes_no_value_on_its_way() {
    let table = "CREATE TABLE thing (id int AUTO_INCREMENT PRIMARY KEY, b bit(8), e enum('a','b'), y year)";
    let mut setting = setting(Kind::MariaDb, table).await;
    for document in [
        r#"{"id": 7, "b": 5, "e": "b", "y": 2024}"#,
        r#"{"id": 0, "b": true, "e": "a"}"#,
        r#"{"id": 8, "e": 1}"#,
        r#"{"id": 9, "y": 0}"#,
        r#"{"id": 10, "b": 256}"#,
    ] {
        write(&mut setting, &[("insert", document)]).await;
    }
    run_through(&setting, "    columns: {id: id, b: b, e: e, y: y}\n", 5).await;
    let rows =
        setting.rows("SELECT cast(id as char), cast(b + 0 as char), e, cast(y as char) FROM thing ORDER BY id").await;
    assert_eq!(rows, ["0|1|a|NULL", "7|5|b|2024"]);
    let classes: Vec<String> = dead(&setting).await.iter().map(|l| l.split('|').next().unwrap().to_owned()).collect();
    assert_eq!(classes, ["wrong_type", "out_of_range", "out_of_range"]);
}

/// MariaDB calls the checks of every table `CONSTRAINT_1` or by their column, and makes its JSON columns of such checks.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_another_table_makes_no_json_of_our_text() {
    let mut setting = setting(Kind::MariaDb, "CREATE TABLE a (v JSON)").await;
    setting.database.execute("CREATE TABLE thing (v text CHECK (length(v) > 0))").await;
    write(&mut setting, &[("insert", r#"{"v": "plain"}"#)]).await;
    run_through(&setting, "    columns: {v: v}\n    document: inline\n", 1).await;
    assert_eq!(setting.rows("SELECT v FROM thing").await, ["plain"]);
}

/// No event is at fault for it, so none is given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_at_its_end_pauses_the_stream() {
    let table = "CREATE SEQUENCE numbers MAXVALUE 2; CREATE TABLE thing (n bigint DEFAULT nextval('numbers'), v text)";
    let mut setting = setting(Kind::Postgres, table).await;
    write(&mut setting, &[("insert", r#"{"v": "x"}"#); 5]).await;
    let pipeline = setting.start("    columns: {v: v}\n    document: inline\n");
    eventually(DEADLINE, "the stream to pause", async || {
        if pipeline.stderr().contains("stream paused") { Ok(()) } else { Err(pipeline.stderr()) }
    })
    .await;
    setting.database.execute("ALTER SEQUENCE numbers MAXVALUE 100").await;
    done(&setting.database, "stream:thing", 5, DEADLINE).await;
    assert!(dead(&setting).await.is_empty());
    assert_eq!(setting.database.count("thing").await, 5);
    drained(pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_of_postgres_cuts_and_rounds_nothing() {
    let database = TestDatabase::new(Kind::Postgres).await;
    database.execute("CREATE DOMAIN short AS varchar(3) CHECK (value <> 'no')").await;
    database.execute("CREATE DOMAIN shorter AS short").await;
    database.execute("CREATE DOMAIN money2 AS numeric(6,2)").await;
    database.execute("CREATE TABLE thing (v shorter, m money2)").await;
    let redis = RedisServer::start();
    let connection = redis.connection().await;
    let mut setting = Setting { redis, connection, database };
    for document in [r#"{"v": "abc", "m": 1.25}"#, r#"{"v": "abcdef"}"#, r#"{"m": 1.999}"#, r#"{"v": "no"}"#] {
        write(&mut setting, &[("insert", document)]).await;
    }
    run_through(&setting, "    columns: {v: v, m: m}\n", 4).await;
    assert_eq!(setting.rows("SELECT v::text, m::text FROM thing").await, ["abc|1.25"]);
    let mut classes: Vec<String> =
        dead(&setting).await.iter().map(|l| l.split('|').next().unwrap().to_owned()).collect();
    classes.sort();
    assert_eq!(classes, ["constraint", "out_of_range", "too_long"]);
}

/// Thousands of refusals are thousands of round trips: the limit is for each of them, not for all.
#[tokio::test(flavor = "multi_thread")]
async fn bisecting_takes_the_time_it_needs() {
    const EVENTS: u64 = 2_000;
    let setting = setting(Kind::Postgres, "CREATE TABLE thing (id int CHECK (id < 0))").await;
    let mut connection = setting.redis.connection().await;
    let mut pipe = redis::pipe();
    for id in 0..EVENTS {
        pipe.xadd("stream:thing", "*", &[("id", id)]).ignore();
    }
    pipe.query_async::<()>(&mut connection).await.unwrap();
    let config = redis_yaml(setting.redis.port())
        + &setting.database.settings_yaml()
        + "  statement_timeout_ms: 300\nstreams:\n  thing:\n    columns: {id: id}\n    document: fields\n    batch_size: 2000\n";
    let pipeline = PipelineProcess::start(&config, &[]);
    done(&setting.database, "stream:thing", EVENTS, DEADLINE).await;
    drained(pipeline).await;
    assert_eq!(setting.database.count("write_behind_dead_letter").await as u64, EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_entries_do_not_pass_the_bound_of_memory_by_much() {
    const ENTRIES: u64 = 150;
    let setting = setting(Kind::Sqlite, "CREATE TABLE thing (v text)").await;
    let mut connection = setting.redis.connection().await;
    let large = format!(r#"{{"v": "{}"}}"#, "x".repeat(1 << 20));
    for _ in 0..ENTRIES {
        let fields = [("payload", large.as_str())];
        let _: String = redis::AsyncCommands::xadd(&mut connection, "stream:thing", "*", &fields).await.unwrap();
    }
    let pipeline = setting.start("    max_in_flight_bytes: 1048576\n    columns: {v: v}\n");
    done(&setting.database, "stream:thing", ENTRIES, DEADLINE).await;
    let status = fs::read_to_string(format!("/proc/{}/status", pipeline.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    // All entries at once would be 150 MiB, several times.
    assert!(peak_kib < 130 * 1024, "{peak_kib} KiB");
    drained(pipeline).await;
}

async fn refused_at_start(config: &str, parts: &[&str]) {
    let output = run_pipeline(config, &["run"], "").await;
    assert_eq!(output.code, Some(78), "{}", output.stderr);
    parts.iter().for_each(|part| assert!(output.stderr.contains(part), "{part}: {}", output.stderr));
    let check = run_pipeline(config, &["check"], "").await;
    assert_eq!(check.code, Some(78), "{}", check.stdout);
    parts.iter().for_each(|part| assert!(check.stdout.contains(part), "{part}: {}", check.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_only_make_dead_letters_is_refused_at_start() {
    let redis = RedisServer::start();
    let mut connection = redis.connection().await;
    let database = TestDatabase::new(Kind::MariaDb).await;
    database.execute("CREATE TABLE prefixed (id text, v text, UNIQUE (id(5)))").await;
    database.execute("CREATE TABLE demanding (id int, must int NOT NULL, may int NOT NULL DEFAULT 1)").await;
    let config = redis_yaml(redis.port()) + &database.settings_yaml() + "streams:\n  thing:\n";
    // `check` judges the bookkeeping too, once it is there.
    let migrated = run_pipeline(&(config.clone() + "    columns: {id: id}\n"), &["migrate", "up"], "").await;
    assert_eq!(migrated.code, Some(0), "{}", migrated.stderr);
    refused_at_start(
        &(config.clone() + "    table: prefixed\n    mode: upsert\n    key: [id]\n    columns: {id: id, v: v}\n"),
        &["needs a primary key or unique index of prefixed on exactly (id)"],
    )
    .await;
    refused_at_start(
        &(config.clone() + "    table: demanding\n    columns: {id: id}\n"),
        &["column `must` of demanding must not be NULL and has no default, and nothing is mapped to it"],
    )
    .await;
    let _: () = redis::AsyncCommands::set(&mut connection, "stream:thing", "a text").await.unwrap();
    refused_at_start(
        &(config + "    table: demanding\n    columns: {id: id, must: must}\n"),
        &["streams.thing.stream_name: ", "stream:thing"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_the_rights_is_told_which_at_start() {
    let redis = RedisServer::start();
    let server = postgres::shared();
    let database = TestDatabase::on_postgres(server).await;
    database.execute("CREATE TABLE thing (id int PRIMARY KEY)").await;
    let config = redis_yaml(redis.port())
        + &database.settings_yaml()
        + "streams:\n  thing:\n    mode: upsert\n    key: [id]\n    columns: {id: id}\n";
    let migrated = run_pipeline(&config, &["migrate", "up"], "").await;
    assert_eq!(migrated.code, Some(0), "{}", migrated.stderr);
    let access = database.access();
    let admin = |sql: &str| drop(server.admin(&access.database, sql));
    admin(&format!("ALTER TABLE thing OWNER TO postgres; GRANT SELECT, INSERT ON thing TO \"{}\"", access.user));
    refused_at_start(
        &config,
        &[
            "streams.thing.table: this user may not update thing: permission denied for table thing",
            "streams.thing.table: this user may not delete from thing: permission denied",
        ],
    )
    .await;
    admin(&format!("GRANT UPDATE, DELETE ON thing TO \"{}\"", access.user));
    let check = run_pipeline(&config, &["check"], "").await;
    assert_eq!(check.code, Some(0), "{}", check.stdout);
    // What a user loses while the pipeline runs pauses the stream, and makes no dead letters.
    let mut connection = redis.connection().await;
    let setting = "supervisor: {pause_retry_sec: 0.2}\n".to_owned() + &config;
    let pipeline = PipelineProcess::start(&setting, &[]);
    crate::thing::reads(&pipeline).await;
    admin(&format!("REVOKE INSERT ON thing FROM \"{}\"", access.user));
    let _: String =
        redis::AsyncCommands::xadd(&mut connection, "stream:thing", "*", &[("payload", r#"{"id": 1}"#)]).await.unwrap();
    crate::support::wait::eventually(DEADLINE, "the stream to pause", async || {
        let log = pipeline.stderr();
        if log.matches("stream paused until this is mended").count() >= 2 { Ok(()) } else { Err(log) }
    })
    .await;
    assert_eq!(database.count("write_behind_dead_letter").await, 0);
    admin(&format!("GRANT INSERT ON thing TO \"{}\"", access.user));
    done(&database, "stream:thing", 1, Duration::from_secs(60)).await;
    drained(pipeline).await;
    assert_eq!(database.count("thing").await, 1);
}

/// A long healthy time must not make every failed start of an outage look like the first one.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_after_a_healthy_time_is_waited_out() {
    let redis = RedisServer::builder().args(["--appendfsync", "always"]).start();
    let mut setting = Setting::new(Kind::Sqlite, redis, "CREATE TABLE thing (n int)").await;
    setting.add(&[("n", "1")]).await;
    let stream = "    document: fields\n    columns: {n: n}\nsupervisor: {healthy_after_sec: 0.5, max_restarts: 8}\n";
    let pipeline = setting.start(stream);
    done(&setting.database, "stream:thing", 1, DEADLINE).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    setting.redis.kill();
    // Restarts at the first delay over and over would have used up all of them by now.
    tokio::time::sleep(Duration::from_secs(3)).await;
    setting.redis.restart();
    setting.connection = setting.redis.connection().await;
    setting.add(&[("n", "2")]).await;
    done(&setting.database, "stream:thing", 2, DEADLINE).await;
    drained(pipeline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zero_with_an_endless_exponent_costs_nothing() {
    let stream = "    mode: upsert\n    key: [id]\n    columns: {id: id, v: {add: v}}\n    document: inline\n";
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let mut setting = setting(kind, "CREATE TABLE thing (id varchar(9) PRIMARY KEY, v decimal(65, 30))").await;
        let one = format!(r#"{{"id": "a", "v": 0.{}1e100}}"#, "0".repeat(99));
        let events = [r#"{"id": "a", "v": 0e4000000000}"#, r#"{"id": "a", "v": -0e-300000000}"#, &one, &one];
        write(&mut setting, &events.map(|event| ("upsert", event))).await;
        run_through(&setting, stream, 4).await;
        assert_eq!(setting.rows("SELECT id, CAST(v AS decimal(9, 2)) FROM thing").await, ["a|2.00"], "{kind:?}");
        assert_eq!(dead(&setting).await, Vec::<String>::new());
    }
}

/// Whoever writes an entry like this thinks that the document is in it: nothing is deleted for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_is_not_looked_at_is_told_whatever_a_missing_document_means() {
    for on_missing in ["delete", "skip", "dead_letter"] {
        let mut setting = setting(Kind::Sqlite, "CREATE TABLE thing (id varchar(9) PRIMARY KEY, v text)").await;
        setting.database.execute("INSERT INTO thing VALUES ('a', 'there')").await;
        let stream = format!(
            "    mode: upsert\n    key: [id]\n    columns: {{id: $key, v: v}}\n    document: string\n    \
             on_missing: {on_missing}\n"
        );
        let fields = [("op", "update"), ("key", "a"), ("payload", r#"{"v": "new"}"#)];
        redis::cmd("XADD").arg("stream:thing").arg("*").arg(&fields).exec_async(&mut setting.connection).await.unwrap();
        run_through(&setting, &stream, 1).await;
        assert_eq!(setting.rows("SELECT id, v FROM thing").await, ["a|there"], "{on_missing}");
        let letters = dead(&setting).await;
        assert_eq!(letters.len(), 1, "{on_missing}");
        assert!(letters[0].contains("set `document` to auto or inline"), "{letters:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_is_not_filtered_wherever_its_document_is() {
    for document in ["fields", "inline"] {
        let mut setting = setting(Kind::Sqlite, "CREATE TABLE thing (id varchar(9) PRIMARY KEY, status text)").await;
        let stream = format!(
            "    mode: upsert\n    key: [id]\n    columns: {{id: $key, status: status}}\n    document: {document}\n    \
             filter: .status == \"paid\"\n"
        );
        let payload = r#"{"status": "paid"}"#;
        let mut pipe = redis::pipe();
        pipe.xadd("stream:thing", "*", &[("key", "a"), ("op", "upsert"), ("status", "paid"), ("payload", payload)]);
        pipe.xadd("stream:thing", "*", &[("key", "b"), ("op", "upsert"), ("status", "paid"), ("payload", payload)]);
        pipe.xadd("stream:thing", "*", &[("key", "a"), ("op", "delete"), ("status", "void"), ("payload", "{}")]);
        pipe.query_async::<()>(&mut setting.connection).await.unwrap();
        run_through(&setting, &stream, 3).await;
        assert_eq!(setting.rows("SELECT id FROM thing").await, ["b"], "{document}");
        assert_eq!(dead(&setting).await, Vec::<String>::new());
    }
}
