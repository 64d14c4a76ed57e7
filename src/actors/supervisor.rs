//! Owns all other actors: starts them, hears how each ends, restarts a failed stream's group, drains at the end.
//! It touches no data.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actix::fut::wrap_future;
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler};
use fail::fail_point;
use slog::{Logger, debug, error, info, o, warn};
use tokio::sync::oneshot;

use super::messages::{ActorExited, ActorName, Flush, Shutdown, StreamEnded, StreamOpened};
use super::stream_group::{Prepared, Shared, StreamGroup, prepare};
use crate::audit::WentBack;
use crate::error::PipelineError;
use crate::settings::StreamSettings;
use crate::supervision::cell::unless_it_panics;
use crate::supervision::exit::ExitReason;
use crate::supervision::strategy::{Decision, RestartStrategy};

/// The actor.
pub struct Supervisor {
    shared: Shared,
    streams: BTreeMap<String, Stream>,
    /// Set once: what the process will answer when all streams have ended.
    ending: Option<Result<(), PipelineError>>,
    tell: Option<oneshot::Sender<Result<(), PipelineError>>>,
    began: Instant,
    log: Logger,
}

struct Stream {
    settings: StreamSettings,
    generation: u64,
    strategy: RestartStrategy,
    /// The stream as the last generation saw it, if it ended because that went back. By the time the next
    /// one looks, new entries may have come, which must not be taken for old ones.
    seen: Option<WentBack>,
    state: State,
    log: Logger,
}

enum State {
    /// Its group is being prepared, or waits to be.
    Waiting,
    Running(StreamGroup),
    Ended,
}

impl Supervisor {
    /// Prepares the supervisor; `tell` hears how the pipeline ended, once.
    pub fn new(shared: Shared, tell: oneshot::Sender<Result<(), PipelineError>>) -> Self {
        let log = shared.log.new(o!("actor" => "Supervisor"));
        let streams = shared.settings.streams.iter().map(|settings| {
            let stream = Stream {
                settings: settings.clone(),
                generation: 0,
                strategy: RestartStrategy::new(shared.settings.supervisor.clone()),
                seen: None,
                state: State::Waiting,
                log: shared.log.new(o!("entity" => settings.entity.clone())),
            };
            (settings.entity.clone(), stream)
        });
        Supervisor { streams: streams.collect(), shared, ending: None, tell: Some(tell), began: Instant::now(), log }
    }

    /// Prepares and starts the next generation of a stream.
    fn start_stream(&mut self, entity: String, context: &mut Context<Self>) {
        let Some(stream) = self.streams.get_mut(&entity).filter(|_| self.ending.is_none()) else { return };
        stream.generation += 1;
        let (shared, settings) = (self.shared.clone(), stream.settings.clone());
        let log = stream.log.new(o!("generation" => stream.generation));
        let limit = shared.settings.supervisor.hang_timeout;
        let seen = stream.seen;
        let preparing = async move {
            let preparing = unless_it_panics(prepare(&shared, &settings, seen, &log));
            tokio::time::timeout(limit, preparing).await.unwrap_or(Err(ExitReason::Hung))
        };
        context.spawn(wrap_future(preparing).map(
            move |outcome, supervisor: &mut Self, context: &mut Context<Self>| match outcome {
                Ok(prepared) => supervisor.run_stream(&entity, prepared, context),
                Err(reason) => supervisor.stream_ended(&entity, "start", None, reason, context),
            },
        ));
    }

    fn run_stream(&mut self, entity: &str, prepared: Prepared, context: &mut Context<Self>) {
        let Some(stream) = self.streams.get_mut(entity).filter(|_| self.ending.is_none()) else { return };
        let opened = StreamOpened { entity: entity.to_owned(), positions: prepared.positions.clone() };
        self.shared.metrics.do_send(opened);
        let log = stream.log.new(o!("generation" => stream.generation));
        let on_exit = context.address().recipient();
        let group = StreamGroup::start(&self.shared, &stream.settings, stream.generation, prepared, &on_exit, &log);
        stream.state = State::Running(group);
        stream.seen = None;
        stream.strategy.started(self.began.elapsed());
    }

