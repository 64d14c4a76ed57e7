//! Looks at the checkpoint, on a connection of its own and as cheaply as can be.

use rusqlite::Connection as SqliteConnection;
use sea_orm::sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, ConnectOptions};

use crate::support::database::{Access, Kind, TestDatabase};

/// One connection to one database.
pub enum Observer {
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
    Sqlite(SqliteConnection),
}

impl Observer {
    pub async fn new(database: &TestDatabase) -> Observer {
        let access = database.access();
        match database.kind() {
            Kind::Postgres => Observer::Postgres(postgres(access).await),
            Kind::MariaDb => Observer::MariaDb(mariadb(access).await),
            Kind::Sqlite => Observer::Sqlite(SqliteConnection::open(&access.database).expect("SQLite opens the file")),
        }
    }

    /// How many events of this pipeline are committed.
    pub async fn applied(&mut self, pipeline: &str) -> u64 {
        let applied: i64 = match self {
            Observer::Postgres(connection) => {
                let sql = "SELECT COALESCE(SUM(applied), 0)::bigint FROM write_behind_checkpoint WHERE pipeline = $1";
                sqlx::query_scalar(sql).bind(pipeline).fetch_one(connection).await.expect("the checkpoint")
            }
            Observer::MariaDb(connection) => {
                let sql = "SELECT CAST(COALESCE(SUM(applied), 0) AS SIGNED) FROM write_behind_checkpoint \
                           WHERE pipeline = ?";
                sqlx::query_scalar(sql).bind(pipeline).fetch_one(connection).await.expect("the checkpoint")
            }
            Observer::Sqlite(connection) => {
                let sql = "SELECT COALESCE(SUM(applied), 0) FROM write_behind_checkpoint WHERE pipeline = ?";
                let mut query = connection.prepare_cached(sql).expect("the checkpoint's table");
                query.query_row([pipeline], |row| row.get(0)).expect("the checkpoint")
            }
        };
        u64::try_from(applied).expect("a count")
    }
}

/// A new connection to a database of PostgreSQL.
pub async fn postgres(access: &Access) -> PgConnection {
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(access.port)
        .database(&access.database)
        .username(&access.user)
        .password(&access.password);
    options.connect().await.expect("PostgreSQL accepts")
}

/// A new connection to a database of MariaDB.
pub async fn mariadb(access: &Access) -> MySqlConnection {
    let options = MySqlConnectOptions::new()
        .host("127.0.0.1")
        .port(access.port)
        .database(&access.database)
        .username(&access.user)
        .password(&access.password);
    options.connect().await.expect("MariaDB accepts")
}
