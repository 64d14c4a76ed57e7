//! A panic in each actor, in each handler, at its start, and before, in and after a commit: it costs a restart, and
//! no event. And an actor that stands still is replaced, whatever it does when it goes on.

use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::ledger::{HASTY, IMPATIENT, Ledger, STREAM};
use super::report::{Run, sized};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;
use crate::thing::reads;
use crate::workload::{Way, create_items, done, items, items_yaml, model, produce, redis_yaml};

const DEADLINE: Duration = Duration::from_secs(120);
const LEDGER: Ledger = Ledger { bad_permille: 20 };
const FAULT: &str = "9 panic";

/// What a panic must lead to.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// The stream's actors come back as a new generation.
    Generation,
    /// The actor comes back in place.
    InPlace,
    /// The process ends with its exit code, for the container to restart.
    ProcessEnds,
    /// The same, but only a SIGTERM leads there.
    ProcessEndsAtShutdown,
    /// The drain is cut off; the process ends well all the same.
    AtDrain,
}

/// Every place, how many times it is passed before the panic, and what follows.
const POINTS: [(&str, u32, Then); 27] = [
    ("stream_group::prepare", 0, Then::Generation),
    ("stream_reader::started", 0, Then::Generation),
    ("stream_reader::begin", 0, Then::Generation),
    ("stream_reader::read_done", 2, Then::Generation),
    ("stream_reader::committed", 2, Then::Generation),
    ("stream_reader::drain", 0, Then::AtDrain),
    ("transformer::started", 0, Then::Generation),
    ("transformer::feedback", 0, Then::Generation),
    ("transformer::entry_batch", 2, Then::Generation),
    ("transformer::forward", 2, Then::Generation),
    ("rdbms_writer::started", 1, Then::Generation),
    ("rdbms_writer::feedback", 0, Then::Generation),
    ("rdbms_writer::lane_batch", 2, Then::Generation),
    ("applier::begin", 2, Then::Generation),
    ("applier::written", 2, Then::Generation),
    ("applier::bisected", 0, Then::Generation),
    ("applier::committed", 2, Then::Generation),
    ("rdbms_writer::committed", 2, Then::Generation),
    ("table_watch::started", 0, Then::Generation),
    ("table_watch::look", 1, Then::Generation),
    ("metrics::started", 0, Then::InPlace),
    ("metrics::stream_opened", 0, Then::InPlace),
    ("metrics::batch_committed", 2, Then::InPlace),
    ("metrics::publish", 2, Then::InPlace),
    ("metrics::flush", 0, Then::AtDrain),
    ("supervisor::started", 0, Then::ProcessEnds),
    ("supervisor::shutdown", 0, Then::ProcessEndsAtShutdown),
];

struct Setting {
    _redis: RedisServer,
    connection: MultiplexedConnection,
    database: TestDatabase,
    config: String,
    events: u64,
}

impl Setting {
    async fn new(kind: Kind) -> Self {
        let redis = RedisServer::start();
        let database = TestDatabase::new(kind).await;
        LEDGER.create_table(&database).await;
        // Small transactions, so that a handful of events already makes several.
        let config = redis_yaml(redis.port())
            + &database.settings_yaml()
            + HASTY
            + "  transaction_events_max: 50\n  statement_timeout_ms: 700\n  catalogue_refresh_sec: 0.2\n"
            + &LEDGER.streams_yaml(2)
            + "    batch_size: 50\n    block_ms: 100\n";
        let connection = redis.connection().await;
        Setting { _redis: redis, connection, database, config, events: 0 }
    }

    fn start(&self, failpoints: &str) -> PipelineProcess {
        PipelineProcess::start_with(&(self.config.clone() + IMPATIENT), &["run"], &[("FAILPOINTS", failpoints)], "")
    }

    async fn add(&mut self, events: u64) {
        LEDGER.produce(&mut self.connection, self.events..self.events + events).await;
        self.events += events;
    }

    async fn done(&self) {
        done(&self.database, STREAM, self.events, DEADLINE).await;
    }

    async fn check(&mut self) {
        LEDGER.check(&self.database, &mut self.connection, DEADLINE).await;
    }
}

/// Waits for words in the log of a process.
async fn says(pipeline: &PipelineProcess, words: &str) {
    eventually(DEADLINE, &format!("the log to say `{words}`"), async || {
        if pipeline.stderr().contains(words) { Ok(()) } else { Err(pipeline.stderr()) }
    })
    .await;
}

