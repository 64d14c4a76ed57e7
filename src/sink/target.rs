//! The target database: SeaORM's connections, and the sessions of the writers.

use std::io;
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, ConnectOptions as _};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbBackend};

use super::mysql::{self, MySqlSession};
use super::postgres::{self, PostgresSession};
use super::sqlite::SqliteSession;
use super::{ErrorClass, Session, SqlError};
use crate::settings::{RdbmsKind, RdbmsSettings, Secret};
use crate::table::TablePlan;

/// The target database of a pipeline. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Target {
    db: DatabaseConnection,
    locking: DatabaseConnection,
    kind: RdbmsKind,
    url: Secret,
    connect_timeout: Duration,
    statement_timeout: Duration,
    journal: Journal,
}

/// What becomes of the journal of a SQLite file, which is a property of the file itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// Ahead of the file (WAL), as writers and readers at once want it.
    Ahead,
    /// As it is: nothing is changed by who only looks.
    AsItIs,
}

impl Target {
    /// Connects, once, and says at once what is wrong if that fails.
    pub async fn connect(settings: &RdbmsSettings) -> Result<Target, SqlError> {
        Target::with(settings, Journal::Ahead).await
    }

    /// The same, for who only looks.
    pub async fn look(settings: &RdbmsSettings) -> Result<Target, SqlError> {
        Target::with(settings, Journal::AsItIs).await
    }

    async fn with(settings: &RdbmsSettings, journal: Journal) -> Result<Target, SqlError> {
        let target = Target {
            db: pool(settings, settings.connect_timeout, journal).await?,
            // Its transactions wait for each other as long as for the lock itself.
            locking: pool(settings, settings.statement_timeout, journal).await?,
            journal,
            kind: settings.kind,
            url: settings.connection_url(),
            connect_timeout: settings.connect_timeout,
            statement_timeout: settings.statement_timeout,
        };
        target.probe().await?;
        Ok(target)
    }

    /// SeaORM's connection, for everything that is not the hot path.
    pub fn db(&self) -> &DatabaseConnection {
        &self.db
    }

    /// The same for transactions that take locks. Who only looks, maybe while it holds such a lock itself, must not stand
    /// behind those who wait for it: all of SQLite's connections could.
    pub fn locking(&self) -> &DatabaseConnection {
        &self.locking
    }

    /// Which database it is, by the settings.
    pub fn kind(&self) -> RdbmsKind {
        self.kind
    }

    /// Longest time that one statement may take.
    pub fn statement_timeout(&self) -> Duration {
        self.statement_timeout
    }

    /// Which dialect of SQL it speaks.
    pub fn backend(&self) -> DbBackend {
        self.db.get_database_backend()
    }

    /// Opens a connection of its own for a writer of these tables.
    pub async fn open_session(&self, plans: &[TablePlan]) -> Result<Box<dyn Session>, SqlError> {
        let timeout = self.statement_timeout;
        self.in_time(async {
            let session: Box<dyn Session> = match self.backend() {
                DbBackend::Postgres => {
                    let options = self.db.get_postgres_connection_pool().connect_options();
                    let connection = options.connect().await?;
                    postgres::send_at_once(options.get_port());
                    Box::new(PostgresSession::new(connection, plans, timeout).await?)
                }
                DbBackend::MySql => {
                    let options = self.db.get_mysql_connection_pool().connect_options();
                    Box::new(MySqlSession::new(options.connect().await?, plans, timeout).await?)
                }
                _ => Box::new(SqliteSession::open(self.url.expose(), plans, timeout, self.journal).await?),
            };
            Ok(session)
        })
        .await
    }

    /// Opens a connection and closes it: says at once why, if the database is not there. The pool would try for all of
    /// its time, and then only say that time ran out.
    pub async fn probe(&self) -> Result<(), SqlError> {
        use sqlx::Connection;
        let connecting = async {
            match self.backend() {
                DbBackend::Postgres => {
                    self.db.get_postgres_connection_pool().connect_options().connect().await?.close().await
                }
                DbBackend::MySql => {
                    self.db.get_mysql_connection_pool().connect_options().connect().await?.close().await
                }
                _ => self.db.get_sqlite_connection_pool().connect_options().connect().await?.close().await,
            }
        };
        let name = self.kind.name();
        let said = |error: sqlx::Error| match error {
            // On a connection that never worked it is not a disturbance, but another kind of server.
            sqlx::Error::Protocol(text) => SqlError::new(
                ErrorClass::Configuration,
                format!("what answers there is no {name} server ({text}): set rdbms.type, rdbms.host, rdbms.port"),
            ),
            error => error.into(),
        };
        self.in_time(async { connecting.await.map_err(said) }).await
    }

    async fn in_time<T>(&self, connecting: impl Future<Output = Result<T, SqlError>>) -> Result<T, SqlError> {
        match tokio::time::timeout(self.connect_timeout, connecting).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SqlError::transient(format!(
                "no connection within {} ms (rdbms.connect_timeout_ms)",
                self.connect_timeout.as_millis()
            ))),
        }
    }
}

/// A pool that opens connections when they are asked for, and gives up after `patience` if all of them are in use.
/// Writers hold connections of their own; pools serve the checkpoints, the catalogue and the tools.
async fn pool(settings: &RdbmsSettings, patience: Duration, journal: Journal) -> Result<DatabaseConnection, SqlError> {
    const CONNECTIONS_MAX: u32 = 4;
    let (connect_timeout, limit) = (settings.connect_timeout, settings.statement_timeout);
    let mut options = ConnectOptions::new(settings.connection_url().expose());
    options
        .max_connections(CONNECTIONS_MAX)
        .min_connections(0)
        .connect_timeout(connect_timeout)
        .acquire_timeout(patience)
        .connect_lazy(true)
        .sqlx_logging(false)
        // Waiting for a database that is away is told by whoever waits, with the reason.
        .map_sqlx_postgres_pool_opts(move |options| {
            options
                .acquire_slow_level(log::LevelFilter::Off)
                .after_connect(move |connection, _| Box::pin(postgres::set_limits(connection, limit)))
                .after_release(move |connection, _| Box::pin(still_answers(connection, connect_timeout)))
        })
        .map_sqlx_mysql_pool_opts(move |options| {
            options
                .acquire_slow_level(log::LevelFilter::Off)
                .after_connect(move |connection, _| Box::pin(mysql::set_limits(connection, limit)))
                .after_release(move |connection, _| Box::pin(still_answers(connection, connect_timeout)))
        })
        .map_sqlx_sqlite_pool_opts(|options| options.acquire_slow_level(log::LevelFilter::Off))
        .map_sqlx_sqlite_opts(move |options| {
            // FULL: a commit that was reported survives a power cut, as on the servers.
            let options = match journal {
                Journal::Ahead => options.journal_mode(SqliteJournalMode::Wal),
                Journal::AsItIs => options,
            };
            options.synchronous(SqliteSynchronous::Full).busy_timeout(limit).foreign_keys(true)
        });
    Ok(Database::connect(options).await?)
}

/// Whether a connection that goes back to the pool is still in step. The pool asks that itself, but without a limit: a
/// connection whose query was given up because nothing comes any more would keep its place in the pool for ever.
async fn still_answers(connection: &mut impl sqlx::Connection, limit: Duration) -> Result<bool, sqlx::Error> {
    let answer = tokio::time::timeout(limit, connection.ping()).await;
    // An error closes it at once, without a word to the server that would have to be answered.
    answer.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into())).map(|()| true)
}
