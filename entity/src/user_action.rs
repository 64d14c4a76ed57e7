//! `user_actions`: the example target of the demo and of the shipped settings.

use sea_orm::entity::prelude::*;

/// One action of one user.
///
/// The table has no primary key, and the pipeline needs none; SeaORM wants one to be named, so all columns are.
/// Do not look rows up by it: equal rows are allowed.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_actions")]
pub struct Model {
    /// Who did it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    /// What was done.
    #[sea_orm(primary_key, auto_increment = false)]
    pub action: String,
    /// When, in UTC.
    #[sea_orm(primary_key, auto_increment = false)]
    pub ts: DateTime,
}

/// User actions relate to nothing.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
