//! The producer's connection: sends writes, waits for their durability, and keeps the counters in step.

use std::sync::Arc;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use redis::{Pipeline, RedisError, Value};
use uuid::Uuid;

use crate::event::Op;
use crate::settings::{DocumentStore, Durability, LogSettings, StreamSettings};
use crate::stream::capabilities::Capabilities;
use crate::stream::connection::{RedisClient, RedisConnection};
use crate::stream::failure::{self, RedisFailure};
use crate::stream::reply;
use crate::stream::tally::{Line, Tally};
use crate::stream::transaction::{self, NotRun, Outcome, Placement, Step};
use crate::stream::write::{ProduceError, Reached, Receipt, Write};

/// One connection and what is remembered while there is none.
#[derive(Debug)]
pub(super) struct Session {
    client: RedisClient,
    store: DocumentStore,
    log: LogSettings,
    open: Option<(RedisConnection, Arc<Capabilities>)>,
    /// What Redis could not be told while it was away.
    untold: Tally,
}

type Results = Vec<Result<Receipt, ProduceError>>;

/// A write that has its key and its place in the pipeline.
struct Planned<'a> {
    write: &'a Write,
    key: String,
    steps: Vec<Step>,
}

/// All that the writes of one round trip have in common.
struct Round<'a> {
    stream: &'a StreamSettings,
    timestamp: String,
    durability: Durability,
}

impl Session {
    pub(super) fn new(client: RedisClient, store: DocumentStore, log: &LogSettings) -> Self {
        Session { client, store, log: log.clone(), open: None, untold: Tally::default() }
    }

    /// The open connection, or a new one.
    pub(super) async fn open(&mut self) -> Result<(RedisConnection, Arc<Capabilities>), RedisFailure> {
        if let Some(open) = &self.open {
            return Ok(open.clone());
        }
        let mut connection = self.client.multiplexed().await?;
        // A server that refuses MULTI would run the commands of a write one by one: find out before the first.
        let mut probe = Pipeline::new();
        probe.cmd("MULTI").cmd("EXEC");
        let refused = |error: &RedisError| connection.failure("trying a transaction (MULTI, EXEC)", error);
        for reply in connection.clone().replies(&probe).await.map_err(|error| refused(&error))? {
            if let Value::ServerError(error) = reply {
                return Err(refused(&error.into()));
            }
        }
        let capabilities = Arc::new(Capabilities::detect(&mut connection).await?);
        Ok(self.open.insert((connection, capabilities)).clone())
    }

    /// Counts writes that cannot be sent because of `failure`.
    pub(super) fn unsent(&mut self, stream: &StreamSettings, count: usize, failure: RedisFailure) -> ProduceError {
        self.untold.failed_unlogged(&stream.entity, count);
        ProduceError::Unavailable { stream: stream.stream_name.clone(), failure: Box::new(failure) }
    }

    /// Sends `writes` in one piece and waits for their durability. The error is that of all writes, none of which
    /// was sent then.
    pub(super) async fn round_trip(
        &mut self,
        stream: &StreamSettings,
        writes: &[Write],
        durability: Durability,
    ) -> Result<Results, ProduceError> {
        let (connection, capabilities) = match self.open().await {
            Ok(open) => open,
            Err(failure) => return Err(self.unsent(stream, writes.len(), failure)),
        };
        if matches!(durability, Durability::Aof { .. }) && !capabilities.waitaof {
            let version = capabilities.version_shown().to_owned();
            return Err(ProduceError::NoWaitAof { address: connection.address().to_owned(), version });
        }
        let timestamp = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let round = Round { stream, timestamp, durability };
        let mut pipeline = Pipeline::with_capacity(writes.len() * 6 + 1);
        let planned = self.plan(&mut pipeline, &round, writes, capabilities.json)?;
        let patience = push_wait(&mut pipeline, durability);
        let mut tally = Tally::default();
        let mut results = match connection.patient(patience).replies(&pipeline).await {
            Ok(replies) => self.settle(&connection, &round, &planned, replies, &mut tally),
            Err(error) => self.unanswered(&connection, &round, &planned, &error, &mut tally),
        };
        let told_apart = durability != Durability::None;
        if let Some(why) = self.tell(tally).await
            && told_apart
        {
            for receipt in results.iter_mut().flatten() {
                receipt.uncounted = Some(why.clone());
            }
        }
        Ok(results)
    }

