//! Puts work into Redis, off the clock: under a key of its own, from where it takes one command to be in place.

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};

use crate::work::{Way, Work};

/// Entries of one round trip.
const AT_ONCE: usize = 2_000;

/// Entries that wait for their turn.
pub struct Loaded {
    work: Work,
    key: String,
}

impl Loaded {
    /// Puts all entries, and the documents that they refer to, into Redis.
    pub async fn new(redis: &mut MultiplexedConnection, work: Work, name: &str) -> Loaded {
        let key = format!("loaded:{name}:{}", work.nth);
        let numbers: Vec<u64> = work.numbers().collect();
        for chunk in numbers.chunks(AT_ONCE) {
            let mut pipe = Pipeline::with_capacity(2 * chunk.len());
            for number in chunk {
                add(&mut pipe, &work, &key, *number);
            }
            pipe.query_async::<()>(redis).await.expect("Redis takes the entries");
        }
        Loaded { work, key }
    }

    pub fn work(&self) -> &Work {
        &self.work
    }
}

/// Adds an event to a stream.
pub fn add(pipe: &mut Pipeline, work: &Work, stream: &str, number: u64) {
    let key = work.key(number);
    if work.way == Way::Ref {
        pipe.cmd("JSON.SET").arg(&key).arg("$").arg(work.document(number)).ignore();
    }
    pipe.cmd("XADD").arg(stream).arg("*").arg("key").arg(&key).arg("op").arg("insert");
    if work.way == Way::Inline {
        pipe.arg("payload").arg(work.document(number));
    }
    pipe.ignore();
}

/// Puts all of them where the pipeline reads, at one moment.
pub async fn put_in_place(redis: &mut MultiplexedConnection, all: &[Loaded]) {
    rename(redis, all.iter().map(|one| (one.key.clone(), one.work.stream()))).await;
}

/// Takes them away again.
pub async fn take_away(redis: &mut MultiplexedConnection, all: &[Loaded]) {
    rename(redis, all.iter().map(|one| (one.work.stream(), one.key.clone()))).await;
}

async fn rename(redis: &mut MultiplexedConnection, names: impl Iterator<Item = (String, String)>) {
    let mut pipe = redis::pipe();
    pipe.atomic();
    for (from, to) in names {
        pipe.cmd("RENAME").arg(from).arg(to).ignore();
    }
    pipe.query_async::<()>(redis).await.expect("the stream is renamed");
}

/// Removes everything, so that what comes next meets an empty server.
pub async fn clear(redis: &mut MultiplexedConnection) {
    redis::cmd("FLUSHALL").query_async::<()>(redis).await.expect("Redis forgets");
}

/// How many clients wait for a stream to come.
pub async fn waiting(redis: &mut MultiplexedConnection) -> usize {
    let info: String = redis::cmd("INFO").arg("clients").query_async(redis).await.expect("INFO");
    let line = info.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
    line.and_then(|count| count.trim().parse().ok()).expect("blocked_clients is a number")
}

/// Version of the server.
pub async fn version(redis: &mut MultiplexedConnection) -> String {
    let info: Value = redis::cmd("INFO").arg("server").query_async(redis).await.expect("INFO");
    let info: String = redis::from_redis_value(info).expect("a text");
    info.lines().find_map(|line| line.strip_prefix("redis_version:")).expect("a version").trim().to_owned()
}
