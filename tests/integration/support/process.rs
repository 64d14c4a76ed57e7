//! Child processes that end with the test process, whatever ends it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{folder, port};

/// Between two looks at something that is about to happen.
const POLL: Duration = Duration::from_millis(5);

/// Longest start of a server, crash recovery on a busy machine included.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// Longest wait for a process that got SIGKILL.
const KILL_DEADLINE: Duration = Duration::from_secs(30);

/// Starts at most this often on another port.
const PORT_ATTEMPTS: usize = 5;

/// What to start, and how.
#[derive(Clone)]
pub struct Launch {
    program: PathBuf,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    envs_removed: Vec<OsString>,
    folder: PathBuf,
    stdin: Option<PathBuf>,
    user: Option<String>,
    mounts_of: Option<u32>,
    death_signal: &'static str,
}

/// How a program that ran to its end did.
#[derive(Debug)]
pub struct Output {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Everything it wrote to standard output.
    pub stdout: String,
    /// Everything it wrote to standard error.
    pub stderr: String,
}

/// A running child; killed with all its descendants when dropped.
pub struct Process {
    name: String,
    pid: u32,
    child: Mutex<Child>,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// Why a server did not come up.
pub enum StartFailure {
    /// Somebody else got the port first.
    PortTaken,
    /// Anything else, with the end of the log.
    Other(String),
}

impl Launch {
    /// Starts `program`, by path or looked up in `PATH`, in the folder of this test process.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            envs: vec![("LC_ALL".into(), "C.UTF-8".into())],
            envs_removed: Vec::new(),
            folder: folder::root().to_owned(),
            stdin: None,
            user: None,
            mounts_of: None,
            death_signal: "KILL",
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item: AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Takes away the environment variables whose names start so.
    pub fn without_envs(mut self, prefix: &str) -> Self {
        let inherited = std::env::vars_os().map(|(name, _)| name);
        self.envs_removed.extend(inherited.filter(|name| name.to_string_lossy().starts_with(prefix)));
        self
    }

    /// Runs in this folder.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Reads standard input from this file instead of getting none.
    pub fn stdin(mut self, file: impl Into<PathBuf>) -> Self {
        self.stdin = Some(file.into());
        self
    }

    /// Runs as this user, when given.
    pub fn user(mut self, user: Option<&str>) -> Self {
        self.user = user.map(str::to_owned);
        self
    }

    /// Sees the file systems that this process sees, when given.
    pub fn in_mounts_of(mut self, process: Option<u32>) -> Self {
        self.mounts_of = process;
        self
    }

    /// Gets this signal instead of `KILL` when the test process ends.
    pub fn death_signal(mut self, signal: &'static str) -> Self {
        self.death_signal = signal;
        self
    }

    /// Starts it with both outputs in `log`.
    pub fn spawn_logging_to(self, log: &Path) -> Process {
        self.spawn(log, log)
    }

    /// Starts it with its outputs in two files.
    pub fn spawn(self, stdout: &Path, stderr: &Path) -> Process {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str()).to_string_lossy().into_owned();
        let out = File::create(stdout).unwrap_or_else(|e| panic!("{}: {e}", stdout.display()));
        let err = if stdout == stderr { out.try_clone() } else { File::create(stderr) };
        let err = err.unwrap_or_else(|e| panic!("{}: {e}", stderr.display()));
        let stdin = match &self.stdin {
            Some(file) => File::open(file).unwrap_or_else(|e| panic!("{}: {e}", file.display())).into(),
            None => Stdio::null(),
        };

        let mut command = match self.mounts_of {
            // They all become one another, so that the id of the process is the program's in the end.
            Some(process) => {
                let mut command = Command::new("nsenter");
                command.args(["--mount", "--target", &process.to_string()]);
                command.arg(format!("--wdns={}", self.folder.display())).args(["--", "setpriv"]);
                command
            }
            None => Command::new("setpriv"),
        };
        command.args(["--pdeathsig", self.death_signal]);
        if let Some(user) = &self.user {
            command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--init-groups"]);
        }
        command.arg("--").arg(&self.program).args(&self.args).current_dir(&self.folder);
        self.envs_removed.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.envs(self.envs).stdin(stdin).stdout(out).stderr(err);
        let child = spawn(command).unwrap_or_else(|e| panic!("cannot start {name} through setpriv: {e}"));
        Process { name, pid: child.id(), child: Mutex::new(child), stdout: stdout.into(), stderr: stderr.into() }
    }

    /// Runs it to its end; panics when that takes longer than `deadline`.
    pub fn run(self, deadline: Duration) -> Output {
        let files = folder::temporary("run");
        let process = self.spawn(&files.path().join("stdout"), &files.path().join("stderr"));
        let Some(status) = process.wait_timeout(deadline) else {
            panic!("{} did not end within {deadline:?}; it wrote:\n{}", process.name, process.log_tail());
        };
        Output { code: status.code(), stdout: process.stdout(), stderr: process.stderr() }
    }

    /// Runs it to its end and returns what it wrote to standard output; panics when it fails.
    pub fn run_ok(self, deadline: Duration) -> String {
        self.run_again_after(&[], deadline)
    }

    /// The same, but starts it again for as long as it fails for one of these reasons.
    pub fn run_again_after(self, reasons: &[&str], deadline: Duration) -> String {
        let end = Instant::now() + deadline;
        loop {
            let output = self.clone().run(deadline);
            if output.code == Some(0) {
                return output.stdout;
            }
            let passes = reasons.iter().any(|reason| output.stderr.contains(reason));
            let command = format!("{} {:?}", self.program.display(), self.args);
            assert!(passes && Instant::now() < end, "{command} failed: {output:#?}");
            thread::sleep(POLL);
        }
    }
}

