//! Texts to columns of text, and of a set of texts.

use super::{out_of_range, shown};
use crate::event::{Rejection, RejectionClass};
use crate::row::Value;

/// A text that is as long as the column takes.
pub fn within(value: &str, max_chars: Option<u64>, max_bytes: Option<u64>) -> Result<Value<'_>, Rejection> {
    let bytes = value.len() as u64;
    if let Some(max) = max_chars {
        // The length in bytes is no less than the length in characters, and costs nothing to know.
        let chars = if bytes <= max { 0 } else { value.chars().count() as u64 };
        if chars > max {
            let message = format!("{} has {chars} characters, the column takes {max}", shown(value));
            return Err(Rejection::new(RejectionClass::TooLong, message));
        }
    }
    match max_bytes {
        Some(max) if bytes > max => {
            let message = format!("{} has {bytes} bytes, the column takes {max}", shown(value));
            Err(Rejection::new(RejectionClass::TooLong, message))
        }
        _ => Ok(Value::text(value)),
    }
}

/// A text without the character NUL, which PostgreSQL cannot store in a text, and at which C programs that read the others
/// stop.
pub fn without_nul(text: &str) -> Result<&str, Rejection> {
    // As bytes, which takes half the time, and every text comes here.
    match text.as_bytes().contains(&0) {
        true => Err(out_of_range(text, "holds the character NUL, which a text column cannot store")),
        false => Ok(text),
    }
}

/// Whether a text is one of the members, or, where there may be `several`, some of them with commas between.
pub fn is_choice(value: &str, members: &[String], several: bool) -> bool {
    let known = |text: &str| members.iter().any(|member| member == text);
    if several { value.is_empty() || value.split(',').all(known) } else { known(value) }
}
