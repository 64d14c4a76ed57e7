//! The folder that holds everything of a demo: Redis's append-only file and log, the SQLite file, the settings.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use write_behind::error::PipelineError;

/// How `pipeline.yaml` begins. A folder that has other contents is somebody else's, and stays as it is.
const MARK: &str = "# Made by `pipeline demo`";

/// A folder for one demo at a time.
pub struct DemoFolder {
    path: PathBuf,
    /// `pipeline.yaml`, locked: two servers on one append-only file would ruin it.
    settings: File,
    /// Removed when dropped. Last, so that nothing is open in it by then.
    temporary: Option<TempDir>,
}

impl DemoFolder {
    /// The folder `named`, made if need be, or a temporary one.
    ///
    /// # Errors
    /// It cannot be made or written to, belongs to something else, or another demo runs in it.
    pub fn open(named: Option<&Path>) -> Result<DemoFolder, PipelineError> {
        let (path, temporary) = match named {
            Some(path) => (path.to_owned(), None),
            None => {
                let made = tempfile::Builder::new().prefix("pipeline-demo-").tempdir();
                let made = made.map_err(|error| {
                    unusable(&std::env::temp_dir(), &format!("no temporary folder can be made in it: {error}"))
                })?;
                (made.path().to_owned(), Some(made))
            }
        };
        let failed = |error: io::Error| unusable(&path, &error.to_string());
        fs::create_dir_all(&path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        if path.to_str().is_none() {
            // The settings are text.
            return Err(unusable(&path, "its name is not UTF-8"));
        }
        let settings = claim(&path)?;
        Ok(DemoFolder { path, settings, temporary })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it stays when the demo ends.
    pub fn is_kept(&self) -> bool {
        self.temporary.is_none()
    }

    /// The SQLite file.
    pub fn database(&self) -> PathBuf {
        self.path.join("user-actions.db")
    }

    /// What Redis prints.
    pub fn redis_log(&self) -> PathBuf {
        self.path.join("redis.log")
    }

    /// The settings file.
    pub fn settings(&self) -> PathBuf {
        self.path.join("pipeline.yaml")
    }

    /// Writes the settings file for a Redis on `port`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_settings(&mut self, port: u16) -> Result<(), PipelineError> {
        let database = self.database().to_string_lossy().into_owned();
        // A JSON string is a YAML string, whatever the path has in it.
        let database = serde_json::Value::from(database);
        let text = format!(
            "{MARK}: the settings it ran with. Everything else is as in settings/default.yaml.\n\
             # The demo writes this file anew each time; copy it before you change it.\n\
             redis:\n  host: 127.0.0.1\n  port: {port}\n\
             rdbms:\n  type: sqlite\n  database: {database}\n\
             app:\n  name: demo\n"
        );
        write_anew(&mut self.settings, &text).map_err(|error| unusable(&self.path, &format!("pipeline.yaml: {error}")))
    }
}

/// Opens `pipeline.yaml` and locks it, if the folder is the demo's or empty.
fn claim(path: &Path) -> Result<File, PipelineError> {
    let failed = |error: io::Error| unusable(path, &error.to_string());
    let file = path.join("pipeline.yaml");
    if !file.exists() && fs::read_dir(path).map_err(failed)?.next().is_some() {
        return Err(unusable(path, "it is not empty, and was not made by a demo"));
    }
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&file);
    let mut settings = opened.map_err(|error| unusable(path, &format!("pipeline.yaml: {error}")))?;
    match settings.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(unusable(path, "another demo runs in it")),
        // A file system without locks: two demos in one folder are unlikely enough.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let mut text = String::new();
    settings.read_to_string(&mut text).map_err(failed)?;
    if !text.is_empty() && !text.starts_with(MARK) {
        return Err(unusable(path, "its pipeline.yaml was not made by a demo"));
    }
    if text.is_empty() {
        // The mark stands from the beginning: a demo that fails before it knows its port has claimed the folder.
        write_anew(&mut settings, &format!("{MARK}\n")).map_err(failed)?;
    }
    Ok(settings)
}

fn write_anew(file: &mut File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())
}

fn unusable(path: &Path, why: &str) -> PipelineError {
    let advice = "name another one with --folder";
    PipelineError::Configuration(format!("the folder {} cannot be used: {why}; {advice}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_used_by_one_demo_at_a_time_and_again_later() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a \"b\"/c");
        let mut first = DemoFolder::open(Some(&path)).unwrap();
        first.write_settings(4711).unwrap();
        let error = DemoFolder::open(Some(&path)).err().unwrap();
        assert!(error.to_string().contains("another demo runs in it"), "{error}");
        drop(first);
        let again = DemoFolder::open(Some(&path)).unwrap();
        assert!(fs::read_to_string(again.settings()).unwrap().contains("port: 4711"));
        assert!(again.is_kept());
    }

    #[test]
    fn what_belongs_to_others_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes"), "mine").unwrap();
        let error = DemoFolder::open(Some(folder.path())).err().unwrap();
        assert!(error.to_string().contains("not empty"), "{error}");
        fs::write(folder.path().join("pipeline.yaml"), "redis:\n").unwrap();
        let error = DemoFolder::open(Some(folder.path())).err().unwrap();
        assert!(error.to_string().contains("was not made by a demo"), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join("pipeline.yaml")).unwrap(), "redis:\n");
    }

    #[test]
    fn a_temporary_folder_goes() {
        let folder = DemoFolder::open(None).unwrap();
        let path = folder.path().to_owned();
        assert!(path.exists() && !folder.is_kept());
        drop(folder);
        assert!(!path.exists());
    }
}
