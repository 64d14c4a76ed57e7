//! Python programs as outside writers: what they write, none of our code has touched.

use std::fs;
use std::time::Duration;

use super::process::Launch;
use super::{cache, folder};

/// Runs a script, with the `redis` package at hand and `args` in `sys.argv[1:]`, to its end; returns what it printed.
/// Panics when it fails or takes longer than `deadline`. Blocks the calling thread.
pub fn run_python(script: &str, args: &[&str], deadline: Duration) -> String {
    let client = cache::python_client();
    let interpreter = fs::read_to_string(client.join("interpreter")).expect("the cache names the interpreter");
    let folder = folder::temporary("python");
    let file = folder.path().join("script.py");
    fs::write(&file, script).expect("the script is written");
    Launch::new(interpreter.trim())
        .arg(&file)
        .args(args)
        .without_envs("PYTHON")
        .env("PYTHONPATH", client)
        // The cache is shared and stays as it was installed.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .folder(folder.path())
        .run_ok(deadline)
}
