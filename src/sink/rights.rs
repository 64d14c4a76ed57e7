//! Whether the user may do what the pipeline will do: asked of the database itself, with statements that touch no row.

use sea_orm::DbBackend;

use super::sql::{quote, quote_table};
use super::{ErrorClass, SqlError, Target};
use crate::mapping::Mapping;

/// Tries, in transactions that are rolled back, everything that `mapping` will do to its tables and that every batch
/// does to the bookkeeping tables.
///
/// # Errors
/// Every refusal, in the database's words with the statement's kind.
pub async fn try_all(target: &Target, mapping: &Mapping) -> Result<Vec<String>, SqlError> {
    let mut refused = Vec::new();
    let mut session = target.open_session(&mapping.plans()).await?;
    for (action, table, sql) in statements(target.backend(), mapping) {
        // A transaction for each: after an error some databases refuse the rest of it too.
        session.control(session.begin_statement()).await?;
        match session.execute(sql.into(), Vec::new()).await {
            Err(SqlError { class: ErrorClass::Configuration, message, .. }) => {
                refused.push(format!("this user may not {action} {table}: {message}. GRANT it the right to"));
            }
            Err(error @ SqlError { class: ErrorClass::Transient | ErrorClass::Conflict, .. }) => return Err(error),
            // A trigger may have its own mind about statements without rows.
            Err(SqlError { class: ErrorClass::Data(_), .. }) | Ok(_) => {}
        }
        session.control("ROLLBACK").await?;
    }
    Ok(refused)
}

fn statements(backend: DbBackend, mapping: &Mapping) -> Vec<(&'static str, String, String)> {
    let nowhere = if backend == DbBackend::MySql { "FROM DUAL WHERE 1 = 0" } else { "WHERE 1 = 0" };
    let insert = |table: &str, columns: &[String]| {
        let nulls = vec!["NULL"; columns.len()].join(", ");
        format!("INSERT INTO {table} ({}) SELECT {nulls} {nowhere}", columns.join(", "))
    };
    let mut all = vec![
        (
            "update",
            "write_behind_checkpoint".to_owned(),
            "UPDATE write_behind_checkpoint SET applied = applied + 0 WHERE pipeline = '' AND lane = -1".to_owned(),
        ),
        (
            "insert into",
            "write_behind_dead_letter".to_owned(),
            insert("write_behind_dead_letter", &["entity".to_owned(), "entry".to_owned()]),
        ),
    ];
    for of_table in mapping.tables() {
        let table = quote_table(backend, &of_table.table.name);
        let columns: Vec<String> = of_table.columns.iter().map(|column| quote(backend, &column.column.name)).collect();
        let changes = of_table.changes();
        let shown = of_table.table.name.to_string();
        if changes.insert {
            all.push(("insert into", shown.clone(), insert(&table, &columns)));
        }
        if changes.update {
            let first = &columns[0];
            all.push(("update", shown.clone(), format!("UPDATE {table} SET {first} = NULL WHERE 1 = 0")));
        }
        if changes.delete {
            all.push(("delete from", shown, format!("DELETE FROM {table} WHERE 1 = 0")));
        }
    }
    all
}
