//! SeaORM migrations: the bookkeeping tables, and the example's target table.
//!
//! Both keep their state in tables of their own names, so that they never meet the `seaql_migrations`
//! of an application that shares the database.

pub use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

mod m20261123_000001_create_write_behind_checkpoint;
mod m20261123_000002_create_write_behind_dead_letter;
mod m20261123_000003_create_user_actions;
mod m20261123_000004_add_checkpoint_generation;

/// The bookkeeping tables, which every target database needs.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_create_write_behind_checkpoint::Migration),
            Box::new(m20261123_000002_create_write_behind_dead_letter::Migration),
            Box::new(m20261123_000004_add_checkpoint_generation::Migration),
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

/// A new table. On MySQL it gets an engine with transactions, and compares names byte by byte, as Redis does.
fn new_table(manager: &SchemaManager, name: &'static str) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name).if_not_exists();
    // The options are MySQL's alone, but the builders of the others would print them too.
    if manager.get_database_backend() == DbBackend::MySql {
        table.engine("InnoDB").character_set("utf8mb4").collate("utf8mb4_bin");
    }
    table
}
