//! Texts to columns of text, and of a set of texts.

use super::{out_of_range, shown};
use crate::event::{Rejection, RejectionClass};
use crate::row::Value;

/// A text that is as long as the column takes.
#[inline(always)]
pub fn within(value: &str, max_chars: Option<u64>, max_bytes: Option<u64>) -> Result<Value<'_>, Rejection> {
    let bytes = value.len() as u64;
    // The length in bytes is no less than the length in characters, and costs nothing to know.
    let is_short = max_chars.is_none_or(|max| bytes <= max) && max_bytes.is_none_or(|max| bytes <= max);
    if is_short { Ok(Value::text(value)) } else { counted(value, max_chars, max_bytes) }
}

/// The same, of a text that has more bytes than the column takes characters or bytes.
#[cold]
fn counted(value: &str, max_chars: Option<u64>, max_bytes: Option<u64>) -> Result<Value<'_>, Rejection> {
    let of = |length, what, max: Option<u64>| {
        let max = max.filter(|max| length > *max)?;
        let message = format!("{} has {length} {what}, the column takes {max}", shown(value));
        Some(Rejection::new(RejectionClass::TooLong, message))
    };
    let chars = of(value.chars().count() as u64, "characters", max_chars);
    match chars.or_else(|| of(value.len() as u64, "bytes", max_bytes)) {
        Some(too_long) => Err(too_long),
        None => Ok(Value::text(value)),
    }
}

/// A text without the character NUL, which PostgreSQL cannot store in a text, and at which C programs that read the others
/// stop.
#[inline]
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
