//! The database's catalogue: a table's columns, types and unique indexes.

pub mod declared;
mod mysql;
pub mod names;
mod postgres;
mod sqlite;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, QueryResult, Statement, Value};

use super::SqlError;
use crate::table::{Reference, Table, TableName};

/// Reads what the catalogue says of a table; `None` if there is no such table that this user may see.
pub async fn read(db: &DatabaseConnection, name: &TableName) -> Result<Option<Table>, SqlError> {
    let table = match db.get_database_backend() {
        DbBackend::Postgres => postgres::read(db, name).await?,
        DbBackend::MySql => mysql::read(db, name).await?,
        _ => sqlite::read(db, name).await?,
    };
    let table = table.filter(|table| !table.columns.is_empty());
    Ok(table.map(|mut table| {
        // The same table must read the same every time: no database promises an order that would do.
        table.unique_keys.sort();
        table.rules.sort();
        table.references.sort();
        table
    }))
}

async fn query(db: &DatabaseConnection, sql: &str, arguments: Vec<Value>) -> Result<Vec<QueryResult>, SqlError> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, arguments);
    Ok(db.query_all_raw(statement).await?)
}

fn texts(rows: &[QueryResult], column: &str) -> Result<Vec<String>, SqlError> {
    rows.iter().map(|row| Ok(row.try_get("", column)?)).collect()
}

fn references(rows: &[QueryResult]) -> Result<Vec<Reference>, SqlError> {
    let reference = |row: &QueryResult| {
        let cascades = row.try_get::<i64>("", "cascades")? != 0;
        Ok(Reference { table: row.try_get("", "name")?, column: row.try_get("", "column_name")?, cascades })
    };
    rows.iter().map(reference).collect()
}

/// Gathers rows of (index, column), in the order of the index, to one list of columns an index.
fn by_index(rows: &[QueryResult]) -> Result<Vec<Vec<String>>, SqlError> {
    let mut indexes: Vec<(String, Vec<String>)> = Vec::new();
    for row in rows {
        let (index, column): (String, String) = (row.try_get("", "index_name")?, row.try_get("", "column_name")?);
        match indexes.last_mut() {
            Some((name, columns)) if *name == index => columns.push(column),
            _ => indexes.push((index, vec![column])),
        }
    }
    Ok(indexes.into_iter().map(|(_, columns)| columns).collect())
}
