//! `write_behind_checkpoint`: how far each lane of each stream has come. It lives in the target database,
//! because only there can it move in the same transaction as the rows.

use sea_orm::entity::prelude::*;

/// One lane of one stream of one pipeline.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_behind_checkpoint")]
pub struct Model {
    /// `app.name`: all processes that share the work share it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub pipeline: String,
    /// Key of the Redis stream.
    #[sea_orm(primary_key, auto_increment = false)]
    pub stream: String,
    /// Number of the lane, from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub lane: i32,
    /// Number of lanes of the stream: as many rows as there must be.
    pub lanes: i32,
    /// Drawn anew whenever the stream's rows are made or replaced. A writer that began with other rows must not move
    /// these, even if it finds the position that it expects.
    pub generation: i64,
    /// Every entry of this lane up to and including this stream id has been applied.
    pub last_id: String,
    /// Events applied since the beginning.
    pub applied: i64,
    /// Events that became dead letters since the beginning.
    pub dead_lettered: i64,
    /// Events passed over by a setting (`write_behind`, `on_missing`) since the beginning.
    pub skipped: i64,
    /// `app.instance_id` of the process that moved the row last.
    pub owner: String,
    /// When it was moved last, in UTC.
    pub updated_at: DateTime,
}

/// Checkpoints relate to nothing.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
