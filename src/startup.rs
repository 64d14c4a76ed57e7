//! What must be right before the first event is read: Redis, the database, the tables, the mappings.
//! What can come right by itself is waited for; what cannot is said at once, all of it.

use std::path::Path;
use std::time::Duration;

use migration::{Migrator, MigratorTrait};
use slog::{Logger, info, warn};
use tokio::time::Instant;

use crate::error::PipelineError;
use crate::mapping::Mapping;
use crate::schema::faults;
use crate::settings::{RdbmsKind, RdbmsSettings, Settings, StreamSettings, TableSettings, nearest};
use crate::sink::{ErrorClass, SqlError, Target, catalogue, rights};
use crate::stream::capabilities::Capabilities;
use crate::stream::connection::RedisClient;
use crate::stream::reader::stream_info;
use crate::supervision::retry::Waits;
use crate::table::TableName;

/// All that the actors need to begin.
pub struct Ready {
    /// Redis, which answered.
    pub redis: RedisClient,
    /// What the Redis server can do.
    pub capabilities: Capabilities,
    /// The database, whose tables are there.
    pub target: Target,
}

/// Connects and checks, with the patience of `app.startup_timeout_sec`: servers may also go away in the middle of it.
///
/// # Errors
/// [`PipelineError::Unavailable`] if Redis or the database did not come in time, [`PipelineError::Configuration`] if
/// something is wrong that waiting does not mend.
pub async fn prepare(settings: &Settings, log: &Logger) -> Result<Ready, PipelineError> {
    let patience = Patience::new(settings, log);
    let redis_place =
        Awaited { name: format!("redis at {}", settings.redis.address()), settings: "redis.host and redis.port" };
    let database =
        Awaited { name: settings.rdbms.address(), settings: "rdbms.type, rdbms.host, rdbms.port and rdbms.database" };
    let (redis, capabilities) = patience.wait_for(&redis_place, async || connect_redis(settings).await).await?;
    patience.wait_for(&redis_place, async || check_streams(settings, &redis).await).await?;
    let target = patience.wait_for(&database, async || connect_target(settings).await).await?;
    // Nothing is made in a database in which the pipeline could not work.
    let mappings = patience.wait_for(&database, async || check_mappings(settings, &target).await).await?;
    patience.wait_for(&database, async || ready_tables(settings, &target, log).await).await?;
    patience.wait_for(&database, async || check_rights(settings, &target, &mappings).await).await?;
    Ok(Ready { redis, capabilities, target })
}

/// Connects to Redis, once.
///
/// # Errors
/// Why not, in words that name the settings.
pub async fn connect_redis(settings: &Settings) -> Result<(RedisClient, Capabilities), PipelineError> {
    let redis = RedisClient::new(&settings.redis);
    let mut connection = redis.multiplexed().await?;
    let capabilities = Capabilities::detect(&mut connection).await?;
    Ok((redis, capabilities))
}

/// Connects to the database, once.
///
/// # Errors
/// Why not, in words that name the settings.
pub async fn connect_target(settings: &Settings) -> Result<Target, PipelineError> {
    check_folder(&settings.rdbms)?;
    Target::connect(&settings.rdbms).await.map_err(|error| no_target(settings, error))
}

/// The same, to look at it only: nothing of a SQLite file is changed.
///
/// # Errors
/// As [`connect_target`].
pub async fn look_at_target(settings: &Settings) -> Result<Target, PipelineError> {
    check_folder(&settings.rdbms)?;
    Target::look(&settings.rdbms).await.map_err(|error| no_target(settings, error))
}

fn no_target(settings: &Settings, error: SqlError) -> PipelineError {
    let address = settings.rdbms.address();
    let is_file = settings.rdbms.kind == RdbmsKind::Sqlite;
    match error.class {
        ErrorClass::Configuration if is_file => PipelineError::Configuration(format!(
            "{address} cannot be used: {error}. Restore it, or name another in rdbms.database"
        )),
        ErrorClass::Configuration => PipelineError::Configuration(format!(
            "{address} refused the connection: {error}. Check rdbms.user, rdbms.password, rdbms.database"
        )),
        _ if is_file => PipelineError::Unavailable(format!(
            "{address} cannot be opened: {error}. Check the rights to it and the space on its disk, or set rdbms.database"
        )),
        _ => PipelineError::Unavailable(format!(
            "{address} cannot be reached: {error}. Start it, or set rdbms.type and rdbms.host, rdbms.port, rdbms.database"
        )),
    }
}

