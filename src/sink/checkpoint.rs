//! The checkpoint: the one truth about progress, a row for each lane in the target database.

use entity::checkpoint::{ActiveModel, Column, Entity, Model};
use sea_orm::sea_query::LockType;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, SqlErr, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};

use super::sql::placeholder;
use super::{Sql, SqlError, Target};
use crate::event::StreamId;

/// How far one lane has come, with its totals since the beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Every entry up to here has been applied.
    pub last_id: StreamId,
    /// Events since the beginning.
    pub totals: Totals,
    /// Which rows they are: drawn anew whenever the stream's rows are made or replaced. Within one generation a lane
    /// only goes forward, so that a position tells all that was applied.
    pub generation: i64,
}

/// Events since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Applied.
    pub applied: u64,
    /// Became dead letters.
    pub dead_lettered: u64,
    /// Passed over by a setting.
    pub skipped: u64,
}

impl Totals {
    /// Both together.
    pub fn plus(self, other: Totals) -> Totals {
        Totals {
            applied: self.applied + other.applied,
            dead_lettered: self.dead_lettered + other.dead_lettered,
            skipped: self.skipped + other.skipped,
        }
    }

    /// All of them together.
    pub fn sum(lanes: &[Totals]) -> Totals {
        lanes.iter().fold(Totals::default(), |sum, lane| sum.plus(*lane))
    }

    /// The greater of each.
    pub fn max(self, other: Totals) -> Totals {
        Totals {
            applied: self.applied.max(other.applied),
            dead_lettered: self.dead_lettered.max(other.dead_lettered),
            skipped: self.skipped.max(other.skipped),
        }
    }

    /// Events of every outcome.
    pub fn events(self) -> u64 {
        self.applied + self.dead_lettered + self.skipped
    }

    /// What came since `before`.
    pub fn since(self, before: Totals) -> Totals {
        Totals {
            applied: self.applied.saturating_sub(before.applied),
            dead_lettered: self.dead_lettered.saturating_sub(before.dead_lettered),
            skipped: self.skipped.saturating_sub(before.skipped),
        }
    }
}

/// The positions of all lanes of a stream, lane 0 first; empty if it was never read.
pub async fn load(db: &DatabaseConnection, pipeline: &str, stream: &str) -> Result<Vec<Position>, SqlError> {
    let rows = of_stream(pipeline, stream).all(db).await?;
    positions(&rows)
}

/// Begins a stream: `lanes` rows at `start`. If another process was quicker, its rows stand.
pub async fn create(
    target: &Target,
    (pipeline, stream, owner): (&str, &str, &str),
    lanes: u32,
    start: StreamId,
) -> Result<Vec<Position>, SqlError> {
    let rows = vec![Position { last_id: start, ..Position::default() }; lanes as usize];
    let transaction = begin(target).await?;
    let inserted = insert(&transaction, (pipeline, stream, owner), &rows).await;
    match inserted {
        Ok(()) => transaction.commit().await?,
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
            transaction.rollback().await?;
        }
        Err(error) => return Err(error.into()),
    }
    load(target.db(), pipeline, stream).await
}

/// Divides a stream whose lanes all stand at one position into another number of lanes. Answers whether they did:
/// `false` if another process moved a lane or divided the stream in the meantime.
pub async fn divide(
    target: &Target,
    who: (&str, &str, &str),
    before: &[Position],
    lanes: u32,
) -> Result<bool, SqlError> {
    let one_position = before.windows(2).all(|pair| pair[0].last_id == pair[1].last_id);
    let Some(first) = before.first().filter(|_| one_position) else { return Ok(false) };
    // The totals of the stream go on in its first lane.
    let mut after = vec![Position { last_id: first.last_id, ..Position::default() }; lanes as usize];
    after[0].totals = before.iter().fold(Totals::default(), |sum, position| sum.plus(position.totals));
    replace(target, who, before, &after).await
}

/// Moves lanes that stand beyond `newest` back to it, because the stream ends there: what they had applied beyond it
/// is gone from Redis. Answers `false` if another process moved a lane in the meantime.
pub async fn follow_back(
    target: &Target,
    who: (&str, &str, &str),
    before: &[Position],
    newest: StreamId,
) -> Result<bool, SqlError> {
    let back = |position: &Position| Position { last_id: position.last_id.min(newest), ..position.clone() };
    let after: Vec<Position> = before.iter().map(back).collect();
    replace(target, who, before, &after).await
}

