//! What of a key an index of MySQL's has room for: 3072 bytes in all, of columns whose length is known.

use crate::table::ColumnKind;

/// Bytes of InnoDB's index.
pub const ROOM: u64 = 3072;

/// Bytes of a character of `utf8mb4`, which columns have here if they do not say otherwise.
pub const BYTES_OF_CHAR: u64 = 4;

/// Bytes that a column takes in an index; `None` if it can only be in one with a part of its values.
pub fn bytes(sql_type: &str, kind: &ColumnKind) -> Option<u64> {
    // Numbers, times, UUIDs.
    const OTHERS: u64 = 40;
    let words = sql_type.to_lowercase();
    match kind {
        ColumnKind::Text { max_chars, .. } => {
            let one_byte = ["latin1", "ascii"].iter().any(|charset| words.contains(charset));
            max_chars.map(|chars| chars * if one_byte { 1 } else { BYTES_OF_CHAR })
        }
        ColumnKind::Bytes { max, .. } => max.filter(|_| !words.contains("blob")),
        ColumnKind::Json => None,
        _ => Some(OTHERS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::RdbmsKind;
    use crate::sink::catalogue::declared;

    #[test]
    fn a_column_takes_its_longest_value() {
        for (sql_type, expected) in [
            ("varchar(768)", Some(ROOM)),
            ("char(36) CHARACTER SET ascii", Some(36)),
            ("varbinary(16)", Some(16)),
            ("bigint", Some(40)),
            ("text", None),
            ("text(20)", None),
            ("blob", None),
            ("json", None),
        ] {
            let kind = declared::column("c", sql_type, RdbmsKind::MariaDb).kind;
            assert_eq!(bytes(sql_type, &kind), expected, "{sql_type}");
        }
    }
}
