//! Applying a batch: rows, dead letters and checkpoint in one transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fail::fail_point;

use super::bisect::{Bisect, Refused};
use super::checkpoint::{Totals, advance_sql};
use super::dead_letter::{self, Kept};
use super::{ErrorClass, Session, SqlError, Target, catalogue};
use crate::batch::{MappedBatch, MappedEvent};
use crate::event::{Rejection, StreamId};
use crate::lane::Span;
use crate::mapping::{ChangeKind, MaskedCopies, fold};
use crate::row::Value;
use crate::settings::FieldNames;
use crate::supervision::progress::Progress;
use crate::table::{TableName, TablePlan};

/// Which row of the checkpoint a writer moves, and what it writes beside it.
#[derive(Clone, Debug)]
pub struct LaneIdentity {
    /// `app.name`
    pub pipeline: String,
    /// `app.instance_id`
    pub owner: String,
    /// Key of the Redis stream.
    pub stream: String,
    /// `streams.<entity>`
    pub entity: String,
    /// Number of the lane.
    pub lane: u32,
    /// The generation of the checkpoint's rows that the writer began with.
    pub generation: i64,
    /// Names of the entry's fields.
    pub fields: FieldNames,
    /// How the copies in dead letters are masked, where columns are.
    pub masked_copies: Option<Arc<MaskedCopies>>,
}

/// What a committed batch came to.
#[derive(Debug, Default, PartialEq)]
pub struct Applied {
    /// Events by outcome.
    pub totals: Totals,
    /// The events that became dead letters, with the reason.
    pub dead: Vec<(StreamId, Rejection)>,
}

/// Why a batch was not applied.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The checkpoint does not stand where the batch begins: another process moved it, or an answer of ours was lost.
    #[error("the checkpoint does not stand at {0}, where the batch begins")]
    Moved(StreamId),
    /// The table is not the one that the mapping was compiled for: what was refused may be good by now.
    #[error("table {0} was altered")]
    TableAltered(TableName),
    /// The database failed; nothing was committed unless its answer to `COMMIT` was lost.
    #[error(transparent)]
    Sql(#[from] SqlError),
}

/// Applies batches of one lane over one session.
pub struct Applier {
    session: Box<dyn Session>,
    target: Target,
    lane: LaneIdentity,
    plans: Arc<[TablePlan]>,
    /// Longest time of one statement.
    limit: Duration,
    /// A batch may need many statements; each is a sign of life.
    progress: Progress,
    opened: Instant,
}

/// A link of the chain that is to be applied: a batch, or a part of one.
#[derive(Clone, Copy)]
struct Link<'a> {
    span: Span,
    events: &'a [MappedEvent],
    skipped: u64,
}

impl Applier {
    /// Applies over `session`, a connection to `target`, which writes the tables of `plans`. A statement that takes
    /// longer than `limit` is an error.
    pub fn new(
        session: Box<dyn Session>,
        target: Target,
        lane: LaneIdentity,
        plans: Arc<[TablePlan]>,
        limit: Duration,
        progress: Progress,
    ) -> Self {
        let opened = Instant::now();
        Applier { session, target, lane, plans, limit, progress, opened }
    }

    /// Its session, for who looks at what was applied in a transaction that is still open ([`Trial`](super::Trial)).
    pub fn into_session(self) -> Box<dyn Session> {
        self.session
    }

    /// How old its session is.
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Applies a batch.
    ///
    /// The whole batch is tried as one transaction. If the database refuses the data, the batch is done again with
    /// savepoints and halved until the bad events stand alone; they become dead letters in the same transaction. If
    /// it refuses only at `COMMIT`, the batch itself is halved, each half a link of the chain of its own.
    ///
    /// # Errors
    /// After any error the applier must be dropped with its session.
    pub async fn apply(&mut self, batch: &MappedBatch) -> Result<Applied, ApplyError> {
        let mut applied = Applied::default();
        let whole = Link { span: batch.span, events: &batch.events, skipped: batch.skipped as u64 };
        let mut todo = vec![whole];
        while let Some(link) = todo.pop() {
            let attempt = match self.at_once(link).await {
                Err(ApplyError::Sql(error)) if error.is_data() => {
                    self.control("ROLLBACK").await?;
                    self.with_savepoints(link, error.row).await
                }
                outcome => outcome,
            };
            match attempt {
                Ok(part) => applied.add(part),
                Err(ApplyError::Sql(SqlError { class: ErrorClass::Data(class), message, .. })) => {
                    // Only COMMIT can still refuse data here; it has rolled back.
                    self.control("ROLLBACK").await?;
                    match link.halves() {
                        Some([first, second]) => todo.extend([second, first]),
                        None => applied.add(self.all_dead(link, &Rejection::new(class, message)).await?),
                    }
                }
                Err(error) => return Err(error),
            }
        }
        let events = (batch.events.len() + batch.skipped) as u64;
        debug_assert_eq!(applied.totals.events(), events, "every event has one outcome");
        Ok(applied)
    }

