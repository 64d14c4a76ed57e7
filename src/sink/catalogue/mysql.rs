//! MySQL's and MariaDB's catalogue.

use sea_orm::{DatabaseConnection, DbBackend, QueryResult};

use super::super::SqlError;
use super::super::sql::quote;
use super::declared::Declared;
use super::{by_index, query, references, texts};
use crate::table::{Address, Clock, Column, ColumnKind, EndBlanks, Table, TableForm, TableName};

// The casts: the two servers, and versions of them, give these columns different types.
const COLUMNS: &str = "
    SELECT CAST(c.COLUMN_NAME AS CHAR) AS name, CAST(c.DATA_TYPE AS CHAR) AS data_type,
           CAST(c.COLUMN_TYPE AS CHAR) AS sql_type, CAST(c.IS_NULLABLE AS CHAR) AS nullable,
           -- MariaDB says NULL where there is none.
           c.COLUMN_DEFAULT IS NOT NULL AND NOT (c.IS_NULLABLE = 'YES' AND c.COLUMN_DEFAULT = 'NULL') AS has_default,
           CAST(c.EXTRA AS CHAR) AS extra,
           CAST(c.CHARACTER_MAXIMUM_LENGTH AS SIGNED) AS chars, CAST(c.NUMERIC_PRECISION AS SIGNED) AS digits,
           CAST(c.NUMERIC_SCALE AS SIGNED) AS scale, CAST(c.DATETIME_PRECISION AS SIGNED) AS fraction,
           CAST(c.COLLATION_NAME AS CHAR) AS collation, CAST(c.CHARACTER_OCTET_LENGTH AS SIGNED) AS bytes,
           CAST(c.CHARACTER_SET_NAME AS CHAR) AS charset,
           -- MariaDB 11.5 has 32 bits for the seconds of a TIMESTAMP, the others have 31.
           CAST(2147483647 /*M!110500 + 2147483648 */ AS SIGNED) AS last_second
    FROM information_schema.COLUMNS c
    WHERE c.TABLE_SCHEMA = COALESCE(?, DATABASE()) AND c.TABLE_NAME = ?
    ORDER BY c.ORDINAL_POSITION";

const UNIQUE: &str = "
    SELECT CAST(s.INDEX_NAME AS CHAR) AS index_name,
           -- A part that is an expression has no name, and is no column of a key.
           CAST(CASE WHEN s.SUB_PART IS NULL THEN COALESCE(s.COLUMN_NAME, '(an expression)')
             ELSE CONCAT(s.COLUMN_NAME, '(', s.SUB_PART, ')') END AS CHAR) AS column_name
    FROM information_schema.STATISTICS s
    WHERE s.TABLE_SCHEMA = COALESCE(?, DATABASE()) AND s.TABLE_NAME = ? AND s.NON_UNIQUE = 0
    ORDER BY s.INDEX_NAME, s.SEQ_IN_INDEX";

const ENGINE: &str = "
    SELECT CAST(t.ENGINE AS CHAR) AS engine, COALESCE(CAST(e.TRANSACTIONS AS CHAR), 'NO') AS transactions,
           CAST(t.TABLE_TYPE AS CHAR) AS type
    FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
    WHERE t.TABLE_SCHEMA = COALESCE(?, DATABASE()) AND t.TABLE_NAME = ?";

// MariaDB's names of constraints are unique in a table only, and it tells the table; MySQL's are unique in a schema.
const CHECKS: &str = "
    SELECT CAST(c.CHECK_CLAUSE AS CHAR) AS rule FROM information_schema.CHECK_CONSTRAINTS c
    JOIN information_schema.TABLE_CONSTRAINTS t
      ON t.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA AND t.CONSTRAINT_NAME = c.CONSTRAINT_NAME
      /*M!100310 AND c.TABLE_NAME = t.TABLE_NAME */
    WHERE t.TABLE_SCHEMA = COALESCE(?, DATABASE()) AND t.TABLE_NAME = ?";

