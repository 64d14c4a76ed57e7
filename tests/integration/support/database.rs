//! One fresh database of each kind, and a look into it that does not go through the pipeline's own code.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlPool, MySqlPoolOptions};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions};
use sea_orm::sqlx::{self, AssertSqlSafe, ConnectOptions, Row};
use sea_orm::{DatabaseConnection, SqlxMySqlConnector, SqlxPostgresConnector, SqlxSqliteConnector};
use tempfile::TempDir;
use tokio::time::timeout;

use super::folder;
use super::mariadb::{self, MariaDbServer};
use super::postgres::{self, PostgresServer};

const CONNECTIONS: u32 = 4;

/// Longest wait for a connection, and for a lock of SQLite's.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest wait of a query that may fail; the pool alone would try to connect for all of [`PATIENCE`].
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// The databases that the pipeline writes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A file.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
}

impl Kind {
    /// All of them, for tests that must hold on each.
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::MariaDb];

    /// Its name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::MariaDb => "mariadb",
        }
    }
}

/// How to get into a database of a server on 127.0.0.1.
#[derive(Clone, Debug)]
pub struct Access {
    /// The server's port.
    pub port: u16,
    /// Name of the database.
    pub database: String,
    /// A user who may do anything in that database only.
    pub user: String,
    /// The user's password.
    pub password: String,
}

/// A database that was empty at the start of the test.
pub struct TestDatabase {
    kind: Kind,
    access: Access,
    pool: Pool,
    _folder: Option<TempDir>,
}

#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
    MariaDb(MySqlPool),
}