async fn ends(pipeline: &PipelineProcess, code: i32) {
    assert_eq!(pipeline.wait_exit(DEADLINE).await, Some(code), "{}", pipeline.stderr());
}

async fn in_each_place(kind: Kind) {
    let run = Run::of(FAULT, "once in each of 25 places", kind);
    let mut setting = Setting::new(kind).await;
    for (point, passes, then) in POINTS {
        let panicked = format!("failpoint {point} panic");
        let pipeline = setting.start(&format!("{point}={passes}*off->1*panic->off"));
        setting.add(400).await;
        if then == Then::ProcessEnds {
            ends(&pipeline, 70).await;
            assert!(pipeline.stderr().contains(&panicked), "{}", pipeline.stderr());
            // The next process does the work.
            let next = setting.start("");
            setting.done().await;
            crate::thing::drained(next).await;
            continue;
        }
        setting.done().await;
        if matches!(then, Then::Generation | Then::InPlace) {
            says(&pipeline, &panicked).await;
        }
        if then == Then::Generation {
            says(&pipeline, "\"reason\":\"panicked\"").await;
        }
        setting.check().await;
        reads(&pipeline).await;
        pipeline.terminate();
        ends(&pipeline, if then == Then::ProcessEndsAtShutdown { 70 } else { 0 }).await;
        assert!(pipeline.stderr().contains(&panicked), "no panic at {point}: {}", pipeline.stderr());
    }
    setting.check().await;
    let ended: u64 = redis::cmd("GET")
        .arg("metrics:ledger:ended:panicked")
        .query_async(&mut setting.connection)
        .await
        .expect("panics are counted");
    let generations = POINTS.iter().filter(|(_, _, then)| *then == Then::Generation).count() as u64;
    assert!(ended >= generations, "{ended} panics counted, {generations} made");
    run.held(POINTS.len() as u64, setting.events, format!("{ended} generations ended by a panic"));
}

/// The handlers that come to work only when something else has gone wrong.
#[tokio::test(flavor = "multi_thread")]
async fn in_handlers_that_only_faults_reach() {
    let run = Run::of(FAULT, "in the 3 handlers that only faults reach", Kind::Sqlite);
    let mut setting = Setting::new(Kind::Sqlite).await;
    // The supervisor hears that an actor ended.
    let pipeline = setting.start("transformer::forward=1*panic->off;supervisor::actor_exited=1*panic->off");
    setting.add(400).await;
    ends(&pipeline, 70).await;
    assert!(pipeline.stderr().contains("failpoint supervisor::actor_exited panic"), "{}", pipeline.stderr());
    // The counters hear that a generation ended, and that entries were trimmed before they were read.
    let pipeline = setting
        .start("applier::written=1*panic->off;metrics::stream_ended=1*panic->off;metrics::entries_lost=1*panic->off");
    setting.done().await;
    says(&pipeline, "failpoint metrics::stream_ended panic").await;
    setting.check().await;
    eventually(DEADLINE, "a loss to be noticed", async || {
        const GONE: &str =
            "local id = redis.call('XADD', KEYS[1], '*', 'payload', 'x') return redis.call('XDEL', KEYS[1], id)";
        let mut gone = redis::cmd("EVAL");
        gone.arg(GONE).arg(1).arg(STREAM);
        gone.query_async::<()>(&mut setting.connection).await.map_err(|error| error.to_string())?;
        match pipeline.stderr().contains("failpoint metrics::entries_lost panic") {
            true => Ok(()),
            false => Err(pipeline.stderr()),
        }
    })
    .await;
    setting.add(400).await;
    setting.done().await;
    setting.check().await;
    crate::thing::drained(pipeline).await;
    run.held(3, setting.events, "exit code 70 once, twice in place");
}

/// Every place panics at random, again and again.
async fn at_random(kind: Kind) {
    let run = Run::of(FAULT, "at random in every place at once", kind);
    let mut setting = Setting::new(kind).await;
    // The reader does not run ahead: each of its steps may be the generation's last, and what is not committed is lost.
    setting.config += "    max_in_flight_bytes: 65536\n";
    let points: Vec<String> = POINTS
        .iter()
        .filter(|(point, _, then)| matches!(then, Then::Generation) && !point.ends_with("started"))
        .map(|(point, _, _)| format!("{point}=2%panic"))
        .collect();
    let pipeline = setting.start(&(points.join(";") + ";metrics::publish=5%panic;metrics::batch_committed=1%panic"));
    setting.add(sized(3_000, 8_000)).await;
    setting.done().await;
    setting.check().await;
    let panics = pipeline.stderr().matches("\"reason\":\"panicked\"").count() as u64;
    assert!(panics >= 1, "only {panics} panics: {}", pipeline.stderr());
    pipeline.kill();
    run.held(panics, setting.events, "generations ended by a panic");
}