const FOREIGN_KEYS: &str = "
    SELECT CAST(CONCAT_WS(' ', k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME) AS CHAR)
             AS rule
    FROM information_schema.KEY_COLUMN_USAGE k
    WHERE k.TABLE_SCHEMA = COALESCE(?, DATABASE()) AND k.TABLE_NAME = ? AND k.REFERENCED_TABLE_NAME IS NOT NULL";

const REFERENCES: &str = "
    SELECT CAST(k.REFERENCED_TABLE_NAME AS CHAR) AS name, CAST(k.COLUMN_NAME AS CHAR) AS column_name,
           CAST(r.DELETE_RULE = 'CASCADE' AS SIGNED) AS cascades
    FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r
      ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME
    WHERE k.TABLE_SCHEMA = COALESCE(?, DATABASE()) AND k.TABLE_NAME = ? AND k.REFERENCED_TABLE_NAME IS NOT NULL";

/// Those that this user may see.
const TRIGGERS: &str = "
    SELECT CAST(CONCAT_WS(' ', g.TRIGGER_NAME, g.ACTION_TIMING, g.EVENT_MANIPULATION, g.ACTION_STATEMENT) AS CHAR) AS rule
    FROM information_schema.TRIGGERS g
    WHERE g.EVENT_OBJECT_SCHEMA = COALESCE(?, DATABASE()) AND g.EVENT_OBJECT_TABLE = ?";

pub async fn read(db: &DatabaseConnection, name: &TableName) -> Result<Option<Table>, SqlError> {
    let place = || vec![name.schema.clone().into(), name.table.clone().into()];
    let mut rules = texts(&query(db, CHECKS, place()).await?, "rule")?;
    let rows = query(db, COLUMNS, place()).await?;
    let columns = rows.iter().map(|row| column(row, &rules)).collect::<Result<Vec<_>, _>>()?;
    for others in [FOREIGN_KEYS, TRIGGERS] {
        rules.extend(texts(&query(db, others, place()).await?, "rule")?);
    }
    let unique_keys = by_index(&query(db, UNIQUE, place()).await?)?;
    let references = references(&query(db, REFERENCES, place()).await?)?;
    let (mut not_transactional, mut form) = (None, TableForm::Plain);
    if let Some(row) = query(db, ENGINE, place()).await?.first() {
        let (engine, transactions): (Option<String>, String) =
            (row.try_get("", "engine")?, row.try_get("", "transactions")?);
        let table_type: String = row.try_get("", "type")?;
        if table_type.contains("VIEW") {
            form = TableForm::View;
            not_transactional =
                Some("is a view, which does not tell the engine of its table (name that itself)".into());
        } else if let (Some(engine), true) = (engine, transactions != "YES") {
            not_transactional = Some(format!("uses the engine {engine}, which has no transactions (use InnoDB)"));
        }
    }
    Ok(Some(Table { unique_keys, rules, references, not_transactional, form, ..Table::new(name.clone(), columns) }))
}

/// MariaDB's JSON is LONGTEXT with a check, which is among `checks`.
fn column(row: &QueryResult, checks: &[String]) -> Result<Column, SqlError> {
    let name: String = row.try_get("", "name")?;
    let data_type: String = row.try_get("", "data_type")?;
    let sql_type: String = row.try_get("", "sql_type")?;
    let extra: String = row.try_get("", "extra")?;
    let nullable: String = row.try_get("", "nullable")?;
    let has_default: bool = row.try_get::<i64>("", "has_default")? != 0;
    let number = |column| row.try_get::<Option<i64>>("", column).map(|n| n.and_then(|n| u64::try_from(n).ok()));
    let collation: Option<String> = row.try_get("", "collation")?;
    let valid = format!("json_valid({})", quote(DbBackend::MySql, &name)).to_lowercase();
    let is_json = checks.iter().any(|clause| clause.to_lowercase().contains(&valid));
    let charset: Option<String> = row.try_get("", "charset")?;
    let last_second: i64 = row.try_get("", "last_second")?;
    let is_utf8 = charset.is_some_and(|charset| charset.starts_with("utf8"));
    let numbers = Numbers {
        // In other character sets a text has other bytes than here: the database knows.
        bytes: number("bytes")?.filter(|_| is_utf8),
        last_second,
        chars: number("chars")?,
        digits: number("digits")?,
        scale: number("scale")?,
        fraction: number("fraction")?,
    };
    let extra = extra.to_ascii_lowercase();
    let end_blanks = end_blanks(&data_type, collation.as_deref());
    Ok(Column {
        kind: if is_json { ColumnKind::Json } else { kind(&data_type, &sql_type, &numbers) },
        compares_exactly: collation.is_none_or(|collation| collation.ends_with("_bin") || collation == "binary"),
        end_blanks,
        name,
        sql_type,
        cast_type: String::new(),
        nullable: nullable == "YES",
        counts: extra.contains("auto_increment"),
        has_default: has_default || extra.contains("auto_increment") || extra.contains("default_generated"),
        generated: extra.contains("virtual generated") || extra.contains("stored generated"),
    })
}

