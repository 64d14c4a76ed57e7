//! PostgreSQL takes appended rows by `COPY`: the rows are those that `INSERT` would have made, tables that `COPY` treats
//! in another way are not copied, and a refused row is found by the line that the server names.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use migration::{Migrator, MigratorTrait};
use sea_orm::sqlx::ConnectOptions;
use sea_orm::sqlx::postgres::PgConnectOptions;
use write_behind::batch::{MappedBatch, MappedEvent};
use write_behind::event::{Document, Entry, StreamId};
use write_behind::lane::Span;
use write_behind::mapping::{Change, ChangeKind, Extent, Step};
use write_behind::row::{Row, Value};
use write_behind::settings::{FieldNames, RdbmsKind, RdbmsSettings, Secret};
use write_behind::sink::checkpoint::{self, Totals};
use write_behind::sink::{Applied, Applier, LaneIdentity, Target, catalogue};
use write_behind::supervision::progress::Progress;
use write_behind::table::{TableName, TablePlan};

use crate::support::database::{Kind, TestDatabase};
use crate::support::wait::eventually;

const LIMIT: Duration = Duration::from_secs(60);
const PIPELINE: &str = "copying";

/// A trigger that notes by which statement rows came, where its effects are not rolled back.
const NOTE_STATEMENTS: &str = "
    CREATE TABLE noted (statement text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO noted VALUES (split_part(current_query(), ' ', 1)); RETURN NULL; END $$;
    CREATE TRIGGER note AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION note();";

async fn target(database: &TestDatabase) -> Target {
    target_with(database, LIMIT).await
}

async fn target_with(database: &TestDatabase, statement_timeout: Duration) -> Target {
    let access = database.access();
    let settings = RdbmsSettings {
        kind: RdbmsKind::Postgres,
        host: "127.0.0.1".into(),
        port: access.port,
        database: access.database.clone(),
        user: Some(access.user.clone()),
        password: Some(Secret::new(access.password.clone())),
        url_options: None,
        connect_timeout: LIMIT,
        statement_timeout,
        connection_age_max: Duration::from_secs(3600),
        max_retries: 0,
        retry_delay: LIMIT,
        retry_delay_max: LIMIT,
        retry_multiplier: 1.0,
        retry_jitter: 0.0,
        transaction_events_max: 5000,
        catalogue_refresh: Duration::from_secs(10),
        migrate_on_start: true,
    };
    Target::connect(&settings).await.unwrap()
}

/// All columns of the table that may be written and have no default.
async fn plan(target: &Target, table: &str) -> TablePlan {
    let table = catalogue::read(target.db(), &TableName::parse(table)).await.unwrap().unwrap();
    let columns = table.columns.iter().filter(|column| !column.generated && !column.has_default).cloned().collect();
    TablePlan { rows_in_order: false, ..TablePlan::new(table, columns, vec![0]) }
}

async fn append(target: &Target, plan: &TablePlan, rows: &[Row]) {
    let mut session = target.open_session(std::slice::from_ref(plan)).await.unwrap();
    session.write(&Step::new(0, ChangeKind::Append, rows.iter().map(Cow::Borrowed).collect())).await.unwrap();
}

/// A lane that applies appended rows to table `t`.
struct Lane {
    applier: Applier,
    totals: Totals,
    next: u64,
}

impl Lane {
    async fn new(database: &TestDatabase) -> Lane {
        let target = target(database).await;
        Migrator::up(target.db(), None).await.unwrap();
        let positions = checkpoint::create(&target, (PIPELINE, "s", "o"), 1, StreamId::ZERO).await.unwrap();
        let plan = plan(&target, "t").await;
        let fields = ["key", "op", "payload", "timestamp", "ack"].map(str::to_owned);
        let [key, op, payload, timestamp, ack] = fields;
        let identity = LaneIdentity {
            pipeline: PIPELINE.into(),
            owner: "o".into(),
            stream: "s".into(),
            entity: "t".into(),
            lane: 0,
            generation: positions[0].generation,
            fields: FieldNames { key, op, payload, timestamp, ack },
            masked_copies: None,
        };
        let session = target.open_session(std::slice::from_ref(&plan)).await.unwrap();
        let applier = Applier::new(session, target, identity, [plan].into(), LIMIT, Progress::default());
        Lane { applier, totals: Totals::default(), next: 1 }
    }

    /// Applies a batch of one event a row, whose ids go on from 1; answers the numbers of those that became dead letters.
    async fn apply(&mut self, kind: ChangeKind, rows: impl IntoIterator<Item = Row>) -> Vec<u64> {
        let after = StreamId { ms: self.next - 1, seq: 0 };
        let events = rows.into_iter().map(|row| {
            let entry = Entry { id: StreamId { ms: self.next, seq: 0 }, fields: Default::default() };
            self.next += 1;
            MappedEvent {
                entry,
                document: Document::None,
                outcome: Ok([Change { table: 0, kind, row, extent: Extent::Whole }].into()),
            }
        });
        let events = events.collect::<Vec<_>>();
        let span = Span { after, upto: StreamId { ms: self.next - 1, seq: 0 } };
        let batch = MappedBatch { span, events, skipped: 0, credits: 0 };
        let Applied { totals, dead } = self.applier.apply(&batch).await.unwrap();
        self.totals = self.totals.plus(totals);
        dead.iter().map(|(id, _)| id.ms).collect()
    }
}

fn row<const N: usize>(values: [Value<'_>; N]) -> Row {
    values.into_iter().collect()
}

fn numbers(range: Range<i64>) -> impl Iterator<Item = Row> {
    range.map(|n| row([Value::Int(n)]))
}

/// A column of each type, and values for it.
fn values_of_types() -> Vec<(&'static str, Vec<Value<'static>>)> {
    let texts = |texts: &[&'static str]| texts.iter().map(|text| Value::text(*text)).collect::<Vec<_>>();
    let ints = |ints: &[i64]| ints.iter().map(|int| Value::Int(*int)).collect::<Vec<_>>();
    let floats = |floats: &[f64]| floats.iter().map(|float| Value::Float(*float)).collect::<Vec<_>>();
    // In the years 1, 1969, 2000 and 9999.
    let micros = [-62_135_596_800_000_000, -1, 946_684_800_000_000, 253_402_300_799_999_999];
    let times = || micros.map(Value::Timestamp).to_vec();
    let json = texts(&["{}", r#"{"a": [1, 2.50, null], "ä": "\u00e9\n"}"#, "null", r#""x""#, "1e400", "[ 1 ]"]);
    let decimals = texts(&[
        "12345678901234567890.123456789",
        "1e-3",
        "-1e-3",
        "-0.00",
        "0",
        "0.000000000000",
        "1e20",
        "1.50",
        "-9999.9999",
        "10000",
        "100000000",
        "99999999.00010000",
        "1.23e5",
        "1.23e-5",
        "0e3",
        "5E+2",
        "123456789012345678901234567890e-10",
    ]);
    vec![
        ("bool", vec![Value::Bool(true), Value::Bool(false)]),
        ("int2", ints(&[0, -32_768, 32_767])),
        ("int4", ints(&[0, i64::from(i32::MIN), i64::from(i32::MAX)])),
        ("int8", ints(&[0, i64::MIN, i64::MAX])),
        ("float4", floats(&[0.0, -0.0, 0.1, -3.4e38, 1e-45, 16_777_217.0])),
        ("float8", floats(&[0.0, -0.0, 0.1, f64::MAX, f64::MIN_POSITIVE, 5e-324])),
        ("numeric", decimals),
        ("numeric(10, 3)", texts(&["1.5", "-1234567.891", "0.001", "1e-3", "0", "1234567"])),
        ("text", texts(&["", "größe\n\t\\N", "\u{1F600}", " "])),
        ("varchar(5)", texts(&["", "abcde", "ä"])),
        ("char(5)", texts(&["", "abcde", "ä ", "x"])),
        ("bytea", vec![Value::Bytes(vec![].into()), Value::Bytes(vec![0, 255, b'\\'].into())]),
        ("timestamp", times()),
        ("timestamptz", times()),
        ("timestamp(0)", vec![Value::Timestamp(1_717_245_000_000_000)]),
        ("date", texts(&["0001-01-01", "1969-12-31", "2000-02-29", "9999-12-31"])),
        ("time", texts(&["00:00", "12:30:01", "23:59:59.999999", "01:02:03.5"])),
        ("uuid", texts(&["00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"])),
        ("json", json.clone()),
        ("jsonb", json),
        ("short", texts(&["", "abc"])),
        ("many", ints(&[1, 7])),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn copied_rows_are_what_inserted_ones_are() {
    let database = TestDatabase::new(Kind::Postgres).await;
    let types = values_of_types();
    let columns: Vec<String> = types.iter().enumerate().map(|(n, (name, _))| format!("c{n} {name}")).collect();
    database.execute("CREATE DOMAIN short AS varchar(3); CREATE DOMAIN many AS int CHECK (VALUE > 0)").await;
    database.execute(&format!("CREATE TABLE t ({}); CREATE TABLE inserted (LIKE t)", columns.join(", "))).await;
    database.execute(NOTE_STATEMENTS).await;
    let target = target(&database).await;
    // The first values of all columns, the second ones, and so on; what ends begins again, and the last row is NULL.
    let mut rows: Vec<Row> =
        (0..40).map(|n| types.iter().map(|(_, values)| values[n % values.len()].clone()).collect()).collect();
    rows.push(types.iter().map(|_| Value::Null).collect());
    append(&target, &plan(&target, "t").await, &rows).await;
    let inserted = plan(&target, "inserted").await;
    for row in &rows {
        append(&target, &inserted, std::slice::from_ref(row)).await;
    }
    assert_eq!(database.rows("SELECT * FROM noted").await, [[Some("COPY".to_owned())]]);
    for (place, (name, values)) in types.iter().enumerate() {
        let texts = |table: &str| format!("SELECT c{place}::text FROM {table}");
        let differ = format!("{0} EXCEPT ALL {1} UNION ALL ({1} EXCEPT ALL {0})", texts("t"), texts("inserted"));
        assert_eq!(database.rows(&differ).await, Vec::<Vec<Option<String>>>::new(), "{name}: {values:?}");
    }
    assert_eq!(database.count("t").await, 41);
    let shown = "SELECT c6::text FROM t WHERE c6 IS NOT NULL GROUP BY 1 ORDER BY min(ctid) LIMIT 4";
    let shown: Vec<String> = database.rows(shown).await.into_iter().flatten().flatten().collect();
    assert_eq!(shown, ["12345678901234567890.123456789", "0.001", "-0.001", "0.00"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_copied_into_only_where_that_is_the_same() {
    let table = "CREATE TABLE t (n bigint, also text);";
    let policy =
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (true);";
    for (name, ddl, way, into) in [
        ("a table", table.to_owned(), "COPY", "t"),
        ("a rule", format!("{table} CREATE RULE r AS ON INSERT TO t DO ALSO SELECT 1;"), "INSERT", "t"),
        ("row-level security", table.to_owned() + policy, "INSERT", "t"),
        ("row-level security that does not apply", table.to_owned() + "ALTER TABLE t ENABLE ROW LEVEL SECURITY;", "COPY", "t"),
        ("a view", table.to_owned() + "CREATE VIEW v AS SELECT * FROM t;", "INSERT", "v"),
        ("an enum", "CREATE TYPE e AS ENUM ('x'); CREATE TABLE t (n bigint, also e);".to_owned(), "COPY", "t"),
        ("an array", "CREATE TABLE t (n bigint, also interval[]);".to_owned(), "COPY", "t"),
        ("an array of enums", "CREATE TYPE e AS ENUM ('x'); CREATE TABLE t (n bigint, also e[]);".to_owned(), "INSERT", "t"),
        ("a range", "CREATE TABLE t (n bigint, also int4range);".to_owned(), "INSERT", "t"),
        ("money", "CREATE TABLE t (n bigint, also money);".to_owned(), "INSERT", "t"),
        (
            "partitions",
            "CREATE TABLE t (n bigint, also text) PARTITION BY RANGE (n);
             CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (20);
             CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (20) TO (1000);"
                .to_owned(),
            "COPY",
            "t",
        ),
        (
            "an identity",
            "CREATE TABLE t (n bigint, also text, id int GENERATED ALWAYS AS IDENTITY, twice int GENERATED ALWAYS AS (n * 2) STORED);"
                .to_owned(),
            "COPY",
            "t",
        ),
        (
            "a trigger",
            table.to_owned()
                + "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.also = 'y'; RETURN NEW; END $$;
                   CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();",
            "COPY",
            "t",
        ),
    ] {
        let database = TestDatabase::new(Kind::Postgres).await;
        database.execute(&ddl).await;
        database.execute(NOTE_STATEMENTS).await;
        let target = target(&database).await;
        let rows: Vec<Row> = (0..40).map(|n| row([Value::Int(n), Value::Null])).collect();
        append(&target, &plan(&target, into).await, &rows).await;
        let noted = database.rows("SELECT * FROM noted").await;
        assert_eq!(noted, [[Some(way.to_owned())]], "{name}");
        let also = if name == "a trigger" { 40 } else { 0 };
        assert_eq!(database.number::<i64>("SELECT sum(n) FROM t").await, 780, "{name}");
        assert_eq!(database.number::<i64>("SELECT count(also) FROM t").await, also, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_is_dead_lettered_alone() {
    const ROWS: i64 = 2_000;
    let raise = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.n = -1 THEN RAISE 'not this one'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER f %WHEN% INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();";
    // Errors of what runs at the end of the statement name no line.
    for (name, ddl, bad, named) in [
        ("unique", "CREATE TABLE t (n bigint UNIQUE);".to_owned(), 7, true),
        ("check", "CREATE TABLE t (n bigint CHECK (n >= 0));".to_owned(), -1, true),
        ("raise before", "CREATE TABLE t (n bigint);".to_owned() + &raise.replace("%WHEN%", "BEFORE"), -1, true),
        ("raise after", "CREATE TABLE t (n bigint);".to_owned() + &raise.replace("%WHEN%", "AFTER"), -1, false),
        (
            "foreign key",
            "CREATE TABLE p (n bigint PRIMARY KEY); INSERT INTO p SELECT generate_series(0, 10000);
             CREATE TABLE t (n bigint REFERENCES p);"
                .to_owned(),
            -1,
            false,
        ),
        (
            "deferred foreign key",
            "CREATE TABLE p (n bigint PRIMARY KEY); INSERT INTO p SELECT generate_series(0, 10000);
             CREATE TABLE t (n bigint REFERENCES p DEFERRABLE INITIALLY DEFERRED);"
                .to_owned(),
            -1,
            false,
        ),
        ("out of range", "CREATE TABLE t (n smallint);".to_owned(), 40_000, true),
    ] {
        let database = TestDatabase::new(Kind::Postgres).await;
        database.execute(&ddl).await;
        database.execute(NOTE_STATEMENTS).await;
        let mut lane = Lane::new(&database).await;
        for place in [1_233, 0, ROWS - 1] {
            database.execute("TRUNCATE t; TRUNCATE noted").await;
            let before = lane.next;
            let rows = (0..ROWS).map(|n| row([Value::Int(if n == place { bad } else { n + 100 })]));
            // The row that the unique one repeats.
            let first = lane
                .apply(ChangeKind::Append, (bad == 7).then(|| row([Value::Int(7)])).into_iter().collect::<Vec<_>>())
                .await;
            assert_eq!(first, Vec::<u64>::new());
            let skipped = lane.next - before;
            let dead = lane.apply(ChangeKind::Append, rows).await;
            assert_eq!(dead, [before + skipped + place as u64], "{name}");
            assert_eq!(database.count("t").await, ROWS - 1 + skipped as i64, "{name}");
            let statements = database.number::<i64>("SELECT count(*) FROM noted").await - skipped as i64;
            assert!(statements <= if named { 2 } else { 40 }, "{name} at {place}: {statements} statements");
            let copied: i64 = database.number("SELECT count(*) FROM noted WHERE statement = 'COPY'").await;
            assert!(copied > 0, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_without_a_binary_form_is_inserted_as_its_text() {
    let database = TestDatabase::new(Kind::Postgres).await;
    database.execute("CREATE TABLE t (n numeric, d date)").await;
    let mut lane = Lane::new(&database).await;
    let long = "1".repeat(20_000);
    let rows = (0..100).map(|n| match n {
        50 => row([Value::text(long.clone()), Value::text("2024-01-01")]),
        60 => row([Value::text("1"), Value::text("infinity")]),
        70 => row([Value::text("1"), Value::text("2024-02-30")]),
        80 => row([Value::text("1e200000"), Value::Null]),
        _ => row([Value::text("0.5"), Value::text("2024-01-01")]),
    });
    assert_eq!(lane.apply(ChangeKind::Append, rows).await, [71, 81]);
    assert_eq!(database.count("t").await, 98);
    assert_eq!(database.number::<i64>("SELECT count(*) FROM t WHERE n = repeat('1', 20000)::numeric").await, 1);
    assert_eq!(database.number::<i64>("SELECT count(*) FROM t WHERE d = 'infinity'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_alter_table_no_bytes_are_taken_for_another_type() {
    for (from, to) in [("bigint", "double precision"), ("bigint", "integer"), ("bigint", "numeric"), ("bigint", "text")]
    {
        let database = TestDatabase::new(Kind::Postgres).await;
        database.execute(&format!("CREATE TABLE t (n {from})")).await;
        let mut lane = Lane::new(&database).await;
        lane.apply(ChangeKind::Append, numbers(1..101)).await;
        database.execute(&format!("ALTER TABLE t ALTER n TYPE {to}")).await;
        assert_eq!(lane.apply(ChangeKind::Append, numbers(101..201)).await, Vec::<u64>::new(), "{to}");
        assert_eq!(database.number::<i64>("SELECT sum(n::numeric)::bigint FROM t").await, 200 * 201 / 2, "{to}");
        assert_eq!(database.number::<i64>("SELECT applied FROM write_behind_checkpoint").await, 200, "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_bad_rows() {
    let database = TestDatabase::new(Kind::Postgres).await;
    database.execute("CREATE TABLE t (n bigint CHECK (n < 0))").await;
    let mut lane = Lane::new(&database).await;
    assert_eq!(lane.apply(ChangeKind::Append, numbers(0..5_000)).await, (1..5_001).collect::<Vec<_>>());
    assert_eq!(database.count("t").await, 0);
    assert_eq!(lane.apply(ChangeKind::Append, numbers(-100..0)).await, Vec::<u64>::new());
    assert_eq!(database.count("t").await, 100);
}

/// What a process that was stopped, or cut off, in the middle of a `COPY` leaves behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_copy_is_ended_by_the_next_session() {
    const LIMIT: Duration = Duration::from_millis(500);
    let database = TestDatabase::new(Kind::Postgres).await;
    database.execute("CREATE TABLE t (n bigint); CREATE TABLE other (n bigint)").await;
    let copies = async || {
        database
            .number::<i64>(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%'",
            )
            .await
    };
    let connect = async || {
        let access = database.access();
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(access.port);
        options.database(&access.database).username(&access.user).password(&access.password).connect().await.unwrap()
    };
    let (mut ours, mut not_ours) = (connect().await, connect().await);
    let _silent = ours.copy_in_raw(r#"COPY "t" ("n") FROM STDIN (FORMAT BINARY)"#).await.unwrap();
    let _others = not_ours.copy_in_raw(r#"COPY "other" ("n") FROM STDIN (FORMAT BINARY)"#).await.unwrap();
    let target = target_with(&database, LIMIT).await;
    let plan = plan(&target, "t").await;
    drop(target.open_session(std::slice::from_ref(&plan)).await.unwrap());
    assert_eq!(copies().await, 2, "it may still go on");
    tokio::time::sleep(Duration::from_secs(3)).await;
    drop(target.open_session(std::slice::from_ref(&plan)).await.unwrap());
    eventually(Duration::from_secs(20), "the silent one to end", async || {
        if copies().await == 1 { Ok(()) } else { Err(String::new()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_upserts_are_merged_and_a_refused_one_is_dead_lettered_alone() {
    const ROWS: i64 = 2_000;
    let database = TestDatabase::new(Kind::Postgres).await;
    // `computed` is for the server; `kept` for other programs.
    let table = "CREATE TABLE t (id bigint PRIMARY KEY, v varchar(8) CHECK (v <> 'bad'), kept text DEFAULT 'k', \
                 computed int GENERATED ALWAYS AS (length(v)) STORED)";
    database.execute(table).await;
    let upserts = |ids: Range<i64>, v: &'static str| ids.map(move |n| row([Value::Int(n), Value::text(v)]));
    let mut lane = Lane::new(&database).await;
    assert_eq!(lane.apply(ChangeKind::Upsert, upserts(0..ROWS, "old")).await, [0; 0]);
    database.execute("UPDATE t SET kept = 'theirs'").await;
    let sums = "SELECT concat_ws('|', v, count(*), sum(id), sum(computed)) FROM t GROUP BY v ORDER BY v";
    let half = ROWS / 2;
    assert_eq!(lane.apply(ChangeKind::Upsert, upserts(half..half + ROWS, "newer")).await, [0; 0]);
    let all = |range: Range<i64>| (range.end - range.start, range.sum::<i64>());
    let (newer, old) = (all(half..half + ROWS), all(0..half));
    let want =
        [format!("newer|{}|{}|{}", newer.0, newer.1, 5 * newer.0), format!("old|{}|{}|{}", old.0, old.1, 3 * old.0)];
    assert_eq!(database.rows(sums).await.concat(), want.map(Some));
    assert_eq!(database.number::<i64>("SELECT count(*) FROM t WHERE kept = 'theirs'").await, ROWS, "left alone");
    // One bad row among good ones, in a batch that is then done with savepoints.
    let mut rows: Vec<Row> = upserts(0..ROWS, "newest").collect();
    rows[700] = row([Value::Int(700), Value::text("bad")]);
    assert_eq!(lane.apply(ChangeKind::Upsert, rows).await, [2 * ROWS as u64 + 701]);
    assert_eq!(database.number::<i64>("SELECT count(*) FROM t WHERE v = 'newest'").await, ROWS - 1);
    assert_eq!(database.value("SELECT v FROM t WHERE id = 700").await.as_deref(), Some("old"));
    // And the session goes on as before.
    assert_eq!(lane.apply(ChangeKind::Upsert, upserts(700..701, "after")).await, [0; 0]);
    assert_eq!(lane.apply(ChangeKind::Upsert, upserts(0..ROWS, "last")).await, [0; 0]);
    assert_eq!(database.number::<i64>("SELECT count(*) FROM t WHERE v = 'last'").await, ROWS);
}
