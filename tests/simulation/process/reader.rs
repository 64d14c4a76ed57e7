//! What the reader does, by the rules of `src/actors/stream_reader.rs`, with the real splitter, credits and audit.

use std::collections::VecDeque;

use write_behind::actors::messages::{Committed, DocumentsFetched, EntryBatch};
use write_behind::audit::{Audit, Finding, StreamState, WentBack};
use write_behind::credits::Credits;
use write_behind::event::{Entry, StreamId};
use write_behind::lane::{LanePart, LaneSplitter};
use write_behind::supervision::exit::ExitReason;

use super::Settings;
use crate::world::World;

pub enum ToReader {
    Committed(Committed),
    DocumentsFetched(DocumentsFetched),
    Drain,
}

pub struct Reader {
    pub mailbox: VecDeque<ToReader>,
    pub credits: Credits,
    splitter: LaneSplitter,
    batch_size: usize,
    handed_out: Vec<StreamId>,
    committed: Vec<StreamId>,
    align_at: Option<StreamId>,
    reading: Option<Reading>,
    draining: Option<ExitReason>,
    audit: Audit,
    /// Batches that were handed out in this step.
    pub outbox: Vec<EntryBatch>,
}

/// How far a read has come.
enum Reading {
    Asked { count: usize },
    Read { count: usize, entries: Vec<Entry> },
    Answered { entries: Vec<Entry>, state: Option<StreamState> },
}

impl Reader {
    pub fn new(positions: Vec<StreamId>, align: bool, settings: &Settings) -> Self {
        let splitter = LaneSplitter::new("key", positions.clone());
        let mut reader = Reader {
            mailbox: VecDeque::new(),
            credits: Credits::new(settings.bytes_max),
            align_at: align.then(|| splitter.furthest()),
            splitter,
            batch_size: settings.batch_size,
            handed_out: positions.clone(),
            committed: positions,
            reading: None,
            draining: None,
            audit: Audit::default(),
            outbox: Vec::new(),
        };
        reader.read();
        reader
    }

    /// Everything up to here has been read, unless it reads only to align the lanes.
    pub fn scanned(&self) -> Option<StreamId> {
        self.align_at.is_none().then(|| self.splitter.scanned())
    }

    /// One step. Answers whether there was anything to do.
    ///
    /// # Errors
    /// Why the reader ended.
    pub fn step(&mut self, world: &mut World) -> Result<bool, ExitReason> {
        let mail_first = world.random.coin();
        if mail_first && let Some(message) = self.mailbox.pop_front() {
            return self.handle(message).map(|()| true);
        }
        match self.reading.take() {
            Some(Reading::Asked { count }) => {
                let entries = world.stream.read(self.splitter.scanned(), count);
                self.reading = Some(Reading::Read { count, entries });
            }
            Some(Reading::Read { count, entries }) => {
                let audit = self.align_at.is_none() && entries.len() < count && world.random.chance(300);
                let state = audit.then(|| world.stream.state());
                self.reading = Some(Reading::Answered { entries, state });
            }
            Some(Reading::Answered { entries, state }) => self.read_done(entries, state, world)?,
            None => match self.mailbox.pop_front() {
                Some(message) => self.handle(message)?,
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    fn handle(&mut self, message: ToReader) -> Result<(), ExitReason> {
        match message {
            ToReader::Committed(Committed { lane, upto, credits, .. }) => {
                assert!(upto <= self.handed_out[lane as usize], "committed what was not handed out");
                self.committed[lane as usize] = upto;
                self.credits.give_back(credits);
                self.end_when_drained()?;
                self.read();
            }
            ToReader::DocumentsFetched(DocumentsFetched { events, bytes }) => {
                self.credits.spend_documents(events, bytes);
            }
            ToReader::Drain => self.drain(ExitReason::Drained)?,
        }
        Ok(())
    }

    fn read(&mut self) {
        let count = self.credits.read_count(self.batch_size);
        if self.reading.is_none() && self.draining.is_none() && count > 0 {
            self.reading = Some(Reading::Asked { count });
        }
    }

    fn read_done(
        &mut self,
        mut entries: Vec<Entry>,
        state: Option<StreamState>,
        world: &mut World,
    ) -> Result<(), ExitReason> {
        if self.draining.is_some() {
            return Ok(());
        }
        if let Some(align_at) = self.align_at {
            let passed = entries.last().is_none_or(|last| last.id >= align_at);
            entries.retain(|entry| entry.id <= align_at);
            self.hand_out(entries);
            if passed {
                self.splitter.skip_to(align_at);
                return self.drain(ExitReason::Aligned);
            }
            self.read();
            return Ok(());
        }
        let gone = self.audit.read(entries.len());
        self.hand_out(entries);
        if let Some((upto, _)) = gone {
            self.splitter.skip_to(upto);
        }
        if let Some(state) = state
            && self.audit.look(state, self.splitter.scanned()) == Finding::WentBack
        {
            let known = self.splitter.furthest().max(self.splitter.scanned());
            return Err(ExitReason::StreamReset(WentBack { newest: state.newest, known }));
        }
        if world.random.chance(200) {
            self.move_idle_lanes();
        }
        self.read();
        Ok(())
    }

    fn hand_out(&mut self, entries: Vec<Entry>) {
        let parts = self.splitter.split(entries);
        parts.into_iter().for_each(|part| self.send(part));
    }

    fn move_idle_lanes(&mut self) {
        let parts = self.splitter.idle();
        parts.into_iter().for_each(|part| self.send(part));
    }

    fn send(&mut self, LanePart { lane, span, entries }: LanePart) {
        let bytes = entries.iter().map(Entry::bytes).sum();
        let credits = self.credits.spend(entries.len(), bytes);
        assert!(credits >= bytes, "entries of {bytes} bytes cost only {credits}");
        self.handed_out[lane as usize] = span.upto;
        self.outbox.push(EntryBatch { lane, span, entries, credits });
    }

    fn drain(&mut self, reason: ExitReason) -> Result<(), ExitReason> {
        if self.draining.is_none() {
            self.move_idle_lanes();
            self.draining = Some(reason);
        }
        self.end_when_drained()
    }

    fn end_when_drained(&mut self) -> Result<(), ExitReason> {
        match &self.draining {
            Some(reason) if self.committed == self.handed_out => {
                let out = self.credits.bytes_in_flight();
                assert_eq!(out, 0, "everything is committed, but credits are out");
                Err(reason.clone())
            }
            _ => Ok(()),
        }
    }
}
