//! The table is altered, taken away or forbidden while events come. Nothing is at fault but the table: the stream pauses
//! with an alarm, or goes on with the new table, and no good event becomes a dead letter. Other streams notice nothing.

use std::time::Duration;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use super::ledger::{Ledger, STREAM};
use super::report::{Run, sized};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;
use crate::support::{mariadb, postgres};
use crate::workload::{done, redis_yaml};

const DEADLINE: Duration = Duration::from_secs(120);
const LEDGER: Ledger = Ledger { bad_permille: 5 };
const FAULT: &str = "7 table changed";
const PAUSED: &str = "stream paused until this is mended";

/// A pipeline with two streams: the ledger, whose table is disturbed, and another one, which must go on all the time.
struct Setting {
    _redis: RedisServer,
    connection: MultiplexedConnection,
    database: TestDatabase,
    pipeline: PipelineProcess,
    events: u64,
    others: u64,
}

impl Setting {
    async fn new(kind: Kind) -> Self {
        let redis = RedisServer::start();
        let database = TestDatabase::new(kind).await;
        LEDGER.create_table(&database).await;
        database.execute("CREATE TABLE other (n bigint)").await;
        let other = "  other:\n    document: fields\n    columns: {n: n}\n";
        let config = LEDGER.config(&redis, &database, 2) + "    batch_size: 100\n" + other;
        let connection = redis.connection().await;
        let pipeline = PipelineProcess::start(&config, &["run"]);
        let mut setting = Setting { _redis: redis, connection, database, pipeline, events: 0, others: 0 };
        setting.load().await;
        done(&setting.database, STREAM, setting.events, DEADLINE).await;
        setting
    }

    async fn load(&mut self) {
        let events = sized(2_000, 20_000);
        LEDGER.produce(&mut self.connection, self.events..self.events + events).await;
        self.events += events;
    }

    /// How often the stream has been paused.
    fn pauses(&self) -> usize {
        self.pipeline.stderr().matches(PAUSED).count()
    }

    /// Waits until the stream is paused, once more than `before`, and shows that the other stream goes on.
    async fn paused_since(&mut self, before: usize) {
        eventually(DEADLINE, "the stream to pause", async || {
            if self.pauses() > before { Ok(()) } else { Err(self.pipeline.stderr()) }
        })
        .await;
        self.others += 10;
        for n in 0..10 {
            let _: String = self.connection.xadd("stream:other", "*", &[("n", n)]).await.expect("redis takes it");
        }
        done(&self.database, "stream:other", self.others, DEADLINE).await;
    }

    async fn finish(mut self, run: Run, times: u64, seen: &str) {
        done(&self.database, STREAM, self.events, DEADLINE).await;
        LEDGER.check(&self.database, &mut self.connection, DEADLINE).await;
        crate::thing::drained(self.pipeline).await;
        run.held(times, self.events, seen);
    }
}

/// The table is called something else for a while: as good as dropped, but its rows can be looked at later.
async fn the_table_is_gone(kind: Kind) {
    let run = Run::of(FAULT, "the table is gone for a while", kind);
    let mut setting = Setting::new(kind).await;
    for _ in 0..2 {
        let before = setting.pauses();
        setting.database.execute("ALTER TABLE ledger RENAME TO gone").await;
        setting.load().await;
        setting.paused_since(before).await;
        setting.database.execute("ALTER TABLE gone RENAME TO ledger").await;
        done(&setting.database, STREAM, setting.events, DEADLINE).await;
    }
    setting.finish(run, 2, "paused, and went on by itself").await;
}

/// Every row would be refused for want of a value: exactly what bad events look like, and yet none is bad.
async fn a_column_is_added_that_nothing_is_mapped_to(kind: Kind) {
    let run = Run::of(FAULT, "a column NOT NULL is added without a default", kind);
    let mut setting = Setting::new(kind).await;
    let before = setting.pauses();
    match kind {
        Kind::Sqlite => {
            // SQLite adds no such column to a table with rows; whoever wants it makes the table anew.
            let columns = "position integer PRIMARY KEY AUTOINCREMENT, n bigint NOT NULL, account varchar(40) NOT NULL, \
                           note varchar(60), cents bigint NOT NULL, CHECK (cents >= 0)";
            let anew = format!(
                "BEGIN IMMEDIATE; ALTER TABLE ledger RENAME TO plain; CREATE TABLE ledger ({}); COMMIT",
                columns.replace("note", "must integer NOT NULL, note")
            );
            setting.database.execute(&anew).await;
        }
        Kind::Postgres | Kind::MariaDb => {
            setting.database.execute("ALTER TABLE ledger ADD COLUMN must integer NOT NULL DEFAULT 0").await;
            setting.database.execute("ALTER TABLE ledger ALTER COLUMN must DROP DEFAULT").await;
        }
    }
    setting.load().await;
    setting.paused_since(before).await;
    let letters = setting.database.count("write_behind_dead_letter").await;
    match kind {
        Kind::Sqlite => {
            let back = "BEGIN IMMEDIATE; DROP TABLE ledger; ALTER TABLE plain RENAME TO ledger; COMMIT";
            setting.database.execute(back).await;
        }
        Kind::Postgres | Kind::MariaDb => setting.database.execute("ALTER TABLE ledger DROP COLUMN must").await,
    }
    let seen = format!("paused; {letters} dead letters by then, all of bad events");
    setting.finish(run, 1, &seen).await;
}

