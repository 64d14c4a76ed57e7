//! The target database for the commands that look at it.

use std::path::Path;

use migration::{Migration, MigrationStatus, MigratorTrait};
use sea_orm::DbErr;
use write_behind::error::PipelineError;
use write_behind::settings::{RdbmsKind, RdbmsSettings, Settings};
use write_behind::sink::{ErrorClass, SqlError, Target};
use write_behind::startup::connect_target;

/// The SQLite file of the settings, if it is not there. Opening it would create it.
pub fn missing_file(settings: &RdbmsSettings) -> Option<&Path> {
    let file = Path::new(&settings.database);
    let in_memory = settings.database == ":memory:" || settings.url_options.is_some();
    (settings.kind == RdbmsKind::Sqlite && !in_memory && !file.exists()).then_some(file)
}

/// Connects to a database that is there already.
pub async fn connect_existing(settings: &Settings) -> Result<Target, PipelineError> {
    match missing_file(&settings.rdbms) {
        Some(_) => Err(PipelineError::Configuration(format!(
            "{} is not there: check rdbms.database, or create it with `pipeline migrate up`",
            settings.rdbms.address()
        ))),
        None => connect_target(settings).await,
    }
}

/// The migrations of `M` with whether they are applied. Creates nothing.
pub async fn migrations<M: MigratorTrait>(target: &Target, settings: &Settings) -> Result<Migrations, PipelineError> {
    let found = M::get_migration_with_status_read_only(target.db()).await;
    found.map(Migrations).map_err(|error| failed(settings, "the state of the migrations cannot be read", error))
}

/// What went wrong while `doing` something with the database.
pub fn failed(settings: &Settings, doing: &str, error: DbErr) -> PipelineError {
    let error = SqlError::from(error);
    let address = settings.rdbms.address();
    match error.class {
        ErrorClass::Transient => PipelineError::Unavailable(format!("{address}: {doing}: {error}. Try again")),
        _ => PipelineError::Configuration(format!("{address}: {doing}: {error}. Check the rights of rdbms.user")),
    }
}

/// Migrations and their state.
pub struct Migrations(Vec<Migration>);

impl Migrations {
    /// Names of the applied ones.
    pub fn applied(&self) -> Vec<&str> {
        self.named(MigrationStatus::Applied)
    }

    /// Names of the pending ones.
    pub fn pending(&self) -> Vec<&str> {
        self.named(MigrationStatus::Pending)
    }

    /// Names and states, in the order in which they are applied.
    pub fn iter(&self) -> impl Iterator<Item = (&str, bool)> {
        self.0.iter().map(|migration| (migration.name(), migration.status() == MigrationStatus::Applied))
    }

    fn named(&self, status: MigrationStatus) -> Vec<&str> {
        self.0.iter().filter(|migration| migration.status() == status).map(Migration::name).collect()
    }
}
