//! House rules that a compiler does not know.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "entity/src", "migration/src", "tests", "benches"] {
        walk(&root.join(folder), &mut found);
    }
    found.iter_mut().for_each(|(path, _)| *path = path.strip_prefix(root).unwrap().to_owned());
    assert!(found.len() > 50, "the sources were found");
    found
}

/// What a file says before its tests begin.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

#[test]
fn files_are_of_a_size_to_be_read() {
    const LINES_MAX: usize = 500;
    let long = sources().into_iter().filter(|(_, text)| text.lines().count() > LINES_MAX);
    let long: Vec<PathBuf> = long.map(|(path, _)| path).collect();
    assert!(long.is_empty(), "over {LINES_MAX} lines: {long:?}");
}

/// Pure modules decide; they do no I/O, know no clock and no log, and so are tested without any.
#[test]
fn pure_modules_import_nothing_impure() {
    const PURE: [&str; 23] = [
        "src/audit.rs",
        "src/batch.rs",
        "src/cases/case.rs",
        "src/cases/compare.rs",
        "src/cases/reader.rs",
        "src/cases/yaml.rs",
        "src/credits.rs",
        "src/decode.rs",
        "src/event.rs",
        "src/expression/",
        "src/fields.rs",
        "src/lane.rs",
        "src/mapping/",
        "src/metrics/log_entry.rs",
        "src/row.rs",
        "src/schema/",
        "src/sink/bisect.rs",
        "src/supervision/exit.rs",
        "src/supervision/strategy.rs",
        "src/table.rs",
        "src/value_format.rs",
        "src/wire.rs",
        "src/error.rs",
    ];
    const IMPURE: [&str; 8] =
        ["actix", "redis::", "sea_orm", "sqlx", "tokio", "slog", "Instant::now", "SystemTime::now"];
    let sources = sources();
    for pure in PURE {
        let is_pure = |path: &Path| path.starts_with(pure.trim_end_matches('/')) && !path.ends_with("tests.rs");
        let files: Vec<_> = sources.iter().filter(|(path, _)| is_pure(path)).collect();
        assert!(!files.is_empty(), "{pure} is gone: mend this list");
        for (path, text) in files {
            let code = without_tests(text).lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                let found = IMPURE.iter().find(|word| line.contains(**word));
                assert!(found.is_none(), "{} is pure, but says: {line}", path.display());
            }
        }
    }
}

/// The checkpoint moves in one place, and that place is inside the transaction that writes the rows.
#[test]
fn one_function_moves_the_checkpoint() {
    let users = sources()
        .into_iter()
        .filter(|(path, text)| path.starts_with("src") && without_tests(text).contains("advance_sql("));
    let users: Vec<PathBuf> = users.map(|(path, _)| path).collect();
    assert_eq!(users.len(), 2, "where it is written and where it is used: {users:?}");
}

#[test]
fn every_file_says_what_it_is() {
    let is_migration = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("m2"));
    let silent = sources().into_iter().filter(|(path, text)| !text.starts_with("//!") && !is_migration(path));
    let silent: Vec<PathBuf> = silent.map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "without a first line that says what they are: {silent:?}");
}

#[test]
fn nothing_but_tests_unwraps() {
    for (path, text) in sources().into_iter().filter(|(path, _)| path.starts_with("src")) {
        for word in [".unwrap()", ".expect(", "todo!(", "dbg!("] {
            let in_test_file = path.to_string_lossy().ends_with("tests.rs");
            assert!(in_test_file || !without_tests(&text).contains(word), "{} has {word}", path.display());
        }
    }
}

/// The reliability page explains every reason for which a stream's actors can end.
#[test]
fn every_exit_reason_is_documented() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/RELIABILITY.md")).unwrap();
    for reason in write_behind::supervision::exit::ExitReason::NAMES {
        assert!(page.contains(&format!("| `{reason}` |")), "docs/RELIABILITY.md does not explain `{reason}`");
    }
}
