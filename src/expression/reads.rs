//! What an expression takes from its document, told from its syntax tree. A patch brings some members only: whether it
//! changes what the expression gives must be known before it is evaluated.

use std::collections::BTreeSet;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::path::{Part, Path};

/// What an expression takes from its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Nothing but these members of the document itself.
    Members(BTreeSet<String>),
    /// Maybe all of it.
    Whole,
}

impl Reads {
    /// Of a whole expression.
    pub(super) fn of(tree: &Term<&str>) -> Reads {
        let mut reader = Reader::default();
        match reader.take(tree, Input::Document) {
            Some(()) => Reads::Members(reader.members),
            None => Reads::Whole,
        }
    }
}

/// If an expression makes an object of named members and does nothing else: what each of them takes.
pub(super) fn of_members(tree: &Term<&str>) -> Option<Vec<(String, Reads)>> {
    let Term::Obj(members) = tree else { return None };
    let member = |(name, value): &(Term<&str>, Option<Term<&str>>)| {
        let name = literal(name)?;
        let reads = match value {
            Some(value) => Reads::of(value),
            None => Reads::Members(BTreeSet::from([name.clone()])),
        };
        Some((name, reads))
    };
    members.iter().map(member).collect()
}

/// A text without anything calculated in it.
pub(super) fn literal(term: &Term<&str>) -> Option<String> {
    let Term::Str(None, parts) = term else { return None };
    let mut text = String::new();
    for part in parts {
        match part {
            StrPart::Str(part) => text.push_str(part),
            StrPart::Char(character) => text.push(*character),
            StrPart::Term(_) => return None,
        }
    }
    Some(text)
}

/// What `.` is where a part of the tree stands, and what comes out of that part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    Document,
    Other,
}

/// Goes through a tree. `None` means that more than members is taken, or that it cannot be told.
#[derive(Default)]
struct Reader {
    members: BTreeSet<String>,
}

impl Reader {
    /// A part whose outcome is looked at.
    fn take(&mut self, tree: &Term<&str>, input: Input) -> Option<()> {
        (self.walk(tree, input)? == Input::Other).then_some(())
    }

