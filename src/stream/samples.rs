//! The newest events of a stream with their documents, read as the pipeline reads them, to look at.

use std::time::Duration;

use crate::decode::{Located, decode};
use crate::event::Document;
use crate::schema::Sample;
use crate::settings::StreamSettings;
use crate::stream::connection::RedisClient;
use crate::stream::documents::DocumentFetcher;
use crate::stream::failure::RedisFailure;
use crate::stream::reader::newest;

/// At most `count` of the newest events, in their order. A stream that is not there has none.
///
/// # Errors
/// The connection failed, or the server refused.
pub async fn newest_events(
    client: &RedisClient,
    stream: &StreamSettings,
    json_available: bool,
    count: usize,
) -> Result<Vec<Sample>, RedisFailure> {
    let mut connection = client.dedicated(Duration::ZERO).await?;
    let entries = newest(&mut connection, &stream.stream_name, count).await?;
    let decoded: Vec<_> = entries.iter().map(|entry| decode(entry, &stream.fields, stream.document)).collect();
    let at_key = decoded.iter().flatten().filter(|event| event.located == Located::AtKey);
    let keys: Vec<_> = at_key.filter_map(|event| event.key.clone()).collect();
    let mut fetched = match keys.is_empty() {
        true => Vec::new(),
        false => {
            let mut fetcher = DocumentFetcher::new(stream.document, json_available);
            fetcher.fetch(&mut connection, &keys).await?
        }
    }
    .into_iter();
    let samples = entries.into_iter().zip(decoded).map(|(entry, decoded)| {
        let event = decoded.and_then(|mut event| {
            let document = event.located.document(|| fetched.next().unwrap_or(Ok(Document::Missing)))?;
            Ok((event, document))
        });
        Sample { entry, event }
    });
    Ok(samples.collect())
}
