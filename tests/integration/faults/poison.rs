//! Poison: events that cannot be written. Few, half and all of them; at every place of a batch; refused only at COMMIT;
//! and while the pipeline is killed. What can be written is written, and each of the others is a dead letter that says why.

mod deferred;
mod killed;
mod layout;
mod places;
mod shares;

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::ledger::{HASTY, IMPATIENT, Ledger};
use crate::support::database::TestDatabase;
use crate::support::redis::RedisServer;
use crate::workload::redis_yaml;

const FAULT: &str = "8 poison";

const DEADLINE: Duration = Duration::from_secs(300);

/// All settings of a run whose transactions have at most so many events, out of reads of at most so many.
fn config(ledger: &Ledger, redis: &RedisServer, database: &TestDatabase, lanes: u32, batch: usize) -> String {
    let limit = format!("  transaction_events_max: {batch}\n");
    let rdbms = database.settings_yaml() + HASTY + &limit + IMPATIENT;
    redis_yaml(redis.port()) + &rdbms + &ledger.streams_yaml(lanes) + &format!("    batch_size: {batch}\n")
}

/// Asserts that each dead letter says what was wrong with its event, and keeps the document. That they are of the bad
/// events, all of them and each once, is for [`Ledger::check`] to say.
async fn letters_say_why(ledger: &Ledger, database: &TestDatabase, redis: &mut MultiplexedConnection) {
    let numbers: HashMap<String, u64> =
        ledger.entries(redis).await.into_iter().map(|entry| (entry.id, entry.n)).collect();
    let sql = "SELECT entry_id, error_class, error_column, message, document FROM write_behind_dead_letter";
    for letter in database.rows(sql).await {
        let [Some(id), class, column, Some(message), Some(document)] = &letter[..] else {
            panic!("a dead letter without an id, a message or a document: {letter:?}")
        };
        let n = numbers[id];
        let (expected, says) = match n.is_multiple_of(2) {
            true => (("wrong_type", Some("cents")), "much"),
            false => (("constraint", None), "onstraint"),
        };
        let found = (class.as_deref().unwrap_or_default(), column.as_deref());
        // MariaDB's own word for a constraint is its number.
        let names_it = message.contains(says) || message.contains("CONSTRAINT") || message.contains("[error 4025]");
        assert!(found == expected && names_it, "event {n}: {letter:?}");
        let document: serde_json::Value = serde_json::from_str(document).expect("the document as it came");
        assert_eq!(document["n"], n, "the document of another event");
    }
}