/// Sees that the folder of a SQLite file is there: SQLite creates files, but not folders, and says neither.
///
/// # Errors
/// [`PipelineError::Configuration`] if it is not.
pub fn check_folder(settings: &RdbmsSettings) -> Result<(), PipelineError> {
    // Options after `?` may say that the database is in memory, or give the name another meaning.
    if settings.kind != RdbmsKind::Sqlite || settings.url_options.is_some() {
        return Ok(());
    }
    let folder = Path::new(&settings.database).parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(PipelineError::Configuration(format!(
            "{}: there is no folder {}: create it, or set rdbms.database",
            settings.address(),
            folder.display()
        ))),
        _ => Ok(()),
    }
}

/// Makes the bookkeeping tables, or, with `rdbms.migrate_on_start: false`, sees that they are there.
async fn ready_tables(settings: &Settings, target: &Target, log: &Logger) -> Result<(), PipelineError> {
    // Read only: a user who may not create tables must come through where they are there.
    let pending = Migrator::get_pending_migrations_read_only(target.db()).await;
    let address = settings.rdbms.address();
    let with_advice = |error: sea_orm::DbErr| {
        let error = SqlError::from(error);
        let text = format!("the bookkeeping tables in {address} could not be made: {error}");
        match error.class {
            ErrorClass::Transient | ErrorClass::Conflict => PipelineError::Unavailable(text),
            ErrorClass::Configuration | ErrorClass::Data(_) => PipelineError::Configuration(format!(
                "{text}. Let a user who may create tables run `pipeline migrate up`, and set rdbms.migrate_on_start: \
                 false"
            )),
        }
    };
    let pending = pending.map_err(with_advice)?.len();
    if pending == 0 {
        return Ok(());
    }
    if !settings.rdbms.migrate_on_start {
        return Err(PipelineError::Configuration(format!(
            "{pending} migrations of the bookkeeping tables in {address} are pending and rdbms.migrate_on_start is \
             false: run `pipeline migrate up`"
        )));
    }
    migrate(target).await.map_err(with_advice)?;
    info!(log, "bookkeeping tables are ready"; "migrations" => pending, "database" => address);
    Ok(())
}

