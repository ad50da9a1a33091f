//! How fast: a token bucket in integers, exact over any length of time.

use std::time::Instant;

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

const _: () = assert!(size_of::<TokenBucket>() <= 32);
