use sea_orm_migration::prelude::*;

const TABLE: &str = "user_actions";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(TABLE)
            .if_not_exists()
            .engine("InnoDB")
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
