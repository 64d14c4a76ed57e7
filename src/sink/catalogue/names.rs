//! The names that a database has: of the schema where tables are, of the tables, and of all that an index may not be called.

use sea_orm::{DatabaseConnection, DbBackend};

use super::super::SqlError;
use super::super::sql::{quote, quote_table};
use super::{query, texts};
use crate::schema::Names;
use crate::settings::RdbmsKind;
use crate::table::TableName;

/// How this database tells names of tables apart.
pub async fn read(db: &DatabaseConnection, rdbms: RdbmsKind) -> Result<Names, SqlError> {
    let sql = match db.get_database_backend() {
        DbBackend::Postgres => "SELECT current_schema()::text AS name, 0 AS ignores_case",
        // 0 is a server whose file names tell cases apart.
        DbBackend::MySql => {
            "SELECT CAST(DATABASE() AS CHAR) AS name, CAST(@@lower_case_table_names <> 0 AS SIGNED) AS ignores_case"
        }
        _ => "SELECT 'main' AS name, 1 AS ignores_case",
    };
    let mut names = Names { rdbms, default_schema: None, ignores_case: false };
    if let Some(row) = query(db, sql, Vec::new()).await?.first() {
        names.default_schema = row.try_get("", "name")?;
        names.ignores_case = match rdbms {
            RdbmsKind::Postgres => false,
            _ => row.try_get::<i64>("", "ignores_case")? != 0,
        };
    }
    Ok(names)
}

/// The tables and views of the database, as settings name them: with their schema where they are not found without.
pub async fn tables(db: &DatabaseConnection) -> Result<Vec<String>, SqlError> {
    let sql = match db.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname::text
                    ELSE n.nspname::text || '.' || c.relname::text END AS name
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p', 'v', 'f') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
             LIMIT 10000"
        }
        DbBackend::MySql => {
            "SELECT CAST(TABLE_NAME AS CHAR) AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()
             LIMIT 10000"
        }
        _ => "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') LIMIT 10000",
    };
    texts(&query(db, sql, Vec::new()).await?, "name")
}

const POSTGRES: &str = "
    SELECT n.relname::text AS name FROM pg_class n WHERE n.relnamespace =
      COALESCE((SELECT c.relnamespace FROM pg_class c WHERE c.oid = to_regclass($1)),
               (SELECT s.oid FROM pg_namespace s WHERE s.nspname = current_schema()))";

const MYSQL: &str = "
    SELECT DISTINCT CAST(s.INDEX_NAME AS CHAR) AS name FROM information_schema.STATISTICS s
    WHERE s.TABLE_SCHEMA = COALESCE(?, DATABASE()) AND s.TABLE_NAME = ?";

/// All that an index of this table may not be called.
pub async fn taken(db: &DatabaseConnection, table: &TableName) -> Result<Vec<String>, SqlError> {
    let rows = match db.get_database_backend() {
        DbBackend::Postgres => query(db, POSTGRES, vec![quote_table(DbBackend::Postgres, table).into()]).await?,
        DbBackend::MySql => query(db, MYSQL, vec![table.schema.clone().into(), table.table.clone().into()]).await?,
        _ => {
            let schema = quote(DbBackend::Sqlite, table.schema.as_deref().unwrap_or("main"));
            query(db, &format!("SELECT name FROM {schema}.sqlite_master"), Vec::new()).await?
        }
    };
    texts(&rows, "name")
}
