//! PostgreSQL's catalogue.

use sea_orm::{DatabaseConnection, DbBackend, QueryResult};

use super::super::SqlError;
use super::super::sql::{quote, quote_table};
use super::declared::Declared;
use super::{by_index, query, references, texts};
use crate::table::{Address, Clock, Column, ColumnKind, EndBlanks, IntervalPart, Table, TableForm, TableName};

const COLUMNS: &str = "
    SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS sql_type, base.modifier,
           n.nspname::text AS type_schema, t.typname::text AS type_name,
           a.attnotnull OR base.not_null AS not_null, a.atthasdef OR a.attidentity <> '' AS has_default,
           a.attgenerated <> '' OR a.attidentity = 'a' AS generated,
           COALESCE(o.collisdeterministic, true) AS exact,
           en.nspname::text AS element_schema, e.typname::text AS element_name,
           (SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder)::text
            FROM pg_enum l WHERE l.enumtypid = COALESCE(e.oid, t.oid)) AS labels,
           scale(0::money::numeric) AS money_scale
    FROM pg_attribute a
    -- A cast to a domain cuts what is too long for the type below it: cast to that type, and assign.
    CROSS JOIN LATERAL (
        WITH RECURSIVE below AS (
            SELECT 0 AS depth, y.oid, y.typbasetype, y.typtypmod, y.typnotnull FROM pg_type y WHERE y.oid = a.atttypid
            UNION ALL
            SELECT b.depth + 1, y.oid, y.typbasetype, y.typtypmod, y.typnotnull
            FROM below b JOIN pg_type y ON y.oid = b.typbasetype)
        SELECT (SELECT oid FROM below ORDER BY depth DESC LIMIT 1) AS oid,
               GREATEST(a.atttypmod, (SELECT max(typtypmod) FROM below)) AS modifier,
               (SELECT bool_or(typnotnull) FROM below) AS not_null) base
    JOIN pg_type t ON t.oid = base.oid
    JOIN pg_namespace n ON n.oid = t.typnamespace
    -- Only of true arrays: `int2vector` has elements too.
    LEFT JOIN pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
    LEFT JOIN pg_namespace en ON en.oid = e.typnamespace
    LEFT JOIN pg_collation o ON o.oid = a.attcollation
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum";

/// Indexes that `ON CONFLICT` can name: unique, valid, not deferrable, on columns, for all rows.
const UNIQUE: &str = "
    SELECT i.indexrelid::text AS index_name, a.attname::text AS column_name
    FROM pg_index i
    CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
    ORDER BY i.indexrelid, k.place";

const RULES: &str = "
    SELECT pg_get_constraintdef(c.oid) AS rule FROM pg_constraint c WHERE c.conrelid = to_regclass($1)
      -- not those that come and go with the partitions of a table that is referred to
      AND c.conparentid = 0
    UNION ALL
    SELECT pg_get_triggerdef(t.oid) || t.tgenabled::text FROM pg_trigger t
    WHERE t.tgrelid = to_regclass($1) AND NOT t.tgisinternal";

/// The tables that foreign keys refer to.
const REFERENCES: &str = "
    SELECT t.relname::text AS name, a.attname::text AS column_name, (c.confdeltype = 'c')::int4::int8 AS cascades
    FROM pg_constraint c JOIN pg_class t ON t.oid = c.confrelid
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
    WHERE c.conrelid = to_regclass($1) AND c.contype = 'f' AND c.conparentid = 0";

/// `COPY` passes rules by, and is refused where row-level security applies to us. A view or a foreign table has its own
/// mind about it.
const TAKES_COPY: &str = "
    SELECT c.relkind IN ('r', 'p') AND NOT c.relhasrules AND NOT row_security_active(c.oid) AS takes_copy,
           c.relkind IN ('v', 'm') AS is_view
    FROM pg_class c WHERE c.oid = to_regclass($1)";

pub async fn read(db: &DatabaseConnection, name: &TableName) -> Result<Option<Table>, SqlError> {
    let regclass = quote_table(DbBackend::Postgres, name);
    let rows = query(db, COLUMNS, vec![regclass.clone().into()]).await?;
    let columns = rows.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let unique_keys = by_index(&query(db, UNIQUE, vec![regclass.clone().into()]).await?)?;
    let rules = texts(&query(db, RULES, vec![regclass.clone().into()]).await?, "rule")?;
    let references = references(&query(db, REFERENCES, vec![regclass.clone().into()]).await?)?;
    let (takes_copy, is_view) = match query(db, TAKES_COPY, vec![regclass.into()]).await?.first() {
        Some(row) => (row.try_get("", "takes_copy")?, row.try_get("", "is_view")?),
        None => (false, false),
    };
    let form = if is_view { TableForm::View } else { TableForm::Plain };
    Ok(Some(Table { unique_keys, rules, references, takes_copy, form, ..Table::new(name.clone(), columns) }))
}

