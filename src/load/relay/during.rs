//! CPU that the server and this program use while it is measured.

use std::cell::Cell;

use super::Mark;
use crate::load::server::Reading;

/// CPU between the two marks.
pub(super) struct During<'a> {
    pid: Option<u32>,
    mark: &'a dyn Fn(Mark),
    at: Cell<[(u64, u64); 2]>,
}

impl<'a> During<'a> {
    pub(super) fn new(pid: Option<u32>, mark: &'a dyn Fn(Mark)) -> Self {
        Self { pid, mark, at: Cell::new([(0, 0); 2]) }
    }

    pub(super) fn mark(&self, mark: Mark) {
        let cpu = |pid: u32| Reading::of(pid).map_or(0, |reading| reading.cpu_us);
        let now = (self.pid.map_or(0, cpu), cpu(std::process::id()));
        let mut at = self.at.get();
        match mark {
            Mark::Begin => at[0] = now,
            Mark::End => at[1] = now,
        }
        self.at.set(at);
        (self.mark)(mark);
    }

    /// The server's and our own, microseconds.
    pub(super) fn used(&self) -> (u64, u64) {
        let [begin, end] = self.at.get();
        (end.0.saturating_sub(begin.0), end.1.saturating_sub(begin.1))
    }
}
