//! Fetching the documents that the entries of a batch speak of.

use std::collections::HashMap;

use bytes::Bytes;
use redis::{Pipeline, RedisError};

use crate::decode::shown;
use crate::event::{Document, Rejection, RejectionClass};
use crate::fields::Fields;
use crate::settings::DocumentSource;
use crate::stream::failure::RedisFailure;
use crate::stream::read_connection::{ReadConnection, refusal};
use crate::stream::reply::unexpected;
use crate::wire::{Item, Items, NotRedis};

/// Most keys of one round trip. Redis serves nobody else during one `JSON.MGET`: 1,000 documents are about 2 ms,
/// and a round trip is by then a small part of the cost.
pub const KEYS_PER_ROUND_TRIP: usize = 1000;

/// What one key held: a document, nothing ([`Document::Missing`]), or something that can be no document here
/// ([`RejectionClass::WrongType`], naming the key and its type).
pub type Fetched = Result<Document, Rejection>;

/// Fetches documents in batches, and remembers what type the keys had.
#[derive(Clone, Debug)]
pub struct DocumentFetcher {
    /// The only type that the settings allow.
    demanded: Option<Holder>,
    /// The type that is tried first.
    guess: Holder,
}

impl DocumentFetcher {
    /// A fetcher for a stream with `document: <source>` on a server with or without RedisJSON.
    ///
    /// `inline` and `fields` demand no type: their documents are not at a key.
    pub fn new(source: DocumentSource, json_available: bool) -> Self {
        let demanded = match source {
            DocumentSource::Json => Some(Holder::Json),
            DocumentSource::String => Some(Holder::String),
            DocumentSource::Hash => Some(Holder::Hash),
            DocumentSource::Auto | DocumentSource::Inline | DocumentSource::Fields => None,
        };
        let likely = if json_available { Holder::Json } else { Holder::String };
        DocumentFetcher { demanded, guess: demanded.unwrap_or(likely) }
    }

    /// What `keys` hold, in their order. A key that occurs twice is fetched once.
    ///
    /// One round trip for each [`KEYS_PER_ROUND_TRIP`] keys if all of them hold a document of the expected type;
    /// for the others two more: their types are asked, and they are read accordingly.
    ///
    /// # Errors
    ///
    /// The connection failed, or the server refused a command as a whole. What is wrong with one key is part of
    /// its [`Fetched`] and disturbs no other.
    pub async fn fetch(
        &mut self,
        connection: &mut ReadConnection,
        keys: &[Bytes],
    ) -> Result<Vec<Fetched>, RedisFailure> {
        let (distinct, places) = distinct(keys);
        let mut found = Vec::with_capacity(distinct.len());
        for keys in distinct.chunks(KEYS_PER_ROUND_TRIP) {
            let part = self.fetch_some(connection, keys).await;
            found.extend(part.map_err(|error| {
                let doing = format!("fetching {} documents, the first at key `{}`", keys.len(), shown(keys[0]));
                connection.failure(doing, &error)
            })?);
        }
        Ok(spread(found, &places))
    }

    async fn fetch_some(
        &mut self,
        connection: &mut ReadConnection,
        keys: &[&[u8]],
    ) -> Result<Vec<Fetched>, RedisError> {
        let mut found: Vec<Option<Fetched>> = vec![None; keys.len()];
        let mut seen = Seen::default();
        read(connection, keys, &[(self.guess, (0..keys.len()).collect())], &mut found, &mut seen).await?;
        let open: Vec<usize> = (0..keys.len()).filter(|&index| found[index].is_none()).collect();
        if !open.is_empty() {
            let again = self.sort_by_type(connection, keys, &open, &mut found).await?;
            read(connection, keys, &again, &mut found, &mut seen).await?;
        }
        if self.demanded.is_none() {
            self.guess = seen.most().unwrap_or(self.guess);
        }
        // What had a type a moment ago and gave nothing now is gone.
        Ok(found.into_iter().map(|fetched| fetched.unwrap_or(Ok(Document::Missing))).collect())
    }

