//! SQLite's connection on a thread of its own, because its calls block.

use std::sync::mpsc;
use std::thread;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::SqlError;

/// A connection on a thread of its own. When this is dropped the call that runs is the last one, then the thread closes
/// the connection, and SQLite rolls back what was not committed.
pub struct SqliteThread {
    calls: mpsc::Sender<Call>,
}

type Call = Box<dyn FnOnce(&Connection) + Send>;

impl SqliteThread {
    /// Starts the thread, which opens the connection.
    pub async fn start(
        open: impl FnOnce() -> rusqlite::Result<Connection> + Send + 'static,
    ) -> Result<SqliteThread, SqlError> {
        let (calls, waiting) = mpsc::channel::<Call>();
        let (opened, outcome) = oneshot::channel();
        let work = move || match open() {
            Ok(connection) => {
                if opened.send(Ok(())).is_ok() {
                    waiting.into_iter().for_each(|call| call(&connection));
                }
            }
            Err(error) => drop(opened.send(Err(error))),
        };
        let no_thread = |error| SqlError::transient(format!("SQLite's thread cannot start: {error}"));
        thread::Builder::new().name("sqlite".to_owned()).spawn(work).map_err(no_thread)?;
        outcome.await.map_err(ended)??;
        Ok(SqliteThread { calls })
    }

    /// Runs `work` there. It comes to its end even if nobody waits for the answer any more.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SqlError> {
        let (answer, answered) = oneshot::channel();
        let call = move |connection: &Connection| drop(answer.send(work(connection)));
        self.calls.send(Box::new(call)).map_err(ended)?;
        Ok(answered.await.map_err(ended)??)
    }
}

fn ended<E>(_: E) -> SqlError {
    SqlError::transient("SQLite's thread has ended")
}