impl Process {
    /// Id of the process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        self.wait_timeout(Duration::ZERO).is_none()
    }

    /// Kills it and all its descendants (SIGKILL) and waits until they are gone. Without effect on one that has ended.
    pub fn kill(&self) {
        if !self.is_running() {
            return;
        }
        // Stopped, it starts no further children while we count them.
        send("STOP", &[self.pid]);
        let family = descendants(self.pid);
        send("KILL", &[&[self.pid], family.as_slice()].concat());
        let gone = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| state(&stat) == "Z");
        let end = Instant::now() + KILL_DEADLINE;
        while self.is_running() || !family.iter().all(gone) {
            if Instant::now() > end {
                eprintln!("{} ({}) survives SIGKILL", self.name, self.pid);
                return;
            }
            thread::sleep(POLL);
        }
    }

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&self, signal: &str) {
        assert!(self.is_running(), "no SIG{signal} to {}, it has ended:\n{}", self.name, self.log_tail());
        assert!(send(signal, &[self.pid]), "cannot send SIG{signal} to {}", self.name);
    }

    /// How it ended, if it does so within `limit`.
    pub fn wait_timeout(&self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            let status = self.child().try_wait().unwrap_or_else(|e| panic!("cannot wait for {}: {e}", self.name));
            if status.is_some() || Instant::now() >= end {
                return status;
            }
            thread::sleep(POLL);
        }
    }

    /// Everything written to standard output so far.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// Everything written to standard error so far.
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// The last lines of both outputs, for messages.
    pub fn log_tail(&self) -> String {
        let mut log = self.stdout();
        if self.stdout != self.stderr {
            log += &self.stderr();
        }
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Waits until the log says `ready`. A probe over the network could be answered by another server that got the port.
    pub fn wait_ready(&self, ready: &str) -> Result<(), StartFailure> {
        let end = Instant::now() + START_DEADLINE;
        loop {
            let running = self.is_running();
            if self.stdout().contains(ready) {
                return Ok(());
            }
            if !running && self.stdout().contains("Address already in use") {
                return Err(StartFailure::PortTaken);
            }
            if !running || Instant::now() > end {
                let what = if running { "is not ready in time" } else { "ended at its start" };
                return Err(StartFailure::Other(format!("{} {what}:\n{}", self.name, self.log_tail())));
            }
            thread::sleep(POLL);
        }
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a server on a free port, and on another when somebody was faster.
pub fn start_on_free_port(start: impl Fn(u16) -> Result<Process, StartFailure>) -> (u16, Process) {
    for _ in 0..PORT_ATTEMPTS {
        let port = port::free();
        match start(port) {
            Ok(process) => return (port, process),
            Err(StartFailure::PortTaken) => {}
            Err(StartFailure::Other(why)) => panic!("{why}"),
        }
    }
    panic!("{PORT_ATTEMPTS} ports in a row were taken by others");
}

/// Starts a server again on its port.
pub fn start_on_port(port: u16, start: impl Fn(u16) -> Result<Process, StartFailure>) -> Process {
    match start(port) {
        Ok(process) => process,
        Err(StartFailure::PortTaken) => panic!("port {port} was taken by another process in the meantime"),
        Err(StartFailure::Other(why)) => panic!("{why}"),
    }
}

/// A name for the log of the next run in this folder: in a log of its own only that run can say that it is ready.
pub fn next_log(folder: &Path) -> PathBuf {
    (1..).map(|run| folder.join(format!("log.{run}"))).find(|log| !log.exists()).expect("an unused name")
}

struct Request {
    command: Command,
    reply: Sender<io::Result<Child>>,
}

/// The kernel sends the death signal when the *thread* that started the child ends, and a test's thread ends with the
/// test; this one ends with the process.
static SPAWNER: LazyLock<Sender<Request>> = LazyLock::new(|| {
    let (sender, requests) = mpsc::channel::<Request>();
    let run = move || {
        for mut request in requests {
            // The one who asked is waiting, so the reply arrives.
            let _ = request.reply.send(request.command.spawn());
        }
    };
    thread::Builder::new().name("spawner".into()).spawn(run).expect("a thread starts");
    sender
});

fn spawn(command: Command) -> io::Result<Child> {
    let (reply, child) = mpsc::channel();
    SPAWNER.send(Request { command, reply }).expect("the spawner lives as long as the process");
    child.recv().expect("the spawner replies")
}

/// The shell's own `kill`: neither an unsafe call nor a package that may be missing.
fn send(signal: &str, pids: &[u32]) -> bool {
    Command::new("sh")
        .args(["-c", "kill -s \"$@\"", "kill", signal])
        .args(pids.iter().map(u32::to_string))
        .stderr(Stdio::null())
        .status()
        .expect("sh starts")
        .success()
}

fn descendants(of: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .expect("/proc is mounted")
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, fields(&stat).nth(1)?.parse().ok()?))
        })
        .collect();
    let mut family = vec![of];
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        family.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    family.split_off(1)
}

fn state(stat: &str) -> &str {
    fields(stat).next().unwrap_or("")
}

/// The fields after the command, which is in parentheses and may hold anything.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace()
}

fn read(file: &Path) -> String {
    fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
