//! The work W: events made from their numbers, as the documents that Redis gets and as the rows that a table must hold
//! in the end.

use std::fmt::Write;

use chrono::{DateTime, NaiveDateTime};

/// Where the document of an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In the entry.
    Inline,
    /// RedisJSON at the key.
    Ref,
}

/// How events reach the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every event has a key of its own.
    Append,
    /// Every fifth event repeats the key of an earlier one.
    Upsert,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Text,
    /// With milliseconds.
    Time,
    Double,
}

/// A column of the table, and the member of the document with the same content.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub member: String,
    pub kind: Type,
}

/// A value of a row.
#[derive(Clone, Debug)]
pub enum Value {
    Text(String),
    /// Milliseconds since 1970.
    Time(i64),
    /// Hundredths.
    Double(i64),
}

/// One stream of events and its table.
#[derive(Clone, Debug)]
pub struct Work {
    pub way: Way,
    pub mode: Mode,
    /// The columns of the table beside the key `id`.
    pub columns: Vec<Column>,
    /// Number of its first event.
    pub first: u64,
    pub events: u64,
    /// The place of the stream among those of a run.
    pub nth: usize,
}

impl Work {
    /// Events as the project's example has them: six members, seven columns.
    pub fn user_actions(way: Way, mode: Mode, events: u64) -> Work {
        let column = |name: &str, member: &str, kind| Column { name: name.into(), member: member.into(), kind };
        let columns = vec![
            column("user_id", "user_id", Type::Text),
            column("action", "action", Type::Text),
            column("ts", "timestamp", Type::Time),
            column("ip", "ip", Type::Text),
            column("amount", "amount", Type::Double),
            column("session", "session", Type::Text),
        ];
        Work { way, mode, columns, first: 0, events, nth: 0 }
    }

    /// Events with that many members, of the same mixture of types.
    pub fn wide(columns: usize, events: u64) -> Work {
        const MIXTURE: [Type; 6] = [Type::Text, Type::Text, Type::Time, Type::Text, Type::Double, Type::Text];
        let column = |nth| Column { name: format!("c{nth}"), member: format!("m{nth}"), kind: MIXTURE[nth % 6] };
        Work { columns: (0..columns).map(column).collect(), ..Work::user_actions(Way::Inline, Mode::Append, events) }
    }

    /// The same events spread over that many streams, each with a table of its own.
    pub fn spread(&self, streams: u64) -> Vec<Work> {
        let part = |nth| {
            let (from, to) = (self.events * nth / streams, self.events * (nth + 1) / streams);
            Work { first: self.first + from, events: to - from, nth: nth as usize, ..self.clone() }
        };
        (0..streams).map(part).collect()
    }

    pub fn entity(&self) -> String {
        format!("user_action{}", self.suffix())
    }

    pub fn table(&self) -> String {
        format!("user_actions{}", self.suffix())
    }

    /// The key at which the pipeline reads.
    pub fn stream(&self) -> String {
        format!("stream:{}", self.entity())
    }

    fn suffix(&self) -> String {
        if self.nth == 0 { String::new() } else { format!("_{}", self.nth + 1) }
    }

    /// The numbers of its events.
    pub fn numbers(&self) -> std::ops::Range<u64> {
        self.first..self.first + self.events
    }

    /// The key of an event; the column `id` has it too.
    pub fn key(&self, number: u64) -> String {
        if self.mode == Mode::Append || number % 5 != 4 {
            return format!("user_action:{number}");
        }
        // One of the keys of before: those of the four in five events that repeat none.
        let nth = mixed(number, 63) % ((number / 5 + 1) * 4);
        format!("user_action:{}", nth / 4 * 5 + nth % 4)
    }

    /// The values of an event, one a column.
    pub fn values(&self, number: u64) -> Vec<Value> {
        let value = |(nth, column): (usize, &Column)| {
            let random = mixed(number, nth as u64);
            match (column.kind, column.name.as_str()) {
                (Type::Time, _) => Value::Time(1_717_200_000_000 + (random % 10_000_000_000) as i64),
                (Type::Double, _) => Value::Double((random % 100_000) as i64),
                (Type::Text, "user_id") => Value::Text(format!("user-{:06}", random % 100_000)),
                (Type::Text, "action") => Value::Text(ACTIONS[random as usize % ACTIONS.len()].to_owned()),
                (Type::Text, "ip") => {
                    Value::Text(format!("10.{}.{}.{}", random % 256, random / 256 % 256, random / 65_536 % 256))
                }
                (Type::Text, _) => Value::Text(format!("s-{random:016x}")),
            }
        };
        self.columns.iter().enumerate().map(value).collect()
    }

    /// The document of an event.
    pub fn document(&self, number: u64) -> String {
        let mut json = String::with_capacity(32 * self.columns.len());
        for (column, value) in self.columns.iter().zip(self.values(number)) {
            json.push(if json.is_empty() { '{' } else { ',' });
            let member = &column.member;
            // None of the texts has a character that JSON would escape.
            let written = match value {
                Value::Text(text) => write!(json, r#""{member}":"{text}""#),
                Value::Time(ms) => write!(json, r#""{member}":"{}Z""#, time(ms).format("%Y-%m-%dT%H:%M:%S%.3f")),
                Value::Double(cents) => write!(json, r#""{member}":{}.{:02}"#, cents / 100, cents % 100),
            };
            written.expect("a text takes all");
        }
        json + "}"
    }
}

const ACTIONS: [&str; 8] =
    ["login", "logout", "view_item", "add_to_cart", "remove_item", "checkout", "search", "rate_item"];

/// A time from milliseconds since 1970.
pub fn time(ms: i64) -> NaiveDateTime {
    DateTime::from_timestamp_millis(ms).expect("a time of this century").naive_utc()
}

/// A number that looks like any other (splitmix64).
fn mixed(number: u64, salt: u64) -> u64 {
    let mut z = (number * 64 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
