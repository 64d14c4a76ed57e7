//! What a producer asks for, what it gets back, and how a write can fail.

use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use crate::event::{Op, StreamId};
use crate::settings::Durability;
use crate::stream::failure::RedisFailure;

/// One write: an operation on one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub(super) op: Op,
    pub(super) key: Option<String>,
    pub(super) document: Option<String>,
    pub(super) ack: Option<Uuid>,
}

impl Write {
    /// A new document at a new key `<entity>:<uuid v7>`, or at the key given with [`Write::at`].
    ///
    /// # Errors
    ///
    /// [`ProduceError::Document`] if `document` is not a JSON object.
    pub fn insert(document: &impl Serialize) -> Result<Write, ProduceError> {
        Ok(Write { op: Op::Insert, key: None, document: Some(json(document)?), ack: None })
    }

    /// A new or changed document at `key`.
    ///
    /// # Errors
    ///
    /// As [`Write::insert`].
    pub fn upsert(key: impl Into<String>, document: &impl Serialize) -> Result<Write, ProduceError> {
        Ok(Write { op: Op::Upsert, key: Some(key.into()), document: Some(json(document)?), ack: None })
    }

    /// A changed document at `key`; it is stored whole.
    ///
    /// # Errors
    ///
    /// As [`Write::insert`].
    pub fn update(key: impl Into<String>, document: &impl Serialize) -> Result<Write, ProduceError> {
        Ok(Write { op: Op::Update, key: Some(key.into()), document: Some(json(document)?), ack: None })
    }

    /// Changed members of the document at `key`: they are in the entry, and what is at the key stays as it is.
    ///
    /// # Errors
    ///
    /// As [`Write::insert`].
    pub fn patch(key: impl Into<String>, members: &impl Serialize) -> Result<Write, ProduceError> {
        Ok(Write { op: Op::Patch, key: Some(key.into()), document: Some(json(members)?), ack: None })
    }

    /// The document at `key` goes.
    pub fn delete(key: impl Into<String>) -> Write {
        Write { op: Op::Delete, key: Some(key.into()), document: None, ack: None }
    }

    /// The same write at a key of the caller's choice. What is there already is replaced.
    pub fn at(self, key: impl Into<String>) -> Write {
        Write { key: Some(key.into()), ..self }
    }

    /// The same write with the caller's own id of it in the entry's ack field.
    pub fn with_ack(self, ack: Uuid) -> Write {
        Write { ack: Some(ack), ..self }
    }
}

/// Proof of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Key of the document.
    pub key: String,
    /// Id of the entry in the stream.
    pub id: StreamId,
    /// Who had acknowledged it when the call returned.
    pub reached: Reached,
    /// Why the write is not, or may not be, in the counters and log streams, though it is in Redis.
    pub uncounted: Option<String>,
}

/// Who acknowledged a write. Without a wanted durability nobody is asked, and both are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// 1 if it is in the append-only file of the server itself (`WAITAOF`).
    pub local: u32,
    /// Replicas that have it: in memory (`WAIT`) or in their append-only files (`WAITAOF`).
    pub replicas: u32,
}

impl Reached {
    pub(super) fn satisfies(self, wanted: Durability) -> bool {
        match wanted {
            Durability::None => true,
            Durability::Replicas { replicas, .. } => self.replicas >= replicas,
            Durability::Aof { local, replicas, .. } => self.local >= local && self.replicas >= replicas,
        }
    }
}

