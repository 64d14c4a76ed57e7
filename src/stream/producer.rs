//! The producer's side: a document and the entry that announces it, in one transaction, as durable as wanted.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use crate::settings::{Durability, LogSettings, ProducerSettings, StreamSettings};
use crate::stream::connection::RedisClient;
use crate::stream::dummy;
use crate::stream::failure::RedisFailure;
use crate::stream::session::Session;
use crate::stream::write::{ProduceError, Receipt, Write};

/// Most writes of one round trip in [`Producer::write_all`]: about 3,000 commands, whose answers are held in memory
/// on both sides, and a few milliseconds of Redis.
pub const WRITES_PER_ROUND_TRIP: usize = 500;

/// Writes documents and announces them in the streams of the settings.
///
/// It has one connection and sends one call after the other; for more at a time, connect several. A connection that
/// failed is opened again by the next call.
#[derive(Debug)]
pub struct Producer {
    session: Session,
    streams: HashMap<String, Arc<StreamSettings>>,
    durability: Durability,
    /// Made-up user actions written so far.
    dummies: u64,
}

impl Producer {
    /// Connects and finds out what the server can do.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, lets nobody in with these credentials, or refuses transactions.
    pub async fn connect(
        client: RedisClient,
        settings: &ProducerSettings,
        log: &LogSettings,
        streams: &[StreamSettings],
    ) -> Result<Producer, RedisFailure> {
        let mut session = Session::new(client, settings.document, log);
        session.open().await?;
        let streams = streams.iter().map(|stream| (stream.entity.clone(), Arc::new(stream.clone())));
        Ok(Producer { session, streams: streams.collect(), durability: settings.durability, dummies: 0 })
    }

    /// Stores `document` at a new key `<entity>:<uuid v7>`, with the durability of the settings.
    ///
    /// # Errors
    ///
    /// See [`ProduceError`]: each variant says what is in Redis now.
    pub async fn insert_document(&mut self, entity: &str, document: &impl Serialize) -> Result<Receipt, ProduceError> {
        self.write(entity, Write::insert(document)?, self.durability).await
    }

    /// [`Producer::insert_document`] with a durability of its own.
    ///
    /// # Errors
    ///
    /// See [`ProduceError`].
    pub async fn insert_document_with(
        &mut self,
        entity: &str,
        document: &impl Serialize,
        durability: Durability,
    ) -> Result<Receipt, ProduceError> {
        self.write(entity, Write::insert(document)?, durability).await
    }

    /// Replaces the document at `key`, with the durability of the settings.
    ///
    /// # Errors
    ///
    /// See [`ProduceError`].
    pub async fn update_document(
        &mut self,
        entity: &str,
        key: &str,
        document: &impl Serialize,
    ) -> Result<Receipt, ProduceError> {
        self.write(entity, Write::update(key, document)?, self.durability).await
    }

    /// [`Producer::update_document`] with a durability of its own.
    ///
    /// # Errors
    ///
    /// See [`ProduceError`].
    pub async fn update_document_with(
        &mut self,
        entity: &str,
        key: &str,
        document: &impl Serialize,
        durability: Durability,
    ) -> Result<Receipt, ProduceError> {
        self.write(entity, Write::update(key, document)?, durability).await
    }

    /// Deletes the document at `key`, with the durability of the settings.
    ///
    /// # Errors
    ///
    /// See [`ProduceError`].
    pub async fn delete_document(&mut self, entity: &str, key: &str) -> Result<Receipt, ProduceError> {
        self.write(entity, Write::delete(key), self.durability).await
    }

    /// [`Producer::delete_document`] with a durability of its own.
    ///
    /// # Errors
    ///
    /// See [`ProduceError`].
    pub async fn delete_document_with(
        &mut self,
        entity: &str,
        key: &str,
        durability: Durability,
    ) -> Result<Receipt, ProduceError> {
        self.write(entity, Write::delete(key), durability).await
    }

    /// Inserts `count` made-up user actions into the entity [`dummy::ENTITY`]. A later call goes on where this ended.
    ///
    /// # Errors
    ///
    /// The first [`ProduceError`]; nothing is sent after the round trip in which it came.
    pub async fn insert_dummy_user_actions(&mut self, count: usize) -> Result<Vec<Receipt>, ProduceError> {
        let mut receipts = Vec::with_capacity(count);
        while receipts.len() < count {
            let size = (count - receipts.len()).min(WRITES_PER_ROUND_TRIP);
            for result in self.insert_dummies(dummy::ENTITY, size).await {
                receipts.push(result?);
            }
        }
        Ok(receipts)
    }

    /// Inserts `count` made-up user actions into any `entity`, with the durability of the settings. Gives one result
    /// for each, as [`Producer::write_all`]; a later call goes on where this ended.
    pub async fn insert_dummies(&mut self, entity: &str, count: usize) -> Vec<Result<Receipt, ProduceError>> {
        /// Any will do; it is fixed so that demonstrations can be compared.
        const SEED: u64 = 0;
        let begin = self.dummies;
        self.dummies += count as u64;
        let writes = (begin..self.dummies).map(|index| Write::insert(&dummy::user_action(SEED, index)));
        match writes.collect() {
            Ok(writes) => self.write_all(entity, writes, self.durability).await,
            Err(error) => vec![Err(error)],
        }
    }

    /// Does one write.
    ///
    /// # Errors
    ///
    /// See [`ProduceError`].
    pub async fn write(&mut self, entity: &str, write: Write, durability: Durability) -> Result<Receipt, ProduceError> {
        let result = self.write_all(entity, vec![write], durability).await.pop();
        result.unwrap_or_else(|| Err(ProduceError::Configuration("no write was asked for".to_owned())))
    }

    /// Does many writes, each in a transaction of its own, [`WRITES_PER_ROUND_TRIP`] in a round trip, in order.
    /// Gives one result for each write, in order; one that fails does not stop the others.
    ///
    /// The durability is waited for once a round trip, so its timeout holds for each of these. When a round trip
    /// brings no answer, the writes after it are not sent.
    pub async fn write_all(
        &mut self,
        entity: &str,
        writes: Vec<Write>,
        durability: Durability,
    ) -> Vec<Result<Receipt, ProduceError>> {
        let Some(stream) = self.streams.get(entity).cloned() else {
            let error = self.unknown(entity);
            return writes.iter().map(|_| Err(error.clone())).collect();
        };
        let mut results = Vec::with_capacity(writes.len());
        for part in writes.chunks(WRITES_PER_ROUND_TRIP) {
            let silent = match results.last() {
                Some(Err(ProduceError::Unanswered { failure, .. } | ProduceError::Unavailable { failure, .. })) => {
                    Some(RedisFailure::clone(failure))
                }
                _ => None,
            };
            let done = match silent {
                Some(failure) => Err(self.session.unsent(&stream, part.len(), failure)),
                None => self.session.round_trip(&stream, part, durability).await,
            };
            match done {
                Ok(done) => results.extend(done),
                Err(error) => results.extend(part.iter().map(|_| Err(error.clone()))),
            }
        }
        results
    }

    fn unknown(&self, entity: &str) -> ProduceError {
        let mut known: Vec<_> = self.streams.keys().map(|name| format!("`{name}`")).collect();
        known.sort();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        ProduceError::UnknownEntity { entity: entity.to_owned(), known }
    }
}
