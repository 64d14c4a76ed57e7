//! Pure: sections of a file, read key by key. What nobody asks for is unknown, and refused with the nearest name.

use std::cell::RefCell;

use super::yaml::{Node, NodeKind};
use crate::settings::nearest;

/// All that is wrong with a file, each with its line.
#[derive(Default)]
pub struct Report(RefCell<Vec<(usize, String)>>);

impl Report {
    /// Adds a problem.
    pub fn add(&self, line: usize, message: impl Into<String>) {
        self.0.borrow_mut().push((line, message.into()));
    }

    /// The problems, in the order of the file.
    pub fn into_problems(self) -> Vec<(usize, String)> {
        let mut problems = self.0.into_inner();
        problems.sort();
        problems
    }
}

/// A section: keys with values.
pub struct Section<'a> {
    line: usize,
    members: &'a [(String, Node)],
    report: &'a Report,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// The section that `node` is; `what` says what it should be.
    pub fn of(node: &'a Node, what: &str, report: &'a Report) -> Option<Section<'a>> {
        match &node.kind {
            NodeKind::Map(members) => Some(Section { line: node.line, members, report, asked: RefCell::default() }),
            _ => {
                report.add(node.line, format!("{what} must be a section with keys of its own"));
                None
            }
        }
    }

    /// Where it begins.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The value of `key`, if it has one.
    pub fn get(&self, key: &'static str) -> Option<&'a Node> {
        self.asked.borrow_mut().push(key);
        self.members.iter().find(|(name, _)| name == key).map(|(_, node)| node).filter(|node| !node.is_null())
    }

    /// A text.
    pub fn text(&self, key: &'static str) -> Option<String> {
        let node = self.get(key)?;
        if node.scalar().is_none() {
            self.report.add(node.line, format!("`{key}` must be a text"));
        }
        node.scalar().map(str::to_owned)
    }

    /// The elements of a list.
    pub fn list(&self, key: &'static str) -> &'a [Node] {
        match self.get(key) {
            None => &[],
            Some(Node { kind: NodeKind::List(items), .. }) => items,
            Some(node) => {
                self.report.add(node.line, format!("`{key}` must be a list"));
                &[]
            }
        }
    }

    /// Names that are the user's own, with their values.
    pub fn named(&self, key: &'static str) -> &'a [(String, Node)] {
        match self.get(key) {
            None => &[],
            Some(Node { kind: NodeKind::Map(members), .. }) => members,
            Some(node) => {
                self.report.add(node.line, format!("`{key}` must be a section with names of its own"));
                &[]
            }
        }
    }

    /// Refuses every key that nobody asked for.
    pub fn finish(self) {
        let asked = self.asked.into_inner();
        for (key, node) in self.members.iter().filter(|(key, _)| !asked.contains(&key.as_str())) {
            let hint = match nearest(key, asked.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("here are {}", asked.join(", ")),
            };
            self.report.add(node.line, format!("`{key}` is no key of this: {hint}"));
        }
    }
}
