//! From the layers to [`Settings`], or to everything that is wrong with them.

use std::fmt;
use std::path::PathBuf;

use slog::Level;

use super::environment;
use super::layer::{Layer, LayerKind};
use super::problem::{Problems, Report};
use super::section::{Scope, Section};
use super::streams::{self, STREAM_NAME_BYTES_MAX};
use super::{AppSettings, DocumentStore, Durability, LogFormat, LogSettings, MetricsSettings, ProducerSettings};
use super::{RedisSettings, Settings, SupervisorSettings, rdbms};

const DOCUMENT: [(&str, DocumentStore); 4] = [
    ("auto", DocumentStore::Auto),
    ("json", DocumentStore::Json),
    ("string", DocumentStore::String),
    ("inline", DocumentStore::Inline),
];
const LEVEL: [(&str, Level); 7] = [
    ("trace", Level::Trace),
    ("debug", Level::Debug),
    ("info", Level::Info),
    ("warning", Level::Warning),
    ("warn", Level::Warning),
    ("error", Level::Error),
    ("critical", Level::Critical),
];
const FORMAT: [(&str, LogFormat); 3] =
    [("auto", LogFormat::Auto), ("terminal", LogFormat::Terminal), ("json", LogFormat::Json)];

/// What stands over the default layer. Later fields win.
#[derive(Clone, Default)]
pub struct Layers {
    /// The user's file.
    pub file: Option<PathBuf>,
    /// Environment variables; those that do not begin with `PIPELINE__` are passed over.
    pub environment: Vec<(String, String)>,
}

impl Layers {
    /// `file` and the environment of this process.
    pub fn from_process(file: Option<PathBuf>) -> Layers {
        // What is not UTF-8 gets replacement characters here, and is refused by `load`.
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        Layers { file, environment: environment.filter(|(name, _)| environment::is_ours(name)).collect() }
    }
}

impl fmt::Debug for Layers {
    /// The names of the variables only: their values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.environment.iter().map(|(name, _)| name).collect();
        f.debug_struct("Layers").field("file", &self.file).field("environment", &names).finish()
    }
}

impl Settings {
    /// Reads and checks all layers. A file that cannot be read ends it at once; otherwise every problem is told.
    pub fn load(layers: &Layers) -> Result<Settings, Problems> {
        load(Layer::file(layers.file.as_deref())?, &layers.environment)
    }

    /// The same of a text in place of a file, which messages call `origin`, and of no environment.
    pub fn of_text(origin: &str, text: &str) -> Result<Settings, Problems> {
        load(Layer::parse(LayerKind::File, origin, text)?, &[])
    }
}

fn load(file: Layer, variables: &[(String, String)]) -> Result<Settings, Problems> {
    let defaults = Layer::defaults()?;
    let report = Report::default();
    let environment = environment::layer(variables, &file.table, &defaults.table, &report);
    let settings = read(&[environment, file, defaults], &report);
    let problems = report.into_problems();
    if problems.is_empty() { Ok(settings) } else { Err(problems) }
}

/// Reads all sections of `layers`, strongest first. Worth something only if the report stays empty.
fn read(layers: &[Layer], report: &Report) -> Settings {
    let scopes = layers.iter().map(|layer| Scope { name: String::new(), layer, table: &layer.table });
    let root = Section::new("", scopes.collect(), report);
    let redis_section = root.section("redis");
    let redis = redis(&redis_section);
    let rdbms_section = root.section("rdbms");
    let rdbms = rdbms::read(&rdbms_section);
    let supervisor_section = root.section("supervisor");
    let supervisor = supervisor(&supervisor_section);
    for (section, key, wait) in [
        (&rdbms_section, "statement_timeout_ms", rdbms.statement_timeout),
        (&redis_section, "response_timeout_ms", redis.response_timeout),
    ] {
        let sound = section.sound(&[key]) && supervisor_section.sound(&["hang_timeout_sec"]);
        if sound && supervisor.hang_timeout <= wait {
            let rule = format!("must be longer than {}.{key}, which is {} ms", section.name(), wait.as_millis());
            supervisor_section.refuse("hang_timeout_sec", rule);
        }
    }
    let log = log(&root.section("log"));
    let streams = streams::read(&root, report);
    streams::check_names(&streams, &log, report);
    let settings = Settings {
        producer: producer(&root.section("producer"), redis.replicas),
        redis,
        rdbms,
        app: app(&root.section("app")),
        supervisor,
        metrics: metrics(&root.section("metrics")),
        log,
        streams,
    };
    root.finish();
    settings
}

