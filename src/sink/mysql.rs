//! MySQL and MariaDB: multi-row statements, prepared.

use std::time::Duration;

use futures_util::future::join;
use sea_orm::DbBackend;
use sea_orm::sqlx::encode::IsNull;
use sea_orm::sqlx::error::BoxDynError;
use sea_orm::sqlx::mysql::{MySqlArguments, MySqlConnection, MySqlTypeInfo};
use sea_orm::sqlx::{self, Arguments, AssertSqlSafe, Encode, Executor, MySql, Type};

use super::read_back::texts;
use super::values::ValuesStatements;
use super::{Answer, ErrorClass, IDLE_MARGIN, Session, Sql, SqlError, TextRow};
use crate::event::RejectionClass;
use crate::mapping::Step;
use crate::row::{Cell, Row, Utf8, Value, day_and_time};
use crate::table::TablePlan;

/// A connection to a MySQL or MariaDB server.
pub struct MySqlSession {
    connection: MySqlConnection,
    tables: Vec<ValuesStatements>,
    /// `max_allowed_packet`: the server cuts the connection of a statement with more bytes.
    packet_bytes_max: usize,
}

impl MySqlSession {
    /// Takes over a fresh connection and makes it strict: in the server's lax modes a value that does not fit is cut
    /// or zeroed with a warning that nobody reads.
    pub async fn new(
        mut connection: MySqlConnection,
        plans: &[TablePlan],
        statement_timeout: Duration,
    ) -> Result<Self, SqlError> {
        const STRICT: &str = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,\
                              ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00'";
        sqlx::raw_sql(STRICT).execute(&mut connection).await?;
        set_limits(&mut connection, statement_timeout).await?;
        let packet_bytes_max: u64 =
            sqlx::query_scalar("SELECT CAST(@@max_allowed_packet AS UNSIGNED)").fetch_one(&mut connection).await?;
        let tables = plans.iter().map(|plan| ValuesStatements::new(DbBackend::MySql, plan)).collect();
        Ok(MySqlSession { connection, tables, packet_bytes_max: packet_bytes_max as usize })
    }
}

/// A statement with its arguments in the form in which they are sent.
struct Bound {
    sql: Sql,
    arguments: MySqlArguments,
}

impl Bound {
    fn new(sql: Sql, rows: &[Row], packet_bytes_max: usize) -> Result<Bound, SqlError> {
        let mut arguments = MySqlArguments::default();
        let mut bytes = sql.len();
        for cell in rows.iter().flat_map(Row::cells) {
            bytes += cell.bytes();
            bind(&mut arguments, cell).map_err(SqlError::unbindable)?;
        }
        if bytes >= packet_bytes_max {
            // Only a single row can come to this, see `Sizes::rows_of_next`.
            let message = format!("the row has {bytes} bytes, max_allowed_packet is {packet_bytes_max}");
            return Err(SqlError::new(ErrorClass::Data(RejectionClass::TooLong), message));
        }
        Ok(Bound { sql, arguments })
    }

    /// Runs it, prepared once a connection; answers the number of rows it matched.
    async fn run(self, connection: &mut MySqlConnection) -> Result<u64, SqlError> {
        let query = sqlx::query_with::<MySql, _>(AssertSqlSafe(self.sql), self.arguments);
        Ok(connection.execute(query).await?.rows_affected())
    }
}

/// Limits what the server waits for on this connection: for a lock, which must be given up before the writer gives up the
/// connection, or the server would go on waiting for it; and, on MariaDB, for the next statement of a transaction. A
/// network that swallows our packets tells the server nothing, and the transaction would hold the checkpoint's row for
/// hours. For MySQL, which knows no such limit, the second half is a comment.
pub async fn set_limits(connection: &mut MySqlConnection, limit: Duration) -> Result<(), sqlx::Error> {
    let lock_wait = limit.as_secs().clamp(1, 50);
    let idle = (limit + IDLE_MARGIN).as_millis().div_ceil(1_000);
    let sql = format!(
        "SET SESSION innodb_lock_wait_timeout = {lock_wait} /*M!100300 , SESSION idle_transaction_timeout = {idle} */"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

impl Session for MySqlSession {
    fn backend(&self) -> DbBackend {
        DbBackend::MySql
    }

    fn control(&mut self, statement: &'static str) -> Answer<'_, ()> {
        Box::pin(async move {
            sqlx::raw_sql(statement).execute(&mut self.connection).await?;
            Ok(())
        })
    }

    fn execute<'a>(&'a mut self, sql: Sql, arguments: Vec<Value<'a>>) -> Answer<'a, u64> {
        Box::pin(async move {
            let bound = Bound::new(sql, &[arguments.into_iter().collect()], self.packet_bytes_max)?;
            bound.run(&mut self.connection).await
        })
    }

    fn write<'a>(&'a mut self, step: &'a Step<'a>) -> Answer<'a, u64> {
        let MySqlSession { connection, tables, packet_bytes_max } = self;
        Box::pin(async move {
            let statements = tables[step.table].of(step);
            let mut bound = statements.map(|(sql, rows)| Bound::new(sql, &rows, *packet_bytes_max));
            let mut next = bound.next().transpose()?;
            let mut matched = 0;
            while let Some(statement) = next {
                // While the server works, the next statement is made.
                let (done, following) = join(statement.run(connection), async { bound.next() }).await;
                matched += done?;
                next = following.transpose()?;
            }
            Ok(matched)
        })
    }

    fn statements(&mut self, step: &Step<'_>) -> Result<Vec<Sql>, SqlError> {
        Ok(self.tables[step.table].of(step).map(|(sql, _)| sql).collect())
    }

    fn rows(&mut self, sql: Sql) -> Answer<'_, Vec<TextRow>> {
        Box::pin(async move {
            let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await?;
            rows.iter().map(texts).collect()
        })
    }
}

/// Adds the argument of the next placeholder.
#[inline]
pub fn bind(arguments: &mut MySqlArguments, cell: Cell<'_>) -> Result<(), BoxDynError> {
    if let Some(text) = cell.text() {
        return arguments.add(text);
    }
    match cell.value() {
        Value::Null => arguments.add(None::<String>),
        Value::Bool(value) => arguments.add(value),
        Value::Int(value) => arguments.add(value),
        Value::UInt(value) => arguments.add(value),
        Value::Float(value) => arguments.add(value),
        Value::Text(value) => arguments.add(value.as_ref()),
        Value::Bytes(value) => arguments.add(value.as_ref()),
        Value::Timestamp(micros) => arguments.add(day_and_time(micros)),
        Value::Array(_) => Err(no_arrays()),
    }
}

impl Encode<'_, MySql> for Utf8<'_> {
    fn encode_by_ref(&self, into: &mut Vec<u8>) -> Result<IsNull, BoxDynError> {
        <&[u8] as Encode<MySql>>::encode(self.bytes(), into)
    }
}

impl Type<MySql> for Utf8<'_> {
    fn type_info() -> MySqlTypeInfo {
        <str as Type<MySql>>::type_info()
    }
}

/// The mapping makes none for MySQL's columns.
#[cold]
fn no_arrays() -> BoxDynError {
    "MySQL has no arrays".into()
}