/// All collations of old, and most of MariaDB's, compare as if the shorter text had blanks at its end.
fn end_blanks(data_type: &str, collation: Option<&str>) -> EndBlanks {
    let Some(collation) = collation else { return EndBlanks::Count };
    let no_pad = collation.contains("_nopad_") || collation.contains("_0900_") || collation == "binary";
    match (data_type.eq_ignore_ascii_case("char"), no_pad) {
        (true, _) => EndBlanks::Padding,
        (false, true) => EndBlanks::Count,
        (false, false) => EndBlanks::Kept,
    }
}

struct Numbers {
    chars: Option<u64>,
    digits: Option<u64>,
    scale: Option<u64>,
    fraction: Option<u64>,
    bytes: Option<u64>,
    last_second: i64,
}

fn kind(data_type: &str, sql_type: &str, numbers: &Numbers) -> ColumnKind {
    let words = sql_type.to_ascii_lowercase();
    let unsigned = words.contains("unsigned") || words.contains("zerofill");
    let int = |bits: u32| {
        let (min, max) =
            if unsigned { (0, (1i128 << bits) - 1) } else { (-(1i128 << (bits - 1)), (1 << (bits - 1)) - 1) };
        ColumnKind::Int { min, max, takes_bool: bits == 8 }
    };
    let decimal = || {
        let (precision, scale) = (numbers.digits.map(|n| n as u32), numbers.scale.map(|n| n as i32));
        ColumnKind::Decimal { precision, scale, as_float: false }
    };
    let fraction_digits = numbers.fraction.unwrap_or(0) as u32;
    match data_type.to_ascii_lowercase().as_str() {
        "bit" => ColumnKind::Int { min: 0, max: (1i128 << numbers.digits.unwrap_or(1).min(64)) - 1, takes_bool: true },
        "year" => ColumnKind::Int { min: 1901, max: 2155, takes_bool: false },
        "enum" => ColumnKind::Choice { members: members(sql_type), several: false },
        "set" => ColumnKind::Choice { members: members(sql_type), several: true },
        "tinyint" => int(8),
        "smallint" => int(16),
        "mediumint" => int(24),
        "int" => int(32),
        "bigint" => int(64),
        // `FLOAT(7,2)` rounds like a decimal, and does not say so.
        "float" | "double" if numbers.scale.is_some() => decimal(),
        "float" => ColumnKind::Float { single: true },
        "double" => ColumnKind::Float { single: false },
        "decimal" => decimal(),
        "char" | "varchar" => ColumnKind::Text { max_chars: numbers.chars, max_bytes: None },
        "tinytext" | "text" | "mediumtext" | "longtext" => {
            ColumnKind::Text { max_chars: None, max_bytes: numbers.bytes }
        }
        "binary" => ColumnKind::Bytes { max: numbers.chars, padded: true },
        "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
            ColumnKind::Bytes { max: numbers.chars, padded: false }
        }
        "json" => ColumnKind::Json,
        "uuid" => ColumnKind::Uuid,
        "date" => ColumnKind::Date,
        "inet4" => ColumnKind::Address(Address::V4),
        "inet6" => ColumnKind::Address(Address::V6),
        "time" => ColumnKind::Time { clock: Clock::Span, fraction_digits },
        "datetime" => ColumnKind::timestamp(fraction_digits, 1..=9999),
        "timestamp" => {
            const SECOND: i64 = 1_000_000;
            // The first second is MySQL's sign for no time at all.
            let (first, last) = (SECOND, numbers.last_second * SECOND + SECOND - 1);
            ColumnKind::Timestamp { fraction_digits, first, last }
        }
        _ => ColumnKind::Other,
    }
}

