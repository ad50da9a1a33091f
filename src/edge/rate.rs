//! A rate with a burst, kept as one instant per client.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::time::Now;

/// So many a second in the long run, so many at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_s: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

/// What one client has left.
///
/// Kept as the instant at which the bucket will be full again (the generic cell rate algorithm):
/// nothing to refill, no rounding, and an unused bucket costs nothing.
#[derive(Debug)]
pub(crate) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// A bucket nobody has taken from.
    pub(crate) fn full(now: Now) -> Self {
        Self { full_at: now.mono }
    }

    /// Takes one.
    ///
    /// # Errors
    /// Empty: how long until the next one; nothing is taken then.
    pub(crate) fn take(&mut self, now: Now, rate: Rate) -> Result<(), Duration> {
        let interval = Duration::from_secs(1) / rate.per_s.get();
        let owed = self.full_at.saturating_duration_since(now.mono);
        let room = interval * (rate.burst.get() - 1);
        if owed > room {
            return Err(owed - room);
        }
        self.full_at = now.mono + owed + interval;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_s: u32, burst: u32) -> Rate {
        Rate { per_s: per_s.try_into().unwrap(), burst: burst.try_into().unwrap() }
    }

    #[test]
    fn a_burst_passes_the_next_one_waits_for_its_interval_and_not_longer() {
        let start = Now::read();
        let mut bucket = Bucket::full(start);
        for _ in 0..4 {
            assert_eq!(bucket.take(start, rate(2, 4)), Ok(()));
        }
        assert_eq!(bucket.take(start, rate(2, 4)), Err(Duration::from_millis(500)));
        let early = start.after(Duration::from_millis(499));
        assert_eq!(bucket.take(early, rate(2, 4)), Err(Duration::from_millis(1)));
        let on_time = start.after(Duration::from_millis(500));
        assert_eq!(bucket.take(on_time, rate(2, 4)), Ok(()));
        assert!(bucket.take(on_time, rate(2, 4)).is_err());
    }

    #[test]
    fn a_long_rest_gives_one_burst_and_no_more() {
        let start = Now::read();
        let mut bucket = Bucket::full(start);
        let later = start.after(Duration::from_secs(3600));
        assert_eq!((0..100).filter(|_| bucket.take(later, rate(50, 7)).is_ok()).count(), 7);
    }
}