/// Replaces the rows of a stream, if they still are what they were.
async fn replace(
    target: &Target,
    who: (&str, &str, &str),
    before: &[Position],
    after: &[Position],
) -> Result<bool, SqlError> {
    let (pipeline, stream, _) = who;
    let transaction = begin(target).await?;
    let mut rows = of_stream(pipeline, stream);
    if transaction.support_locks() {
        rows = rows.lock(LockType::Update);
    }
    if positions(&rows.all(&transaction).await?)? != before {
        transaction.rollback().await?;
        return Ok(false);
    }
    Entity::delete_many().filter(of(pipeline, stream)).exec(&transaction).await?;
    insert(&transaction, who, after).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Begins a transaction that writes. SQLite's takes the lock at once: one that has read before could only fail where
/// others write meanwhile.
async fn begin(target: &Target) -> Result<DatabaseTransaction, DbErr> {
    let sqlite_transaction_mode = Some(SqliteTransactionMode::Immediate);
    target.locking().begin_with_options(TransactionOptions { sqlite_transaction_mode, ..Default::default() }).await
}

/// Whether a transaction can lock the rows it reads; SQLite locks the whole file.
trait SupportsLocks {
    fn support_locks(&self) -> bool;
}

impl SupportsLocks for DatabaseTransaction {
    fn support_locks(&self) -> bool {
        sea_orm::ConnectionTrait::get_database_backend(self) != DbBackend::Sqlite
    }
}

/// The statement that moves a lane's position, if and only if it stands where the batch begins, in rows of the same
/// generation: a lane that was moved back, or divided anew, may come to the same position again.
/// Arguments: new id, events applied, dead-lettered, skipped, owner, pipeline, stream, lane, old id, generation.
pub fn advance_sql(backend: DbBackend) -> Sql {
    let p = |number| placeholder(backend, number);
    format!(
        "UPDATE write_behind_checkpoint SET last_id = {}, applied = applied + {}, dead_lettered = dead_lettered + {}, \
         skipped = skipped + {}, owner = {}, updated_at = CURRENT_TIMESTAMP \
         WHERE pipeline = {} AND stream = {} AND lane = {} AND last_id = {} \
         AND generation = {}",
        p(1),
        p(2),
        p(3),
        p(4),
        p(5),
        p(6),
        p(7),
        p(8),
        p(9),
        p(10)
    )
    .into()
}

/// The statement that makes the row of the only lane of a stream that nobody else knows.
/// Arguments: pipeline, stream, lane, generation, id, owner.
pub fn begin_sql(backend: DbBackend) -> Sql {
    let p = |number| placeholder(backend, number);
    format!(
        "INSERT INTO write_behind_checkpoint (pipeline, stream, lane, lanes, generation, last_id, applied, \
         dead_lettered, skipped, owner, updated_at) VALUES ({}, {}, {}, 1, {}, {}, 0, 0, 0, {}, CURRENT_TIMESTAMP)",
        p(1),
        p(2),
        p(3),
        p(4),
        p(5),
        p(6)
    )
    .into()
}

fn of(pipeline: &str, stream: &str) -> sea_orm::Condition {
    sea_orm::Condition::all().add(Column::Pipeline.eq(pipeline)).add(Column::Stream.eq(stream))
}

fn of_stream(pipeline: &str, stream: &str) -> sea_orm::Select<Entity> {
    Entity::find().filter(of(pipeline, stream)).order_by_asc(Column::Lane)
}

fn positions(rows: &[Model]) -> Result<Vec<Position>, SqlError> {
    let damaged = |row: &Model, what: String| {
        let message = format!(
            "write_behind_checkpoint: the row of pipeline `{}`, stream `{}`, lane {} {what}. Restore the table, or \
             delete the stream's rows to begin again at start_id",
            row.pipeline, row.stream, row.lane
        );
        SqlError::new(super::ErrorClass::Configuration, message)
    };
    rows.iter()
        .enumerate()
        .map(|(lane, row)| {
            if row.lane != lane as i32 || row.lanes as usize != rows.len() {
                return Err(damaged(row, format!("says {} lanes, and there are {} rows", row.lanes, rows.len())));
            }
            let last_id = row.last_id.parse().map_err(|error| damaged(row, format!("has a bad last_id: {error}")))?;
            let total = |value: i64| u64::try_from(value).unwrap_or(0);
            let totals = Totals {
                applied: total(row.applied),
                dead_lettered: total(row.dead_lettered),
                skipped: total(row.skipped),
            };
            Ok(Position { last_id, totals, generation: row.generation })
        })
        .collect()
}

/// A number that no rows had before: at random, so that rows which were deleted by hand count too.
fn new_generation() -> i64 {
    const HALF: u32 = 64;
    ((uuid::Uuid::new_v4().as_u128() >> HALF) as u64 >> 1) as i64
}

async fn insert(
    transaction: &DatabaseTransaction,
    (pipeline, stream, owner): (&str, &str, &str),
    positions: &[Position],
) -> Result<(), DbErr> {
    let generation = new_generation();
    let rows = positions.iter().enumerate().map(|(lane, position)| ActiveModel {
        pipeline: Set(pipeline.to_owned()),
        stream: Set(stream.to_owned()),
        lane: Set(lane as i32),
        lanes: Set(positions.len() as i32),
        generation: Set(generation),
        last_id: Set(position.last_id.to_string()),
        applied: Set(position.totals.applied as i64),
        dead_lettered: Set(position.totals.dead_lettered as i64),
        skipped: Set(position.totals.skipped as i64),
        owner: Set(owner.to_owned()),
        updated_at: Set(chrono::Utc::now().naive_utc()),
    });
    Entity::insert_many(rows).exec_without_returning(transaction).await?;
    Ok(())
}
