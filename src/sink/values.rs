//! Writing rows with multi-row `VALUES` statements: the way of MySQL and SQLite.

use std::sync::Arc;

use super::sql::{ValuesStatements, rows_of_next_statement};
use super::{Answer, Session};
use crate::mapping::{ChangeKind, Step};
use crate::row::Value;
use sea_orm::DbBackend;

/// Writes the rows of one step in as few statements as the placeholders allow.
pub fn write_values<'a>(
    session: &'a mut dyn Session,
    statements: Arc<ValuesStatements>,
    key: Vec<usize>,
    step: &'a Step<'a>,
) -> Answer<'a, ()> {
    Box::pin(async move {
        if step.kind == ChangeKind::Update {
            return update_rows(session, &statements, &key, step).await;
        }
        let width = step.rows.first().map_or(1, |row| row.values().count().max(1));
        let mut rows = step.rows.as_slice();
        while !rows.is_empty() {
            let bytes = rows.iter().map(|row| row.bytes());
            let size = rows_of_next_statement(bytes, width);
            let (chunk, rest) = rows.split_at(size);
            rows = rest;
            let sql = match (step.kind, session.backend()) {
                (ChangeKind::Append, _) => statements.insert(size),
                (ChangeKind::Upsert, _) => statements.upsert(size),
                (_, DbBackend::MySql) => statements.delete_mysql(size),
                _ => statements.delete(size),
            };
            let arguments = chunk.iter().flat_map(|row| row.values()).collect();
            session.execute(sql, arguments).await?;
        }
        Ok(())
    })
}

async fn update_rows(
    session: &mut dyn Session,
    statements: &ValuesStatements,
    key: &[usize],
    step: &Step<'_>,
) -> Result<(), super::SqlError> {
    for row in &step.rows {
        let others = row.values().enumerate().filter(|(place, _)| !key.contains(place)).map(|(_, value)| value);
        let arguments: Vec<Value<'_>> = others.chain(key.iter().filter_map(|place| row.value(*place))).collect();
        session.execute(statements.update.clone(), arguments).await?;
    }
    Ok(())
}
