//! A start whose connections are swallowed: the process neither hangs nor needs a person.

use super::super::ledger::HASTY;
use super::super::report::{Run, sized};
use super::{Before, DEADLINE, FAULT, Line, SHORT_LIMITS, SHORT_REDIS_LIMITS, SMALL_BATCHES, supervisor_with};
use crate::support::database::Kind;
use crate::support::pipeline::PipelineProcess;
use crate::support::proxy::Harm;
use crate::support::wait::eventually;
use crate::thing::reads;

/// A word of the first query of the catalogue.
fn query_of_the_catalogue(kind: Kind) -> &'static str {
    match kind {
        Kind::MariaDb => "information_schema",
        Kind::Postgres | Kind::Sqlite => "pg_attribute",
    }
}

async fn swallowed_at_start(kind: Kind) {
    let run = Run::of(FAULT, "queries of the start are swallowed", kind);
    let mut line = Line::new(kind, Before::Database).await;
    let rdbms = format!("{HASTY}{SHORT_LIMITS}");
    let supervisor = supervisor_with(0.5);
    let config = line.config(Before::Database, [SHORT_REDIS_LIMITS, &rdbms, &supervisor, SMALL_BATCHES]);
    let times = sized(2, 5);
    line.proxy.harm_at(query_of_the_catalogue(kind), 1, Harm::Swallow);
    let pipeline = PipelineProcess::start(&config, &[]);
    eventually(DEADLINE, "queries to be swallowed", async || {
        let harmed = line.proxy.harmed();
        assert!(pipeline.is_running(), "it ended: {}", pipeline.stderr());
        if harmed >= times { Ok(()) } else { Err(format!("{harmed} swallowed: {}", pipeline.stderr())) }
    })
    .await;
    line.proxy.spare();
    reads(&pipeline).await;
    line.produce(500).await;
    let times = line.proxy.harmed();
    let events = line.finish(pipeline).await;
    run.held(times, events, "tried again within the patience of the start");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_queries_are_swallowed_is_tried_again_postgres() {
    swallowed_at_start(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_queries_are_swallowed_is_tried_again_mariadb() {
    swallowed_at_start(Kind::MariaDb).await;
}