/// Events that the old table could not take are good for the new one: the mapping is compiled again before any of them
/// is given up.
async fn a_column_is_widened(kind: Kind) {
    let run = Run::of(FAULT, "a column is widened under way", kind);
    let redis = RedisServer::start();
    let database = TestDatabase::new(kind).await;
    database.execute("CREATE TABLE thing (n integer, name varchar(5))").await;
    let config = redis_yaml(redis.port()) + &database.settings_yaml() + super::ledger::IMPATIENT;
    let stream = "streams:\n  thing:\n    document: fields\n    columns: {n: n, name: name}\n";
    let pipeline = PipelineProcess::start(&(config + stream), &["run"]);
    let mut connection = redis.connection().await;
    let add = async |connection: &mut MultiplexedConnection, n: u64, name: &str| {
        let fields = [("n", n.to_string()), ("name", name.to_owned())];
        let _: String = connection.xadd("stream:thing", "*", &fields).await.expect("redis takes it");
    };
    add(&mut connection, 1, "short").await;
    add(&mut connection, 2, "too long").await;
    done(&database, "stream:thing", 2, DEADLINE).await;
    assert_eq!(database.count("write_behind_dead_letter").await, 1, "for the narrow column it is bad");
    match kind {
        Kind::Postgres => database.execute("ALTER TABLE thing ALTER COLUMN name TYPE varchar(50)").await,
        Kind::MariaDb => database.execute("ALTER TABLE thing MODIFY COLUMN name varchar(50)").await,
        Kind::Sqlite => {
            let anew = "BEGIN IMMEDIATE; ALTER TABLE thing RENAME TO narrow; \
                        CREATE TABLE thing (n integer, name varchar(50)); \
                        INSERT INTO thing SELECT * FROM narrow; DROP TABLE narrow; COMMIT";
            database.execute(anew).await;
        }
    }
    add(&mut connection, 3, "no longer too long").await;
    done(&database, "stream:thing", 3, DEADLINE).await;
    let names = database.rows("SELECT name FROM thing ORDER BY n").await.concat();
    assert_eq!(names, ["short", "no longer too long"].map(|name| Some(name.to_owned())));
    assert!(pipeline.stderr().contains("\"reason\":\"table_altered\""), "{}", pipeline.stderr());
    crate::thing::drained(pipeline).await;
    run.held(1, 3, "the mapping was compiled again");
}

/// A right is taken from the user and given back.
async fn a_right_is_revoked(kind: Kind) {
    let run = Run::of(FAULT, "the right to insert is revoked for a while", kind);
    let mut setting = Setting::new(kind).await;
    for _ in 0..2 {
        let before = setting.pauses();
        may_insert(&setting.database, false).await;
        setting.load().await;
        setting.paused_since(before).await;
        may_insert(&setting.database, true).await;
        done(&setting.database, STREAM, setting.events, DEADLINE).await;
    }
    setting.finish(run, 2, "paused, and went on by itself").await;
}

async fn may_insert(database: &TestDatabase, may: bool) {
    let access = database.access();
    let (name, user) = (&access.database, &access.user);
    match database.kind() {
        Kind::Postgres => {
            let change = if may { "GRANT INSERT ON ledger TO" } else { "REVOKE INSERT ON ledger FROM" };
            postgres::shared().admin(name, &format!("{change} {user}"));
        }
        Kind::MariaDb => {
            // A right on the whole database cannot be taken for one table: so it is given table by table from here on.
            let rights = "SELECT, UPDATE, DELETE, CREATE, ALTER, INDEX, REFERENCES";
            let tables = ["write_behind_checkpoint", "write_behind_dead_letter", "other"];
            let mut sql = format!("REVOKE ALL ON {name}.* FROM {user}@'%'; GRANT {rights} ON {name}.* TO {user}@'%';");
            for table in tables {
                sql += &format!("GRANT INSERT ON {name}.{table} TO {user}@'%';");
            }
            let all = format!("GRANT ALL ON {name}.* TO {user}@'%'");
            mariadb::shared().admin(if may { &all } else { &sql });
            // A connection keeps the rights that it had on the database when it began to use it.
            mariadb::shared().terminate_connections(name);
        }
        Kind::Sqlite => unreachable!("SQLite has no rights"),
    }
}

on_each_database!(the_table_is_gone, a_column_is_added_that_nothing_is_mapped_to, a_column_is_widened);

#[tokio::test(flavor = "multi_thread")]
async fn a_right_is_revoked_postgres() {
    a_right_is_revoked(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_is_revoked_mariadb() {
    a_right_is_revoked(Kind::MariaDb).await;
}
