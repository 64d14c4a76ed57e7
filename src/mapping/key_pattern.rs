//! How a document's key is made up: `order:{tenant}:{id}`.

use std::fmt;

/// A compiled pattern: texts that stand in every key, and parts between them that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    /// What every key begins with.
    prefix: String,
    /// The parts, each with the text that follows it.
    parts: Vec<(String, String)>,
}

impl KeyPattern {
    /// Compiles a pattern; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<KeyPattern, String> {
        let mut pieces = text.split('{');
        let prefix = pieces.next().unwrap_or_default();
        if prefix.contains('}') {
            return Err(format!("`{text}` has a `}}` without its `{{`"));
        }
        let mut parts: Vec<(String, String)> = Vec::new();
        for piece in pieces {
            let Some((name, literal)) = piece.split_once('}') else {
                return Err(format!("`{text}` has a `{{` without its `}}`"));
            };
            let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_alphanumeric() || c == '_');
            if !is_name {
                return Err(format!("`{text}`: `{{{name}}}` must be a name of letters, digits and `_`"));
            }
            if literal.contains('}') {
                return Err(format!("`{text}` has a `}}` without its `{{`"));
            }
            if parts.iter().any(|(known, _)| known == name) {
                return Err(format!("`{text}` has `{{{name}}}` twice"));
            }
            if parts.last().is_some_and(|(_, between)| between.is_empty()) {
                return Err(format!("`{text}`: nothing tells where the part before `{{{name}}}` ends"));
            }
            parts.push((name.to_owned(), literal.to_owned()));
        }
        if parts.is_empty() {
            return Err(format!("`{text}` has no part, such as {{id}}"));
        }
        Ok(KeyPattern { prefix: prefix.to_owned(), parts })
    }

    /// The number of the part called `name`.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.parts.iter().position(|(known, _)| known == name)
    }

    /// The names of all parts.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|(name, _)| name.as_str())
    }

    /// The shortest key that is made up like this.
    pub fn shortest(&self) -> String {
        self.parts.iter().fold(self.prefix.clone(), |key, (_, literal)| key + "1" + literal)
    }

    /// The parts of `key`, none of them empty; `None` if it is not made up like this.
    pub fn parts<'k>(&self, key: &'k str) -> Option<Vec<&'k str>> {
        let mut rest = key.strip_prefix(self.prefix.as_str())?;
        let mut found = Vec::with_capacity(self.parts.len());
        for (number, (_, literal)) in self.parts.iter().enumerate() {
            let is_last = number + 1 == self.parts.len();
            let (part, after) = match literal.as_str() {
                "" => (rest, ""),
                // What follows the last part ends the key.
                literal if is_last => (rest.strip_suffix(literal)?, ""),
                literal => rest.split_once(literal)?,
            };
            if part.is_empty() {
                return None;
            }
            found.push(part);
            rest = after;
        }
        Some(found)
    }

    /// `key` with other parts; `other` says which. `None` if it is not made up like this.
    pub fn with_parts(&self, key: &str, other: impl Fn(usize, &str) -> Option<String>) -> Option<String> {
        let parts = self.parts(key)?;
        let both = parts.iter().zip(&self.parts).enumerate();
        let texts = both
            .map(|(place, (part, (_, literal)))| other(place, part).unwrap_or_else(|| (*part).to_owned()) + literal);
        Some(self.prefix.clone() + &texts.collect::<String>())
    }
}

impl fmt::Display for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefix)?;
        self.parts.iter().try_for_each(|(name, literal)| write!(f, "{{{name}}}{literal}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_apart() {
        for (pattern, key, parts) in [
            ("order:{tenant}:{id}", "order:acme:7", Some(vec!["acme", "7"])),
            ("order:{tenant}:{id}", "order:acme:7:8", Some(vec!["acme", "7:8"])),
            ("{kind}/{id}.json", "a/b.json.json", Some(vec!["a", "b.json"])),
            ("{id}", "\u{e9}", Some(vec!["\u{e9}"])),
            ("order:{tenant}:{id}", "order::7", None),
            ("order:{tenant}:{id}", "order:acme", None),
            ("order:{tenant}:{id}", "user:acme:7", None),
            ("{id}.json", "b.jso", None),
        ] {
            let compiled = KeyPattern::parse(pattern).unwrap();
            assert_eq!(compiled.parts(key), parts, "{pattern} {key}");
            let same = compiled.with_parts(key, |_, _| None);
            assert_eq!(same.as_deref(), parts.map(|_| key), "{pattern} {key}");
            assert_eq!(compiled.to_string(), pattern);
        }
    }

    #[test]
    fn a_bad_pattern_says_why() {
        for (text, reason) in [
            ("order", "no part"),
            ("a{b", "without its `}`"),
            ("a}b{c}", "without its `{`"),
            ("{a}}", "without its `{`"),
            ("{a}{b}", "nothing tells"),
            ("{a}:{a}", "twice"),
            ("{}", "must be a name"),
            ("{a b}", "must be a name"),
        ] {
            let error = KeyPattern::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