    /// Asks for the types of the keys at `open`. Fills in what is settled by the type and returns what to read.
    async fn sort_by_type(
        &self,
        connection: &mut ReadConnection,
        keys: &[&[u8]],
        open: &[usize],
        found: &mut [Option<Fetched>],
    ) -> Result<Vec<(Holder, Vec<usize>)>, RedisError> {
        let mut pipeline = Pipeline::with_capacity(open.len());
        for &index in open {
            pipeline.cmd("TYPE").arg(keys[index]);
        }
        let mut again: Vec<(Holder, Vec<usize>)> = Vec::new();
        for (&index, answer) in open.iter().zip(connection.answers_of(&pipeline).await?) {
            let name = Items::new(accepted(&answer)?).text().map_err(|NotRedis| unexpected("TYPE gave no name"))?;
            let name = String::from_utf8_lossy(name).into_owned();
            let holder = Holder::from_type_name(&name);
            match holder {
                _ if name == "none" => found[index] = Some(Ok(Document::Missing)),
                Some(holder) if self.demanded.is_none_or(|demanded| demanded == holder) => {
                    match again.iter_mut().find(|(known, _)| *known == holder) {
                        Some((_, indexes)) => indexes.push(index),
                        None => again.push((holder, vec![index])),
                    }
                }
                _ => found[index] = Some(Err(self.wrong_type(keys[index], &name))),
            }
        }
        Ok(again)
    }

    fn wrong_type(&self, key: &[u8], name: &str) -> Rejection {
        let key = shown(key);
        let message = match self.demanded {
            Some(demanded) => format!(
                "key `{key}` holds {}, but `document: {}` expects {}",
                described(name),
                demanded.setting(),
                described(demanded.type_name())
            ),
            None => format!("key `{key}` holds {}, which can be no document", described(name)),
        };
        Rejection::new(RejectionClass::WrongType, message)
    }
}

/// A type of key that can hold a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Json,
    String,
    Hash,
}

impl Holder {
    const ALL: [Holder; 3] = [Holder::Json, Holder::String, Holder::Hash];

    /// The name in the answer of `TYPE`.
    fn type_name(self) -> &'static str {
        match self {
            Holder::Json => "ReJSON-RL",
            Holder::String => "string",
            Holder::Hash => "hash",
        }
    }

    fn from_type_name(name: &str) -> Option<Holder> {
        Holder::ALL.into_iter().find(|holder| holder.type_name() == name)
    }

    /// The value of the setting `document`.
    fn setting(self) -> &'static str {
        match self {
            Holder::Json => "json",
            Holder::String => "string",
            Holder::Hash => "hash",
        }
    }
}

fn described(type_name: &str) -> String {
    match type_name {
        "ReJSON-RL" => "RedisJSON".to_owned(),
        name => format!("a {name}"),
    }
}

/// How many documents each type gave.
#[derive(Default)]
struct Seen([usize; 3]);

impl Seen {
    /// The type that gave most; `None` if there was no document.
    fn most(&self) -> Option<Holder> {
        let counts = Holder::ALL.into_iter().zip(self.0);
        counts.filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count).map(|(holder, _)| holder)
    }
}

/// Reads the keys at the given indexes, each group by its type, in one round trip. What gives no document stays open.
async fn read(
    connection: &mut ReadConnection,
    keys: &[&[u8]],
    groups: &[(Holder, Vec<usize>)],
    found: &mut [Option<Fetched>],
    seen: &mut Seen,
) -> Result<(), RedisError> {
    let mut pipeline = Pipeline::new();
    for (holder, indexes) in groups.iter().filter(|(_, indexes)| !indexes.is_empty()) {
        match holder {
            // The path `.` gives the document itself; `$` would wrap each one in an array.
            Holder::Json => arg_keys(pipeline.cmd("JSON.MGET"), keys, indexes).arg("."),
            Holder::String => arg_keys(pipeline.cmd("MGET"), keys, indexes),
            Holder::Hash => {
                indexes.iter().fold(&mut pipeline, |pipeline, &index| pipeline.cmd("HGETALL").arg(keys[index]))
            }
        };
    }
    if pipeline.is_empty() {
        return Ok(());
    }
    let mut answers = connection.answers_of(&pipeline).await?.into_iter();
    let mut next = || answers.next().ok_or_else(|| unexpected("fewer answers than commands"));
    for (holder, indexes) in groups.iter().filter(|(_, indexes)| !indexes.is_empty()) {
        let documents = match holder {
            Holder::Json | Holder::String => texts(&next()?, indexes.len())?,
            Holder::Hash => indexes.iter().map(|_| hash(&next()?)).collect::<Result<_, _>>()?,
        };
        for (&index, document) in indexes.iter().zip(documents) {
            if let Some(document) = document {
                seen.0[*holder as usize] += 1;
                found[index] = Some(Ok(document));
            }
        }
    }
    Ok(())
}

fn arg_keys<'p>(pipeline: &'p mut Pipeline, keys: &[&[u8]], indexes: &[usize]) -> &'p mut Pipeline {
    indexes.iter().fold(pipeline, |pipeline, &index| pipeline.arg(keys[index]))
}

