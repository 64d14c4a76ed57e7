//! SeaORM migrations: the bookkeeping tables, and the example's target table.
//!
//! Both keep their state in tables of their own names, so that they never meet the `seaql_migrations`
//! of an application that shares the database.

pub use sea_orm_migration::prelude::*;

mod m20261123_000001_create_write_behind_checkpoint;
mod m20261123_000002_create_write_behind_dead_letter;
mod m20261123_000003_create_user_actions;

/// The bookkeeping tables, which every target database needs.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_create_write_behind_checkpoint::Migration),
            Box::new(m20261123_000002_create_write_behind_dead_letter::Migration),
        ]
    }

    fn migration_table_name() -> DynIden {
        "write_behind_migrations".into_iden()
    }
}

/// The table of the shipped example `user_action`. Only the demo and `migrate up --example` create it.
pub struct ExampleMigrator;

impl MigratorTrait for ExampleMigrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m20261123_000003_create_user_actions::Migration)]
    }

    fn migration_table_name() -> DynIden {
        "write_behind_example_migrations".into_iden()
    }
}

/// A table of ours. On MySQL names are compared byte by byte, as Redis does, and the engine must have transactions.
fn bookkeeping_table(name: &'static str) -> TableCreateStatement {
    Table::create()
        .table(name)
        .if_not_exists()
        .engine("InnoDB")
        .character_set("utf8mb4")
        .collate("utf8mb4_bin")
        .to_owned()
}
