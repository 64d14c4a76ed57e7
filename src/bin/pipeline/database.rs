//! The target database for the commands that look at it.

use std::path::Path;

use migration::MigratorTrait;
use sea_orm::DbErr;
use write_behind::error::PipelineError;
use write_behind::settings::{RdbmsKind, RdbmsSettings, Settings};
use write_behind::sink::{ErrorClass, SqlError, Target};
use write_behind::startup::{check_folder, look_at_target};

/// Whether the settings name a SQLite file that is not there. Opening it would create it.
pub fn is_missing_file(settings: &RdbmsSettings) -> bool {
    // Options after `?` may say that it is in memory, or that it must be there.
    settings.kind == RdbmsKind::Sqlite && settings.url_options.is_none() && !Path::new(&settings.database).exists()
}

/// Connects to a database that is there already.
pub async fn connect_existing(settings: &Settings) -> Result<Target, PipelineError> {
    if is_missing_file(&settings.rdbms) {
        return Err(PipelineError::Configuration(format!(
            "{} is not there: check rdbms.database, or create it with `pipeline migrate up`",
            settings.rdbms.address()
        )));
    }
    look_at_target(settings).await
}

/// Connects without creating a SQLite file: where that is missing, to an empty database like the one that would be made.
pub async fn connect_without_creating(settings: &Settings) -> Result<Target, PipelineError> {
    if !is_missing_file(&settings.rdbms) {
        return look_at_target(settings).await;
    }
    check_folder(&settings.rdbms)?;
    let mut empty = settings.clone();
    empty.rdbms.url_options = Some("mode=memory".to_owned());
    look_at_target(&empty).await
}

/// The migrations of `M`, in the order in which they are applied, with whether they are. Creates nothing.
pub async fn migrations<M: MigratorTrait>(target: &Target, settings: &Settings) -> Result<Migrations, PipelineError> {
    let pending = M::get_pending_migrations_read_only(target.db()).await;
    let pending = pending.map_err(|error| failed(settings, "the state of the migrations cannot be read", error))?;
    let all = M::migrations();
    let is_pending = |name: &str| pending.iter().any(|migration| migration.name() == name);
    Ok(Migrations(all.iter().map(|one| (one.name().to_owned(), !is_pending(one.name()))).collect()))
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

/// Names of migrations, with whether they are applied.
pub struct Migrations(pub Vec<(String, bool)>);

impl Migrations {
    /// The applied ones.
    pub fn applied(&self) -> Vec<&str> {
        self.where_applied_is(true)
    }

    /// The pending ones.
    pub fn pending(&self) -> Vec<&str> {
        self.where_applied_is(false)
    }

    fn where_applied_is(&self, wanted: bool) -> Vec<&str> {
        self.0.iter().filter(|(_, applied)| *applied == wanted).map(|(name, _)| name.as_str()).collect()
    }
}
