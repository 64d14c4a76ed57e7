//! Pure: what Redis sends (RESP2), taken apart where it lies. Reading a stream is millions of short strings: none of
//! them is copied.

use std::ops::Range;

/// One item of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A list of so many items, which follow.
    List(usize),
    /// A string.
    Text(&'a [u8]),
    /// A number.
    Number(i64),
    /// An error, as `CODE message`.
    Error(&'a [u8]),
    /// Nothing, where there could be a string or a list.
    Nil,
}

/// The bytes are not what Redis sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not in the protocol of Redis")]
pub struct NotRedis;

/// An answer, item by item.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Items<'a> {
    /// The items of an answer that is there as a whole.
    pub fn new(bytes: &'a [u8]) -> Self {
        Items { bytes, at: 0 }
    }

    /// How many bytes have been passed.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next item.
    ///
    /// # Errors
    /// [`NotRedis`], also at the end.
    pub fn item(&mut self) -> Result<Item<'a>, NotRedis> {
        match head(self.bytes, self.at)?.ok_or(NotRedis)? {
            Head { kind: Kind::Text(length), next } => {
                let end = next + length;
                let text = self.bytes.get(next..end).ok_or(NotRedis)?;
                self.at = end + LINE_END;
                Ok(Item::Text(text))
            }
            Head { kind: Kind::Whole(item), next } => {
                self.at = next;
                Ok(item)
            }
        }
    }

    /// The next item, which must be a string.
    ///
    /// # Errors
    /// [`NotRedis`] if it is none.
    pub fn text(&mut self) -> Result<&'a [u8], NotRedis> {
        match self.item()? {
            Item::Text(text) => Ok(text),
            _ => Err(NotRedis),
        }
    }

    /// The length of the list that is the next item; nothing is an empty list.
    ///
    /// # Errors
    /// [`NotRedis`] if it is none.
    pub fn list(&mut self) -> Result<usize, NotRedis> {
        match self.item()? {
            Item::List(length) => Ok(length),
            Item::Nil => Ok(0),
            _ => Err(NotRedis),
        }
    }

    /// Passes over so many strings, and answers where they lie.
    ///
    /// # Errors
    /// [`NotRedis`] if one of them is none.
    pub fn texts(&mut self, count: usize) -> Result<Range<usize>, NotRedis> {
        let start = self.at;
        for _ in 0..count {
            self.text()?;
        }
        Ok(start..self.at)
    }
}

/// Finds where an answer ends that comes piece by piece. What has been looked at once is not looked at again.
#[derive(Debug)]
pub struct Ending {
    at: usize,
    items_left: usize,
}

impl Ending {
    /// Before the first byte of an answer.
    pub fn new() -> Self {
        Ending { at: 0, items_left: 1 }
    }

    /// How long the answer at the beginning of `bytes` is; `None` if more of it must come. `bytes` must be those of the
    /// call before, and more.
    ///
    /// # Errors
    /// [`NotRedis`]
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotRedis> {
        while self.items_left > 0 {
            let Some(Head { kind, next }) = head(bytes, self.at)? else { return Ok(None) };
            let (end, more) = match kind {
                Kind::Text(length) => (next + length + LINE_END, 0),
                Kind::Whole(Item::List(items)) => (next, items),
                Kind::Whole(_) => (next, 0),
            };
            if end > bytes.len() {
                return Ok(None);
            }
            self.at = end;
            self.items_left = self.items_left - 1 + more;
        }
        Ok(Some(self.at))
    }
}

impl Default for Ending {
    fn default() -> Self {
        Ending::new()
    }
}

/// Appends a string as Redis would send it.
pub fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

const LINE_END: usize = 2;

/// The first line of an item, and where what follows it begins.
struct Head<'a> {
    kind: Kind<'a>,
    next: usize,
}

enum Kind<'a> {
    /// A string of so many bytes follows.
    Text(usize),
    /// The line is all of it.
    Whole(Item<'a>),
}

