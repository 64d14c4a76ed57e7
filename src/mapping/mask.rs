//! What is written instead of a value that is not to be seen, and which columns can hold it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::convert;
use crate::event::Rejection;
use crate::row::Value;
use crate::settings::{Mask, Secret};
use crate::table::{Column, ColumnKind};

/// Characters of a SHA-256 in hexadecimal digits, and its bytes.
const HASH_CHARS: u64 = 64;
const HASH_BYTES: u64 = 32;

/// A mask, ready to be put over values.
#[derive(Clone, Debug)]
pub struct Masker {
    mask: Mask,
    /// Hashes begin with what the stream's `mask_key` makes of them, if it has one.
    keyed: Option<Hmac<Sha256>>,
}

impl Masker {
    /// A mask whose hashes are keyed with `key`.
    pub fn new(mask: Mask, key: Option<&Secret>) -> Masker {
        // A key of any length is one.
        let keyed = key.and_then(|key| Hmac::new_from_slice(key.expose().as_bytes()).ok());
        Masker { mask, keyed }
    }

    /// Whether both make the same of a value; those of one stream have one key.
    pub fn is_same(&self, other: &Masker) -> bool {
        self.mask == other.mask
    }

    /// What can be seen instead of values that two masks are put over, if they are equal; nothing otherwise.
    pub fn and(self, other: &Masker) -> Masker {
        if self.is_same(other) { self } else { Masker { mask: Mask::Redact, keyed: None } }
    }

    /// Why a column cannot hold what it masks, if it cannot. `never_null`: a value is asked for.
    pub fn refuses(&self, column: &Column, never_null: bool) -> Option<String> {
        let (mask, Column { name, sql_type, .. }) = (self.mask.name(), column);
        let why = match self.mask {
            Mask::Hash if !holds_hash(column) => "writes 64 characters of text, or 32 bytes",
            Mask::Redact if never_null && !holds_redacted(column) => "writes NULL where no text fits",
            Mask::Last4 if !matches!(column.kind, ColumnKind::Text { .. }) => "writes text",
            _ => return None,
        };
        Some(format!("`mask: {mask}` {why}, which {sql_type} `{name}` cannot hold"))
    }

    /// Whether values that differ still do behind the mask, so that rows are found by it.
    pub fn keeps_apart(&self) -> bool {
        self.mask == Mask::Hash
    }

    /// The column as which a value is read before it is masked: its own type does not matter to what it held before.
    pub fn reads_as(&self, column: &Column) -> Column {
        let kind = match self.mask {
            Mask::Redact => ColumnKind::Json,
            Mask::Hash | Mask::Last4 => ColumnKind::Text { max_chars: None, max_bytes: None },
        };
        Column { kind, cast_type: String::new(), ..column.clone() }
    }

