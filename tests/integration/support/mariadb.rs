//! Private MariaDB servers, durable as installed: the harness switches no safety off.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use super::account;
use super::database::Access;
use super::disk::SmallDisk;
use super::folder;
use super::process::{Launch, Process, StartFailure, next_log, start_on_free_port, start_on_port};

/// The user of the test databases; the password has what breaks an unquoted URL or YAML value.
const USER: &str = "pipeline";
const PASSWORD: &str = "p@ss: w/rd #1%41";

/// The folder of its data, in its own.
const DATA: &str = "data";

const COMMAND_DEADLINE: Duration = Duration::from_secs(60);

const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// A MariaDB server with a folder of its own; killed when dropped.
pub struct MariaDbServer {
    port: u16,
    process: Mutex<Process>,
    databases: AtomicU32,
    installation: Installation,
}

/// What a [`MariaDbServer`] is started with.
#[derive(Default)]
pub struct MariaDbBuilder {
    args: Vec<String>,
    megabytes: Option<u32>,
}

/// All that a server is beside its process.
struct Installation {
    user: Option<&'static str>,
    args: Vec<String>,
    disk: Option<SmallDisk>,
    folder: TempDir,
}

/// The server for all tests that do not harm it; every test makes a database of its own.
pub fn shared() -> &'static MariaDbServer {
    static SHARED: LazyLock<MariaDbServer> = LazyLock::new(MariaDbServer::start);
    &SHARED
}

impl MariaDbBuilder {
    /// Adds arguments of the server; later ones override the harness's own.
    pub fn args(mut self, args: impl IntoIterator<Item: AsRef<str>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Has its data on a disk of so many megabytes.
    pub fn small_data(self, megabytes: u32) -> Self {
        // Its usual log of writes is larger than all of that.
        let small = MariaDbBuilder { megabytes: Some(megabytes), ..self };
        small.args(["--innodb-log-file-size=8M"])
    }

    /// Creates the system tables and starts the server; `None` where there can be no small disk.
    pub fn start(self) -> Option<MariaDbServer> {
        let folder = folder::temporary("mariadb");
        let user = account::for_server("mysql", folder.path());
        let disk = match self.megabytes {
            Some(megabytes) => Some(SmallDisk::over(&folder.path().join(DATA), megabytes)?),
            None => None,
        };
        let installation = Installation { user, args: self.args, disk, folder };
        installation.create();
        let (port, process) = start_on_free_port(|port| installation.launch(port));
        let server = MariaDbServer { port, process: Mutex::new(process), databases: AtomicU32::new(0), installation };
        server.admin(&format!("CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'"));
        Some(server)
    }
}

impl MariaDbServer {
    /// A server with the harness's own arguments and an ordinary disk.
    pub fn start() -> Self {
        Self::builder().start().expect("only a small disk may be refused")
    }

    /// A server that differs.
    pub fn builder() -> MariaDbBuilder {
        MariaDbBuilder::default()
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

    /// Kills it (SIGKILL).
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&self, signal: &str) {
        self.process().signal(signal);
    }

    /// Shuts it down in an orderly way.
    pub fn stop(&self) {
        let process = self.process();
        process.signal("TERM");
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

    /// What `mariadb-dump` makes of a database in use.
    pub fn dump(&self, database: &str) -> String {
        let dump = self.program("mariadb-dump").args(["--user=root", "--single-transaction", database]);
        dump.run_ok(COMMAND_DEADLINE)
    }

    /// Puts a dump back, table by table.
    pub fn restore(&self, database: &str, dump: &str) {
        let file = self.folder().join("dump.sql");
        fs::write(&file, dump).expect("the dump is written");
        self.program("mariadb").args(["--user=root", database]).stdin(file).run_ok(COMMAND_DEADLINE);
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
        // Those who are being refused take a place for a moment, also the one reserved for root.
        self.client(sql).run_again_after(&["Too many connections"], COMMAND_DEADLINE)
    }

    fn client(&self, sql: &str) -> Launch {
        self.program("mariadb").args(["--user=root", "--batch", "--skip-column-names", "--execute", sql])
    }

    fn program(&self, name: &str) -> Launch {
        program(name).arg("--no-defaults").arg(format!("--socket={}", socket(self.folder()).display()))
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Installation {
    fn create(&self) {
        self.server("mariadb-install-db")
            .args(["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"])
            // A server that starts removes temporary tables, and in a shared folder also those of another one.
            .env("TMPDIR", self.folder.path())
            .args(&self.args)
            .run_ok(COMMAND_DEADLINE);
    }

    fn launch(&self, port: u16) -> Result<Process, StartFailure> {
        let folder = self.folder.path();
        let process = self
            .server("mariadbd")
            .arg(format!("--socket={}", socket(folder).display()))
            .arg(format!("--pid-file={}", folder.join("pid").display()))
            .arg(format!("--tmpdir={}", folder.display()))
            .args(["--bind-address=127.0.0.1", &format!("--port={port}"), "--max-connections=300"])
            .args(["--skip-name-resolve", "--innodb-buffer-pool-size=64M"])
            // As Debian's own configuration has it.
            .args(["--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci"])
            .args(&self.args)
            .spawn_logging_to(&next_log(folder));
        process.wait_ready("ready for connections")?;
        Ok(process)
    }

    /// A program that works on the server's data and sees its disk.
    fn server(&self, name: &str) -> Launch {
        program(name)
            .arg("--no-defaults")
            .arg(format!("--datadir={}", self.data().display()))
            .folder(self.folder.path())
            // Not by its --user: changing the user would clear the death signal.
            .user(self.user)
            .in_mounts_of(self.disk.as_ref().map(SmallDisk::seen_by))
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join(DATA)
    }
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
