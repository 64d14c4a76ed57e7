//! Events made from a seed, the ways to hand them to Redis, and the model of what the table must hold afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use crate::support::database::{Kind, TestDatabase};
pub use crate::support::random::Random;
use crate::support::wait::eventually;

/// How a document comes to the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Json,
    String,
    Hash,
    Inline,
    Fields,
}

impl Way {
    pub const ALL: [Way; 5] = [Way::Json, Way::String, Way::Hash, Way::Inline, Way::Fields];

    /// Whether the document is at the key, and not in the entry.
    pub fn is_referenced(self) -> bool {
        matches!(self, Way::Json | Way::String | Way::Hash)
    }

    /// Whether the document is flat text.
    pub fn is_flat(self) -> bool {
        matches!(self, Way::Hash | Way::Fields)
    }

    /// The value of `document` in the settings; `auto` where that can find it, to test that too.
    pub fn setting(self) -> &'static str {
        match self {
            Way::Fields => "fields",
            Way::Inline => "inline",
            Way::Json | Way::String | Way::Hash => "auto",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Insert,
    Upsert,
    Update,
    Delete,
}

impl Op {
    pub fn name(self) -> &'static str {
        match self {
            Op::Insert => "insert",
            Op::Upsert => "upsert",
            Op::Update => "update",
            Op::Delete => "delete",
        }
    }
}

/// One event on one of the keys.
#[derive(Clone, Debug)]
pub struct Event {
    pub op: Op,
    pub key: String,
    pub document: Document,
}

#[derive(Clone, Debug)]
pub struct Document {
    pub number: u64,
    pub name: String,
    pub cents: u64,
    pub flag: bool,
    pub at_ms: u64,
}

impl Document {
    fn new(random: &mut Random, number: u64) -> Self {
        let names = ["Ada", "Zoë", "O'Neil \"x\"", "tab\there", "\u{1F600}", "back\\slash", ""];
        Document {
            number,
            name: names[random.below(names.len() as u64) as usize].to_owned(),
            // Ends in a digit that no database leaves out.
            cents: random.below(1_000_000) * 10 + 7,
            flag: random.below(2) == 1,
            at_ms: 1_700_000_000_000 + random.below(1_000_000_000) * 10 + 3,
        }
    }

    fn amount(&self) -> String {
        format!("{}.{:02}", self.cents / 100, self.cents % 100)
    }

    fn time(&self) -> chrono::DateTime<chrono::Utc> {
        chrono::DateTime::from_timestamp_millis(self.at_ms as i64).unwrap()
    }

    fn json(&self) -> String {
        let amount: serde_json::Number = serde_json::from_str(&self.amount()).unwrap();
        let timestamp = self.time().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let user = serde_json::json!({ "name": self.name });
        serde_json::json!({ "n": self.number, "user": user, "amount": amount, "flag": self.flag, "at": timestamp })
            .to_string()
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("n", self.number.to_string()),
            ("name", self.name.clone()),
            ("amount", self.amount()),
            ("flag", self.flag.to_string()),
            ("at", self.at_ms.to_string()),
        ]
    }

    /// The row as [`rows`] reads it.
    fn row(&self) -> Vec<Option<String>> {
        let time = self.time().format("%Y-%m-%d %H:%M:%S%.3f").to_string();
        let flag = u8::from(self.flag).to_string();
        [self.number.to_string(), self.name.clone(), self.amount(), flag, time].map(Some).to_vec()
    }
}

/// `count` events on `keys` keys: mixed operations, most of them writes.
pub fn events(random: &mut Random, count: u64, keys: u64) -> Vec<Event> {
    let event = |number| {
        let op = match random.below(10) {
            0..4 => Op::Insert,
            4..6 => Op::Upsert,
            6..8 => Op::Update,
            _ => Op::Delete,
        };
        Event { op, key: format!("item:{}", random.below(keys)), document: Document::new(random, number) }
    };
    (0..count).map(event).collect()
}

/// What the table must hold after the events: a row a key.
pub fn model(events: &[Event]) -> BTreeMap<String, Vec<Option<String>>> {
    let mut table = BTreeMap::new();
    for event in events {
        match event.op {
            Op::Insert | Op::Upsert => {
                table.insert(event.key.clone(), event.document.row());
            }
            Op::Update => {
                if let Some(row) = table.get_mut(&event.key) {
                    *row = event.document.row();
                }
            }
            Op::Delete => {
                table.remove(&event.key);
            }
        }
    }
    table
}