/// What a type takes that is declared.
pub fn declared(declared: &Declared, sql_type: &str) -> ColumnKind {
    let word = declared.name.split_whitespace().next().unwrap_or_default();
    let data_type = match word {
        "boolean" | "bool" => "tinyint",
        "integer" => "int",
        "dec" | "numeric" | "fixed" => "decimal",
        "real" => "double",
        "float" if matches!(declared.numbers.as_slice(), [bits] if *bits > 24) => "double",
        "character" if declared.name.contains("varying") => "varchar",
        "character" => "char",
        word => word,
    };
    let number = |place: usize| declared.numbers.get(place).and_then(|number| u64::try_from(*number).ok());
    let bytes = match data_type {
        "tinytext" | "tinyblob" => Some(SIZES[0]),
        // With a length it becomes the smallest type that has room for it.
        "text" | "blob" => number(0).map_or(Some(SIZES[1]), |chars| {
            let wanted = chars * if data_type == "text" { bytes_of_char(sql_type) } else { 1 };
            SIZES.into_iter().find(|bytes| *bytes >= wanted)
        }),
        "mediumtext" | "mediumblob" => Some(SIZES[2]),
        "longtext" | "longblob" => Some(SIZES[3]),
        _ => None,
    };
    let is_decimal = data_type == "decimal";
    let numbers = Numbers {
        chars: bytes.or(number(0)).or((matches!(data_type, "char" | "binary")).then_some(1)),
        digits: number(0).or(is_decimal.then_some(10)),
        scale: number(1).or(is_decimal.then_some(0)),
        fraction: number(0),
        bytes,
        last_second: i32::MAX.into(),
    };
    kind(data_type, sql_type, &numbers)
}

/// Bytes of the types of TEXT and BLOB: tiny, plain, medium and long.
const SIZES: [u64; 4] = [255, 65_535, 16_777_215, 4_294_967_295];

/// Most bytes of a character in a column that is declared so.
fn bytes_of_char(sql_type: &str) -> u64 {
    let words = sql_type.to_ascii_lowercase();
    let has = |charset: &str| words.contains(charset);
    match (has("utf8mb4"), has("utf8"), has("latin1") || has("ascii") || has("binary")) {
        (false, true, _) => 3,
        (false, false, true) => 1,
        _ => 4,
    }
}

/// The texts in `enum('a','b''c')`, as the catalogue or as a person writes them: with blanks between, in quotes of either
/// kind, which are doubled or stand behind a backslash where they are a part of the text.
fn members(sql_type: &str) -> Vec<String> {
    let mut rest = sql_type.chars().skip_while(|c| *c != '(').peekable();
    let mut members = Vec::new();
    while let Some(quote) = rest.find(|c| matches!(c, '\'' | '"')) {
        let mut member = String::new();
        while let Some(c) = rest.next() {
            match c {
                '\\' => member.extend(rest.next().map(|c| match c {
                    '0' => '\0',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    c => c,
                })),
                c if c == quote && rest.next_if_eq(&quote).is_none() => break,
                c => member.push(c),
            }
        }
        // The server drops blanks at the end.
        members.push(member.trim_end_matches(' ').to_owned());
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_from_the_type() {
        assert_eq!(members("enum('a','b''c','')"), ["a", "b'c", ""]);
        assert_eq!(members("set('x')"), ["x"]);
        assert_eq!(
            members(r#"ENUM( 'a' , "b""c", 'it''s (x)','\\', 'end  ')"#),
            ["a", "b\"c", "it's (x)", "\\", "end"]
        );
    }
}
