//! The settings that a process gets from its layers, and the words for what is wrong with them.

use std::time::Duration;

use super::super::layer::LayerKind;
use super::super::{ColumnSettings, ColumnSource, DocumentSource, FieldNames, OnMissing, RdbmsKind};
use super::super::{StartId, WriteBehind, WriteMode};
use super::*;
use crate::event::StreamId;

/// Loads a file called `my.yaml` with this text, and these variables.
pub(in crate::settings) fn load(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Problems> {
    let file = Layer::parse(LayerKind::File, "my.yaml", text)?;
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    super::load(file, &variables)
}

pub(in crate::settings) fn good(text: &str, variables: &[(&str, &str)]) -> Settings {
    load(text, variables).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

#[track_caller]
pub(in crate::settings) fn assert_problems(text: &str, variables: &[(&str, &str)], expected: &[&str]) {
    let problems = load(text, variables).err().unwrap_or_default().to_string();
    assert_eq!(problems.lines().collect::<Vec<_>>(), expected, "{text}");
}

fn entities(settings: &Settings) -> Vec<&str> {
    settings.streams.iter().map(|stream| stream.entity.as_str()).collect()
}

fn columns(settings: &Settings, entity: &str) -> String {
    let columns = &settings.stream(entity).expect("is there").tables[0].columns;
    let from = |column: &ColumnSettings| match &column.source {
        ColumnSource::From(text) | ColumnSource::Add(text) => text.clone(),
        ColumnSource::Constant(text) | ColumnSource::Expression(text) => text.clone(),
    };
    columns.iter().map(|column| format!("{}={} ", column.column, from(column))).collect()
}

#[test]
fn the_defaults_load_and_are_complete() {
    // A key that a reader asks for and the file lacks, or the other way round, would be a problem.
    let settings = good("", &[]);
    assert_eq!(entities(&settings), ["user_action"]);
    assert_eq!(settings.rdbms.kind, RdbmsKind::Sqlite);
    assert_eq!(settings.rdbms.database, "write-behind.db");
    assert_eq!(settings.supervisor.hang_timeout, Duration::from_secs(120));
    assert_eq!(settings.producer.durability, Durability::None);
    assert_eq!(settings.log.level, Level::Info);
    assert!(settings.app.instance_id.ends_with(&format!("-{}", std::process::id())));
}

#[test]
fn every_key_of_the_default_layer_has_a_comment() {
    let text = include_str!("../../../settings/default.yaml");
    let mut keys = 0;
    let mut above = "";
    for line in text.lines() {
        let content = line.trim_start();
        if !content.is_empty() && !content.starts_with('#') {
            keys += 1;
            assert!(above.starts_with('#') || content.contains(" #"), "no comment: {line}");
        }
        above = content;
    }
    assert!(keys > 90, "only {keys} keys found");
}

#[test]
fn the_file_of_the_original_demo_loads_unchanged() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("settings/examples/original-demo.yaml");
    let layers = Layers { file: Some(path), environment: Vec::new() };
    let settings = Settings::load(&layers).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((settings.redis.address().as_str(), settings.redis.replicas), ("localhost:6379", 1));
    assert_eq!(settings.rdbms.address(), "mysql at localhost:3306/user_events_db");
    assert_eq!(settings.rdbms.user.as_deref(), Some("redis"));
    assert_eq!(settings.rdbms.password.as_ref().map(|password| password.expose()), Some("redis"));
    assert_eq!(settings.rdbms.connection_url().expose(), "mysql://redis:redis@localhost:3306/user_events_db");
    assert_eq!((settings.rdbms.max_retries, settings.rdbms.retry_delay), (3, Duration::from_secs(2)));
    assert_eq!(settings.app.instance_id, "instance-001");
    assert!(settings.log.enabled);
    assert_eq!(settings.log.success_insert, "stream:success_inserts");
    assert_eq!(settings.log.failed_insert, "stream:failed_inserts");
    assert_eq!(settings.log.success_rdbms, "stream:success_rdbms");
    assert_eq!(settings.log.failed_rdbms, "stream:failed_rdbms");

    let [stream] = settings.streams.as_slice() else { panic!("one stream: {:?}", settings.streams) };
    assert_eq!((stream.entity.as_str(), stream.stream_name.as_str()), ("user_action", "stream:user_action"));
    assert_eq!((stream.batch_size, stream.start_id), (10, StartId::After(StreamId::ZERO)));
    assert_eq!((stream.tables[0].table.as_str(), stream.tables[0].mode), ("user_actions", WriteMode::Append));
    assert_eq!(columns(&settings, "user_action"), "action=action ts=timestamp user_id=user_id ");
    assert_eq!((stream.document, stream.on_missing), (DocumentSource::Auto, OnMissing::DeadLetter));
    assert_eq!(
        stream.write_behind(),
        WriteBehind { insert: true, upsert: true, update: true, patch: true, delete: true }
    );
    assert_eq!(stream.fields, {
        let name = str::to_owned;
        FieldNames {
            key: name("key"),
            op: name("op"),
            payload: name("payload"),
            timestamp: name("timestamp"),
            ack: name("ack"),
        }
    });
}

#[test]
fn every_problem_is_told_at_once() {
    assert_problems(
        "redis: {port: 70000, hots: x}\n\
         rdbms: {type: oracle, retry_delay_sec: -1, user: [a]}\n\
         supervisor: {hang_timeout_sec: 10, restart_delay_ms: 40000}\n\
         log: {level: loud, streams: 7}\n\
         streams: {user_action: {batch_size: ten, start_id: now}}\n",
        &[("PIPELINE__METRICS__LOG_BUFFER_MAX", ""), ("PIPELINE__REDIS__DATABAS", "1")],
        &[
            "PIPELINE__REDIS__DATABAS: is not a setting: did you mean `PIPELINE__REDIS__DATABASE`?",
            "log.level: must be one of trace, debug, info, warning, warn, error, critical, not `loud` (from my.yaml)",
            "log.streams: must be a section with keys of its own (from my.yaml)",
            "metrics.log_buffer_max: must be a whole number from 1 to 1000000, not an empty text (from PIPELINE__METRICS__LOG_BUFFER_MAX)",
            "rdbms.retry_delay_sec: must be a number of seconds from 0.001 to 3600, not -1 (from my.yaml)",
            "rdbms.type: must be one of postgres, mysql, mariadb, sqlite, not `oracle` (from my.yaml)",
            "rdbms.user: must be text of 1 to 255 characters on one line, not a list (from my.yaml)",
            "redis.hots: is not a setting: did you mean `redis.host`? (from my.yaml)",
            "redis.port: must be a whole number from 1 to 65535, not 70000 (from my.yaml)",
            "streams.user_action.batch_size: must be a whole number from 1 to 100000, not `ten` (from my.yaml)",
            "streams.user_action.start_id: must be MILLISECONDS-SEQUENCE, \"0-0\" or \"$\", not `now` (from my.yaml)",
            "supervisor.hang_timeout_sec: must be longer than rdbms.statement_timeout_ms, which is 60000 ms",
            "supervisor.hang_timeout_sec: must be longer than redis.response_timeout_ms, which is 10000 ms",
            "supervisor.restart_delay_max_ms: must not be below supervisor.restart_delay_ms",
        ],
    );
}

#[test]
fn unknown_keys_get_the_nearest_name_or_all_names() {
    for (text, expected) in [
        ("reddis: {}", "reddis: is not a setting: did you mean `redis`? (from my.yaml)"),
        ("rdbms: {pass: x}", "rdbms.pass: is not a setting: did you mean `rdbms.password`? (from my.yaml)"),
        ("rdbms: {username: x}", "rdbms.username: is not a setting: did you mean `rdbms.user`? (from my.yaml)"),
        (
            "rdbms: {max_retry: 3}",
            "rdbms.max_retry: is not a setting: did you mean `rdbms.max_retries`? (from my.yaml)",
        ),
        ("stream: {}", "stream: is not a setting: did you mean `streams`? (from my.yaml)"),
        ("rdbms: {retries: 3}", "rdbms.retries: is not a setting: did you mean `rdbms.max_retries`? (from my.yaml)"),
        (
            "rdbms: {retryDelaySec: 3}",
            "rdbms.retryDelaySec: is not a setting: did you mean `rdbms.retry_delay_sec`? (from my.yaml)",
        ),
        (
            "metrics: {colour: red}",
            "metrics.colour: is not a setting: here are log_buffer_max, publish_interval_ms, refresh_interval_sec (from my.yaml)",
        ),
        ("streams: {user_action: {fields: {opp: x}}}", {
            "streams.user_action.fields.opp: is not a setting: did you mean `streams.user_action.fields.op`? (from my.yaml)"
        }),
        ("stream_defaults: {batchsize: 1}", {
            "stream_defaults.batchsize: is not a setting: did you mean `stream_defaults.batch_size`? (from my.yaml)"
        }),
        (
            "redis.host: x",
            "redis.host: is not a setting: here are app, column_defaults, log, metrics, producer, rdbms, redis, stream_defaults, streams, supervisor, table_defaults (from my.yaml)",
        ),
    ] {
        assert_problems(text, &[], &[expected]);
    }
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let settings = good(
        "redis: {host: file, port: 1, password: 12345}\nrdbms: {user: someone, retry_delay_sec: 0.5}\n\
         streams: {orders: {columns: {userId: userId}, key: [userId]}}",
        &[
            ("PIPELINE__REDIS__HOST", "env"),
            ("PIPELINE__rdbms__migrate_on_start", "false"),
            ("PIPELINE__RDBMS__USER", ""),
            ("PIPELINE__LOG__LEVEL", "warn"),
            ("PIPELINE__STREAMS__ORDERS__BATCH_SIZE", "10"),
            ("PIPELINE__STREAMS__ORDERS__COLUMNS__USERID", "user.id"),
            ("PIPELINE__STREAMS__ORDERS__COLUMNS__TS", "$timestamp"),
            ("PIPELINE__STREAMS__ORDERS__KEY", "userId, ts"),
            ("PIPELINE_PORT", "tcp://10.0.0.1:80"),
        ],
    );
    assert_eq!(settings.redis.address(), "env:1");
    assert_eq!(settings.redis.password.as_ref().map(|password| password.expose()), Some("12345"));
    assert_eq!((settings.rdbms.migrate_on_start, settings.rdbms.user.as_deref()), (false, None));
    assert_eq!(settings.rdbms.retry_delay, Duration::from_millis(500));
    assert_eq!(settings.log.level, Level::Warning);
    let orders = settings.stream("orders").expect("runs");
    assert_eq!((orders.batch_size, orders.tables[0].key.join("+")), (10, "userId+ts".to_owned()));
    assert_eq!(columns(&settings, "orders"), "ts=$timestamp userId=user.id ");
    assert_eq!((orders.stream_name.as_str(), orders.tables[0].table.as_str()), ("stream:orders", "orders"));
}

#[test]
fn streams_that_the_user_names_are_the_ones_that_run() {
    let batch_size = ("PIPELINE__STREAMS__USER_ACTION__BATCH_SIZE", "10");
    for (text, variables, expected) in [
        ("app: {name: x}", &[][..], &["user_action"][..]),
        ("streams:", &[], &["user_action"]),
        ("stream_defaults: {lanes: 2}", &[], &["user_action"]),
        ("streams: {orders: {columns: {id: $id}}}", &[], &["orders"]),
        ("streams: {orders: {columns: {id: $id}}, user_action: }", &[], &["orders", "user_action"]),
        ("streams: {orders: {columns: {id: $id}}}", &[batch_size], &["orders", "user_action"]),
        ("", &[batch_size], &["user_action"]),
    ] {
        let settings = good(text, variables);
        assert_eq!(entities(&settings), expected, "{text}");
        if let Some(stream) = settings.stream("user_action") {
            assert_eq!(
                (stream.tables[0].table.as_str(), stream.tables[0].columns.len()),
                ("user_actions", 3),
                "{text}"
            );
        }
    }
    let nothing = "streams: names no stream: name one, or remove the section to run user_action";
    assert_problems("streams: {}", &[], &[nothing]);
}

#[test]
fn a_stream_has_its_own_settings_then_those_for_all_streams() {
    let settings = good(
        "stream_defaults: {lanes: 2, mode: upsert, fields: {op: event_type}, columns: {id: $id}}\n\
         streams: {a: {lanes: 3, key: [id], fields: {key: doc_id}}, user_action: {key: [user_id]}, \
         b: {key: [x], columns: {id: null, x: y}}}",
        &[],
    );
    let a = settings.stream("a").expect("runs");
    assert_eq!((a.lanes, a.tables[0].mode), (3, WriteMode::Upsert));
    assert_eq!((a.fields.op.as_str(), a.fields.key.as_str(), a.fields.ack.as_str()), ("event_type", "doc_id", "ack"));
    assert_eq!(columns(&settings, "a"), "id=$id ");
    assert_eq!(columns(&settings, "b"), "x=y ");
    // What the user says for all streams is stronger than what the default layer says for one.
    let user_action = settings.stream("user_action").expect("runs");
    assert_eq!(
        (user_action.lanes, user_action.tables[0].mode, user_action.tables[0].table.as_str()),
        (2, WriteMode::Upsert, "user_actions")
    );
    assert_eq!(user_action.tables[0].columns.len(), 4);
}

#[test]
fn columns_of_a_file_replace_those_of_the_default_layer() {
    let text = "streams: {user_action: {columns: {userId: userId}}}";
    assert_eq!(columns(&good(text, &[]), "user_action"), "userId=userId ");
    let one = ("PIPELINE__STREAMS__USER_ACTION__COLUMNS__TS", "$timestamp");
    assert_eq!(columns(&good("", &[one]), "user_action"), "action=action ts=$timestamp user_id=user_id ");
}

#[test]
fn rules_about_several_keys_of_streams() {
    let long = "x".repeat(256);
    for (text, expected) in [
        ("streams: {a: {columns: {id: $id}, mode: upsert}}".to_owned(), {
            "streams.a.key: must name the columns that identify a row, because mode is upsert"
        }),
        ("streams: {a: {columns: {id: $id}, key: [id, no, id]}}".to_owned(), {
            "streams.a.key: names `id` twice\nstreams.a.key: names `no`, which is not one of the columns"
        }),
        ("streams: {user_acton: {batch_size: 1}}".to_owned(), {
            "streams.user_acton.columns: must name at least one column; did you mean `streams.user_action`?"
        }),
        ("streams: {a: {stream_name: s, columns: {i: $id}}, b: {stream_name: s, columns: {i: $id}}}".to_owned(), {
            "streams.b.stream_name: is `s`, which is also streams.a.stream_name: each needs its own"
        }),
        ("streams: {a: {stream_name: \"stream:failed_rdbms\", columns: {i: $id}}}".to_owned(), {
            "streams.a.stream_name: is `stream:failed_rdbms`, which is also log.streams.failed_rdbms: each needs its own"
        }),
        (format!("streams: {{a: {{stream_name: {}, columns: {{i: $id}}}}}}", "é".repeat(128)), {
            "streams.a.stream_name: must be 1 to 255 bytes"
        }),
        ("streams: {a: {table: x.y.z, columns: {i: $id}}}".to_owned(), {
            "streams.a.table: must be table or schema.table, each 1 to 64 characters"
        }),
        ("streams: {\"a b\": {columns: {i: $id}}}".to_owned(), {
            "streams.a b: must be a name of 1 to 128 bytes without spaces"
        }),
        ("stream_defaults: {lanes: 0}\nstreams: {a: {columns: {i: $id}}, b: {columns: {i: $id}}}".to_owned(), {
            "stream_defaults.lanes: must be a whole number from 1 to 64, not 0 (from my.yaml)"
        }),
        ("streams: {a: {columns: {id: 7.5}, key: [id]}}".to_owned(), {
            "streams.a.columns.id: must be text: put it in quotes, because YAML reads it as something else, not 7.5 (from my.yaml)"
        }),
        ("streams: {a: {columns: [id], key: [id]}}".to_owned(), {
            "streams.a.columns: must be a section with keys of its own (from my.yaml)"
        }),
        ("producer: {durability: wait}".to_owned(), {
            "producer.durability: waits for nothing: set producer.wait_replicas or redis.replicas, or use none"
        }),
    ] {
        assert_problems(&text, &[], &expected.lines().collect::<Vec<_>>());
    }
    let problems =
        load(&format!("streams: {{a: {{order_by: {long}, columns: {{i: $id}}}}}}"), &[]).expect_err("too long");
    assert!(problems.to_string().starts_with("streams.a.order_by: must be text of 1 to 255 characters"), "{problems}");
}

#[test]
fn a_url_replaces_the_parts_of_earlier_layers_and_contradicts_others() {
    let url = ("PIPELINE__RDBMS__URL", "mysql://me:pw@db/e");
    let parts = "rdbms: {type: mariadb, host: other, port: 3310, user: them, password: theirs, database: x}";
    let settings = good(parts, &[url]);
    assert_eq!(settings.rdbms.address(), "mariadb at db:3306/e");
    assert_eq!(settings.rdbms.user.as_deref(), Some("me"));

    // What the URL leaves out may come from beside it or from above.
    let settings = good("rdbms: {url: \"postgres://me@db/e\", port: 5433}", &[("PIPELINE__RDBMS__PASSWORD", "a b")]);
    assert_eq!(settings.rdbms.connection_url().expose(), "postgres://me:a%20b@db:5433/e");

    for (text, variables, expected) in [
        (
            "rdbms: {url: \"mysql://db/e\", host: db}",
            &[][..],
            &["rdbms.host: is also in rdbms.url: remove one of the two"][..],
        ),
        ("rdbms: {url: \"mysql://a:b@db/e\"}", &[("PIPELINE__RDBMS__PASSWORD", "b")], {
            &["rdbms.password: is also in rdbms.url: remove one of the two"]
        }),
        (
            "rdbms: {url: \"mysql://db/e\", type: postgres}",
            &[],
            &["rdbms.type: is postgres, but rdbms.url is for mysql"],
        ),
        ("rdbms: {url: \"mysql://db\"}", &[], &["rdbms.url: must name a database, after the `/`"]),
        ("rdbms: {type: mysql}", &[], &["rdbms.database: must be set, because type is mysql"]),
        (
            "rdbms: {database: \":memory:\"}",
            &[],
            &["rdbms.database: must be a file: what is in memory is gone with the process"],
        ),
        ("rdbms: {type: mysql, database: e, host: \"db:3306\"}", &[], {
            &["rdbms.host: must be a host name or address alone; the port is a setting of its own"]
        }),
    ] {
        assert_problems(text, variables, expected);
    }
}

#[test]
fn secrets_are_in_no_message_and_no_debug() {
    let settings = good("redis: {password: hunter2}\nrdbms: {url: \"mysql://me:hunter2@db/e\"}", &[]);
    let debug = format!("{settings:?} {}", settings.rdbms.address());
    assert!(!debug.contains("hunter2"), "{debug}");

    for (text, variables) in [
        ("redis: {password: [hunter2]}", &[][..]),
        ("redis: {password: \"hunter2\\n\"}", &[]),
        ("redis: {pasword: hunter2}", &[]),
        ("redis: hunter2", &[]),
        ("redis: {host: \"redis://:hunter2@localhost\"}", &[]),
        ("rdbms: {type: mysql, database: e, host: \"mysql://me:hunter2@db\"}", &[]),
        ("rdbms: {url: \"hunter2\"}", &[]),
        ("rdbms: {url: \"mysql://me:hunter2/@db/e\"}", &[]),
        ("rdbms: {password: {hunter2: 1}}", &[]),
        ("", &[("PIPELINE__REDIS__PASWORD", "hunter2")]),
        ("", &[("PIPELINE__REDIS__PASSWORD__X", "hunter2")]),
        ("", &[("PIPELINE__REDIS__PASSWORD", "hunter2\u{fffd}")]),
        ("", &[("PIPELINE__REDIS", "hunter2")]),
        ("", &[("PIPELINE__REDIS__PASSWORD", "a"), ("PIPELINE__REDIS__PASSWORD__X", "hunter2")]),
    ] {
        let problems = load(text, variables).expect_err(text);
        assert!(!format!("{problems} {problems:?}").contains("hunter2"), "{problems}");
    }
}

#[test]
fn numbers_that_yaml_respells_are_refused_as_texts() {
    for text in ["redis: {password: 007}", "redis: {password: 1e5}", "app: {instance_id: 001}"] {
        let problems = load(text, &[]).expect_err(text).to_string();
        assert!(problems.contains("put it in quotes"), "{problems}");
    }
}

#[test]
fn layers_show_the_names_of_variables_only() {
    let environment = vec![("PIPELINE__REDIS__PASSWORD".to_owned(), "hunter2".to_owned())];
    let debug = format!("{:?}", Layers { file: None, environment });
    assert!(debug.contains("PIPELINE__REDIS__PASSWORD") && !debug.contains("hunter2"), "{debug}");
}
