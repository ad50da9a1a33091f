//! What the allocations of one page's verification relay together (P8), at all relays of a daemon: a
//! run that closes them and opens others goes on counting where it was.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::contract::Discard;
use crate::auth::credential::Authenticated;
use crate::limits::probe::{PAGE_RUN_ALLOCATIONS_MAX, PAGE_RUN_BYTES_MAX, PAGE_RUNS_MAX};
use crate::time::Now;

/// Runs that hold allocations, and those whose credential is still good. The relays of a daemon share
/// it; it is locked where an allocation of a run begins or ends.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownRuns(Arc<Mutex<Vec<Run>>>);

#[derive(Debug)]
struct Run {
    user: Box<str>,
    allocations: usize,
    used: Arc<AtomicU64>,
    /// Unix seconds; `None`: with its last allocation.
    ends_at: Option<i64>,
}

impl KnownRuns {
    /// Whether this run may have one more allocation besides those and `opening` ones. Those that
    /// several relays open at the same moment may be a few more, and so may runs.
    pub(super) fn have_room(&self, now: Now, user: &str, opening: usize) -> bool {
        let mut runs = self.lock();
        let is_over = |run: &Run| run.ends_at.is_none_or(|ends_at| ends_at <= now.unix_s());
        runs.retain(|run| run.allocations > 0 || !is_over(run));
        match runs.iter().find(|run| *run.user == *user) {
            Some(run) => run.allocations + opening < PAGE_RUN_ALLOCATIONS_MAX,
            None => runs.len() < PAGE_RUNS_MAX && opening < PAGE_RUN_ALLOCATIONS_MAX,
        }
    }

    fn open(&self, who: &Authenticated) -> Arc<AtomicU64> {
        let mut runs = self.lock();
        let at = runs.iter().position(|run| run.user == who.user).unwrap_or_else(|| {
            let (user, used) = (who.user.clone(), Arc::default());
            runs.push(Run { user, allocations: 0, used, ends_at: None });
            runs.len() - 1
        });
        let run = &mut runs[at];
        run.allocations += 1;
        run.ends_at = run.ends_at.max(who.expires_at);
        Arc::clone(&run.used)
    }

    fn close(&self, used: &Arc<AtomicU64>) {
        if let Some(run) = self.lock().iter_mut().find(|run| Arc::ptr_eq(&run.used, used)) {
            run.allocations -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Run>> {
        // Every change is one operation on one number or on the list.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The allocations of runs at one relay: by slot, how many bytes of application data their run used,
/// both ways, at each of its allocations.
#[derive(Debug)]
pub(super) struct PageRuns {
    known: KnownRuns,
    used_by_slot: Vec<Option<Arc<AtomicU64>>>,
    live: usize,
}

impl PageRuns {
    pub(super) fn new(known: &KnownRuns) -> Box<Self> {
        Box::new(Self { known: known.clone(), used_by_slot: Vec::new(), live: 0 })
    }

    /// An allocation of this run lives in `slot`.
    pub(super) fn open(&mut self, slot: usize, who: &Authenticated) {
        if self.used_by_slot.len() <= slot {
            self.used_by_slot.resize(slot + 1, None);
        }
        self.used_by_slot[slot] = Some(self.known.open(who));
        self.live += 1;
    }

    /// The allocation in `slot` is gone, whoever had it.
    pub(super) fn close(&mut self, slot: usize) {
        if let Some(used) = self.used_by_slot.get_mut(slot).and_then(Option::take) {
            self.known.close(&used);
            self.live -= 1;
        }
    }

    /// Whether no run has an allocation here.
    pub(super) fn are_gone(&self) -> bool {
        self.live == 0
    }

    /// Whether a datagram of `bytes` may be relayed; if so, it is charged.
    pub(super) fn take(&self, slot: usize, bytes: usize) -> Result<(), Discard> {
        let Some(used) = self.used(slot) else { return Ok(()) };
        let within = |used: u64| Some(used + bytes as u64).filter(|sum| *sum <= PAGE_RUN_BYTES_MAX);
        let taken = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within);
        taken.map(drop).map_err(|_| Discard::OverRunBytes)
    }

    /// It is not relayed, for another reason.
    pub(super) fn give_back(&self, slot: usize, bytes: usize) {
        if let Some(used) = self.used(slot) {
            used.fetch_sub(bytes as u64, Ordering::Relaxed);
        }
    }

    fn used(&self, slot: usize) -> Option<&AtomicU64> {
        self.used_by_slot.get(slot)?.as_deref()
    }
}
