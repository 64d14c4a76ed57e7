//! Texts to bytes.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::shown;
use crate::event::{Rejection, RejectionClass};
use crate::row::Value;
use crate::value_format::BytesEncoding;

/// The bytes that a text holds, if the column takes as many.
pub fn convert(text: &str, max: Option<u64>, encoding: BytesEncoding) -> Result<Value<'_>, Rejection> {
    let bytes: Cow<'_, [u8]> = match encoding {
        BytesEncoding::Text => text.as_bytes().into(),
        BytesEncoding::Base64 => base64(text).ok_or_else(|| not_encoded(text, "base64"))?.into(),
        BytesEncoding::Hex => {
            let digits = text.strip_prefix("\\x").unwrap_or(text);
            hex::decode(digits).map_err(|_| not_encoded(text, "hexadecimal digits in pairs"))?.into()
        }
    };
    match max {
        Some(max) if bytes.len() as u64 > max => {
            let message = format!("{} is {} bytes, the column takes {max}", shown(text), bytes.len());
            Err(Rejection::new(RejectionClass::TooLong, message))
        }
        _ => Ok(Value::Bytes(bytes)),
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet: &Alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    GeneralPurpose::new(alphabet, CONFIG).decode(text).ok()
}

fn not_encoded(text: &str, encoding: &str) -> Rejection {
    Rejection::new(RejectionClass::WrongType, format!("{} is not {encoding}", shown(text)))
}
