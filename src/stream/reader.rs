//! Reading a stream without changing it.

use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, RedisError, Value};

use crate::audit::StreamState;
use crate::event::{Entry, StreamId};
use crate::fields::Fields;
use crate::stream::connection::AnswersCommands;
use crate::stream::failure::RedisFailure;
use crate::stream::read_connection::ReadConnection;
use crate::stream::reply::{self, unexpected};
use crate::wire::{Items, NotRedis};

/// At most `count` entries of `stream` with ids above `after`, in order.
///
/// With `block` the call waits that long for the first one; the connection must have been opened for at least that time
/// ([`dedicated`](crate::stream::connection::RedisClient::dedicated)).
/// No entry in time, and no such stream, give an empty list.
///
/// # Errors
///
/// The connection failed or the server refused, for instance because the key holds no stream.
pub async fn read_after(
    connection: &mut ReadConnection,
    stream: &str,
    after: StreamId,
    count: usize,
    block: Option<Duration>,
) -> Result<Vec<Entry>, RedisFailure> {
    let mut command = redis::cmd("XREAD");
    // COUNT 0 means no limit.
    command.arg("COUNT").arg(count.max(1));
    if let Some(block) = block {
        // BLOCK 0 means for ever.
        command.arg("BLOCK").arg(u64::try_from(block.as_millis()).unwrap_or(u64::MAX).max(1));
    }
    command.arg("STREAMS").arg(stream).arg(after.to_string());
    ask(connection, &command, "reading", stream, of_one_stream).await
}

/// At most `count` entries of `stream` with ids above `after`, in order, never waiting: for tools that page
/// through a stream (`after` is the last id of the page before).
///
/// # Errors
///
/// As [`read_after`].
pub async fn range_after(
    connection: &mut ReadConnection,
    stream: &str,
    after: StreamId,
    count: usize,
) -> Result<Vec<Entry>, RedisFailure> {
    let Some(first) = successor(after) else { return Ok(Vec::new()) };
    let mut command = redis::cmd("XRANGE");
    command.arg(stream).arg(first.to_string()).arg("+").arg("COUNT").arg(count.max(1));
    ask(connection, &command, "reading a range of", stream, entries).await
}

/// The newest entries of `stream`, at most `count` of them, in order; never waits.
///
/// # Errors
///
/// As [`read_after`].
pub async fn newest(connection: &mut ReadConnection, stream: &str, count: usize) -> Result<Vec<Entry>, RedisFailure> {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(stream).arg("+").arg("-").arg("COUNT").arg(count.max(1));
    let mut found = ask(connection, &command, "reading the newest entries of", stream, entries).await?;
    found.reverse();
    Ok(found)
}

/// One entry, if the stream holds it.
///
/// # Errors
///
/// As [`read_after`].
pub async fn entry(connection: &mut ReadConnection, stream: &str, id: StreamId) -> Result<Option<Entry>, RedisFailure> {
    let mut command = redis::cmd("XRANGE");
    command.arg(stream).arg(id.to_string()).arg(id.to_string());
    Ok(ask(connection, &command, "reading an entry of", stream, entries).await?.pop())
}

/// The state of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Entries it holds.
    pub length: u64,
    /// The highest id it ever gave out.
    pub last_generated_id: StreamId,
    /// The highest id that was deleted or trimmed; `None` before Redis 7.0.
    pub max_deleted_entry_id: Option<StreamId>,
    /// Entries ever added; `None` before Redis 7.0.
    pub entries_added: Option<u64>,
    /// The oldest entry it holds; `None` if it holds none.
    pub first_entry: Option<StreamId>,
}

impl StreamState {
    /// What an audit needs to know of a stream, or of one that does not exist.
    pub fn of(info: Option<StreamInfo>) -> StreamState {
        StreamState {
            newest: info.map_or(StreamId::ZERO, |info| info.last_generated_id),
            added: info.map_or(Some(0), |info| info.entries_added),
        }
    }
}

/// The state of `stream`, or `None` if there is no such key.
///
/// # Errors
///
/// The connection failed or the server refused, for instance because the key holds no stream.
pub async fn stream_info(
    connection: &mut impl AnswersCommands,
    stream: &str,
) -> Result<Option<StreamInfo>, RedisFailure> {
    let mut command = redis::cmd("XINFO");
    command.arg("STREAM").arg(stream);
    let info = match connection.command(&command).await {
        Ok(reply) => info(reply).map(Some),
        Err(error) if error.detail().is_some_and(|detail| detail.contains("no such key")) => Ok(None),
        Err(error) => Err(error),
    };
    info.map_err(|error| connection.failure(format_args!("reading the state of stream `{stream}`"), &error))
}

async fn ask(
    connection: &mut ReadConnection,
    command: &Cmd,
    doing: &str,
    stream: &str,
    parse: fn(&Bytes) -> Result<Vec<Entry>, NotRedis>,
) -> Result<Vec<Entry>, RedisFailure> {
    let parse = |answer| parse(&answer).map_err(|NotRedis| unexpected("no list of entries"));
    let answer = connection.answer(command).await.and_then(parse);
    answer.map_err(|error| connection.failure(format_args!("{doing} stream `{stream}`"), &error))
}

fn successor(id: StreamId) -> Option<StreamId> {
    match id.seq.checked_add(1) {
        Some(seq) => Some(StreamId { seq, ..id }),
        None => id.ms.checked_add(1).map(|ms| StreamId { ms, seq: 0 }),
    }
}