/// Writes events to Redis as an outside producer would, document and entry in one transaction each.
pub async fn produce(redis: &mut MultiplexedConnection, stream: &str, way: Way, events: &[Event]) {
    for chunk in events.chunks(500) {
        let mut pipe = redis::pipe();
        for event in chunk {
            if way.is_referenced() {
                pipe.cmd("MULTI").ignore();
            }
            let mut entry = redis::cmd("XADD");
            entry.arg(stream).arg("*").arg("key").arg(&event.key).arg("op").arg(event.op.name());
            match (way, event.op) {
                (Way::Json | Way::String | Way::Hash, Op::Delete) => {
                    pipe.del(&event.key).ignore();
                }
                (Way::Json, _) => {
                    pipe.cmd("JSON.SET").arg(&event.key).arg("$").arg(event.document.json()).ignore();
                }
                (Way::String, _) => {
                    pipe.set(&event.key, event.document.json()).ignore();
                }
                (Way::Hash, _) => {
                    pipe.hset_multiple(&event.key, &event.document.fields()).ignore();
                }
                (Way::Inline, Op::Delete) => {}
                (Way::Inline, _) => {
                    entry.arg("payload").arg(event.document.json());
                }
                (Way::Fields, _) => {
                    event.document.fields().iter().for_each(|(name, value)| {
                        entry.arg(name).arg(value);
                    });
                }
            }
            pipe.add_command(entry).ignore();
            if way.is_referenced() {
                pipe.cmd("EXEC").ignore();
            }
        }
        pipe.query_async::<()>(redis).await.expect("redis takes the events");
    }
}

/// The table `items` of the model.
pub async fn create_items(database: &TestDatabase) {
    let (time, options) = match database.kind() {
        Kind::Postgres => ("timestamptz(3)", ""),
        Kind::MariaDb => ("datetime(3)", " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
        Kind::Sqlite => ("datetime", ""),
    };
    let sql = format!(
        "CREATE TABLE items (id varchar(64) PRIMARY KEY, n bigint NOT NULL, name varchar(40), \
         amount decimal(12,2), flag boolean, at {time}){options}"
    );
    database.execute(&sql).await;
}

/// The settings of a stream into `items`.
pub fn items_yaml(stream: &str, way: Way, lanes: u32) -> String {
    let name = if way.is_flat() { "name" } else { "user.name" };
    format!(
        "streams:\n  item:\n    stream_name: \"{stream}\"\n    document: {}\n    on_missing: skip\n    table: items\n    \
         mode: upsert\n    key: [id]\n    lanes: {lanes}\n    columns: {{id: $key, n: n, name: {name}, \
         amount: amount, flag: flag, at: at}}\n",
        way.setting()
    )
}

/// The rows of `items` by key.
pub async fn items(database: &TestDatabase) -> BTreeMap<String, Vec<Option<String>>> {
    let text = match database.kind() {
        Kind::MariaDb => "char",
        Kind::Postgres | Kind::Sqlite => "text",
    };
    let at = match database.kind() {
        Kind::Postgres => "to_char(at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')".to_owned(),
        Kind::MariaDb | Kind::Sqlite => format!("cast(at as {text})"),
    };
    let sql = format!(
        "SELECT cast(id as {text}), cast(n as {text}), cast(name as {text}), cast(amount as {text}), \
         CASE WHEN flag THEN '1' ELSE '0' END, {at} FROM items"
    );
    let rows = database.rows(&sql).await.into_iter();
    rows.map(|mut row| (row.remove(0).expect("a key"), row)).collect()
}

/// Waits until `events` events of the stream are done, one way or another.
pub async fn done(database: &TestDatabase, stream: &str, events: u64, deadline: Duration) {
    let sum = "SELECT COALESCE(SUM(applied + dead_lettered + skipped), 0) FROM write_behind_checkpoint";
    let sql = match database.kind() {
        Kind::MariaDb => format!("SELECT cast(({sum} WHERE stream = '{stream}') as char)"),
        Kind::Postgres | Kind::Sqlite => format!("SELECT cast(({sum} WHERE stream = '{stream}') as text)"),
    };
    eventually(deadline, &format!("{events} events done"), async || {
        let rows = database.try_rows(&sql).await?;
        let done: u64 = rows[0][0].as_deref().unwrap_or("0").parse().map_err(|e| format!("{rows:?}: {e}"))?;
        assert!(done <= events, "{done} events done of {events}: something was counted twice");
        if done == events { Ok(()) } else { Err(format!("{done} done")) }
    })
    .await;
}

/// Waits until the counters of an entity are `[success, fail]`.
pub async fn counted(redis: &mut MultiplexedConnection, entity: &str, expected: [u64; 2], deadline: Duration) {
    let names = ["success", "fail"].map(|what| format!("metrics:{entity}:rdbms:{what}"));
    eventually(deadline, &format!("the counters of {entity} to be {expected:?}"), async || {
        let counted: Vec<Option<u64>> = redis.mget(&names).await.map_err(|error| error.to_string())?;
        if counted == expected.map(Some) { Ok(()) } else { Err(format!("{counted:?}")) }
    })
    .await;
}

/// `redis:` for a server on this port.
pub fn redis_yaml(port: u16) -> String {
    format!("redis:\n  host: 127.0.0.1\n  port: {port}\n")
}
