//! PostgreSQL: one statement a step, whatever its number of rows, with one array a column.

use std::time::Duration;

use sea_orm::DbBackend;
use sea_orm::sqlx::postgres::{PgArguments, PgConnection};
use sea_orm::sqlx::{self, Arguments, AssertSqlSafe, Executor, Postgres};

use super::sql::{on_conflict_postgres, places_besides, quote, quote_table};
use super::{Answer, IDLE_MARGIN, Session, Sql, SqlError};
use crate::mapping::{ChangeKind, Step};
use crate::row::{Row, Value, day_and_time};
use crate::table::{Column, ColumnKind, TablePlan};

/// A connection to a PostgreSQL server.
pub struct PostgresSession {
    connection: PgConnection,
    /// For each place in a row of [`ChangeKind::Append`], [`ChangeKind::Upsert`] and [`ChangeKind::Update`].
    columns: Vec<Column>,
    /// For each place in a row of [`ChangeKind::Delete`].
    key_columns: Vec<Column>,
    statements: Statements,
}

impl PostgresSession {
    /// Takes over a fresh connection.
    pub async fn new(
        mut connection: PgConnection,
        plan: TablePlan,
        statement_timeout: Duration,
    ) -> Result<Self, SqlError> {
        set_limits(&mut connection, statement_timeout).await?;
        // Times are bound without a zone and mean UTC.
        let session = format!("SET TIME ZONE 'UTC'; SET statement_timeout = {}", statement_timeout.as_millis());
        sqlx::raw_sql(AssertSqlSafe(session)).execute(&mut connection).await?;
        let statements = Statements::new(&plan);
        let key_columns = plan.key.iter().map(|place| plan.columns[*place].clone()).collect();
        Ok(PostgresSession { connection, columns: plan.columns, key_columns, statements })
    }
}

/// Has the server end a transaction of this connection that nobody goes on with for so long. A network that swallows
/// our packets tells the server nothing, and the transaction would hold the checkpoint's row for hours. What we do
/// ourselves between two statements takes no longer than one of them.
pub async fn set_limits(connection: &mut PgConnection, limit: Duration) -> Result<(), sqlx::Error> {
    let sql = format!("SET idle_in_transaction_session_timeout = {}", (limit + IDLE_MARGIN).as_millis());
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

impl Session for PostgresSession {
    fn backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    fn control(&mut self, statement: &'static str) -> Answer<'_, ()> {
        Box::pin(async move {
            sqlx::raw_sql(statement).execute(&mut self.connection).await?;
            Ok(())
        })
    }

    fn execute<'a>(&'a mut self, sql: Sql, arguments: Vec<Value<'a>>) -> Answer<'a, u64> {
        Box::pin(async move {
            let mut bound = PgArguments::default();
            for value in &arguments {
                bind(&mut bound, value).map_err(SqlError::unbindable)?;
            }
            let query = sqlx::query_with::<Postgres, _>(AssertSqlSafe(sql), bound);
            Ok(self.connection.execute(query).await?.rows_affected())
        })
    }

    fn write<'a>(&'a mut self, step: &'a Step<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            let (sql, columns) = match step.kind {
                ChangeKind::Append => (&self.statements.insert, &self.columns),
                ChangeKind::Upsert => (&self.statements.upsert, &self.columns),
                ChangeKind::Update => (&self.statements.update, &self.columns),
                ChangeKind::Delete => (&self.statements.delete, &self.key_columns),
            };
            let mut bound = PgArguments::default();
            for (place, column) in columns.iter().enumerate() {
                bind_array(&mut bound, column, step, place).map_err(SqlError::unbindable)?;
            }
            let query = sqlx::query_with::<Postgres, _>(AssertSqlSafe(sql.clone()), bound);
            self.connection.execute(query).await?;
            Ok(())
        })
    }

    fn check_deferred(&mut self) -> Answer<'_, ()> {
        self.control("SET CONSTRAINTS ALL IMMEDIATE")
    }
}

/// The texts for one table. Each takes one array for each of its columns.
struct Statements {
    insert: Sql,
    upsert: Sql,
    update: Sql,
    delete: Sql,
}

