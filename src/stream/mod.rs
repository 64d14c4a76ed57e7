//! The Redis side: connections, reading streams, fetching documents, producing.
//!
//! | module | what it does |
//! |---|---|
//! | [`connection`] | opens connections; the timeouts are the settings' |
//! | [`read_connection`] | a connection for reading much, without copies |
//! | [`failure`] | what went wrong with Redis, and whether trying again can help |
//! | [`capabilities`] | what the server can do: version, RedisJSON, `WAITAOF` |
//! | [`reader`] | entries of a stream after a position, and the stream's state |
//! | [`samples`] | the newest events with their documents, to look at |
//! | [`documents`] | the documents that a batch of entries speaks of |
//! | [`producer`] | document and entry in one transaction, as durable as wanted |
//! | [`mod@write`] | what a producer asks for, gets back, and how it can fail |
//! | [`dummy`] | made-up user actions to produce |

pub mod capabilities;
pub mod connection;
pub mod documents;
pub mod dummy;
pub mod failure;
pub mod producer;
pub mod read_connection;
pub mod reader;
pub mod samples;
pub mod write;

mod reply;
mod session;
mod tally;
mod transaction;
