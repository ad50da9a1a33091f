//! What the relays of one daemon have in common: numbers that count up, and budgets that hold for all
//! of them together.
//!
//! Locks are taken only where somebody who has proven nothing is answered, and for each datagram
//! only where the operator set a rate for users or for everybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fact::AllocationNumber;
use super::guard::GuardOptions;
use super::page_runs::KnownRuns;
use super::rates::Everybody;
use super::relay::{Options, Relay};
use crate::policy::shield::{Shield, ShieldOptions};

/// One relay's part.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    /// Numbers that were given.
    allocations: Arc<AtomicU64>,
    shield: Arc<Mutex<Shield>>,
    pub(super) everybody: Everybody,
    pub(super) page_runs: KnownRuns,
}

impl Relay {
    /// Relays of one daemon, one for each of its shards: a budget that holds for a source, a user
    /// or for all holds for all of them together, and numbers of allocations count up over all.
    #[must_use]
    pub fn several(options: &Options, count: usize) -> Vec<Self> {
        let shared = Shared::new(&options.guard);
        (0..count).map(|_| Self::with(options.clone(), shared.clone())).collect()
    }
}

impl Shared {
    pub(super) fn new(guard: &GuardOptions) -> Self {
        let options = ShieldOptions { budgets: guard.rules.shield, seed: guard.shield_seed };
        Self {
            allocations: Arc::default(),
            shield: Arc::new(Mutex::new(Shield::new(&options))),
            everybody: Everybody::default(),
            page_runs: KnownRuns::default(),
        }
    }

    /// The number of an allocation that is made now.
    pub(super) fn next_allocation(&self) -> AllocationNumber {
        AllocationNumber(self.allocations.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(super) fn shield(&self) -> MutexGuard<'_, Shield> {
        // Budgets are right after every operation on them.
        self.shield.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
