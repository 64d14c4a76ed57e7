//! A small disk, so that a full one is real: a file system in memory that only those processes see that are told to.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::process::{Launch, Process, StartFailure, next_log};

/// Mounts, and keeps the mount for as long as it runs.
const HOLD: &str = "mount -t tmpfs -o \"$2\" small-disk \"$1\" && echo mounted && exec sleep infinity";

/// A small disk; gone when dropped.
pub struct SmallDisk {
    holder: Process,
    folder: PathBuf,
}

impl SmallDisk {
    /// Puts a disk of so many megabytes over this folder, which it creates and which is its parent's owner's.
    /// `None`, and said loudly, where this process may not mount.
    pub fn over(folder: &Path, megabytes: u32) -> Option<Self> {
        fs::create_dir_all(folder).expect("the folder to mount over");
        let parent = folder.parent().expect("it is in a folder");
        let owner = fs::metadata(parent).expect("its folder");
        let options = format!("size={megabytes}m,mode=700,uid={},gid={}", owner.uid(), owner.gid());
        // Private, so that nothing of it can be seen or be left over outside.
        let holder = Launch::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", HOLD, "small-disk"])
            .arg(folder)
            .arg(options)
            .spawn_logging_to(&next_log(parent));
        match holder.wait_ready("mounted") {
            Ok(()) => Some(SmallDisk { holder, folder: folder.to_owned() }),
            Err(StartFailure::Other(why)) => {
                // Past the test runner, which shows what a test prints only when it fails.
                let _ = writeln!(io::stderr(), "SKIPPED: a full disk needs the right to mount one: {why}");
                None
            }
            Err(StartFailure::PortTaken) => unreachable!("a disk has no port"),
        }
    }

    /// The process that sees the disk; others are started with its mounts.
    pub fn seen_by(&self) -> u32 {
        self.holder.pid()
    }

    /// The disk, as it can be reached from outside.
    pub fn path(&self) -> PathBuf {
        let folder = self.folder.strip_prefix("/").expect("an absolute path");
        PathBuf::from(format!("/proc/{}/root", self.holder.pid())).join(folder)
    }

    /// Leaves not a byte free, also if it has been filled before and something was freed since.
    pub fn fill(&self) {
        let filler = OpenOptions::new().create(true).append(true).open(self.filler());
        let mut filler = filler.expect("the disk takes a file");
        for size in [1 << 20, 1 << 12] {
            loop {
                match filler.write(&vec![0; size]) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{}: {error}", self.filler().display()),
                }
            }
        }
    }

    /// Gives the space back.
    pub fn free(&self) {
        fs::remove_file(self.filler()).expect("the disk is full");
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}
