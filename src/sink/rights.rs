//! Whether the user may do what the pipeline will do: asked of the database itself, with statements that touch no row.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::assign::Existing;
use super::sql::{places_besides, quote, quote_table};
use super::{ErrorClass, SqlError, Target, within};
use crate::mapping::{Mapping, TableMapping};
use crate::table::TablePlan;

/// A statement that touches no row, and what it is.
struct Attempt {
    action: &'static str,
    table: String,
    sql: String,
}

/// Tries, in transactions that are rolled back, everything that `mapping` will do to its tables and, if the bookkeeping
/// tables are there (`bookkept`), that every batch does to those.
///
/// # Errors
/// Every refusal, in the database's words with the statement's kind.
pub async fn try_all(target: &Target, mapping: &Mapping, bookkept: bool) -> Result<Vec<String>, SqlError> {
    let mut refused = Vec::new();
    let mut session = target.open_session(&mapping.plans()).await?;
    let (backend, limit) = (target.backend(), target.statement_timeout());
    let of_tables = mapping.tables().iter().flat_map(|table| of_table(backend, table));
    let of_bookkeeping = bookkept.then(|| of_bookkeeping(backend));
    for Attempt { action, table, sql } in of_bookkeeping.into_iter().flatten().chain(of_tables) {
        // A transaction for each: after an error some databases refuse the rest of it too.
        session.control(session.begin_statement()).await?;
        // Behind somebody's lock it would wait for ever.
        match within(limit, session.execute(sql.into(), Vec::new())).await {
            Err(SqlError { class: ErrorClass::Configuration, message, .. }) => {
                refused.push(format!("this user may not {action} {table}: {message}. GRANT it the right to"));
            }
            Err(error @ SqlError { class: ErrorClass::Transient | ErrorClass::Conflict, .. }) => return Err(error),
            // A trigger may have its own mind about statements without rows.
            Err(SqlError { class: ErrorClass::Data(_), .. }) | Ok(_) => {}
        }
        session.control("ROLLBACK").await?;
    }
    for table in mapping.tables().iter().filter(|table| table.changes().insert) {
        refused.extend(unusable_sequences(target, table).await?);
    }
    Ok(refused)
}

/// Whether the user may create tables, in the database's words if not. Nothing is created: MySQL, which rolls no table
/// back, is asked for one like a table that is not there.
///
/// # Errors
/// The database did not answer.
pub async fn may_not_create(target: &Target) -> Result<Option<String>, SqlError> {
    const NAME: &str = "write_behind_may_create";
    let (sql, words) = match target.backend() {
        DbBackend::Postgres => (format!("CREATE TABLE {NAME} (a int)"), "permission denied"),
        DbBackend::MySql => (format!("CREATE TABLE {NAME} LIKE {NAME}_this"), "CREATE command denied"),
        // It knows no users.
        _ => return Ok(None),
    };
    let mut session = target.open_session(&[]).await?;
    session.control(session.begin_statement()).await?;
    let answer = within(target.statement_timeout(), session.execute(sql.into(), Vec::new())).await;
    if let Err(error @ SqlError { class: ErrorClass::Transient, .. }) = answer {
        return Err(error);
    }
    session.control("ROLLBACK").await?;
    match answer {
        Err(error) if error.message.contains(words) => Ok(Some(error.message)),
        Err(_) | Ok(_) => Ok(None),
    }
}

fn of_bookkeeping(backend: DbBackend) -> Vec<Attempt> {
    let (checkpoint, dead_letter) = ("write_behind_checkpoint", "write_behind_dead_letter");
    let update = format!("UPDATE {checkpoint} SET applied = applied + 0 WHERE pipeline = '' AND lane = -1");
    let insert = insert(backend, dead_letter, "", &["entity".to_owned(), "entry".to_owned()]);
    vec![
        Attempt { action: "update", table: checkpoint.to_owned(), sql: update },
        Attempt { action: "insert into", table: dead_letter.to_owned(), sql: insert },
    ]
}

fn insert(backend: DbBackend, table: &str, alias: &str, columns: &[String]) -> String {
    let nowhere = if backend == DbBackend::MySql { "FROM DUAL WHERE 1 = 0" } else { "WHERE 1 = 0" };
    let nulls = vec!["NULL"; columns.len()].join(", ");
    format!("INSERT INTO {table}{alias} ({}) SELECT {nulls} {nowhere}", columns.join(", "))
}

/// Statements of the shape that the writers' have: which columns they read and write is what rights are about.
fn of_table(backend: DbBackend, mapped: &TableMapping) -> Vec<Attempt> {
    let plan = mapped.plan();
    let existing = Existing::new(backend, &plan);
    let table = quote_table(backend, &plan.table.name);
    let columns: Vec<String> = plan.columns.iter().map(|column| quote(backend, &column.name)).collect();
    let attempt = |action, sql| Attempt { action, table: plan.table.name.to_string(), sql };
    let changes = mapped.changes();
    let mut all = Vec::new();
    if changes.insert {
        let on_conflict = plan.upserts && !plan.key.is_empty() && !plan.replaces_all();
        let on_conflict = if on_conflict { existing.on_conflict() } else { String::new() };
        all.push(attempt(
            if on_conflict.is_empty() { "insert into" } else { "upsert into" },
            format!("{} {on_conflict}", insert(backend, &table, existing.alias(), &columns)),
        ));
    }
    let condition = nowhere(&plan, &columns);
    if changes.update {
        let set: Vec<String> = places_besides(&plan).map(|place| format!("{} = NULL", columns[place])).collect();
        // Of a row that is nothing but its key an update only asks whether it is there.
        let set = if set.is_empty() { format!("{0} = {0}", columns[0]) } else { set.join(", ") };
        all.push(attempt("update", format!("UPDATE {table} SET {set} WHERE {condition}")));
    }
    if changes.delete {
        all.push(attempt("delete from", format!("DELETE FROM {table} WHERE {condition}")));
    }
    all
}

/// A condition of the key that no row meets.
fn nowhere(plan: &TablePlan, columns: &[String]) -> String {
    let key = plan.key.iter().map(|place| format!("{} IS NULL AND ", columns[*place]));
    format!("{}1 = 0", key.collect::<String>())
}

/// Sequences of PostgreSQL's from which columns that are not mapped take their values, and which this user may not use. Only
/// a row would show it.
async fn unusable_sequences(target: &Target, mapped: &TableMapping) -> Result<Vec<String>, SqlError> {
    const SEQUENCES: &str = "
        SELECT a.attname::text AS name, s.oid::regclass::text AS sequence
        FROM pg_attrdef d
        JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
        JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass
        JOIN pg_class s ON s.oid = p.refobjid
        -- The function fails for what is no sequence.
        WHERE d.adrelid = to_regclass($1)
          AND CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE, UPDATE') END";
    if target.backend() != DbBackend::Postgres {
        return Ok(Vec::new());
    }
    let table = quote_table(DbBackend::Postgres, &mapped.table.name);
    let query = Statement::from_sql_and_values(DbBackend::Postgres, SEQUENCES, [table.into()]);
    let mut refused = Vec::new();
    for row in target.db().query_all_raw(query).await? {
        let (name, sequence): (String, String) = (row.try_get("", "name")?, row.try_get("", "sequence")?);
        if !mapped.columns.iter().any(|column| column.column.name == name) {
            refused.push(format!(
                "this user may not insert into {}: column `{name}` takes its values from the sequence {sequence}. GRANT it \
                 USAGE on that",
                mapped.table.name
            ));
        }
    }
    Ok(refused)
}
