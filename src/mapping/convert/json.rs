//! Values to columns of JSON.

use super::{out_of_range, shown};
use crate::event::{Rejection, RejectionClass};
use crate::row::Value;
use crate::table::Column;

/// A part of a document as it stands there. It is known to be JSON, but escapes in it may be of what is no character.
pub fn convert<'a>(json: &'a str, column: &Column) -> Result<Value<'a>, Rejection> {
    see_escapes(json, !is_jsonb(column))?;
    Ok(Value::text(json))
}

/// A text as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What a half of a surrogate pair is called in messages.
pub fn lone_surrogate(json: &str) -> Rejection {
    let message =
        format!("{} holds half of a surrogate pair (\\uD800 to \\uDFFF alone), which is no character", shown(json));
    Rejection::new(RejectionClass::BadJson, message)
}

/// Whether it is PostgreSQL's type that takes escapes apart.
fn is_jsonb(column: &Column) -> bool {
    column.cast_type.ends_with(r#""jsonb""#)
}

fn see_escapes(json: &str, takes_nul: bool) -> Result<(), Rejection> {
    let mut rest = json;
    // Escapes are ASCII, so that what is left never begins in the middle of a character.
    while let Some(at) = rest.bytes().position(|byte| byte == b'\\') {
        let (code, after) = escape(&rest[at..]);
        rest = after;
        match code {
            Some(0) if !takes_nul => {
                return Err(out_of_range(json, "holds the character NUL (\\u0000), which jsonb cannot store"));
            }
            Some(0xD800..=0xDBFF) => match escape(rest) {
                (Some(0xDC00..=0xDFFF), after) => rest = after,
                _ => return Err(lone_surrogate(json)),
            },
            Some(0xDC00..=0xDFFF) => return Err(lone_surrogate(json)),
            _ => {}
        }
    }
    Ok(())
}

/// The code of the escape `\uXXXX` that a text begins with, and what follows it or another escape.
fn escape(text: &str) -> (Option<u16>, &str) {
    let code = text.strip_prefix("\\u").and_then(|digits| u16::from_str_radix(digits.get(..4)?, 16).ok());
    let length = if code.is_some() { 6 } else { 2 };
    (code, text.get(length..).unwrap_or_default())
}