impl TestDatabase {
    /// A new file, or a new database on a shared server.
    pub async fn new(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => Self::on_sqlite().await,
            Kind::Postgres => Self::on_postgres(postgres::shared()).await,
            Kind::MariaDb => Self::on_mariadb(mariadb::shared()).await,
        }
    }

    /// A new database on this server.
    pub async fn on_postgres(server: &PostgresServer) -> Self {
        let access = server.create_database();
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(access.port)
            .database(&access.database)
            .username(&access.user)
            .password(&access.password);
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
        let pool = pool.connect_with(options).await.expect("PostgreSQL accepts");
        Self { kind: Kind::Postgres, access, pool: Pool::Postgres(pool), _folder: None }
    }

    /// A new database on this server.
    pub async fn on_mariadb(server: &MariaDbServer) -> Self {
        let access = server.create_database();
        let options = MySqlConnectOptions::new()
            .host("127.0.0.1")
            .port(access.port)
            .database(&access.database)
            .username(&access.user)
            .password(&access.password);
        let pool = MySqlPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
        let pool = pool.connect_with(options).await.expect("MariaDB accepts");
        Self { kind: Kind::MariaDb, access, pool: Pool::MariaDb(pool), _folder: None }
    }

    async fn on_sqlite() -> Self {
        let folder = folder::temporary("sqlite");
        let file = folder.path().join("test.db");
        let pool = Pool::Sqlite(sqlite(&file).await);
        let database = file.to_string_lossy().into_owned();
        let access = Access { port: 0, database, user: String::new(), password: String::new() };
        Self { kind: Kind::Sqlite, access, pool, _folder: Some(folder) }
    }

    /// Lets `change` have the folder of an SQLite database to itself: the harness has nothing open meanwhile.
    pub async fn while_closed(&mut self, change: impl FnOnce(&Path)) {
        let Pool::Sqlite(pool) = &self.pool else { panic!("only a file can be closed") };
        pool.close().await;
        let file = Path::new(&self.access.database);
        change(file.parent().expect("a file is in a folder"));
        self.pool = Pool::Sqlite(sqlite(file).await);
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How the pipeline gets in; for SQLite only the file, as the database.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The `rdbms:` section of the settings; it is at the end of the section, so that `"  key: value\n"` may follow.
    pub fn settings_yaml(&self) -> String {
        self.settings_yaml_through(self.access.port)
    }

    /// The same through another port: a proxy's.
    pub fn settings_yaml_through(&self, port: u16) -> String {
        let Access { database, user, password, .. } = &self.access;
        let head = format!("rdbms:\n  type: {}\n  database: {}\n", self.kind.name(), quoted(database));
        match self.kind {
            Kind::Sqlite => head,
            Kind::Postgres | Kind::MariaDb => {
                let (user, password) = (quoted(user), quoted(password));
                format!("{head}  host: 127.0.0.1\n  port: {port}\n  user: {user}\n  password: {password}\n")
            }
        }
    }

    /// The harness's connections as SeaORM's, for entities and migrations.
    pub fn connection(&self) -> DatabaseConnection {
        match self.pool.clone() {
            Pool::Sqlite(pool) => SqlxSqliteConnector::from_sqlx_sqlite_pool(pool),
            Pool::Postgres(pool) => SqlxPostgresConnector::from_sqlx_postgres_pool(pool),
            Pool::MariaDb(pool) => SqlxMySqlConnector::from_sqlx_mysql_pool(pool),
        }
    }

    /// A client of its own, with a transaction of its own.
    ///
    /// # Errors
    /// The server has no connection left.
    pub async fn client(&self) -> Result<Client, String> {
        let connected = match &self.pool {
            Pool::Sqlite(pool) => pool.connect_options().connect().await.map(Client::Sqlite),
            Pool::Postgres(pool) => pool.connect_options().connect().await.map(Client::Postgres),
            Pool::MariaDb(pool) => pool.connect_options().connect().await.map(Client::MariaDb),
        };
        connected.map_err(|error| error.to_string())
    }

    /// Runs one or more statements; panics when one fails.
    pub async fn execute(&self, sql: &str) {
        let statements = sqlx::raw_sql(AssertSqlSafe(sql));
        let result = match &self.pool {
            Pool::Sqlite(pool) => statements.execute(pool).await.map(drop),
            Pool::Postgres(pool) => statements.execute(pool).await.map(drop),
            Pool::MariaDb(pool) => statements.execute(pool).await.map(drop),
        };
        result.unwrap_or_else(|e| panic!("{}: {sql}: {e}", self.kind.name()));
    }

    /// The rows of a query, each value as the text that the database itself makes of it; panics when it fails.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.fetch(sql).await.unwrap_or_else(|e| panic!("{}: {sql}: {e}", self.kind.name()))
    }

    /// The rows of a query, for while the server may be down or the table not there yet; does not wait long.
    pub async fn try_rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        match timeout(PROBE_LIMIT, self.fetch(sql)).await {
            Ok(rows) => rows.map_err(|e| e.to_string()),
            Err(_) => Err(format!("no answer within {PROBE_LIMIT:?}")),
        }
    }

    async fn fetch(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, sqlx::Error> {
        // Statements that are not prepared get their values as text.
        let query = sqlx::raw_sql(AssertSqlSafe(sql));
        match &self.pool {
            Pool::Sqlite(pool) => query.fetch_all(pool).await?.iter().map(texts).collect(),
            Pool::Postgres(pool) => query.fetch_all(pool).await?.iter().map(texts).collect(),
            Pool::MariaDb(pool) => query.fetch_all(pool).await?.iter().map(texts).collect(),
        }
    }

    /// The only value of a query; panics when there is not exactly one.
    pub async fn value(&self, sql: &str) -> Option<String> {
        let mut rows = self.rows(sql).await;
        assert!(rows.len() == 1 && rows[0].len() == 1, "not one value: {sql}: {rows:?}");
        rows.remove(0).remove(0)
    }

    /// The number that is the only value of a query.
    pub async fn number<T: FromStr>(&self, sql: &str) -> T {
        let value = self.value(sql).await.unwrap_or_else(|| panic!("{sql}: NULL"));
        value.parse().unwrap_or_else(|_| panic!("{sql}: {value} is not such a number"))
    }

    /// How many rows a table has.
    pub async fn count(&self, table: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM {table}")).await
    }
}

/// One connection, closed when dropped.
pub enum Client {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
}

impl Client {
    /// Runs one or more statements.
    ///
    /// # Errors
    /// The database refused, or the connection was cut.
    pub async fn run(&mut self, sql: &str) -> Result<(), String> {
        let statements = sqlx::raw_sql(AssertSqlSafe(sql));
        let result = match self {
            Client::Sqlite(connection) => statements.execute(connection).await.map(drop),
            Client::Postgres(connection) => statements.execute(connection).await.map(drop),
            Client::MariaDb(connection) => statements.execute(connection).await.map(drop),
        };
        result.map_err(|error| format!("{sql}: {error}"))
    }
}

async fn sqlite(file: &Path) -> SqlitePool {
    // The journal mode is the pipeline's to choose.
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true).busy_timeout(PATIENCE);
    let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
    pool.connect_with(options).await.expect("SQLite opens the file")
}

fn texts<'r, R>(row: &'r R) -> Result<Vec<Option<String>>, sqlx::Error>
where
    R: Row,
    usize: sqlx::ColumnIndex<R>,
    Option<String>: sqlx::Decode<'r, R::Database>,
{
    // Unchecked: a number is not of a text type, but its text decodes.
    (0..row.len()).map(|column| row.try_get_unchecked(column)).collect()
}

/// A JSON string is a YAML string, whatever is in it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
