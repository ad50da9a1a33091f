//! Lengths of time, all of them kept: quantiles are exact.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::report::Quantiles;

/// Microseconds, of any order. Bounded by the rate and the length of a run.
#[derive(Debug, Default)]
pub(super) struct Samples(Mutex<Vec<u32>>);

impl Samples {
    pub(super) fn add(&self, length: Duration) {
        self.lock().push(u32::try_from(length.as_micros()).unwrap_or(u32::MAX));
    }

    /// `None` of none.
    pub(super) fn quantiles(&self) -> Option<Quantiles> {
        let mut sorted = self.lock().clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        // The smallest that at least this part of all do not exceed.
        let at = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
            f64::from(sorted[rank.min(last)]) / 1000.0
        };
        Some(Quantiles { p50: at(50), p99: at(99), max: at(100) })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_was_seen_and_covers_its_part() {
        let samples = Samples::default();
        assert_eq!(samples.quantiles(), None);
        for ms in (1..=200).rev() {
            samples.add(Duration::from_millis(ms));
        }
        let Quantiles { p50, p99, max } = samples.quantiles().expect("there are some");
        assert_eq!((p50, p99, max), (100.0, 198.0, 200.0));
        let one = Samples::default();
        one.add(Duration::from_micros(1500));
        assert_eq!(one.quantiles(), Some(Quantiles { p50: 1.5, p99: 1.5, max: 1.5 }));
    }
}
