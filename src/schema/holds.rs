//! Whether one type takes all that another one takes.

use crate::table::ColumnKind;

/// Whether a column takes every value that the other one takes.
pub fn holds(column: &ColumnKind, other: &ColumnKind) -> bool {
    use ColumnKind::{
        Array, Bytes, Choice, Decimal, Float, Int, Interval, Json, NumberOrText, Other, Text, Time, Timestamp,
    };
    let room =
        |most: &Option<u64>, wanted: &Option<u64>| most.is_none_or(|most| wanted.is_some_and(|wanted| wanted <= most));
    match (column, other) {
        // What only the database knows is left to it.
        (Other, _) | (_, Other) | (NumberOrText, _) => true,
        (Text { max_chars, max_bytes }, Text { max_chars: chars, max_bytes: bytes }) => {
            // A limit in characters says more than one in bytes: no column here has both.
            room(max_chars, chars) && (room(max_bytes, bytes) || chars.is_some())
        }
        (Bytes { max, .. }, Bytes { max: wanted, .. }) => room(max, wanted),
        (Int { min, max, .. }, Int { min: least, max: most, .. }) => min <= least && max >= most,
        (Decimal { precision, scale, .. }, Decimal { precision: digits, scale: fraction, .. }) => {
            let (scale, fraction) = (scale.unwrap_or(0), fraction.unwrap_or(0));
            let before = |digits: u32, scale: i32| i64::from(digits) - i64::from(scale);
            precision.is_none_or(|most| {
                digits.is_some_and(|digits| scale >= fraction && before(most, scale) >= before(digits, fraction))
            })
        }
        (Float { single }, Float { single: wanted }) => !single || *wanted,
        (Timestamp { fraction_digits, .. }, Timestamp { fraction_digits: wanted, .. }) => fraction_digits >= wanted,
        (Time { clock, fraction_digits }, Time { clock: other, fraction_digits: wanted }) => {
            clock == other && fraction_digits >= wanted
        }
        (Interval { smallest, fraction_digits }, Interval { smallest: other, fraction_digits: wanted }) => {
            smallest >= other && fraction_digits >= wanted
        }
        // The elements' names and casts are the database's words for what the kinds say.
        (Array { element }, Array { element: wanted }) => holds(&element.kind, &wanted.kind),
        (Choice { members, several }, Choice { members: wanted, several: many }) => {
            several == many && wanted.iter().all(|member| members.contains(member))
        }
        (Json, _) => true,
        (one, two) => one == two,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::RdbmsKind;
    use crate::sink::catalogue::declared;

    #[test]
    fn wider_columns_hold_what_narrower_ones_do() {
        let kind = |sql_type, rdbms| declared::column("c", sql_type, rdbms).kind;
        for (rdbms, wide, narrow) in [
            (RdbmsKind::Postgres, "text", "varchar(20)"),
            (RdbmsKind::Postgres, "varchar(30)", "varchar(20)"),
            (RdbmsKind::Postgres, "bigint", "integer"),
            (RdbmsKind::Postgres, "numeric", "numeric(30,9)"),
            (RdbmsKind::Postgres, "numeric(30,9)", "numeric(28,7)"),
            (RdbmsKind::Postgres, "double precision", "real"),
            (RdbmsKind::Postgres, "timestamp", "timestamp(3)"),
            (RdbmsKind::Postgres, "bigint[]", "int4[]"),
            (RdbmsKind::Postgres, "interval", "interval(3)"),
            (RdbmsKind::Postgres, "float(25)", "float(24)"),
            (RdbmsKind::MySql, "enum('a','b')", "enum(\"b\")"),
            (RdbmsKind::MySql, "text", "text(10)"),
            (RdbmsKind::MySql, "longblob", "blob(10)"),
            (RdbmsKind::MySql, "longtext", "varchar(20)"),
            (RdbmsKind::MySql, "longtext", "text"),
            (RdbmsKind::MySql, "bigint unsigned", "int unsigned"),
            (RdbmsKind::Sqlite, "decimal", "decimal(10,2)"),
        ] {
            assert!(holds(&kind(wide, rdbms), &kind(narrow, rdbms)), "{wide} holds {narrow}");
            assert!(!holds(&kind(narrow, rdbms), &kind(wide, rdbms)), "{narrow} holds {wide}");
            assert!(holds(&kind(wide, rdbms), &kind(wide, rdbms)), "{wide} holds itself");
        }
        assert!(!holds(&kind("text", RdbmsKind::Postgres), &kind("integer", RdbmsKind::Postgres)));
        assert!(!holds(&kind("numeric(30,9)", RdbmsKind::Postgres), &kind("numeric(28,10)", RdbmsKind::Postgres)));
    }
}