impl Statements {
    fn new(plan: &TablePlan) -> Self {
        let name = |column: &Column| quote(DbBackend::Postgres, &column.name);
        let table = quote_table(DbBackend::Postgres, &plan.table.name);
        let all: Vec<usize> = (0..plan.columns.len()).collect();
        let names = plan.columns.iter().map(name).collect::<Vec<_>>().join(", ");
        let values = all.iter().map(|place| cast(*place, &plan.columns[*place])).collect::<Vec<_>>().join(", ");
        let insert = format!("INSERT INTO {table} ({names}) SELECT {values} FROM {}", unnest(plan, &all));
        // `source` gives the place of a key column in the arrays of the statement.
        let matches = |source: &dyn Fn(usize, usize) -> usize| {
            let equals = plan.key.iter().enumerate().map(|(nth, place)| {
                let column = &plan.columns[*place];
                format!("t.{} = {}", name(column), cast(source(nth, *place), column))
            });
            equals.collect::<Vec<_>>().join(" AND ")
        };
        let mut set: Vec<usize> = places_besides(plan).collect();
        if set.is_empty() {
            set.extend(&plan.key);
        }
        let set = set.iter().map(|place| {
            let column = &plan.columns[*place];
            format!("{} = {}", name(column), cast(*place, column))
        });
        let set = set.collect::<Vec<_>>().join(", ");
        let update =
            format!("UPDATE {table} AS t SET {set} FROM {} WHERE {}", unnest(plan, &all), matches(&|_, place| place));
        let delete =
            format!("DELETE FROM {table} AS t USING {} WHERE {}", unnest(plan, &plan.key), matches(&|nth, _| nth));
        Statements {
            upsert: format!("{insert} {}", on_conflict_postgres(plan)).into(),
            insert: insert.into(),
            update: update.into(),
            delete: delete.into(),
        }
    }
}

/// `unnest($1::int8[], $2::text[]) AS u(c0, c1)`
fn unnest(plan: &TablePlan, places: &[usize]) -> String {
    let arrays = places.iter().enumerate().map(|(nth, place)| {
        let element = array_element(&plan.columns[*place].kind);
        format!("${}::{element}[]", nth + 1)
    });
    let arrays = arrays.collect::<Vec<_>>().join(", ");
    let names = (0..places.len()).map(|nth| format!("c{nth}")).collect::<Vec<_>>().join(", ");
    format!("unnest({arrays}) AS u({names})")
}

fn cast(place: usize, column: &Column) -> String {
    format!("u.c{place}::{}", column.cast_type)
}

/// The type in which a column's values travel; the server casts it to the column's own.
fn array_element(kind: &ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Bool => "bool",
        ColumnKind::Int { .. } => "int8",
        ColumnKind::Float { .. } => "float8",
        ColumnKind::Bytes => "bytea",
        ColumnKind::Timestamp { .. } => "timestamp",
        _ => "text",
    }
}

type BindResult = Result<(), sqlx::error::BoxDynError>;

fn bind_array(arguments: &mut PgArguments, column: &Column, step: &Step<'_>, place: usize) -> BindResult {
    /// The column's values, taken out of the rows by `take`.
    fn column_of<'a, T>(
        step: &Step<'a>,
        place: usize,
        take: impl Fn(Value<'a>) -> Option<T>,
    ) -> Result<Vec<Option<T>>, sqlx::error::BoxDynError> {
        let value = |row: &&'a Row| match row.value(place) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => take(value).map(Some).ok_or_else(|| "a value in a column of another type".into()),
        };
        step.rows.iter().map(value).collect()
    }
    match &column.kind {
        ColumnKind::Bool => {
            arguments.add(column_of(step, place, |v| if let Value::Bool(b) = v { Some(b) } else { None })?)
        }
        ColumnKind::Int { .. } => {
            arguments.add(column_of(step, place, |v| if let Value::Int(n) = v { Some(n) } else { None })?)
        }
        ColumnKind::Float { .. } => {
            arguments.add(column_of(step, place, |v| if let Value::Float(f) = v { Some(f) } else { None })?)
        }
        ColumnKind::Bytes => arguments
            .add(column_of(step, place, |v| if let Value::Bytes(b) = v { Some(b.into_owned()) } else { None })?),
        ColumnKind::Timestamp { .. } => arguments
            .add(column_of(step, place, |v| if let Value::Timestamp(t) = v { Some(day_and_time(t)) } else { None })?),
        _ => arguments.add(column_of(step, place, |v| if let Value::Text(t) = v { Some(t) } else { None })?),
    }
}

fn bind(arguments: &mut PgArguments, value: &Value<'_>) -> BindResult {
    match value {
        Value::Null => arguments.add(None::<String>),
        Value::Bool(value) => arguments.add(*value),
        Value::Int(value) => arguments.add(*value),
        Value::UInt(value) => arguments.add(i64::try_from(*value)?),
        Value::Float(value) => arguments.add(*value),
        Value::Text(value) => arguments.add(value.as_ref()),
        Value::Bytes(value) => arguments.add(value.as_ref()),
        Value::Timestamp(micros) => arguments.add(day_and_time(*micros)),
    }
}
