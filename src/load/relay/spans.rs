//! Lengths of time in bounded memory: quantiles are right within 1.6 %.

use std::time::Duration;

use serde::Serialize;

/// Steps between a power of two and the next.
const STEPS: u64 = 64;
/// Powers of two above [`STEPS`]: up to four minutes in nanoseconds.
const POWERS: u64 = 32;

/// How often each length was seen.
#[derive(Debug, Clone)]
pub(super) struct Spans {
    counts: Vec<u64>,
    all: u64,
    longest_ns: u64,
}

/// Microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Half of all were not longer.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Spans {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; (STEPS * (POWERS + 1)) as usize], all: 0, longest_ns: 0 }
    }

    pub(super) fn add(&mut self, length: Duration) {
        self.add_ns(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(super) fn add_ns(&mut self, ns: u64) {
        self.counts[place(ns)] += 1;
        self.all += 1;
        self.longest_ns = self.longest_ns.max(ns);
    }

    pub(super) fn clear(&mut self) {
        self.counts.fill(0);
        (self.all, self.longest_ns) = (0, 0);
    }

    /// `None` of none.
    pub(super) fn spread(&self) -> Option<Spread> {
        let us = |ns: u64| ns as f64 / 1000.0;
        let at = |per_mille: u64| {
            let rank = (self.all * per_mille).div_ceil(1000).max(1);
            let mut count = 0;
            let found = self.counts.iter().position(|here| {
                count += here;
                count >= rank
            });
            us(found.map_or(self.longest_ns, longest_at).min(self.longest_ns))
        };
        let spread = Spread { p50: at(500), p99: at(990), p999: at(999), max: us(self.longest_ns) };
        (self.all > 0).then_some(spread)
    }
}

fn place(ns: u64) -> usize {
    let power = u64::from(ns.max(STEPS).ilog2() - STEPS.ilog2());
    let place = if ns < STEPS { ns } else { STEPS * power + (ns >> power) };
    place.min(STEPS * (POWERS + 1) - 1) as usize
}

/// The longest that is counted in a place.
fn longest_at(place: usize) -> u64 {
    let place = place as u64;
    if place < 2 * STEPS {
        return place;
    }
    let power = place / STEPS - 1;
    ((place - STEPS * power + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_within_a_few_percent_from_nanoseconds_to_minutes() {
        for unit in [1_u64, 100, 1_000, 1_000_000, 100_000_000] {
            let mut spans = Spans::new();
            assert_eq!(spans.spread(), None);
            (1..=2000).rev().for_each(|count| spans.add_ns(count * unit));
            let spread = spans.spread().expect("there are some");
            for (found, count) in [(spread.p50, 1000), (spread.p99, 1980), (spread.p999, 1998)] {
                let right = (count * unit) as f64 / 1000.0;
                assert!((found / right - 1.0).abs() < 0.02, "{found} is not {right}");
            }
            assert_eq!(spread.max, (2000 * unit) as f64 / 1000.0);
            spans.clear();
            assert_eq!(spans.spread(), None);
        }
    }

    #[test]
    fn what_is_longer_than_anything_is_the_longest() {
        let mut spans = Spans::new();
        spans.add(Duration::from_secs(3600));
        spans.add_ns(u64::MAX);
        assert_eq!(spans.spread().expect("two").max, u64::MAX as f64 / 1000.0);
    }

    #[test]
    fn every_length_lies_in_the_place_that_ends_at_or_behind_it() {
        for ns in
            (0..5000).chain((0..36).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]))
        {
            let longest = longest_at(place(ns));
            assert!(longest >= ns && longest - ns <= ns / 32, "{ns} {longest}");
            assert!(ns == 0 || place(ns) - place(ns - 1) <= 1, "{ns}");
        }
    }
}
