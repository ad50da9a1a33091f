//! When the next allocation ends: the only timer the relay has.

use std::collections::BTreeSet;
use std::time::Instant;

/// Allocations by the instant at which they end. Permissions and channels need no timer: they are
/// asked for their expiry when they are used.
#[derive(Debug, Default)]
pub struct Expiry {
    slots: BTreeSet<(Instant, usize)>,
}

impl Expiry {
    /// Notes that the allocation in `slot` ends at `at`.
    pub fn insert(&mut self, at: Instant, slot: usize) {
        self.slots.insert((at, slot));
    }

    /// Takes a note back; `at` is what it was inserted with.
    pub fn remove(&mut self, at: Instant, slot: usize) {
        let noted = self.slots.remove(&(at, slot));
        debug_assert!(noted, "every live allocation has its note");
    }

    /// The earliest end.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.slots.first().map(|(at, _)| *at)
    }

    /// A slot whose end has come, taken out.
    pub fn pop_due(&mut self, now: Instant) -> Option<usize> {
        let &(at, slot) = self.slots.first()?;
        if at > now {
            return None;
        }
        self.slots.pop_first();
        Some(slot)
    }
}