/// Pure: the entries of the one stream in the answer of `XREAD`: `[[name, entries]]`, or nothing.
///
/// # Errors
///
/// [`NotRedis`] if the answer has another form.
pub fn of_one_stream(answer: &Bytes) -> Result<Vec<Entry>, NotRedis> {
    let mut items = Items::new(answer);
    if items.list()? == 0 {
        return Ok(Vec::new());
    }
    items.list()?;
    items.text()?;
    listed(answer, items)
}

/// The entries in the answer of `XRANGE`.
fn entries(answer: &Bytes) -> Result<Vec<Entry>, NotRedis> {
    listed(answer, Items::new(answer))
}

/// Entries as `[id, [name, value, …]]`. They share the bytes of the answer.
fn listed(answer: &Bytes, mut items: Items<'_>) -> Result<Vec<Entry>, NotRedis> {
    let count = items.list()?;
    // An entry takes more than ten bytes: what the list says of its length is not believed blindly.
    let mut entries = Vec::with_capacity(count.min(answer.len() / 10));
    for _ in 0..count {
        items.list()?;
        let id = std::str::from_utf8(items.text()?).ok().and_then(|id| id.parse().ok()).ok_or(NotRedis)?;
        let texts = items.list()?;
        let fields = items.texts(texts)?;
        entries.push(Entry { id, fields: Fields::from_wire(answer.slice(fields)) });
    }
    Ok(entries)
}

fn id_of_entry(value: Value) -> Option<StreamId> {
    id(reply::items(value)?.into_iter().next()?)
}

fn id(value: Value) -> Option<StreamId> {
    std::str::from_utf8(&reply::bytes(value)?).ok()?.parse().ok()
}

fn info(reply: Value) -> Result<StreamInfo, RedisError> {
    let mut info = StreamInfo {
        length: 0,
        last_generated_id: StreamId::ZERO,
        max_deleted_entry_id: None,
        entries_added: None,
        first_entry: None,
    };
    let wrong = || unexpected("XINFO STREAM gave a field in another form");
    let mut seen = 0;
    for (name, value) in reply::pairs(reply, |name, value| Some((name, value))).ok_or_else(wrong)? {
        match reply::bytes(name).ok_or_else(wrong)?.as_slice() {
            b"length" => {
                info.length = reply::count(&value).ok_or_else(wrong)?;
                seen += 1;
            }
            b"last-generated-id" => {
                info.last_generated_id = id(value).ok_or_else(wrong)?;
                seen += 1;
            }
            b"max-deleted-entry-id" => info.max_deleted_entry_id = Some(id(value).ok_or_else(wrong)?),
            b"entries-added" => info.entries_added = Some(reply::count(&value).ok_or_else(wrong)?),
            b"first-entry" if value != Value::Nil => info.first_entry = Some(id_of_entry(value).ok_or_else(wrong)?),
            _ => {}
        }
    }
    // Guessing zero here would look like a stream that lost everything.
    if seen == 2 { Ok(info) } else { Err(unexpected("XINFO STREAM gave no length or no last-generated-id")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Value {
        redis::parse_redis_value(text.replace(' ', "\r\n").as_bytes()).unwrap()
    }

    fn wire(text: &str) -> Bytes {
        text.replace(' ', "\r\n").into()
    }

    #[test]
    fn entries_come_in_order_with_duplicate_fields() {
        let list = "*2 *2 $3 1-0 *4 $1 a $1 1 $1 a $1 2 *2 $3 1-1 *2 $1 b $0  ";
        let want = vec![
            Entry { id: StreamId { ms: 1, seq: 0 }, fields: [("a", "1"), ("a", "2")].into_iter().collect() },
            Entry { id: StreamId { ms: 1, seq: 1 }, fields: [("b", "")].into_iter().collect() },
        ];
        assert_eq!(entries(&wire(list)).unwrap(), want);
        assert_eq!(of_one_stream(&wire(&format!("*1 *2 $1 s {list}"))).unwrap(), want);
    }

    #[test]
    fn nothing_is_no_entry() {
        assert_eq!(of_one_stream(&wire("*-1 ")), Ok(vec![]));
        assert_eq!(entries(&wire("*0 ")), Ok(vec![]));
    }

    #[test]
    fn another_form_is_an_error() {
        for reply in ["+OK ", "*1 *2 $1 s :1 ", "*1 *2 $1 s *1 *1 $3 1-0 ", "*1 *2 $1 s *1 *2 $1 x *0 "] {
            assert!(of_one_stream(&wire(reply)).is_err(), "{reply}");
        }
    }

    #[test]
    fn the_successor_is_the_next_id_there_can_be() {
        let id = |ms, seq| StreamId { ms, seq };
        assert_eq!(successor(id(5, 7)), Some(id(5, 8)));
        assert_eq!(successor(id(5, u64::MAX)), Some(id(6, 0)));
        assert_eq!(successor(id(u64::MAX, u64::MAX)), None);
    }

    #[test]
    fn the_state_of_an_old_server_lacks_the_newer_fields() {
        let old = "*6 $6 length :1 $17 last-generated-id $3 5-0 $11 first-entry *2 $3 4-0 *2 $1 a $1 b ";
        let info = info(parsed(old)).unwrap();
        assert_eq!(info.length, 1);
        assert_eq!(info.last_generated_id, StreamId { ms: 5, seq: 0 });
        assert_eq!(info.first_entry, Some(StreamId { ms: 4, seq: 0 }));
        assert_eq!((info.max_deleted_entry_id, info.entries_added), (None, None));
        assert!(super::info(parsed("*2 $6 length :1 ")).is_err());
    }
}
