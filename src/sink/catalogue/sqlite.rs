//! SQLite's catalogue.

use sea_orm::{DatabaseConnection, DbBackend, QueryResult};

use super::super::SqlError;
use super::super::sql::quote;
use super::super::sqlite::column_kind;
use super::{by_index, query, references, texts};
use crate::table::{Column, ColumnKind, Table, TableForm, TableName};

const COLUMNS: &str = r#"
    SELECT name, type AS sql_type, "notnull" AS not_null, dflt_value IS NOT NULL AS has_default, pk, hidden
    FROM pragma_table_xinfo(?, ?) WHERE hidden <> 1 ORDER BY cid"#;

const FORM: &str =
    "SELECT strict, type FROM pragma_table_list WHERE name = ? COLLATE NOCASE AND schema = ? COLLATE NOCASE";

const UNIQUE: &str = r#"
    SELECT i.name AS index_name, c.name AS column_name
    FROM pragma_index_list(?, ?) i JOIN pragma_index_info(i.name, ?) c
    WHERE i."unique" = 1 AND i.partial = 0
      -- An index with an expression in it says nothing of columns.
      AND NOT EXISTS (SELECT 1 FROM pragma_index_info(i.name, ?) e WHERE e.name IS NULL)
    ORDER BY i.seq, c.seqno"#;

const REFERENCES: &str = r#"
    SELECT "table" AS name, "from" AS column_name, on_delete = 'CASCADE' AS cascades
    FROM pragma_foreign_key_list(?, ?)"#;

/// The statements that made the table, its indexes and its triggers.
const RULES: &str =
    "SELECT sql AS rule FROM {schema}.sqlite_master WHERE tbl_name = ? COLLATE NOCASE AND sql IS NOT NULL";

pub async fn read(db: &DatabaseConnection, name: &TableName) -> Result<Option<Table>, SqlError> {
    let schema = name.schema.clone().unwrap_or_else(|| "main".to_owned());
    let rows = query(db, COLUMNS, vec![name.table.clone().into(), schema.clone().into()]).await?;
    let form = match query(db, FORM, vec![name.table.clone().into(), schema.clone().into()]).await?.first() {
        Some(row) if row.try_get::<String>("", "type")? == "view" => TableForm::View,
        Some(row) if row.try_get::<i64>("", "strict")? == 1 => TableForm::Strict,
        _ => TableForm::Plain,
    };
    let mut columns = Vec::new();
    let mut primary: Vec<(i64, String)> = Vec::new();
    for row in &rows {
        let column = column(row, form == TableForm::Strict)?;
        let place: i64 = row.try_get("", "pk")?;
        if place > 0 {
            primary.push((place, column.name.clone()));
        }
        columns.push(column);
    }
    let rules = RULES.replace("{schema}", &quote(DbBackend::Sqlite, &schema));
    let rules = texts(&query(db, &rules, vec![name.table.clone().into()]).await?, "rule")?;
    let place = vec![name.table.clone().into(), schema.clone().into()];
    let references = references(&query(db, REFERENCES, place).await?)?;
    let place = vec![name.table.clone().into(), schema.clone().into(), schema.clone().into(), schema.into()];
    let mut unique_keys = by_index(&query(db, UNIQUE, place).await?)?;
    if rules.iter().any(|rule| names_a_collation(rule)) {
        columns.iter_mut().for_each(|column| column.compares_exactly = false);
    }
    primary.sort();
    // SQLite takes NULL in a primary key, unlike every other database: two such rows could never be told apart.
    for column in columns.iter_mut().filter(|column| primary.iter().any(|(_, name)| *name == column.name)) {
        column.nullable = false;
    }
    // `INTEGER PRIMARY KEY` is the row id itself and has no index to be listed.
    if let [(_, only)] = primary.as_slice() {
        if !unique_keys.iter().any(|index| index.as_slice() == [only.as_str()]) {
            unique_keys.push(vec![only.clone()]);
        }
        let declared_integer =
            |column: &&mut Column| column.name == *only && column.sql_type.eq_ignore_ascii_case("integer");
        if let Some(column) = columns.iter_mut().find(declared_integer) {
            column.has_default = true;
        }
    }
    Ok(Some(Table { unique_keys, rules, references, form, ..Table::new(name.clone(), columns) }))
}

/// Whether texts may be compared by a collation that takes some for one, such as `NOCASE`. Which columns it is of is not told
/// by any pragma, so all of them are doubted.
fn names_a_collation(rule: &str) -> bool {
    let words: Vec<&str> =
        rule.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    words.windows(2).any(|pair| pair[0].eq_ignore_ascii_case("collate") && !pair[1].eq_ignore_ascii_case("binary"))
}

fn column(row: &QueryResult, is_strict: bool) -> Result<Column, SqlError> {
    const GENERATED: std::ops::RangeInclusive<i64> = 2..=3;
    let sql_type: String = row.try_get("", "sql_type")?;
    let not_null: i64 = row.try_get("", "not_null")?;
    let has_default: i64 = row.try_get("", "has_default")?;
    let hidden: i64 = row.try_get("", "hidden")?;
    // Columns without a type, and those of any type in a strict table, keep what they get.
    let keeps_all = sql_type.is_empty() || is_strict && sql_type.eq_ignore_ascii_case("any");
    let kind = if keeps_all { ColumnKind::Other } else { column_kind(&sql_type) };
    Ok(Column {
        nullable: not_null == 0,
        has_default: has_default != 0,
        generated: GENERATED.contains(&hidden),
        // `1.0` and `1` are one number there.
        compares_exactly: kind != ColumnKind::NumberOrText,
        ..Column::new(row.try_get::<String>("", "name")?, sql_type, kind)
    })
}
