//! How often a session may ask, and when its patience is over; when a tenant has nearly all its calls.

use std::collections::VecDeque;
use std::time::Instant;

use super::fact::Fact;
use super::refusal::Refusal;
use super::switchboard::Switchboard;
use crate::auth::identity::TenantId;
use crate::limits::call::{
    PRESENCE_BURST, PRESENCE_WINDOW_S, REQUESTS_BURST, REQUESTS_PER_S, STRIKE_INTERVAL,
    STRIKE_WINDOW, STRIKES_MAX,
};
use crate::limits::quota::QUOTA_NEAR_PERCENT;
use crate::policy::rate::TokenBucket;

impl Switchboard {
    /// Says when a tenant comes near its bound of calls, and when it is no longer.
    pub(super) fn weigh_calls(&mut self, tenant: &TenantId) {
        let calls_max = self.options(tenant).calls_max;
        let Some(live) = self.live_by_tenant.get_mut(tenant) else { return };
        let calls = live.calls;
        let is_near = calls > 0 && calls * 100 >= calls_max * QUOTA_NEAR_PERCENT;
        if is_near == std::mem::replace(&mut live.is_near_bound, is_near) {
            return;
        }
        let tenant = tenant.clone();
        self.fact(Fact::CallsNearBound { tenant, calls, calls_max, is_near });
    }
}

/// The buckets of one session.
#[derive(Debug)]
pub(super) struct Rates {
    requests: TokenBucket,
    presence: TokenBucket,
    strikes: VecDeque<Instant>,
}

impl Rates {
    pub(super) fn new() -> Self {
        Self {
            requests: TokenBucket::new(REQUESTS_PER_S, REQUESTS_BURST),
            // A token is worth 1 / (burst * window) of what may come in a window.
            presence: TokenBucket::new(PRESENCE_BURST, PRESENCE_BURST * PRESENCE_WINDOW_S),
            strikes: VecDeque::new(),
        }
    }

    /// # Errors
    /// `rate_limited`.
    pub(super) fn request(&mut self, now: Instant) -> Result<(), Refusal> {
        take(&mut self.requests, now, 1, "requests")
    }

    /// # Errors
    /// `rate_limited`.
    pub(super) fn presence(&mut self, now: Instant) -> Result<(), Refusal> {
        take(&mut self.presence, now, PRESENCE_WINDOW_S, "presence requests")
    }

    /// Notes that something was over its rate; whether the session is to be closed.
    #[must_use]
    pub(super) fn strike(&mut self, now: Instant) -> bool {
        if self.strikes.back().is_some_and(|last| now < *last + STRIKE_INTERVAL) {
            return false;
        }
        self.strikes.push_back(now);
        while self.strikes.front().is_some_and(|first| *first + STRIKE_WINDOW <= now) {
            self.strikes.pop_front();
        }
        if self.strikes.len() < STRIKES_MAX {
            return false;
        }
        self.strikes.clear();
        true
    }
}

/// Takes `n` tokens, or says when they will be there.
///
/// # Errors
/// `rate_limited`.
pub(super) fn take(
    bucket: &mut TokenBucket,
    now: Instant,
    n: u32,
    what: &str,
) -> Result<(), Refusal> {
    if bucket.take(now, n) {
        return Ok(());
    }
    Err(Refusal::too_often(what, bucket.wait(now, n)))
}
