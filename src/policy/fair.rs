//! One rate for everybody, shared so that nobody's appetite costs another his share.
//!
//! Time goes in windows of 10 ms. In each, every active user earns an equal part of the total as
//! credit, and may send while he has some: that is his share, whatever others do. What users leave
//! of their shares collects in a pool that anybody may send from who has no credit left. A user who
//! stays below his share therefore loses nothing, and one who wants more gets at least his share.

use std::time::Instant;

use crate::limits::{
    RATE_ACTIVE_WINDOWS, RATE_POOL_WINDOWS, RATE_SAVED_BYTES_MIN, RATE_SAVED_PACKETS_MIN,
    RATE_SAVED_WINDOWS, RATE_WINDOW,
};

/// What one shard may let through in a window, in parts of a unit (bytes or datagrams).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    per_window: u64,
}

/// A total, and who shares it. Constant work per datagram, however many users there are.
#[derive(Debug)]
pub struct FairShare {
    lease: Lease,
    saved_min: u64,
    started: Option<Instant>,
    window: u64,
    /// What one active user earned since the start; wraps.
    earned: u64,
    /// What is left of the total, below zero while saved credit is spent faster than it comes.
    pool: i64,
    active: u32,
    /// How many of the active were last seen in which window, as a ring.
    seen: [u32; RATE_ACTIVE_WINDOWS as usize],
    /// The most users that were active lately, times 256; falls by half in two seconds. It keeps
    /// what all of them have saved up below a quarter second of the total.
    peak: u32,
}

/// One user of a [`FairShare`].
#[derive(Debug, Clone, Default)]
pub struct Member {
    credit: i64,
    /// `FairShare::earned` when the credit was last brought up to date.
    earned: u64,
    /// Last seen; `None` before the first datagram.
    window: Option<u64>,
}

/// Parts of a unit: with 4,096 of them a share of a byte in ten windows still counts.
const UNIT: u64 = 1 << 12;
/// This much of each share is held back. It pays for credit that was saved up earlier.
const HELD_BACK: u64 = 128;

impl Lease {
    /// The part of shard number `shard` in a total of `per_s` that `shards` share.
    ///
    /// # Panics
    /// If there is no such shard.
    #[must_use]
    pub fn of(per_s: u64, shard: u8, shards: u8) -> Self {
        assert!(shard < shards, "shards are counted from 0");
        let windows_per_s = (1000 / RATE_WINDOW.as_millis()) as u64;
        let all = per_s.saturating_mul(UNIT) / windows_per_s;
        let (part, rest) = (all / u64::from(shards), all % u64::from(shards));
        Self { per_window: part + u64::from(u64::from(shard) < rest) }
    }
}

impl FairShare {
    /// Shares bytes.
    #[must_use]
    pub fn of_bytes(lease: Lease) -> Self {
        Self::new(lease, RATE_SAVED_BYTES_MIN)
    }

    /// Shares datagrams.
    #[must_use]
    pub fn of_packets(lease: Lease) -> Self {
        Self::new(lease, RATE_SAVED_PACKETS_MIN)
    }

    fn new(lease: Lease, saved_min: u64) -> Self {
        Self {
            lease,
            saved_min: saved_min * UNIT,
            started: None,
            window: 0,
            earned: 0,
            pool: lease.pool_max(),
            active: 0,
            seen: [0; RATE_ACTIVE_WINDOWS as usize],
            peak: 0,
        }
    }

    /// From the next window on there is so much to share.
    pub fn renew(&mut self, lease: Lease) {
        self.lease = lease;
    }

    /// Whether `member` may send; he counts as active either way.
    pub fn is_open(&mut self, now: Instant, member: &mut Member) -> bool {
        self.advance(now);
        self.meet(member);
        member.credit > 0 || self.pool > 0
    }

    /// Takes what he sent, after [`Self::is_open`].
    pub fn charge(&mut self, member: &mut Member, units: u64) {
        let amount = i64::try_from(units.saturating_mul(UNIT)).unwrap_or(i64::MAX);
        if member.credit > 0 {
            member.credit = member.credit.saturating_sub(amount);
        }
        self.pool = self.pool.saturating_sub(amount);
    }

    /// Users who sent something in the last quarter second.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.active
    }

    fn advance(&mut self, now: Instant) {
        let started = *self.started.get_or_insert(now);
        let since = now.saturating_duration_since(started).as_millis() / RATE_WINDOW.as_millis();
        let window = u64::try_from(since).unwrap_or(u64::MAX);
        // After so many windows nobody is active any more, and one step does for the rest.
        let first = window.saturating_sub(RATE_ACTIVE_WINDOWS + 1).max(self.window);
        self.turn_over(first.saturating_sub(self.window));
        while self.window < window {
            self.turn_over(1);
        }
    }

    /// Lets windows go by in which the number of active users does not change.
    fn turn_over(&mut self, windows: u64) {
        if windows == 0 {
            return;
        }
        let share = self.lease.per_window / u64::from(self.active.max(1));
        let share = share - share / HELD_BACK;
        self.earned = self.earned.wrapping_add(share.saturating_mul(windows));
        let more = i64::try_from(self.lease.per_window.saturating_mul(windows));
        self.pool = self.pool.saturating_add(more.unwrap_or(i64::MAX)).min(self.lease.pool_max());
        self.peak = if windows > 1024 { 0 } else { self.peak - self.peak / 256 };
        self.window += windows;
        // Whoever was last seen when this place of the ring was used before is idle.
        let place = self.window % RATE_ACTIVE_WINDOWS;
        self.active -= std::mem::take(&mut self.seen[place as usize]);
        if windows > RATE_ACTIVE_WINDOWS {
            (self.active, self.seen) = (0, [0; RATE_ACTIVE_WINDOWS as usize]);
        }
    }

    /// Notes that a member is active, and brings his credit up to date.
    fn meet(&mut self, member: &mut Member) {
        let ring = |window: u64| (window % RATE_ACTIVE_WINDOWS) as usize;
        match member.window {
            Some(window) if window == self.window => {}
            Some(window) if self.window - window < RATE_ACTIVE_WINDOWS => {
                self.seen[ring(window)] -= 1;
                self.seen[ring(self.window)] += 1;
            }
            Some(_) | None => {
                self.active += 1;
                self.seen[ring(self.window)] += 1;
                self.peak = self.peak.max(self.active.saturating_mul(256));
            }
        }
        let saved_max = self.lease.per_window.saturating_mul(RATE_SAVED_WINDOWS * 256)
            / u64::from(self.peak.max(256));
        let saved_max = saved_max.max(self.saved_min);
        let earned = match member.window {
            Some(_) => self.earned.wrapping_sub(member.earned).min(saved_max),
            // Some, so that his first frame passes; not all, since many may come at one moment.
            None => (saved_max / 4).max(self.saved_min),
        };
        let [earned, saved_max] = [earned, saved_max].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        member.credit = member.credit.saturating_add(earned).min(saved_max);
        member.earned = self.earned;
        member.window = Some(self.window);
    }

    /// Takes a member out who will not send any more.
    pub fn leave(&mut self, member: &Member) {
        if let Some(window) = member.window
            && self.window - window < RATE_ACTIVE_WINDOWS
        {
            self.seen[(window % RATE_ACTIVE_WINDOWS) as usize] -= 1;
            self.active -= 1;
        }
    }
}

impl Lease {
    fn pool_max(self) -> i64 {
        i64::try_from(self.per_window.saturating_mul(RATE_POOL_WINDOWS)).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
#[path = "fair/tests.rs"]
mod tests;
