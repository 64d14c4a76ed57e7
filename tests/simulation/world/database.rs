//! A database: rows and checkpoint, transactions with locks on the rows of the checkpoint, commits that nobody hears the
//! answer of, and backups that are put back.

use std::collections::BTreeMap;

use write_behind::event::StreamId;
use write_behind::lane::Span;
use write_behind::mapping::{ChangeKind, Step};
use write_behind::row::{Row, Value};
use write_behind::sink::checkpoint::{Position, Totals};

use super::stream::Stream;
use crate::invariants;

/// Number of a transaction.
pub type Transaction = u64;

/// How an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Applied,
    DeadLetter,
}

/// What is committed.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub checkpoint: Vec<Position>,
    /// Appended rows: numbers of events, in the order of the table.
    pub rows: Vec<usize>,
    /// Rows with a key: the number of the event that wrote them last.
    pub table: BTreeMap<String, usize>,
    pub outcomes: BTreeMap<usize, Outcome>,
}

/// What a transaction has done.
#[derive(Clone, Debug, Default)]
pub struct Open {
    /// The lane whose row of the checkpoint it holds, and where it moves it.
    pub held: Option<Held>,
    pub writes: Vec<(ChangeKind, Row)>,
    /// The events that it applies and that are dead letters, for the checks.
    pub applied: Vec<usize>,
    pub dead: Vec<usize>,
    /// Nobody is there to hear the answer: whether `COMMIT` was sent before.
    orphan: Option<bool>,
}

#[derive(Clone, Debug)]
pub struct Held {
    pub lane: usize,
    /// The generation of the checkpoint's rows that the writer began with.
    pub generation: i64,
    pub span: Span,
    pub totals: Totals,
}

/// The answer to the statement that moves the checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub enum Advanced {
    Done,
    /// No row matched.
    Moved,
    /// Another transaction holds the row.
    Waits,
}

/// The database refuses the data.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused;

/// Values of the column that tells what the database thinks of a row.
pub mod sound {
    pub const YES: i64 = 0;
    pub const NOT_THE_ROW: i64 = 1;
    pub const NOT_AT_COMMIT: i64 = 2;
}

#[derive(Default)]
pub struct Database {
    pub state: State,
    /// Whether it can be asked to check early what it checks at commit.
    checks_early: bool,
    backups: Vec<State>,
    open: BTreeMap<Transaction, Open>,
    begun: Transaction,
    /// How often the checkpoint's rows were made or replaced.
    generations: i64,
}

impl Database {
    pub fn new(checks_early: bool) -> Self {
        Database { checks_early, ..Database::default() }
    }

    pub fn begin(&mut self) -> Transaction {
        self.begun += 1;
        self.open.insert(self.begun, Open::default());
        self.begun
    }

    /// Whether the transaction is still there: a database that was put back has forgotten all.
    pub fn knows(&self, transaction: Transaction) -> bool {
        self.open.contains_key(&transaction)
    }

    fn of(&mut self, transaction: Transaction) -> &mut Open {
        self.open.get_mut(&transaction).expect("an open transaction")
    }

    /// Moves the checkpoint of a lane, if it stands where the span begins, in rows of the same generation.
    pub fn advance(&mut self, transaction: Transaction, to: Held) -> Advanced {
        let other = |(number, open): (&Transaction, &Open)| {
            *number != transaction && open.held.as_ref().is_some_and(|held| held.lane == to.lane)
        };
        if self.open.iter().any(other) {
            return Advanced::Waits;
        }
        let stands = self
            .state
            .checkpoint
            .get(to.lane)
            .is_some_and(|position| position.last_id == to.span.after && position.generation == to.generation);
        let open = self.open.get_mut(&transaction).expect("an open transaction");
        match &mut open.held {
            Some(held) if held.lane == to.lane && held.span.upto == to.span.after => {
                held.span.upto = to.span.upto;
                held.totals = held.totals.plus(to.totals);
            }
            None if stands => open.held = Some(to),
            _ => return Advanced::Moved,
        }
        Advanced::Done
    }

    pub fn write(&mut self, transaction: Transaction, step: &Step<'_>) -> Result<(), Refused> {
        if step.rows.iter().any(|row| row.value(2) == Some(Value::Int(sound::NOT_THE_ROW))) {
            return Err(Refused);
        }
        let rows = step.rows.iter().map(|row| (step.kind, row.as_ref().clone()));
        self.of(transaction).writes.extend(rows);
        Ok(())
    }

    /// Whether what was written since the savepoint could be committed, as far as the database tells before.
    pub fn check_deferred(&self, transaction: Transaction, savepoint: usize) -> Result<(), Refused> {
        let writes = &self.open[&transaction].writes[savepoint..];
        let bad = self.checks_early && writes.iter().any(|(_, row)| is_bad_at_commit(row));
        if bad { Err(Refused) } else { Ok(()) }
    }

    /// Notes which events the transaction speaks of.
    pub fn note(&mut self, transaction: Transaction, applied: Vec<usize>, dead: Vec<usize>) {
        let open = self.of(transaction);
        open.applied.extend(applied);
        open.dead.extend(dead);
    }