/// Runs the pending migrations. Two processes may do so at once: the one that loses looks again.
///
/// # Errors
/// The database's last word.
pub async fn migrate(target: &Target) -> Result<(), sea_orm::DbErr> {
    const TRIES: u32 = 3;
    for _ in 1..TRIES {
        if Migrator::up(target.db(), None).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Migrator::up(target.db(), None).await
}

/// Sees that what the streams are called is a stream, or nothing yet, and that this user may read it.
async fn check_streams(settings: &Settings, redis: &RedisClient) -> Result<(), PipelineError> {
    let mut connection = redis.multiplexed().await?;
    let mut problems = Vec::new();
    for stream in &settings.streams {
        match stream_info(&mut connection, &stream.stream_name).await {
            Ok(_) => {}
            Err(failure) if failure.is_transient() => return Err(failure.into()),
            Err(failure) => problems.push(format!("streams.{}.stream_name: {failure}", stream.entity)),
        }
    }
    none_of(problems)
}

/// Compiles every stream's mapping against its table, in the order of the streams.
async fn check_mappings(settings: &Settings, target: &Target) -> Result<Vec<Mapping>, PipelineError> {
    let mut mappings = Vec::new();
    let mut problems = Vec::new();
    for stream in &settings.streams {
        match compile_mapping(target, stream).await {
            Ok(Ok(mapping)) => mappings.push(mapping),
            Ok(Err(found)) => problems.extend(found),
            Err(error) if error.class == ErrorClass::Configuration => {
                problems.push(format!("streams.{}.table: {error}", stream.entity));
            }
            Err(error) => return Err(error.into()),
        }
    }
    none_of(problems).map(|()| mappings)
}

/// Asks the database whether this user may do what the mappings will do.
async fn check_rights(settings: &Settings, target: &Target, mappings: &[Mapping]) -> Result<(), PipelineError> {
    let mut problems = Vec::new();
    for (stream, mapping) in settings.streams.iter().zip(mappings) {
        match rights::try_all(target, mapping, true).await {
            Ok(refused) => {
                problems.extend(refused.iter().map(|text| format!("streams.{}.table: {text}", stream.entity)))
            }
            Err(error) => return Err(error.into()),
        }
    }
    none_of(problems)
}

/// An error of all problems, a line each, if there are any.
fn none_of(problems: Vec<String>) -> Result<(), PipelineError> {
    if problems.is_empty() { Ok(()) } else { Err(PipelineError::Configuration(problems.join("\n"))) }
}

/// Reads the catalogue of the stream's tables and compiles the mapping; the inner error lists every problem of the
/// settings.
///
/// # Errors
/// The catalogue could not be read.
pub async fn compile_mapping(
    target: &Target,
    stream: &StreamSettings,
) -> Result<Result<Mapping, Vec<String>>, SqlError> {
    let (mut tables, mut missing) = (Vec::new(), Vec::new());
    for settings in &stream.tables {
        match catalogue::read(target.db(), &TableName::parse(&settings.table)).await? {
            Some(table) => tables.push(table),
            None => missing.push(missing_table(settings, &catalogue::names::tables(target.db()).await?)),
        }
    }
    if missing.is_empty() {
        return Ok(Mapping::compile(stream, &tables, target.kind()));
    }
    // What is wrong without any table is said at once, too.
    missing.extend(faults(stream, target.kind()));
    Ok(Err(missing))
}

fn missing_table(settings: &TableSettings, there: &[String]) -> String {
    let TableSettings { setting, table, .. } = settings;
    let near = nearest(table, there.iter().map(String::as_str));
    let meant = near.map(|near| format!("did you mean `{near}`? Else ")).unwrap_or_default();
    let is_example = table == "user_actions";
    let hint = if is_example { ", or make the shipped example's with `pipeline migrate up --example`" } else { "" };
    format!(
        "{setting}.table: there is no table `{table}`: {meant}create it (`pipeline schema print` gives the SQL, `pipeline schema \
         apply` runs it), or name another{hint}"
    )
}

/// Waits for what can come right by itself.
struct Patience<'a> {
    deadline: Instant,
    settings: &'a Settings,
    log: &'a Logger,
}

/// What is waited for, and the settings that say where it is.
struct Awaited {
    name: String,
    settings: &'static str,
}

impl<'a> Patience<'a> {
    fn new(settings: &'a Settings, log: &'a Logger) -> Self {
        Patience { deadline: Instant::now() + settings.app.startup_timeout, settings, log }
    }

    async fn wait_for<T>(
        &self,
        awaited: &Awaited,
        mut connect: impl AsyncFnMut() -> Result<T, PipelineError>,
    ) -> Result<T, PipelineError> {
        const FIRST: Duration = Duration::from_millis(100);
        const MOST: Duration = Duration::from_secs(2);
        let mut waits = Waits::new(FIRST, MOST, 2.0, 0.2);
        let timeout = self.settings.app.startup_timeout.as_secs_f64();
        let mut said = None;
        loop {
            // One that is silent is away too. Nobody watches over the start, and not every step has a limit of its own.
            let limit = self.settings.supervisor.hang_timeout;
            let error = match tokio::time::timeout(limit, connect()).await {
                Ok(Err(PipelineError::Unavailable(error))) => error,
                Ok(outcome) => return outcome,
                Err(_) => format!(
                    "{} gives no answer within {} s (supervisor.hang_timeout_sec)",
                    awaited.name,
                    limit.as_secs_f64()
                ),
            };
            let wait = waits.next().unwrap_or(MOST);
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left <= wait {
                let Awaited { name, settings } = awaited;
                let short = format!(
                    "{name} did not come within {timeout} s (app.startup_timeout_sec): start it, or set {settings}"
                );
                // What the log has said already is not said again.
                return Err(PipelineError::Unavailable(match said {
                    None => error,
                    Some(said) if said == error => short,
                    Some(_) => format!("{short}; in the end: {error}"),
                }));
            }
            if said.is_none() {
                warn!(self.log, "{}", error; "trying_for_sec" => timeout);
                said = Some(error);
            }
            tokio::time::sleep(wait).await;
        }
    }
}
