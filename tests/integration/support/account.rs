//! Who runs a database server.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::time::Duration;

use super::process::Launch;

/// PostgreSQL and MariaDB refuse to run as root: then they run as the system's account for them, and otherwise as us.
/// The folder is handed over to it.
pub fn for_server(account: &'static str, folder: &Path) -> Option<&'static str> {
    let own = fs::metadata(folder).expect("the server's folder").uid();
    if own != 0 {
        return None;
    }
    let id = |option| {
        let id = Launch::new("id").args([option, account]).run_ok(Duration::from_secs(10));
        id.trim().parse::<u32>().expect("a numeric id")
    };
    chown(folder, Some(id("-u")), Some(id("-g"))).expect("the folder changes hands");
    Some(account)
}
