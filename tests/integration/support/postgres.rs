//! Private PostgreSQL servers, durable as installed: the harness switches no safety off.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{env, fs};

use tempfile::TempDir;

use super::account;
use super::database::Access;
use super::disk::SmallDisk;
use super::folder;
use super::process::{Launch, Process, StartFailure, next_log, start_on_free_port, start_on_port};

/// The user that owns the test databases; the password has what breaks an unquoted URL or YAML value.
const USER: &str = "pipeline";
const PASSWORD: &str = "p@ss: w/rd #1%41";

/// Folders of the server, in its own.
const DATA: &str = "data";
const WAL: &str = "wal";

const COMMAND_DEADLINE: Duration = Duration::from_secs(60);

const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// A PostgreSQL server with a folder of its own; killed when dropped.
pub struct PostgresServer {
    port: u16,
    process: Mutex<Process>,
    databases: AtomicU32,
    installation: Installation,
}

/// What a [`PostgresServer`] is started with.
#[derive(Default)]
pub struct PostgresBuilder {
    args: Vec<String>,
    small: Option<(&'static str, u32)>,
}

/// All that a server is beside its process.
struct Installation {
    programs: PathBuf,
    user: Option<&'static str>,
    args: Vec<String>,
    disk: Option<SmallDisk>,
    folder: TempDir,
}

/// The server for all tests that do not harm it; every test makes a database of its own.
pub fn shared() -> &'static PostgresServer {
    static SHARED: LazyLock<PostgresServer> = LazyLock::new(PostgresServer::start);
    &SHARED
}

impl PostgresBuilder {
    /// Adds arguments of the server; later ones override the harness's own.
    pub fn args(mut self, args: impl IntoIterator<Item: AsRef<str>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Has everything but the log of writes on a disk of so many megabytes.
    pub fn small_data(self, megabytes: u32) -> Self {
        PostgresBuilder { small: Some((DATA, megabytes)), ..self }
    }

    /// Has the log of writes on a disk of so many megabytes.
    pub fn small_wal(self, megabytes: u32) -> Self {
        PostgresBuilder { small: Some((WAL, megabytes)), ..self }
    }

    /// Creates a cluster and starts it; `None` where there can be no small disk.
    pub fn start(self) -> Option<PostgresServer> {
        let programs = programs();
        let folder = folder::temporary("postgres");
        let user = account::for_server("postgres", folder.path());
        let disk = match self.small {
            Some((name, megabytes)) => Some(SmallDisk::over(&folder.path().join(name), megabytes)?),
            None => None,
        };
        let installation = Installation { programs, user, args: self.args, disk, folder };
        installation.create();
        let (port, process) = start_on_free_port(|port| installation.launch(port));
        let server = PostgresServer { port, process: Mutex::new(process), databases: AtomicU32::new(0), installation };
        server.admin("postgres", &format!("CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'"));
        Some(server)
    }
}

impl PostgresServer {
    /// A server with the harness's own arguments and an ordinary disk.
    pub fn start() -> Self {
        Self::builder().start().expect("only a small disk may be refused")
    }

    /// A server that differs.
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
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
        self.installation.folder.path()
    }

    /// The disk that it has for itself, if it was started so.
    pub fn disk(&self) -> Option<&SmallDisk> {
        self.installation.disk.as_ref()
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        self.process().is_running()
    }

    /// Kills all its processes (SIGKILL).
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Sends a signal to the postmaster, by its name without `SIG`.
    pub fn signal(&self, signal: &str) {
        self.process().signal(signal);
    }

    /// Shuts it down in an orderly way, without waiting for its clients to go.
    pub fn stop(&self) {
        let process = self.process();
        process.signal("INT");
        assert!(process.wait_timeout(STOP_DEADLINE).is_some(), "it does not stop: {}", process.log_tail());
    }

    /// Kills it if it runs, and starts it again on the same data and port.
    pub fn restart(&self) {
        let mut process = self.process();
        process.kill();
        *process = start_on_port(self.port, |port| self.installation.launch(port));
    }

    /// Copies the files of the server, which does not run, to this folder.
    pub fn copy_files_to(&self, copy: &Path) {
        assert!(!self.is_running(), "the files of a running server are no copy");
        folder::copy(&self.installation.data(), copy);
    }

    /// Puts a copy in place of the files of the server, which does not run.
    pub fn put_files_back(&self, copy: &Path) {
        assert!(!self.is_running(), "the server runs");
        folder::copy(copy, &self.installation.data());
    }

    /// What `pg_dump` makes of a database in use.
    pub fn dump(&self, database: &str) -> String {
        self.client("pg_dump", database).args(["--clean", "--if-exists"]).run_ok(COMMAND_DEADLINE)
    }

    /// Puts a dump back, in one transaction.
    pub fn restore(&self, database: &str, dump: &str) {
        let file = self.folder().join("dump.sql");
        fs::write(&file, dump).expect("the dump is written");
        let psql = self.client("psql", database).args(["--no-psqlrc", "--quiet", "--single-transaction", "--file"]);
        psql.arg(file).args(["--set", "ON_ERROR_STOP=1", "--output", "/dev/null"]).run_ok(COMMAND_DEADLINE);
    }

    /// Its log since it was last started.
    pub fn log(&self) -> String {
        self.process().stdout()
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
        self.client("psql", database)
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"])
            .args(["--command", sql])
            // Those who are being refused take a place for a moment, also of the ones reserved for the superuser.
            .run_again_after(&["too many clients", "connection slots are reserved"], COMMAND_DEADLINE)
    }

    /// A program of PostgreSQL's that gets in as the superuser.
    fn client(&self, program: &str, database: &str) -> Launch {
        Launch::new(self.installation.programs.join(program))
            .args(["--host", &self.folder().to_string_lossy(), "--port", &self.port.to_string()])
            .args(["--username", "postgres", "--dbname", database])
            .without_envs("PG")
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Installation {
    fn create(&self) {
        let mut initdb = self
            .program("initdb")
            .arg("--pgdata")
            .arg(self.data())
            .args(["--username", "postgres"])
            .args(["--auth-local", "trust", "--auth-host", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"])
            // Only the files made here; the server itself syncs.
            .arg("--no-sync");
        if self.disk.is_some() {
            // Files of one megabyte, so that a few of them fill a small disk.
            initdb = initdb.arg("--waldir").arg(self.folder.path().join(WAL)).args(["--wal-segsize", "1"]);
        }
        initdb.run_ok(COMMAND_DEADLINE);
    }

    fn launch(&self, port: u16) -> Result<Process, StartFailure> {
        let folder = self.folder.path();
        let process = self
            .program("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300"])
            .args(["-c", &format!("unix_socket_directories={}", folder.display())])
            // After a crash it has the kernel sync the file system, instead of a thousand files one by one.
            .args(["-c", "recovery_init_sync_method=syncfs"])
            .args(&self.args)
            // Makes the postmaster end its children; killed, it would leave that to each of them.
            .death_signal("QUIT")
            .spawn_logging_to(&next_log(folder));
        process.wait_ready("database system is ready to accept connections")?;
        Ok(process)
    }

    /// A program that runs as the server's user and sees its disk.
    fn program(&self, name: &str) -> Launch {
        Launch::new(self.programs.join(name))
            .without_envs("PG")
            .folder(self.folder.path())
            .user(self.user)
            .in_mounts_of(self.disk.as_ref().map(SmallDisk::seen_by))
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join(DATA)
    }
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
