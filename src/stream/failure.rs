//! What a failure of Redis means: one table from what was seen to what to do.

use redis::{ErrorKind, RedisError, ServerError};

use crate::error::PipelineError;
use crate::supervision::exit::ExitReason;

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// It stays so until a person changes the settings or the server.
    Configuration,
    /// It may pass by itself.
    Transient,
}

/// A failure of Redis, in words that name the server, what was being done and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("redis at {address}: {doing}: {cause}; {advice}")]
pub struct RedisFailure {
    /// Whether trying again can help.
    pub kind: FailureKind,
    /// The connection is gone, out of step, or leads to a server that is no longer the primary: open another one
    /// before trying again.
    pub reconnect: bool,
    /// `host:port` of the server.
    pub address: String,
    /// What was being done, naming stream or key.
    pub doing: String,
    /// What the server or the system said.
    pub cause: String,
    /// What to do about it.
    pub advice: &'static str,
}

impl RedisFailure {
    /// What `error`, met at `address` while `doing`, means.
    pub fn new(address: &str, doing: impl Into<String>, error: &RedisError) -> Self {
        let (kind, advice) = classify(error);
        RedisFailure {
            kind,
            reconnect: matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse)
                || answer(error).is_some_and(|answer| matches!(answer.code(), "READONLY" | "UNBLOCKED")),
            address: address.to_owned(),
            doing: doing.into(),
            cause: cause(error),
            advice,
        }
    }

    /// Whether it may pass by itself.
    pub fn is_transient(&self) -> bool {
        self.kind == FailureKind::Transient
    }
}

impl From<RedisFailure> for ExitReason {
    fn from(failure: RedisFailure) -> Self {
        let text = failure.to_string();
        if failure.is_transient() { ExitReason::Redis(text) } else { ExitReason::Configuration(text) }
    }
}

impl From<RedisFailure> for PipelineError {
    fn from(failure: RedisFailure) -> Self {
        match failure.kind {
            FailureKind::Configuration => PipelineError::Configuration(failure.to_string()),
            FailureKind::Transient => PipelineError::Unavailable(failure.to_string()),
        }
    }
}

