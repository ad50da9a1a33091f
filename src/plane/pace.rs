//! Turn pacing: at medium load a shard rests for a moment between two turns, so that the datagrams
//! which come meanwhile cost one wake-up together and not one each.
//!
//! A wake-up costs more than a datagram. Below the window there is nothing to gain but latency to
//! lose; above it datagrams wait already when a turn ends, and the rest would only be in the way.

use std::time::{Duration, Instant};

use crate::limits::{PACE_REST, PACED_PER_S_MAX, PACED_PER_S_MIN};

/// How long datagrams are counted before the load is judged.
const WINDOW: Duration = Duration::from_millis(20);
/// Outside of the bounds by this part, a shard that rests goes on resting.
const HYSTERESIS: u64 = 4;

/// When a shard rests.
#[derive(Debug)]
pub(super) struct Pace {
    is_on: bool,
    is_resting: bool,
    began: Option<Instant>,
    datagrams: u64,
}

impl Pace {
    /// `is_on`: whether it may rest at all.
    pub(super) fn new(is_on: bool) -> Self {
        Self { is_on, is_resting: false, began: None, datagrams: 0 }
    }

    /// A turn began at `now` and brought so many datagrams; says how long to rest after it.
    pub(super) fn turn(&mut self, now: Instant, datagrams: usize) -> Option<Duration> {
        if !self.is_on {
            return None;
        }
        self.datagrams += datagrams as u64;
        let elapsed = now.saturating_duration_since(*self.began.get_or_insert(now));
        if elapsed >= WINDOW {
            let per_s = self.datagrams * 1_000_000 / elapsed.as_micros().max(1) as u64;
            let slack = if self.is_resting { HYSTERESIS } else { u64::MAX };
            let (low, high) = (PACED_PER_S_MIN, PACED_PER_S_MAX);
            self.is_resting = (low - low / slack..=high + high / slack).contains(&per_s);
            (self.began, self.datagrams) = (Some(now), 0);
        }
        // A turn that brought nothing waits for the next event anyway.
        (self.is_resting && datagrams > 0).then_some(PACE_REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Now;

    /// Whether it rests at the end of a second of turns with `per_s` datagrams.
    fn rests(pace: &mut Pace, now: &mut Now, per_s: u64) -> bool {
        let mut rest = None;
        for _ in 0..1000 {
            *now = now.after(Duration::from_millis(1));
            rest = pace.turn(now.mono, usize::try_from(per_s / 1000).unwrap());
        }
        rest.is_some()
    }

    #[test]
    fn it_rests_at_medium_load_only_and_changes_its_mind_late() {
        let (mut pace, mut now) = (Pace::new(true), Now::read());
        let mut at = |per_s| rests(&mut pace, &mut now, per_s);
        let (low, high) = (PACED_PER_S_MIN, PACED_PER_S_MAX);
        assert!(!at(1000));
        assert!(!at(low - 1000));
        assert!(at(low));
        assert!(at(low - 1000), "it rests already");
        assert!(!at(low - low / HYSTERESIS - 1000));
        assert!(!at(low - 1000));
        assert!(at(high));
        assert!(at(high + 1000), "it rests already");
        assert!(!at(high + high / HYSTERESIS + 1000));
        assert!(!at(high + 1000));
        assert!(at(20_000));
    }

    #[test]
    fn a_turn_that_brought_nothing_and_a_shard_that_may_not_go_on_at_once() {
        let (mut pace, mut off, mut now) = (Pace::new(true), Pace::new(false), Now::read());
        assert!(rests(&mut pace, &mut now, 20_000));
        assert_eq!(pace.turn(now.mono, 0), None);
        assert_eq!(pace.turn(now.mono, 1), Some(PACE_REST));
        assert!(!rests(&mut off, &mut now, 20_000));
    }

    #[test]
    fn after_a_long_silence_it_does_not_rest() {
        let (mut pace, mut now) = (Pace::new(true), Now::read());
        assert!(rests(&mut pace, &mut now, 20_000));
        assert_eq!(pace.turn(now.after(Duration::from_secs(1)).mono, 1), None);
    }
}
