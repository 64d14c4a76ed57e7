//! The checkpoint as the tests see it: how far the work is, and whether a transaction holds it.

use std::time::{Duration, Instant};

use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sea_orm::sqlx::{self, ConnectOptions};

use crate::support::database::{Kind, TestDatabase};

const DEADLINE: Duration = Duration::from_secs(300);

/// Between two looks: short, because what comes next is to hit the moment.
const POLL: Duration = Duration::from_millis(5);

/// A connection that is being closed, such as the one of an earlier look, holds the file of SQLite for a moment.
const PASSING: Duration = Duration::from_millis(100);

/// Events of all streams that are done, one way or another.
pub async fn try_done(database: &TestDatabase) -> Result<u64, String> {
    let rows = database.try_rows("SELECT applied, dead_lettered, skipped FROM write_behind_checkpoint").await?;
    let number = |value: &Option<String>| value.as_deref().unwrap_or_default().parse::<u64>();
    rows.iter().flatten().map(|value| number(value).map_err(|error| format!("{rows:?}: {error}"))).sum()
}

/// Waits until so many events are done.
pub async fn done_at_least(database: &TestDatabase, least: u64) {
    let end = Instant::now() + DEADLINE;
    loop {
        // The table may not be there yet.
        let done = try_done(database).await;
        if done.as_ref().is_ok_and(|done| *done >= least) {
            return;
        }
        assert!(Instant::now() < end, "{least} events done: not within {DEADLINE:?}: {done:?}");
        tokio::time::sleep(POLL).await;
    }
}

/// Sees whether a transaction holds a row of the checkpoint: in SQLite, the file.
pub struct Lock<'a> {
    database: &'a TestDatabase,
    sqlite: Option<SqliteConnection>,
}

impl<'a> Lock<'a> {
    pub async fn of(database: &'a TestDatabase) -> Self {
        let sqlite = match database.kind() {
            Kind::Postgres | Kind::MariaDb => None,
            Kind::Sqlite => {
                let file = SqliteConnectOptions::new().filename(&database.access().database);
                Some(file.busy_timeout(PASSING).connect().await.expect("SQLite opens the file"))
            }
        };
        Lock { database, sqlite }
    }

    /// Whether it is held now; does not wait for it, but that it be held for more than a moment.
    pub async fn is_held(&mut self) -> bool {
        let asked = match &mut self.sqlite {
            None => {
                let sql = "SELECT lane FROM write_behind_checkpoint FOR UPDATE NOWAIT";
                self.database.try_rows(sql).await.map(drop)
            }
            Some(connection) => {
                let begun = sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await;
                if begun.is_ok() {
                    sqlx::raw_sql("ROLLBACK").execute(connection).await.expect("SQLite rolls back");
                }
                begun.map(drop).map_err(|error| error.to_string())
            }
        };
        let Err(error) = asked else { return false };
        let held = ["could not obtain lock", "Lock wait timeout exceeded", "database is locked"];
        assert!(held.iter().any(|text| error.contains(text)), "{error}");
        true
    }
}