    fn plan<'a>(
        &self,
        pipeline: &mut Pipeline,
        round: &Round<'_>,
        writes: &'a [Write],
        json: bool,
    ) -> Result<Vec<Planned<'a>>, ProduceError> {
        let placement = transaction::placement(self.store, round.stream, json);
        // With a wanted durability success is only known, and counted, after the wait.
        let counted = (round.durability == Durability::None).then_some(&self.log);
        let mut planned = Vec::with_capacity(writes.len());
        for write in writes {
            let placement = match &placement {
                Ok(_) if write.op == Op::Patch => Placement::Inline,
                Ok(placement) => *placement,
                // A delete stores nothing, and DEL suits every type.
                Err(_) if write.op == Op::Delete => Placement::String,
                Err(message) => return Err(ProduceError::Configuration(message.clone())),
            };
            let key = match &write.key {
                Some(key) if key.is_empty() => {
                    return Err(ProduceError::Configuration("the key of a document must not be empty".to_owned()));
                }
                Some(key) => key.clone(),
                None => format!("{}:{}", round.stream.entity, Uuid::now_v7()),
            };
            let steps = transaction::push(pipeline, round.stream, write, &key, placement, &round.timestamp, counted);
            planned.push(Planned { write, key, steps });
        }
        Ok(planned)
    }

    /// What became of each write, from the answers to the whole pipeline.
    fn settle(
        &mut self,
        connection: &RedisConnection,
        round: &Round<'_>,
        planned: &[Planned<'_>],
        mut replies: Vec<Value>,
        tally: &mut Tally,
    ) -> Results {
        let (reached, cause) = match round.durability {
            Durability::None => (Reached::default(), None),
            _ => reached(round.durability, replies.pop().unwrap_or_default()),
        };
        let durable = cause.is_none() && reached.satisfies(round.durability);
        let mut replies = replies.into_iter();
        let mut settled = Vec::with_capacity(planned.len());
        for plan in planned {
            let answers = replies.by_ref().take(plan.steps.len() + 2).collect();
            let outcome = transaction::outcome(&plan.steps, answers);
            let line = |error: Option<String>| round.line(plan, error);
            let (key, stream) = (plan.key.clone(), round.stream.stream_name.clone());
            let entity = &round.stream.entity;
            settled.push(match outcome {
                Outcome::Written { id, uncounted } if durable => {
                    if round.durability != Durability::None {
                        tally.succeeded(entity, line(None).reaching(id, round.durability, reached));
                    }
                    let uncounted = uncounted.map(|error| failure::cause(&error));
                    Ok(Receipt { key, id, reached, uncounted })
                }
                Outcome::Written { id, .. } => {
                    let error = ProduceError::NotDurable {
                        key,
                        id,
                        wanted: round.durability,
                        reached_local: reached.local,
                        reached_replicas: reached.replicas,
                        cause: cause.clone(),
                    };
                    let line = line(Some(error.to_string())).reaching(id, round.durability, reached);
                    tally.failed(entity, line);
                    Err(error)
                }
                Outcome::Refused { command, error } => {
                    let failure = self.noticed(connection.failure(command, &error));
                    tally.failed(entity, line(Some(failure.to_string())));
                    Err(ProduceError::Refused { stream, key, failure })
                }
                Outcome::Partial { command, error, left, counted, log_entry } => {
                    let failure = self.noticed(connection.failure(command, &error));
                    tally.take_back(entity, counted, log_entry);
                    tally.failed(entity, line(Some(failure.to_string())));
                    Err(ProduceError::Partial { stream, key, left, failure })
                }
                Outcome::Unclear { error } => {
                    let failure = self.noticed(connection.failure("a transaction", &error));
                    tally.failed(entity, line(Some(failure.to_string())));
                    Err(ProduceError::Unanswered { stream, key, failure })
                }
            });
        }
        settled
    }

    /// No answers came: each write may or may not be there.
    fn unanswered(
        &mut self,
        connection: &RedisConnection,
        round: &Round<'_>,
        planned: &[Planned<'_>],
        error: &RedisError,
        tally: &mut Tally,
    ) -> Results {
        let failure = self.noticed(connection.failure(format_args!("{} writes", planned.len()), error));
        let unanswered = planned.iter().map(|plan| {
            tally.failed(&round.stream.entity, round.line(plan, Some(failure.to_string())));
            let stream = round.stream.stream_name.clone();
            Err(ProduceError::Unanswered { stream, key: plan.key.clone(), failure: failure.clone() })
        });
        unanswered.collect()
    }

    /// Forgets the connection if `failure` says so.
    fn noticed(&mut self, failure: RedisFailure) -> Box<RedisFailure> {
        if failure.reconnect {
            self.open = None;
        }
        Box::new(failure)
    }

    /// Writes counters and log entries, with what is left from before. Returns why it did not work, if so.
    async fn tell(&mut self, tally: Tally) -> Option<String> {
        let mut news = std::mem::take(&mut self.untold);
        news.absorb(tally);
        if news.is_empty() {
            return None;
        }
        let mut connection = match self.open().await {
            Ok((connection, _)) => connection,
            Err(failure) => {
                self.untold.absorb_counts(news);
                return Some(failure.to_string());
            }
        };
        let error = match connection.replies(&news.pipeline(&self.log)).await {
            Ok(replies) => match transaction::executed(replies) {
                Ok(results) => results.into_iter().find_map(|result| match result {
                    Value::ServerError(error) => Some(RedisError::from(error)),
                    _ => None,
                })?,
                Err(NotRun::Refused { error, .. }) => {
                    self.untold.absorb_counts(news);
                    error
                }
                Err(NotRun::Multi(error)) => error,
            },
            // It may have been counted: counting it again could make two of one.
            Err(error) => error,
        };
        Some(self.noticed(connection.failure("counting writes", &error)).to_string())
    }
}

impl Round<'_> {
    fn line(&self, plan: &Planned<'_>, error: Option<String>) -> Line {
        match error {
            None => Line::success(self.stream, plan.write.op, &plan.key, &self.timestamp),
            Some(error) => Line::failure(self.stream, plan.write.op, &plan.key, &self.timestamp, error),
        }
    }
}

