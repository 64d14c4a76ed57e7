//! Every YAML example of the pages about mapping does what the pages say, on every database.
//!
//! A comment before the block, which readers of the page do not see, completes it to a test file of
//! `pipeline test-mapping`:
//!
//! * `<!-- test`, then keys of a stream (indented by four) that the block leaves out, then `schema` and `cases`. A block
//!   that is indented by four stands below a stream called `thing`; any other one is a file of settings.
//! * `<!-- test of NAME`, then the settings file of that name: the block is a test file itself.
//! * `<!-- not tested: REASON -->`.

use std::fs;
use std::path::Path;

use write_behind::cases::TestFile;
use write_behind::settings::RdbmsKind;

use crate::support::database::{Kind, TestDatabase};
use crate::support::folder;
use crate::support::pipeline::run_pipeline;

/// A block, and the comment before it.
struct Example {
    line: usize,
    comment: String,
    yaml: String,
}

/// The YAML blocks of a page. Panics if one has no comment.
fn examples(page: &str, text: &str) -> Vec<Example> {
    let lines: Vec<&str> = text.lines().collect();
    let fences = lines.iter().enumerate().filter(|(_, line)| line.trim() == "```yaml");
    let example = |(start, fence): (usize, &&str)| {
        let indent = fence.len() - fence.trim_start().len();
        let inside = |line: &&str| line.get(indent..).unwrap_or_default().to_owned() + "\n";
        let yaml: String = lines[start + 1..].iter().take_while(|line| line.trim() != "```").map(&inside).collect();
        let before = lines[..start].iter().rposition(|line| !line.trim().is_empty()).unwrap();
        let begin = lines[..=before].iter().rposition(|line| line.contains("<!--"));
        let place = format!("{page}:{}", start + 1);
        let begin = begin.filter(|_| lines[before].trim_end().ends_with("-->"));
        let begin =
            begin.unwrap_or_else(|| panic!("{place}: a block that no comment makes a test, see documentation.rs"));
        let comment: String = lines[begin..=before].iter().map(inside).collect();
        let comment = comment.trim().trim_start_matches("<!--").trim_end_matches("-->").trim_start().to_owned();
        Example { line: start + 1, comment, yaml }
    };
    fences.map(example).collect()
}

impl Example {
    /// Puts its files into a folder: `example.test.yaml` and what that names. False if it is no test, and says why.
    fn write(&self, folder: &Path) -> bool {
        let put = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        if let Some(reason) = self.comment.strip_prefix("not tested:") {
            assert!(reason.trim().len() > 10, "line {}: why is it not tested?", self.line);
            return false;
        }
        let (head, rest) =
            self.comment.split_once('\n').unwrap_or_else(|| panic!("line {}: {}", self.line, self.comment));
        if let Some(name) = head.strip_prefix("test of ") {
            put(name.trim(), rest);
            put("example.test.yaml", &self.yaml);
            return true;
        }
        assert_eq!(head.trim(), "test", "line {}", self.line);
        let keys: String =
            rest.lines().take_while(|line| line.starts_with("    ")).map(|line| format!("{line}\n")).collect();
        let stream = if self.yaml.starts_with("    ") { "streams:\n  thing:\n" } else { "" };
        put("settings.yaml", &format!("{stream}{}{keys}", self.yaml));
        put("example.test.yaml", &format!("settings: settings.yaml\n{}", &rest[keys.len()..]));
        true
    }
}

/// The database's name in the settings of the library.
pub(super) fn rdbms(kind: Kind) -> RdbmsKind {
    match kind {
        Kind::Sqlite => RdbmsKind::Sqlite,
        Kind::Postgres => RdbmsKind::Postgres,
        Kind::MariaDb => RdbmsKind::MariaDb,
    }
}

async fn every_example_holds(page: &str, at_least: usize) {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let mut tested = 0;
    for example in examples(page, &text) {
        let folder = folder::temporary("documentation");
        if !example.write(folder.path()) {
            continue;
        }
        tested += 1;
        let path = folder.path().join("example.test.yaml");
        let place = format!("{page}:{}", example.line);
        let file = TestFile::read(&path).unwrap_or_else(|error| panic!("{place}: {error}"));
        let path = path.to_string_lossy().into_owned();
        let output = run_pipeline("", &["test-mapping", &path], "").await;
        assert_eq!(output.code, Some(0), "{place}:\n{}{}", output.stdout, output.stderr);
        for kind in Kind::ALL {
            let database = TestDatabase::new(kind).await;
            let config = database.settings_yaml();
            let migrated = run_pipeline(&config, &["migrate", "up"], "").await;
            assert_eq!(migrated.code, Some(0), "{migrated:?}");
            database
                .execute(file.schema(rdbms(kind)).unwrap_or_else(|| panic!("{place}: no schema for {kind:?}")))
                .await;
            let output = run_pipeline(&config, &["test-mapping", "--database", &path], "").await;
            assert_eq!(output.code, Some(0), "{place}, {kind:?}:\n{}{}", output.stdout, output.stderr);
        }
    }
    assert!(tested >= at_least, "{page}: {tested} examples were found");
}

#[tokio::test]
async fn every_example_of_the_page_about_mapping_holds() {
    every_example_holds("docs/MAPPING.md", 13).await;
}

#[tokio::test]
async fn the_example_of_the_readme_holds() {
    every_example_holds("README.md", 1).await;
}