/// The first line of the item at `at`; `None` if the line is not there as a whole.
fn head(bytes: &[u8], at: usize) -> Result<Option<Head<'_>>, NotRedis> {
    let Some((kind, rest)) = bytes.get(at..).and_then(<[u8]>::split_first) else { return Ok(None) };
    // Nearly every line is the length of a string: this is the one place in the program where each byte counts.
    let (length, digits) = count(rest);
    let whole_number = digits > 0 && rest.get(digits) == Some(&b'\r');
    let (kind, line) = match kind {
        b'$' | b'*' if length > COUNT_MAX => return Err(NotRedis),
        b'$' if whole_number => (Kind::Text(length), digits),
        b'*' if whole_number => (Kind::Whole(Item::List(length)), digits),
        b'$' | b'*' | b'+' | b'-' | b':' => {
            let Some(end) = rest.iter().position(|byte| *byte == b'\r') else { return Ok(None) };
            (Kind::Whole(rare(*kind, &rest[..end])?), end)
        }
        _ => return Err(NotRedis),
    };
    let next = at + 1 + line + LINE_END;
    Ok((next <= bytes.len()).then_some(Head { kind, next }))
}

/// An item that is its first line.
fn rare(kind: u8, line: &[u8]) -> Result<Item<'_>, NotRedis> {
    match kind {
        b'+' => Ok(Item::Text(line)),
        b'-' => Ok(Item::Error(line)),
        b':' => {
            let number = std::str::from_utf8(line).ok().and_then(|line| line.parse().ok());
            number.map(Item::Number).ok_or(NotRedis)
        }
        _ if line == b"-1" => Ok(Item::Nil),
        _ => Err(NotRedis),
    }
}

/// Redis sends no string and no list that is longer.
const COUNT_MAX: usize = u32::MAX as usize;

/// The number that `text` begins with, and how many digits it has.
fn count(text: &[u8]) -> (usize, usize) {
    let (mut count, mut digits) = (0usize, 0);
    while let Some(digit) = text.get(digits).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        count = count.saturating_mul(10).saturating_add(usize::from(digit));
        digits += 1;
    }
    (count, digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"*6\r\n$3\r\na\r\n\r\n:-7\r\n$-1\r\n*-1\r\n+OK\r\n*2\r\n$0\r\n\r\n-ERR no\r\n";

    #[test]
    fn an_answer_is_taken_apart_item_by_item() {
        let mut items = Items::new(ANSWER);
        let want = [
            Item::List(6),
            Item::Text(b"a\r\n"),
            Item::Number(-7),
            Item::Nil,
            Item::Nil,
            Item::Text(b"OK"),
            Item::List(2),
            Item::Text(b""),
            Item::Error(b"ERR no"),
        ];
        for item in want {
            assert_eq!(items.item(), Ok(item));
        }
        assert_eq!(items.at(), ANSWER.len());
        assert_eq!(items.item(), Err(NotRedis), "the end");
    }

    #[test]
    fn numbers_may_be_larger_than_any_length() {
        for number in [5_000_000_000, i64::MAX, i64::MIN] {
            let answer = format!(":{number}\r\n");
            assert_eq!(Ending::new().find(answer.as_bytes()), Ok(Some(answer.len())));
            assert_eq!(Items::new(answer.as_bytes()).item(), Ok(Item::Number(number)));
        }
    }

    #[test]
    fn the_end_is_found_however_the_bytes_come() {
        let mut more = ANSWER.to_vec();
        more.extend_from_slice(b"+NEXT\r\n");
        for step in 1..more.len() {
            let mut ending = Ending::new();
            let mut come = 0;
            let found = loop {
                come = (come + step).min(more.len());
                match ending.find(&more[..come]).unwrap() {
                    Some(end) => break end,
                    None => assert!(come < ANSWER.len(), "not found in steps of {step}"),
                }
            };
            assert_eq!(found, ANSWER.len());
        }
    }

    #[test]
    fn other_protocols_are_refused() {
        for bytes in
            [&b"HTTP/1.1 400\r\n"[..], b"$x\r\n", b"$\r\n", b"$-2\r\n", b"*99999999999999999999\r\n", b":1x\r\n"]
        {
            assert_eq!(Ending::new().find(bytes), Err(NotRedis), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_put_can_be_read() {
        let mut out = Vec::new();
        put_text(&mut out, b"ab\r\n");
        put_text(&mut out, b"");
        let mut items = Items::new(&out);
        assert_eq!((items.text(), items.text()), (Ok(&b"ab\r\n"[..]), Ok(&b""[..])));
        assert_eq!(Items::new(&out).texts(2), Ok(0..out.len()));
    }
}
