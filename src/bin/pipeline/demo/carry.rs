//! Inserts user actions while the pipeline writes them behind, until all of them are committed.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::HumanCount;
use tokio::time::sleep;
use write_behind::error::PipelineError;
use write_behind::event::StreamId;
use write_behind::pipeline::Pipeline;
use write_behind::settings::{Settings, StreamSettings};
use write_behind::sink::{Target, checkpoint};
use write_behind::stream::dummy;
use write_behind::stream::producer::{Producer, WRITES_PER_ROUND_TRIP};
use write_behind::stream::write::Write;

use super::private_redis::PrivateRedis;
use super::progress::Progress;
use super::stop::Stop;
use crate::output::remark;

/// Without any progress for this long something is wrong that does not pass.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at the progress.
const POLL: Duration = Duration::from_millis(10);

/// What is to be carried, and all that is needed for it.
pub struct Carry<'a> {
    /// The settings of producer and pipeline.
    pub settings: &'a Settings,
    /// The demo's stream.
    pub stream: &'a StreamSettings,
    /// The running pipeline.
    pub pipeline: &'a Pipeline,
    /// The database, for the checkpoint.
    pub target: &'a Target,
    /// Set by Ctrl-C.
    pub stop: &'a Stop,
    /// User actions to insert.
    pub events: u64,
    /// The first of them in the series of made-up ones.
    pub first: u64,
    /// Entries of an earlier run that are not written yet.
    pub backlog: u64,
    /// Most insertions a second.
    pub rate: Option<u64>,
}

/// How it went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Carried {
    /// User actions inserted.
    pub inserted: u64,
    /// How long that took.
    pub inserting: Duration,
    /// How long it took until all of them were committed.
    pub writing: Duration,
}

/// Where the producer stands; shared by the two sides, which run in one task.
#[derive(Default)]
struct Standing {
    inserted: Cell<u64>,
    last: Cell<StreamId>,
    /// How long inserting took; set at its end.
    done: Cell<Option<Duration>>,
}

impl Carry<'_> {
    /// Does it. Ends early, without an error, when it is asked to stop.
    ///
    /// # Errors
    /// A write failed, the pipeline or Redis ended, or nothing moved for [`PATIENCE`].
    pub async fn run(&self, producer: &mut Producer, redis: &mut PrivateRedis) -> Result<Carried, PipelineError> {
        let mut progress = Progress::begin(self.events, self.events + self.backlog);
        let (standing, began) = (Standing::default(), Instant::now());
        let inserting = self.insert(producer, &standing, began);
        let watching = self.watch(redis, &standing, &mut progress);
        let outcome = tokio::try_join!(inserting, watching);
        progress.end();
        if let Err(error) = outcome {
            // Where Redis ended, that is what the rest comes from. It takes a moment to be seen.
            sleep(10 * POLL).await;
            redis.check()?;
            return Err(error);
        }
        if self.stop.is_asked() {
            remark("Interrupted: finishing what is in flight; Ctrl-C once more ends it at once.");
        }
        let inserting = standing.done.get().unwrap_or_default();
        Ok(Carried { inserted: standing.inserted.get(), inserting, writing: began.elapsed() })
    }

    async fn insert(&self, producer: &mut Producer, standing: &Standing, began: Instant) -> Result<(), PipelineError> {
        while standing.inserted.get() < self.events && !self.stop.is_asked() {
            let inserted = standing.inserted.get();
            let batch = self.batch(inserted, began.elapsed());
            if batch == 0 {
                sleep(POLL).await;
                continue;
            }
            let writes =
                (inserted..inserted + batch).map(|index| Write::insert(&dummy::user_action(0, self.first + index)));
            let failed = |error| PipelineError::Failed(format!("the demo could not insert a user action: {error}"));
            let writes = writes.collect::<Result<Vec<_>, _>>().map_err(failed)?;
            for receipt in producer.write_all(&self.stream.entity, writes, self.settings.producer.durability).await {
                let receipt = receipt.map_err(failed)?;
                standing.inserted.set(standing.inserted.get() + 1);
                standing.last.set(receipt.id);
            }
        }
        standing.done.set(Some(began.elapsed()));
        Ok(())
    }

    /// How many to insert now.
    fn batch(&self, inserted: u64, elapsed: Duration) -> u64 {
        let left = self.events - inserted;
        let due = self.rate.map_or(left, |rate| {
            let due = u64::try_from(u128::from(rate) * elapsed.as_millis() / 1_000).unwrap_or(u64::MAX);
            // The first comes at once.
            (due + 1).saturating_sub(inserted)
        });
        due.min(left).min(WRITES_PER_ROUND_TRIP as u64)
    }

    /// Shows the progress, until all that was inserted is committed.
    async fn watch(
        &self,
        redis: &mut PrivateRedis,
        standing: &Standing,
        progress: &mut Progress,
    ) -> Result<(), PipelineError> {
        /// The count of written events is of this process only; the checkpoint is the truth, but asking costs more.
        const ASK_AT_LEAST: Duration = Duration::from_millis(250);
        let (mut seen, mut moved, mut asked) = ((0, 0), Instant::now(), Instant::now());
        loop {
            let now = (standing.inserted.get(), self.pipeline.stats().done(&self.stream.entity));
            progress.show(now.0, now.1);
            if now != seen {
                (seen, moved) = (now, Instant::now());
            }
            redis.check()?;
            if self.pipeline.has_ended() {
                // Why is said by whoever waits for it.
                return Ok(());
            }
            if standing.done.get().is_some() {
                let all = now.1 >= now.0 + self.backlog;
                if self.stop.is_asked() {
                    return Ok(());
                }
                if all || asked.elapsed() >= ASK_AT_LEAST {
                    asked = Instant::now();
                    if self.committed().await? >= standing.last.get() {
                        progress.show(now.0, now.0 + self.backlog);
                        return Ok(());
                    }
                }
            }
            if moved.elapsed() >= PATIENCE {
                return Err(self.stuck(now));
            }
            sleep(POLL).await;
        }
    }

    /// The entry up to which all lanes have committed.
    async fn committed(&self) -> Result<StreamId, PipelineError> {
        let (db, app) = (self.target.db(), &self.settings.app);
        let positions = checkpoint::load(db, &app.name, &self.stream.stream_name).await;
        let positions = positions.map_err(|error| {
            PipelineError::Failed(format!("the checkpoint could not be read: {error}; run the demo again"))
        })?;
        Ok(positions.iter().map(|position| position.last_id).min().unwrap_or_default())
    }

    fn stuck(&self, (inserted, written): (u64, u64)) -> PipelineError {
        let of = HumanCount(self.events + self.backlog);
        PipelineError::Failed(format!(
            "nothing moved for {} s: {} user actions were inserted, {} of {of} written. See that no other \
             program holds the SQLite file; PIPELINE__LOG__LEVEL=debug shows every step",
            PATIENCE.as_secs(),
            HumanCount(inserted),
            HumanCount(written)
        ))
    }
}
