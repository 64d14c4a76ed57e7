use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::new_table;

const TABLE: &str = "write_behind_dead_letter";
const ENTRY_INDEX: &str = "write_behind_dead_letter_entry";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // MySQL's TEXT ends at 64 KiB; a document may be larger.
        let long_text = match manager.get_database_backend() {
            DbBackend::MySql => ColumnType::custom("longtext"),
            _ => ColumnType::Text,
        };
        let long_text = |name: &'static str| ColumnDef::new_with_type(name, long_text.clone());
        let table = new_table(manager, TABLE)
            .col(ColumnDef::new("id").big_integer().not_null().auto_increment().primary_key())
            .col(ColumnDef::new("pipeline").string_len(64).not_null())
            .col(ColumnDef::new("stream").string_len(255).not_null())
            .col(ColumnDef::new("entry_id").string_len(41).not_null())
            .col(ColumnDef::new("entry_ms").big_integer().not_null())
            .col(ColumnDef::new("entry_seq").big_integer().not_null())
            .col(ColumnDef::new("lane").integer().not_null())
            .col(ColumnDef::new("entity").string_len(128).not_null())
            .col(long_text("doc_key"))
            .col(long_text("op"))
            .col(long_text("entry").not_null())
            .col(long_text("document"))
            .col(ColumnDef::new("error_class").string_len(32).not_null())
            .col(ColumnDef::new("error_column").string_len(128))
            .col(long_text("message").not_null())
            .col(ColumnDef::new("attempts").integer().not_null())
            .col(ColumnDef::new("created_at").date_time().not_null())
            // The second guard of "once": one event can be at most one dead letter.
            .index(Index::create().name(ENTRY_INDEX).unique().col("pipeline").col("stream").col("entry_id"))
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TABLE).if_exists().to_owned()).await
    }
}
