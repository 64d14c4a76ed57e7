//! From what values look like to the type of a column, in the words of each database.

use super::shape::{Digits, Seen, Shape};
use crate::settings::RdbmsKind;

/// Where a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Anywhere.
    Plain,
    /// In a key. Where an index needs a limit (MySQL), it has room for texts of so many characters.
    Key {
        /// Characters.
        room: u64,
    },
}

/// A column's type, and what a person should know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The type.
    pub sql_type: String,
    /// Why it is this one, where that is not plain.
    pub remark: Option<&'static str>,
}

impl Chosen {
    fn plain(sql_type: impl Into<String>) -> Self {
        Chosen { sql_type: sql_type.into(), remark: None }
    }

    fn remarked(self, remark: &'static str) -> Self {
        Chosen { remark: Some(remark), ..self }
    }
}

/// Chooses the type of a column that takes whatever was seen.
pub fn choose(seen: Seen, place: Place, rdbms: RdbmsKind) -> Chosen {
    use RdbmsKind::{MariaDb, MySql, Postgres, Sqlite};
    let name = match (seen.shape, rdbms) {
        (Shape::Nothing, _) => {
            return text(seen, place, rdbms).remarked("never seen: declare its `type` if it is no text");
        }
        (Shape::Text, _) => return text(seen, place, rdbms),
        (Shape::Json, _) if place != Place::Plain => {
            return text(seen, place, rdbms).remarked("objects or arrays were seen, which can be no key");
        }
        (Shape::Number(digits), _) if !digits.whole => return decimal(digits, rdbms),
        (Shape::Number(_), _) => "bigint",
        (Shape::Bool, _) => "boolean",
        (Shape::Date, _) => "date",
        // TIMESTAMP, which has a zone, ends in 2038. Instants are written as UTC.
        (Shape::Time { .. }, MySql | MariaDb) => "datetime(6)",
        (Shape::Time { instant: true }, Postgres) => "timestamptz",
        (Shape::Time { .. }, Postgres | Sqlite) => "timestamp",
        (Shape::Uuid, Postgres) => "uuid",
        (Shape::Uuid, MySql | MariaDb) => "char(36)",
        // With `_text` SQLite keeps the text as it is; with other names it would make numbers of some.
        (Shape::Uuid, Sqlite) => "uuid_text",
        (Shape::Json, Postgres) => "jsonb",
        (Shape::Json, MySql | MariaDb) => "json",
        (Shape::Json, Sqlite) => "json_text",
        (Shape::Bytes, Postgres) => "bytea",
        (Shape::Bytes, Sqlite) => "blob",
        (Shape::Bytes, MySql | MariaDb) => match place {
            Place::Plain => "longblob",
            Place::Key { room } => return Chosen::plain(format!("varbinary({room})")),
        },
    };
    Chosen::plain(name)
}

/// Chooses the type of a column to which whatever was seen is added.
pub fn choose_for_sums(seen: Seen, rdbms: RdbmsKind) -> Chosen {
    match seen.shape {
        Shape::Number(digits) if digits.whole => Chosen::plain("bigint"),
        Shape::Number(_) if rdbms == RdbmsKind::Sqlite => Chosen::plain("real")
            .remarked("SQLite adds fractions as floats: add whole numbers of a smaller unit to be exact"),
        Shape::Number(digits) => decimal(digits, rdbms),
        _ => Chosen::plain("bigint").remarked("never seen: declare its `type` if it has fractions"),
    }
}

fn text(seen: Seen, place: Place, rdbms: RdbmsKind) -> Chosen {
    const USUAL: u64 = 255;
    match (rdbms, place) {
        (RdbmsKind::Postgres | RdbmsKind::Sqlite, _) => Chosen::plain("text"),
        (RdbmsKind::MySql | RdbmsKind::MariaDb, Place::Plain) => Chosen::plain("longtext"),
        (RdbmsKind::MySql | RdbmsKind::MariaDb, Place::Key { room }) => {
            let chars = if seen.chars > USUAL { room } else { room.min(USUAL) };
            let chosen = Chosen::plain(format!("varchar({chars})"));
            if seen.chars > room { chosen.remarked("longer ones were seen than an index has room for") } else { chosen }
        }
    }
}