    fn take_all<'t, 's: 't>(
        &mut self,
        trees: impl IntoIterator<Item = &'t Term<&'s str>>,
        input: Input,
    ) -> Option<Input> {
        trees.into_iter().try_for_each(|tree| self.take(tree, input))?;
        Some(Input::Other)
    }

    /// A part that may hand on the document.
    fn walk(&mut self, tree: &Term<&str>, input: Input) -> Option<Input> {
        use Input::{Document, Other};
        if input == Other {
            // The document itself is out of sight here.
            return Some(Other);
        }
        match tree {
            Term::Id => Some(Document),
            Term::Num(_) | Term::Var(_) | Term::Arr(None) | Term::Break(_) => Some(Other),
            // A format alone writes all of what goes in.
            Term::Str(Some(_), parts) if parts.is_empty() => None,
            Term::Str(_, parts) => {
                let calculated = parts.iter().filter_map(|part| match part {
                    StrPart::Term(tree) => Some(tree),
                    StrPart::Str(_) | StrPart::Char(_) => None,
                });
                self.take_all(calculated, input)
            }
            Term::Arr(Some(items)) => self.take_all([&**items], input),
            Term::Obj(members) => {
                for (name, value) in members {
                    match (value, literal(name)) {
                        (None, Some(member)) => drop(self.members.insert(member)),
                        (value, _) => drop(self.take_all([name].into_iter().chain(value), input)?),
                    }
                }
                Some(Other)
            }
            Term::Neg(value) => self.take_all([&**value], input),
            Term::BinOp(left, BinaryOp::Pipe(None), right) => {
                let between = self.walk(left, input)?;
                self.walk(right, between)
            }
            Term::BinOp(left, BinaryOp::Pipe(Some(_)), right) => {
                self.take(left, input)?;
                self.walk(right, input)
            }
            Term::BinOp(left, BinaryOp::Comma | BinaryOp::Alt, right) => {
                let outcomes = [self.walk(left, input)?, self.walk(right, input)?];
                Some(if outcomes.contains(&Document) { Document } else { Other })
            }
            Term::BinOp(left, BinaryOp::And | BinaryOp::Or | BinaryOp::Cmp(_) | BinaryOp::Math(_), right) => {
                self.take_all([&**left, &**right], input)
            }
            // What is assigned to is what comes out.
            Term::BinOp(..) | Term::Recurse | Term::Def(..) => None,
            Term::Label(_, body) => self.walk(body, input),
            // What follows the beginning sees only what is carried on.
            Term::Fold(_, source, _, arguments) => {
                self.take_all([&**source].into_iter().chain(arguments.first()), input)
            }
            Term::TryCatch(body, _) => self.walk(body, input),
            Term::IfThenElse(branches, otherwise) => {
                let mut outcome = otherwise.as_ref().map_or(Some(Document), |body| self.walk(body, input))?;
                for (condition, body) in branches {
                    self.take(condition, input)?;
                    if self.walk(body, input)? == Document {
                        outcome = Document;
                    }
                }
                Some(outcome)
            }
            Term::Call(name, arguments) => self.call(name, arguments, input),
            Term::Path(root, Path(parts)) => {
                let first = match self.walk(root, input)? {
                    Document => {
                        let (Part::Index(name), _) = parts.first()? else { return None };
                        self.members.insert(literal(name)?);
                        1
                    }
                    Other => 0,
                };
                for (part, _) in &parts[first..] {
                    match part {
                        Part::Index(index) => self.take(index, input)?,
                        Part::Range(from, to) => drop(self.take_all(from.iter().chain(to), input)?),
                    }
                }
                Some(Other)
            }
        }
    }

    fn call(&mut self, name: &str, arguments: &[Term<&str>], input: Input) -> Option<Input> {
        match (name, arguments) {
            ("true" | "false" | "null" | "empty", []) => Some(Input::Other),
            ("select", [condition]) => {
                self.take(condition, input)?;
                Some(Input::Document)
            }
            ("has", [member]) => {
                self.members.insert(literal(member)?);
                Some(Input::Other)
            }
            // These look at nothing but what their arguments give.
            ("first" | "last" | "limit" | "isempty" | "add", [_, ..]) => self.take_all(arguments, input),
            // The second argument sees what comes out of the first.
            ("any" | "all", [source, _]) => self.take_all([source], input),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::problem::parse;
    use super::*;

    fn reads(text: &str) -> Option<Vec<String>> {
        match Reads::of(&parse(text).unwrap_or_else(|_| panic!("{text}"))) {
            Reads::Members(members) => Some(members.into_iter().collect()),
            Reads::Whole => None,
        }
    }

    #[test]
    fn members_are_told_wherever_they_stand() {
        for (text, members) in [
            (".a", &["a"][..]),
            (".a.b[0].c", &["a"]),
            (r#"."a b"?"#, &["a b"]),
            (r#".["a"]"#, &["a"]),
            (".a + .b * 2", &["a", "b"]),
            (r#""\(.a) of \(.b.c)""#, &["a", "b"]),
            (r#"(.first // "") + " " + (.last // "")"#, &["first", "last"]),
            (".tags | length", &["tags"]),
            ("[.items[] | .price * .quantity] | add", &["items"]),
            ("[.items[].quantity] | add", &["items"]),
            (".items | map(select(.x)) | length", &["items"]),
            (".history | last | .status", &["history"]),
            (".history[-1].status", &["history"]),
            (r#"if .a > 1 then "x" elif .b then .c else null end"#, &["a", "b", "c"]),
            ("if has(\"a\") then .a else 1 end", &["a"]),
            ("select(.a != null) | .b", &["a", "b"]),
            (". | .a", &["a"]),
            ("first(.items[] | select(.sku == \"A\")).quantity", &["items"]),
            ("any(.items[]; .x)", &["items"]),
            ("reduce .items[] as $item (0; . + $item.price)", &["items"]),
            (".a as $a | .b[$a]", &["a", "b"]),
            (".a[.b]", &["a", "b"]),
            ("{a, x: .b, \"y\": [.c, .d]}", &["a", "b", "c", "d"]),
            ("try (.a | tonumber) catch 0", &["a"]),
            ("-.a", &["a"]),
        ] {
            let members: Vec<String> = members.iter().map(|member| (*member).to_owned()).collect();
            assert_eq!(reads(text), Some(members), "{text}");
        }
        for nothing in
            ["1", r#"$key | split(":")[1]"#, "$timestamp / 1000 | todate", "[]", "true", r#""x" | ascii_upcase"#]
        {
            assert_eq!(reads(nothing), Some(Vec::new()), "{nothing}");
        }
    }

    #[test]
    fn what_may_be_all_of_it_is() {
        for text in [
            ".",
            "length",
            "not",
            "keys",
            "..",
            ".[]",
            ".[$key]",
            ".[.a]",
            "to_entries | map(.key)",
            ". as $d | $d.a",
            "[.]",
            ". + {x: 1}",
            ".a = 1",
            "del(.a)",
            "with_entries(select(.value != null))",
            "map(.a)",
            "if .a then . else .b end",
            "if .a then .b end",
            "select(.a)",
            ".a // .",
            "@json",
            "any",
            "{x: .}",
            "tostring",
            "first(.)",
            "reduce .a[] as $x (.; .b = $x)",
        ] {
            assert_eq!(reads(text), None, "{text}");
        }
    }

    #[test]
    fn an_object_tells_what_each_member_takes() {
        let of = |text| of_members(&parse(text).unwrap_or_else(|_| panic!("{text}")));
        let members = |names: &[&str]| Reads::Members(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(
            of("{a, b: (.x + .y), c: ., d: 1}"),
            Some(vec![
                ("a".to_owned(), members(&["a"])),
                ("b".to_owned(), members(&["x", "y"])),
                ("c".to_owned(), Reads::Whole),
                ("d".to_owned(), members(&[])),
            ])
        );
        assert_eq!(of(".a + {b: 1}"), None);
        assert_eq!(of("{(.a): 1}"), None);
    }
}
