//! A database server of a test's own, of either kind.

use std::path::Path;

use super::database::{Kind, TestDatabase};
use super::disk::SmallDisk;
use super::mariadb::MariaDbServer;
use super::postgres::PostgresServer;

/// A server that a test may harm.
pub enum Server {
    Postgres(PostgresServer),
    MariaDb(MariaDbServer),
}

/// The same call, whatever the kind.
macro_rules! on {
    ($server:expr, $it:ident => $call:expr) => {
        match $server {
            Server::Postgres($it) => $call,
            Server::MariaDb($it) => $call,
        }
    };
}

impl Server {
    /// A server with the harness's own arguments.
    pub fn start(kind: Kind) -> Self {
        Self::start_with(kind, &[])
    }

    /// A server with further arguments.
    pub fn start_with(kind: Kind, args: &[&str]) -> Self {
        let started = match kind {
            Kind::Postgres => PostgresServer::builder().args(args).start().map(Server::Postgres),
            Kind::MariaDb => MariaDbServer::builder().args(args).start().map(Server::MariaDb),
            Kind::Sqlite => panic!("SQLite has no server"),
        };
        started.expect("only a small disk may be refused")
    }

    /// A new database on it.
    pub async fn database(&self) -> TestDatabase {
        match self {
            Server::Postgres(server) => TestDatabase::on_postgres(server).await,
            Server::MariaDb(server) => TestDatabase::on_mariadb(server).await,
        }
    }

    /// The disk that it has for itself.
    pub fn disk(&self) -> &SmallDisk {
        on!(self, server => server.disk()).expect("it was started with a disk of its own")
    }

    /// Its log since it was last started.
    pub fn log(&self) -> String {
        on!(self, server => server.log())
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        on!(self, server => server.is_running())
    }

    /// Kills all its processes (SIGKILL).
    pub fn kill(&self) {
        on!(self, server => server.kill());
    }

    /// Shuts it down in an orderly way.
    pub fn stop(&self) {
        on!(self, server => server.stop());
    }

    /// Starts it again on the same data and port.
    pub fn restart(&self) {
        on!(self, server => server.restart());
    }

    /// Copies its files while it does not run.
    pub fn copy_files_to(&self, copy: &Path) {
        on!(self, server => server.copy_files_to(copy));
    }

    /// Puts a copy of its files back while it does not run.
    pub fn put_files_back(&self, copy: &Path) {
        on!(self, server => server.put_files_back(copy));
    }

    /// A backup of a database in use, by the server's own tool.
    pub fn dump(&self, database: &TestDatabase) -> String {
        on!(self, server => server.dump(&database.access().database))
    }

    /// Puts such a backup back.
    pub fn restore(&self, database: &TestDatabase, dump: &str) {
        on!(self, server => server.restore(&database.access().database, dump));
    }

    /// Cuts all connections to a database; returns how many.
    pub fn terminate_connections(&self, database: &TestDatabase) -> usize {
        on!(self, server => server.terminate_connections(&database.access().database))
    }

    /// Runs SQL as its administrator.
    pub fn admin(&self, sql: &str) -> String {
        match self {
            Server::Postgres(server) => server.admin("postgres", sql),
            Server::MariaDb(server) => server.admin(sql),
        }
    }
}
