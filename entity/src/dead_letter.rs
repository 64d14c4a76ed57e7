//! `write_behind_dead_letter`: events that could not be written, with the reason, stored in the same
//! transaction as the checkpoint that passed them.

use sea_orm::entity::prelude::*;

/// One event that could not be written.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_behind_dead_letter")]
pub struct Model {
    /// Number of the dead letter.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// `app.name`
    pub pipeline: String,
    /// Key of the Redis stream.
    pub stream: String,
    /// Id of the entry, as Redis writes it.
    pub entry_id: String,
    /// The id's milliseconds, to sort and to search by.
    pub entry_ms: i64,
    /// The id's sequence number, to sort by.
    pub entry_seq: i64,
    /// The lane it came through.
    pub lane: i32,
    /// `streams.<entity>`
    pub entity: String,
    /// Key of the document, if the entry has one.
    pub doc_key: Option<String>,
    /// The operation as received.
    pub op: Option<String>,
    /// The entry as received: a JSON object of its fields.
    pub entry: String,
    /// The document as received.
    pub document: Option<String>,
    /// Class of the error, such as `wrong_type`.
    pub error_class: String,
    /// The column that could not be filled.
    pub error_column: Option<String>,
    /// The error in words.
    pub message: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it was stored, in UTC.
    pub created_at: DateTime,
}

/// Dead letters relate to nothing.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