/// Adds the wait for `durability`, and returns how long it may take.
fn push_wait(pipeline: &mut Pipeline, durability: Durability) -> Duration {
    // 0 would wait for ever.
    let millis = |timeout: Duration| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
    match durability {
        Durability::None => Duration::ZERO,
        Durability::Replicas { replicas, timeout } => {
            pipeline.cmd("WAIT").arg(replicas).arg(millis(timeout));
            timeout
        }
        Durability::Aof { local, replicas, timeout } => {
            pipeline.cmd("WAITAOF").arg(local).arg(replicas).arg(millis(timeout));
            timeout
        }
    }
}

/// What the answer to `WAIT` (a number) or `WAITAOF` (two) says, or what the server said instead.
fn reached(durability: Durability, reply: Value) -> (Reached, Option<String>) {
    let number = |value: Option<&Value>| {
        value.and_then(reply::count).and_then(|count| u32::try_from(count).ok()).unwrap_or_default()
    };
    match (durability, reply) {
        (_, Value::ServerError(error)) => (Reached::default(), Some(failure::cause(&error.into()))),
        (Durability::Aof { .. }, Value::Array(counts)) => {
            (Reached { local: number(counts.first()), replicas: number(counts.get(1)) }, None)
        }
        (_, reply) => (Reached { local: 0, replicas: number(Some(&reply)) }, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(50);

    #[test]
    fn waits_are_never_for_ever() {
        let mut pipeline = Pipeline::new();
        let patience = push_wait(&mut pipeline, Durability::Replicas { replicas: 2, timeout: Duration::ZERO });
        assert_eq!(patience, Duration::ZERO);
        push_wait(&mut pipeline, Durability::Aof { local: 1, replicas: 0, timeout: TIMEOUT });
        push_wait(&mut pipeline, Durability::None);
        let sent = String::from_utf8(pipeline.get_packed_pipeline()).unwrap().replace("\r\n", " ");
        assert_eq!(sent, "*3 $4 WAIT $1 2 $1 1 *4 $7 WAITAOF $1 1 $1 0 $2 50 ");
    }

    #[test]
    fn what_was_reached_is_one_number_or_two() {
        let parsed = |text: &str| redis::parse_redis_value(text.as_bytes()).unwrap();
        let (wait, aof) = (
            Durability::Replicas { replicas: 1, timeout: TIMEOUT },
            Durability::Aof { local: 1, replicas: 1, timeout: TIMEOUT },
        );
        assert_eq!(reached(wait, parsed(":2\r\n")), (Reached { local: 0, replicas: 2 }, None));
        assert_eq!(reached(aof, parsed("*2\r\n:1\r\n:0\r\n")), (Reached { local: 1, replicas: 0 }, None));
        let (none, cause) = reached(aof, parsed("-ERR WAITAOF cannot be used\r\n"));
        assert_eq!((none, cause.as_deref()), (Reached::default(), Some("ERR WAITAOF cannot be used")));
    }
}
