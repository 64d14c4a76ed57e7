//! Every message between actors. All are sent with `do_send`: the reader's credits bound how many there can be, and a
//! message to an actor that has ended is lost together with that actor's whole group, which comes back from the
//! checkpoint.

use std::time::Duration;

use actix::{Message, Recipient};

use crate::batch::{MappedBatch, MappedEvent};
use crate::event::{Entry, Rejection, StreamId};
use crate::lane::Span;
use crate::sink::checkpoint::{Position, Totals};
use crate::supervision::exit::ExitReason;

/// StreamReader to Transformer: all entries of one lane in one span.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct EntryBatch {
    /// Number of the lane.
    pub lane: u32,
    /// The link of the lane's chain.
    pub span: Span,
    /// The entries, in stream order.
    pub entries: Vec<Entry>,
    /// The credits that the entries hold, in bytes.
    pub credits: usize,
}

/// Transformer to RdbmsWriter: the same, mapped.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LaneBatch(pub MappedBatch);

/// Transformer to StreamReader: documents were fetched, and weigh this much more than the reader knows.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DocumentsFetched {
    /// Events that had to be fetched for.
    pub events: usize,
    /// What their documents weigh, in bytes.
    pub bytes: usize,
}

/// RdbmsWriter to StreamReader: the lane's chain has reached `upto`, and these credits are free again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Committed {
    /// Number of the lane.
    pub lane: u32,
    /// Where the lane stands now.
    pub upto: StreamId,
    /// The credits, in bytes.
    pub credits: usize,
    /// The events, to be dropped: while a writer did that the database would wait.
    pub events: Vec<MappedEvent>,
}

/// The group to Transformer and RdbmsWriter, before any batch: this is who hears what flows back against the data.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Feedback<M: Message<Result = ()> + Send + 'static>(pub Recipient<M>);

/// The group to StreamReader, after everyone has been told where feedback goes: read.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Begin;

/// Supervisor to StreamReader: read no more, and stop when everything handed out is committed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Drain;

/// Supervisor to MetricsActor: a generation begins, and its lanes stand here. What the checkpoints say and the log
/// streams do not is made up for.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StreamOpened {
    /// `streams.<entity>`
    pub entity: String,
    /// The lanes' positions.
    pub positions: Vec<Position>,
}

/// RdbmsWriter to MetricsActor: a transaction is committed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct BatchCommitted {
    /// `streams.<entity>`
    pub entity: String,
    /// Number of the lane.
    pub lane: u32,
    /// The link that was added to the lane's chain.
    pub span: Span,
    /// Events by outcome, in this transaction.
    pub totals: Totals,
    /// The lane's events by outcome since the beginning, as its checkpoint has them now.
    pub lane_totals: Totals,
    /// The events that were applied.
    pub applied: Vec<StreamId>,
    /// The events that became dead letters.
    pub dead: DeadLetters,
    /// How long the transaction took.
    pub took: Duration,
    /// Wall clock of the commit, in milliseconds since the epoch.
    pub committed_ms: u64,
}

/// The dead letters of a committed transaction.
#[derive(Debug)]
pub enum DeadLetters {
    /// These.
    Known(Vec<(StreamId, Rejection)>),
    /// The answer to the commit was lost: they stand in the database.
    InDatabase,
}

/// StreamReader to MetricsActor: entries were deleted before they were read.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct EntriesLost {
    /// `streams.<entity>`
    pub entity: String,
    /// How many.
    pub entries: u64,
}

/// Supervisor to MetricsActor: a generation ended, or could not begin.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StreamEnded {
    /// `streams.<entity>`
    pub entity: String,
    /// The name of its [`ExitReason`].
    pub reason: &'static str,
}

/// Anyone to MetricsActor: write everything that is due to Redis now, and answer when that is done.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Flush;

/// An actor's cell to the Supervisor: the actor ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ActorExited {
    /// `streams.<entity>`
    pub entity: String,
    /// The generation it belonged to; an older one than the present is old news.
    pub generation: u64,
    /// Which actor.
    pub actor: ActorName,
    /// Why.
    pub reason: ExitReason,
}

/// An actor of a stream's group, for logs.
#[derive(Clone, Debug)]
pub struct ActorName {
    /// For instance `Transformer 0`.
    pub actor: String,
    /// The lane it works for alone, if it does.
    pub lane: Option<u32>,
}

/// Anyone to the Supervisor: drain all streams and end.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Shutdown;