    /// What is written to `column` instead of a value that was read as [`Masker::reads_as`] says.
    ///
    /// # Errors
    /// The column is shorter than what is left of the value.
    pub fn value(&self, value: &Value<'_>, column: &Column) -> Result<Value<'static>, Rejection> {
        let Value::Text(text) = value else { return Ok(Value::Null) };
        match self.mask {
            Mask::Hash if matches!(column.kind, ColumnKind::Bytes { .. }) => {
                Ok(Value::Bytes(self.hash(text).to_vec().into()))
            }
            Mask::Redact if !holds_redacted(column) => Ok(Value::Null),
            Mask::Hash | Mask::Redact | Mask::Last4 => {
                convert::text(&self.text(text), column, &Default::default()).map(Value::into_owned)
            }
        }
    }

    /// What is shown instead of a text.
    pub fn text(&self, text: &str) -> String {
        match self.mask {
            Mask::Hash => hex::encode(self.hash(text)),
            Mask::Redact => Mask::REDACTED.to_owned(),
            Mask::Last4 => last4(text),
        }
    }

    fn hash(&self, text: &str) -> [u8; HASH_BYTES as usize] {
        match &self.keyed {
            Some(keyed) => keyed.clone().chain_update(text).finalize().into_bytes().into(),
            None => Sha256::digest(text).into(),
        }
    }
}

/// A star for each character but the last four; for all of them if there are no more.
fn last4(text: &str) -> String {
    const SHOWN: usize = 4;
    let chars = text.chars().count();
    let hidden = if chars > SHOWN { chars - SHOWN } else { chars };
    "*".repeat(hidden).chars().chain(text.chars().skip(hidden)).collect()
}

fn holds_hash(column: &Column) -> bool {
    match column.kind {
        ColumnKind::Bytes { max, .. } => max.is_none_or(|max| max >= HASH_BYTES),
        _ => holds_text(column, HASH_CHARS),
    }
}

fn holds_redacted(column: &Column) -> bool {
    holds_text(column, Mask::REDACTED.len() as u64)
}

/// Whether it is a column of text that takes so many characters of one byte.
fn holds_text(column: &Column, chars: u64) -> bool {
    let fits = |max: Option<u64>| max.is_none_or(|max| max >= chars);
    matches!(column.kind, ColumnKind::Text { max_chars, max_bytes } if fits(max_chars) && fits(max_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: ColumnKind) -> Column {
        Column::new("c", "its type", kind)
    }

    fn text(max: impl Into<Option<u64>>) -> Column {
        column(ColumnKind::Text { max_chars: max.into(), max_bytes: None })
    }

    #[test]
    fn a_hash_is_that_of_others_and_differs_by_its_key() {
        let plain = Masker::new(Mask::Hash, None);
        // As `printf abc | sha256sum` has it.
        assert_eq!(plain.text("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        // The second case of RFC 4231.
        let keyed = Masker::new(Mask::Hash, Some(&Secret::new("Jefe")));
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(keyed.text("what do ya want for nothing?"), expected);
        assert!(!format!("{keyed:?}").contains("Jefe"));
    }

    #[test]
    fn the_last_four_characters_stay_if_there_are_more() {
        let mask = Masker::new(Mask::Last4, None);
        for (text, masked) in [("", ""), ("abcd", "****"), ("abcde", "*bcde"), ("\u{e4}\u{1F600}cdef", "**cdef")] {
            assert_eq!(mask.text(text), masked);
        }
    }

    #[test]
    fn masks_are_refused_where_they_do_not_fit() {
        use ColumnKind::{Bytes, Json};
        let int = || column(ColumnKind::Int { min: 0, max: 9, takes_bool: false });
        let bytes = |max| column(Bytes { max: Some(max), padded: true });
        for (mask, column, fits) in [
            (Mask::Hash, text(64), true),
            (Mask::Hash, text(None), true),
            (Mask::Hash, text(63), false),
            (Mask::Hash, column(ColumnKind::Text { max_chars: None, max_bytes: Some(63) }), false),
            (Mask::Hash, bytes(32), true),
            (Mask::Hash, bytes(31), false),
            (Mask::Hash, column(ColumnKind::Uuid), false),
            (Mask::Hash, int(), false),
            (Mask::Redact, text(3), true),
            (Mask::Redact, text(2), false),
            (Mask::Redact, int(), false),
            (Mask::Last4, text(1), true),
            (Mask::Last4, column(Json), false),
        ] {
            let refused = Masker::new(mask, None).refuses(&column, true);
            assert_eq!(refused.is_none(), fits, "{mask:?} {column:?}");
            assert!(refused.is_none_or(|why| why.contains(mask.name()) && why.contains("its type `c`")));
        }
        assert_eq!(Masker::new(Mask::Redact, None).refuses(&int(), false), None);
    }

    #[test]
    fn what_is_written_fits_the_column() {
        let written = |mask, value: &str, column: &Column| {
            Masker::new(mask, None).value(&Value::text(value), column).map_err(|rejection| rejection.message)
        };
        assert_eq!(written(Mask::Redact, "secret", &text(3)), Ok(Value::text("***")));
        assert_eq!(written(Mask::Redact, "7", &column(ColumnKind::Json)), Ok(Value::Null));
        assert_eq!(written(Mask::Last4, "secret", &text(6)), Ok(Value::text("**cret")));
        let too_long = written(Mask::Last4, "secret", &text(5)).unwrap_err();
        assert!(too_long.contains("`**cret` has 6 characters"), "{too_long}");
        let hash = written(Mask::Hash, "abc", &column(ColumnKind::Bytes { max: Some(32), padded: false })).unwrap();
        assert!(matches!(hash, Value::Bytes(bytes) if bytes.starts_with(&[0xba, 0x78, 0x16])));
        let null = Masker::new(Mask::Hash, None).value(&Value::Null, &text(None));
        assert_eq!(null, Ok(Value::Null));
    }
}
