//! Two processes begin a stream: both find no checkpoint, and one makes it and is done before the other's turn to make it.
//! For that other one it is no sign that the stream went back.

use std::time::Duration;

use sea_orm::{ConnectionTrait, TransactionTrait};

use super::FAULT;
use super::work::Work;
use crate::faults::report::Run;
use crate::support::database::Kind;
use crate::support::pipeline::{PipelineProcess, run_pipeline};
use crate::support::wait::eventually;
use crate::thing::drained;

const DEADLINE: Duration = Duration::from_secs(60);

/// Holds up the process `slow` where it makes the checkpoint.
const HOLD_UP: &str = "
    CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.owner = 'slow' THEN PERFORM pg_advisory_xact_lock(1); END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER hold_up BEFORE INSERT ON write_behind_checkpoint FOR EACH ROW EXECUTE FUNCTION hold_up()";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_repeated_when_another_process_begins_the_stream_first() {
    let run = Run::of(FAULT, "two processes begin a stream, one slowly", Kind::Postgres);
    let mut work = Work::new(Kind::Postgres, 22).await;
    let migrated = run_pipeline(&work.config(2), &["migrate", "up"], "").await;
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    work.database.execute(HOLD_UP).await;
    let held = work.database.connection().begin().await.expect("a transaction");
    held.execute_unprepared("SELECT pg_advisory_xact_lock(1)").await.expect("a lock");

    let slow = PipelineProcess::start(&(work.config(2) + "app: {instance_id: slow}\n"), &["run"]);
    eventually(DEADLINE, "the slow process to be held up with both streams", async || {
        let waiting = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database \
                       WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted";
        match work.database.number::<u64>(waiting).await {
            2 => Ok(()),
            _ => Err(slow.stderr()),
        }
    })
    .await;
    work.produce(2_000).await;
    let quick = work.start(2);
    work.done().await;
    held.rollback().await.expect("the lock is free");
    eventually(DEADLINE, "the slow process to read both streams", async || {
        if slow.stderr().matches("reading stream").count() >= 2 { Ok(()) } else { Err(slow.stderr()) }
    })
    .await;
    work.produce(500).await;
    work.done().await;
    drained(slow).await;
    work.finish(quick).await;
    run.held(1, work.events(), "");
}
