use sea_orm_migration::prelude::*;

use crate::new_table;

const TABLE: &str = "user_actions";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = new_table(manager, TABLE)
            .col(ColumnDef::new("user_id").string_len(50))
            .col(ColumnDef::new("action").string_len(50))
            .col(ColumnDef::new("ts").date_time())
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TABLE).if_exists().to_owned()).await
    }
}
