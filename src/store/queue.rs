//! What waits for the writer, and the counts that must add up. One short lock, never held over I/O.

use std::collections::VecDeque;
use std::fmt;
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::acknowledge::Acknowledge;
use super::batch::Batch;
use super::call_rows;
use super::entry::{Entry, KeyRow, RevocationRow};
use super::error::StoreError;
use super::rows::Written;
use super::writer::Writer;
use super::{Keeping, invites};
use crate::limits::record::{CALL_ROWS_QUEUED_BYTES_MAX, CALL_ROWS_QUEUED_MAX};
use crate::limits::{RECORD_BATCH_DELAY, RECORD_BATCH_ROWS, RECORD_ORDERS_MAX, RECORD_QUEUED_MAX};
use crate::time::Now;

/// Whether the record is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreState {
    /// Every transaction commits.
    Ok,
    /// It is not, and is tried again and again. Relaying goes on.
    Degraded {
        /// A sentence: what, where, and what cures it.
        why: String,
        /// Milliseconds since 1970.
        since_unix_ms: i64,
    },
}

/// A change of any other kind, with a way to tell who waits for it.
pub(super) type Change = Box<dyn FnOnce(&mut Writer, Now) + Send>;

/// A change somebody waits for.
pub(super) enum Order {
    AddKey { key: KeyRow, reply: SyncSender<Result<(), StoreError>> },
    RevokeKey { id_or_name: String, now: Now, reply: SyncSender<Result<bool, StoreError>> },
    Revoke { row: RevocationRow, now: Now, reply: SyncSender<Result<(), StoreError>> },
    Invite(invites::Order),
    UndoRevoke { user: String, reply: SyncSender<Result<bool, StoreError>> },
    Change(Change),
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order").finish_non_exhaustive()
    }
}

/// `accepted == stored + dropped + queued`, at every moment at which the lock is free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    pub(super) stored: u64,
    pub(super) dropped: u64,
    pub(super) queued: u64,
    pub(super) suppressed: u64,
}

/// What the writer does next.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) orders: Vec<Order>,
    pub(super) keeping: Option<Keeping>,
    pub(super) closing: bool,
}

#[derive(Debug)]
pub(super) struct Queue {
    inside: Mutex<Inside>,
    /// The writer waits on it.
    work: Condvar,
    /// Whoever closes waits on it.
    end: Condvar,
}

