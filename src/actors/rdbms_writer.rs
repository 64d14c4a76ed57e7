//! Writes one lane: a transaction at a time, in chain order, with patience.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix::fut::wrap_future;
use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Recipient};
use fail::fail_point;
use slog::{Logger, debug, info, warn};
use tokio::sync::watch;

use super::dead_letter_report::{DeadLetterReport, SAID_EVERY};
use super::messages::{BatchCommitted, Committed, DeadLetters, Feedback, LaneBatch};
use super::metrics::MetricsActor;
use crate::batch::{MappedBatch, MappedEvent, PendingBatches};
use crate::event::StreamId;
use crate::settings::RdbmsSettings;
use crate::sink::checkpoint::{self, Position, Totals};
use crate::sink::{Applied, Applier, ApplyError, ErrorClass, LaneIdentity, SqlError, Target, within};
use crate::supervision::exit::{ExitReason, LastWords};
use crate::supervision::progress::Progress;
use crate::supervision::retry::Retry;
use crate::table::{TablePlan, names_of};

/// What a writer needs to begin.
pub struct RdbmsWriterStart {
    /// The row of the checkpoint that it moves.
    pub lane: LaneIdentity,
    /// Where that row stands.
    pub position: Position,
    /// The database.
    pub target: Target,
    /// The target table.
    pub plans: Arc<[TablePlan]>,
    /// Retries and limits.
    pub settings: RdbmsSettings,
    /// How often a writer without work looks whether the checkpoint still stands where it left it.
    pub look_interval: Duration,
    /// Told of every commit.
    pub metrics: Addr<MetricsActor>,
    /// What the log says of dead letters.
    pub dead_letters: Arc<DeadLetterReport>,
    /// Where to leave the reason before stopping.
    pub last_words: LastWords,
    /// Liveness.
    pub progress: Progress,
    /// Turns true when the process is to end: then nobody waits for a database that is away.
    pub draining: watch::Receiver<bool>,
    /// The actor's log.
    pub log: Logger,
}

/// The actor.
pub struct RdbmsWriter {
    task: Arc<Task>,
    pending: PendingBatches,
    totals: Totals,
    look_interval: Duration,
    /// One look at a time, however long the database takes.
    looking: bool,
    /// Absent before the first batch, after an error, and while a transaction is under way.
    applier: Option<Applier>,
    busy: bool,
    /// Told of every commit; set before any batch comes.
    reader: Option<Recipient<Committed>>,
    metrics: Addr<MetricsActor>,
    dead_letters: Arc<DeadLetterReport>,
    last_words: LastWords,
}

/// What stays the same while a writer lives.
struct Task {
    lane: LaneIdentity,
    target: Target,
    plans: Arc<[TablePlan]>,
    settings: RdbmsSettings,
    progress: Progress,
    draining: watch::Receiver<bool>,
    log: Logger,
}

/// A batch that is committed.
struct Done {
    applier: Option<Applier>,
    batch: MappedBatch,
    totals: Totals,
    dead: DeadLetters,
    took: Duration,
}

impl RdbmsWriter {
    /// Prepares a writer. It connects with its first batch.
    pub fn new(start: RdbmsWriterStart) -> Self {
        let pending = PendingBatches::new(start.position.last_id, start.settings.transaction_events_max);
        let task = Task {
            lane: start.lane,
            target: start.target,
            plans: start.plans,
            settings: start.settings,
            progress: start.progress,
            draining: start.draining,
            log: start.log,
        };
        RdbmsWriter {
            task: Arc::new(task),
            pending,
            totals: start.position.totals,
            look_interval: start.look_interval,
            looking: false,
            applier: None,
            busy: false,
            reader: None,
            metrics: start.metrics,
            dead_letters: start.dead_letters,
            last_words: start.last_words,
        }
    }

    /// Takes what has queued and commits it, if nothing is under way.
    fn commit_next(&mut self, context: &mut Context<Self>) {
        if self.busy {
            return;
        }
        let Some(batch) = self.pending.take() else {
            return self.task.progress.idle();
        };
        self.busy = true;
        let commit = commit(self.task.clone(), self.applier.take(), batch, self.totals);
        context.spawn(wrap_future(commit).map(|outcome, writer: &mut Self, context: &mut Context<Self>| {
            writer.busy = false;
            match outcome {
                Ok(done) => writer.committed(done, context),
                Err(reason) => writer.end(reason, context),
            }
        }));
    }