/// The answer of `MGET` or `JSON.MGET`: nil for what is not there or of another type. They share the answer's bytes.
fn texts(answer: &Bytes, count: usize) -> Result<Vec<Option<Document>>, RedisError> {
    let wrong = |NotRedis| unexpected("MGET gave no list of values");
    let mut items = Items::new(accepted(answer)?);
    if items.list().map_err(wrong)? != count {
        return Err(unexpected("MGET gave another number of values than keys"));
    }
    let mut document = || match items.item()? {
        Item::Text(text) => Ok(Some(Document::Json(answer.slice_ref(text)))),
        _ => Ok(None),
    };
    (0..count).map(|_| document().map_err(wrong)).collect()
}

/// The answer of `HGETALL`: empty for what is not there, an error for another type.
fn hash(answer: &Bytes) -> Result<Option<Document>, RedisError> {
    if answer.starts_with(b"-WRONGTYPE") {
        return Ok(None);
    }
    let mut items = Items::new(accepted(answer)?);
    let fields = items.list().and_then(|texts| items.texts(texts));
    let fields = fields.map_err(|NotRedis| unexpected("HGETALL gave no names and values"))?;
    Ok((!fields.is_empty()).then(|| Document::Fields(Fields::from_wire(answer.slice(fields)))))
}

fn accepted(answer: &Bytes) -> Result<&Bytes, RedisError> {
    if answer.starts_with(b"-") { Err(refusal(answer)) } else { Ok(answer) }
}

/// The distinct keys in order of first occurrence, and for every key the place of its own among them.
fn distinct(keys: &[Bytes]) -> (Vec<&[u8]>, Vec<usize>) {
    let mut distinct = Vec::with_capacity(keys.len());
    let mut known = HashMap::with_capacity(keys.len());
    let places = keys.iter().map(|key| {
        *known.entry(key.as_ref()).or_insert_with(|| {
            distinct.push(key.as_ref());
            distinct.len() - 1
        })
    });
    let places = places.collect();
    (distinct, places)
}

/// One of `found` for every place. It is moved to its last place; only documents wanted twice are copied.
fn spread(found: Vec<Fetched>, places: &[usize]) -> Vec<Fetched> {
    if found.len() == places.len() {
        return found;
    }
    let mut wanted = vec![0usize; found.len()];
    places.iter().for_each(|&place| wanted[place] += 1);
    let mut found: Vec<Fetched> = found;
    let take = |&place: &usize| {
        wanted[place] -= 1;
        if wanted[place] == 0 {
            std::mem::replace(&mut found[place], Ok(Document::Missing))
        } else {
            found[place].clone()
        }
    };
    places.iter().map(take).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_are_fetched_once_and_given_to_all() {
        let keys = ["a", "b", "a", "c", "b", "a"].map(Bytes::from);
        let (distinct, places) = distinct(&keys);
        assert_eq!(distinct, [b"a", b"b", b"c"]);
        assert_eq!(places, [0, 1, 0, 2, 1, 0]);
        let document = |text: &'static str| Ok(Document::Json(text.into()));
        let found = spread(vec![document("1"), document("2"), document("3")], &places);
        assert_eq!(found, ["1", "2", "1", "3", "2", "1"].map(document));
    }

    #[test]
    fn the_next_guess_is_the_type_that_gave_most() {
        assert_eq!(Seen([0, 0, 0]).most(), None);
        assert_eq!(Seen([1, 3, 2]).most(), Some(Holder::String));
        assert_eq!(Seen([0, 0, 2]).most(), Some(Holder::Hash));
    }

    #[test]
    fn a_hash_answer_of_another_type_is_left_open() {
        let wire = |text: &'static str| Bytes::from(text);
        assert_eq!(hash(&wire("-WRONGTYPE Operation against a key\r\n")).unwrap(), None);
        assert_eq!(hash(&wire("*0\r\n")).unwrap(), None);
        assert!(hash(&wire("-LOADING Redis is loading\r\n")).is_err());
        assert!(texts(&wire("*1\r\n$-1\r\n"), 2).is_err());
    }

    #[test]
    fn a_wrong_type_is_told_with_key_type_and_setting() {
        let fetcher = DocumentFetcher::new(DocumentSource::Json, true);
        let message = fetcher.wrong_type(b"user:1", "list").message;
        assert_eq!(message, "key `user:1` holds a list, but `document: json` expects RedisJSON");
        let fetcher = DocumentFetcher::new(DocumentSource::Auto, false);
        assert_eq!(fetcher.wrong_type(b"u", "zset").message, "key `u` holds a zset, which can be no document");
    }
}
