//! What was measured lately, in a bounded number of samples: every 10 s for an hour, every 5 min
//! for a day.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::json::History;
use crate::limits::diagnose::{DAY_SAMPLES_MAX, HOUR_SAMPLES_MAX, SAMPLES_PER_DAY_SAMPLE};

/// One moment: rates since the sample before, counts as they were.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// Unix milliseconds; the end of what it stands for.
    pub at: i64,
    /// Live allocations; of several samples the most.
    pub allocations: u64,
    /// Bits a second from clients to peers.
    pub bits_to_peers: u64,
    /// Bits a second from peers to clients.
    pub bits_to_clients: u64,
    /// Datagrams a second, both ways.
    pub packets: u64,
    /// Requests with credentials that were refused.
    pub refused: u64,
    /// Datagrams that the kernel threw away at our sockets.
    pub drops: u64,
    /// Of one core.
    pub cpu_percent: f64,
    /// Memory in use; of several samples the most.
    pub resident_bytes: u64,
}

/// Counters at one moment, which only grow while the daemon runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Totals {
    /// Unix milliseconds, for people.
    pub at: i64,
    /// Milliseconds that do not leap, from any beginning.
    pub mono_ms: u64,
    /// Live allocations.
    pub allocations: u64,
    /// Bytes from clients to peers.
    pub bytes_to_peers: u64,
    /// Bytes from peers to clients.
    pub bytes_to_clients: u64,
    /// Datagrams, both ways.
    pub packets: u64,
    /// Refused requests by cause, always in the same order.
    pub refused: Vec<u64>,
    /// Datagrams thrown away.
    pub drops: u64,
    /// CPU time, seconds.
    pub cpu_s: f64,
    /// Memory in use.
    pub resident_bytes: u64,
}

/// The samples.
#[derive(Debug, Default)]
pub struct Ring {
    hour: VecDeque<(Totals, Sample)>,
    day: VecDeque<Sample>,
    /// Samples since the last one of the day.
    since_day: usize,
    last: Option<Totals>,
}

impl Ring {
    /// Takes a reading in and says what it makes; none at the first, which has nothing before it.
    pub fn push(&mut self, totals: Totals) -> Option<Sample> {
        let before = self.last.replace(totals.clone())?;
        let sample = between(&before, &totals);
        if self.hour.len() >= HOUR_SAMPLES_MAX {
            self.hour.pop_front();
        }
        self.hour.push_back((before, sample));
        self.since_day += 1;
        if self.since_day >= SAMPLES_PER_DAY_SAMPLE {
            self.since_day = 0;
            if self.day.len() >= DAY_SAMPLES_MAX {
                self.day.pop_front();
            }
            let latest = self.hour.iter().rev().take(SAMPLES_PER_DAY_SAMPLE);
            self.day.push_back(together(latest.map(|(_, sample)| sample)));
        }
        Some(sample)
    }

    /// The last sample.
    #[must_use]
    pub fn latest(&self) -> Option<Sample> {
        self.hour.back().map(|(_, sample)| *sample)
    }

    /// What was counted at the beginning of the last hour, or when counting began.
    #[must_use]
    pub fn an_hour_ago(&self) -> Option<&Totals> {
        self.hour.front().map(|(before, _)| before).or(self.last.as_ref())
    }

    /// All samples, oldest first.
    #[must_use]
    pub fn history(&self) -> History {
        History {
            hour: self.hour.iter().map(|(_, sample)| *sample).collect(),
            day: self.day.iter().copied().collect(),
        }
    }
}

fn between(before: &Totals, after: &Totals) -> Sample {
    let ms = after.mono_ms.saturating_sub(before.mono_ms).max(1);
    let per_s = |before: u64, after: u64| after.saturating_sub(before).saturating_mul(1000) / ms;
    let sum = |totals: &Totals| totals.refused.iter().sum::<u64>();
    Sample {
        at: after.at,
        allocations: after.allocations,
        bits_to_peers: per_s(before.bytes_to_peers, after.bytes_to_peers).saturating_mul(8),
        bits_to_clients: per_s(before.bytes_to_clients, after.bytes_to_clients).saturating_mul(8),
        packets: per_s(before.packets, after.packets),
        refused: sum(after).saturating_sub(sum(before)),
        drops: after.drops.saturating_sub(before.drops),
        cpu_percent: round((after.cpu_s - before.cpu_s).max(0.0) * 100_000.0 / ms as f64),
        resident_bytes: after.resident_bytes,
    }
}

