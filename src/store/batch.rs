//! Entries in the writer's hand, with those who wait to hear of them.

use super::acknowledge::Acknowledge;
use super::entry::Entry;
use crate::limits::RECORD_BATCH_ROWS;

/// Entries that go into one transaction, in order.
#[derive(Debug)]
pub(super) struct Batch {
    entries: Vec<Entry>,
    /// Of each entry who waits for it.
    waiting: Vec<Option<Acknowledge>>,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::with_capacity(RECORD_BATCH_ROWS),
            waiting: Vec::with_capacity(RECORD_BATCH_ROWS),
        }
    }

    pub(super) fn push(&mut self, entry: Entry, waiting: Option<Acknowledge>) {
        self.entries.push(entry);
        self.waiting.push(waiting);
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The transaction is committed; `stored` says of each entry whether it is in it.
    pub(super) fn settle(&mut self, stored: &[bool]) {
        self.entries.clear();
        for (waiting, stored) in self.waiting.drain(..).zip(stored) {
            if let Some(waiting) = waiting.filter(|_| *stored) {
                waiting.durable();
            }
        }
    }

    /// Whoever waits hears that it takes longer; the entries stay.
    pub(super) fn refuse(&mut self) {
        self.waiting.fill_with(|| None);
    }

    /// Gives the entries up.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.waiting.clear();
    }
}
