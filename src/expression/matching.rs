//! Regular expressions. They are compiled with the expression, so that they stand in it as they are; the crate `regex`
//! looks for one match in time linear in the text, whatever the pattern, and so for all of them in the square of it.

use jaq_core::ValXs;
use jaq_core::box_iter::box_once;
use jaq_core::load::parse::Term;
use jaq_json::{Map, Val};
use regex::{Captures, Regex, RegexBuilder};

use super::functions::{Call, Machine, failure, text};
use super::problem::Refusal;
use super::reads::literal;

/// Bytes that a compiled pattern may take.
const PATTERN_BYTES: usize = 1 << 18;

/// Patterns that one expression may have.
const PATTERNS_MAX: usize = NUMBERS.len();

/// Numbers as they stand in the syntax tree.
const NUMBERS: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];

/// Bytes of a text that are looked at in one replacement of all matches. It takes about a second.
const LOOKED_AT_MAX: usize = 1 << 29;

/// A compiled regular expression.
pub(super) type Pattern = Regex;

/// Compiles the pattern and the flags of the call of `name`, and answers the call to make in its place.
pub(super) fn compile<'s>(
    name: &'s str,
    mut arguments: Vec<Term<&'s str>>,
    patterns: &mut Vec<Pattern>,
) -> Result<Term<&'s str>, Refusal<'s>> {
    let substitutes = matches!(name, "sub" | "gsub");
    let flags = if arguments.len() > if substitutes { 2 } else { 1 } { arguments.pop() } else { None };
    let mut arguments = arguments.into_iter();
    let pattern = arguments.next().as_ref().and_then(literal);
    let pattern = pattern.ok_or_else(|| {
        Refusal::new(
            name,
            format!("the pattern of `{name}` must be a text without `\\(…)`, so that it is compiled once"),
        )
    })?;
    let flags = match &flags {
        None => String::new(),
        Some(flags) => literal(flags).ok_or_else(|| Refusal::new(name, "the flags must be a text"))?,
    };
    if patterns.len() == PATTERNS_MAX {
        return Err(Refusal::new(
            name,
            format!("an expression can have {PATTERNS_MAX} patterns, and this is one more"),
        ));
    }
    let mut all = name == "gsub";
    let mut builder = RegexBuilder::new(&pattern);
    builder.size_limit(PATTERN_BYTES);
    for flag in flags.chars() {
        match flag {
            'i' => builder.case_insensitive(true),
            'x' => builder.ignore_whitespace(true),
            's' => builder.dot_matches_new_line(true),
            'g' => {
                all = true;
                &mut builder
            }
            other => return Err(Refusal::new(name, format!("`{other}` is no flag; there are g, i, s and x"))),
        };
    }
    let pattern = builder.build().map_err(|error| {
        let words = error.to_string();
        let reason = words.lines().next_back().unwrap_or_default().trim_start_matches("error: ");
        Refusal::new(name, format!("the pattern of `{name}`: {reason}"))
    })?;
    let inner = match name {
        "test" => "!test",
        "capture" => "!capture",
        _ if all => "!gsub",
        _ => "!sub",
    };
    let number = Term::Num(NUMBERS[patterns.len()]);
    patterns.push(pattern);
    Ok(Term::Call(inner, std::iter::once(number).chain(arguments).collect()))
}

fn pattern<'a>(number: &Val, call: &Call<'a>) -> Option<&'a Pattern> {
    let Val::Num(jaq_json::Num::Int(number)) = number else { return None };
    call.0.data().patterns.get(usize::try_from(*number).ok()?)
}

/// Whether the pattern is somewhere in the text.
pub(super) fn test<'a>(mut call: Call<'a>) -> jaq_core::ValX<'a, Val> {
    let number = call.0.pop_var();
    let pattern = pattern(&number, &call).ok_or_else(|| failure("no such pattern"))?;
    Ok(Val::from(pattern.is_match(text(&call.1)?)))
}

/// The named groups of the first place where the pattern is; nothing if it is nowhere.
pub(super) fn capture<'a>(mut call: Call<'a>) -> ValXs<'a, Val> {
    let number = call.0.pop_var();
    let found = pattern(&number, &call).ok_or_else(|| failure("no such pattern")).and_then(|pattern| {
        let captures = pattern.captures(text(&call.1)?);
        Ok(captures.map(|captures| groups(pattern, &captures)))
    });
    match found.transpose() {
        Some(groups) => box_once(groups),
        None => Box::new(std::iter::empty()),
    }
}

fn groups(pattern: &Pattern, captures: &Captures<'_>) -> Val {
    let named = pattern.capture_names().flatten().map(|name| {
        let group = captures.name(name).map_or(Val::Null, |group| Val::from(group.as_str().to_owned()));
        (Val::from(name.to_owned()), group)
    });
    Val::obj(named.collect::<Map>())
}

/// The text with what a filter makes of the named groups, where the pattern is.
pub(super) fn replace<'a>(mut call: Call<'a>, all: bool) -> jaq_core::ValX<'a, Val> {
    let (filter, context) = call.0.pop_fun();
    let number = call.0.pop_var();
    let pattern = pattern(&number, &call).ok_or_else(|| failure("no such pattern"))?;
    let work = call.0.data().work;
    let text_before = text(&call.1)?;
    let (mut replaced, mut end) = (String::new(), 0);
    let mut looked_at = 0;
    for captures in pattern.captures_iter(text_before).take(if all { usize::MAX } else { 1 }) {
        let Some(whole) = captures.get(0) else { continue };
        // As far as it may have looked for this match.
        looked_at += text_before.len() - end;
        if looked_at > LOOKED_AT_MAX {
            return Err(work.exhausted());
        }
        let Some(value) = filter.run::<Machine>((context.clone(), groups(pattern, &captures))).next() else { continue };
        let value = value?;
        let replacement = text(&value)?;
        work.spend_text(replacement.len())?;
        replaced.push_str(&text_before[end..whole.start()]);
        replaced.push_str(replacement);
        end = whole.end();
    }
    replaced.push_str(&text_before[end..]);
    Ok(Val::from(replaced))
}
