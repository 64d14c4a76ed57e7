//! Why an actor ended: a closed set.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::audit::WentBack;
use crate::event::StreamId;
use crate::lane::ChainGap;

/// Why an actor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// The reader was asked to drain, and everything it handed out is committed.
    Drained,
    /// All lanes stand at one position, so that the stream can be divided anew.
    Aligned,
    /// The actor stopped without a reason of its own, for instance because its arbiter ended.
    Stopped,
    /// It panicked.
    Panicked(String),
    /// It was busy without progress for longer than `supervisor.hang_timeout_sec`.
    Hung,
    /// A batch did not continue where its lane stands.
    ChainGap(ChainGap),
    /// Another process moved the checkpoint away from this position, or the database was restored from a backup.
    ChainMoved(StreamId),
    /// The table is not the one that the mapping was compiled for.
    TableAltered(String),
    /// The stream's newest id is below what was read from it.
    StreamReset(WentBack),
    /// Redis could not be reached or failed.
    Redis(String),
    /// The database failed until the writer's retries were used up.
    Database(String),
    /// Credentials, rights, tables or settings are not as they must be.
    Configuration(String),
}

impl ExitReason {
    /// All names there are.
    pub const NAMES: [&str; 12] = [
        "drained",
        "aligned",
        "stopped",
        "panicked",
        "hung",
        "chain_gap",
        "chain_moved",
        "table_altered",
        "stream_reset",
        "redis",
        "database",
        "configuration",
    ];

    /// The name for logs and counters.
    pub fn name(&self) -> &'static str {
        match self {
            ExitReason::Drained => "drained",
            ExitReason::Aligned => "aligned",
            ExitReason::Stopped => "stopped",
            ExitReason::Panicked(_) => "panicked",
            ExitReason::Hung => "hung",
            ExitReason::ChainGap(_) => "chain_gap",
            ExitReason::ChainMoved(_) => "chain_moved",
            ExitReason::TableAltered(_) => "table_altered",
            ExitReason::StreamReset(_) => "stream_reset",
            ExitReason::Redis(_) => "redis",
            ExitReason::Database(_) => "database",
            ExitReason::Configuration(_) => "configuration",
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitReason::Drained => f.write_str("everything is committed"),
            ExitReason::Aligned => f.write_str("all lanes stand at one position"),
            ExitReason::Stopped => f.write_str("the actor stopped"),
            ExitReason::Panicked(message) => write!(f, "panic: {message}"),
            ExitReason::Hung => f.write_str("no progress for longer than supervisor.hang_timeout_sec"),
            ExitReason::ChainGap(gap) => gap.fmt(f),
            ExitReason::ChainMoved(after) => {
                write!(
                    f,
                    "another process moved the checkpoint from {after}, or the database was restored; going on from \
                     where it stands now"
                )
            }
            ExitReason::TableAltered(table) => {
                write!(f, "table {table} was altered: the mapping is compiled again, for the table as it is now")
            }
            ExitReason::StreamReset(WentBack { newest, .. }) => {
                write!(
                    f,
                    "the stream's newest id is {newest}, below what was read: its end was lost, or it was deleted"
                )
            }
            ExitReason::Redis(message) | ExitReason::Database(message) | ExitReason::Configuration(message) => {
                f.write_str(message)
            }
        }
    }
}

/// Where an actor leaves its reason before it stops; its cell reads it.
#[derive(Clone, Debug, Default)]
pub struct LastWords(Arc<Mutex<Option<ExitReason>>>);

impl LastWords {
    /// Leaves a reason. The first one stands: what follows it is its consequence.
    pub fn say(&self, reason: ExitReason) {
        // A poisoned lock only means that an actor panicked here; the value is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }

    /// The reason that was left.
    pub fn heard(&self) -> Option<ExitReason> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own_in_the_list() {
        let text = String::new;
        let gap = ChainGap { reached: StreamId::ZERO, after: StreamId::ZERO };
        let all = [
            ExitReason::Drained,
            ExitReason::Aligned,
            ExitReason::Stopped,
            ExitReason::Panicked(text()),
            ExitReason::Hung,
            ExitReason::ChainGap(gap),
            ExitReason::ChainMoved(StreamId::ZERO),
            ExitReason::TableAltered(text()),
            ExitReason::StreamReset(WentBack { newest: StreamId::ZERO, known: StreamId::ZERO }),
            ExitReason::Redis(text()),
            ExitReason::Database(text()),
            ExitReason::Configuration(text()),
        ];
        assert_eq!(all.map(|reason| reason.name()), ExitReason::NAMES);
    }
}
