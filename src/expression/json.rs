//! JSON to values and back. Stricter than what jq takes and gives: nothing but JSON goes in, and nothing else comes out.

use std::io::Write;

use jaq_json::{Num, Val, read};
use serde::de::IgnoredAny;

use super::work::NESTING_MAX;

/// Digits that a number may have; more of them are somebody's attack, and take long to read.
const DIGITS_MAX: usize = 1_000;

/// Reads one JSON value. Numbers keep all their digits.
///
/// # Errors
/// Why it cannot be read, in words that go after "it".
pub(super) fn read(text: &str) -> Result<Val, String> {
    check(text)?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| format!("is not JSON: {error}"))?;
    read::parse_single(text.as_bytes()).map_err(|error| format!("is not JSON: {error}"))
}

/// Refuses what would take the reader too deep or too long.
fn check(text: &str) -> Result<(), String> {
    let (mut depth, mut digits, mut in_text, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in text.bytes() {
        if in_text {
            (in_text, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
            continue;
        }
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        match byte {
            b'"' => in_text = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING_MAX {
            return Err(format!("is nested more than {NESTING_MAX} deep"));
        }
        if digits > DIGITS_MAX {
            return Err(format!("has a number of more than {DIGITS_MAX} digits"));
        }
    }
    Ok(())
}

/// Why a value cannot be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unwritable {
    /// It takes more than the bytes that it may.
    Long,
    /// JSON has no such thing.
    NotJson(&'static str),
}

/// The JSON text of `value`, of at most `bytes_max` bytes.
pub(super) fn write(value: &Val, bytes_max: usize) -> Result<String, Unwritable> {
    let mut out = Vec::new();
    put(value, bytes_max, &mut out)?;
    String::from_utf8(out).map_err(|_| Unwritable::NotJson("a text that is not UTF-8"))
}

fn put(value: &Val, bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Unwritable> {
    match value {
        Val::Null => out.extend(b"null"),
        Val::Bool(true) => out.extend(b"true"),
        Val::Bool(false) => out.extend(b"false"),
        Val::Num(Num::Float(float)) if !float.is_finite() => {
            return Err(Unwritable::NotJson("a number that is not finite"));
        }
        Val::Num(number) => write!(out, "{number}").map_err(|_| Unwritable::Long)?,
        Val::TStr(text) => put_text(text, bytes_max, out)?,
        Val::BStr(_) => return Err(Unwritable::NotJson("a run of bytes")),
        Val::Arr(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                put(item, bytes_max, out)?;
            }
            out.push(b']');
        }
        Val::Obj(members) => {
            out.push(b'{');
            for (place, (name, value)) in members.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                let Val::TStr(name) = name else {
                    return Err(Unwritable::NotJson("an object whose member's name is not a text"));
                };
                put_text(name, bytes_max, out)?;
                out.push(b':');
                put(value, bytes_max, out)?;
            }
            out.push(b'}');
        }
    }
    if out.len() > bytes_max { Err(Unwritable::Long) } else { Ok(()) }
}

fn put_text(text: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Unwritable> {
    if out.len() + text.len() > bytes_max {
        return Err(Unwritable::Long);
    }
    let text = str::from_utf8(text).map_err(|_| Unwritable::NotJson("a text that is not UTF-8"))?;
    serde_json::to_writer(out, text).map_err(|_| Unwritable::Long)
}
