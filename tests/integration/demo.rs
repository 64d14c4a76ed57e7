//! `pipeline demo`, run as a person runs it: the real binary, its own Redis, a folder.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sea_orm::sqlx::{self, Connection, Row};
use tempfile::TempDir;

use crate::support::folder;
use crate::support::process::{Launch, Output, Process};
use crate::support::wait::eventually;

/// Longest run of a demo on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// Where a demo runs: everything that it makes is somewhere below.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(folder::temporary("demo place"));
        fs::create_dir(place.temporary()).unwrap();
        place
    }

    /// The folder for temporary folders.
    fn temporary(&self) -> std::path::PathBuf {
        self.0.path().join("tmp")
    }

    /// A folder to keep.
    fn kept(&self) -> std::path::PathBuf {
        self.0.path().join("kept")
    }

    fn launch(&self, args: &[&str]) -> Launch {
        Launch::new(env!("CARGO_BIN_EXE_pipeline"))
            .arg("demo")
            .args(args)
            .without_envs("PIPELINE__")
            // A demo must not touch what the environment speaks of.
            .env("PIPELINE__REDIS__HOST", "redis.invalid")
            .env("PIPELINE__RDBMS__TYPE", "postgres")
            .env("TMPDIR", self.temporary())
            .folder(self.0.path())
    }

    fn run(&self, args: &[&str]) -> Output {
        self.launch(args).run(DEADLINE)
    }

    fn run_kept(&self, args: &[&str]) -> Output {
        let kept = self.kept();
        self.run(&[&["--folder", kept.to_str().unwrap()], args].concat())
    }

    /// Starts one, and returns it once it has inserted something.
    async fn start(&self, args: &[&str]) -> Process {
        let file = |name| self.0.path().join(name);
        let demo = self.launch(args).spawn(&file("stdout"), &file("stderr"));
        eventually(DEADLINE, "the demo is under way", async || {
            let said = demo.stderr();
            if said.contains("inserted ") { Ok(()) } else { Err(said) }
        })
        .await;
        demo
    }

    /// Waits until no process speaks of this place any more, and nothing temporary is left.
    async fn is_left_clean(&self) {
        eventually(Duration::from_secs(10), "nothing is left", async || {
            let left = processes_at(self.0.path());
            let files: Vec<_> = fs::read_dir(self.temporary()).unwrap().map(|file| file.unwrap().path()).collect();
            if left.is_empty() && files.is_empty() { Ok(()) } else { Err(format!("{left:?} {files:?}")) }
        })
        .await;
    }

    async fn database(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.kept().join("user-actions.db"));
        SqliteConnection::connect_with(&options).await.unwrap()
    }
}

/// The command lines of all processes that have `path` among their arguments or work below it. Redis shows other
/// arguments than it was given, but changes to its `--dir`.
fn processes_at(path: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let process = entry.ok()?.path();
        let line = String::from_utf8_lossy(&fs::read(process.join("cmdline")).ok()?).replace('\0', " ");
        let works_there = fs::read_link(process.join("cwd")).is_ok_and(|folder| folder.starts_with(path));
        (works_there || line.contains(path.to_str()?)).then_some(line)
    });
    processes.collect()
}

