//! Pure: YAML with its lines, and with its scalars as they are written. The reader of the settings makes floats of numbers
//! with a fraction; a test must compare every digit.

use std::collections::HashMap;

use yaml_rust2::Event;
use yaml_rust2::parser::{MarkedEventReceiver, Parser};
use yaml_rust2::scanner::{Marker, TScalarStyle};

/// A value, and the line where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// From 1.
    pub line: usize,
    /// What it is.
    pub kind: NodeKind,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind {
    /// Without quotes: it may be a number, `true`, `null`.
    Plain(String),
    /// In quotes, or a block: a text in any case.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys with their values, in the order of the file.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Reads one document.
    ///
    /// # Errors
    /// The line, and what is wrong there.
    pub fn parse(text: &str) -> Result<Node, (usize, String)> {
        let mut builder = Builder::default();
        let parsed = Parser::new_from_str(text).load(&mut builder, true);
        parsed.map_err(|error| (error.marker().line(), error.info().to_owned()))?;
        match builder.fault {
            Some(fault) => Err(fault),
            None => builder.root.ok_or((1, "the file is empty".to_owned())),
        }
    }

    /// Whether it is `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, NodeKind::Plain(text) if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// The text of a scalar, as it is written.
    pub fn scalar(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Plain(text) | NodeKind::Text(text) => Some(text),
            NodeKind::List(_) | NodeKind::Map(_) => None,
        }
    }

    /// Whether it is `true` or `false`.
    pub fn flag(&self) -> Option<bool> {
        match &self.kind {
            NodeKind::Plain(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// The same as JSON. A plain scalar that JSON would read as a number keeps its digits; every other one is a text.
    pub fn to_json(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        match &self.kind {
            NodeKind::Plain(_) if self.is_null() => "null".to_owned(),
            NodeKind::Plain(text) if self.flag().is_some() || crate::mapping::is_number(text) => text.clone(),
            NodeKind::Plain(text) | NodeKind::Text(text) => quoted(text),
            NodeKind::List(items) => {
                format!("[{}]", items.iter().map(Node::to_json).collect::<Vec<_>>().join(", "))
            }
            NodeKind::Map(members) => {
                let members = members.iter().map(|(key, value)| format!("{}: {}", quoted(key), value.to_json()));
                format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// Puts the events of the parser together.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    documents: usize,
    fault: Option<(usize, String)>,
}

/// A list or section that has not ended yet.
struct Open {
    node: Node,
    anchor: usize,
    /// Of a section: the key whose value comes next, and its line.
    key: Option<(String, usize)>,
}

impl MarkedEventReceiver for Builder {
    fn on_event(&mut self, event: Event, mark: Marker) {
        let line = mark.line();
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == TScalarStyle::Plain;
                let kind = if plain { NodeKind::Plain(text) } else { NodeKind::Text(text) };
                self.add(Node { line, kind }, anchor);
            }
            Event::SequenceStart(anchor, _) => self.open(line, NodeKind::List(Vec::new()), anchor),
            Event::MappingStart(anchor, _) => self.open(line, NodeKind::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { node, anchor, .. }) = self.open.pop() {
                    self.add(node, anchor);
                }
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => self.add(Node { line, ..node }, 0),
                None => self.refuse(line, "an alias of what has not ended yet".to_owned()),
            },
            Event::DocumentStart => {
                self.documents += 1;
                if self.documents > 1 {
                    self.refuse(line, "`---` begins a second document: make a file of it".to_owned());
                }
            }
            _ => {}
        }
    }
}

impl Builder {
    fn open(&mut self, line: usize, kind: NodeKind, anchor: usize) {
        self.open.push(Open { node: Node { line, kind }, anchor, key: None });
    }

    fn refuse(&mut self, line: usize, message: String) {
        self.fault.get_or_insert((line, message));
    }

    fn add(&mut self, node: Node, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(Open { node: around, key, .. }) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return;
        };
        let line = node.line;
        let fault = match (&mut around.kind, key.take()) {
            (NodeKind::List(items), _) => {
                items.push(node);
                None
            }
            (NodeKind::Map(members), Some((key, line))) if members.iter().any(|(known, _)| *known == key) => {
                Some((line, format!("`{key}` is there twice")))
            }
            (NodeKind::Map(members), Some((name, _))) => {
                members.push((name, node));
                None
            }
            (_, None) => {
                *key = Some((node.scalar().unwrap_or_default().to_owned(), line));
                node.scalar().is_none().then(|| (line, "a key must be a text".to_owned()))
            }
            _ => None,
        };
        if let Some((line, message)) = fault {
            self.refuse(line, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_keep_their_digits_and_texts_stay_texts() {
        let yaml =
            "a: 1.10\nb: '1.10'\nc: 12345678901234567890.5\nd: [true, ~, 007, .5, 0x10, 1e3, yes]\ne:\n  f: |\n    x\n";
        let json = Node::parse(yaml).unwrap().to_json();
        let expected = concat!(
            r#"{"a": 1.10, "b": "1.10", "c": 12345678901234567890.5, "#,
            r#""d": [true, null, "007", ".5", "0x10", 1e3, "yes"], "e": {"f": "x\n"}}"#
        );
        assert_eq!(json, expected);
    }

    #[test]
    fn every_value_knows_its_line_and_what_is_repeated_is_refused() {
        let node = Node::parse("a:\n  - b: 1\n  - &x\n    c: 2\n  - *x\n").unwrap();
        let NodeKind::Map(members) = &node.kind else { panic!("{node:?}") };
        let NodeKind::List(items) = &members[0].1.kind else { panic!("{node:?}") };
        assert_eq!(items.iter().map(|item| item.line).collect::<Vec<_>>(), [2, 4, 5]);
        assert_eq!(items[2].to_json(), r#"{"c": 2}"#);
        assert_eq!(Node::parse("a: 1\nb: 2\na:\n  3").unwrap_err(), (3, "`a` is there twice".to_owned()));
        assert_eq!(Node::parse("---\na: 1\n").unwrap().to_json(), r#"{"a": 1}"#);
        let second = Node::parse("a: 1\n---\nb: 2\n").unwrap_err();
        assert_eq!(second, (2, "`---` begins a second document: make a file of it".to_owned()));
        assert_eq!(Node::parse("a: [1").unwrap_err().0, 2);
        assert_eq!(Node::parse("# nothing").unwrap_err().1, "the file is empty");
    }
}
