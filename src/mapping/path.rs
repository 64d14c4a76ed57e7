//! Paths into a document: `user.address.city`, `items[0].sku`.

use std::fmt;

use serde_json::Value as Json;

/// A compiled path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Index(usize),
}

impl Path {
    /// Compiles a path; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Path, String> {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (member, indexes) = part.split_once('[').map_or((part, None), |(m, rest)| (m, Some(rest)));
            if member.is_empty() {
                return Err(format!("`{text}` has an empty member name"));
            }
            steps.push(Step::Member(member.to_owned()));
            let Some(indexes) = indexes else { continue };
            let Some(indexes) = indexes.strip_suffix(']') else {
                return Err(format!("`{text}` has a `[` without its `]` at the end of `{part}`"));
            };
            for index in indexes.split("][") {
                let number =
                    index.parse().map_err(|_| format!("`{text}`: `[{index}]` is not the number of an item"))?;
                steps.push(Step::Index(number));
            }
        }
        Ok(Path(steps))
    }

    /// The member at the path, if the document has one that is not `null`.
    pub fn find<'a>(&self, document: &'a Json) -> Option<&'a Json> {
        let found = self.0.iter().try_fold(document, |at, step| match step {
            Step::Member(name) => at.get(name),
            Step::Index(index) => at.get(index),
        });
        found.filter(|member| !member.is_null())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.0.iter().enumerate() {
            match step {
                Step::Member(name) if n == 0 => f.write_str(name)?,
                Step::Member(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_reach_nested_members_and_items() {
        let document = json!({"a": {"b": [10, [20, 30]]}, "null": null, "plain": "x"});
        let cases = [
            ("plain", Some(json!("x"))),
            ("a.b[0]", Some(json!(10))),
            ("a.b[1][1]", Some(json!(30))),
            ("a.b[9]", None),
            ("a.missing.deep", None),
            ("plain.deep", None),
            ("null", None),
        ];
        for (text, expected) in cases {
            let path = Path::parse(text).unwrap();
            assert_eq!(path.find(&document), expected.as_ref(), "{text}");
            assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn a_bad_path_says_why() {
        for (text, reason) in [
            ("", "empty member"),
            ("a..b", "empty member"),
            ("[0]", "empty member"),
            ("a[0", "without its `]`"),
            ("a[0]b", "without its `]`"),
            ("a[x]", "not the number"),
            ("a[-1]", "not the number"),
            ("a[]", "not the number"),
        ] {
            let error = Path::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
