//! A session of which nothing remains: its transactions are parts of one that is never committed.

use sea_orm::DbBackend;

use super::checkpoint::begin_sql;
use super::{Answer, LaneIdentity, Session, Sql, SqlError, TextRow};
use crate::event::StreamId;
use crate::mapping::Step;
use crate::row::Value;

/// When it is dropped the server rolls back.
pub struct Trial(Box<dyn Session>);

impl Trial {
    /// Begins on a fresh session.
    pub async fn begin(mut session: Box<dyn Session>) -> Result<Trial, SqlError> {
        session.control(session.begin_statement()).await?;
        Ok(Trial(session))
    }

    /// Makes the checkpoint of a lane that has come as far as `last_id`.
    pub async fn make_checkpoint(&mut self, lane: &LaneIdentity, last_id: StreamId) -> Result<(), SqlError> {
        let text = |text: &str| Value::text(text.to_owned());
        let arguments = vec![
            text(&lane.pipeline),
            text(&lane.stream),
            Value::Int(lane.lane.into()),
            Value::Int(lane.generation),
            text(&last_id.to_string()),
            text(&lane.owner),
        ];
        let sql = begin_sql(self.0.backend());
        self.0.execute(sql, arguments).await.map(drop)
    }
}

impl Session for Trial {
    fn begin_statement(&self) -> &'static str {
        "SAVEPOINT trial"
    }

    fn control(&mut self, statement: &'static str) -> Answer<'_, ()> {
        match statement {
            "COMMIT" => Box::pin(async {
                // What a commit would check.
                self.0.check_deferred().await?;
                self.0.control("RELEASE SAVEPOINT trial").await
            }),
            "ROLLBACK" => self.0.control("ROLLBACK TO SAVEPOINT trial"),
            statement => self.0.control(statement),
        }
    }

    fn execute<'a>(&'a mut self, sql: Sql, arguments: Vec<Value<'a>>) -> Answer<'a, u64> {
        self.0.execute(sql, arguments)
    }

    fn backend(&self) -> DbBackend {
        self.0.backend()
    }

    fn write<'a>(&'a mut self, step: &'a Step<'a>) -> Answer<'a, u64> {
        self.0.write(step)
    }

    fn statements(&mut self, step: &Step<'_>) -> Result<Vec<Sql>, SqlError> {
        self.0.statements(step)
    }

    fn check_deferred(&mut self) -> Answer<'_, ()> {
        self.0.check_deferred()
    }

    fn rows(&mut self, sql: Sql) -> Answer<'_, Vec<TextRow>> {
        self.0.rows(sql)
    }
}
