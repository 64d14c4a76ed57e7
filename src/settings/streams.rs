//! `streams.*` and `stream_defaults`: which streams run, and what each of them is.

use std::collections::{BTreeMap, BTreeSet};

use super::StreamSettings;
use super::layer::LayerKind;
use super::problem::Report;
use super::section::{Scope, Section, TABLES_MISPLACED};
use super::tables::{self, Defaults};
use super::{DocumentSource, FieldNames, LogSettings, OnMissing, OnReset, StartId};
use crate::expression::TEXT_MAX as EXPRESSION_MAX;

/// Bytes of a Redis key that the bookkeeping tables have room for.
pub(super) const STREAM_NAME_BYTES_MAX: usize = 255;

const DOCUMENT: [(&str, DocumentSource); 6] = [
    ("auto", DocumentSource::Auto),
    ("inline", DocumentSource::Inline),
    ("fields", DocumentSource::Fields),
    ("json", DocumentSource::Json),
    ("string", DocumentSource::String),
    ("hash", DocumentSource::Hash),
];
const ON_MISSING: [(&str, OnMissing); 3] =
    [("dead_letter", OnMissing::DeadLetter), ("skip", OnMissing::Skip), ("delete", OnMissing::Delete)];

const ON_RESET: [(&str, OnReset); 2] = [("follow", OnReset::Follow), ("pause", OnReset::Pause)];

/// Every stream that runs, ordered by entity.
pub(super) fn read(root: &Section, report: &Report) -> Vec<StreamSettings> {
    let of_tables = Defaults::new(root);
    let of_streams = root.section("stream_defaults");
    // The keys of a table may stand at the stream itself.
    let defaults = root.section("stream_defaults").or(&of_tables.table);
    let streams = root.section("streams");
    let entities = entities(&streams);
    // Read once for itself: its problems are told even if every stream overrides them.
    stream(&defaults, &of_streams, "ENTITY", &of_tables, None);
    if entities.is_empty() {
        report.add("streams", "names no stream: name one, or remove the section to run user_action");
    }
    let read = entities.iter().filter_map(|entity| {
        let own = streams.section(entity);
        if entity == "tables" && !own.says("columns") && !own.says("tables") {
            streams.refuse(entity, TABLES_MISPLACED);
            return None;
        }
        let section = own.or(&defaults);
        let alone = streams.section(entity).or(&of_streams);
        let settings = stream(&section, &alone, entity, &of_tables, Some(&entities));
        check(&settings, &section);
        Some(settings)
    });
    read.collect()
}

/// Rules about several streams and the log streams: one key of Redis must have one meaning.
pub(super) fn check_names(streams: &[StreamSettings], log: &LogSettings, report: &Report) {
    let mut owners = BTreeMap::new();
    for (key, name) in [
        ("success_insert", &log.success_insert),
        ("failed_insert", &log.failed_insert),
        ("success_rdbms", &log.success_rdbms),
        ("failed_rdbms", &log.failed_rdbms),
    ] {
        owners.insert(name.as_str(), format!("log.streams.{key}"));
    }
    for stream in streams {
        let setting = format!("streams.{}.stream_name", stream.entity);
        if let Some(owner) = owners.get(stream.stream_name.as_str()) {
            report.add(&setting, format!("is `{}`, which is also {owner}: each needs its own", stream.stream_name));
        }
        owners.insert(&stream.stream_name, setting);
    }
}

/// The entities that the user's layers name; those of the default layer if the user names none.
fn entities(streams: &Section) -> BTreeSet<String> {
    let of_user = |scope: &&Scope| scope.layer.kind != LayerKind::Default;
    let asks = streams.scopes().iter().any(|scope| of_user(&scope));
    let scopes = streams.scopes().iter().filter(|scope| !asks || of_user(scope));
    scopes.flat_map(|scope| scope.table.keys().cloned()).collect()
}

/// `alone` is the section without what is said for all tables: of the keys that both have it is the one to ask for the
/// stream's. `entities` are the names of all streams; without them this is no stream that runs, but what is said for all.
fn stream(
    section: &Section,
    alone: &Section,
    entity: &str,
    of_tables: &Defaults,
    entities: Option<&BTreeSet<String>>,
) -> StreamSettings {
    let settings = StreamSettings {
        entity: entity.to_owned(),
        stream_name: section
            .optional_text("stream_name", 1..=STREAM_NAME_BYTES_MAX)
            .unwrap_or_else(|| format!("stream:{entity}")),
        batch_size: section.integer("batch_size", 1..=100_000),
        start_id: section.parsed("start_id", start_id).unwrap_or(StartId::Newest),
        block: section.milliseconds("block_ms", 1..=60_000),
        document: section.choice("document", &DOCUMENT),
        on_missing: section.choice("on_missing", &ON_MISSING),
        on_reset: section.choice("on_reset", &ON_RESET),
        fields: fields(&section.section("fields")),
        order_by: section.optional_text("order_by", 1..=255),
        lanes: section.integer("lanes", 1..=64),
        transformers: section.integer("transformers", 1..=64),
        max_in_flight_bytes: section.integer("max_in_flight_bytes", 1024..=64 << 30),
        idle_checkpoint: section.milliseconds("idle_checkpoint_ms", 10..=600_000),
        filter: alone.optional_lines("filter", EXPRESSION_MAX),
        reshape: section.optional_lines("reshape", EXPRESSION_MAX),
        key_pattern: section.optional_text("key_pattern", 1..=1024),
        mask_key: section.secret("mask_key"),
        tables: tables::read((section, alone), entity, of_tables, entities),
    };
    ["filter", "write_behind"].into_iter().for_each(|key| section.knows(key));
    section.finish();
    settings
}

fn start_id(text: &str) -> Result<StartId, String> {
    match text {
        "$" => Ok(StartId::Newest),
        id => id.parse().map(StartId::After).map_err(|_| "must be MILLISECONDS-SEQUENCE, \"0-0\" or \"$\"".to_owned()),
    }
}

fn fields(section: &Section) -> FieldNames {
    let names = FieldNames {
        key: section.text("key", 1..=255),
        op: section.text("op", 1..=255),
        payload: section.text("payload", 1..=255),
        timestamp: section.text("timestamp", 1..=255),
        ack: section.text("ack", 1..=255),
    };
    section.finish();
    names
}

/// Rules about several keys of one stream.
fn check(stream: &StreamSettings, section: &Section) {
    let entity = &stream.entity;
    if entity.is_empty() || entity.len() > 128 || entity.contains(|c: char| c.is_whitespace() || c.is_control()) {
        section.refuse_itself("must be a name of 1 to 128 bytes without spaces");
    }
    if section.sound(&["stream_name"]) && !(1..=STREAM_NAME_BYTES_MAX).contains(&stream.stream_name.len()) {
        section.refuse("stream_name", format!("must be 1 to {STREAM_NAME_BYTES_MAX} bytes"));
    }
    if section.sound(&["on_missing"]) && stream.on_missing == OnMissing::Delete && !stream.write_behind().delete {
        section.refuse("on_missing", "is delete, and `write_behind.delete` is false: nothing would be deleted");
    }
    const MASK_KEY_BYTES_MIN: usize = 16;
    if stream.mask_key.as_ref().is_some_and(|key| key.expose().len() < MASK_KEY_BYTES_MIN) {
        section.refuse("mask_key", format!("must be {MASK_KEY_BYTES_MIN} to 4096 characters: a short one is guessed"));
    }
}
