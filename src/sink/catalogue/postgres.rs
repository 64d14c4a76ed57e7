//! PostgreSQL's catalogue.

use sea_orm::{DatabaseConnection, DbBackend, QueryResult};

use super::super::SqlError;
use super::super::sql::{quote, quote_table};
use super::{by_index, query, texts};
use crate::table::{Column, ColumnKind, Table, TableName};

const COLUMNS: &str = "
    SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS sql_type, base.modifier,
           n.nspname::text AS type_schema, t.typname::text AS type_name,
           a.attnotnull OR base.not_null AS not_null, a.atthasdef OR a.attidentity <> '' AS has_default,
           a.attgenerated <> '' OR a.attidentity = 'a' AS generated,
           COALESCE(o.collisdeterministic, true) AS exact
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
    SELECT DISTINCT t.relname::text AS name FROM pg_constraint c JOIN pg_class t ON t.oid = c.confrelid
    WHERE c.conrelid = to_regclass($1) AND c.contype = 'f' AND c.conparentid = 0";

/// `COPY` passes rules by, and is refused where row-level security applies to us. A view or a foreign table has its own
/// mind about it.
const TAKES_COPY: &str = "
    SELECT c.relkind IN ('r', 'p') AND NOT c.relhasrules AND NOT row_security_active(c.oid) AS takes_copy
    FROM pg_class c WHERE c.oid = to_regclass($1)";

pub async fn read(db: &DatabaseConnection, name: &TableName) -> Result<Option<Table>, SqlError> {
    let regclass = quote_table(DbBackend::Postgres, name);
    let rows = query(db, COLUMNS, vec![regclass.clone().into()]).await?;
    let columns = rows.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let unique_keys = by_index(&query(db, UNIQUE, vec![regclass.clone().into()]).await?)?;
    let rules = texts(&query(db, RULES, vec![regclass.clone().into()]).await?, "rule")?;
    let references = texts(&query(db, REFERENCES, vec![regclass.clone().into()]).await?, "name")?;
    let takes_copy = match query(db, TAKES_COPY, vec![regclass.into()]).await?.first() {
        Some(row) => row.try_get("", "takes_copy")?,
        None => false,
    };
    Ok(Some(Table { name: name.clone(), columns, unique_keys, rules, references, takes_copy, not_transactional: None }))
}

fn column(row: &QueryResult) -> Result<Column, SqlError> {
    let type_schema: String = row.try_get("", "type_schema")?;
    let type_name: String = row.try_get("", "type_name")?;
    let modifier: i32 = row.try_get("", "modifier")?;
    let kind = if type_schema == "pg_catalog" { kind(&type_name, modifier) } else { ColumnKind::Other };
    let exact: bool = row.try_get("", "exact")?;
    let not_null: bool = row.try_get("", "not_null")?;
    let quoted = |name: &str| quote(DbBackend::Postgres, name);
    Ok(Column {
        name: row.try_get("", "name")?,
        sql_type: row.try_get("", "sql_type")?,
        cast_type: format!("{}.{}", quoted(&type_schema), quoted(&type_name)),
        // `1` and `1.0` are one value of jsonb.
        compares_exactly: exact && !matches!(kind, ColumnKind::Other | ColumnKind::Json),
        kind,
        nullable: !not_null,
        has_default: row.try_get("", "has_default")?,
        generated: row.try_get("", "generated")?,
    })
}

/// `modifier` is `atttypmod`: -1 without one; lengths and precisions count from 4, as `format_type` decodes them.
fn kind(type_name: &str, modifier: i32) -> ColumnKind {
    let given = (modifier >= 0).then_some(modifier);
    let above_header = (modifier >= 4).then(|| modifier - 4);
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
            // The scale has 11 bits and a sign; a negative one rounds left of the point, which the database does.
            let scale = above_header.map(|modifier| ((modifier & 0x7ff) ^ 1024) - 1024);
            match scale {
                Some(scale) if scale < 0 => ColumnKind::Decimal { precision: None, scale: None },
                scale => ColumnKind::Decimal { precision, scale: scale.map(|scale| scale as u32) },
            }
        }
        "text" | "varchar" | "bpchar" => ColumnKind::Text { max_chars: above_header.map(|chars| chars as u64) },
        "bytea" => ColumnKind::Bytes,
        "json" | "jsonb" => ColumnKind::Json,
        "uuid" => ColumnKind::Uuid,
        "date" => ColumnKind::Date,
        "time" => ColumnKind::Time,
        "timestamp" | "timestamptz" => ColumnKind::Timestamp { fraction_digits: given.unwrap_or(6) as u32 },
        _ => ColumnKind::Other,
    }
}
