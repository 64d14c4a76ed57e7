//! Compares what Redis holds with what the table holds, without trusting either the pipeline or its counters.

use std::collections::HashMap;
use std::fmt;

use chrono::{DateTime, NaiveDateTime};
use entity::user_action;
use indicatif::HumanCount;
use sea_orm::EntityTrait;
use write_behind::decode::{Located, decode};
use write_behind::error::PipelineError;
use write_behind::event::{Document, Entry, StreamId};
use write_behind::settings::StreamSettings;
use write_behind::sink::Target;
use write_behind::stream::documents::DocumentFetcher;
use write_behind::stream::read_connection::ReadConnection;
use write_behind::stream::reader::range_after;

/// Both sides, counted and compared.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Documents that the entries of the stream speak of.
    pub documents: u64,
    /// Rows of the table.
    pub rows: u64,
    /// In words, what is on one side only, and what could not be read.
    pub differences: Vec<String>,
}

/// One user action, whichever side it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Action {
    ts: NaiveDateTime,
    user_id: String,
    action: String,
}

/// How often each action is in Redis and in the table.
#[derive(Default)]
struct Balance(HashMap<Action, (u64, u64)>);

/// Reads both sides whole and compares them as multisets: equal actions must be there equally often.
///
/// # Errors
/// One of them could not be read.
pub async fn compare(
    connection: &mut ReadConnection,
    json_available: bool,
    stream: &StreamSettings,
    target: &Target,
) -> Result<Comparison, PipelineError> {
    /// Entries of one round trip.
    const PAGE: usize = 1_000;
    let (mut comparison, mut balance) = (Comparison::default(), Balance::default());
    let mut fetcher = DocumentFetcher::new(stream.document, json_available);
    let mut after = StreamId::ZERO;
    loop {
        let entries = range_after(connection, &stream.stream_name, after, PAGE).await?;
        let Some(last) = entries.last() else { break };
        after = last.id;
        comparison.documents += entries.len() as u64;
        for (entry, action) in read_actions(connection, &mut fetcher, stream, entries).await? {
            match action {
                Ok(action) => balance.of(action).0 += 1,
                Err(why) => comparison.differences.push(format!("entry {} is no user action: {why}", entry.id)),
            }
        }
    }
    let rows = user_action::Entity::find().all(target.db()).await;
    let rows =
        rows.map_err(|error| PipelineError::Failed(format!("the table user_actions cannot be read: {error}")))?;
    for user_action::Model { user_id, action, ts } in rows {
        comparison.rows += 1;
        balance.of(Action { ts, user_id, action }).1 += 1;
    }
    comparison.differences.extend(balance.differences());
    Ok(comparison)
}

/// The action that each entry speaks of, or why there is none.
async fn read_actions(
    connection: &mut ReadConnection,
    fetcher: &mut DocumentFetcher,
    stream: &StreamSettings,
    entries: Vec<Entry>,
) -> Result<Vec<(Entry, Result<Action, String>)>, PipelineError> {
    let decoded: Vec<_> = entries
        .into_iter()
        .map(|entry| {
            let decoded = decode(&entry, &stream.fields, stream.document);
            (entry, decoded)
        })
        .collect();
    let at_key = decoded.iter().filter_map(|(_, decoded)| {
        let decoded = decoded.as_ref().ok().filter(|decoded| decoded.located == Located::AtKey)?;
        decoded.key.clone()
    });
    let keys: Vec<_> = at_key.collect();
    let mut fetched = fetcher.fetch(connection, &keys).await?.into_iter();
    let actions = decoded.into_iter().map(|(entry, decoded)| {
        let document = decoded.and_then(|decoded| match decoded.located {
            Located::Here(document) => Ok(document),
            Located::NotNeeded => Ok(Document::None),
            Located::AtKey => fetched.next().unwrap_or(Ok(Document::Missing)),
        });
        let action = document.map_err(|rejection| rejection.to_string()).and_then(|document| parse(&document));
        (entry, action)
    });
    Ok(actions.collect())
}

/// Reads a document with as little of the pipeline's own code as there can be: it is what is checked here.
fn parse(document: &Document) -> Result<Action, String> {
    #[derive(serde::Deserialize)]
    struct Stored {
        user_id: serde_json::Value,
        action: String,
        timestamp: String,
    }
    let text = match document {
        Document::Json(text) => text,
        Document::Missing => return Err("its document is gone".to_owned()),
        Document::Fields(_) | Document::None => return Err("it has no JSON document".to_owned()),
    };
    let stored: Stored = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let time = DateTime::parse_from_rfc3339(&stored.timestamp)
        .map_err(|error| format!("its timestamp `{}`: {error}", stored.timestamp))?;
    let user_id = match stored.user_id {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    // Made-up times have milliseconds, which every column of times holds.
    Ok(Action { ts: time.naive_utc(), user_id, action: stored.action })
}

impl Balance {
    fn of(&mut self, action: Action) -> &mut (u64, u64) {
        self.0.entry(action).or_default()
    }

    /// What is not equally often on both sides, oldest first.
    fn differences(self) -> Vec<String> {
        let mut unequal: Vec<_> = self.0.into_iter().filter(|(_, (redis, table))| redis != table).collect();
        unequal.sort();
        let told = |(action, (redis, table)): (Action, (u64, u64))| match (redis, table) {
            (1, 0) => format!("missing in SQLite: {action}"),
            (0, 1) => format!("only in SQLite: {action}"),
            (redis, table) => format!("{redis} in Redis, {table} in SQLite: {action}"),
        };
        unequal.into_iter().map(told).collect()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}, {}, {}", self.user_id, self.action, self.ts.format("%Y-%m-%d %H:%M:%S%.3f"))
    }
}

impl fmt::Display for Comparison {
    /// One line: `10,000 documents in Redis, 10,000 rows in SQLite: equal`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (documents, rows) = (HumanCount(self.documents), HumanCount(self.rows));
        write!(f, "{documents} documents in Redis, {rows} rows in SQLite: ")?;
        match self.differences.len() {
            0 => f.write_str("equal"),
            1 => f.write_str("1 difference"),
            many => write!(f, "{} differences", HumanCount(many as u64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(user: &str, second: u32) -> Action {
        let text = format!(r#"{{"user_id":{user},"action":"login","timestamp":"2024-06-10T00:00:{second:02}.250Z"}}"#);
        parse(&Document::Json(text.into())).unwrap()
    }

    #[test]
    fn equal_actions_must_be_there_equally_often() {
        let mut balance = Balance::default();
        for (user, second, redis, table) in [("1", 0, 1, 1), ("2", 9, 1, 0), ("3", 4, 0, 1), ("4", 5, 3, 2)] {
            *balance.of(action(user, second)) = (redis, table);
        }
        let want = [
            "only in SQLite: user 3, login, 2024-06-10 00:00:04.250",
            "3 in Redis, 2 in SQLite: user 4, login, 2024-06-10 00:00:05.250",
            "missing in SQLite: user 2, login, 2024-06-10 00:00:09.250",
        ];
        assert_eq!(balance.differences(), want);
    }

    #[test]
    fn numbers_and_texts_name_the_same_user() {
        assert_eq!(action("17", 0), action(r#""17""#, 0));
        assert_ne!(action("17", 0), action("18", 0));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let why = |document| parse(&document).unwrap_err();
        assert!(why(Document::Missing).contains("gone"));
        assert!(why(Document::Json("{}".into())).contains("user_id"));
        let text = br#"{"user_id":1,"action":"a","timestamp":"soon"}"#;
        assert!(why(Document::Json(text[..].into())).contains("`soon`"));
    }
}
