//! The cell an actor runs in: whatever way the actor ends, its cell reports it, once.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix::dev::channel::channel;
use actix::{Actor, Addr, Context, Supervised};
use actix_rt::ArbiterHandle;
use futures_util::FutureExt;

use super::exit::{ExitReason, LastWords};

/// The pipeline bounds what is on its way by the reader's credits. A mailbox's capacity bounds nothing (`do_send`
/// ignores it), so it is switched off rather than left to deceive.
const UNBOUNDED: usize = 0;

/// Starts an actor on `arbiter`. `factory` makes it there; `on_exit` is called once, when it has ended, with the
/// reason it left in its [`LastWords`], or with the panic that ended it.
///
/// A panic ends the actor and nothing else: not its arbiter, not its neighbours. If the arbiter itself ends, nobody
/// can call `on_exit` from there; the supervisor, which alone stops arbiters, knows it.
pub fn start<A, F, E>(arbiter: &ArbiterHandle, last_words: LastWords, factory: F, on_exit: E) -> Addr<A>
where
    A: Actor<Context = Context<A>>,
    F: FnOnce(&mut Context<A>) -> A + Send + 'static,
    E: FnOnce(ExitReason) + Send + 'static,
{
    let (sender, receiver) = channel(UNBOUNDED);
    let addr = Addr::new(sender);
    run(arbiter, move || async move {
        let running = AssertUnwindSafe(async move {
            let mut context = Context::with_receiver(receiver);
            let actor = factory(&mut context);
            context.into_future(actor).await;
        });
        let reason = match running.catch_unwind().await {
            Ok(()) => last_words.heard().unwrap_or(ExitReason::Stopped),
            Err(panic) => ExitReason::Panicked(panic_message(panic.as_ref())),
        };
        on_exit(reason);
    });
    addr
}

/// Starts an actor that many hold the address of, and that nothing depends on: after a panic it comes back in place,
/// with its mailbox, after a nap. `on_panic` hears of each. Its [`Supervised::restarting`] must make the state good.
pub fn start_restarting<A, F, P>(arbiter: &ArbiterHandle, nap: Duration, factory: F, on_panic: P) -> Addr<A>
where
    A: Actor<Context = Context<A>> + Supervised,
    F: FnOnce(&mut Context<A>) -> A + Send + 'static,
    P: Fn(String) + Send + 'static,
{
    let (sender, receiver) = channel(UNBOUNDED);
    let addr = Addr::new(sender);
    run(arbiter, move || async move {
        let mut context = Context::with_receiver(receiver);
        let actor = factory(&mut context);
        let mut running = context.into_future(actor);
        while let Err(panic) = AssertUnwindSafe(&mut running).catch_unwind().await {
            on_panic(panic_message(panic.as_ref()));
            tokio::time::sleep(nap).await;
            if !running.restart() {
                break;
            }
        }
    });
    addr
}

/// Work of an actor that may panic without taking the actor with it.
///
/// # Errors
/// What the work fails with, or the panic.
pub async fn unless_it_panics<T>(work: impl Future<Output = Result<T, ExitReason>>) -> Result<T, ExitReason> {
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    outcome.unwrap_or_else(|panic| Err(ExitReason::Panicked(panic_message(panic.as_ref()))))
}

/// Runs on `arbiter` a future that is made there, because an actor never leaves its thread.
fn run<F: Future<Output = ()> + 'static>(arbiter: &ArbiterHandle, make: impl FnOnce() -> F + Send + 'static) {
    arbiter.spawn_fn(move || drop(actix_rt::spawn(make())));
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use actix::{AsyncContext, Handler, Message};

    use super::*;

    struct Fragile(LastWords);

    impl Actor for Fragile {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    enum Do {
        Panic,
        PanicLater,
        Stop,
    }

    impl Handler<Do> for Fragile {
        type Result = ();

        fn handle(&mut self, message: Do, context: &mut Context<Self>) {
            use actix::ActorContext;
            match message {
                Do::Panic => panic!("in the handler"),
                Do::PanicLater => {
                    context.run_later(Duration::from_millis(1), |_, _| panic!("{}", "later".to_owned()));
                }
                Do::Stop => {
                    self.0.say(ExitReason::Hung);
                    self.0.say(ExitReason::Stopped);
                    context.stop();
                }
            }
        }
    }

    impl Supervised for Fragile {}

    #[test]
    fn an_actor_that_restarts_keeps_its_address_and_its_mailbox() {
        actix_rt::System::new().block_on(async {
            let words = LastWords::default();
            let for_actor = words.clone();
            let (tell, told) = std::sync::mpsc::channel();
            let nap = Duration::from_millis(1);
            let arbiter = actix_rt::Arbiter::current();
            let addr = start_restarting(&arbiter, nap, |_| Fragile(for_actor), move |panic| drop(tell.send(panic)));
            for message in [Do::Panic, Do::Panic, Do::Stop] {
                addr.do_send(message);
            }
            while words.heard().is_none() {
                tokio::task::yield_now().await;
            }
            assert_eq!(told.iter().collect::<Vec<_>>(), ["in the handler", "in the handler"]);
        });
    }

    fn ends_with(message: Do) -> ExitReason {
        actix_rt::System::new().block_on(async {
            let (tell, told) = tokio::sync::oneshot::channel();
            let words = LastWords::default();
            let for_actor = words.clone();
            let arbiter = actix_rt::Arbiter::current();
            let addr = start(&arbiter, words, |_| Fragile(for_actor), move |reason| drop(tell.send(reason)));
            addr.do_send(message);
            tokio::time::timeout(Duration::from_secs(10), told).await.unwrap().unwrap()
        })
    }

    #[test]
    fn every_end_is_reported_with_its_cause() {
        assert_eq!(ends_with(Do::Panic), ExitReason::Panicked("in the handler".into()));
        assert_eq!(ends_with(Do::PanicLater), ExitReason::Panicked("later".into()));
        assert_eq!(ends_with(Do::Stop), ExitReason::Hung, "the first word stands");
    }
}
