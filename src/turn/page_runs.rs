//! What the allocations of one page's verification relay together (P8): a run that closes them and
//! opens others goes on counting where it was.

use slab::Slab;

use super::contract::Discard;
use crate::auth::credential::Authenticated;
use crate::limits::probe::{PAGE_RUN_BYTES_MAX, PAGE_RUNS_MAX};
use crate::time::Now;

/// Runs that hold allocations, and those whose credential is still good.
#[derive(Debug, Default)]
pub(super) struct PageRuns {
    runs: Slab<Run>,
    /// By the allocation's slot.
    run_by_slot: Vec<Option<usize>>,
}

#[derive(Debug)]
struct Run {
    user: Box<str>,
    allocations: u32,
    /// Application data, both ways, at each of its allocations.
    bytes: u64,
    /// Unix seconds; `None`: with its last allocation.
    ends_at: Option<i64>,
}

impl PageRuns {
    /// Whether one more is counted, or this one is already. With those that are opening at the same
    /// moment there may be a few more than [`PAGE_RUNS_MAX`].
    pub(super) fn have_room(&mut self, now: Now, user: &str) -> bool {
        self.forget_ended(now);
        self.runs.len() < PAGE_RUNS_MAX || self.find(user).is_some()
    }

    /// An allocation of this run lives in `slot`.
    pub(super) fn open(&mut self, slot: usize, who: &Authenticated) {
        let at = self.find(&who.user).unwrap_or_else(|| {
            let user = who.user.clone();
            self.runs.insert(Run { user, allocations: 0, bytes: 0, ends_at: None })
        });
        let run = &mut self.runs[at];
        run.allocations += 1;
        run.ends_at = run.ends_at.max(who.expires_at);
        if self.run_by_slot.len() <= slot {
            self.run_by_slot.resize(slot + 1, None);
        }
        self.run_by_slot[slot] = Some(at);
    }

    /// The allocation in `slot` is gone, whoever had it.
    pub(super) fn close(&mut self, slot: usize) {
        if let Some(at) = self.run_by_slot.get_mut(slot).and_then(Option::take) {
            self.runs[at].allocations -= 1;
        }
    }

    /// Whether there is none that could come again.
    pub(super) fn are_over(&mut self, now: Now) -> bool {
        self.forget_ended(now);
        self.runs.is_empty()
    }

    /// Whether a datagram of `bytes` may be relayed.
    pub(super) fn have_left(&self, slot: usize, bytes: usize) -> Result<(), Discard> {
        let Some(at) = self.at(slot) else { return Ok(()) };
        if self.runs[at].bytes + bytes as u64 > PAGE_RUN_BYTES_MAX {
            return Err(Discard::OverRunBytes);
        }
        Ok(())
    }

    /// It is relayed.
    pub(super) fn charge(&mut self, slot: usize, bytes: usize) {
        if let Some(at) = self.at(slot) {
            self.runs[at].bytes += bytes as u64;
        }
    }

    fn at(&self, slot: usize) -> Option<usize> {
        self.run_by_slot.get(slot).copied().flatten()
    }

    fn find(&self, user: &str) -> Option<usize> {
        self.runs.iter().find(|(_, run)| *run.user == *user).map(|(at, _)| at)
    }

    fn forget_ended(&mut self, now: Now) {
        let is_over = |run: &Run| run.ends_at.is_none_or(|ends_at| ends_at <= now.unix_s());
        self.runs.retain(|_, run| run.allocations > 0 || !is_over(run));
    }
}
