//! The process's own log: one slog root, readable on a terminal and one JSON object a line elsewhere, to stderr.
//!
//! Writing is done by a thread of its own, so that a slow terminal or a full pipe never holds an actor up: what does
//! not fit in its queue is dropped and counted in the log. What libraries log through `log` and `tracing` comes here
//! too, and so does every panic.

use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;

use chrono::{SecondsFormat, Utc};
use slog::{Drain, FnValue, Level, Logger, PushFnValue, PushFnValueSerializer, Record, error, o};
use slog_async::{Async, AsyncGuard, OverflowStrategy};

use crate::settings::{LogFormat, LogSettings};

/// Records that may wait to be written. A burst of errors fits; it is some megabytes at worst.
const QUEUE_RECORDS_MAX: usize = 8192;

/// Keeps the log going. Dropping it, last of all, writes what is still queued.
#[must_use = "the log ends when this is dropped"]
pub struct LogGuard {
    _flush: AsyncGuard,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        // From here on nothing reads the queue, so panics are printed by the standard library again. It does not let
        // a panicking thread change that; then the hook has run already.
        if !std::thread::panicking() {
            drop(std::panic::take_hook());
        }
    }
}

/// Starts the log of this process: the root logger, the bridge from `log`, and the panic hook.
pub fn start(settings: &LogSettings) -> (Logger, LogGuard) {
    let readable = match settings.format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Terminal => true,
        LogFormat::Json => false,
    };
    let (logger, flush) =
        if readable { root(terminal(), settings.level) } else { root(json(io::stderr()), settings.level) };
    bridge_libraries(&logger, settings.level);
    let of_panics = logger.clone();
    std::panic::set_hook(Box::new(move |info| log_panic(&of_panics, info)));
    (logger, LogGuard { _flush: flush })
}

/// A logger that keeps nothing, for tests.
pub fn discard() -> Logger {
    Logger::root(slog::Discard, o!())
}

fn root(drain: impl Drain<Ok = (), Err = io::Error> + Send + 'static, level: Level) -> (Logger, AsyncGuard) {
    // Where stderr is closed there is nobody to tell.
    let (queue, flush) = Async::new(drain.ignore_res())
        .chan_size(QUEUE_RECORDS_MAX)
        .overflow_strategy(OverflowStrategy::DropAndReport)
        .thread_name("log".to_owned())
        .build_with_guard();
    (Logger::root(queue.filter_level(level).ignore_res(), o!()), flush)
}

/// Coloured on a terminal only, and never where `NO_COLOR` is set: slog-term looks for itself.
fn terminal() -> impl Drain<Ok = (), Err = io::Error> + Send {
    let decorator = slog_term::TermDecorator::new().stderr().build();
    let time = |out: &mut dyn Write| write!(out, "{}", now());
    slog_term::FullFormat::new(decorator).use_custom_timestamp(time).use_original_order().build()
}

fn json<W: Write + Send + 'static>(out: W) -> impl Drain<Ok = (), Err = io::Error> + Send {
    // slog hands keys out last first: this prints ts, level, msg.
    let keys = o!(
        "msg" => PushFnValue(|record: &Record, out: PushFnValueSerializer| out.emit(record.msg())),
        "level" => FnValue(|record: &Record| record.level().as_str().to_lowercase()),
        "ts" => FnValue(|_: &Record| now()),
    );
    slog_json::Json::new(out).set_newlines(true).set_flush(true).add_key_value(keys).build()
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// What PostgreSQL says on the side, such as that it is shutting down. Whoever used the connection hears it as an
/// error, and says for which stream.
const NOTICES: &str = "sqlx::postgres::notice";

/// What SeaORM traces, the URL that it connects to with its password included.
const WITH_PASSWORDS: &str = "sea_orm::";

/// What `log` hands records to. `slog-stdlog` would drop their target, which is all that tells sqlx from redis.
struct Bridge {
    logger: Logger,
    level: log::LevelFilter,
}

impl log::Log for Bridge {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        let target = metadata.target();
        metadata.level() <= self.level
            && (self.level >= log::LevelFilter::Debug || target != NOTICES)
            && !target.starts_with(WITH_PASSWORDS)
    }

    fn log(&self, record: &log::Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            log::Level::Error => Level::Error,
            log::Level::Warn => Level::Warning,
            log::Level::Info => Level::Info,
            log::Level::Debug => Level::Debug,
            log::Level::Trace => Level::Trace,
        };
        let location = slog::RecordLocation {
            file: record.file_static().unwrap_or_default(),
            line: record.line().unwrap_or_default(),
            column: 0,
            function: "",
            module: record.module_path_static().unwrap_or_default(),
        };
        let fixed = slog::RecordStatic { location: &location, tag: "", level };
        self.logger.log(&Record::new(&fixed, record.args(), slog::b!("target" => record.target())));
    }

    fn flush(&self) {}
}

fn bridge_libraries(logger: &Logger, level: Level) {
    let level = library_level(level);
    // A second start in one process, as in tests, keeps the first bridge.
    if log::set_boxed_logger(Box::new(Bridge { logger: logger.clone(), level })).is_ok() {
        log::set_max_level(level);
    }
}

