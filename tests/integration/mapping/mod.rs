//! What the settings of a mapping promise, on every database.

mod columns;
mod documentation;
mod examples;
mod expressions;
mod families;
mod masking;
mod operations;
mod rows_that_are_there;
mod tables;

use crate::support::database::Kind;
use crate::support::redis::RedisServer;
use crate::thing::{DEADLINE, Setting, drained};
use crate::workload::done;

/// A stream and its tables.
async fn setting(kind: Kind, tables: &[&str]) -> Setting {
    let setting = Setting::new(kind, RedisServer::start(), tables[0]).await;
    for table in &tables[1..] {
        setting.database.execute(table).await;
    }
    setting
}

/// Adds entries of these fields, all at once.
async fn add(setting: &mut Setting, entries: &[&[(&str, &str)]]) {
    let mut pipe = redis::pipe();
    pipe.atomic();
    for fields in entries {
        pipe.xadd("stream:thing", "*", fields).ignore();
    }
    pipe.query_async::<()>(&mut setting.connection).await.expect("redis takes the entries");
}

/// The same, of fields that were made.
async fn add_made<'n>(setting: &mut Setting, entries: &[impl AsRef<[(&'n str, String)]>]) {
    let borrowed =
        entries.iter().map(|entry| entry.as_ref().iter().map(|(name, value)| (*name, value.as_str())).collect());
    let borrowed: Vec<Vec<(&str, &str)>> = borrowed.collect();
    add(setting, &borrowed.iter().map(Vec::as_slice).collect::<Vec<_>>()).await;
}

/// Runs the pipeline until so many events are done.
async fn run_through(setting: &Setting, stream: &str, events: u64) {
    let pipeline = setting.start(stream);
    done(&setting.database, "stream:thing", events, DEADLINE).await;
    drained(pipeline).await;
}

async fn dead(setting: &Setting) -> Vec<String> {
    setting.rows("SELECT error_class, message FROM write_behind_dead_letter ORDER BY id").await
}
