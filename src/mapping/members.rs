//! The members of a document that a mapping names, found in one pass over its text. What it does not name is checked to
//! be JSON and passed over.

use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::path::{Path, Step};

/// The paths of a mapping, put together so that each part of a document is looked at once.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    root: Node,
    count: usize,
}

/// A place in documents that some path leads to or through.
#[derive(Clone, Debug, Default)]
struct Node {
    /// The number of the path that ends here.
    path: Option<usize>,
    members: Vec<(String, Node)>,
    items: Vec<(usize, Node)>,
}

/// What each path leads to, as it stands in the document: `None` if there is nothing.
pub type Found<'a> = Vec<Option<&'a str>>;

impl Paths {
    /// Adds a path, and answers its number. Equal paths share one.
    pub fn add(&mut self, path: &Path) -> usize {
        let node = path.steps().iter().fold(&mut self.root, |node, step| match step {
            Step::Member(name) => child(&mut node.members, name),
            Step::Index(index) => child(&mut node.items, index),
        });
        let count = &mut self.count;
        *node.path.get_or_insert_with(|| {
            *count += 1;
            *count - 1
        })
    }

    /// What the paths lead to in `document`, which must be an object. Of members of one name the last one counts.
    ///
    /// # Errors
    /// The document is not JSON.
    pub fn find<'a>(&self, document: &'a str) -> Result<Found<'a>, serde_json::Error> {
        let mut found = vec![None; self.count];
        if find_below(&self.root, document, false, &mut found).is_err() {
            // What a path only leads through may be deeper than the parser goes, or a text with half a surrogate pair.
            found.fill(None);
            find_below(&self.root, document, true, &mut found)?;
        }
        Ok(found)
    }

    /// The same in flat names and values.
    pub fn find_flat<'a>(&self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Found<'a> {
        let mut found = vec![None; self.count];
        for (name, value) in fields {
            let member = self.root.members.iter().find(|(known, _)| known == name);
            if let Some(path) = member.and_then(|(_, node)| node.path) {
                found[path] = Some(value);
            }
        }
        found
    }
}

fn child<'n, K: PartialEq + Clone>(children: &'n mut Vec<(K, Node)>, key: &K) -> &'n mut Node {
    let place = children.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
        children.push((key.clone(), Node::default()));
        children.len() - 1
    });
    &mut children[place].1
}

/// Notes what the paths through `node` lead to in `json`, the text of one value. Who is `careful` reads every value twice:
/// first whether it is JSON at all, then what is below it, if anything is.
fn find_below<'a>(node: &Node, json: &'a str, careful: bool, found: &mut Found<'a>) -> Result<(), serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_str(json);
    Below { node, careful, found }.deserialize(&mut parser)?;
    parser.end()
}

fn forget(node: &Node, found: &mut Found<'_>) {
    let below = node.members.iter().map(|(_, node)| node).chain(node.items.iter().map(|(_, node)| node));
    for node in below {
        if let Some(path) = node.path {
            found[path] = None;
        }
        forget(node, found);
    }
}

/// A value that some path leads to or through.
struct At<'n, 'f, 'a> {
    node: &'n Node,
    careful: bool,
    found: &'f mut Found<'a>,
}

impl<'a> DeserializeSeed<'a> for At<'_, '_, 'a> {
    type Value = ();

    #[inline(always)]
    fn deserialize<D: Deserializer<'a>>(self, value: D) -> Result<(), D::Error> {
        let At { node, careful, found } = self;
        let leads_on = !(node.members.is_empty() && node.items.is_empty());
        if leads_on {
            // An earlier member of the same name counts no more.
            forget(node, found);
        }
        if node.path.is_none() && !careful {
            return Below { node, careful, found }.deserialize(value);
        }
        let json = <&RawValue>::deserialize(value)?.get();
        if let Some(path) = node.path {
            found[path] = Some(json);
        }
        // In anything but an object and an array there is nothing.
        match leads_on && json.starts_with(['{', '[']) {
            true => find_below(node, json, careful, found).map_err(D::Error::custom),
            false => Ok(()),
        }
    }
}

/// What stands in a value that some path leads through. It may as well be one that has nothing in it.
struct Below<'n, 'f, 'a> {
    node: &'n Node,
    careful: bool,
    found: &'f mut Found<'a>,
}