#[derive(Debug)]
struct Inside {
    entries: VecDeque<(Entry, Option<Acknowledge>)>,
    /// Rows of calls among them.
    call_rows: usize,
    /// Their bytes.
    call_bytes: usize,
    orders: VecDeque<Order>,
    /// The latest rules, not yet taken by the writer.
    keeping: Option<Keeping>,
    counts: Counts,
    state: StoreState,
    closing: bool,
    finished: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        let inside = Inside {
            entries: VecDeque::new(),
            call_rows: 0,
            call_bytes: 0,
            orders: VecDeque::new(),
            keeping: None,
            counts: Counts::default(),
            state: StoreState::Ok,
            closing: false,
            finished: false,
        };
        Self { inside: Mutex::new(inside), work: Condvar::new(), end: Condvar::new() }
    }

    /// Takes an entry, or counts it as dropped if there is no room or nobody to write it.
    pub(super) fn push(&self, entry: Entry, mut done: Option<Acknowledge>) {
        let bytes = call_bytes(&entry);
        let mut inside = self.lock();
        inside.counts.accepted += 1;
        if inside.finished || !inside.has_room(bytes) {
            inside.counts.dropped += 1;
            return;
        }
        inside.counts.queued += 1;
        // While nothing can be written nobody is kept waiting; the entry is.
        let refused = done.take_if(|_| inside.state != StoreState::Ok);
        inside.call_rows += usize::from(bytes.is_some());
        inside.call_bytes += bytes.unwrap_or_default();
        inside.entries.push_back((entry, done));
        let waiting = inside.entries.len();
        drop(inside);
        drop(refused);
        if waiting == 1 || waiting == RECORD_BATCH_ROWS {
            self.work.notify_one();
        }
    }

    /// The latest rules count.
    pub(super) fn keep(&self, keeping: Keeping) {
        self.lock().keeping = Some(keeping);
        self.work.notify_one();
    }

    /// # Errors
    /// `Busy` or `Closed`.
    pub(super) fn order(&self, order: Order) -> Result<(), StoreError> {
        let mut inside = self.lock();
        if inside.finished || inside.closing {
            return Err(StoreError::Closed);
        }
        if inside.orders.len() >= RECORD_ORDERS_MAX {
            return Err(StoreError::Busy);
        }
        inside.orders.push_back(order);
        drop(inside);
        self.work.notify_one();
        Ok(())
    }

    /// Waits up to `idle` for something to do, then for a full transaction or
    /// RECORD_BATCH_DELAY, and moves up to RECORD_BATCH_ROWS entries into `batch`.
    pub(super) fn wait_for_work(&self, idle: Duration, batch: &mut Batch) -> Work {
        let urgent = |inside: &Inside| {
            inside.closing || inside.keeping.is_some() || !inside.orders.is_empty()
        };
        let mut inside =
            self.wait(self.lock(), idle, |inside| inside.entries.is_empty() && !urgent(inside));
        if !inside.entries.is_empty() {
            inside = self.wait(inside, RECORD_BATCH_DELAY, |inside| {
                inside.entries.len() < RECORD_BATCH_ROWS && !urgent(inside)
            });
        }
        let rows = inside.entries.len().min(RECORD_BATCH_ROWS);
        for _ in 0..rows {
            let Some((entry, done)) = inside.entries.pop_front() else { break };
            if let Some(bytes) = call_bytes(&entry) {
                inside.call_rows -= 1;
                inside.call_bytes -= bytes;
            }
            batch.push(entry, done);
        }
        inside.take_work()
    }

    /// Waits `pause` before the next try of a transaction, less if somebody waits for an answer.
    pub(super) fn wait_to_retry(&self, pause: Duration) -> Work {
        let mut inside =
            self.wait(self.lock(), pause, |inside| !inside.closing && inside.orders.is_empty());
        inside.take_work()
    }

    /// Notes what a committed transaction did with its entries.
    pub(super) fn settle(&self, written: Written) {
        let counts = &mut self.lock().counts;
        counts.queued = counts.queued.saturating_sub(written.stored + written.refused);
        counts.stored += written.stored;
        counts.dropped += written.refused;
        counts.suppressed += written.suppressed;
    }

    /// Gives up a transaction of so many entries.
    pub(super) fn give_up(&self, entries: usize) {
        let counts = &mut self.lock().counts;
        counts.queued = counts.queued.saturating_sub(entries as u64);
        counts.dropped += entries as u64;
    }

    /// Returns whether the state is another than before; `since` is kept while only `why` changes.
    pub(super) fn set_state(&self, now: Now, why: Option<String>) -> bool {
        let mut inside = self.lock();
        let next = match (why, &inside.state) {
            (None, _) => StoreState::Ok,
            (Some(why), StoreState::Ok) => StoreState::Degraded { why, since_unix_ms: now.unix_ms },
            (Some(why), StoreState::Degraded { since_unix_ms, .. }) => {
                StoreState::Degraded { why, since_unix_ms: *since_unix_ms }
            }
        };
        let changed = inside.state != next;
        let mut refused = Vec::new();
        if next != StoreState::Ok {
            refused.extend(inside.entries.iter_mut().filter_map(|(_, done)| done.take()));
        }
        inside.state = next;
        drop(inside);
        drop(refused);
        changed
    }

    pub(super) fn look(&self) -> (StoreState, Counts) {
        let inside = self.lock();
        (inside.state.clone(), inside.counts)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().entries.is_empty()
    }

    /// Asks the writer to write the rest and end.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.work.notify_all();
    }

    /// Called by the writer as the last thing: what is still here is dropped and counted.
    pub(super) fn finish(&self) {
        let mut inside = self.lock();
        inside.finished = true;
        let rest = std::mem::take(&mut inside.entries);
        inside.orders.clear();
        inside.counts.dropped += inside.counts.queued;
        inside.counts.queued = 0;
        drop(inside);
        drop(rest);
        self.end.notify_all();
    }

    /// `false`: the writer has not ended within `timeout`.
    pub(super) fn wait_for_end(&self, timeout: Duration) -> bool {
        let (inside, _) = self
            .end
            .wait_timeout_while(self.lock(), timeout, |inside| !inside.finished)
            .unwrap_or_else(PoisonError::into_inner);
        inside.finished
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        inside: MutexGuard<'a, Inside>,
        timeout: Duration,
        mut condition: impl FnMut(&Inside) -> bool,
    ) -> MutexGuard<'a, Inside> {
        self.work
            .wait_timeout_while(inside, timeout, |inside| condition(inside))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}

/// Of a row of a call its bytes.
fn call_bytes(entry: &Entry) -> Option<usize> {
    match entry {
        Entry::Call(row) => Some(call_rows::bytes(row)),
        Entry::Relay(_)
        | Entry::CredentialIssued { .. }
        | Entry::Verified(_)
        | Entry::ConfigChanged { .. } => None,
    }
}

impl Inside {
    /// Calls and the rest have their rooms apart: neither drowns the other.
    fn has_room(&self, call_bytes: Option<usize>) -> bool {
        match call_bytes {
            Some(bytes) => {
                self.call_rows < CALL_ROWS_QUEUED_MAX
                    && self.call_bytes + bytes <= CALL_ROWS_QUEUED_BYTES_MAX
            }
            None => self.entries.len() - self.call_rows < RECORD_QUEUED_MAX,
        }
    }

    fn take_work(&mut self) -> Work {
        Work {
            orders: self.orders.drain(..).collect(),
            keeping: self.keeping.take(),
            closing: self.closing,
        }
    }
}
