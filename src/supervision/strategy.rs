//! Pure: whether and when a failed stream comes back.

use std::collections::VecDeque;
use std::time::Duration;

use crate::settings::SupervisorSettings;
use crate::supervision::exit::ExitReason;

/// What the supervisor does about a stream whose actors ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start a new generation after this wait.
    Restart(Duration),
    /// Start a new generation after this wait; a person must act, and nothing is lost meanwhile.
    Pause(Duration),
    /// End the process: too many restarts within the window.
    GiveUp,
}

/// The restarts of one stream. Time is an argument: the time since the process began.
#[derive(Debug)]
pub struct RestartStrategy {
    settings: SupervisorSettings,
    recent: VecDeque<Duration>,
    delay: Duration,
    /// When the present generation began to work; `None` while there is none, however often one could not start.
    working_since: Option<Duration>,
}

impl RestartStrategy {
    /// A stream without failures.
    pub fn new(settings: SupervisorSettings) -> Self {
        let delay = settings.restart_delay;
        RestartStrategy { settings, recent: VecDeque::new(), delay, working_since: None }
    }

    /// A generation began to work.
    pub fn started(&mut self, now: Duration) {
        self.working_since = Some(now);
    }

    /// A generation ended for `reason`. `jitter`, 0 to 1, shortens the wait by up to half, so that streams that
    /// failed together do not come back together.
    pub fn failed(&mut self, reason: &ExitReason, now: Duration, jitter: f64) -> Decision {
        match reason {
            ExitReason::Configuration(_) => return Decision::Pause(self.settings.pause_retry),
            // Nothing failed: the next generation does what this one made possible.
            // The wait is for a process that divides the stream in another way at the same time.
            ExitReason::Aligned => return Decision::Restart(self.settings.restart_delay),
            _ => {}
        }
        let worked = self.working_since.take().map_or(Duration::ZERO, |since| now.saturating_sub(since));
        if worked >= self.settings.healthy_after {
            self.delay = self.settings.restart_delay;
        }
        match reason {
            // Another process does the work. This one looks again, ever more seldom: a standby, not a failure.
            ExitReason::ChainMoved(_) => return Decision::Restart(self.next_wait(jitter)),
            // Somebody is at work on the tables, which is no failure either, and may go on for a while.
            ExitReason::TableAltered(_) => return Decision::Restart(self.next_wait(jitter)),
            _ => {}
        }
        while self.recent.front().is_some_and(|at| now.saturating_sub(*at) > self.settings.restart_window) {
            self.recent.pop_front();
        }
        if self.recent.len() >= self.settings.max_restarts as usize {
            return Decision::GiveUp;
        }
        self.recent.push_back(now);
        Decision::Restart(self.next_wait(jitter))
    }

    fn next_wait(&mut self, jitter: f64) -> Duration {
        let wait = self.delay.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0);
        self.delay = (self.delay * 2).min(self.settings.restart_delay_max);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strategy() -> RestartStrategy {
        RestartStrategy::new(SupervisorSettings {
            max_restarts: 3,
            restart_window: Duration::from_secs(100),
            restart_delay: Duration::from_millis(100),
            restart_delay_max: Duration::from_millis(350),
            healthy_after: Duration::from_secs(60),
            pause_retry: Duration::from_secs(10),
            hang_timeout: Duration::from_secs(120),
        })
    }

    /// Seconds at which a generation starts and fails, and what is decided then.
    fn check(strategy: &mut RestartStrategy, reason: &ExitReason, cases: &[(u64, u64, Decision)]) {
        for (started, failed, expected) in cases {
            strategy.started(Duration::from_secs(*started));
            let decision = strategy.failed(reason, Duration::from_secs(*failed), 0.0);
            assert_eq!(decision, *expected, "started {started}, failed {failed}");
        }
    }

    fn after_ms(ms: u64) -> Decision {
        Decision::Restart(Duration::from_millis(ms))
    }

    #[test]
    fn delays_double_to_the_cap_and_then_it_gives_up() {
        let cases = [(0, 1, after_ms(100)), (1, 2, after_ms(200)), (2, 3, after_ms(350)), (3, 4, Decision::GiveUp)];
        check(&mut strategy(), &ExitReason::Hung, &cases);
    }

    #[test]
    fn a_healthy_period_resets_the_delay_and_the_window_forgets() {
        let cases = [
            (0, 1, after_ms(100)),
            (1, 2, after_ms(200)),
            (3, 80, after_ms(100)),
            (80, 110, after_ms(200)),
            (110, 111, after_ms(350)),
            (111, 112, Decision::GiveUp),
        ];
        check(&mut strategy(), &ExitReason::Stopped, &cases);
    }

    #[test]
    fn starts_that_fail_after_a_healthy_period_wait_ever_longer_all_the_same() {
        let mut strategy = strategy();
        strategy.started(Duration::from_secs(0));
        for (failed, expected) in
            [(500, after_ms(100)), (501, after_ms(200)), (502, after_ms(350)), (503, Decision::GiveUp)]
        {
            assert_eq!(strategy.failed(&ExitReason::Hung, Duration::from_secs(failed), 0.0), expected);
        }
    }

    #[test]
    fn a_standby_looks_ever_more_seldom_and_never_gives_up() {
        let moved = ExitReason::ChainMoved(crate::event::StreamId::ZERO);
        let mut waits = vec![(0, 1, after_ms(100)), (1, 2, after_ms(200))];
        waits.extend(vec![(2, 3, after_ms(350)); 50]);
        check(&mut strategy(), &moved, &waits);
    }

    #[test]
    fn tables_may_be_altered_as_often_as_somebody_likes() {
        let altered = ExitReason::TableAltered("t".into());
        let mut waits = vec![(0, 1, after_ms(100)), (1, 2, after_ms(200))];
        waits.extend(vec![(2, 3, after_ms(350)); 50]);
        let mut strategy = strategy();
        check(&mut strategy, &altered, &waits);
        check(&mut strategy, &ExitReason::Hung, &[(200, 300, after_ms(100))]);
    }

    #[test]
    fn configuration_pauses_for_ever_and_counts_as_no_restart() {
        let pause = Decision::Pause(Duration::from_secs(10));
        let mut strategy = strategy();
        check(&mut strategy, &ExitReason::Configuration("table gone".into()), &vec![(0, 1, pause); 50]);
        check(&mut strategy, &ExitReason::Aligned, &vec![(0, 1, after_ms(100)); 50]);
        check(&mut strategy, &ExitReason::Hung, &[(0, 1, after_ms(100))]);
    }

    #[test]
    fn jitter_only_shortens() {
        let decision = strategy().failed(&ExitReason::Hung, Duration::from_secs(1), 1.0);
        assert_eq!(decision, after_ms(50));
    }
}
