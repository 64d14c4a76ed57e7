//! The settings: typed, complete and checked before anything else happens.
//!
//! Layers, later wins: `settings/default.yaml` (part of the binary), the file given with `--config`,
//! the environment variables `PIPELINE__SECTION__KEY`. Every key is documented in `settings/default.yaml`.
//! [`Settings::load`] reports every problem at once.

mod columns;
mod environment;
mod layer;
mod load;
mod mapping;
mod problem;
mod rdbms;
mod rdbms_url;
mod scalar;
mod secret;
mod section;
mod streams;
mod syntax;
mod tables;

use std::time::Duration;

use crate::event::{Op, StreamId};

pub use load::Layers;
pub use mapping::{ColumnSettings, ColumnSource, Mask, OnNull, TableSettings, WriteMode};
pub use problem::{Problem, Problems};
pub use secret::Secret;
pub(crate) use section::nearest;

/// All settings of one process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `redis.*`
    pub redis: RedisSettings,
    /// `rdbms.*`
    pub rdbms: RdbmsSettings,
    /// `app.*`
    pub app: AppSettings,
    /// `supervisor.*`
    pub supervisor: SupervisorSettings,
    /// `producer.*`
    pub producer: ProducerSettings,
    /// `metrics.*`
    pub metrics: MetricsSettings,
    /// `log.*`
    pub log: LogSettings,
    /// `streams.*`, ordered by entity.
    pub streams: Vec<StreamSettings>,
}

impl Settings {
    /// The settings of the stream of `entity`.
    pub fn stream(&self, entity: &str) -> Option<&StreamSettings> {
        self.streams.iter().find(|stream| stream.entity == entity)
    }
}

/// `redis.*`: where the streams and documents are.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// ACL user; the default user if absent.
    pub user: Option<String>,
    /// Password, if the server asks for one.
    pub password: Option<Secret>,
    /// Number of the logical database.
    pub database: u32,
    /// Replicas that `WAIT` waits for when a call names no number.
    pub replicas: u32,
    /// Longest time to open a connection.
    pub connect_timeout: Duration,
    /// Longest time to wait for an answer (beyond the time a command itself asks to block).
    pub response_timeout: Duration,
}

impl RedisSettings {
    /// `host:port`, for messages.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// `rdbms.type`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RdbmsKind {
    /// PostgreSQL
    Postgres,
    /// MySQL
    MySql,
    /// MariaDB
    MariaDb,
    /// SQLite, in this process
    Sqlite,
}

impl RdbmsKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [RdbmsKind; 4] = [RdbmsKind::Postgres, RdbmsKind::MySql, RdbmsKind::MariaDb, RdbmsKind::Sqlite];

    /// The name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            RdbmsKind::Postgres => "postgres",
            RdbmsKind::MySql => "mysql",
            RdbmsKind::MariaDb => "mariadb",
            RdbmsKind::Sqlite => "sqlite",
        }
    }
}

/// `rdbms.*`: the target database and how the writers treat it.
#[derive(Clone, Debug)]
pub struct RdbmsSettings {
    /// Which database it is.
    pub kind: RdbmsKind,
    /// Host name or address (not SQLite).
    pub host: String,
    /// TCP port (not SQLite).
    pub port: u16,
    /// Database name; for SQLite the path of the file.
    pub database: String,
    /// User (not SQLite).
    pub user: Option<String>,
    /// Password (not SQLite).
    pub password: Option<Secret>,
    /// Options after `?` in `rdbms.url`, such as `sslmode=require`.
    pub url_options: Option<String>,
    /// Longest time to open a connection.
    pub connect_timeout: Duration,
    /// Longest time one statement may take.
    pub statement_timeout: Duration,
    /// A writer's connection that is older is replaced.
    pub connection_age_max: Duration,
    /// Tries after the first before a writer gives up and the supervisor takes over.
    pub max_retries: u32,
    /// Wait before the first retry.
    pub retry_delay: Duration,
    /// Longest wait between retries.
    pub retry_delay_max: Duration,
    /// Each wait is the last one times this.
    pub retry_multiplier: f64,
    /// Share by which each wait is varied at random, 0 to 1.
    pub retry_jitter: f64,
    /// Most events of one transaction.
    pub transaction_events_max: usize,
    /// How often a stream looks whether its tables were altered.
    pub catalogue_refresh: Duration,
    /// Create or upgrade the bookkeeping tables at start.
    pub migrate_on_start: bool,
}

impl RdbmsSettings {
    /// Kind and place without credentials, for messages: `mariadb at db:3306/events`, `sqlite file x.db`.
    pub fn address(&self) -> String {
        match self.kind {
            RdbmsKind::Sqlite => format!("sqlite file {}", self.database),
            kind => format!("{} at {}:{}/{}", kind.name(), self.host, self.port, self.database),
        }
    }
}