/// Rates are averaged, counts added, what stands is the most of it. `samples`: newest first.
fn together<'a>(samples: impl Iterator<Item = &'a Sample>) -> Sample {
    let (mut all, mut count) = (Sample::default(), 0_u64);
    for sample in samples {
        count += 1;
        all.at = all.at.max(sample.at);
        all.allocations = all.allocations.max(sample.allocations);
        all.bits_to_peers += sample.bits_to_peers;
        all.bits_to_clients += sample.bits_to_clients;
        all.packets += sample.packets;
        all.refused += sample.refused;
        all.drops += sample.drops;
        all.cpu_percent += sample.cpu_percent;
        all.resident_bytes = all.resident_bytes.max(sample.resident_bytes);
    }
    let count = count.max(1);
    all.bits_to_peers /= count;
    all.bits_to_clients /= count;
    all.packets /= count;
    all.cpu_percent = round(all.cpu_percent / count as f64);
    all
}

/// To a tenth: a plot shows no more.
fn round(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(at_s: u64, bytes: u64) -> Totals {
        Totals {
            at: (at_s * 1000) as i64,
            mono_ms: at_s * 1000,
            allocations: at_s,
            bytes_to_peers: bytes,
            packets: bytes / 100,
            refused: vec![at_s, 0],
            cpu_s: at_s as f64 / 2.0,
            ..Totals::default()
        }
    }

    #[test]
    fn the_first_reading_has_nothing_to_compare_with_and_the_next_makes_rates() {
        let mut ring = Ring::default();
        assert_eq!(ring.push(totals(0, 5_000)), None);
        let sample = ring.push(totals(10, 17_500)).unwrap();
        assert_eq!((sample.bits_to_peers, sample.packets), (10_000, 12));
        assert_eq!((sample.refused, sample.allocations), (10, 10));
        assert!((sample.cpu_percent - 50.0).abs() < 0.01, "{sample:?}");
        assert_eq!(ring.an_hour_ago().unwrap().bytes_to_peers, 5_000);
    }

    #[test]
    fn a_counter_that_began_anew_is_no_rate_and_no_panic() {
        let mut ring = Ring::default();
        ring.push(totals(10, 5_000));
        let sample = ring.push(totals(10, 0)).unwrap();
        assert_eq!((sample.bits_to_peers, sample.refused), (0, 0));
    }

    #[test]
    fn an_hour_and_a_day_are_kept_and_the_oldest_goes() {
        let mut ring = Ring::default();
        let readings = HOUR_SAMPLES_MAX + 1;
        for n in 0..readings as u64 {
            ring.push(totals(n * 10, n * 1250));
        }
        let history = ring.history();
        assert_eq!((history.hour.len(), history.hour[0].at), (HOUR_SAMPLES_MAX, 10_000));
        assert_eq!(history.day.len(), HOUR_SAMPLES_MAX / SAMPLES_PER_DAY_SAMPLE);
        assert!(history.day.iter().all(|sample| sample.bits_to_peers == 1000));
        assert_eq!((history.day[0].at, history.day[0].refused), (300_000, 300));
        assert_eq!(ring.an_hour_ago().unwrap().at, 0);
        ring.push(totals(readings as u64 * 10, 0));
        let history = ring.history();
        assert_eq!((history.hour.len(), history.hour[0].at), (HOUR_SAMPLES_MAX, 20_000));
        for n in 0..(SAMPLES_PER_DAY_SAMPLE * DAY_SAMPLES_MAX) as u64 {
            ring.push(totals(10_000 + n * 10, 0));
        }
        assert_eq!(ring.history().day.len(), DAY_SAMPLES_MAX);
    }
}
