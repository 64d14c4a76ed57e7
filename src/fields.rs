//! Pure: flat names and values (of an entry, of a hash) as they came from Redis.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::wire::{Items, put_text};

/// Names and values in their order, with duplicates. They lie as strings in the protocol's own form in one run of bytes,
/// which is shared with the answer that they came in: a copy costs nothing. Redis does not promise UTF-8.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(Bytes);

impl Fields {
    /// Names and values that lie one after another as [`Items::texts`] has found them.
    pub fn from_wire(texts: Bytes) -> Fields {
        Fields(texts)
    }

    /// Each name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut items = Items::new(&self.0);
        std::iter::from_fn(move || Some((items.text().ok()?, items.text().ok()?)))
    }

    /// The value of the first field called `name`.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    /// A name or value of this, sharing its bytes.
    pub fn share(&self, part: &[u8]) -> Bytes {
        self.0.slice_ref(part)
    }

    /// Moves those of many into one run of bytes of their own, letting go of the answers that they came in.
    pub fn gather(many: &mut [&mut Fields]) {
        let mut all = BytesMut::with_capacity(many.iter().map(|fields| fields.bytes()).sum());
        for fields in many {
            all.extend_from_slice(&fields.0);
            fields.0 = all.split().freeze();
        }
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// What they weigh, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut bytes = Vec::new();
        for (name, value) in fields {
            put_text(&mut bytes, name.as_ref());
            put_text(&mut bytes, value.as_ref());
        }
        Fields(bytes.into())
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, value)| (Text(name), Text(value)))).finish()
    }
}

struct Text<'a>(&'a [u8]);

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_their_duplicates() {
        let fields: Fields = [("b", "1"), ("a", ""), ("b", "\r\n")].into_iter().collect();
        let want: [(&[u8], &[u8]); 3] = [(b"b", b"1"), (b"a", b""), (b"b", b"\r\n")];
        assert_eq!(fields.iter().collect::<Vec<_>>(), want);
        assert_eq!((fields.get(b"b"), fields.get(b"a"), fields.get(b"c")), (Some(&b"1"[..]), Some(&b""[..]), None));
        assert_eq!(fields.share(fields.get(b"b").unwrap()), "1");
        let (mut one, mut other) = (fields.clone(), Fields::default());
        Fields::gather(&mut [&mut one, &mut other]);
        assert_eq!((&one, &other), (&fields, &Fields::default()));
        assert!(Fields::default().is_empty() && Fields::default().iter().next().is_none());
        assert_eq!(format!("{fields:?}"), r#"{"b": "1", "a": "", "b": "\r\n"}"#);
    }
}