    fn committed(&mut self, done: Done, context: &mut Context<Self>) {
        fail_point!("rdbms_writer::committed");
        let Done { applier, batch, totals, dead, took } = done;
        self.applier = applier;
        self.drop_old_connection();
        self.totals = self.totals.plus(totals);
        let lane = self.task.lane.lane;
        debug!(self.task.log, "committed"; "upto" => %batch.span.upto, "applied" => totals.applied,
            "dead_lettered" => totals.dead_lettered, "skipped" => totals.skipped, "ms" => took.as_millis() as u64);
        self.dead_letters.add(totals.dead_lettered, &dead);
        let is_dead = |event: &MappedEvent| match &dead {
            DeadLetters::Known(dead) => dead.binary_search_by_key(&event.entry.id, |(id, _)| *id).is_ok(),
            // Those that the mapping refused are known all the same.
            DeadLetters::InDatabase => event.outcome.is_err(),
        };
        let applied = batch.events.iter().filter(|event| !is_dead(event)).map(|event| event.entry.id).collect();
        self.metrics.do_send(BatchCommitted {
            entity: self.task.lane.entity.clone(),
            lane,
            span: batch.span,
            totals,
            lane_totals: self.totals,
            applied,
            dead,
            took,
            committed_ms: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64,
        });
        // After the metrics: when this was the last commit the reader ends, and all that is to be counted must be told.
        if let Some(reader) = &self.reader {
            reader.do_send(Committed { lane, upto: batch.span.upto, credits: batch.credits, events: batch.events });
        }
        self.commit_next(context);
    }

    /// Reads the checkpoint of a lane without work. It moves away if the database is restored from an older copy, and
    /// on a quiet stream no commit would find that out.
    fn look(&mut self, context: &mut Context<Self>) {
        if self.busy || self.looking || !self.pending.is_empty() {
            return;
        }
        self.drop_old_connection();
        self.looking = true;
        let (task, left_at) = (self.task.clone(), self.pending.reached());
        let found = async move { task.stands_at(left_at).await };
        context.spawn(wrap_future(found).map(move |found, writer: &mut Self, context: &mut Context<Self>| {
            writer.looking = false;
            // A commit that has begun meanwhile finds out by itself.
            let still_idle = !writer.busy && writer.pending.reached() == left_at;
            if still_idle && found == Some(false) {
                writer.end(ExitReason::ChainMoved(left_at), context);
            }
        }));
    }

    /// The next batch opens another one.
    fn drop_old_connection(&mut self) {
        let age_max = self.task.settings.connection_age_max;
        self.applier.take_if(|applier| applier.age() > age_max);
    }

    fn end(&mut self, reason: ExitReason, context: &mut Context<Self>) {
        self.last_words.say(reason);
        context.stop();
    }
}

/// Commits one batch, however often that must be tried. `before` are the lane's totals before it.
async fn commit(
    task: Arc<Task>,
    mut applier: Option<Applier>,
    batch: MappedBatch,
    before: Totals,
) -> Result<Done, ExitReason> {
    let mut retry = Retry::new(&task.settings);
    let started = Instant::now();
    const CONFLICTS_MAX: u32 = 20;
    const CONFLICT_WAIT: Duration = Duration::from_millis(5);
    let mut conflicts = 0;
    // Whether a try of ours may have been committed without our hearing of it.
    let mut in_doubt = false;
    // A process that is to end tries once more, at once, and then leaves the rest to the next one.
    let mut last_try = false;
    loop {
        task.progress.working();
        let error = match task.try_once(&mut applier, &batch, in_doubt).await {
            Ok(Try::Applied(Applied { totals, dead })) => {
                debug_assert!(dead.is_sorted_by_key(|(id, _)| *id), "dead letters are looked up by their ids");
                let dead = DeadLetters::Known(dead);
                return Ok(Done { applier, batch, totals, dead, took: started.elapsed() });
            }
            Ok(Try::FoundCommitted(after)) => {
                info!(task.log, "the answer to a commit was lost, but it had been committed"; "upto" => %batch.span.upto);
                let totals = after.since(before);
                let dead =
                    if totals.dead_lettered == 0 { DeadLetters::Known(Vec::new()) } else { DeadLetters::InDatabase };
                // Its last try may have found the checkpoint moved, and has a transaction open then.
                return Ok(Done { applier: None, batch, totals, dead, took: started.elapsed() });
            }
            Err(ApplyError::Moved(after)) => return Err(ExitReason::ChainMoved(after)),
            Err(ApplyError::TableAltered(table)) => return Err(ExitReason::TableAltered(table.to_string())),
            Err(ApplyError::Sql(error)) => error,
        };
        // The connection may be in any state: dropping it closes it, and the server rolls back.
        applier = None;
        in_doubt = true;
        if error.class == ErrorClass::Configuration {
            return Err(ExitReason::Configuration(task.explain(&error)));
        }
        if error.class == ErrorClass::Conflict && conflicts < CONFLICTS_MAX {
            // Ever longer, and differently on every lane, or the same two would meet again.
            conflicts += 1;
            tokio::time::sleep(CONFLICT_WAIT * conflicts + CONFLICT_WAIT * task.lane.lane / 4).await;
            continue;
        }
        let Some(wait) = retry.next_wait().filter(|_| !last_try) else {
            return Err(ExitReason::Database(task.explain(&error)));
        };
        warn!(task.log, "database failed, trying again"; "error" => %error, "wait_ms" => wait.as_millis() as u64,
            "after" => %batch.span.after, "events" => batch.events.len());
        // A wait that the settings ask for is no silence.
        task.progress.idle();
        last_try = task.wait_or_drain(wait).await;
    }
}

