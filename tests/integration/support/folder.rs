//! Temporary folders that are removed even when the test process is killed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;

/// Removes its argument as soon as its standard input closes, which the kernel does however the writer ends. It tries
/// again for a while: the servers in there get their death signal at the same moment.
const JANITOR: &str = "cat >/dev/null
    for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        rm -rf -- \"$1\" 2>/dev/null && sleep 0.5 && [ ! -e \"$1\" ] && exit
        sleep 0.5
    done";

struct Root {
    path: PathBuf,
    /// Its standard input is never written to, and open for as long as this process lives.
    _janitor: Child,
}

/// Servers kept in statics are never dropped, and a killed test drops nothing: so all folders of this process are in one
/// that somebody else removes.
static ROOT: LazyLock<Root> = LazyLock::new(|| {
    let path = tempfile::Builder::new().prefix("write-behind-test-").tempdir().expect("a temporary folder").keep();
    // Database servers run as users of their own and must pass through.
    fs::set_permissions(&path, Permissions::from_mode(0o711)).expect("permissions of the temporary folder");
    let janitor = Command::new("sh")
        .args(["-c", JANITOR, "janitor"])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C goes to the foreground group; the janitor has to stay.
        .process_group(0)
        .spawn()
        .expect("sh starts");
    Root { path, _janitor: janitor }
});

/// The folder that holds all others of this process.
pub fn root() -> &'static Path {
    &ROOT.path
}

/// Copies a folder with all that is in it and belongs to it, in place of what `to` may hold.
pub fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap_or_else(|e| panic!("{}: {e}", to.display()));
    }
    let copied = Command::new("cp").arg("--archive").args([from, to]).status().expect("cp starts");
    assert!(copied.success(), "{} cannot be copied to {}", from.display(), to.display());
}

/// A new folder, removed when dropped and at the latest after the end of this process.
pub fn temporary(prefix: &str) -> TempDir {
    tempfile::Builder::new().prefix(&format!("{prefix}-")).tempdir_in(root()).expect("a temporary folder")
}
