//! One write as one `MULTI` … `EXEC`: which commands it takes and what their answers mean. Does no I/O.

use redis::{Pipeline, RedisError, Value};

use crate::event::StreamId;
use crate::metrics::names;
use crate::settings::{DocumentSource, DocumentStore, LogSettings, StreamSettings};
use crate::stream::reply::{self, unexpected};
use crate::stream::tally::Line;
use crate::stream::write::Write;

/// Where the document of a write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    Json,
    String,
    Inline,
}

/// Where documents of `stream` go, so that the pipeline finds them where its settings say. The error is a message.
pub(super) fn placement(store: DocumentStore, stream: &StreamSettings, json: bool) -> Result<Placement, String> {
    use DocumentSource as Source;
    use DocumentStore as Store;
    let entity = &stream.entity;
    let placement = match (store, stream.document) {
        (_, Source::Fields | Source::Hash) => {
            return Err(format!(
                "streams.{entity}.document is `fields` or `hash`, which the producer does not write: \
                 set it to auto, json, string or inline"
            ));
        }
        (Store::Auto, Source::Auto) if json => Placement::Json,
        (Store::Auto, Source::Auto) => Placement::String,
        (Store::Json, Source::Auto) | (Store::Auto | Store::Json, Source::Json) => Placement::Json,
        (Store::String, Source::Auto) | (Store::Auto | Store::String, Source::String) => Placement::String,
        (Store::Inline, Source::Auto) | (Store::Auto | Store::Inline, Source::Inline) => Placement::Inline,
        _ => {
            return Err(format!(
                "producer.document and streams.{entity}.document contradict each other: set one of them to auto"
            ));
        }
    };
    match placement {
        Placement::Json if !json => Err(format!(
            "entity `{entity}` wants RedisJSON, which the server does not have or does not show to this user: \
             load the module, or set producer.document and streams.{entity}.document to auto"
        )),
        placement => Ok(placement),
    }
}

/// What a command of the transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Document(&'static str),
    Entry,
    Counter,
    Log,
}

impl Step {
    pub(super) fn command(self) -> &'static str {
        match self {
            Step::Document(command) => command,
            Step::Entry | Step::Log => "XADD",
            Step::Counter => "INCR",
        }
    }
}

/// Adds `write` at `key` to `pipeline` as a transaction and returns its commands between `MULTI` and `EXEC`.
///
/// With `counted` the success counter and the success log entry are in the same transaction.
pub(super) fn push(
    pipeline: &mut Pipeline,
    stream: &StreamSettings,
    write: &Write,
    key: &str,
    placement: Placement,
    timestamp: &str,
    counted: Option<&LogSettings>,
) -> Vec<Step> {
    let mut steps = Vec::with_capacity(4);
    // Not `Pipeline::atomic`: WAIT must follow in the same piece, outside of the transaction.
    pipeline.cmd("MULTI");
    match (write.document.as_deref(), placement) {
        (_, Placement::Inline) => {}
        (Some(document), Placement::Json) => {
            pipeline.cmd("JSON.SET").arg(key).arg("$").arg(document);
            steps.push(Step::Document("JSON.SET"));
        }
        (Some(document), Placement::String) => {
            pipeline.cmd("SET").arg(key).arg(document);
            steps.push(Step::Document("SET"));
        }
        (None, _) => {
            pipeline.cmd("DEL").arg(key);
            steps.push(Step::Document("DEL"));
        }
    }
    let names = &stream.fields;
    let entry = pipeline.cmd("XADD").arg(&stream.stream_name).arg("*").arg(&names.key).arg(key);
    entry.arg(&names.op).arg(write.op.name()).arg(&names.timestamp).arg(timestamp);
    if let Some(ack) = write.ack {
        entry.arg(&names.ack).arg(ack.to_string());
    }
    if let (Some(document), Placement::Inline) = (write.document.as_deref(), placement) {
        entry.arg(&names.payload).arg(document);
    }
    steps.push(Step::Entry);
    if let Some(log) = counted {
        pipeline.cmd("INCR").arg(names::redis_success(&stream.entity));
        steps.push(Step::Counter);
        if log.enabled {
            Line::success(stream, write.op, key, timestamp).push(pipeline, log);
            steps.push(Step::Log);
        }
    }
    pipeline.cmd("EXEC");
    steps
}

