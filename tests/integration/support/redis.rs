//! Private Redis servers.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, RedisConnectionInfo};
use tempfile::TempDir;

use super::process::{Launch, Process, StartFailure, next_log, start_on_free_port, start_on_port};
use super::{cache, folder};

/// A test that has Redis stopped for a while must not fail by the client's own half second.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// A Redis server with a folder of its own; killed when dropped.
pub struct RedisServer {
    command: RedisBuilder,
    port: u16,
    process: Mutex<Process>,
    folder: TempDir,
}

/// What a [`RedisServer`] is started with.
pub struct RedisBuilder {
    program: PathBuf,
    args: Vec<String>,
    password: Option<String>,
}

impl RedisBuilder {
    /// The server of the cache, 8.2.3, instead of the system's.
    pub fn v8(mut self) -> Self {
        self.program = cache::redis8();
        self
    }

    /// Loads RedisJSON.
    pub fn json(self) -> Self {
        let module = cache::redisjson();
        self.args(["--loadmodule", &module.to_string_lossy()])
    }

    /// Asks clients for this password.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self.args(["--requirepass", password])
    }

    /// Adds arguments; later ones override the harness's own.
    pub fn args(mut self, args: impl IntoIterator<Item: AsRef<str>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Starts the server and waits until it answers.
    pub fn start(self) -> RedisServer {
        let folder = folder::temporary("redis");
        let (port, process) = start_on_free_port(|port| self.launch(port, folder.path()));
        RedisServer { command: self, port, process: Mutex::new(process), folder }
    }

    fn launch(&self, port: u16, folder: &Path) -> Result<Process, StartFailure> {
        let process = Launch::new(&self.program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir", &folder.to_string_lossy()])
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""])
            // Redis would let a replica wait five seconds for company.
            .args(["--repl-diskless-sync-delay", "0", "--enable-debug-command", "local"])
            .args(&self.args)
            .folder(folder)
            .spawn_logging_to(&next_log(folder));
        process.wait_ready("Ready to accept connections")?;
        Ok(process)
    }
}

impl RedisServer {
    /// The system's Redis: an append-only file synced every second, no snapshots, no modules.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// The same with RedisJSON.
    pub fn start_with_json() -> Self {
        Self::builder().json().start()
    }

    /// Redis 8.2.3, which has `WAITAOF`.
    pub fn start_v8() -> Self {
        Self::builder().v8().start()
    }

    /// For anything else.
    pub fn builder() -> RedisBuilder {
        RedisBuilder { program: "redis-server".into(), args: Vec::new(), password: None }
    }

    /// Port on 127.0.0.1; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Id of the running server process.
    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// The folder with its data and logs.
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
        *process = start_on_port(self.port, |port| self.command.launch(port, self.folder.path()));
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.process().log_tail()
    }

    /// Cuts so many bytes off the end of the append-only file of a server that is down, as a loss of power does.
    pub fn cut_append_only_file(&self, bytes: u64) {
        let folder = self.folder().join("appendonlydir");
        let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let newest = files.filter_map(|file| {
            let path = file.ok()?.path();
            let name = path.file_name()?.to_str()?.strip_suffix(".incr.aof")?.to_owned();
            Some((name.rsplit('.').next()?.parse::<u64>().ok()?, path))
        });
        let (_, newest) = newest.max().expect("an append-only file");
        let file = OpenOptions::new().write(true).open(&newest).expect("the append-only file opens");
        let length = file.metadata().expect("a length").len();
        file.set_len(length.saturating_sub(bytes)).expect("the append-only file is cut");
    }

    /// Makes it a replica of the server on this port of 127.0.0.1, or with `None` a primary.
    pub async fn replicate(&self, port: Option<u16>) {
        let (host, port) =
            port.map_or(("NO".to_owned(), "ONE".to_owned()), |port| ("127.0.0.1".into(), port.to_string()));
        let mut connection = self.connection().await;
        let () = redis::cmd("REPLICAOF").arg(host).arg(port).query_async(&mut connection).await.expect("REPLICAOF");
    }

    /// A new connection.
    pub async fn connection(&self) -> MultiplexedConnection {
        self.try_connection().await.unwrap_or_else(|e| panic!("cannot connect to Redis: {e}\n{}", self.log_tail()))
    }

    /// A new connection, if the server is there.
    pub async fn try_connection(&self) -> redis::RedisResult<MultiplexedConnection> {
        let mut settings = RedisConnectionInfo::default();
        if let Some(password) = &self.command.password {
            settings = settings.set_password(password);
        }
        let address = ("127.0.0.1", self.port).into_connection_info()?;
        let client = Client::open(address.set_redis_settings(settings))?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