/// More restarts than the limit end the process with its exit code; the next one goes on.
async fn until_the_limit(kind: Kind) {
    let run = Run::of(FAULT, "in a loop until the restart limit", kind);
    let mut setting = Setting::new(kind).await;
    setting.add(400).await;
    let places = ["stream_group::prepare", "rdbms_writer::started", "transformer::entry_batch", "applier::written"];
    for place in places {
        let limit = "supervisor: {max_restarts: 3, restart_delay_ms: 20, restart_delay_max_ms: 50}\n";
        let config = setting.config.clone() + limit;
        let failpoints = format!("{place}=panic");
        let pipeline = PipelineProcess::start_with(&config, &["run"], &[("FAILPOINTS", &failpoints)], "");
        ends(&pipeline, 70).await;
        let log = pipeline.stderr();
        assert_eq!(log.matches("restarting it from the checkpoint").count(), 3, "{place}: {log}");
        assert!(log.contains("failed more than 3 times"), "{place}: {log}");
        assert_eq!(setting.database.count("ledger").await, 0, "{place}");
    }
    let pipeline = setting.start("");
    setting.done().await;
    setting.check().await;
    crate::thing::drained(pipeline).await;
    run.held(places.len() as u64, setting.events, "exit code 70 after 3 restarts each");
}

/// A thread that stands still, as in a dead lock: the actor is replaced, and what the zombie does when it goes on does
/// no harm, even in the middle of a transaction or just before it hears that it is committed.
async fn that_stands_still(kind: Kind) {
    let run = Run::of("9 hang", "a thread stands still for longer than hang_timeout_sec", kind);
    let mut setting = Setting::new(kind).await;
    let places = [
        "applier::written",
        "transformer::entry_batch",
        "applier::committed",
        "rdbms_writer::lane_batch",
        "stream_reader::committed",
        "applier::begin",
    ];
    let places = &places[..sized(2, 6)];
    for place in places {
        let impatient = IMPATIENT.replace("{", "{hang_timeout_sec: 1, ");
        let config = setting.config.clone().replace("redis:\n", "redis:\n  response_timeout_ms: 800\n") + &impatient;
        let failpoints = format!("{place}=3*off->1*sleep(3000)->off");
        let pipeline = PipelineProcess::start_with(&config, &["run"], &[("FAILPOINTS", &failpoints)], "");
        setting.add(400).await;
        setting.done().await;
        says(&pipeline, "\"reason\":\"hung\"").await;
        // The zombie has not gone on yet; when it does, events are on their way again.
        setting.add(400).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        setting.add(400).await;
        setting.done().await;
        setting.check().await;
        crate::thing::drained(pipeline).await;
    }
    run.held(places.len() as u64, setting.events, "each replaced; the zombie's late commit changed nothing");
}

/// With documents at keys the reader and the transformer talk more to each other.
#[tokio::test(flavor = "multi_thread")]
async fn while_documents_are_fetched() {
    let (redis, database) = (RedisServer::start(), TestDatabase::new(Kind::Postgres).await);
    create_items(&database).await;
    let stream = "stream:item";
    let config = redis_yaml(redis.port()) + &database.settings_yaml() + HASTY + IMPATIENT;
    let config = config + &items_yaml(stream, Way::String, 2) + "    batch_size: 50\n";
    let failpoints =
        "stream_reader::documents_fetched=5*off->1*panic->3*off->1*panic;transformer::forward=7*off->1*panic";
    let events = crate::workload::events(&mut crate::workload::Random::new(91), 3_000, 100);
    produce(&mut redis.connection().await, stream, Way::String, &events).await;
    let pipeline = PipelineProcess::start_with(&config, &["run"], &[("FAILPOINTS", failpoints)], "");
    done(&database, stream, 3_000, DEADLINE).await;
    let log = pipeline.stderr();
    assert!(log.matches("failpoint stream_reader::documents_fetched panic").count() >= 2, "{log}");
    crate::thing::drained(pipeline).await;
    assert_eq!(items(&database).await, model(&events));
}

on_each_database!(in_each_place, at_random, until_the_limit, that_stands_still);
