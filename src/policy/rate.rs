//! How fast: a token bucket in integers, exact over any length of time.

use std::time::{Duration, Instant};

/// Lets `per_s` tokens a second through in the long run and `burst` at once.
///
/// 32 bytes, one per allocation or source. Full when made; a clock that stands still or goes back
/// adds nothing and takes nothing away.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    // Billionths of a token, so that one nanosecond adds exactly `per_s` of them. At most
    // `burst` tokens: below 2^62.
    level: u64,
    filled_at: Option<Instant>,
    per_s: u32,
    burst: u32,
}

const TOKEN: u64 = 1_000_000_000;

impl TokenBucket {
    /// A full bucket. With `per_s` 0 it never fills again; with `burst` 0 it gives nothing.
    #[must_use]
    pub fn new(per_s: u32, burst: u32) -> Self {
        Self { level: u64::from(burst) * TOKEN, filled_at: None, per_s, burst }
    }

    /// Takes `n` tokens, or none if fewer are there. More than `burst` are never there.
    pub fn take(&mut self, now: Instant, n: u32) -> bool {
        self.fill(now);
        let Some(left) = self.level.checked_sub(u64::from(n) * TOKEN) else { return false };
        self.level = left;
        true
    }

    /// How long until `n` tokens are there; [`Duration::MAX`] if they never will be.
    pub fn wait(&mut self, now: Instant, n: u32) -> Duration {
        self.fill(now);
        let missing = (u64::from(n) * TOKEN).saturating_sub(self.level);
        match missing {
            0 => Duration::ZERO,
            _ if self.per_s == 0 || n > self.burst => Duration::MAX,
            _ => Duration::from_nanos(missing.div_ceil(u64::from(self.per_s))),
        }
    }

    fn fill(&mut self, now: Instant) {
        let since = *self.filled_at.get_or_insert(now);
        let Some(elapsed) = now.checked_duration_since(since) else { return };
        let full = u64::from(self.burst) * TOKEN;
        let gained = elapsed.as_nanos().saturating_mul(u128::from(self.per_s));
        let gained = u64::try_from(gained).unwrap_or(u64::MAX);
        self.level = self.level.saturating_add(gained).min(full);
        self.filled_at = Some(now);
    }
}

/// Lets `per_s` units a second through in the long run, of things that are judged before their
/// size is known, or that are larger than what is there: whoever finds it above zero passes, and
/// its whole size is charged, on credit where it must be.
#[derive(Debug, Clone)]
pub struct Meter {
    // Billionths of a unit, as above; below zero by one charge at the most.
    level: i128,
    filled_at: Option<Instant>,
    per_s: u64,
    depth: u64,
}

impl Meter {
    /// A full meter; at most `depth` units are ever saved up.
    #[must_use]
    pub fn new(per_s: u64, depth: u64) -> Self {
        Self { level: i128::from(depth) * UNIT, filled_at: None, per_s, depth }
    }

    /// Whether anything may pass.
    pub fn is_open(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level > 0
    }

    /// Whether half of what can be saved up is there.
    pub fn is_half_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level * 2 > i128::from(self.depth) * UNIT
    }

    /// Takes the size of what passed.
    pub fn charge(&mut self, units: u64) {
        self.level -= i128::from(units) * UNIT;
    }

    fn fill(&mut self, now: Instant) {
        let since = *self.filled_at.get_or_insert(now);
        if now <= since {
            return;
        }
        let gained = now.duration_since(since).as_nanos().saturating_mul(u128::from(self.per_s));
        let gained = i128::try_from(gained).unwrap_or(i128::MAX);
        self.level = self.level.saturating_add(gained).min(i128::from(self.depth) * UNIT);
        self.filled_at = Some(now);
    }
}

const UNIT: i128 = 1_000_000_000;

const _: () = assert!(size_of::<TokenBucket>() <= 32);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Now;

    #[test]
    fn a_bucket_says_how_long_to_wait_and_keeps_its_word() {
        let start = Now::read().mono;
        let mut bucket = TokenBucket::new(3, 10);
        assert_eq!(bucket.wait(start, 10), Duration::ZERO);
        assert!(bucket.take(start, 9));
        let wait = bucket.wait(start, 2);
        assert!(!bucket.take(start + wait - Duration::from_nanos(1), 2));
        assert!(bucket.take(start + wait, 2));
        assert_eq!(bucket.wait(start, 11), Duration::MAX);
        assert_eq!(TokenBucket::new(0, 0).wait(start, 1), Duration::MAX);
    }

    #[test]
    fn a_meter_lets_the_rate_through_whatever_the_sizes() {
        for size in [1, 100, 1500, 65_507] {
            let start = Now::read().mono;
            let mut meter = Meter::new(125_000, 31_250);
            let mut passed = 0;
            for ms in 0..20_000 {
                while meter.is_open(start + Duration::from_millis(ms)) {
                    meter.charge(size);
                    passed += size;
                }
            }
            let most = 20 * 125_000 + 31_250 + size;
            assert!((most - 2 * size - 1000..=most).contains(&passed), "{passed} of {size}");
        }
    }

    #[test]
    fn a_meter_saves_up_no_more_than_its_depth() {
        let start = Now::read().mono;
        let mut meter = Meter::new(10, 5);
        let mut drain = |s| {
            let now = start + Duration::from_secs(s);
            std::iter::from_fn(|| meter.is_open(now).then(|| meter.charge(1))).count()
        };
        assert_eq!((drain(0), drain(0), drain(3600), drain(3600)), (5, 0, 5, 0));
        // A clock that goes back adds nothing.
        assert_eq!(drain(1), 0);
    }
}
