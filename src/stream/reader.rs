//! Reading a stream without changing it.

use std::time::Duration;

use redis::{Cmd, RedisError, Value};

use crate::audit::StreamState;
use crate::event::{Entry, StreamId};
use crate::stream::connection::RedisConnection;
use crate::stream::failure::RedisFailure;
use crate::stream::reply::{self, unexpected};

/// At most `count` entries of `stream` with ids above `after`, in order.
///
/// With `block` the call waits that long for the first one; the connection must be a
/// [`dedicated`](crate::stream::connection::RedisClient::dedicated) one, opened for at least that time.
/// No entry in time, and no such stream, give an empty list.
///
/// # Errors
///
/// The connection failed or the server refused, for instance because the key holds no stream.
pub async fn read_after(
    connection: &mut RedisConnection,
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
    ask(connection, &command, "reading", stream, streams).await
}

/// At most `count` entries of `stream` with ids above `after`, in order, never waiting: for tools that page
/// through a stream (`after` is the last id of the page before).
///
/// # Errors
///
/// As [`read_after`].
pub async fn range_after(
    connection: &mut RedisConnection,
    stream: &str,
    after: StreamId,
    count: usize,
) -> Result<Vec<Entry>, RedisFailure> {
    let Some(first) = successor(after) else { return Ok(Vec::new()) };
    let mut command = redis::cmd("XRANGE");
    command.arg(stream).arg(first.to_string()).arg("+").arg("COUNT").arg(count.max(1));
    ask(connection, &command, "reading a range of", stream, entries).await
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
pub async fn stream_info(connection: &mut RedisConnection, stream: &str) -> Result<Option<StreamInfo>, RedisFailure> {
    let mut command = redis::cmd("XINFO");
    command.arg("STREAM").arg(stream);
    let failed = |error: &RedisError| connection.failure(format_args!("reading the state of stream `{stream}`"), error);
    match connection.clone().command(&command).await {
        Ok(reply) => info(reply).map(Some).map_err(|error| failed(&error)),
        Err(error) if error.detail().is_some_and(|detail| detail.contains("no such key")) => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

async fn ask<T>(
    connection: &mut RedisConnection,
    command: &Cmd,
    doing: &str,
    stream: &str,
    parse: fn(Value) -> Result<T, RedisError>,
) -> Result<T, RedisFailure> {
    let answer = connection.command(command).await.and_then(parse);
    answer.map_err(|error| connection.failure(format_args!("{doing} stream `{stream}`"), &error))
}

fn successor(id: StreamId) -> Option<StreamId> {
    match id.seq.checked_add(1) {
        Some(seq) => Some(StreamId { seq, ..id }),
        None => id.ms.checked_add(1).map(|ms| StreamId { ms, seq: 0 }),
    }
}

/// The entries of the one stream in the answer of `XREAD`: `[[name, entries]]` or `{name: entries}`.
fn streams(reply: Value) -> Result<Vec<Entry>, RedisError> {
    let found = match reply {
        Value::Map(streams) => streams.into_iter().next().map(|(_, found)| found),
        other => {
            let streams = reply::items(other).ok_or_else(|| unexpected("XREAD gave no list of streams"))?;
            let stream = streams.into_iter().next().map(|stream| reply::items(stream).unwrap_or_default());
            stream.and_then(|stream| stream.into_iter().nth(1))
        }
    };
    found.map_or_else(|| Ok(Vec::new()), entries)
}

fn entries(reply: Value) -> Result<Vec<Entry>, RedisError> {
    let list = reply::items(reply).ok_or_else(|| unexpected("no list of entries"))?;
    let mut entries = Vec::with_capacity(list.len());
    for item in list {
        entries.push(entry(item).ok_or_else(|| unexpected("an entry that is not an id and fields"))?);
    }
    Ok(entries)
}

fn entry(item: Value) -> Option<Entry> {
    let mut parts = reply::items(item)?.into_iter();
    let id = self::id(parts.next()?)?;
    Some(Entry { id, fields: reply::byte_pairs(parts.next()?)? })
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
            b"first-entry" if value != Value::Nil => info.first_entry = Some(entry(value).ok_or_else(wrong)?.id),
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

    #[test]
    fn entries_come_in_order_with_duplicate_fields() {
        let list = "*2 *2 $3 1-0 *4 $1 a $1 1 $1 a $1 2 *2 $3 1-1 *2 $1 b $0  ";
        let want = vec![
            Entry {
                id: StreamId { ms: 1, seq: 0 },
                fields: vec![(b"a".to_vec(), b"1".to_vec()), (b"a".to_vec(), b"2".to_vec())],
            },
            Entry { id: StreamId { ms: 1, seq: 1 }, fields: vec![(b"b".to_vec(), vec![])] },
        ];
        assert_eq!(entries(parsed(list)).unwrap(), want);
        assert_eq!(streams(parsed(&format!("*1 *2 $1 s {list}"))).unwrap(), want, "RESP2");
        assert_eq!(streams(parsed(&format!("%1 $1 s {list}"))).unwrap(), want, "RESP3");
    }

    #[test]
    fn nothing_is_no_entry() {
        assert_eq!(streams(parsed("*-1 ")).unwrap(), []);
        assert_eq!(streams(parsed("_ ")).unwrap(), []);
        assert_eq!(entries(parsed("*0 ")).unwrap(), []);
    }

    #[test]
    fn another_form_is_an_error() {
        for reply in ["+OK ", "*1 *2 $1 s :1 ", "*1 *2 $1 s *1 *1 $3 1-0 ", "*1 *2 $1 s *1 *2 $1 x *0 "] {
            assert!(streams(parsed(reply)).is_err(), "{reply}");
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
