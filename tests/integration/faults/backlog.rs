//! A backlog of 2,000,000 entries that grows while the database is away, and then goes: memory stays bounded all the
//! time, and every entry is written once.

use std::fs;
use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::drained::server::Server;
use super::ledger::{HASTY, Ledger, STREAM};
use super::report::{Run, sized};
use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;
use crate::thing::{drained, reads};
use crate::workload::{counted, done};

const DEADLINE: Duration = Duration::from_secs(300);
const RESIDENT_MAX_MIB: u64 = 150;

/// Adds the entries from one number up to before another; what is in event n follows from n.
const ADD: &str = "for n = ARGV[1], ARGV[2] - 1 do
    n = string.format('%d', n)
    local payload = '{\"n\":' .. n .. ',\"note\":\"a sentence as long as most are ' .. n .. '\",\"cents\":' .. n % 997 .. '}'
    redis.call('XADD', KEYS[1], '*', 'key', 'account:' .. n % 499, 'payload', payload)
end";

async fn add(redis: &mut MultiplexedConnection, numbers: std::ops::Range<u64>) {
    const AT_ONCE: u64 = 20_000;
    for first in numbers.clone().step_by(AT_ONCE as usize) {
        let end = numbers.end.min(first + AT_ONCE);
        let mut add = redis::cmd("EVAL");
        add.arg(ADD).arg(1).arg(STREAM).arg(first).arg(end);
        add.query_async::<()>(redis).await.expect("redis takes the entries");
    }
}

/// What the process holds in memory, and the most it ever held, in MiB.
fn resident_mib(pipeline: &PipelineProcess) -> [u64; 2] {
    let status = fs::read_to_string(format!("/proc/{}/status", pipeline.pid())).expect("the process runs");
    let now_and_most = ["VmRSS:", "VmHWM:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of it");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
    });
    assert!(now_and_most[1] < RESIDENT_MAX_MIB, "{now_and_most:?} MiB resident");
    now_and_most
}

/// Asserts that every event is a row, once, as it was, and in order for each account.
async fn check(database: &TestDatabase, events: u64) {
    let sql = "SELECT count(*), count(DISTINCT n), min(n), max(n) FROM ledger";
    let expected = [events, events, 0, events - 1].map(|number| Some(number.to_string()));
    assert_eq!(database.rows(sql).await, [expected.to_vec()], "rows, different ones, the least, the greatest");
    let text = if database.kind() == Kind::MariaDb { "char" } else { "text" };
    let wrong = format!(
        "SELECT count(*) FROM ledger WHERE cents <> n % 997 OR account <> concat('account:', cast(n % 499 AS {text})) \
         OR note <> concat('a sentence as long as most are ', cast(n AS {text}))"
    );
    assert_eq!(database.number::<u64>(&wrong).await, 0, "rows that are not as their events");
    let disordered = "SELECT count(*) FROM (SELECT n < lag(n) OVER (PARTITION BY account ORDER BY position) AS before_it \
                      FROM ledger) AS pairs WHERE before_it";
    assert_eq!(database.number::<u64>(disordered).await, 0, "rows that came before an earlier event of their account");
    assert_eq!(database.count("write_behind_dead_letter").await, 0);
}

async fn backlog(kind: Kind, events: u64) {
    let run = Run::of("12 a large backlog", "database stopped, killed, restarted, while entries come in", kind);
    let ledger = Ledger { bad_permille: 0 };
    // It is not Redis's file that is looked at here.
    let redis = RedisServer::builder().args(["--appendonly", "no"]).start();
    let server = Server::start(kind);
    let database = server.database().await;
    ledger.create_table(&database).await;
    let mut connection = redis.connection().await;
    let hasty = HASTY.to_owned() + "  connect_timeout_ms: 500\n";
    let config = ledger.config(&redis, &database, 2).replace(HASTY, &hasty);
    let pipeline = PipelineProcess::start(&config, &["run"]);
    reads(&pipeline).await;
    add(&mut connection, 0..1_000).await;
    done(&database, STREAM, 1_000, DEADLINE).await;

    // A statement without an answer: the reader goes on until its credits are spent.
    let frozen = server.freeze();
    add(&mut connection, 1_000..events / 2).await;
    let stopped = resident_mib(&pipeline);
    server.kill();
    drop(frozen);
    let tries = || pipeline.stderr().matches("stream failed, restarting it").count();
    add(&mut connection, events / 2..events).await;
    eventually(DEADLINE, "the stream's actors to have come back several times", async || match tries() {
        0..5 => Err(pipeline.stderr()),
        _ => Ok(()),
    })
    .await;
    let killed = resident_mib(&pipeline);
    server.restart();
    done(&database, STREAM, events, DEADLINE).await;
    counted(&mut connection, "ledger", [events, 0], DEADLINE).await;
    // The kernel remembers the most, so nothing between the looks is missed.
    let [afterwards, most] = resident_mib(&pipeline);
    drained(pipeline).await;
    check(&database, events).await;
    let seen = format!(
        "MiB resident: at most {most}; {} with the database stopped, {} with it killed, {afterwards} at the end",
        stopped[0], killed[0]
    );
    run.held(1, events, seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_bounded_postgres() {
    backlog(Kind::Postgres, sized(100_000, 2_000_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_bounded_mariadb() {
    backlog(Kind::MariaDb, sized(100_000, 500_000)).await;
}
