//! What is wrong with an expression, and where.

use std::fmt;

use jaq_core::load::lex;
use jaq_core::load::parse::{self, Term};

/// Why an expression was refused. Its `Display` is one line: `line 1, column 7: …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {words}")]
pub struct ExpressionProblem {
    /// The line, from 1.
    pub line: usize,
    /// The character in that line, from 1.
    pub column: usize,
    /// What is wrong, and how to mend it.
    pub words: String,
}

/// Something wrong with a part of an expression.
#[derive(Debug)]
pub(super) struct Refusal<'s> {
    /// The part of its text; its beginning is named.
    pub at: Option<&'s str>,
    pub words: String,
}

impl<'s> Refusal<'s> {
    pub fn new(at: &'s str, words: impl fmt::Display) -> Refusal<'s> {
        Refusal { at: Some(at), words: words.to_string() }
    }

    /// One that is about the whole.
    pub fn of_all(words: impl fmt::Display) -> Refusal<'s> {
        Refusal { at: None, words: words.to_string() }
    }

    /// With its place in `text`.
    pub fn locate(self, text: &str) -> ExpressionProblem {
        let (line, column) = self.at.map_or((1, 1), |part| place(text, part));
        ExpressionProblem { line, column, words: self.words }
    }
}

/// Line and column of where `part`, a slice of `text`, begins.
fn place(text: &str, part: &str) -> (usize, usize) {
    let offset = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// The syntax tree of an expression.
pub(super) fn parse(text: &str) -> Result<Term<&str>, Refusal<'_>> {
    let tokens = lex::Lexer::new(text).lex().map_err(|errors| first(errors, lexical))?;
    let result = parse::Parser::new(&tokens).parse(|parser| parser.term());
    result.map_err(|errors| first(errors, |(expected, found)| syntactic(&expected, found, text)))
}

fn first<'s, E>(errors: Vec<E>, refusal: impl Fn(E) -> Refusal<'s>) -> Refusal<'s> {
    errors.into_iter().next().map_or_else(|| Refusal::of_all("this is no jq expression"), refusal)
}

fn lexical<'s>((expected, found): lex::Error<&'s str>) -> Refusal<'s> {
    match expected {
        lex::Expect::Delim(open) => Refusal::new(open, format!("`{open}` is never closed")),
        lex::Expect::Token => match found.chars().next() {
            Some('\'') => Refusal::new(found, "texts stand in double quotes, not in `'`"),
            Some('&') => Refusal::new(found, "`&` means nothing here; write `and`"),
            Some(other) => Refusal::new(found, format!("`{other}` means nothing here")),
            None => Refusal::new(found, "more is expected here"),
        },
        other => Refusal::new(found, format!("a {} is expected here", other.as_str())),
    }
}

fn syntactic<'s>(expected: &parse::Expect<&'s str>, found: Option<&lex::Token<&'s str>>, text: &'s str) -> Refusal<'s> {
    let wanted = match expected {
        parse::Expect::Just("") | parse::Expect::Nothing => "the end, or an operator such as `|`".to_owned(),
        parse::Expect::Just(word) => format!("`{word}`"),
        parse::Expect::Term => "a value".to_owned(),
        other => other.as_str().to_owned(),
    };
    match found {
        None => Refusal::new(&text[text.len()..], format!("{wanted} is expected, but the expression ends here")),
        Some(token) => match token.as_str() {
            token @ ("==" | "!=" | "<" | ">" | "<=" | ">=" | "and" | "or") => {
                Refusal::new(token, format!("{wanted} is expected, not `{token}`; compare inside of parentheses"))
            }
            token @ ("&&" | "||" | "!" | "===") => Refusal::new(token, format!("`{token}` is not of jq: {OPERATORS}")),
            token => Refusal::new(token, format!("{wanted} is expected, not `{}`", beginning(token))),
        },
    }
}

const OPERATORS: &str = "write `and`, `or`, `| not`, `==`";

/// Enough of a text to recognise it by.
fn beginning(text: &str) -> String {
    const CHARS: usize = 20;
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