    async fn at_once(&mut self, link: Link<'_>) -> Result<Applied, ApplyError> {
        let dead = rejected_by_mapping(link.events);
        let totals = totals(link, dead.len());
        self.begin().await?;
        self.advance(link.span, totals).await?;
        self.write(link.events.iter()).await?;
        self.store(&dead, Kept::AsItCame).await?;
        self.see_table_unaltered(&dead).await?;
        fail_point!("applier::written");
        self.control("COMMIT").await?;
        fail_point!("applier::committed");
        Ok(Applied { totals, dead: announced(&dead) })
    }

    /// `named` is the good event that the database named when it refused all of them, if it did.
    async fn with_savepoints(&mut self, link: Link<'_>, named: Option<usize>) -> Result<Applied, ApplyError> {
        self.begin().await?;
        // The row of the checkpoint is taken first, as in every transaction; what to count is known only at the end.
        self.advance(link.span, Totals::default()).await?;
        let good: Vec<&MappedEvent> = link.events.iter().filter(|event| event.outcome.is_ok()).collect();
        let mut refused = Vec::new();
        let mut bisect = Bisect::new(good.len(), named);
        // After a rollback to it a savepoint still stands. Another one would be nested in it, and the database looks
        // through all that are open for each row.
        let mut stands = false;
        while let Some(range) = bisect.next_range() {
            if !stands {
                self.control("SAVEPOINT bisect").await?;
            }
            let outcome = match self.write(good[range.clone()].iter().copied()).await {
                Ok(()) => {
                    self.progress.working();
                    within(self.limit, self.session.check_deferred()).await
                }
                error => error,
            };
            stands = outcome.is_err();
            match outcome {
                Ok(()) => self.control("RELEASE SAVEPOINT bisect").await?,
                Err(SqlError { class: ErrorClass::Data(class), message, row }) => {
                    self.control("ROLLBACK TO SAVEPOINT bisect").await?;
                    if let Refused::Single(place) = bisect.refused(row.map(|row| range.start + row)) {
                        refused.push((good[place], Rejection::new(class, message)));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mut dead = rejected_by_mapping(link.events);
        dead.extend(refused.iter().map(|(event, why)| (*event, why)));
        dead.sort_by_key(|(event, _)| event.entry.id);
        let totals = totals(link, dead.len());
        self.store_somehow(&dead).await?;
        self.see_table_unaltered(&dead).await?;
        fail_point!("applier::bisected");
        self.advance(Span { after: link.span.upto, upto: link.span.upto }, totals).await?;
        self.control("COMMIT").await?;
        Ok(Applied { totals, dead: announced(&dead) })
    }

    /// Passes a link of at most one good event whose data the database refuses at `COMMIT`.
    async fn all_dead(&mut self, link: Link<'_>, why: &Rejection) -> Result<Applied, ApplyError> {
        let reason = |event| (event, rejection(event).unwrap_or(why));
        let dead: Vec<(&MappedEvent, &Rejection)> = link.events.iter().map(reason).collect();
        let totals = totals(link, dead.len());
        self.begin().await?;
        self.advance(link.span, totals).await?;
        self.store_somehow(&dead).await?;
        self.see_table_unaltered(&dead).await?;
        self.control("COMMIT").await?;
        Ok(Applied { totals, dead: announced(&dead) })
    }

    /// Before a transaction with dead letters commits: are the tables still those that the mapping was compiled for? After an
    /// `ALTER TABLE` good events could be refused, by us or by the database, and none of them must be given up for that.
    async fn see_table_unaltered(&self, dead: &[(&MappedEvent, &Rejection)]) -> Result<(), ApplyError> {
        if dead.is_empty() {
            return Ok(());
        }
        self.progress.working();
        for plan in self.plans.iter() {
            let name = &plan.table.name;
            match within(self.limit, catalogue::read(self.target.db(), name)).await? {
                Some(table) if table == *plan.table => {}
                _ => return Err(ApplyError::TableAltered(name.clone())),
            }
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), SqlError> {
        fail_point!("applier::begin");
        let statement = self.session.begin_statement();
        self.control(statement).await
    }

    async fn control(&mut self, statement: &'static str) -> Result<(), SqlError> {
        self.progress.working();
        within(self.limit, self.session.control(statement)).await
    }

    async fn store(&mut self, dead: &[(&MappedEvent, &Rejection)], kept: Kept) -> Result<(), SqlError> {
        self.progress.working();
        within(self.limit, dead_letter::insert(self.session.as_mut(), &self.lane, dead, kept)).await
    }

    /// Stores dead letters even if the database refuses them as they came.
    async fn store_somehow(&mut self, dead: &[(&MappedEvent, &Rejection)]) -> Result<(), SqlError> {
        self.control("SAVEPOINT letters").await?;
        match self.store(dead, Kept::AsItCame).await {
            Ok(()) => self.control("RELEASE SAVEPOINT letters").await,
            Err(SqlError { class: ErrorClass::Data(_), .. }) => {
                self.control("ROLLBACK TO SAVEPOINT letters").await?;
                self.store(dead, Kept::Plain).await.map_err(|error| {
                    // No event can be at fault for what a dead letter in plain ASCII meets.
                    let class = if error.is_data() { ErrorClass::Configuration } else { error.class };
                    SqlError::new(class, format!("write_behind_dead_letter: {error}"))
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Moves the checkpoint, if it stands where `span` begins. This is the only place that moves it.
    async fn advance(&mut self, span: Span, totals: Totals) -> Result<(), ApplyError> {
        let int = |number: u64| Value::Int(number as i64);
        let text = |text: &str| Value::text(text.to_owned());
        debug_assert!(span.after <= span.upto, "the checkpoint would go back: {span}");
        let arguments = vec![
            text(&span.upto.to_string()),
            int(totals.applied),
            int(totals.dead_lettered),
            int(totals.skipped),
            text(&self.lane.owner),
            text(&self.lane.pipeline),
            text(&self.lane.stream),
            int(self.lane.lane.into()),
            text(&span.after.to_string()),
            Value::Int(self.lane.generation),
        ];
        self.progress.working();
        let sql = advance_sql(self.session.backend());
        match within(self.limit, self.session.execute(sql, arguments)).await? {
            1 => Ok(()),
            _ => Err(ApplyError::Moved(span.after)),
        }
    }

    /// Writes what the good ones of `events` change. The row that an error names is the place of the event at fault, among
    /// the good ones.
    async fn write<'a>(&mut self, events: impl Iterator<Item = &'a MappedEvent>) -> Result<(), SqlError> {
        let changes: Vec<_> = events.filter_map(|event| event.outcome.as_ref().ok()).flatten().collect();
        let steps = fold(changes, &self.plans);
        // Appended rows do not collapse: where there is nothing else, each row is an event.
        let row_is_event = matches!(&*self.plans, [plan] if plan.family.is_none());
        let all_appended = row_is_event && steps.len() == 1 && steps[0].kind == ChangeKind::Append;
        for step in &steps {
            self.progress.working();
            let written = within(self.limit, self.session.write(step)).await;
            written.map_err(|error| {
                let row = error.row.filter(|_| all_appended);
                match &*self.plans {
                    [_] => SqlError { row, ..error },
                    plans => {
                        let message = format!("table {}: {}", plans[step.table].table.name, error.message);
                        SqlError { row, message, ..error }
                    }
                }
            })?;
        }
        Ok(())
    }
}

/// The outcome of a statement, or an error if it takes longer than `limit`.
pub async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, SqlError>>) -> Result<T, SqlError> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
        let ms = limit.as_millis();
        Err(SqlError::transient(format!("a statement took longer than {ms} ms (rdbms.statement_timeout_ms)")))
    })
}

impl<'a> Link<'a> {
    /// The two halves, each a link of its own; `None` for a link of one event.
    fn halves(self) -> Option<[Link<'a>; 2]> {
        if self.events.len() < 2 {
            return None;
        }
        let (first, second) = self.events.split_at(self.events.len() / 2);
        let middle = first.last().map_or(self.span.after, |event| event.entry.id);
        let Span { after, upto } = self.span;
        debug_assert!(after < middle && middle < upto, "{middle} does not halve {}", self.span);
        Some([
            Link { span: Span { after, upto: middle }, events: first, skipped: 0 },
            Link { span: Span { after: middle, upto }, events: second, skipped: self.skipped },
        ])
    }
}

impl Applied {
    fn add(&mut self, part: Applied) {
        self.totals = self.totals.plus(part.totals);
        self.dead.extend(part.dead);
    }
}

fn rejection(event: &MappedEvent) -> Option<&Rejection> {
    event.outcome.as_ref().err()
}

fn rejected_by_mapping(events: &[MappedEvent]) -> Vec<(&MappedEvent, &Rejection)> {
    events.iter().filter_map(|event| Some((event, rejection(event)?))).collect()
}

fn totals(link: Link<'_>, dead: usize) -> Totals {
    let dead_lettered = dead as u64;
    Totals { applied: link.events.len() as u64 - dead_lettered, dead_lettered, skipped: link.skipped }
}

fn announced(dead: &[(&MappedEvent, &Rejection)]) -> Vec<(StreamId, Rejection)> {
    dead.iter().map(|(event, why)| (event.entry.id, (*why).clone())).collect()
}
