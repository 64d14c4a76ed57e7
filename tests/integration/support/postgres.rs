//! Private PostgreSQL servers, durable as installed: the harness switches no safety off.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{env, fs};

use tempfile::TempDir;

use super::account;
use super::database::Access;
use super::folder;
use super::process::{Launch, Process, StartFailure, next_log, start_on_free_port, start_on_port};

/// The user that owns the test databases; the password has what breaks an unquoted URL or YAML value.
const USER: &str = "pipeline";
const PASSWORD: &str = "p@ss: w/rd #1%41";

const COMMAND_DEADLINE: Duration = Duration::from_secs(60);

/// A PostgreSQL server with a folder of its own; killed when dropped.
pub struct PostgresServer {
    programs: PathBuf,
    user: Option<&'static str>,
    port: u16,
    process: Mutex<Process>,
    databases: AtomicU32,
    folder: TempDir,
}

/// The server for all tests that do not harm it; every test makes a database of its own.
pub fn shared() -> &'static PostgresServer {
    static SHARED: LazyLock<PostgresServer> = LazyLock::new(PostgresServer::start);
    &SHARED
}

impl PostgresServer {
    /// Creates a cluster and starts it.
    pub fn start() -> Self {
        let programs = programs();
        let folder = folder::temporary("postgres");
        let user = account::for_server("postgres", folder.path());
        Launch::new(programs.join("initdb"))
            .args(["--pgdata", &data(folder.path()), "--username", "postgres"])
            .args(["--auth-local", "trust", "--auth-host", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"])
            // Only the files made here; the server itself syncs.
            .arg("--no-sync")
            .without_envs("PG")
            .folder(folder.path())
            .user(user)
            .run_ok(COMMAND_DEADLINE);
        let (port, process) = start_on_free_port(|port| launch(&programs, user, port, folder.path()));
        let server = Self { programs, user, port, process: Mutex::new(process), databases: AtomicU32::new(0), folder };
        server.admin("postgres", &format!("CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'"));
        server
    }

    /// Port on 127.0.0.1; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Id of the postmaster.
    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// The folder with its data, logs and socket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills all its processes (SIGKILL).
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Sends a signal to the postmaster, by its name without `SIG`.
    pub fn signal(&self, signal: &str) {
        self.process().signal(signal);
    }

    /// Kills it if it runs, and starts it again on the same data and port.
    pub fn restart(&self) {
        let mut process = self.process();
        process.kill();
        *process = start_on_port(self.port, |port| launch(&self.programs, self.user, port, self.folder.path()));
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.process().log_tail()
    }

    /// A new database, and how the pipeline gets into it.
    pub fn create_database(&self) -> Access {
        let database = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        // template0: nobody can be connected to it, which would fail the copy.
        self.admin("postgres", &format!("CREATE DATABASE {database} OWNER {USER} TEMPLATE template0"));
        Access { port: self.port, database, user: USER.to_owned(), password: PASSWORD.to_owned() }
    }

    /// Cuts all connections to a database (`pg_terminate_backend`); returns how many.
    pub fn terminate_connections(&self, database: &str) -> usize {
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = '{database}' AND pid <> pg_backend_pid()"
        );
        self.admin("postgres", &sql).trim().parse().expect("a number")
    }

    /// Runs SQL as the superuser; returns the rows as lines, columns separated by `|`.
    pub fn admin(&self, database: &str, sql: &str) -> String {
        Launch::new(self.programs.join("psql"))
            .args(["--host", &self.folder.path().to_string_lossy(), "--port", &self.port.to_string()])
            .args(["--username", "postgres", "--dbname", database, "--no-psqlrc", "--quiet"])
            .args(["--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1", "--command", sql])
            .without_envs("PG")
            .run_ok(COMMAND_DEADLINE)
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn launch(programs: &Path, user: Option<&str>, port: u16, folder: &Path) -> Result<Process, StartFailure> {
    let process = Launch::new(programs.join("postgres"))
        .args(["-D", &data(folder), "-p", &port.to_string()])
        .args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300"])
        .args(["-c", &format!("unix_socket_directories={}", folder.display())])
        .without_envs("PG")
        .folder(folder)
        .user(user)
        // Makes the postmaster end its children; killed, it would leave that to each of them.
        .death_signal("QUIT")
        .spawn_logging_to(&next_log(folder));
    process.wait_ready("database system is ready to accept connections")?;
    Ok(process)
}

fn data(folder: &Path) -> String {
    folder.join("data").to_string_lossy().into_owned()
}

/// Where the server's programs are; Debian keeps them off the `PATH`.
fn programs() -> PathBuf {
    let complete = |folder: &PathBuf| folder.join("initdb").exists() && folder.join("postgres").exists();
    let told = std::process::Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    told.filter(complete)
        .or_else(|| newest().filter(complete))
        .or_else(|| on_path().find(complete))
        .unwrap_or_else(|| panic!("PostgreSQL's initdb and postgres are not installed: run scripts/install.sh test"))
}

fn newest() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok);
    let numbered = versions.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
    numbered.max().map(|(_, path)| path.join("bin"))
}

fn on_path() -> impl Iterator<Item = PathBuf> {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>().into_iter()
}
