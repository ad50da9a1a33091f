//! When an issuer's keys are fetched: by their age, again after a failure, and, not too often,
//! because somebody bears a key that is not among them.

use std::time::{Duration, Instant};

use crate::limits::keys::{
    FETCH_RETRY_MAX, FETCH_RETRY_MIN, KEYS_AGE_DEFAULT, KEYS_AGE_MAX, KEYS_AGE_MIN,
    UNKNOWN_KEY_INTERVAL,
};
use crate::time::Now;

/// One issuer's.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    next_at: Instant,
    is_fetching: bool,
    /// When an unknown key last had them fetched.
    wanted_at: Option<Instant>,
    /// In a row.
    failures: u32,
}

impl Schedule {
    /// Due at once.
    pub(super) fn new(now: Now) -> Self {
        Self { next_at: now.mono, is_fetching: false, wanted_at: None, failures: 0 }
    }

    /// A token names a key that is not there. Whether a fetch that may bring it comes at once.
    pub(super) fn want(&mut self, now: Now) -> bool {
        if self.is_fetching || self.next_at <= now.mono {
            return true;
        }
        if self.wanted_at.is_some_and(|at| now.mono < at + UNKNOWN_KEY_INTERVAL) {
            return false;
        }
        self.wanted_at = Some(now.mono);
        self.next_at = now.mono;
        true
    }

    /// How long until the next fetch.
    pub(super) fn wait(&self, now: Now) -> Duration {
        self.next_at.saturating_duration_since(now.mono)
    }

    pub(super) fn begin(&mut self) {
        self.is_fetching = true;
    }

    /// They came, good for this long if their server says; the pause until the next time.
    pub(super) fn succeeded(&mut self, now: Now, keep_for: Option<Duration>) -> Duration {
        let age = keep_for.unwrap_or(KEYS_AGE_DEFAULT).clamp(KEYS_AGE_MIN, KEYS_AGE_MAX);
        self.failures = 0;
        self.done(now, age)
    }

    /// They did not come; the pause until the next time.
    pub(super) fn failed(&mut self, now: Now) -> Duration {
        let doublings = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let pause = FETCH_RETRY_MIN.saturating_mul(1 << doublings).min(FETCH_RETRY_MAX);
        self.done(now, pause)
    }

    fn done(&mut self, now: Now, pause: Duration) -> Duration {
        self.is_fetching = false;
        self.next_at = now.mono + pause;
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn keys_are_kept_as_long_as_their_server_says_from_a_minute_to_a_day() {
        let now = Now::read();
        let mut schedule = Schedule::new(now);
        assert_eq!(schedule.wait(now), s(0), "at first they are fetched at once");
        for (said, kept) in [
            (Some(s(0)), 60),
            (Some(s(60)), 60),
            (Some(s(61)), 61),
            (Some(s(86_400)), 86_400),
            (Some(s(86_401)), 86_400),
            (Some(s(u64::MAX)), 86_400),
            (None, 600),
        ] {
            schedule.begin();
            assert_eq!(schedule.succeeded(now, said), s(kept), "{said:?}");
            assert_eq!(schedule.wait(now.after(s(kept - 1))), s(1));
            assert_eq!(schedule.wait(now.after(s(kept))), s(0));
        }
    }

    #[test]
    fn after_failures_the_pause_doubles_up_to_its_bound_and_begins_anew_after_a_success() {
        let now = Now::read();
        let mut schedule = Schedule::new(now);
        let pauses: Vec<u64> = (0..9).map(|_| schedule.failed(now).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        schedule.failures = u32::MAX;
        assert_eq!(schedule.failed(now), FETCH_RETRY_MAX);
        schedule.succeeded(now, None);
        assert_eq!(schedule.failed(now), FETCH_RETRY_MIN);
    }

    #[test]
    fn an_unknown_key_has_them_fetched_once_a_minute_and_no_more() {
        let now = Now::read();
        let mut schedule = Schedule::new(now);
        schedule.begin();
        assert!(schedule.want(now), "one is under way");
        schedule.succeeded(now, None);
        assert!(schedule.want(now.after(s(1))));
        assert_eq!(schedule.wait(now.after(s(1))), s(0));
        schedule.begin();
        schedule.succeeded(now.after(s(2)), None);
        assert!(!schedule.want(now.after(s(3))));
        assert!(schedule.wait(now.after(s(3))) > s(500));
        assert!(!schedule.want(now.after(s(60))));
        assert!(schedule.want(now.after(s(61))));
        // The server is down: strangers do not make it be asked more often, either.
        schedule.begin();
        schedule.failed(now.after(s(61)));
        assert!(!schedule.want(now.after(s(62))));
        assert!(schedule.want(now.after(s(66))), "the next try is due anyway");
    }
}
