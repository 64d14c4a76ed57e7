//! Paths into a document: `user.address.city`, `items[0].sku`.

use std::fmt;

/// A compiled path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Step>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the member of this name.
    Member(String),
    /// To the item of this number.
    Index(usize),
}

impl Path {
    /// Compiles a path; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Path, String> {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let (member, indexes) = part.split_once('[').map_or((part, None), |(m, rest)| (m, Some(rest)));
            if member.is_empty() && text.starts_with('.') {
                let path = text.trim_start_matches('.');
                return Err(format!("`{text}` has an empty member name: a path is `{path}`, and jq belongs in `expr`"));
            }
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

    /// The path to the member called `name`, whatever characters it has.
    pub fn member(name: &str) -> Path {
        Path(vec![Step::Member(name.to_owned())])
    }

    /// Its steps, from the document on; the first is to a member.
    pub fn steps(&self) -> &[Step] {
        &self.0
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
    use super::*;

    #[test]
    fn a_path_is_its_steps() {
        let steps = [Step::Member("a".into()), Step::Member("b".into()), Step::Index(1), Step::Index(0)];
        let path = Path::parse("a.b[1][0]").unwrap();
        assert_eq!(path.steps(), steps);
        assert_eq!(path.to_string(), "a.b[1][0]");
    }

    #[test]
    fn a_bad_path_says_why() {
        for (text, reason) in [
            ("", "empty member"),
            ("a..b", "empty member"),
            (".a.b", "a path is `a.b`, and jq belongs in `expr`"),
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
