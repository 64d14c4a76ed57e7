//! The real binary.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::time::sleep;

use super::disk::SmallDisk;
use super::folder;
use super::process::{Launch, Output, Process};

const POLL: Duration = Duration::from_millis(10);

/// Longest run of a command that is expected to end by itself.
const COMMAND_DEADLINE: Duration = Duration::from_secs(60);

/// A running pipeline; killed when dropped.
pub struct PipelineProcess {
    process: Process,
    _folder: TempDir,
}

impl PipelineProcess {
    /// Starts `pipeline ARGS… --config FILE`, with the file holding `config_yaml`, in an empty folder and without the
    /// settings that this process has in its environment.
    pub fn start(config_yaml: &str, args: &[&str]) -> Self {
        Self::start_with(config_yaml, args, &[], "")
    }

    /// The same with environment variables, and with `stdin` on standard input.
    pub fn start_with(config_yaml: &str, args: &[&str], envs: &[(&str, &str)], stdin: &str) -> Self {
        Self::launch(config_yaml, args, envs, stdin, None)
    }

    /// Starts it where it sees this disk.
    pub fn start_on(disk: &SmallDisk, config_yaml: &str) -> Self {
        Self::launch(config_yaml, &[], &[], "", Some(disk.seen_by()))
    }

    fn launch(config_yaml: &str, args: &[&str], envs: &[(&str, &str)], stdin: &str, mounts_of: Option<u32>) -> Self {
        let folder = folder::temporary("pipeline");
        let file = |name| folder.path().join(name);
        fs::write(file("config.yaml"), config_yaml).expect("the settings are written");
        fs::write(file("stdin"), stdin).expect("the input is written");
        let work = file("work");
        fs::create_dir(&work).expect("the working folder is made");
        let mut launch = Launch::new(env!("CARGO_BIN_EXE_pipeline"))
            .args(args)
            .arg("--config")
            .arg(file("config.yaml"))
            .without_envs("PIPELINE__")
            .env("RUST_BACKTRACE", "1")
            .stdin(file("stdin"))
            .folder(work)
            .in_mounts_of(mounts_of);
        for (name, value) in envs {
            launch = launch.env(name, value);
        }
        let process = launch.spawn(&file("stdout"), &file("stderr"));
        Self { process, _folder: folder }
    }

    /// Id of the process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        self.process.signal("TERM");
    }

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Its exit code, if it ends within `limit`; one that a signal ended has 128 plus the signal's number, as in a shell.
    pub async fn wait_exit(&self, limit: Duration) -> Option<i32> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.process.wait_timeout(Duration::ZERO) {
                return status.code().or_else(|| status.signal().map(|signal| 128 + signal));
            }
            if Instant::now() >= end {
                return None;
            }
            sleep(POLL).await;
        }
    }

    /// Everything written to standard output so far.
    pub fn stdout(&self) -> String {
        self.process.stdout()
    }

    /// Everything written to standard error so far.
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }
}

impl Drop for PipelineProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the pipeline's last words ---\n{}\n---", self.process.log_tail());
        }
    }
}

/// Runs a command of the pipeline to its end; panics when it takes longer than a minute.
pub async fn run_pipeline(config_yaml: &str, args: &[&str], stdin: &str) -> Output {
    let pipeline = PipelineProcess::start_with(config_yaml, args, &[], stdin);
    let Some(code) = pipeline.wait_exit(COMMAND_DEADLINE).await else {
        panic!("pipeline {args:?} does not end:\n{}", pipeline.process.log_tail());
    };
    Output { code: Some(code), stdout: pipeline.stdout(), stderr: pipeline.stderr() }
}