/// `app.*`: the process.
#[derive(Clone, Debug)]
pub struct AppSettings {
    /// Name of the pipeline: part of the identity of its checkpoints. All processes that share the work share it.
    pub name: String,
    /// Name of this process in logs and checkpoints.
    pub instance_id: String,
    /// How long Redis and the database may be away at start.
    pub startup_timeout: Duration,
    /// How long a drain may take.
    pub shutdown_timeout: Duration,
}

/// `supervisor.*`: when and how often failed actors come back.
#[derive(Clone, Debug)]
pub struct SupervisorSettings {
    /// More restarts than this within the window end the process.
    pub max_restarts: u32,
    /// The window in which restarts are counted.
    pub restart_window: Duration,
    /// Wait before the first restart.
    pub restart_delay: Duration,
    /// Longest wait before a restart.
    pub restart_delay_max: Duration,
    /// A stream that ran this long without failure starts again with the first delay.
    pub healthy_after: Duration,
    /// Wait before a stream that stopped on a configuration error is tried again.
    pub pause_retry: Duration,
    /// A busy actor without progress for this long is replaced.
    pub hang_timeout: Duration,
}

/// Where the producer puts a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentStore {
    /// RedisJSON where the server has it, a JSON string otherwise.
    Auto,
    /// RedisJSON at the key.
    Json,
    /// A JSON string at the key.
    String,
    /// In the entry itself.
    Inline,
}

/// The durability a producer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The server accepted the write.
    None,
    /// `WAIT`: that many replicas have it in memory.
    Replicas {
        /// Replicas to wait for.
        replicas: u32,
        /// Longest wait.
        timeout: Duration,
    },
    /// `WAITAOF`: it is in the append-only file here (`local` 0 or 1) and on that many replicas. Redis 7.2 or newer.
    Aof {
        /// 1 to wait for this server's own file, 0 not to.
        local: u32,
        /// Replicas to wait for.
        replicas: u32,
        /// Longest wait.
        timeout: Duration,
    },
}

/// `producer.*`: defaults of `insert_document` and its siblings.
#[derive(Clone, Debug)]
pub struct ProducerSettings {
    /// Where documents are put.
    pub document: DocumentStore,
    /// Durability of a call that names none.
    pub durability: Durability,
}

/// `metrics.*`: the counters and log streams in Redis.
#[derive(Clone, Debug)]
pub struct MetricsSettings {
    /// How often counters and log entries are written to Redis.
    pub publish_interval: Duration,
    /// How often the counters of a quiet stream are compared with its checkpoints.
    pub refresh_interval: Duration,
    /// Most log entries held for Redis; what is over is counted and dropped.
    pub log_buffer_max: usize,
}

/// How the process logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Readable on a terminal, JSON otherwise.
    Auto,
    /// Readable.
    Terminal,
    /// One JSON object a line.
    Json,
}

/// `log.*`: the process's own log and the log streams in Redis.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Lowest level that is printed.
    pub level: slog::Level,
    /// Form of the printed log.
    pub format: LogFormat,
    /// Write the log streams.
    pub enabled: bool,
    /// One log-stream entry for every event rather than one a batch.
    pub per_event: bool,
    /// Length at which a log stream is trimmed (`MAXLEN ~`), in entries.
    pub max_len: u64,
    /// Stream for writes that reached Redis.
    pub success_insert: String,
    /// Stream for writes that did not reach Redis as durably as wanted.
    pub failed_insert: String,
    /// Stream for rows that reached the database.
    pub success_rdbms: String,
    /// Stream for events that became dead letters.
    pub failed_rdbms: String,
}

/// Where a stream begins when there is no checkpoint yet: `streams.<entity>.start_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartId {
    /// After this id.
    After(StreamId),
    /// `$`: after the newest entry there is at the very first start.
    Newest,
}

/// Where a document is: `streams.<entity>.document`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentSource {
    /// In the entry's payload field if it has one, else whatever the key holds.
    Auto,
    /// In the entry's payload field.
    Inline,
    /// The entry's own fields are the document.
    Fields,
    /// RedisJSON at the key.
    Json,
    /// A string that holds JSON at the key.
    String,
    /// A hash at the key.
    Hash,
}

/// What a document that is gone means: `streams.<entity>.on_missing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMissing {
    /// The event becomes a dead letter.
    DeadLetter,
    /// The event is counted and passed over.
    Skip,
    /// The row is deleted.
    Delete,
}