/// Why a write failed, and what is in Redis now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// No stream of that name. Nothing was written.
    #[error("entity `{entity}` is not under `streams` in the settings; known are: {known}")]
    UnknownEntity {
        /// The name that was asked for.
        entity: String,
        /// The names there are.
        known: String,
    },
    /// The document cannot be stored as a JSON object. Nothing was written.
    #[error("the document cannot be written: {cause}")]
    Document {
        /// What is wrong with it.
        cause: String,
    },
    /// The settings do not fit together or not to the server. Nothing was written.
    #[error("{0}; nothing was written")]
    Configuration(String),
    /// `WAITAOF` was wanted of a server that does not have it. Nothing was written.
    #[error(
        "WAITAOF needs Redis 7.2 or newer and the right to COMMAND INFO, but the server at {address} is {version}; \
         nothing was written: wait for replicas (WAIT) instead, or upgrade the server"
    )]
    NoWaitAof {
        /// `host:port` of the server.
        address: String,
        /// Its version.
        version: String,
    },
    /// Redis could not be reached. Nothing was written.
    #[error("stream `{stream}`: nothing was written: {failure}")]
    Unavailable {
        /// Key of the stream.
        stream: String,
        /// What happened.
        failure: Box<RedisFailure>,
    },
    /// The connection failed after the write was sent: it may or may not be there. It is counted as failed.
    #[error("stream `{stream}`, key `{key}`: no answer came, so the write may or may not be there: {failure}")]
    Unanswered {
        /// Key of the stream.
        stream: String,
        /// Key of the document.
        key: String,
        /// What happened.
        failure: Box<RedisFailure>,
    },
    /// The server refused the transaction. Nothing was written.
    #[error("stream `{stream}`, key `{key}`: nothing was written: {failure}")]
    Refused {
        /// Key of the stream.
        stream: String,
        /// Key of the document.
        key: String,
        /// What the server said to which command.
        failure: Box<RedisFailure>,
    },
    /// The server ran the transaction, but one of its commands failed; Redis does not roll back the others.
    #[error("stream `{stream}`, key `{key}`: written only in part, {left}: {failure}")]
    Partial {
        /// Key of the stream.
        stream: String,
        /// Key of the document.
        key: String,
        /// What is in Redis all the same, in words.
        left: String,
        /// What the server said to which command.
        failure: Box<RedisFailure>,
    },
    /// The write is in Redis, but was not acknowledged as wanted in time.
    #[error(
        "key `{key}`, entry {id}: written, but not as durable as wanted: wanted {}, reached {reached_local} local and \
         {reached_replicas} replicas{}", wanted_text(*.wanted), cause_text(.cause.as_deref())
    )]
    NotDurable {
        /// Key of the document.
        key: String,
        /// Id of the entry in the stream.
        id: StreamId,
        /// What was wanted.
        wanted: Durability,
        /// 1 if it is in the server's own append-only file.
        reached_local: u32,
        /// Replicas that have it.
        reached_replicas: u32,
        /// What the server said to `WAIT` or `WAITAOF`, if it refused it.
        cause: Option<String>,
    },
}

/// The wanted durability in words.
pub(super) fn wanted_text(wanted: Durability) -> String {
    let within = |timeout: Duration| format!("within {} ms", timeout.as_millis());
    match wanted {
        Durability::None => "none".to_owned(),
        Durability::Replicas { replicas, timeout } => format!("{replicas} replicas {}", within(timeout)),
        Durability::Aof { local, replicas, timeout } => {
            format!("append-only file of {local} local and {replicas} replicas {}", within(timeout))
        }
    }
}

fn cause_text(cause: Option<&str>) -> String {
    match cause {
        Some(cause) => format!("; the server said: {cause}"),
        None => "; check the replicas (INFO replication) or allow more time".to_owned(),
    }
}

/// A JSON object as text. Anything else would only be found by the pipeline, as a dead letter.
fn json(document: &impl Serialize) -> Result<String, ProduceError> {
    let text = serde_json::to_string(document);
    let text = text.map_err(|error| ProduceError::Document { cause: error.to_string() })?;
    if text.starts_with('{') {
        Ok(text)
    } else {
        let cause = "it is not a JSON object, and only an object's members can become columns";
        Err(ProduceError::Document { cause: cause.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_are_documents() {
        #[derive(Serialize)]
        struct Row {
            x: u8,
        }
        assert_eq!(Write::insert(&Row { x: 1 }).unwrap().document.as_deref(), Some(r#"{"x":1}"#));
        assert!(Write::insert(&serde_json::json!({})).is_ok());
        for document in [serde_json::json!([1]), serde_json::json!("text"), serde_json::json!(null)] {
            let error = Write::update("k", &document).unwrap_err();
            assert!(matches!(&error, ProduceError::Document { .. }), "{error}");
        }
    }

    #[test]
    fn durability_is_reached_when_each_part_is() {
        let timeout = Duration::from_millis(5);
        let reached = |local, replicas| Reached { local, replicas };
        assert!(reached(0, 0).satisfies(Durability::None));
        assert!(!reached(0, 0).satisfies(Durability::Replicas { replicas: 1, timeout }));
        assert!(reached(0, 2).satisfies(Durability::Replicas { replicas: 1, timeout }));
        assert!(!reached(0, 1).satisfies(Durability::Aof { local: 1, replicas: 1, timeout }));
        assert!(!reached(1, 0).satisfies(Durability::Aof { local: 1, replicas: 1, timeout }));
        assert!(reached(1, 1).satisfies(Durability::Aof { local: 1, replicas: 1, timeout }));
    }

    #[test]
    fn what_was_not_reached_is_told_in_full() {
        let error = ProduceError::NotDurable {
            key: "u:1".into(),
            id: StreamId { ms: 5, seq: 1 },
            wanted: Durability::Replicas { replicas: 2, timeout: Duration::from_millis(100) },
            reached_local: 0,
            reached_replicas: 1,
            cause: None,
        };
        let text = error.to_string();
        for part in ["`u:1`", "5-1", "wanted 2 replicas within 100 ms", "reached 0 local and 1 replicas"] {
            assert!(text.contains(part), "`{part}` in: {text}");
        }
    }
}
