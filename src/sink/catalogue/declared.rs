//! Pure: what values a column takes that is declared with a type and does not exist yet.

use super::{mysql, postgres};
use crate::settings::RdbmsKind;
use crate::sink::sqlite::column_kind;
use crate::table::Column;

/// A column that would be made with this type, as the catalogue would describe it. A type that is not known by its name
/// takes what the database reads ([`Other`](crate::table::ColumnKind::Other)).
pub fn column(name: &str, sql_type: &str, rdbms: RdbmsKind) -> Column {
    let declared = Declared::read(sql_type);
    let kind = match rdbms {
        RdbmsKind::Postgres => postgres::declared(&declared),
        RdbmsKind::MySql | RdbmsKind::MariaDb => mysql::declared(&declared, sql_type),
        RdbmsKind::Sqlite => column_kind(sql_type),
    };
    let cast_type = if declared.name == "jsonb" { r#""pg_catalog"."jsonb""#.to_owned() } else { String::new() };
    Column { cast_type, ..Column::new(name, sql_type, kind) }
}

/// A type, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its words in small letters, without what is in parentheses and without a collation.
    pub name: String,
    /// The numbers in the first parentheses.
    pub numbers: Vec<i64>,
    /// Whether `[]` makes it an array.
    pub is_array: bool,
}

impl Declared {
    fn read(sql_type: &str) -> Declared {
        let lower = sql_type.to_lowercase();
        let (before, rest) = lower.split_once('(').unwrap_or((&lower, ""));
        let (inside, after) = rest.split_once(')').unwrap_or(("", ""));
        let words = format!("{before} {after}");
        let words = words.split_whitespace().take_while(|word| !matches!(*word, "collate"));
        let name = words.collect::<Vec<_>>().join(" ");
        let numbers = inside.split(',').filter_map(|number| number.trim().parse().ok()).collect();
        Declared { name: name.replace("[]", "").trim().to_owned(), numbers, is_array: lower.contains("[]") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Address, Clock, ColumnKind, IntervalPart};

    fn kind(sql_type: &str, rdbms: RdbmsKind) -> ColumnKind {
        column("c", sql_type, rdbms).kind
    }

    fn text(max_chars: Option<u64>, max_bytes: Option<u64>) -> ColumnKind {
        ColumnKind::Text { max_chars, max_bytes }
    }

    fn int(min: i128, max: i128, takes_bool: bool) -> ColumnKind {
        ColumnKind::Int { min, max, takes_bool }
    }

    fn decimal(precision: Option<u32>, scale: Option<i32>) -> ColumnKind {
        ColumnKind::Decimal { precision, scale, as_float: false }
    }

    #[test]
    fn names_of_postgres_are_understood() {
        for (declared, expected) in [
            ("BIGINT", int(i64::MIN.into(), i64::MAX.into(), false)),
            ("int", int(i32::MIN.into(), i32::MAX.into(), false)),
            ("numeric", decimal(None, None)),
            ("numeric(30, 9)", decimal(Some(30), Some(9))),
            ("decimal(12)", decimal(Some(12), Some(0))),
            ("character varying(20) COLLATE \"C\"", text(Some(20), None)),
            ("char", text(Some(1), None)),
            ("text", text(None, None)),
            ("double precision", ColumnKind::Float { single: false }),
            ("float(24)", ColumnKind::Float { single: true }),
            ("float(25)", ColumnKind::Float { single: false }),
            ("interval(3)", ColumnKind::Interval { smallest: IntervalPart::Second, fraction_digits: 3 }),
            ("timestamp(3) with time zone", ColumnKind::timestamp(3, -4712..=262_141)),
            ("timestamptz", ColumnKind::timestamp(6, -4712..=262_141)),
            ("time", ColumnKind::Time { clock: Clock::Day, fraction_digits: 6 }),
            ("cidr", ColumnKind::Address(Address::Network)),
            ("mood", ColumnKind::Other),
        ] {
            assert_eq!(kind(declared, RdbmsKind::Postgres), expected, "{declared}");
        }
        let ColumnKind::Array { element } = kind("varchar(9)[]", RdbmsKind::Postgres) else { panic!("no array") };
        assert_eq!(element.kind, text(Some(9), None));
    }

    #[test]
    fn names_of_mysql_are_understood() {
        for (declared, expected) in [
            ("bigint unsigned", int(0, u64::MAX.into(), false)),
            ("BOOLEAN", int(-128, 127, true)),
            ("integer", int(i32::MIN.into(), i32::MAX.into(), false)),
            ("decimal(38,9)", decimal(Some(38), Some(9))),
            ("numeric", decimal(Some(10), Some(0))),
            ("varchar(255) COLLATE utf8mb4_bin", text(Some(255), None)),
            ("longtext", text(None, Some(4_294_967_295))),
            ("double precision", ColumnKind::Float { single: false }),
            ("datetime(6)", ColumnKind::timestamp(6, 1..=9999)),
            ("date", ColumnKind::Date),
            ("json", ColumnKind::Json),
            ("longblob", ColumnKind::Bytes { max: Some(4_294_967_295), padded: false }),
            ("enum('a','b')", ColumnKind::Choice { members: vec!["a".into(), "b".into()], several: false }),
            ("SET( 'a' , \"b\")", ColumnKind::Choice { members: vec!["a".into(), "b".into()], several: true }),
            ("int(5) zerofill", int(0, u32::MAX.into(), false)),
            ("float(30)", ColumnKind::Float { single: false }),
            ("text(10)", text(None, Some(255))),
            ("text(100)", text(None, Some(65_535))),
            ("text(100) CHARACTER SET latin1", text(None, Some(255))),
            ("blob(255)", ColumnKind::Bytes { max: Some(255), padded: false }),
            ("point", ColumnKind::Other),
        ] {
            for rdbms in [RdbmsKind::MySql, RdbmsKind::MariaDb] {
                assert_eq!(kind(declared, rdbms), expected, "{declared}");
            }
        }
    }
}