/// How an error is recognised.
#[derive(Clone, Copy, Debug)]
enum Sign {
    /// The server answered with this code.
    Code(&'static str),
    /// The server answered `ERR`, or a module without a code, and its text has this part.
    Text(&'static str),
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    TimedOut,
    /// The connection broke.
    Dropped,
    /// Any other trouble of the network, such as a host name that is not known.
    Io,
    /// What came was not the Redis protocol.
    NotRedis,
    /// Whatever the server answered that no line above names.
    Answered,
    /// Whatever this side found wrong before it sent anything.
    Anything,
}

use FailureKind::{Configuration, Transient};

/// The first line that fits counts. An answer that is not listed is `Configuration`: retrying what the server
/// refuses for an unknown reason would go on for ever.
const TABLE: &[(Sign, FailureKind, &str)] = &[
    (Sign::Code("WRONGPASS"), Configuration, "check redis.user and redis.password"),
    (Sign::Code("NOAUTH"), Configuration, "the server asks for a password: set redis.password"),
    (
        Sign::Code("NOPERM"),
        Configuration,
        "give the user of redis.user the right to this command and key (ACL SETUSER)",
    ),
    (Sign::Code("DENIED"), Configuration, "the server is in protected mode: give it a password and set redis.password"),
    (Sign::Code("WRONGTYPE"), Configuration, "the key holds another type: check the name in the settings"),
    (
        Sign::Code("MOVED"),
        Configuration,
        "the server is a node of a cluster that does not hold the key: check redis.host",
    ),
    (Sign::Code("CROSSSLOT"), Configuration, "the server is a node of a cluster: check redis.host"),
    (Sign::Text("AUTH <password> called without"), Configuration, "the server has no password: remove redis.password"),
    (Sign::Text("DB index is out of range"), Configuration, "redis.database must be below the server's `databases`"),
    (
        Sign::Text("SELECT is not allowed in cluster"),
        Configuration,
        "a cluster has one database: set redis.database to 0",
    ),
    (Sign::Text("unknown command"), Configuration, "the server is too old for it or lacks a module such as RedisJSON"),
    (Sign::Text("max number of clients reached"), Transient, "close other clients or raise the server's `maxclients`"),
    (Sign::Code("LOADING"), Transient, "the server is loading its data; it answers when it has"),
    (Sign::Code("BUSY"), Transient, "a script holds the server; SCRIPT KILL ends it"),
    (Sign::Code("READONLY"), Transient, "the server is a replica: if that lasts, point redis.host at the primary"),
    (Sign::Code("CLUSTERDOWN"), Transient, "the cluster lacks nodes; see CLUSTER INFO"),
    (Sign::Code("MASTERDOWN"), Transient, "the replica has lost its primary; see INFO replication"),
    (Sign::Code("OOM"), Transient, "the server is at `maxmemory`: free memory or raise the limit"),
    (Sign::Code("MISCONF"), Transient, "the server cannot save to disk and refuses writes; see its log"),
    (Sign::Code("NOREPLICAS"), Transient, "fewer replicas than `min-replicas-to-write` are up to date"),
    (Sign::Code("TRYAGAIN"), Transient, "the cluster is moving the keys"),
    (Sign::Code("ASK"), Transient, "the cluster is moving the key"),
    (Sign::Code("UNBLOCKED"), Transient, "the server changed its role or was told to unblock the client"),
    (Sign::Refused, Transient, "start it, or set redis.host and redis.port to where it runs"),
    (
        Sign::TimedOut,
        Transient,
        "the server or the network is slow or stuck; see redis.connect_timeout_ms and redis.response_timeout_ms",
    ),
    (Sign::Dropped, Transient, "the server or the network closed the connection; see the server's log"),
    (Sign::Io, Transient, "check redis.host and the network"),
    (Sign::NotRedis, Transient, "check that redis.port is the port of Redis, without TLS"),
    (Sign::Answered, Configuration, "the server refused it; see its message"),
    (Sign::Anything, Configuration, "this is not expected of a Redis server; check redis.host and redis.port"),
];

fn classify(error: &RedisError) -> (FailureKind, &'static str) {
    let answer = answer(error);
    let line = TABLE.iter().find(|(sign, ..)| fits(*sign, error, answer.as_ref()));
    line.map_or((Configuration, "see the message"), |(_, kind, advice)| (*kind, advice))
}

fn fits(sign: Sign, error: &RedisError, answer: Option<&ServerError>) -> bool {
    let io = error.kind() == ErrorKind::Io;
    match sign {
        Sign::Code(code) => answer.is_some_and(|answer| answer.code() == code),
        Sign::Text(part) => answer.is_some_and(|answer| said(answer).contains(part)),
        Sign::Refused => error.is_connection_refusal(),
        Sign::TimedOut => error.is_timeout(),
        Sign::Dropped => io && error.is_connection_dropped(),
        Sign::Io => io,
        Sign::NotRedis => error.kind() == ErrorKind::Parse,
        Sign::Answered => answer.is_some(),
        Sign::Anything => true,
    }
}

/// What the server answered; of a pipeline the first error.
fn answer(error: &RedisError) -> Option<ServerError> {
    let answers = error.clone().into_server_errors()?;
    answers.first().map(|(_, answer)| answer.clone())
}

/// The server's line as it sent it. Modules send texts without a code, so code and detail belong together.
fn said(answer: &ServerError) -> String {
    match answer.details() {
        Some(detail) => format!("{} {detail}", answer.code()),
        None => answer.code().to_owned(),
    }
}

/// What was said, without the arguments that the server repeats: they may be a document.
pub(super) fn cause(error: &RedisError) -> String {
    let text = answer(error).as_ref().map_or_else(|| error.to_string(), said);
    match text.split_once(", with args beginning with") {
        Some((before, _)) => before.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn answered(line: &str) -> RedisError {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        value.extract_error().unwrap_err()
    }

    fn broken(kind: io::ErrorKind) -> RedisError {
        io::Error::from(kind).into()
    }

    /// One case for each line of the table, in its order.
    fn cases() -> Vec<(RedisError, FailureKind, &'static str)> {
        vec![
            (
                answered("WRONGPASS invalid username-password pair or user is disabled."),
                Configuration,
                "redis.password",
            ),
            (answered("NOAUTH Authentication required."), Configuration, "redis.password"),
            (answered("NOPERM User x has no permissions to run the 'xread' command"), Configuration, "ACL"),
            (answered("DENIED Redis is running in protected mode"), Configuration, "protected mode"),
            (answered("WRONGTYPE Operation against a key holding the wrong kind of value"), Configuration, "type"),
            (answered("MOVED 3999 127.0.0.1:6381"), Configuration, "redis.host"),
            (answered("CROSSSLOT Keys in request don't hash to the same slot"), Configuration, "redis.host"),
            (
                answered("ERR AUTH <password> called without any password configured for the default user."),
                Configuration,
                "remove redis.password",
            ),
            (answered("ERR DB index is out of range"), Configuration, "redis.database"),
            (answered("ERR SELECT is not allowed in cluster mode"), Configuration, "redis.database"),
            (answered("ERR unknown command 'JSON.MGET', with args beginning with: 'k' "), Configuration, "RedisJSON"),
            (answered("ERR max number of clients reached"), Transient, "maxclients"),
            (answered("LOADING Redis is loading the dataset in memory"), Transient, "loading"),
            (answered("BUSY Redis is busy running a script."), Transient, "SCRIPT KILL"),
            (answered("READONLY You can't write against a read only replica."), Transient, "primary"),
            (answered("CLUSTERDOWN The cluster is down"), Transient, "CLUSTER INFO"),
            (answered("MASTERDOWN Link with MASTER is down"), Transient, "primary"),
            (answered("OOM command not allowed when used memory > 'maxmemory'."), Transient, "maxmemory"),
            (answered("MISCONF Redis is configured to save RDB snapshots"), Transient, "disk"),
            (answered("NOREPLICAS Not enough good replicas to write."), Transient, "min-replicas"),
            (answered("TRYAGAIN Multiple keys request during rehashing of slot"), Transient, "moving"),
            (answered("ASK 3999 127.0.0.1:6381"), Transient, "moving"),
            (answered("UNBLOCKED force unblock from blocking operation"), Transient, "unblock"),
            (broken(io::ErrorKind::ConnectionRefused), Transient, "redis.port"),
            (broken(io::ErrorKind::TimedOut), Transient, "redis.response_timeout_ms"),
            (broken(io::ErrorKind::BrokenPipe), Transient, "closed"),
            (io::Error::other("failed to lookup address information").into(), Transient, "redis.host"),
            ((ErrorKind::Parse, "garbage").into(), Transient, "redis.port"),
            (answered("ERR syntax error"), Configuration, "refused"),
            ((ErrorKind::UnexpectedReturnType, "no map").into(), Configuration, "not expected"),
        ]
    }

    #[test]
    fn every_line_of_the_table_has_its_case() {
        let cases = cases();
        assert_eq!(cases.len(), TABLE.len());
        for (case, line) in cases.iter().zip(TABLE) {
            let (error, kind, advice) = case;
            let failure = RedisFailure::new("db:6379", "reading stream `s`", error);
            assert_eq!((failure.kind, failure.advice), (line.1, line.2), "{error} should meet {:?}", line.0);
            assert_eq!(failure.kind, *kind, "{failure}");
            assert!(failure.advice.contains(advice), "{failure}");
        }
    }

    #[test]
    fn the_text_names_server_deed_cause_and_remedy() {
        let failure = RedisFailure::new("db:6379", "reading stream `s`", &answered("NOAUTH Authentication required."));
        let want = "redis at db:6379: reading stream `s`: NOAUTH Authentication required.; \
                    the server asks for a password: set redis.password";
        assert_eq!(failure.to_string(), want);
    }

    #[test]
    fn documents_that_the_server_repeats_do_not_show() {
        let error = answered("ERR unknown command 'JSON.SET', with args beginning with: 'k' '$' '{\"pin\":4711}'");
        assert_eq!(cause(&error), "ERR unknown command 'JSON.SET'");
    }

    #[test]
    fn only_trouble_of_the_connection_asks_for_a_new_one() {
        let reconnect = |error: &RedisError| RedisFailure::new("db:6379", "x", error).reconnect;
        assert!(reconnect(&broken(io::ErrorKind::TimedOut)));
        assert!(reconnect(&(ErrorKind::Parse, "garbage").into()));
        assert!(reconnect(&answered("READONLY You can't write against a read only replica.")));
        assert!(!reconnect(&answered("OOM command not allowed")));
    }
}