/// Libraries are chatty at INFO (every slow connection, every actor): they are heard there only on request.
fn library_level(level: Level) -> log::LevelFilter {
    match level {
        Level::Critical | Level::Error => log::LevelFilter::Error,
        Level::Warning | Level::Info => log::LevelFilter::Warn,
        Level::Debug => log::LevelFilter::Debug,
        Level::Trace => log::LevelFilter::Trace,
    }
}

fn log_panic(logger: &Logger, info: &PanicHookInfo) {
    let message = info.payload_as_str().unwrap_or("a value that is not text");
    let location = info.location().map(ToString::to_string);
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let backtrace = std::backtrace::Backtrace::capture();
    // The standard library captures one only if RUST_BACKTRACE asks for it.
    let backtrace = (backtrace.status() == std::backtrace::BacktraceStatus::Captured).then(|| backtrace.to_string());
    let logger = match backtrace {
        Some(backtrace) => logger.new(o!("backtrace" => backtrace)),
        None => logger.clone(),
    };
    error!(logger, "panicked"; "panic" => message, "location" => location, "thread" => thread);
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use log::Log;
    use serde_json::Value;
    use slog::{debug, info};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Memory {
        fn lines(&self) -> Vec<Value> {
            let bytes = self.0.lock().unwrap();
            bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
        }
    }

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_a_json_object_and_the_guard_writes_all() {
        let memory = Memory::default();
        let (logger, guard) = root(json(memory.clone()), Level::Info);
        debug!(logger, "not printed");
        for n in 0..1000 {
            info!(logger.new(o!("actor" => "reader")), "batch read"; "n" => n);
        }
        drop(guard);
        let lines = memory.lines();
        assert_eq!(lines.len(), 1000);
        let last = &lines[999];
        assert_eq!((&last["level"], &last["msg"]), (&Value::from("info"), &Value::from("batch read")), "{last}");
        assert_eq!((&last["actor"], &last["n"]), (&Value::from("reader"), &Value::from(999)), "{last}");
        let time = last["ts"].as_str().expect("is text");
        chrono::DateTime::parse_from_rfc3339(time).expect("is RFC 3339");
    }

    #[test]
    fn records_of_libraries_arrive_with_their_target() {
        let memory = Memory::default();
        let (logger, guard) = root(json(memory.clone()), Level::Info);
        bridge_libraries(&logger, Level::Info);
        log::warn!(target: "sqlx::query", "slow {}", "statement");
        log::info!(target: "sqlx::query", "not printed");
        tracing::warn!(target: "sqlx::pool", rows = 3, "slow acquire");
        drop(guard);
        let lines = memory.lines();
        let of = |target: &str| lines.iter().filter(|line| line["target"] == target).collect::<Vec<_>>();
        let [query] = of("sqlx::query")[..] else { panic!("one record: {lines:?}") };
        assert_eq!((&query["level"], &query["msg"]), (&Value::from("warning"), &Value::from("slow statement")));
        let [pool] = of("sqlx::pool")[..] else { panic!("one record: {lines:?}") };
        assert!(pool["msg"].as_str().is_some_and(|msg| msg.contains("slow acquire")), "{pool}");
    }

    #[test]
    fn libraries_are_heard_below_warnings_only_on_request() {
        for (level, heard) in [
            (Level::Trace, [true, true, true, true, true]),
            (Level::Debug, [true, true, true, true, false]),
            (Level::Info, [true, true, false, false, false]),
            (Level::Warning, [true, true, false, false, false]),
            (Level::Error, [true, false, false, false, false]),
        ] {
            let bridge = Bridge { logger: discard(), level: library_level(level) };
            let levels = [log::Level::Error, log::Level::Warn, log::Level::Info, log::Level::Debug, log::Level::Trace];
            assert_eq!(levels.map(|of| bridge.enabled(&log::Metadata::builder().level(of).build())), heard, "{level}");
        }
    }

    #[test]
    fn panics_are_logged() {
        let memory = Memory::default();
        let (logger, guard) = root(json(memory.clone()), Level::Info);
        // Only this thread's: other tests may fail meanwhile, and must be printed as ever.
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match std::thread::current().name() {
            Some("reader") => log_panic(&logger, info),
            _ => previous(info),
        }));
        let panicked = std::thread::Builder::new().name("reader".to_owned()).spawn(|| panic!("lost {}", 7));
        assert!(panicked.expect("starts").join().is_err());
        drop(guard);
        let lines = memory.lines();
        let [line] = &lines[..] else { panic!("one record: {lines:?}") };
        assert_eq!((&line["level"], &line["msg"]), (&Value::from("error"), &Value::from("panicked")), "{line}");
        assert_eq!((&line["panic"], &line["thread"]), (&Value::from("lost 7"), &Value::from("reader")), "{line}");
        assert!(line["location"].as_str().is_some_and(|place| place.contains("logging.rs:")), "{line}");
    }
}
