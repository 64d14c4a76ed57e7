//! Which of the sample events a mapping would refuse.

use super::Sample;
use crate::event::{Rejection, StreamId};
use crate::mapping::Mapping;
use crate::row::RowWriter;

/// The events that would become dead letters before any SQL runs, and why, as it may be told.
pub fn refused(mapping: &Mapping, samples: &[Sample]) -> Vec<(StreamId, Rejection)> {
    let mut rows = RowWriter::default();
    let outcome = |Sample { entry, event }: &Sample| {
        let mapped = event.clone().and_then(|(event, document)| mapping.map(entry, &event, &document, &mut rows));
        Some((entry.id, mapping.told(mapped.err()?)))
    };
    samples.iter().filter_map(outcome).collect()
}