impl<'a> DeserializeSeed<'a> for Below<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Below<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut object: A) -> Result<(), A::Error> {
        let Below { node, careful, found } = self;
        let mut next = 0;
        while let Some(place) = object.next_key_seed(Name { members: &node.members, next })? {
            let Some(place) = place else {
                object.next_value::<IgnoredAny>()?;
                continue;
            };
            next = place + 1;
            object.next_value_seed(At { node: &node.members[place].1, careful, found })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut array: A) -> Result<(), A::Error> {
        let Below { node, careful, found } = self;
        for index in 0.. {
            let known = node.items.iter().find(|(known, _)| *known == index);
            let is_there = match known {
                Some((_, node)) => array.next_element_seed(At { node, careful, found })?.is_some(),
                None => array.next_element::<IgnoredAny>()?.is_some(),
            };
            if !is_there {
                break;
            }
        }
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A member's name: answers its place among the known ones. Documents of one stream have their members in one order,
/// so `next` is tried first.
#[derive(Clone, Copy)]
struct Name<'n> {
    members: &'n [(String, Node)],
    next: usize,
}

impl<'a> DeserializeSeed<'a> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'a>>(self, name: D) -> Result<Option<usize>, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        let is_name = |place: &usize| self.members.get(*place).is_some_and(|(known, _)| known == name);
        Ok(Some(self.next).filter(is_name).or_else(|| (0..self.members.len()).find(is_name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(paths: &[&str], document: &'a str) -> Result<Found<'a>, serde_json::Error> {
        let mut compiled = Paths::default();
        let numbers: Vec<usize> = paths.iter().map(|path| compiled.add(&Path::parse(path).unwrap())).collect();
        let found = compiled.find(document)?;
        Ok(numbers.into_iter().map(|number| found[number]).collect())
    }

    #[test]
    fn paths_reach_nested_members_and_items() {
        let document = r#" {"plain": "x\n", "a": {"b": [10, [20, 30]], "c": {}}, "null": null, "more": [{}],
            "numbers": [1, -1.5e3, 12345678901234567890.123456789], "true": true} "#;
        for (path, expected) in [
            ("plain", Some(r#""x\n""#)),
            ("a.b[0]", Some("10")),
            ("a.b[1][1]", Some("30")),
            ("a.b", Some("[10, [20, 30]]")),
            ("a", Some(r#"{"b": [10, [20, 30]], "c": {}}"#)),
            ("a.b[9]", None),
            ("a.b.c", None),
            ("a.missing.deep", None),
            ("plain.deep", None),
            ("null", Some("null")),
            ("null.deep", None),
            ("true.deep", None),
            ("numbers[0].deep", None),
            ("numbers[1][0]", None),
            ("numbers[2].deep", None),
            ("numbers[2]", Some("12345678901234567890.123456789")),
            ("more.deep", None),
            ("a[0]", None),
        ] {
            assert_eq!(found(&[path], document).unwrap(), [expected], "{path}");
        }
        let all = found(&["a.b[1]", "plain", "a.b", "plain", "a.b[1][0]"], document).unwrap();
        let plain = Some(r#""x\n""#);
        assert_eq!(all, [Some("[20, 30]"), plain, Some("[10, [20, 30]]"), plain, Some("20")]);
    }

    #[test]
    fn the_last_member_of_a_name_counts_as_a_whole() {
        assert_eq!(found(&["a"], r#"{"a":1,"a":2}"#).unwrap(), [Some("2")]);
        assert_eq!(found(&["a.b"], r#"{"a":{"b":1},"a":{"c":2}}"#).unwrap(), [None]);
        assert_eq!(found(&["a.b"], r#"{"a":{"b":1},"a":null}"#).unwrap(), [None]);
        assert_eq!(found(&["\u{e9}"], r#"{"\u00e9":1}"#).unwrap(), [Some("1")]);
    }

    #[test]
    fn what_a_path_only_leads_through_may_be_anything() {
        let document = r#"{"tags": ["\ud83d", {"name": 1}], "a": {"b": "\udc00", "c": 2}}"#;
        let all = found(&["tags[0].name", "tags[1].name", "a.b.c", "a.c"], document).unwrap();
        assert_eq!(all, [None, Some("1"), None, Some("2")]);
        let (path, opening, closing) = (["a"; 300].join("."), r#"{"a":"#.repeat(300), "}".repeat(300));
        let document = format!("{opening}7{closing}");
        assert_eq!(found(&[&path, "a"], &document).unwrap()[0], Some("7"));
    }

    #[test]
    fn what_is_no_json_is_an_error_wherever_it_stands() {
        for document in [
            "",
            "{",
            r#"{"a":1"#,
            r#"{"a":1}}"#,
            r#"{"a":1,}"#,
            r#"{"x":[1,],"a":1}"#,
            r#"{"a":{"b":01}}"#,
            r#"{"x":"\q"}"#,
            "{\"x\":\"\u{1}\"}",
            r#"{"a":nul}"#,
        ] {
            assert!(found(&["a", "a.b"], document).is_err(), "{document}");
        }
    }

    #[test]
    fn flat_fields_are_members() {
        let mut paths = Paths::default();
        let [b, deep, a] = ["b", "b.c", "a"].map(|path| paths.add(&Path::parse(path).unwrap()));
        let found = paths.find_flat([("a", "1"), ("x", "2"), ("b", "3"), ("a", "4")]);
        assert_eq!((found[a], found[b], found[deep]), (Some("4"), Some("3"), None));
    }
}
