//! On a terminal: a question that is answered, a bar, and lines that fit.

use std::time::Duration;

use super::{config, migrated, succeeding, written_behind};
use crate::support::database::{Kind, TestDatabase};
use crate::support::folder;
use crate::support::python::run_python;
use crate::support::redis::RedisServer;

/// Runs `argv[3:]` on a terminal of `argv[1]` columns, types `argv[2]`, and
/// prints what the terminal got, and the exit code.
const TERMINAL: &str = r#"
import fcntl, os, pty, struct, sys, termios
columns, answer, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
ours, theirs = pty.openpty()
fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
pid = os.fork()
if pid == 0:
    os.setsid()
    for fd in (0, 1, 2):
        os.dup2(theirs, fd)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE__")}
    os.execve(command[0], command, environment | {"TERM": "xterm"})
os.close(theirs)
os.write(ours, answer.encode())
got = b""
while True:
    try:
        some = os.read(ours, 65536)
    except OSError:
        break
    if not some:
        break
    got += some
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.stdout.write(got.decode(errors="replace").replace("\r\n", "\n") + f"exit {code}\n")
"#;

/// What the terminal shows of a command.
async fn on_terminal(config: &str, columns: u16, answer: &str, args: &[&str]) -> String {
    let folder = folder::temporary("terminal");
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, config).unwrap();
    let (columns, file) = (columns.to_string(), file.to_string_lossy().into_owned());
    let mut words = vec![columns, answer.to_owned(), env!("CARGO_BIN_EXE_pipeline").to_owned()];
    words.extend(args.iter().map(|arg| (*arg).to_owned()).chain(["--config".to_owned(), file]));
    let run = move || {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        run_python(TERMINAL, &words, Duration::from_secs(60))
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn dropping_tables_is_asked_for() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let config = config(&redis, &database);
    succeeding(&config, &["migrate", "up"]).await;
    let kept = on_terminal(&config, 200, "n\n", &["migrate", "down"]).await;
    assert!(kept.contains("go on? y or n: ") && kept.contains("nothing was dropped"), "{kept}");
    assert!(kept.ends_with("exit 1\n"), "{kept}");
    assert_eq!(database.count("write_behind_dead_letter").await, 0);
    let dropped = on_terminal(&config, 200, "y\n", &["migrate", "down"]).await;
    assert!(dropped.contains("reverted m") && dropped.ends_with("exit 0\n"), "{dropped}");
    assert!(database.try_rows("SELECT * FROM write_behind_dead_letter").await.is_err());
}

#[tokio::test]
async fn making_tables_is_asked_for() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let config = config(&redis, &database);
    let kept = on_terminal(&config, 200, "n\n", &["schema", "apply"]).await;
    assert!(kept.contains("CREATE TABLE \"user_actions\"") && kept.contains("go on? y or n: "), "{kept}");
    assert!(kept.contains("nothing was changed") && kept.ends_with("exit 1\n"), "{kept}");
    assert!(database.try_rows("SELECT * FROM user_actions").await.is_err());
    let made = on_terminal(&config, 200, "y\n", &["schema", "apply"]).await;
    assert!(made.ends_with("created table user_actions\nexit 0\n"), "{made}");
    assert_eq!(database.count("user_actions").await, 0);
}

#[tokio::test]
async fn progress_is_a_bar_that_goes_away() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let shown = on_terminal(&config(&redis, &database), 100, "", &["generate", "--events", "40", "--rate", "40"]).await;
    assert!(shown.contains(" of 40 events, ") && shown.contains(" per second, 0 failed, "), "{shown}");
    let last = shown.rsplit("\u{1b}[2K").next().unwrap_or_default();
    assert!(last.starts_with("40 events in ") && last.ends_with("0 failures\nexit 0\n"), "{shown:?}");
}

#[tokio::test]
async fn messages_are_cut_to_the_width() {
    let redis = RedisServer::start();
    let database = TestDatabase::new(Kind::Sqlite).await;
    let config = config(&redis, &database);
    migrated(&config).await;
    let document = format!(r#"{{"user_id":"{}"}}"#, "x".repeat(60));
    succeeding(&config, &["insert", "user_action", &document, "--key", "k"]).await;
    written_behind(&config, &database, 1).await;
    let shown = on_terminal(&config, 90, "", &["dead-letters", "list"]).await;
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[1].chars().count() == 90 && lines[1].ends_with('…'), "{shown}");
}