fn redis(section: &Section) -> RedisSettings {
    let settings = RedisSettings {
        host: section.text("host", 1..=255),
        port: section.integer("port", 1..=65_535),
        user: section.optional_text("user", 1..=255),
        password: section.secret("password"),
        database: section.integer("database", 0..=65_535),
        replicas: section.integer("replicas", 0..=100),
        connect_timeout: section.milliseconds("connect_timeout_ms", 1..=600_000),
        response_timeout: section.milliseconds("response_timeout_ms", 1..=600_000),
    };
    section.check_host(&settings.host);
    section.finish();
    settings
}

fn app(section: &Section) -> AppSettings {
    let settings = AppSettings {
        name: section.text("name", 1..=64),
        instance_id: section.optional_text("instance_id", 1..=128).unwrap_or_else(host_and_process),
        startup_timeout: section.seconds("startup_timeout_sec", 0.0..=86_400.0),
        shutdown_timeout: section.seconds("shutdown_timeout_sec", 0.0..=86_400.0),
    };
    section.finish();
    settings
}

/// A name for this process that a person can find: `HOSTNAME-PID`.
fn host_and_process() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = kernel.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let host: String = host.trim().chars().take(100).collect();
    let host = if host.is_empty() { "localhost" } else { &host };
    format!("{host}-{}", std::process::id())
}

fn supervisor(section: &Section) -> SupervisorSettings {
    let settings = SupervisorSettings {
        max_restarts: section.integer("max_restarts", 0..=1_000_000),
        restart_window: section.seconds("restart_window_sec", 0.1..=604_800.0),
        restart_delay: section.milliseconds("restart_delay_ms", 1..=3_600_000),
        restart_delay_max: section.milliseconds("restart_delay_max_ms", 1..=3_600_000),
        healthy_after: section.seconds("healthy_after_sec", 0.0..=86_400.0),
        pause_retry: section.seconds("pause_retry_sec", 0.1..=86_400.0),
        hang_timeout: section.seconds("hang_timeout_sec", 0.1..=86_400.0),
    };
    let delays = ["restart_delay_ms", "restart_delay_max_ms"];
    if section.sound(&delays) && settings.restart_delay_max < settings.restart_delay {
        section.refuse("restart_delay_max_ms", "must not be below supervisor.restart_delay_ms");
    }
    section.finish();
    settings
}

fn producer(section: &Section, redis_replicas: u32) -> ProducerSettings {
    let document = section.choice("document", &DOCUMENT);
    let replicas = section.optional_integer("wait_replicas", 0..=100).unwrap_or(redis_replicas);
    let local = section.integer("wait_local", 0..=1);
    let timeout = section.milliseconds("wait_timeout_ms", 1..=600_000);
    // The settings are read whatever the choice is: a wrong one should show before it is needed.
    let choices = [
        ("none", Durability::None),
        ("wait", Durability::Replicas { replicas, timeout }),
        ("waitaof", Durability::Aof { local, replicas, timeout }),
    ];
    let durability = section.choice("durability", &choices);
    let waits_for_nothing = match durability {
        Durability::None => false,
        Durability::Replicas { replicas, .. } => replicas == 0,
        Durability::Aof { local, replicas, .. } => replicas == 0 && local == 0,
    };
    if waits_for_nothing && section.sound(&["wait_replicas", "wait_local"]) {
        section.refuse("durability", "waits for nothing: set producer.wait_replicas or redis.replicas, or use none");
    }
    section.finish();
    ProducerSettings { document, durability }
}

fn metrics(section: &Section) -> MetricsSettings {
    let settings = MetricsSettings {
        publish_interval: section.milliseconds("publish_interval_ms", 10..=60_000),
        refresh_interval: section.seconds("refresh_interval_sec", 1.0..=86_400.0),
        log_buffer_max: section.integer("log_buffer_max", 1..=1_000_000),
    };
    section.finish();
    settings
}

fn log(section: &Section) -> LogSettings {
    let streams = section.section("streams");
    let stream = |key| streams.text(key, 1..=STREAM_NAME_BYTES_MAX);
    let settings = LogSettings {
        level: section.choice("level", &LEVEL),
        format: section.choice("format", &FORMAT),
        enabled: section.flag("enabled"),
        per_event: section.flag("per_event"),
        max_len: section.integer("max_len", 1..=1_000_000_000),
        success_insert: stream("success_insert"),
        failed_insert: stream("failed_insert"),
        success_rdbms: stream("success_rdbms"),
        failed_rdbms: stream("failed_rdbms"),
    };
    streams.finish();
    section.finish();
    settings
}

#[cfg(test)]
pub(super) mod tests;
