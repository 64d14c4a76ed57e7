//! Private MariaDB servers, durable as installed: the harness switches no safety off.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use super::account;
use super::database::Access;
use super::folder;
use super::process::{Launch, Process, StartFailure, next_log, start_on_free_port, start_on_port};

/// The user of the test databases; the password has what breaks an unquoted URL or YAML value.
const USER: &str = "pipeline";
const PASSWORD: &str = "p@ss: w/rd #1%41";

const COMMAND_DEADLINE: Duration = Duration::from_secs(60);

/// A MariaDB server with a folder of its own; killed when dropped.
pub struct MariaDbServer {
    user: Option<&'static str>,
    port: u16,
    process: Mutex<Process>,
    databases: AtomicU32,
    folder: TempDir,
}

/// The server for all tests that do not harm it; every test makes a database of its own.
pub fn shared() -> &'static MariaDbServer {
    static SHARED: LazyLock<MariaDbServer> = LazyLock::new(MariaDbServer::start);
    &SHARED
}

impl MariaDbServer {
    /// Creates the system tables and starts the server.
    pub fn start() -> Self {
        let folder = folder::temporary("mariadb");
        let user = account::for_server("mysql", folder.path());
        program("mariadb-install-db")
            .arg("--no-defaults")
            .args(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"])
            .arg(format!("--datadir={}", data(folder.path()).display()))
            // A server that starts removes temporary tables, and in a shared folder also those of another one.
            .env("TMPDIR", folder.path())
            .folder(folder.path())
            .user(user)
            .run_ok(COMMAND_DEADLINE);
        let (port, process) = start_on_free_port(|port| launch(user, port, folder.path()));
        let server = Self { user, port, process: Mutex::new(process), databases: AtomicU32::new(0), folder };
        server.admin(&format!("CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'"));
        server
    }

    /// Port on 127.0.0.1; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Id of the server process.
    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// The folder with its data, logs and socket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it (SIGKILL).
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&self, signal: &str) {
        self.process().signal(signal);
    }

    /// Kills it if it runs, and starts it again on the same data and port.
    pub fn restart(&self) {
        let mut process = self.process();
        process.kill();
        *process = start_on_port(self.port, |port| launch(self.user, port, self.folder.path()));
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.process().log_tail()
    }

    /// A new database, and how the pipeline gets into it.
    pub fn create_database(&self) -> Access {
        let database = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.admin(&format!("CREATE DATABASE {database}; GRANT ALL ON {database}.* TO {USER}@'%'"));
        Access { port: self.port, database, user: USER.to_owned(), password: PASSWORD.to_owned() }
    }

    /// Cuts all connections to a database (`KILL CONNECTION`); returns how many.
    pub fn terminate_connections(&self, database: &str) -> usize {
        let ids = self.admin(&format!("SELECT id FROM information_schema.processlist WHERE db = '{database}'"));
        // One by one and by force of numbers: a connection that has just ended by itself is no error.
        ids.lines()
            .filter(|id| self.client(&format!("KILL CONNECTION {id}")).run(COMMAND_DEADLINE).code == Some(0))
            .count()
    }

    /// Runs SQL as root; returns the rows as lines, columns separated by tabs.
    pub fn admin(&self, sql: &str) -> String {
        self.client(sql).run_ok(COMMAND_DEADLINE)
    }

    fn client(&self, sql: &str) -> Launch {
        program("mariadb")
            .arg("--no-defaults")
            .arg(format!("--socket={}", socket(self.folder.path()).display()))
            .args(["--user=root", "--batch", "--skip-column-names", "--execute", sql])
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn launch(user: Option<&str>, port: u16, folder: &Path) -> Result<Process, StartFailure> {
    let process = program("mariadbd")
        .arg("--no-defaults")
        .arg(format!("--datadir={}", data(folder).display()))
        .arg(format!("--socket={}", socket(folder).display()))
        .arg(format!("--pid-file={}", folder.join("pid").display()))
        .arg(format!("--tmpdir={}", folder.display()))
        .args(["--bind-address=127.0.0.1", &format!("--port={port}"), "--max-connections=300"])
        .args(["--skip-name-resolve", "--innodb-buffer-pool-size=64M"])
        // As Debian's own configuration has it.
        .args(["--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci"])
        .folder(folder)
        // Not by its --user: changing the user would clear the death signal.
        .user(user)
        .spawn_logging_to(&next_log(folder));
    process.wait_ready("ready for connections")?;
    Ok(process)
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("socket")
}

/// Debian keeps the server in a folder that is not on every user's `PATH`.
fn program(name: &str) -> Launch {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(extra).map(|folder| folder.join(name)).find(|file| file.exists());
    // Also clients read these, before any option.
    Launch::new(found.unwrap_or_else(|| panic!("{name} is not installed: run scripts/install.sh test")))
        .without_envs("MYSQL_")
        .without_envs("MARIADB_")
}
