//! A connection of its own for reading much: its answers are handed out as they came, without a copy of their strings.
//!
//! The crate's own connections turn every string into a piece of memory of its own; for entries of a stream that costs more
//! than all else that is done with them. Commands are still made, and errors understood, by the crate.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::future::select_ok;
use redis::{Cmd, Pipeline, RedisError, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::connection::{AnswersCommands, admitted, introduction};
use super::failure::RedisFailure;
use super::reply::unexpected;
use crate::settings::RedisSettings;
use crate::wire::{Ending, NotRedis};

/// Room for what one call of the system may bring, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// Smaller answers are copied out, in bytes: one that waits for the database must not hold the room of a large one.
const COPIED_BYTES: usize = 64 * 1024;

/// An open connection. A call that failed or was dropped leaves it out of step: drop it too.
#[derive(Debug)]
pub struct ReadConnection {
    socket: TcpStream,
    received: BytesMut,
    address: Arc<str>,
    response_timeout: Duration,
}

impl ReadConnection {
    /// Opens a connection whose answers may each take `response_timeout`.
    pub(super) async fn open(settings: &RedisSettings, response_timeout: Duration) -> Result<Self, RedisFailure> {
        let address: Arc<str> = settings.address().into();
        let opened = async {
            let socket = in_time(settings.connect_timeout, connect(&settings.host, settings.port)).await?;
            socket.set_nodelay(true)?;
            let received = BytesMut::new();
            let mut connection = ReadConnection { socket, received, address: address.clone(), response_timeout };
            let introduction = introduction(settings);
            let answers = connection.answers(&introduction.get_packed_pipeline(), introduction.len()).await?;
            let replies = answers.iter().map(value).collect::<Result<Vec<Value>, RedisError>>()?;
            admitted(replies)?;
            Ok(connection)
        };
        opened.await.map_err(|error: RedisError| RedisFailure::new(&address, "connecting", &error))
    }

    /// Sends one command, and gives its answer as it came.
    ///
    /// # Errors
    /// The connection failed, or the server answered with an error.
    pub async fn answer(&mut self, command: &Cmd) -> Result<Bytes, RedisError> {
        self.send(&command.get_packed_command()).await?;
        let answer = self.receive().await?;
        match answer.first() {
            Some(b'-') => Err(refusal(&answer)),
            _ => Ok(answer),
        }
    }

    /// Sends `pipeline` in one piece and gives one answer for each of its commands, in order. What the server refuses is an
    /// answer that begins with `-`.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn answers_of(&mut self, pipeline: &Pipeline) -> Result<Vec<Bytes>, RedisError> {
        self.answers(&pipeline.get_packed_pipeline(), pipeline.len()).await
    }

    /// What `error`, met on this connection while `doing`, means.
    pub fn failure(&self, doing: impl Display, error: &RedisError) -> RedisFailure {
        RedisFailure::new(&self.address, doing.to_string(), error)
    }

    async fn answers(&mut self, packed: &[u8], count: usize) -> Result<Vec<Bytes>, RedisError> {
        self.send(packed).await?;
        let mut answers = Vec::with_capacity(count);
        for _ in 0..count {
            answers.push(self.receive().await?);
        }
        Ok(answers)
    }

    async fn send(&mut self, packed: &[u8]) -> Result<(), RedisError> {
        in_time(self.response_timeout, self.socket.write_all(packed)).await.map_err(Into::into)
    }

    /// Waits for the next answer.
    async fn receive(&mut self) -> Result<Bytes, RedisError> {
        let ReadConnection { socket, received, .. } = self;
        let receiving = async {
            let mut ending = Ending::new();
            loop {
                if let Some(end) =
                    ending.find(received).map_err(|NotRedis| io::Error::from(io::ErrorKind::InvalidData))?
                {
                    return Ok(taken(received, end));
                }
                received.reserve(READ_BYTES);
                if socket.read_buf(received).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
        };
        in_time(self.response_timeout, receiving).await.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => unexpected(&NotRedis.to_string()),
            _ => error.into(),
        })
    }
}

impl AnswersCommands for ReadConnection {
    async fn command(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        value(&self.answer(command).await?)
    }

    fn failure(&self, doing: impl Display, error: &RedisError) -> RedisFailure {
        ReadConnection::failure(self, doing, error)
    }
}

/// Takes an answer out of what was received.
fn taken(received: &mut BytesMut, length: usize) -> Bytes {
    if length < COPIED_BYTES {
        let answer = Bytes::copy_from_slice(&received[..length]);
        received.advance(length);
        return answer;
    }
    let answer = received.split_to(length).freeze();
    if received.is_empty() {
        // What is left of its memory belongs to the answer: the connection must not hold it until the next one.
        *received = BytesMut::new();
    }
    answer
}

/// What the server refused with.
pub(super) fn refusal(answer: &Bytes) -> RedisError {
    match value(answer) {
        Ok(Value::ServerError(error)) => error.into(),
        Ok(_) => unexpected("an error in another form"),
        Err(error) => error,
    }
}

fn value(answer: &Bytes) -> Result<Value, RedisError> {
    redis::parse_redis_value(answer)
}

/// Connects to whichever address of the host answers first: one of them may be out of reach.
async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("host `{host}` has no address")));
    }
    let connecting = addresses.into_iter().map(|address| Box::pin(TcpStream::connect(address)));
    select_ok(connecting).await.map(|(socket, _)| socket)
}

async fn in_time<T>(limit: Duration, call: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, call).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
