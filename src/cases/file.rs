//! A test file: the settings of the streams, the tables, and the cases.

use std::fs;
use std::path::Path;

use super::case::Case;
use super::reader::{Report, Section};
use super::yaml::Node;
use crate::error::PipelineError;
use crate::event::StreamId;
use crate::settings::{Layers, RdbmsKind, Settings};

/// The event before the first one of a file: entries without an id of their own are of the beginning of 2024.
const BEGINNING: StreamId = StreamId { ms: 1_704_067_200_000, seq: 0 };

/// A file of cases.
#[derive(Debug)]
pub struct TestFile {
    /// Its name, for messages.
    pub name: String,
    /// The settings of the streams that it tests; nothing else of them counts.
    pub settings: Settings,
    /// The cases, in their order.
    pub cases: Vec<Case>,
    schema: Schema,
}

/// The SQL that makes the tables: for each database, or for all.
#[derive(Debug, Default)]
struct Schema {
    all: Option<String>,
    each: Vec<(RdbmsKind, String)>,
}

const KINDS: [(&str, RdbmsKind); 4] = [
    ("sqlite", RdbmsKind::Sqlite),
    ("postgres", RdbmsKind::Postgres),
    ("mysql", RdbmsKind::MySql),
    ("mariadb", RdbmsKind::MariaDb),
];

impl TestFile {
    /// Reads a file, and the settings that it names, whose path counts from the file's folder.
    ///
    /// # Errors
    /// All that is wrong with it, a line each.
    pub fn read(path: &Path) -> Result<TestFile, PipelineError> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|error| PipelineError::Configuration(format!("{name}: it cannot be read: {error}")))?;
        TestFile::parse(&name, &text, path.parent().unwrap_or(Path::new("")))
    }

    fn parse(name: &str, text: &str, folder: &Path) -> Result<TestFile, PipelineError> {
        let said = |(line, message): (usize, String)| format!("{name}:{line}: {message}");
        let root = Node::parse(text).map_err(|fault| PipelineError::Configuration(said(fault)))?;
        let report = Report::default();
        let read = read(&root, name, folder, &report);
        let problems: Vec<_> = report.into_problems().into_iter().map(said).collect();
        read.filter(|_| problems.is_empty()).ok_or_else(|| PipelineError::Configuration(problems.join("\n")))
    }

    /// The SQL that makes the tables in a database of this kind.
    pub fn schema(&self, kind: RdbmsKind) -> Option<&str> {
        let of = |wanted| self.schema.each.iter().find(|(kind, _)| *kind == wanted).map(|(_, sql)| sql.as_str());
        let sibling = match kind {
            RdbmsKind::MySql => of(RdbmsKind::MariaDb),
            RdbmsKind::MariaDb => of(RdbmsKind::MySql),
            RdbmsKind::Postgres | RdbmsKind::Sqlite => None,
        };
        of(kind).or(sibling).or(self.schema.all.as_deref())
    }
}

/// `None` only if the report says why.
fn read(root: &Node, name: &str, folder: &Path, report: &Report) -> Option<TestFile> {
    let section = Section::of(root, "a test file", report)?;
    let settings = settings(&section, name, folder, report);
    let schema = schema(&section, report);
    let of_file = section.text("stream");
    let only = match &settings {
        Some(Settings { streams, .. }) => Some(&streams[0].entity).filter(|_| streams.len() == 1).cloned(),
        // That they are wrong is said; which streams there would be is not known.
        None => Some(String::new()),
    };
    let entity = of_file.or(only);
    let mut after = BEGINNING;
    let nodes = section.list("cases");
    let cases: Vec<Case> =
        nodes.iter().filter_map(|node| Case::read(node, entity.as_deref(), &mut after, report)).collect();
    if nodes.is_empty() {
        report.add(section.line(), "a test file needs `cases`, a list");
    }
    section.finish();
    let settings = settings?;
    for case in cases.iter().filter(|case| settings.stream(&case.entity).is_none()) {
        let known: Vec<_> = settings.streams.iter().map(|stream| stream.entity.as_str()).collect();
        report.add(case.line, format!("there is no stream `{}`; there are {}", case.entity, known.join(", ")));
    }
    Some(TestFile { name: name.to_owned(), settings, cases, schema })
}

/// The settings without the environment: a test must not depend on it.
fn settings(section: &Section<'_>, name: &str, folder: &Path, report: &Report) -> Option<Settings> {
    let (settings, streams) = (section.get("settings"), section.get("streams"));
    let node = match (settings, streams) {
        (Some(node), None) | (None, Some(node)) => node,
        (None, None) => {
            report.add(
                section.line(),
                "a test file needs `settings`, the path of a file, or `streams`: those of --config are not taken",
            );
            return None;
        }
        (Some(node), Some(_)) => {
            report.add(node.line, "`settings` and `streams` cannot both be there");
            return None;
        }
    };
    let loaded = match settings.and_then(Node::scalar) {
        Some(file) => Settings::load(&Layers { file: Some(folder.join(file)), environment: Vec::new() }),
        // JSON is YAML.
        None if streams.is_some() => Settings::of_text(name, &format!("{{\"streams\": {}}}", node.to_json())),
        None => Settings::of_text(name, &node.to_json()),
    };
    loaded.map_err(|problems| problems.iter().for_each(|problem| report.add(node.line, problem.to_string()))).ok()
}

fn schema(section: &Section<'_>, report: &Report) -> Schema {
    let Some(node) = section.get("schema") else { return Schema::default() };
    if let Some(sql) = node.scalar() {
        return Schema { all: Some(sql.to_owned()), each: Vec::new() };
    }
    let Some(section) = Section::of(node, "`schema`, unless it is SQL for every database,", report) else {
        return Schema::default();
    };
    let each = KINDS.iter().filter_map(|(name, kind)| Some((*kind, section.text(name)?))).collect();
    section.finish();
    Schema { all: None, each }
}