/// How one try ended well.
enum Try {
    Applied(Applied),
    /// An earlier try had been committed; the lane's totals stand at these now.
    FoundCommitted(Totals),
}

impl Task {
    async fn try_once(
        &self,
        applier: &mut Option<Applier>,
        batch: &MappedBatch,
        in_doubt: bool,
    ) -> Result<Try, ApplyError> {
        let ready = match applier {
            Some(ready) => ready,
            None => {
                let session = self.target.open_session(&self.plans).await?;
                let limit = self.settings.statement_timeout;
                applier.insert(Applier::new(
                    session,
                    self.target.clone(),
                    self.lane.clone(),
                    self.plans.clone(),
                    limit,
                    self.progress.clone(),
                ))
            }
        };
        if in_doubt && let Some(found) = self.settle(batch).await? {
            return Ok(found);
        }
        match ready.apply(batch).await {
            Ok(applied) => Ok(Try::Applied(applied)),
            // A transaction of ours whose answer was lost may have ended only after it was looked for.
            Err(ApplyError::Moved(after)) if in_doubt => self.settle(batch).await?.ok_or(ApplyError::Moved(after)),
            Err(error) => Err(error),
        }
    }

    /// Reads the checkpoint back after an answer was lost: at the batch's end it is done, at its beginning it is not.
    async fn settle(&self, batch: &MappedBatch) -> Result<Option<Try>, ApplyError> {
        self.progress.working();
        let positions = self.positions().await?;
        match self.own(&positions) {
            Some(position) if position.last_id == batch.span.after => Ok(None),
            Some(position) if position.last_id == batch.span.upto => Ok(Some(Try::FoundCommitted(position.totals))),
            _ => Err(ApplyError::Moved(batch.span.after)),
        }
    }

    /// Waits, but not when the process is to end. Answers whether it is.
    async fn wait_or_drain(&self, wait: Duration) -> bool {
        let mut draining = self.draining.clone();
        // An error means that the group has ended, and this writer with it.
        tokio::time::timeout(wait, draining.wait_for(|draining| *draining)).await.is_ok()
    }

    /// Whether the checkpoint stands there; `None` while the database does not tell.
    async fn stands_at(&self, left_at: StreamId) -> Option<bool> {
        let positions = self.positions().await.ok()?;
        Some(self.own(&positions).is_some_and(|position| position.last_id == left_at))
    }

    /// The position of our lane, if the rows still are those that we began with.
    fn own<'p>(&self, positions: &'p [Position]) -> Option<&'p Position> {
        let position = positions.get(self.lane.lane as usize);
        position.filter(|position| position.generation == self.lane.generation)
    }

    async fn positions(&self) -> Result<Vec<Position>, SqlError> {
        // The pool's connections have no limit of their own.
        let load = checkpoint::load(self.target.db(), &self.lane.pipeline, &self.lane.stream);
        within(self.settings.statement_timeout, load).await
    }

    fn explain(&self, error: &SqlError) -> String {
        format!("writing stream `{}` to {}: {error}", self.lane.stream, names_of(&self.plans))
    }
}

impl Actor for RdbmsWriter {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        fail_point!("rdbms_writer::started");
        context.run_interval(self.look_interval, Self::look);
        context.run_interval(SAID_EVERY, |writer, _| writer.dead_letters.say_in_time());
    }
}

impl Handler<Feedback<Committed>> for RdbmsWriter {
    type Result = ();

    fn handle(&mut self, message: Feedback<Committed>, _: &mut Context<Self>) {
        fail_point!("rdbms_writer::feedback");
        self.reader = Some(message.0);
    }
}

impl Handler<LaneBatch> for RdbmsWriter {
    type Result = ();

    fn handle(&mut self, LaneBatch(batch): LaneBatch, context: &mut Context<Self>) {
        if !self.busy {
            // Else the commit says itself how it goes on.
            self.task.progress.working();
        }
        fail_point!("rdbms_writer::lane_batch");
        match self.pending.push(batch) {
            Ok(()) => self.commit_next(context),
            Err(gap) => self.end(ExitReason::ChainGap(gap), context),
        }
    }
}
