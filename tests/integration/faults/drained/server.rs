//! A database server of the test's own, to be stopped and killed.

use std::process::Command;

use crate::support::database::{Kind, TestDatabase};
use crate::support::mariadb::MariaDbServer;
use crate::support::postgres::PostgresServer;

pub enum Server {
    Postgres(PostgresServer),
    MariaDb(MariaDbServer),
}

impl Server {
    pub fn start(kind: Kind) -> Self {
        match kind {
            Kind::Postgres => Server::Postgres(PostgresServer::start()),
            Kind::MariaDb => Server::MariaDb(MariaDbServer::start()),
            Kind::Sqlite => panic!("SQLite has no server"),
        }
    }

    pub async fn database(&self) -> TestDatabase {
        match self {
            Server::Postgres(server) => TestDatabase::on_postgres(server).await,
            Server::MariaDb(server) => TestDatabase::on_mariadb(server).await,
        }
    }

    /// Stops all its processes (SIGSTOP); answers what lets them go on.
    pub fn freeze(&self) -> Frozen {
        let pids = match self {
            Server::Postgres(server) => {
                let backends = server.admin("postgres", "SELECT pid FROM pg_stat_activity");
                // The one that answered has ended since.
                let backends = backends.lines().filter_map(|pid| pid.parse().ok());
                std::iter::once(server.pid()).chain(backends).collect()
            }
            Server::MariaDb(server) => vec![server.pid()],
        };
        let frozen = Frozen(pids);
        frozen.signal("STOP");
        frozen
    }

    /// Kills it (SIGKILL).
    pub fn kill(&self) {
        match self {
            Server::Postgres(server) => server.kill(),
            Server::MariaDb(server) => server.kill(),
        }
    }

    /// Starts it again on the same data and port.
    pub fn restart(&self) {
        match self {
            Server::Postgres(server) => server.restart(),
            Server::MariaDb(server) => server.restart(),
        }
    }
}

/// The processes of a stopped server.
pub struct Frozen(Vec<u32>);

impl Frozen {
    /// Lets them go on (SIGCONT).
    pub fn thaw(self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let pids = self.0.iter().map(u32::to_string);
        // One of them may have ended, which is no error.
        let mut kill = Command::new("sh");
        kill.args(["-c", "kill -s \"$@\" 2>/dev/null", "kill", signal]).args(pids).status().expect("sh starts");
    }
}
