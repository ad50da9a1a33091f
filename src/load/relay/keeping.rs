//! Allocations kept alive while a run lasts longer than they do.

use std::time::{Duration, Instant};

use super::engine::{Engine, Outcome};
use super::logins::Plan;
use crate::limits::load::LOAD_REFRESH;
use crate::load::LoadError;

/// Refreshes each client in its turn, evenly spread.
pub(super) struct Keeper<'p> {
    from: Instant,
    begun: u64,
    plan: Plan<'p>,
    /// Where each is in its row of requests.
    nth: Vec<usize>,
}

impl<'p> Keeper<'p> {
    /// They have logged in just `now`.
    pub(super) fn new(now: Instant, plan: Plan<'p>) -> Self {
        Self { from: now + LOAD_REFRESH / 2, begun: 0, plan, nth: Vec::new() }
    }

    /// Begins what is due, and goes on with what was answered. Refusals are counted.
    ///
    /// # Errors
    /// If the kernel has no entropy.
    pub(super) fn look(&mut self, engine: &mut Engine<'_>, now: Instant) -> Result<(), LoadError> {
        let count = engine.clients.len() as u64;
        while count > 0 && now >= self.from + self.due(count) {
            let at = (self.begun % count) as usize;
            self.begun += 1;
            self.nth.resize(count as usize, 0);
            self.nth[at] = 0;
            self.ask(engine, at)?;
        }
        while let Some((at, outcome)) = engine.next_outcome() {
            if let Outcome::Done(_) = outcome {
                if let Some(nth) = self.nth.get_mut(at) {
                    *nth += 1;
                    self.ask(engine, at)?;
                }
            } else {
                engine.count_refused(&outcome);
            }
        }
        Ok(())
    }

    fn due(&self, count: u64) -> Duration {
        let (round, at) = (self.begun / count, self.begun % count);
        LOAD_REFRESH * u32::try_from(round).unwrap_or(u32::MAX)
            + LOAD_REFRESH.mul_f64(at as f64 / count as f64)
    }

    fn ask(&self, engine: &mut Engine<'_>, at: usize) -> Result<(), LoadError> {
        match (self.plan)(engine, at, self.nth[at]) {
            Some(step) => engine.ask(at, step),
            None => Ok(()),
        }
    }
}
