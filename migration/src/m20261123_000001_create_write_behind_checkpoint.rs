use sea_orm_migration::prelude::*;

use crate::new_table;

const TABLE: &str = "write_behind_checkpoint";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = new_table(manager, TABLE)
            .col(ColumnDef::new("pipeline").string_len(64).not_null())
            .col(ColumnDef::new("stream").string_len(255).not_null())
            .col(ColumnDef::new("lane").integer().not_null())
            .col(ColumnDef::new("lanes").integer().not_null())
            .col(ColumnDef::new("last_id").string_len(41).not_null())
            .col(ColumnDef::new("applied").big_integer().not_null().default(0))
            .col(ColumnDef::new("dead_lettered").big_integer().not_null().default(0))
            .col(ColumnDef::new("skipped").big_integer().not_null().default(0))
            .col(ColumnDef::new("owner").string_len(128).not_null())
            .col(ColumnDef::new("updated_at").date_time().not_null())
            .primary_key(Index::create().col("pipeline").col("stream").col("lane"))
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TABLE).if_exists().to_owned()).await
    }
}
