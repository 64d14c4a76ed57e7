//! Whether a table holds what it must: the number of its rows, and a checksum over all of their values.

use std::collections::HashMap;
use std::fmt::Write;

use md5::{Digest, Md5};
use rusqlite::functions::FunctionFlags;

use crate::place::Fresh;
use crate::support::database::Kind;
use crate::work::{Mode, Type, Value, Work};

/// A number of rows and the sum of their checksums: equal for equal rows in whatever order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksum {
    rows: u64,
    sum: u64,
}

/// What the table must hold after the work.
pub fn expected(work: &Work) -> Checksum {
    let sum = |numbers: &mut dyn Iterator<Item = u64>| {
        numbers.fold(Checksum::default(), |before, number| Checksum {
            rows: before.rows + 1,
            sum: before.sum + u64::from(checksum(&text(work, number))),
        })
    };
    match work.mode {
        Mode::Append => sum(&mut work.numbers()),
        Mode::Upsert => {
            let last: HashMap<String, u64> = work.numbers().map(|number| (work.key(number), number)).collect();
            sum(&mut last.into_values())
        }
    }
}

/// Panics when the table does not hold exactly that.
pub async fn check(fresh: &Fresh<'_>, work: &Work, expected: Checksum) {
    let database = fresh.database();
    let found = match database.kind() {
        Kind::Sqlite => sqlite(fresh, work),
        kind => {
            let row = database.rows(&query(kind, work)).await.remove(0);
            let number =
                |value: &Option<String>| value.as_deref().and_then(|text| text.parse().ok()).expect("a number");
            Checksum { rows: number(&row[0]), sum: number(&row[1]) }
        }
    };
    assert_eq!(found, expected, "{}: the table {} is not what it must be", database.kind().name(), work.table());
}

/// A row as the text that its checksum is made of.
fn text(work: &Work, number: u64) -> String {
    let mut text = work.key(number);
    for value in work.values(number) {
        let written = match value {
            Value::Text(value) => write!(text, "|{value}"),
            Value::Time(ms) => write!(text, "|{ms}"),
            Value::Double(cents) => write!(text, "|{cents}"),
        };
        written.expect("a text takes all");
    }
    text
}

/// The first 32 bits of the MD5.
fn checksum(text: &str) -> u32 {
    let digest = Md5::digest(text);
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// The same in the words of each database.
fn query(kind: Kind, work: &Work) -> String {
    let values = work.columns.iter().map(|column| {
        let name = &column.name;
        match (column.kind, kind) {
            (Type::Text, _) => name.clone(),
            (Type::Time, Kind::Postgres) => format!("round(date_part('epoch', {name}) * 1000)::bigint"),
            (Type::Time, Kind::MariaDb) => format!("cast(round(unix_timestamp({name}) * 1000) AS signed)"),
            (Type::Time, Kind::Sqlite) => {
                format!("cast(round((julianday({name}) - 2440587.5) * 86400000) AS integer)")
            }
            (Type::Double, Kind::Postgres) => format!("round({name} * 100)::bigint"),
            (Type::Double, Kind::MariaDb) => format!("cast(round({name} * 100) AS signed)"),
            (Type::Double, Kind::Sqlite) => format!("cast(round({name} * 100) AS integer)"),
        }
    });
    let values = values.collect::<Vec<_>>().join(", ");
    let text = format!("concat_ws('|', id, {values})");
    let checksum = match kind {
        Kind::Postgres => format!("('x' || substr(md5({text}), 1, 8))::bit(32)::bigint"),
        Kind::MariaDb => format!("cast(conv(substr(md5({text}), 1, 8), 16, 10) AS unsigned)"),
        Kind::Sqlite => format!("checksum({text})"),
    };
    format!("SELECT count(*), coalesce(sum({checksum}), 0) FROM {}", work.table())
}

/// SQLite has no such function, but takes one.
fn sqlite(fresh: &Fresh<'_>, work: &Work) -> Checksum {
    let connection = rusqlite::Connection::open(fresh.file()).expect("SQLite opens the file");
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection
        .create_scalar_function("checksum", 1, flags, |context| Ok(i64::from(checksum(context.get_raw(0).as_str()?))))
        .expect("SQLite takes a function");
    let row = connection.query_row(&query(Kind::Sqlite, work), [], |row| {
        Ok(Checksum { rows: row.get::<_, i64>(0)? as u64, sum: row.get::<_, i64>(1)? as u64 })
    });
    row.expect("SQLite counts the rows")
}