/// What a stream whose newest id is below the checkpoint means: `streams.<entity>.on_reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnReset {
    /// Alarm, and go on from the stream's newest id: all that comes is new.
    Follow,
    /// Alarm, and pause the stream until a person has decided.
    Pause,
}

impl OnReset {
    /// The name in the settings.
    pub fn name(self) -> &'static str {
        match self {
            OnReset::Follow => "follow",
            OnReset::Pause => "pause",
        }
    }
}

/// Names of the fields of an entry: `streams.<entity>.fields.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldNames {
    /// The document's key.
    pub key: String,
    /// The operation.
    pub op: String,
    /// The document itself.
    pub payload: String,
    /// Time of the write.
    pub timestamp: String,
    /// A producer's own id of the write.
    pub ack: String,
}

/// Which operations are written behind: `write_behind.*` of a stream, and of each of its tables. What is off everywhere is
/// counted and passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteBehind {
    /// `insert`
    pub insert: bool,
    /// `upsert`
    pub upsert: bool,
    /// `update`
    pub update: bool,
    /// `patch`
    pub patch: bool,
    /// `delete`
    pub delete: bool,
}

impl WriteBehind {
    /// Nothing.
    pub const NONE: WriteBehind =
        WriteBehind { insert: false, upsert: false, update: false, patch: false, delete: false };

    /// What one of the two allows.
    pub fn or(self, other: WriteBehind) -> WriteBehind {
        WriteBehind {
            insert: self.insert || other.insert,
            upsert: self.upsert || other.upsert,
            update: self.update || other.update,
            patch: self.patch || other.patch,
            delete: self.delete || other.delete,
        }
    }

    /// Whether `op` is written behind.
    pub fn allows(&self, op: Op) -> bool {
        match op {
            Op::Insert => self.insert,
            Op::Upsert => self.upsert,
            Op::Update => self.update,
            Op::Patch => self.patch,
            Op::Delete => self.delete,
        }
    }
}

/// `streams.<entity>.*`: one stream and the tables it is written to.
#[derive(Clone, Debug)]
pub struct StreamSettings {
    /// Name of the entity: the part after `streams.`.
    pub entity: String,
    /// Key of the Redis stream.
    pub stream_name: String,
    /// Most entries of one read.
    pub batch_size: usize,
    /// Where to begin without a checkpoint.
    pub start_id: StartId,
    /// How long a read waits for new entries.
    pub block: Duration,
    /// Where the documents are.
    pub document: DocumentSource,
    /// What a missing document means.
    pub on_missing: OnMissing,
    /// What a stream that went back behind the checkpoint means.
    pub on_reset: OnReset,
    /// Names of the entry's fields.
    pub fields: FieldNames,
    /// Which events are written, in jq.
    pub filter: Option<String>,
    /// What the columns see instead of the document, in jq.
    pub reshape: Option<String>,
    /// How a document's key is made up: `order:{tenant}:{id}`. Its parts are `$key.tenant` and `$key.id`.
    pub key_pattern: Option<String>,
    /// What makes the hashes of masked columns its own.
    pub mask_key: Option<Secret>,
    /// Field of the entry whose value decides the lane, and so the order; `None`: the document's key.
    pub order_by: Option<String>,
    /// Writers of this stream; each has its own connection and its own part of the keys.
    pub lanes: u32,
    /// Transformers of this stream.
    pub transformers: usize,
    /// Bytes that may be on their way between reader and database.
    pub max_in_flight_bytes: usize,
    /// How often the checkpoint of a lane without entries is moved on.
    pub idle_checkpoint: Duration,
    /// The tables it is written to, ordered by name; at least one.
    pub tables: Vec<TableSettings>,
}

impl StreamSettings {
    /// The operations that reach some table.
    pub fn write_behind(&self) -> WriteBehind {
        self.tables.iter().fold(WriteBehind::NONE, |all, table| all.or(table.write_behind))
    }

    /// The names of its tables, for people.
    pub fn table_names(&self) -> String {
        self.tables.iter().map(|table| table.table.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Its columns that are masked.
    pub fn masked_columns(&self) -> impl Iterator<Item = &ColumnSettings> {
        let columns = self.tables.iter().flat_map(|table| table.columns.iter().chain(&table.auto));
        columns.filter(|column| column.mask.is_some())
    }

    /// Whether a masked column comes from the document's key, so that nothing may show it.
    pub fn masks_key(&self) -> bool {
        self.masked_columns().any(|column| match &column.source {
            ColumnSource::From(from) | ColumnSource::Add(from) => from == "$key" || from.starts_with("$key."),
            ColumnSource::Expression(text) => text.contains("$key") || text.contains("$parts"),
            ColumnSource::Constant(_) => false,
        })
    }
}
