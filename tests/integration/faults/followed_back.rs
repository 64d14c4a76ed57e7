//! Redis loses a stream while two processes work on it. One follows the stream back; what the other still knows or
//! holds from before must not bring anything into the table twice.

use sea_orm::{ConnectionTrait, TransactionTrait};

use crate::support::database::{Kind, TestDatabase};
use crate::support::pipeline::PipelineProcess;
use crate::support::redis::RedisServer;
use crate::support::wait::eventually;
use crate::thing::{DEADLINE, Setting, reads};
use crate::workload::redis_yaml;

const STREAM: &str = "streams:\n  thing:\n    document: fields\n    columns: {n: n}\n    block_ms: 3000\n";
const WENT_BACK: &str = "its end was lost, or it was deleted";
const LAST_ID: &str = "SELECT last_id FROM write_behind_checkpoint";

fn start(setting: &Setting, rdbms: &str, supervisor: &str) -> PipelineProcess {
    let redis = redis_yaml(setting.redis.port());
    let supervisor = format!("supervisor: {{max_restarts: 1000, {supervisor}}}\n");
    PipelineProcess::start(&(redis + &setting.database.settings_yaml() + rdbms + STREAM + &supervisor), &[])
}

async fn lose_stream(setting: &mut Setting) {
    let _: () = redis::cmd("DEL").arg("stream:thing").query_async(&mut setting.connection).await.unwrap();
}

async fn says(pipeline: &PipelineProcess, text: &str, times: usize) {
    eventually(DEADLINE, &format!("{times} times `{text}`"), async || {
        if pipeline.stderr().matches(text).count() >= times { Ok(()) } else { Err(pipeline.stderr()) }
    })
    .await;
}

async fn is_there(database: &TestDatabase, sql: &str, expected: &str) {
    eventually(DEADLINE, &format!("{sql}: {expected}"), async || {
        let found = database.try_rows(sql).await?;
        if found == [[Some(expected.to_owned())]] { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

/// One process sees that the stream is gone and waits before it looks again; the other follows at once and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_before_another_process_went_on_is_old_news() {
    let mut setting = Setting::new(Kind::Sqlite, RedisServer::start(), "CREATE TABLE thing (n bigint)").await;
    let slow = start(&setting, "", "restart_delay_ms: 4000, restart_delay_max_ms: 4000");
    setting.add(&[("n", "1")]).await;
    is_there(&setting.database, "SELECT count(*) FROM thing", "1").await;
    let quick = start(&setting, "", "restart_delay_ms: 50, restart_delay_max_ms: 50");
    reads(&quick).await;
    lose_stream(&mut setting).await;
    says(&slow, WENT_BACK, 1).await;
    slow.signal("STOP");
    is_there(&setting.database, LAST_ID, "0-0").await;
    setting.add(&[("n", "2")]).await;
    is_there(&setting.database, "SELECT count(*) FROM thing", "2").await;
    slow.signal("CONT");
    says(&slow, "reading stream", 2).await;
    setting.add(&[("n", "3")]).await;
    is_there(&setting.database, "SELECT count(*) FROM thing WHERE n = 3", "1").await;
    assert_eq!(setting.database.count("thing").await, 3, "{}", slow.stderr());
}

/// One process waits to write an entry again while another writes it and Redis loses it.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_from_before_is_not_written_once_more() {
    let mut setting = Setting::new(Kind::Postgres, RedisServer::start(), "CREATE TABLE thing (n bigint)").await;
    let patient = "  statement_timeout_ms: 1000\n  retry_delay_sec: 5\n";
    let hasty =
        "  statement_timeout_ms: 1000\n  retry_delay_sec: 0.05\n  retry_delay_max_sec: 0.05\n  max_retries: 1000\n";
    let supervisor = "restart_delay_ms: 50, restart_delay_max_ms: 50";
    let stopped = start(&setting, patient, supervisor);
    reads(&stopped).await;
    let other = start(&setting, hasty, supervisor);
    reads(&other).await;
    let lock = setting.database.connection().begin().await.unwrap();
    lock.execute_unprepared("LOCK TABLE thing").await.unwrap();
    setting.add(&[("n", "1")]).await;
    says(&stopped, "database failed, trying again", 1).await;
    stopped.signal("STOP");
    lock.rollback().await.unwrap();
    is_there(&setting.database, "SELECT count(*) FROM thing", "1").await;
    lose_stream(&mut setting).await;
    is_there(&setting.database, LAST_ID, "0-0").await;
    stopped.signal("CONT");
    // Whatever it does with what it holds: it finds that it was overtaken, or that the stream has gone back.
    says(&stopped, "reading stream", 2).await;
    assert_eq!(setting.database.count("thing").await, 1, "{}", stopped.stderr());
}
