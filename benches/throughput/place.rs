//! The servers of a run, and the tables that the limit and the pipeline write in turn.

use std::path::Path;

use redis::aio::MultiplexedConnection;

use crate::support::database::{Kind, TestDatabase};
use crate::support::mariadb::MariaDbServer;
use crate::support::postgres::PostgresServer;
use crate::support::redis::RedisServer;
use crate::work::{Type, Work};

/// Redis, and a database of each kind, all with the durability that they have as installed.
pub struct Place {
    pub redis: RedisServer,
    connection: MultiplexedConnection,
    pub postgres: PostgresServer,
    pub mariadb: MariaDbServer,
    databases: [TestDatabase; 2],
}

impl Place {
    pub async fn new() -> Place {
        // What rewrites the file of a loaded Redis is not the pipeline's doing.
        let redis = RedisServer::builder().json().args(["--auto-aof-rewrite-percentage", "0"]).start();
        let connection = redis.connection().await;
        let postgres = PostgresServer::start();
        // As large as a fresh installation has it; the tests have less.
        let mariadb = MariaDbServer::builder().args(["--innodb-buffer-pool-size=128M"]).start();
        let mariadb = mariadb.expect("an ordinary disk");
        let databases = [TestDatabase::on_postgres(&postgres).await, TestDatabase::on_mariadb(&mariadb).await];
        Place { redis, connection, postgres, mariadb, databases }
    }

    /// A connection to Redis; all of them are one.
    pub fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }

    /// Empty tables for this work, in a database that has nothing else to do.
    pub async fn fresh(&self, kind: Kind, works: &[Work]) -> Fresh<'_> {
        let fresh = match kind {
            Kind::Sqlite => Fresh::Own(TestDatabase::new(kind).await),
            Kind::Postgres => Fresh::Shared(&self.databases[0]),
            Kind::MariaDb => Fresh::Shared(&self.databases[1]),
        };
        for work in works {
            fresh.database().execute(&format!("DROP TABLE IF EXISTS {}", work.table())).await;
            fresh.database().execute(&definition(kind, work)).await;
        }
        if kind == Kind::Postgres {
            // Whoever comes next begins with nothing left to be written of what was before.
            self.postgres.admin("postgres", "CHECKPOINT");
        }
        fresh
    }

    /// Id of the database's process, which has all others of it as descendants.
    pub fn database_pid(&self, kind: Kind) -> Option<u32> {
        match kind {
            Kind::Sqlite => None,
            Kind::Postgres => Some(self.postgres.pid()),
            Kind::MariaDb => Some(self.mariadb.pid()),
        }
    }
}

/// A database with empty tables.
pub enum Fresh<'a> {
    /// SQLite's: a new file each time.
    Own(TestDatabase),
    /// A server's.
    Shared(&'a TestDatabase),
}

impl Fresh<'_> {
    pub fn database(&self) -> &TestDatabase {
        match self {
            Fresh::Own(database) => database,
            Fresh::Shared(database) => database,
        }
    }

    /// The file of SQLite's.
    pub fn file(&self) -> &Path {
        Path::new(&self.database().access().database)
    }
}

/// The one definition of the table, whoever writes it.
fn definition(kind: Kind, work: &Work) -> String {
    let columns = work.columns.iter().map(|column| {
        let declared = match (column.kind, kind) {
            (Type::Text, _) => "varchar(64)",
            // MariaDB would make the first one NOT NULL with a default.
            (Type::Time, Kind::MariaDb) => "timestamp(3) NULL",
            (Type::Time, _) => "timestamp(3)",
            (Type::Double, _) => "double precision",
        };
        format!(", {} {declared}", column.name)
    });
    format!("CREATE TABLE {} (id varchar(64) PRIMARY KEY{})", work.table(), columns.collect::<String>())
}
