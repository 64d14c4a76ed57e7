use sea_orm_migration::prelude::*;

const TABLE: &str = "write_behind_checkpoint";
const COLUMN: &str = "generation";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Where two processes migrate at once, one may come to it when it is there already.
        if manager.has_column(TABLE, COLUMN).await? {
            return Ok(());
        }
        let column = ColumnDef::new(COLUMN).big_integer().not_null().default(0).to_owned();
        manager.alter_table(Table::alter().table(TABLE).add_column(column).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if !manager.has_column(TABLE, COLUMN).await? {
            return Ok(());
        }
        manager.alter_table(Table::alter().table(TABLE).drop_column(COLUMN).to_owned()).await
    }
}
