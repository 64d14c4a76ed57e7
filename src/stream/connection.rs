//! Connections to Redis. They live on the tokio runtime on which they are opened.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, IntoConnectionInfo, Pipeline, ProtocolVersion, RedisConnectionInfo,
    RedisError, RedisFuture, Value,
};

use crate::settings::RedisSettings;
use crate::stream::failure::RedisFailure;
use crate::stream::read_connection::ReadConnection;

/// Where Redis is and how to get in; opens connections.
#[derive(Clone, Debug)]
pub struct RedisClient {
    settings: RedisSettings,
}

impl RedisClient {
    /// A client for the server of `settings`. Nothing is opened yet.
    pub fn new(settings: &RedisSettings) -> Self {
        RedisClient { settings: settings.clone() }
    }

    /// `host:port`, for messages.
    pub fn address(&self) -> String {
        self.settings.address()
    }

    /// A connection for commands that answer at once. Clones share it, and what one clone sends in one pipeline
    /// is not mixed with what others send. It never reconnects by itself.
    ///
    /// # Errors
    ///
    /// The server cannot be reached or lets nobody in with these credentials.
    pub async fn multiplexed(&self) -> Result<RedisConnection, RedisFailure> {
        let response_timeout = self.settings.response_timeout;
        let address: Arc<str> = self.address().into();
        let failed = |error: &RedisError| RedisFailure::new(&address, "connecting", error);
        let target = ConnectionAddr::Tcp(self.settings.host.clone(), self.settings.port);
        // The crate's own AUTH hides what the server answered ("max number of clients" looks like a wrong
        // password), so credentials are left out here and presented by the `introduction`.
        let plain = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
        let info = target.into_connection_info().map_err(|error| failed(&error))?;
        let info = info.set_redis_settings(plain).set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = redis::Client::open(info).map_err(|error| failed(&error))?;
        // Both timeouts are explicit: the crate's defaults (1 s and 0.5 s) would end every longer blocking read.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.settings.connect_timeout))
            .set_response_timeout(Some(response_timeout));
        let inner = client.get_multiplexed_async_connection_with_config(&config).await.map_err(|e| failed(&e))?;
        let mut connection = RedisConnection { inner, address: address.clone(), response_timeout };
        let replies = connection.replies(&introduction(&self.settings)).await;
        replies.and_then(admitted).map_err(|error| failed(&error))?;
        Ok(connection)
    }

    /// A connection of its own for reads that block up to `block`: an answer may take that much longer.
    ///
    /// # Errors
    ///
    /// As [`RedisClient::multiplexed`].
    pub async fn dedicated(&self, block: Duration) -> Result<ReadConnection, RedisFailure> {
        ReadConnection::open(&self.settings, self.settings.response_timeout.saturating_add(block)).await
    }
}

/// An open connection that knows the server's name. Clones share the same socket.
#[derive(Clone, Debug)]
pub struct RedisConnection {
    inner: MultiplexedConnection,
    address: Arc<str>,
    response_timeout: Duration,
}

impl RedisConnection {
    /// `host:port` of the server.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The same connection with `extra` more time for each answer, for commands that wait by themselves.
    pub fn patient(&self, extra: Duration) -> RedisConnection {
        let mut patient = self.clone();
        patient.response_timeout = self.response_timeout.saturating_add(extra);
        patient.inner.set_response_timeout(patient.response_timeout);
        patient
    }

    /// What `error`, met on this connection while `doing`, means.
    pub fn failure(&self, doing: impl Display, error: &RedisError) -> RedisFailure {
        RedisFailure::new(&self.address, doing.to_string(), error)
    }

    /// Sends one command; the bytes of the answer are moved, not copied.
    ///
    /// # Errors
    ///
    /// The connection failed, or the server answered with an error.
    pub async fn command(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        match self.inner.send_packed_command(command).await? {
            Value::ServerError(error) => Err(error.into()),
            value => Ok(value),
        }
    }

    /// Sends `pipeline` in one piece and gives one answer for each of its commands, in order. A command that the
    /// server refuses does not fail the others: its answer is [`Value::ServerError`].
    ///
    /// # Errors
    ///
    /// The connection failed; whether the commands ran is not known.
    pub async fn replies(&mut self, pipeline: &Pipeline) -> Result<Vec<Value>, RedisError> {
        // Not `query_async`: it turns one refusal into an error of the whole.
        self.inner.send_packed_commands(pipeline, 0, pipeline.len()).await
    }
}

impl ConnectionLike for RedisConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        self.inner.req_packed_command(cmd)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.inner.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.inner.get_db()
    }
}

/// What both kinds of connection can do.
pub trait AnswersCommands {
    /// Sends one command.
    ///
    /// # Errors
    ///
    /// The connection failed, or the server answered with an error.
    fn command(&mut self, command: &Cmd) -> impl Future<Output = Result<Value, RedisError>> + Send;

    /// What `error`, met on this connection while `doing`, means.
    fn failure(&self, doing: impl Display, error: &RedisError) -> RedisFailure;
}

impl AnswersCommands for RedisConnection {
    async fn command(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        RedisConnection::command(self, command).await
    }

    fn failure(&self, doing: impl Display, error: &RedisError) -> RedisFailure {
        RedisConnection::failure(self, doing, error)
    }
}

/// Presents the credentials, chooses the database and sees that the server answers, in one round trip.
pub(super) fn introduction(settings: &RedisSettings) -> Pipeline {
    let mut pipeline = Pipeline::new();
    if let Some(password) = &settings.password {
        let auth = pipeline.cmd("AUTH");
        if let Some(user) = &settings.user {
            auth.arg(user);
        }
        auth.arg(password.expose());
    }
    if settings.database != 0 {
        pipeline.cmd("SELECT").arg(settings.database);
    }
    // Without it a missing password or a server that is loading would only show at the first command.
    pipeline.cmd("PING");
    pipeline
}

/// Whether the server lets us in, by its replies to the [`introduction`].
pub(super) fn admitted(replies: Vec<Value>) -> Result<(), RedisError> {
    let last = replies.len().saturating_sub(1);
    for (index, reply) in replies.into_iter().enumerate() {
        let Value::ServerError(error) = reply else { continue };
        let error = RedisError::from(error);
        // A user who may do everything but PING is fine.
        if index < last || error.code() != Some("NOPERM") {
            return Err(error);
        }
    }
    Ok(())
}
