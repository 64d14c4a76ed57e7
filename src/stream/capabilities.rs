//! What the server can do.

use redis::{Pipeline, RedisError, Value};

use crate::stream::connection::RedisConnection;
use crate::stream::failure::RedisFailure;
use crate::stream::reply;

/// What a server can do, found out without administrator rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Version such as `7.0.15`; `None` if the user may not read `INFO`.
    pub version: Option<String>,
    /// RedisJSON is there: `JSON.SET`, `JSON.GET` and `JSON.MGET`. False also if the user may not ask (`COMMAND`).
    pub json: bool,
    /// `WAITAOF` is there (Redis 7.2). False also if the user may not ask (`COMMAND`).
    pub waitaof: bool,
    /// What the server does when memory is full; `None` if the user may not read `INFO`.
    pub maxmemory_policy: Option<String>,
    /// Whether writes go to an append-only file; `None` if the user may not read `INFO`.
    pub aof_enabled: Option<bool>,
}

impl Capabilities {
    /// Asks the server, in one round trip.
    ///
    /// # Errors
    ///
    /// The connection failed, or the server is not ready. A right that the user lacks is not an error.
    pub async fn detect(connection: &mut RedisConnection) -> Result<Capabilities, RedisFailure> {
        const COMMANDS: [&str; 4] = ["JSON.SET", "JSON.GET", "JSON.MGET", "WAITAOF"];
        let mut pipeline = Pipeline::new();
        // COMMAND INFO, because MODULE LIST is for administrators. INFO takes several sections only since 7.0.
        pipeline.cmd("COMMAND").arg("INFO").arg(&COMMANDS);
        for section in ["server", "memory", "persistence"] {
            pipeline.cmd("INFO").arg(section);
        }
        let failed = |error: &RedisError| connection.failure("asking what the server can do", error);
        let replies = connection.clone().replies(&pipeline).await.map_err(|error| failed(&error))?;
        let mut replies = replies.into_iter().map(permitted);
        let mut next = || replies.next().unwrap_or(Ok(None)).map_err(|error| failed(&error));
        let known = commands(next()?);
        let mut info = String::new();
        for _ in 0..3 {
            info.push_str(&next()?.and_then(reply::text).unwrap_or_default());
        }
        Ok(Capabilities {
            version: field(&info, "redis_version"),
            json: COMMANDS[..3].iter().all(|name| known.iter().any(|known| known.eq_ignore_ascii_case(name))),
            waitaof: known.iter().any(|known| known.eq_ignore_ascii_case(COMMANDS[3])),
            maxmemory_policy: field(&info, "maxmemory_policy"),
            aof_enabled: field(&info, "aof_enabled").map(|enabled| enabled == "1"),
        })
    }

    /// The version for messages.
    pub fn version_shown(&self) -> &str {
        self.version.as_deref().unwrap_or("of unknown version")
    }
}

/// The answer, or `None` if the user lacks the right to it.
fn permitted(reply: Value) -> Result<Option<Value>, RedisError> {
    match reply {
        Value::ServerError(error) if error.code() == "NOPERM" => Ok(None),
        Value::ServerError(error) => Err(error.into()),
        reply => Ok(Some(reply)),
    }
}

/// Names of the commands that are there, from the answer of `COMMAND INFO`.
fn commands(reply: Option<Value>) -> Vec<String> {
    let entries = reply.and_then(reply::items).unwrap_or_default().into_iter();
    entries.filter_map(|entry| reply::text(reply::items(entry)?.into_iter().next()?)).collect()
}

/// The value of `name:` in the text of `INFO`.
fn field(info: &str, name: &str) -> Option<String> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(|value| value.trim().to_owned())
}

/// Whether the server follows another one: then it may simply not have everything yet.
///
/// # Errors
///
/// The connection failed, or the user may not ask.
pub async fn is_replica(connection: &mut RedisConnection) -> Result<bool, RedisFailure> {
    match connection.command(&redis::cmd("ROLE")).await {
        Ok(Value::Array(role)) => Ok(matches!(role.first(), Some(Value::BulkString(role)) if role != b"master")),
        Ok(_) => Ok(false),
        Err(error) => Err(connection.failure("asking for the server's role (ROLE)", &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_read_by_name() {
        let info = "# Server\r\nredis_version:7.0.15\r\nredis_version_x:9\r\n# Persistence\r\naof_enabled:1\r\n";
        assert_eq!(field(info, "redis_version").as_deref(), Some("7.0.15"));
        assert_eq!(field(info, "aof_enabled").as_deref(), Some("1"));
        assert_eq!(field(info, "maxmemory_policy"), None);
    }

    #[test]
    fn commands_that_are_not_there_are_nil() {
        let reply = redis::parse_redis_value(b"*2\r\n*2\r\n$8\r\njson.set\r\n:-1\r\n*-1\r\n").unwrap();
        assert_eq!(commands(Some(reply)), ["json.set"]);
        assert!(commands(None).is_empty());
    }
}
