//! A Redis server of the demo's own: a child process that ends with the demo, whatever ends that.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use write_behind::error::PipelineError;

use super::folder::DemoFolder;

/// Between two looks at whether the server has come or gone.
const POLL: Duration = Duration::from_millis(5);

/// A running server. Dropping it ends it.
pub struct PrivateRedis {
    child: Child,
    port: u16,
    log: PathBuf,
    /// Ends with this value, after the server.
    _guard: Guard,
}

/// Why a server did not come up.
enum Start {
    PortTaken,
    Failed(PipelineError),
}

impl PrivateRedis {
    /// Starts `program` on a free port with its data in `folder`, and waits until it has loaded them.
    ///
    /// # Errors
    /// There is no such program, or it ended at its start.
    pub async fn start(program: &Path, folder: &DemoFolder) -> Result<PrivateRedis, PipelineError> {
        const ATTEMPTS: usize = 5;
        for _ in 0..ATTEMPTS {
            match PrivateRedis::start_on(free_port()?, program, folder).await {
                Ok(redis) => return Ok(redis),
                // Somebody else was faster.
                Err(Start::PortTaken) => {}
                Err(Start::Failed(error)) => return Err(error),
            }
        }
        Err(PipelineError::Unavailable(format!("{ATTEMPTS} ports in a row were taken by others; run the demo again")))
    }

    async fn start_on(port: u16, program: &Path, folder: &DemoFolder) -> Result<PrivateRedis, Start> {
        let log = folder.redis_log();
        let output = File::create(&log).and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = output.map_err(|error| {
            Start::Failed(PipelineError::Failed(format!(
                "{} cannot be written: {error}; name another folder with --folder",
                log.display()
            )))
        })?;
        let mut command = Command::new(program);
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(folder.path())
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""])
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            // Ctrl-C goes to the whole foreground group; the server must outlive the drain.
            .process_group(0);
        let mut child = command.spawn().map_err(|error| Start::Failed(not_started(program, &error)))?;
        let guard = match Guard::start(child.id(), (!folder.is_kept()).then(|| folder.path())) {
            Ok(guard) => guard,
            Err(error) => {
                end_now(&mut child);
                return Err(Start::Failed(PipelineError::Failed(format!(
                    "no shell to watch over Redis: {error}; see that `sh` is on PATH"
                ))));
            }
        };
        let mut redis = PrivateRedis { child, port, log, _guard: guard };
        redis.wait_ready().await?;
        Ok(redis)
    }

    /// Waits until the log says so: whoever answers on the port could be another server that got it.
    async fn wait_ready(&mut self) -> Result<(), Start> {
        // An append-only file of gigabytes takes its time to load.
        const DEADLINE: Duration = Duration::from_secs(120);
        let started = Instant::now();
        loop {
            let ended = self.ended();
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            if ended.is_none() && log.contains("Ready to accept connections") {
                return Ok(());
            }
            if ended.is_some() && log.contains("Address already in use") {
                return Err(Start::PortTaken);
            }
            if let Some(how) = ended {
                return Err(self.failed(&format!("ended at its start ({how})")));
            }
            if started.elapsed() > DEADLINE {
                return Err(self.failed(&format!("was not ready within {} s", DEADLINE.as_secs())));
            }
            sleep(POLL).await;
        }
    }

    fn failed(&self, what: &str) -> Start {
        Start::Failed(PipelineError::Unavailable(self.said(what)))
    }

    /// `what` happened to the server, and the end of its log, which may be gone with the folder.
    fn said(&self, what: &str) -> String {
        const LINES: usize = 3;
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        let tail = lines[lines.len().saturating_sub(LINES)..].join("\n  ");
        format!(
            "the demo's redis-server {what}; the end of its log:\n  {tail}\nRun the demo again; --redis-server PATH takes another server"
        )
    }

    /// Port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Fails if the server has ended of itself.
    ///
    /// # Errors
    /// It has; with the end of its log.
    pub fn check(&mut self) -> Result<(), PipelineError> {
        match self.ended() {
            None => Ok(()),
            Some(how) => Err(PipelineError::Unavailable(self.said(&format!("ended during the demo ({how})")))),
        }
    }

    /// Lets the server write its append-only file and end.
    ///
    /// # Errors
    /// It did not in time; it was killed then.
    pub async fn shut_down(mut self) -> Result<(), PipelineError> {
        const PATIENCE: Duration = Duration::from_secs(20);
        let asked = Instant::now();
        ask_to_end(self.port);
        while self.ended().is_none() {
            if asked.elapsed() > PATIENCE {
                let error = self.said(&format!("did not shut down within {} s and was killed", PATIENCE.as_secs()));
                return Err(PipelineError::Failed(error));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for PrivateRedis {
    /// For every end but the orderly one. What Redis has answered is in its append-only file already; the moment
    /// before the kill lets it sync that to disk.
    fn drop(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        let asked = Instant::now();
        if self.ended().is_none() {
            ask_to_end(self.port);
        }
        while self.ended().is_none() {
            if asked.elapsed() > PATIENCE {
                return end_now(&mut self.child);
            }
            thread::sleep(POLL);
        }
    }
}

/// Nothing is lost by not saving: the append-only file is written and synced all the same. Redis takes a bare line for
/// a command, so this needs neither a client nor a runtime, of which there may be none any more.
fn ask_to_end(port: u16) {
    // If it does not listen, it is killed after a while.
    drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).and_then(|mut to| to.write_all(b"SHUTDOWN NOSAVE\r\n")));
}

fn end_now(child: &mut Child) {
    // Both fail only if it is gone already.
    drop(child.kill());
    drop(child.wait());
}

fn free_port() -> Result<u16, PipelineError> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    port.map(|address| address.port()).map_err(|error| {
        PipelineError::Unavailable(format!("no free port on 127.0.0.1 for the demo's Redis: {error}; try again later"))
    })
}

fn not_started(program: &Path, error: &io::Error) -> PipelineError {
    let program = program.display();
    PipelineError::Unavailable(if error.kind() == ErrorKind::NotFound {
        format!(
            "the demo needs a Redis server, and `{program}` was not found: install it (Debian, Ubuntu: `apt-get install \
             redis-server`; macOS: `brew install redis`), or say where it is with --redis-server PATH"
        )
    } else {
        format!("`{program}` cannot be started: {error}; name a Redis server with --redis-server PATH")
    })
}

/// A shell that ends the server, and removes a temporary folder, when this process is killed and cannot do so itself.
struct Guard(Child);

/// `read` returns when the other end of its input closes, which the kernel does however this process ends.
const GUARD: &str = r#"read -r nothing
kill -TERM "$1" 2>/dev/null
for try in 1 2 3 4 5 6 7 8 9 10; do
    kill -0 "$1" 2>/dev/null || break
    sleep 0.2
done
kill -KILL "$1" 2>/dev/null
if [ -n "$2" ]; then rm -rf -- "$2"; fi"#;

impl Guard {
    fn start(server: u32, temporary: Option<&Path>) -> io::Result<Guard> {
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "pipeline-demo-guard", &server.to_string()]).arg(temporary.unwrap_or(Path::new("")));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // As the server: Ctrl-C is not for it.
        command.process_group(0).spawn().map(Guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Killed before its input closes, so that it does nothing.
        end_now(&mut self.0);
    }
}