/// How a transaction ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Document and entry are there.
    Written { id: StreamId, uncounted: Option<RedisError> },
    /// None of its commands ran.
    Refused { command: &'static str, error: RedisError },
    /// It ran, but not all of the write was done.
    Partial { command: &'static str, error: RedisError, left: String, counted: bool, log_entry: Option<String> },
    /// The server refused `MULTI` itself, so the commands may have run one by one.
    Unclear { error: RedisError },
}

/// What the answers to `MULTI`, `steps` and `EXEC` mean.
pub(super) fn outcome(steps: &[Step], replies: Vec<Value>) -> Outcome {
    let results = match executed(replies) {
        Ok(results) if results.len() == steps.len() => results,
        Ok(_) => return Outcome::Unclear { error: unexpected("EXEC gave another number of answers than commands") },
        Err(NotRun::Multi(error)) => return Outcome::Unclear { error },
        Err(NotRun::Refused { index, error }) => {
            let command = index.and_then(|index| steps.get(index)).map_or("EXEC", |step| step.command());
            return Outcome::Refused { command, error };
        }
    };
    let mut id = None;
    let (mut fault, mut uncounted) = (None, None);
    let (mut counted, mut log_entry, mut left) = (false, None, Vec::new());
    for (step, result) in steps.iter().zip(results) {
        match (*step, result) {
            (Step::Document(_) | Step::Entry, Value::ServerError(error)) => {
                fault.get_or_insert((step.command(), RedisError::from(error)));
            }
            (Step::Counter | Step::Log, Value::ServerError(error)) => {
                uncounted.get_or_insert(RedisError::from(error));
            }
            (Step::Document("DEL"), _) => left.push("the document is deleted".to_owned()),
            (Step::Document(_), _) => left.push("the document is stored".to_owned()),
            (Step::Entry, value) => {
                id = reply::text(value).and_then(|id| id.parse::<StreamId>().ok());
                match id {
                    Some(id) => left.push(format!("the entry {id} is in the stream")),
                    None => fault = fault.or(Some(("XADD", unexpected("XADD gave no id")))),
                }
            }
            (Step::Counter, _) => counted = true,
            (Step::Log, value) => log_entry = reply::text(value),
        }
    }
    match (fault, id) {
        (None, Some(id)) => Outcome::Written { id, uncounted },
        (Some((command, error)), _) => {
            let left = if left.is_empty() { "nothing is left of it".to_owned() } else { left.join(" and ") };
            Outcome::Partial { command, error, left, counted, log_entry }
        }
        (None, None) => Outcome::Unclear { error: unexpected("the transaction had no XADD") },
    }
}

/// Why a transaction did not run.
#[derive(Debug)]
pub(super) enum NotRun {
    /// `MULTI` was refused.
    Multi(RedisError),
    /// A command was refused when it was queued (`index` among those after `MULTI`), or `EXEC` itself.
    Refused { index: Option<usize>, error: RedisError },
}

/// The answers of the commands of a transaction, from the answers to `MULTI`, those commands and `EXEC`.
pub(super) fn executed(mut replies: Vec<Value>) -> Result<Vec<Value>, NotRun> {
    let exec = replies.pop();
    for (index, reply) in replies.into_iter().enumerate() {
        let Value::ServerError(error) = reply else { continue };
        // The reason is here; EXEC only says that there was one.
        return Err(match index.checked_sub(1) {
            None => NotRun::Multi(error.into()),
            index => NotRun::Refused { index, error: error.into() },
        });
    }
    match exec {
        Some(Value::Array(results)) => Ok(results),
        Some(Value::ServerError(error)) => Err(NotRun::Refused { index: None, error: error.into() }),
        _ => Err(NotRun::Refused { index: None, error: unexpected("EXEC gave no answers") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{FieldNames, OnMissing, OnReset, StartId};
    use serde_json::json;
    use std::time::Duration;

    fn stream(document: DocumentSource) -> StreamSettings {
        let name = str::to_owned;
        StreamSettings {
            entity: name("users"),
            stream_name: name("stream:users"),
            batch_size: 100,
            start_id: StartId::After(StreamId::ZERO),
            block: Duration::from_secs(1),
            document,
            on_missing: OnMissing::Skip,
            on_reset: OnReset::Follow,
            fields: FieldNames {
                key: name("key"),
                op: name("op"),
                payload: name("payload"),
                timestamp: name("timestamp"),
                ack: name("ack"),
            },
            order_by: None,
            lanes: 1,
            transformers: 1,
            max_in_flight_bytes: 1 << 20,
            idle_checkpoint: Duration::from_secs(1),
            filter: None,
            reshape: None,
            key_pattern: None,
            mask_key: None,
            tables: vec![],
        }
    }

    fn log(enabled: bool) -> LogSettings {
        LogSettings {
            level: slog::Level::Info,
            format: crate::settings::LogFormat::Auto,
            enabled,
            per_event: false,
            max_len: 9,
            success_insert: "log:ok".into(),
            failed_insert: "log:bad".into(),
            success_rdbms: "log:rdbms".into(),
            failed_rdbms: "log:rdbms:bad".into(),
        }
    }

    fn commands(pipeline: &Pipeline) -> Vec<String> {
        let words = |command: &redis::Cmd| {
            let words = command.args_iter().map(|arg| match arg {
                redis::Arg::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                _ => String::new(),
            });
            words.collect::<Vec<_>>().join(" ")
        };
        pipeline.cmd_iter().map(words).collect()
    }

    fn pushed(write: Write, placement: Placement, counted: Option<&LogSettings>) -> Vec<String> {
        let mut pipeline = Pipeline::new();
        let steps = push(&mut pipeline, &stream(DocumentSource::Auto), &write, "users:1", placement, "NOW", counted);
        let commands = commands(&pipeline);
        assert_eq!(steps.len() + 2, commands.len());
        for (step, command) in steps.iter().zip(&commands[1..]) {
            assert!(command.starts_with(step.command()), "{step:?}: {command}");
        }
        commands
    }

    #[test]
    fn a_write_is_one_transaction_of_document_entry_counter_and_log() {
        let insert = || Write::insert(&json!({"x": 1})).unwrap();
        assert_eq!(
            pushed(insert(), Placement::Json, Some(&log(true))),
            [
                "MULTI",
                r#"JSON.SET users:1 $ {"x":1}"#,
                "XADD stream:users * key users:1 op insert timestamp NOW",
                "INCR metrics:users:redis:success",
                "XADD log:ok MAXLEN ~ 9 * entity users stream stream:users op insert key users:1 timestamp NOW",
                "EXEC",
            ]
        );
        assert_eq!(pushed(insert(), Placement::String, Some(&log(false))).len(), 5);
        assert_eq!(
            pushed(insert(), Placement::Inline, None),
            ["MULTI", r#"XADD stream:users * key users:1 op insert timestamp NOW payload {"x":1}"#, "EXEC"]
        );
        assert_eq!(
            pushed(Write::delete("users:1"), Placement::Json, None),
            ["MULTI", "DEL users:1", "XADD stream:users * key users:1 op delete timestamp NOW", "EXEC"]
        );
        let acked = insert().with_ack(uuid::Uuid::nil());
        let ack = "ack 00000000-0000-0000-0000-000000000000";
        let patch = Write::patch("users:1", &serde_json::json!({"x": 2})).expect("a document");
        assert_eq!(
            pushed(patch, Placement::Inline, None),
            ["MULTI", r#"XADD stream:users * key users:1 op patch timestamp NOW payload {"x":2}"#, "EXEC"]
        );
        assert!(pushed(acked, Placement::String, None)[2].ends_with(ack));
    }

    #[test]
    fn documents_go_where_the_pipeline_looks_for_them() {
        use DocumentSource as Source;
        use DocumentStore as Store;
        let place = |store, source, json| placement(store, &stream(source), json).ok();
        let cases = [
            (Store::Auto, Source::Auto, true, Some(Placement::Json)),
            (Store::Auto, Source::Auto, false, Some(Placement::String)),
            (Store::Auto, Source::Inline, true, Some(Placement::Inline)),
            (Store::Auto, Source::String, true, Some(Placement::String)),
            (Store::Auto, Source::Json, false, None),
            (Store::Json, Source::Auto, false, None),
            (Store::Json, Source::Json, true, Some(Placement::Json)),
            (Store::String, Source::Auto, true, Some(Placement::String)),
            (Store::Inline, Source::Auto, true, Some(Placement::Inline)),
            (Store::Inline, Source::Json, true, None),
            (Store::Auto, Source::Hash, true, None),
            (Store::Auto, Source::Fields, true, None),
        ];
        for (store, source, json, want) in cases {
            assert_eq!(place(store, source, json), want, "{store:?} {source:?} json: {json}");
        }
    }

    const STEPS: [Step; 4] = [Step::Document("JSON.SET"), Step::Entry, Step::Counter, Step::Log];

    fn ended(replies: &[&str]) -> Outcome {
        let parsed = |text: &&str| redis::parse_redis_value(text.replace(' ', "\r\n").as_bytes()).unwrap();
        outcome(&STEPS, replies.iter().map(parsed).collect())
    }

    const QUEUED: &str = "+QUEUED ";

    #[test]
    fn the_id_of_the_entry_is_found() {
        let exec = "*4 +OK $3 5-1 :1 $3 6-0 ";
        match ended(&["+OK ", QUEUED, QUEUED, QUEUED, QUEUED, exec]) {
            Outcome::Written { id, uncounted: None } => assert_eq!(id, StreamId { ms: 5, seq: 1 }),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_cause_of_an_aborted_transaction_is_the_refused_command() {
        match ended(&["+OK ", QUEUED, "-OOM ", QUEUED, QUEUED, "-EXECABORT "]) {
            Outcome::Refused { command, error } => assert_eq!((command, error.code()), ("XADD", Some("OOM"))),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_error_inside_exec_says_what_is_left() {
        match ended(&["+OK ", QUEUED, QUEUED, QUEUED, QUEUED, "*4 -WRONGTYPE $3 5-1 :1 $3 6-0 "]) {
            Outcome::Partial { command, left, counted, log_entry, .. } => {
                assert_eq!((command, left.as_str()), ("JSON.SET", "the entry 5-1 is in the stream"));
                assert_eq!((counted, log_entry.as_deref()), (true, Some("6-0")));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_broken_counter_does_not_fail_the_write() {
        match ended(&["+OK ", QUEUED, QUEUED, QUEUED, QUEUED, "*4 +OK $3 5-1 -ERR $3 6-0 "]) {
            Outcome::Written { uncounted, .. } => assert!(uncounted.is_some()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_refused_multi_leaves_it_open_what_ran() {
        let refused = ended(&["-NOPERM ", "+OK ", "$3 5-1 ", ":1 ", "$3 6-0 ", "-ERR "]);
        assert!(matches!(refused, Outcome::Unclear { .. }), "{refused:?}");
    }
}