    /// `SAVEPOINT`
    pub fn savepoint(&mut self, transaction: Transaction) -> usize {
        self.of(transaction).writes.len()
    }

    /// `ROLLBACK TO SAVEPOINT`
    pub fn rollback_to(&mut self, transaction: Transaction, savepoint: usize) {
        self.of(transaction).writes.truncate(savepoint);
    }

    pub fn rollback(&mut self, transaction: Transaction) {
        self.open.remove(&transaction);
    }

    pub fn commit(&mut self, transaction: Transaction, stream: &Stream) -> Result<(), Refused> {
        let open = self.open.remove(&transaction).expect("an open transaction");
        if open.writes.iter().any(|(_, row)| is_bad_at_commit(row)) {
            return Err(Refused);
        }
        let before = self.state.clone();
        let state = &mut self.state;
        if let Some(held) = &open.held {
            let position = &mut state.checkpoint[held.lane];
            position.last_id = held.span.upto;
            position.totals = position.totals.plus(held.totals);
        }
        for (kind, row) in &open.writes {
            state.write(*kind, row);
        }
        let outcomes = open.applied.iter().map(|n| (*n, Outcome::Applied));
        state.outcomes.extend(outcomes.chain(open.dead.iter().map(|n| (*n, Outcome::DeadLetter))));
        invariants::committed(&before, &open, &self.state, stream);
        Ok(())
    }

    /// The connection of a transaction is gone. The server hears of it later, perhaps after a `COMMIT` that was sent.
    pub fn abandon(&mut self, transaction: Transaction, commit_was_sent: bool) {
        if let Some(open) = self.open.get_mut(&transaction) {
            open.orphan = Some(commit_was_sent);
        }
    }

    /// Transactions of connections that are gone.
    pub fn orphans(&self) -> Vec<Transaction> {
        let orphans = self.open.iter().filter(|(_, open)| open.orphan.is_some());
        orphans.map(|(number, _)| *number).collect()
    }

    /// The server does what it had heard last. Answers whether it was a commit.
    pub fn end_orphan(&mut self, transaction: Transaction, stream: &Stream) -> bool {
        match self.of(transaction).orphan {
            Some(true) => self.commit(transaction, stream).is_ok(),
            _ => {
                self.rollback(transaction);
                false
            }
        }
    }

    /// Replaces all rows of the checkpoint, if they still are what they were; `None` while a transaction holds one.
    pub fn replace(&mut self, before: &[Position], after: Vec<Position>) -> Option<bool> {
        if self.open.values().any(|open| open.held.is_some()) {
            return None;
        }
        let same = self.state.checkpoint == before;
        if same {
            self.put(after);
        }
        Some(same)
    }

    /// Begins a stream, unless somebody was quicker.
    pub fn create(&mut self, lanes: usize) {
        if self.state.checkpoint.is_empty() {
            self.put(vec![Position::default(); lanes]);
        }
    }

    /// Puts rows into the checkpoint that are of a generation of their own.
    fn put(&mut self, rows: Vec<Position>) {
        self.generations += 1;
        let generation = self.generations;
        self.state.checkpoint = rows.into_iter().map(|position| Position { generation, ..position }).collect();
    }

    pub fn back_up(&mut self) {
        self.backups.push(self.state.clone());
        if self.backups.len() > 3 {
            self.backups.remove(0);
        }
    }

    /// Puts a backup back, if there is one: later ones are gone, and so is every connection.
    pub fn restore(&mut self, which: usize) -> bool {
        self.backups.truncate(which + 1);
        let Some(backup) = self.backups.last() else { return false };
        self.state = backup.clone();
        self.open.clear();
        true
    }

    pub fn backups(&self) -> usize {
        self.backups.len()
    }

    /// Up to here everything is applied, in every state that the database may have or come back to.
    pub fn done_for_good(&self) -> StreamId {
        let states = self.backups.iter().chain([&self.state]);
        let slowest = states.map(|state| state.checkpoint.iter().map(|position| position.last_id).min());
        slowest.min().flatten().unwrap_or_default()
    }
}

fn is_bad_at_commit(row: &Row) -> bool {
    row.value(2) == Some(Value::Int(sound::NOT_AT_COMMIT))
}

impl State {
    fn write(&mut self, kind: ChangeKind, row: &Row) {
        let Some(Value::Text(key)) = row.value(0) else { panic!("a row without a key: {row:?}") };
        let number = match row.value(1) {
            Some(Value::Int(number)) => number as usize,
            _ => 0,
        };
        match kind {
            ChangeKind::Append => self.rows.push(number),
            ChangeKind::Upsert => drop(self.table.insert(key.into_owned(), number)),
            ChangeKind::Update => {
                if let Some(row) = self.table.get_mut(key.as_ref()) {
                    *row = number;
                }
            }
            ChangeKind::Delete => drop(self.table.remove(key.as_ref())),
        }
    }
}