    /// Ends what is left of a stream's generation and decides what comes next.
    fn stream_ended(
        &mut self,
        entity: &str,
        actor: &str,
        lane: Option<u32>,
        reason: ExitReason,
        context: &mut Context<Self>,
    ) {
        let Some(stream) = self.streams.get_mut(entity) else { return };
        let log = &stream.log;
        let kv = o!("ended" => actor.to_owned(), "lane" => lane, "reason" => reason.name(),
            "generation" => stream.generation, "stream" => stream.settings.stream_name.clone());
        self.shared.metrics.do_send(StreamEnded { entity: entity.to_owned(), reason: reason.name() });
        if self.ending.is_some() {
            // Whatever it was: what is not committed is still in Redis, and the next process goes on from there.
            match reason {
                ExitReason::Drained => info!(log, "drained"; kv),
                reason => warn!(log, "ended before it was drained: {}", reason; kv),
            }
            stream.state = State::Ended;
            return self.end_when_all_have(context);
        }
        stream.state = State::Waiting;
        if let ExitReason::StreamReset(seen) = reason {
            stream.seen = Some(seen);
        }
        match stream.strategy.failed(&reason, self.began.elapsed(), jitter()) {
            Decision::Restart(wait) => {
                match reason {
                    ExitReason::Aligned => debug!(log, "lanes stand at one position"; kv),
                    ExitReason::ChainMoved(_) => info!(log, "{}", reason; kv, "wait_ms" => wait.as_millis() as u64),
                    reason => warn!(log, "stream failed, restarting it from the checkpoint: {}", reason; kv,
                        "wait_ms" => wait.as_millis() as u64),
                }
                self.start_later(entity, wait, context);
            }
            Decision::Pause(wait) => {
                error!(log, "stream paused until this is mended, nothing is lost: {}", reason; kv,
                    "retry_sec" => wait.as_secs());
                self.start_later(entity, wait, context);
            }
            Decision::GiveUp => {
                let settings = &self.shared.settings.supervisor;
                let message = format!(
                    "stream `{}` failed more than {} times within {} s (supervisor.max_restarts, \
                     supervisor.restart_window_sec), the last time in {actor}: {reason}",
                    stream.settings.stream_name,
                    settings.max_restarts,
                    settings.restart_window.as_secs()
                );
                error!(log, "giving up: {}", reason; kv);
                stream.state = State::Ended;
                self.end(Err(PipelineError::GaveUp(message)), context);
            }
        }
    }

    fn start_later(&mut self, entity: &str, wait: Duration, context: &mut Context<Self>) {
        let entity = entity.to_owned();
        context.run_later(wait, move |supervisor, context| supervisor.start_stream(entity, context));
    }

    /// Drains what runs, and ends when that is done or `app.shutdown_timeout_sec` is over.
    fn end(&mut self, outcome: Result<(), PipelineError>, context: &mut Context<Self>) {
        if self.ending.is_some() {
            return;
        }
        self.ending = Some(outcome);
        for stream in self.streams.values_mut() {
            match &stream.state {
                State::Running(group) => group.drain(),
                State::Waiting | State::Ended => stream.state = State::Ended,
            }
        }
        context.run_later(self.shared.settings.app.shutdown_timeout, |supervisor, context| {
            for stream in supervisor.streams.values_mut() {
                if matches!(stream.state, State::Running(_)) {
                    warn!(stream.log, "not drained within app.shutdown_timeout_sec: what is left stays in Redis");
                    stream.state = State::Ended;
                }
            }
            supervisor.end_when_all_have(context);
        });
        self.end_when_all_have(context);
    }

    fn end_when_all_have(&mut self, context: &mut Context<Self>) {
        let all_ended = self.streams.values().all(|stream| matches!(stream.state, State::Ended));
        let Some(tell) = all_ended.then(|| self.tell.take()).flatten() else { return };
        // Counters that cannot be written now are made good by the next process.
        const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
        let flush = self.shared.metrics.send(Flush).timeout(FLUSH_TIMEOUT);
        context.wait(wrap_future(flush).map(|_, supervisor: &mut Self, context: &mut Context<Self>| {
            // Nobody listening means that the process ends in another way already.
            drop(tell.send(supervisor.ending.take().unwrap_or(Ok(()))));
            context.stop();
        }));
    }

    fn replace_hung(&mut self, context: &mut Context<Self>) {
        let limit = self.shared.settings.supervisor.hang_timeout;
        let hung = self.streams.iter().filter_map(|(entity, stream)| match &stream.state {
            State::Running(group) => group.hung(limit).map(|actor| (entity.clone(), actor.clone())),
            _ => None,
        });
        for (entity, ActorName { actor, lane }) in hung.collect::<Vec<_>>() {
            self.stream_ended(&entity, &actor, lane, ExitReason::Hung, context);
        }
    }
}

/// A number from 0 to 1 that differs from call to call; nothing depends on its quality.
fn jitter() -> f64 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    f64::from(nanos % 1_000) / 1_000.0
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        fail_point!("supervisor::started");
        const HANG_CHECK: Duration = Duration::from_secs(1);
        info!(self.log, "pipeline started"; "streams" => self.streams.len());
        for entity in self.streams.keys().cloned().collect::<Vec<_>>() {
            self.start_stream(entity, context);
        }
        context.run_interval(HANG_CHECK, Self::replace_hung);
    }
}

impl Handler<ActorExited> for Supervisor {
    type Result = ();

    fn handle(&mut self, message: ActorExited, context: &mut Context<Self>) {
        fail_point!("supervisor::actor_exited");
        let ActorExited { entity, generation, actor: ActorName { actor, lane }, reason } = message;
        let Some(stream) = self.streams.get(&entity) else { return };
        // The first actor to end takes its group with it; what the others say of their end is old news.
        if stream.generation == generation && matches!(stream.state, State::Running(_)) {
            self.stream_ended(&entity, &actor, lane, reason, context);
        }
    }
}

impl Handler<Shutdown> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: Shutdown, context: &mut Context<Self>) {
        fail_point!("supervisor::shutdown");
        info!(self.log, "draining");
        self.end(Ok(()), context);
    }
}
