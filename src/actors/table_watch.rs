//! Looks now and then whether the tables of a stream still are what its mapping was compiled for.

use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context};
use fail::fail_point;
use tokio::sync::watch;

use crate::sink::{SqlError, Target, catalogue, within};
use crate::supervision::exit::{ExitReason, LastWords};
use crate::table::{TableName, TablePlan};

/// What the watch needs to begin.
pub struct TableWatchStart {
    /// The database.
    pub target: Target,
    /// The tables, as the mapping knows them.
    pub plans: Arc<[TablePlan]>,
    /// How often it looks.
    pub interval: Duration,
    /// Longest time of a look at one table.
    pub limit: Duration,
    /// Turns true when the process is to end: what is in flight is committed then, with the mapping that there is.
    pub draining: watch::Receiver<bool>,
    /// Where to leave the reason before stopping.
    pub last_words: LastWords,
}

/// The actor. It ends when a table was altered; the next generation has a mapping for the table as it is then.
pub struct TableWatch {
    start: TableWatchStart,
    /// One look at a time, however long the database takes.
    looking: bool,
}

impl TableWatch {
    /// Prepares a watch.
    pub fn new(start: TableWatchStart) -> Self {
        TableWatch { start, looking: false }
    }

    fn look(&mut self, context: &mut Context<Self>) {
        fail_point!("table_watch::look");
        if self.looking {
            return;
        }
        self.looking = true;
        let TableWatchStart { target, plans, limit, .. } = &self.start;
        let (target, plans, limit) = (target.clone(), plans.clone(), *limit);
        let mut draining = self.start.draining.clone();
        // What is asked must not be dropped when the process ends: its connection wants the runtime then.
        let found = async move {
            tokio::select! {
                _ = draining.wait_for(|draining| *draining) => Ok(None),
                found = altered(&target, &plans, limit) => found,
            }
        };
        context.spawn(wrap_future(found).map(|found, watch: &mut Self, context: &mut Context<Self>| {
            watch.looking = false;
            // A database that gives no answer now is the writers' affair.
            if let Ok(Some(table)) = found
                && !*watch.start.draining.borrow()
            {
                watch.start.last_words.say(ExitReason::TableAltered(table.to_string()));
                context.stop();
            }
        }));
    }
}

/// The first table that is not as the mapping knows it.
async fn altered(target: &Target, plans: &[TablePlan], limit: Duration) -> Result<Option<TableName>, SqlError> {
    for plan in plans {
        let name = &plan.table.name;
        let now = within(limit, catalogue::read(target.db(), name)).await?;
        if now.as_ref() != Some(plan.table.as_ref()) {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

impl Actor for TableWatch {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        fail_point!("table_watch::started");
        context.run_interval(self.start.interval, Self::look);
    }
}
