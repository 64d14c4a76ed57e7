//! The running pipeline as one value: start it, stop it, wait for its end.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_rt::{Arbiter, System};
use slog::{Logger, error, o};
use tokio::sync::{oneshot, watch};

use crate::actors::messages::Shutdown;
use crate::actors::metrics::{MetricsActor, MetricsStart};
use crate::actors::stream_group::Shared;
use crate::actors::supervisor::Supervisor;
use crate::error::PipelineError;
use crate::metrics::publication::Places;
use crate::metrics::stats::Stats;
use crate::settings::Settings;
use crate::startup;
use crate::supervision::cell;
use crate::supervision::exit::LastWords;

/// A pipeline that runs on threads of its own. Dropping it without [`Pipeline::wait`] leaves it running.
pub struct Pipeline {
    thread: JoinHandle<Result<(), PipelineError>>,
    stop: Stopper,
    stats: Stats,
}

/// Stops a pipeline from elsewhere. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Asks the pipeline to drain and to end.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Pipeline {
    /// Starts the pipeline: connects, prepares the tables, and writes behind until it is stopped.
    ///
    /// # Errors
    /// The operating system gave no thread. Everything else is answered by [`Pipeline::wait`].
    pub fn start(settings: Settings, log: Logger) -> Result<Pipeline, PipelineError> {
        let (stop, stopped) = watch::channel(false);
        let stats = Stats::default();
        let for_thread = stats.clone();
        let thread = std::thread::Builder::new()
            .name("pipeline".to_owned())
            .spawn(move || run(settings, log, for_thread, stopped))
            .map_err(|error| PipelineError::Failed(format!("no thread for the pipeline: {error}")))?;
        Ok(Pipeline { thread, stop: Stopper(stop), stats })
    }

    /// A handle that stops it.
    pub fn stopper(&self) -> Stopper {
        self.stop.clone()
    }

    /// What has been written since the start.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Whether it has ended, of itself or because it was asked to.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// What ended it, unless it was asked to stop.
    pub fn wait(self) -> Result<(), PipelineError> {
        self.thread.join().unwrap_or_else(|_| Err(PipelineError::GaveUp("the pipeline's main thread panicked".into())))
    }
}

fn run(settings: Settings, log: Logger, stats: Stats, stopped: watch::Receiver<bool>) -> Result<(), PipelineError> {
    // One runtime under the system and all arbiters: a connection opened by one actor outlives that actor's arbiter.
    const IO_THREADS: usize = 2;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(IO_THREADS)
        .thread_name("pipeline-io")
        .enable_all()
        .build()
        .map_err(|error| PipelineError::Failed(format!("no runtime for the pipeline: {error}")))?;
    let runtime = Arc::new(runtime);
    let system = System::with_tokio_rt({
        let runtime = runtime.clone();
        move || runtime
    });
    system.block_on(supervise(settings, log, stats, stopped, runtime))
}

async fn supervise(
    settings: Settings,
    log: Logger,
    stats: Stats,
    mut stopped: watch::Receiver<bool>,
    runtime: Arc<tokio::runtime::Runtime>,
) -> Result<(), PipelineError> {
    let ready = tokio::select! {
        ready = startup::prepare(&settings, &log) => ready?,
        _ = stopped.wait_for(|stop| *stop) => return Ok(()),
    };
    let arbiter = Arbiter::current();
    let metrics = MetricsStart {
        places: Places {
            redis: ready.redis.clone(),
            target: ready.target.clone(),
            pipeline: settings.app.name.clone(),
            log: settings.log.clone(),
        },
        streams: settings.streams.clone(),
        settings: settings.metrics.clone(),
        stats,
        log: log.new(o!("actor" => "MetricsActor")),
    };
    let metrics_log = metrics.log.clone();
    const METRICS_NAP: Duration = Duration::from_secs(1);
    let metrics = cell::start_restarting(
        &arbiter,
        METRICS_NAP,
        move |_| MetricsActor::new(metrics),
        move |panic| {
            error!(metrics_log, "actor panicked, restarting it"; "panic" => panic);
        },
    );
    let (tell, mut told) = oneshot::channel();
    let shared =
        Shared { settings: Arc::new(settings), redis: ready.redis, target: ready.target, metrics, runtime, log };
    let supervisor_log = shared.log.clone();
    let supervisor = cell::start(
        &arbiter,
        LastWords::default(),
        |_| Supervisor::new(shared, tell),
        move |reason| {
            slog::debug!(supervisor_log, "supervisor ended"; "reason" => reason.to_string());
        },
    );
    let outcome = tokio::select! {
        outcome = &mut told => outcome,
        _ = stopped.wait_for(|stop| *stop) => {
            supervisor.do_send(Shutdown);
            told.await
        }
    };
    outcome.unwrap_or_else(|_| Err(PipelineError::GaveUp("the supervisor panicked; its log line says where".into())))
}