fn assert_says(output: &Output, code: i32, parts: &[&str]) {
    assert_eq!(output.code, Some(code), "{output:#?}");
    for part in parts {
        assert!(output.stdout.contains(part), "`{part}` in {output:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_compares_everything_and_leaves_nothing_behind() {
    let place = Place::new();
    let output = place.run(&["--events", "1234"]);
    let figures = [
        "events          1,234 in ",
        " events/s",
        "transactions",
        "p50",
        "p99",
        "metrics:user_action:redis:success: 1234\n",
        "metrics:user_action:redis:fail: 0\n",
        "metrics:user_action:rdbms:success: 1234\n",
        "metrics:user_action:rdbms:fail: 0\n",
        "1,234 documents in Redis, 1,234 rows in SQLite: equal\n",
        "temporary",
    ];
    assert_says(&output, 0, &figures);
    assert!(!output.stderr.contains("WARN") && !output.stderr.contains("ERR"), "{}", output.stderr);
    place.is_left_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_folder_is_continued() {
    let place = Place::new();
    assert_says(&place.run_kept(&["--events", "700"]), 0, &["700 rows in SQLite: equal", "Kept in "]);
    let again = place.run_kept(&["--events", "300"]);
    let whole = "1,000 documents in Redis, 1,000 rows in SQLite: equal";
    assert_says(&again, 0, &["events          300 in ", "rdbms:success: 1000\n", whole]);
    assert!(again.stderr.contains("700 documents"), "{}", again.stderr);
    let settings = fs::read_to_string(place.kept().join("pipeline.yaml")).unwrap();
    assert!(settings.contains("port: ") && settings.contains("user-actions.db"), "{settings}");
    place.is_left_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_missing_is_found_and_named() {
    let place = Place::new();
    assert_says(&place.run_kept(&["--events", "500"]), 0, &["equal"]);
    let mut database = place.database().await;
    let row = sqlx::query("SELECT rowid, user_id, action, ts FROM user_actions LIMIT 1 OFFSET 321");
    let row = row.fetch_one(&mut database).await.unwrap();
    let text = |column: &str| row.get_unchecked::<String, _>(column);
    let missing = format!("missing in SQLite: user {}, {}, {}", text("user_id"), text("action"), text("ts"));
    let delete = sqlx::query("DELETE FROM user_actions WHERE rowid = ?").bind(row.get::<i64, _>("rowid"));
    assert_eq!(delete.execute(&mut database).await.unwrap().rows_affected(), 1);
    database.close().await.unwrap();
    let output = place.run_kept(&["--events", "500"]);
    assert_says(&output, 1, &["1,000 documents in Redis, 999 rows in SQLite: 1 difference"]);
    for part in [missing.as_str(), "rdbms:success is 1000, but there are 999 rows"] {
        assert!(output.stderr.contains(part), "`{part}` in {output:#?}");
    }
    place.is_left_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_there_twice_is_found_and_named() {
    let place = Place::new();
    assert_says(&place.run_kept(&["--events", "100"]), 0, &["equal"]);
    let mut database = place.database().await;
    let double = "INSERT INTO user_actions SELECT * FROM user_actions WHERE rowid = 7";
    sqlx::query(double).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    let output = place.run_kept(&["--events", "1"]);
    assert_says(&output, 1, &["101 documents in Redis, 102 rows in SQLite: 1 difference"]);
    assert!(output.stderr.contains("1 in Redis, 2 in SQLite: user "), "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_drains_and_leaves_nothing_behind() {
    for signal in ["INT", "TERM"] {
        let place = Place::new();
        let demo = place.start(&["--rate", "500"]).await;
        demo.signal(signal);
        let status = demo.wait_timeout(DEADLINE).expect("it ends");
        assert_eq!(status.code(), Some(130), "{}", demo.log_tail());
        assert!(demo.stdout().contains("of 10,000 user actions were inserted"), "{}", demo.log_tail());
        place.is_left_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_demo_can_be_continued() {
    let place = Place::new();
    let kept = place.kept();
    let demo = place.start(&["--rate", "500", "--folder", kept.to_str().unwrap()]).await;
    demo.signal("INT");
    assert_eq!(demo.wait_timeout(DEADLINE).expect("it ends").code(), Some(130), "{}", demo.log_tail());
    assert_says(&place.run_kept(&["--events", "50"]), 0, &[": equal"]);
    place.is_left_clean().await;
}

/// Whether a line `inserted 601, written 497 of 10,000` says that more is on its way than a moment's delay explains.
fn is_behind(line: &str) -> bool {
    let number = |text: &str| text.replace(',', "").parse::<u64>().ok();
    let numbers = line.strip_prefix("inserted ").and_then(|rest| {
        let (inserted, rest) = rest.split_once(", written ")?;
        let (written, _) = rest.split_once(" of ")?;
        number(inserted)?.checked_sub(number(written)?)
    });
    numbers.is_some_and(|behind| behind >= 100)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_interrupt_ends_a_drain_that_takes_too_long() {
    let place = Place::new();
    let kept = place.kept();
    let demo = place.start(&["--rate", "500", "--folder", kept.to_str().unwrap()]).await;
    let mut database = place.database().await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut database).await.unwrap();
    // Or there would be nothing for the drain to wait for.
    eventually(DEADLINE, "something to be in flight", async || {
        let said = demo.stderr();
        if said.lines().any(is_behind) { Ok(()) } else { Err(said) }
    })
    .await;
    demo.signal("INT");
    eventually(DEADLINE, "the drain begins", async || {
        let said = demo.stderr();
        if said.contains("once more ends it at once") { Ok(()) } else { Err(said) }
    })
    .await;
    assert!(demo.wait_timeout(Duration::from_millis(600)).is_none(), "it waits for the table: {}", demo.log_tail());
    demo.signal("INT");
    let status = demo.wait_timeout(Duration::from_secs(5)).expect("it ends at once");
    assert_eq!(status.code(), Some(130), "{}", demo.log_tail());
    place.is_left_clean().await;
    database.close().await.unwrap();
    let again = place.run_kept(&["--events", "10"]);
    assert_says(&again, 0, &[": equal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_takes_redis_along() {
    let place = Place::new();
    let demo = place.start(&["--rate", "500"]).await;
    let running = processes_at(place.0.path());
    assert!(running.iter().any(|line| line.contains("redis-server")), "{running:?}");
    demo.signal("KILL");
    demo.wait_timeout(DEADLINE).expect("it ends");
    place.is_left_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_redis_server_it_says_what_to_install() {
    let place = Place::new();
    let output = place.run(&["--redis-server", "no-such-redis-server"]);
    assert_eq!(output.code, Some(69), "{output:#?}");
    for part in ["`no-such-redis-server` was not found", "apt-get install", "--redis-server"] {
        assert!(output.stderr.contains(part), "`{part}` in {}", output.stderr);
    }
    place.is_left_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_dies_ends_the_demo() {
    let place = Place::new();
    let demo = place.start(&["--rate", "500"]).await;
    let pid = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let line = fs::read(format!("/proc/{name}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        // Redis rewrites its own title.
        let is_server = line.starts_with("redis-server") && parent(&name) == Some(demo.pid());
        is_server.then_some(name)
    });
    let pid = pid.last().expect("the demo has a Redis");
    Launch::new("sh").args(["-c", "kill -KILL \"$1\"", "kill", &pid]).run_ok(DEADLINE);
    let code = demo.wait_timeout(DEADLINE).expect("it ends").code();
    assert_eq!(code, Some(69), "{}", demo.log_tail());
    assert!(demo.stderr().contains("redis-server ended during the demo (signal: 9"), "{}", demo.stderr());
    place.is_left_clean().await;
}

fn parent(pid: &str) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