fn column(row: &QueryResult) -> Result<Column, SqlError> {
    let type_schema: String = row.try_get("", "type_schema")?;
    let type_name: String = row.try_get("", "type_name")?;
    let element_schema: Option<String> = row.try_get("", "element_schema")?;
    let element_name: Option<String> = row.try_get("", "element_name")?;
    let labels: Option<String> = row.try_get("", "labels")?;
    let modifiers = Modifiers { own: row.try_get("", "modifier")?, money_scale: row.try_get("", "money_scale")? };
    let kind_of = |schema: &str, name: &str| match labels.as_deref().map(serde_json::from_str) {
        Some(Ok(members)) => ColumnKind::Choice { members, several: false },
        _ if schema == "pg_catalog" => kind(name, &modifiers),
        _ => ColumnKind::Other,
    };
    let sql_type: String = row.try_get("", "sql_type")?;
    let kind = match element_schema.as_deref().zip(element_name.as_deref()) {
        Some((schema, name)) => ColumnKind::Array { element: Box::new(element(&sql_type, schema, name, kind_of)) },
        None => kind_of(&type_schema, &type_name),
    };
    let exact: bool = row.try_get("", "exact")?;
    let not_null: bool = row.try_get("", "not_null")?;
    let cast_type = cast_type(&type_schema, &type_name);
    Ok(Column {
        name: row.try_get("", "name")?,
        sql_type,
        // A text of money is read by the rules of a language; a number is not.
        cast_type: if type_name == "money" { format!(r#""pg_catalog"."numeric"::{cast_type}"#) } else { cast_type },
        compares_exactly: exact && compares_as_written(&kind),
        end_blanks: if type_name == "bpchar" { EndBlanks::Padding } else { EndBlanks::Count },
        kind,
        nullable: !not_null,
        has_default: row.try_get("", "has_default")?,
        generated: row.try_get("", "generated")?,
        counts: false,
    })
}

fn cast_type(schema: &str, name: &str) -> String {
    format!("{}.{}", quote(DbBackend::Postgres, schema), quote(DbBackend::Postgres, name))
}

/// Whether values that are written differently are different: `1` and `1.0` are one value of jsonb, 30 days and a month
/// one interval.
fn compares_as_written(kind: &ColumnKind) -> bool {
    use ColumnKind::{Array, Interval, Json, Other};
    !matches!(kind, Other | Json | Interval { .. } | Array { .. })
}

/// What the elements of an array must be.
fn element(array: &str, schema: &str, name: &str, kind_of: impl Fn(&str, &str) -> ColumnKind) -> Column {
    let kind = match kind_of(schema, name) {
        // Only such years have a text that is read back.
        ColumnKind::Timestamp { fraction_digits, .. } => ColumnKind::timestamp(fraction_digits, 1..=9999),
        kind => kind,
    };
    let cast_type = cast_type(schema, name);
    Column { cast_type, compares_exactly: false, ..Column::new("", array.trim_end_matches("[]"), kind) }
}

/// What a type's name does not tell.
struct Modifiers {
    /// `atttypmod`: -1 without one; lengths and precisions count from 4, as `format_type` decodes them.
    own: i32,
    /// Digits after the point of `money`, which the database's locale decides.
    money_scale: i32,
}

fn kind(type_name: &str, modifiers: &Modifiers) -> ColumnKind {
    let modifier = modifiers.own;
    let given = (modifier >= 0).then_some(modifier);
    let above_header = (modifier >= 4).then(|| modifier - 4);
    let fraction_digits = given.unwrap_or(6) as u32;
    let int = |min: i64, max: i64| ColumnKind::Int { min: min.into(), max: max.into(), takes_bool: false };
    match type_name {
        "bool" => ColumnKind::Bool,
        "int2" => int(i16::MIN.into(), i16::MAX.into()),
        "int4" => int(i32::MIN.into(), i32::MAX.into()),
        "int8" => int(i64::MIN, i64::MAX),
        "float4" => ColumnKind::Float { single: true },
        "float8" => ColumnKind::Float { single: false },
        "numeric" => {
            let precision = above_header.map(|modifier| ((modifier >> 16) & 0xffff) as u32);
            // The scale has 11 bits and a sign.
            let scale = above_header.map(|modifier| ((modifier & 0x7ff) ^ 1024) - 1024);
            ColumnKind::Decimal { precision, scale, as_float: false }
        }
        // 64 bits.
        "money" => ColumnKind::Decimal { precision: Some(19), scale: Some(modifiers.money_scale), as_float: false },
        "text" | "varchar" | "bpchar" => {
            ColumnKind::Text { max_chars: above_header.map(|chars| chars as u64), max_bytes: None }
        }
        // A cast to these cuts.
        "char" => ColumnKind::Text { max_chars: Some(1), max_bytes: Some(1) },
        "name" => ColumnKind::Text { max_chars: None, max_bytes: Some(63) },
        "bytea" => ColumnKind::Bytes { max: None, padded: false },
        "json" | "jsonb" => ColumnKind::Json,
        "uuid" => ColumnKind::Uuid,
        "date" => ColumnKind::Date,
        "time" => ColumnKind::Time { clock: Clock::Day, fraction_digits },
        "timetz" => ColumnKind::Time { clock: Clock::DayWithOffset, fraction_digits },
        // From 4714 BC on; the last year of our calendar, not of the server's.
        "timestamp" | "timestamptz" => ColumnKind::timestamp(fraction_digits, -4712..=262_141),
        "interval" => interval(given),
        "inet" => ColumnKind::Address(Address::Host),
        "cidr" => ColumnKind::Address(Address::Network),
        "macaddr" => ColumnKind::Address(Address::Mac),
        "macaddr8" => ColumnKind::Address(Address::Mac8),
        _ => ColumnKind::Other,
    }
}

/// What a type takes that is declared, by the names that people use for those of `pg_catalog`.
pub fn declared(declared: &Declared) -> ColumnKind {
    let Declared { name, numbers, is_array } = declared;
    const SINGLE_BITS_MAX: i64 = 24;
    let catalogue_name = match name.as_str() {
        "boolean" => "bool",
        "smallint" | "smallserial" => "int2",
        "integer" | "int" | "serial" => "int4",
        "bigint" | "bigserial" => "int8",
        "real" => "float4",
        "float" if numbers.first().is_some_and(|bits| *bits <= SINGLE_BITS_MAX) => "float4",
        "double precision" | "float" => "float8",
        "decimal" | "dec" => "numeric",
        "character varying" => "varchar",
        "character" | "char" => "bpchar",
        "time without time zone" => "time",
        "time with time zone" => "timetz",
        "timestamp without time zone" => "timestamp",
        "timestamp with time zone" => "timestamptz",
        name => name,
    };
    const HEADER: i64 = 4;
    let own = match (catalogue_name, numbers.as_slice()) {
        ("numeric", [precision, rest @ ..]) => (precision << 16 | rest.first().unwrap_or(&0) & 0x7ff) + HEADER,
        ("bpchar", []) => 1 + HEADER,
        ("varchar" | "bpchar", [chars, ..]) => chars + HEADER,
        ("time" | "timetz" | "timestamp" | "timestamptz", [digits, ..]) => *digits,
        ("interval", [digits, ..]) => i64::from(ALL_PARTS) << 16 | digits,
        _ => -1,
    };
    let modifiers = Modifiers { own: own.try_into().unwrap_or(-1), money_scale: 2 };
    let kind = kind(catalogue_name, &modifiers);
    if !is_array {
        return kind;
    }
    ColumnKind::Array { element: Box::new(element(name, "pg_catalog", catalogue_name, |_, _| kind.clone())) }
}

/// The bits of an interval that keeps all of its parts.
const ALL_PARTS: i32 = 0x7fff;

/// The modifier has the digits of the fraction in its lower half, and a bit for each part that is kept in the upper one.
fn interval(modifier: Option<i32>) -> ColumnKind {
    const PARTS: [(i32, IntervalPart); 6] = [
        (12, IntervalPart::Second),
        (11, IntervalPart::Minute),
        (10, IntervalPart::Hour),
        (3, IntervalPart::Day),
        (1, IntervalPart::Month),
        (2, IntervalPart::Year),
    ];
    let (parts, digits) = modifier.map_or((ALL_PARTS, 6), |modifier| (modifier >> 16 & ALL_PARTS, modifier & 0xffff));
    let smallest = PARTS.iter().find(|(bit, _)| parts & 1 << bit != 0);
    ColumnKind::Interval {
        smallest: smallest.map_or(IntervalPart::Second, |(_, part)| *part),
        fraction_digits: digits.min(6) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_are_taken_apart() {
        let kind = |name, own| kind(name, &Modifiers { own, money_scale: 2 });
        let decimal = |precision, scale| ColumnKind::Decimal { precision, scale, as_float: false };
        let interval = |smallest, fraction_digits| ColumnKind::Interval { smallest, fraction_digits };
        for (name, modifier, expected) in [
            ("numeric", -1, decimal(None, None)),
            ("numeric", (30 << 16 | 9) + 4, decimal(Some(30), Some(9))),
            ("numeric", (5 << 16 | 0x7fe) + 4, decimal(Some(5), Some(-2))),
            ("varchar", 14, ColumnKind::Text { max_chars: Some(10), max_bytes: None }),
            ("timetz", 3, ColumnKind::Time { clock: Clock::DayWithOffset, fraction_digits: 3 }),
            ("interval", -1, interval(IntervalPart::Second, 6)),
            ("interval", 0x7fff << 16 | 3, interval(IntervalPart::Second, 3)),
            ("interval", (1 << 1 | 1 << 2) << 16 | 0xffff, interval(IntervalPart::Month, 6)),
            ("interval", 1 << 2 << 16 | 0xffff, interval(IntervalPart::Year, 6)),
            ("interval", (1 << 3 | 1 << 10) << 16 | 0xffff, interval(IntervalPart::Hour, 6)),
        ] {
            assert_eq!(kind(name, modifier), expected, "{name} {modifier}");
        }
    }
}