/// A decimal with room for more than was seen; a float only for what no decimal of the database holds.
fn decimal(digits: Digits, rdbms: RdbmsKind) -> Chosen {
    const LOSES: &str = "a float, which keeps about 15 digits: exponents were seen that no decimal here has room for";
    let Digits { before, after, significant, .. } = digits;
    match rdbms {
        // Without a precision it keeps every digit.
        RdbmsKind::Postgres if before <= 131_072 && after <= 16_383 => Chosen::plain("numeric"),
        RdbmsKind::Postgres => Chosen::plain("double precision").remarked(LOSES),
        RdbmsKind::MySql | RdbmsKind::MariaDb => {
            // At least decimal(38,9): money of every currency, seconds to the nanosecond.
            const ALL: i64 = 65;
            const FRACTION: i64 = 30;
            let before = before.max(29);
            let after = after.max(9.min(ALL - before));
            match before + after <= ALL && after <= FRACTION {
                true => Chosen::plain(format!("decimal({},{after})", before + after)),
                false => Chosen::plain("double").remarked(LOSES),
            }
        }
        RdbmsKind::Sqlite if significant <= 15 && before <= 308 && after <= 300 => Chosen::plain("decimal"),
        RdbmsKind::Sqlite => Chosen::plain("text").remarked("SQLite keeps 15 digits of a decimal, and more were seen"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RdbmsKind::{MariaDb, MySql, Postgres, Sqlite};

    fn chosen(json: &str, place: Place) -> [String; 4] {
        [Postgres, MySql, MariaDb, Sqlite].map(|rdbms| choose(Seen::json(json), place, rdbms).sql_type)
    }

    #[test]
    fn each_database_has_its_own_words() {
        for (json, types) in [
            ("null", ["text", "longtext", "longtext", "text"]),
            ("true", ["boolean"; 4]),
            ("7", ["bigint"; 4]),
            ("0.5", ["numeric", "decimal(38,9)", "decimal(38,9)", "decimal"]),
            ("9223372036854775808", ["numeric", "decimal(38,9)", "decimal(38,9)", "text"]),
            ("1234567890123456.5", ["numeric", "decimal(38,9)", "decimal(38,9)", "text"]),
            ("1e-20", ["numeric", "decimal(49,20)", "decimal(49,20)", "decimal"]),
            ("1e59", ["numeric", "decimal(65,5)", "decimal(65,5)", "decimal"]),
            ("1e70", ["numeric", "double", "double", "decimal"]),
            ("1e-31", ["numeric", "double", "double", "decimal"]),
            ("1e200000", ["double precision", "double", "double", "text"]),
            (r#""2024-06-01""#, ["date"; 4]),
            (r#""2024-06-01T12:30:00Z""#, ["timestamptz", "datetime(6)", "datetime(6)", "timestamp"]),
            (r#""2024-06-01T12:30:00""#, ["timestamp", "datetime(6)", "datetime(6)", "timestamp"]),
            (r#""a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11""#, ["uuid", "char(36)", "char(36)", "uuid_text"]),
            ("{}", ["jsonb", "json", "json", "json_text"]),
            (r#""x""#, ["text", "longtext", "longtext", "text"]),
        ] {
            assert_eq!(chosen(json, Place::Plain), types, "{json}");
        }
    }

    #[test]
    fn keys_of_text_have_the_length_that_an_index_needs() {
        let key = |room| Place::Key { room };
        let long = format!("\"{}\"", "x".repeat(300));
        assert_eq!(chosen(r#""x""#, key(758)), ["text", "varchar(255)", "varchar(255)", "text"]);
        assert_eq!(chosen(r#""x""#, key(192)), ["text", "varchar(192)", "varchar(192)", "text"]);
        assert_eq!(chosen(&long, key(758)), ["text", "varchar(758)", "varchar(758)", "text"]);
        assert_eq!(chosen("{}", key(758)), ["text", "varchar(255)", "varchar(255)", "text"]);
        assert!(choose(Seen::json(&long), key(192), MySql).remark.is_some());
    }
}
