//! The one thread that writes. Whatever the disk does, it only ever waits, retries and counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::database::{Database, Lock, Purpose};
use super::error::StoreError;
use super::queue::{Order, Queue};
use super::retention::Retention;
use super::rows::{Context, FailureMinute, write};
use super::{Keeping, Options, keys, revocations, run};
use crate::limits::{
    RECORD_BATCH_TRIES, RECORD_CLOSE_TRIES, RECORD_RETRY_MAX, RECORD_RETRY_MIN,
    RECORD_TEND_INTERVAL,
};
use crate::time::Now;

/// Owns the connection that writes.
pub(super) struct Writer {
    options: Options,
    purpose: Purpose,
    queue: Arc<Queue>,
    started: Now,
    /// Kept through failures: a run that cannot write is still the one that is on.
    lock: Option<Lock>,
    database: Option<Database>,
    /// What SQLite said of a file that it found damaged while it was open.
    damage: Option<String>,
    /// The row of this run.
    run: Option<i64>,
    /// Entries taken from the queue and not yet settled.
    batch: Batch,
    minute: FailureMinute,
    /// Failures in a row of the transaction in hand.
    failures: u32,
    retention: Retention,
    /// Whether retention has more to do at once.
    too_much: bool,
    /// Retention failed and is let alone until then.
    rest_until: Option<Instant>,
    tend_at: Option<Instant>,
    dropped_reported: u64,
}

/// Settles the account when the thread ends, also if it ends by a bug.
struct Ending(Arc<Queue>);

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = "the writer thread of the record ended by a bug: restart turnbell";
            self.0.set_state(Now::read(), Some(why.into()));
        }
        self.0.finish();
    }
}

impl Writer {
    pub(super) fn new(options: Options, purpose: Purpose, queue: Arc<Queue>, started: Now) -> Self {
        Self {
            retention: Retention::new(options.retention_days, options.bytes_max),
            too_much: false,
            rest_until: None,
            options,
            purpose,
            queue,
            started,
            lock: None,
            database: None,
            damage: None,
            run: None,
            batch: Batch::new(),
            minute: FailureMinute::default(),
            failures: 0,
            tend_at: None,
            dropped_reported: 0,
        }
    }

    /// The first opening, on the caller's thread, so that whoever has a `Store` can query it.
    ///
    /// # Errors
    /// Why it is degraded; the thread goes on trying.
    pub(super) fn start(&mut self) -> Result<(), StoreError> {
        self.open(self.started)
    }

    /// The state is visible in `health` and, once per change, in the log.
    pub(super) fn degraded(&self, now: Now, error: &StoreError) {
        let why = error.to_string();
        if self.queue.set_state(now, Some(why.clone())) {
            tracing::warn!(why, "the record is not being written; relaying goes on");
        }
    }

    /// The thread's body.
    pub(super) fn run(mut self) {
        let _ending = Ending(Arc::clone(&self.queue));
        loop {
            let broken = self.failures > 0 || self.database.is_none();
            let work = if broken {
                self.queue.wait_to_retry(self.pause())
            } else {
                self.queue.wait_for_work(self.idle(), &mut self.batch)
            };
            let now = Now::read();
            if let Some(keeping) = work.keeping {
                self.keep(keeping);
            }
            for order in work.orders {
                self.carry_out(now, order);
            }
            if work.closing {
                return self.close(now);
            }
            self.write(now);
            self.tend(now);
        }
    }

    fn keep(&mut self, keeping: Keeping) {
        let Keeping { retention_days, bytes_max, addresses } = keeping;
        self.options.addresses = addresses;
        self.retention.set(retention_days, bytes_max);
        // Looked at once, not in a minute.
        self.tend_at = None;
    }

    /// Up to RECORD_BATCH_ROWS entries in one transaction, or a failure that is retried.
    fn write(&mut self, now: Now) -> bool {
        let outcome = self.try_write(now);
        match outcome {
            Ok(()) => {
                self.failures = 0;
                if self.queue.set_state(now, None) {
                    tracing::info!("the record is being written again");
                }
                true
            }
            Err(error) => {
                self.fail(now, &error);
                false
            }
        }
    }

    fn try_write(&mut self, now: Now) -> Result<(), StoreError> {
        self.open(now)?;
        // A failure that is over, or one that has come while nothing happened, shows only by a
        // commit: an empty batch is written then as well.
        if self.batch.is_empty() && self.failures == 0 && !self.is_tend_due(now) {
            return Ok(());
        }
        let Some(database) = &mut self.database else { return Err(StoreError::Closed) };
        let context = Context {
            run: self.run,
            addresses: self.options.addresses,
            dropped: self.queue.look().1.dropped,
        };
        let (written, stored) =
            write(database, now, context, &mut self.minute, self.batch.entries())?;
        self.queue.settle(written);
        self.batch.settle(&stored);
        Ok(())
    }

    /// Opens the file unless it is open and in place, and notes this run in it.
    fn open(&mut self, now: Now) -> Result<(), StoreError> {
        let directory = &self.options.directory;
        if let Some(database) = &self.database {
            if database.is_in_place() {
                return Ok(());
            }
            tracing::warn!(
                directory = %directory.display(),
                "the record's file was deleted or replaced; it is opened anew"
            );
            self.database = None;
        }
        if !self.lock.as_ref().is_some_and(Lock::is_in_place) {
            self.lock = Some(Lock::take(directory, self.purpose)?);
        }
        let opened = match self.damage.take() {
            Some(detail) => Database::replace(directory, now, &detail),
            None => match (Database::open(directory), self.purpose) {
                (Err(StoreError::Corrupt { detail, .. }), Purpose::Daemon) => {
                    Database::replace(directory, now, &detail)
                }
                (opened, Purpose::Daemon | Purpose::Commands) => opened,
            },
        };
        let mut database = opened?;
        self.begin_run(&mut database).map_err(|error| database.error(error))?;
        self.database = Some(database);
        Ok(())
    }

    /// Notes this run, once per file: a file that was replaced knows nothing of it.
    fn begin_run(&mut self, database: &mut Database) -> rusqlite::Result<()> {
        let connection = &mut database.connection;
        if let Some(run) = self.run
            && run::is_noted(connection, run, self.started)?
        {
            return Ok(());
        }
        // Whoever holds the lock knows that no daemon runs, or is the one.
        run::close_crashed(connection)?;
        self.minute = FailureMinute::default();
        self.run = match self.purpose {
            Purpose::Daemon => Some(run::begin(connection, self.started, self.options.version)?),
            Purpose::Commands => None,
        };
        Ok(())
    }

    fn fail(&mut self, now: Now, error: &StoreError) {
        self.failures = self.failures.saturating_add(1);
        self.degraded(now, error);
        self.batch.refuse();
        if !error.is_lock() {
            // Everything but a lock is best met by a fresh start.
            self.database = None;
        }
        if let (StoreError::Corrupt { detail, .. }, Purpose::Daemon) = (error, self.purpose) {
            self.damage = Some(detail.clone());
        }
        if !error.may_pass() && self.failures >= RECORD_BATCH_TRIES {
            self.queue.give_up(self.batch.len());
            self.batch.clear();
        }
    }

    fn carry_out(&mut self, now: Now, order: Order) {
        // A caller that waits no longer does not hear the answer; the change stands as it is.
        match order {
            Order::AddKey { key, reply } => {
                let _ = reply.try_send(self.change(now, |database| keys::add(database, &key)));
            }
            Order::RevokeKey { id_or_name, now, reply } => {
                let done = self.change(now, |database| keys::revoke(database, &id_or_name, now));
                let _ = reply.try_send(done);
            }
            Order::Revoke { row, now, reply } => {
                let done = self.change(now, |database| revocations::add(database, &row, now));
                let _ = reply.try_send(done);
            }
            Order::Invite(order) => self.invite(now, order),
            Order::Change(change) => change(self, now),
            Order::UndoRevoke { user, reply } => {
                let done = self.change(now, |database| revocations::remove(database, &user));
                let _ = reply.try_send(done);
            }
        }
    }

    pub(super) fn change<T>(
        &mut self,
        now: Now,
        change: impl FnOnce(&mut Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let opened = self.open(now);
        let outcome = opened.and_then(|()| match &mut self.database {
            Some(database) => change(database),
            None => Err(StoreError::Closed),
        });
        if let Err(error) = &outcome
            && error.may_pass()
        {
            self.fail(now, error);
        }
        outcome
    }

    /// Deletes what is too old or too much, one step, and reports losses once a minute.
    fn tend(&mut self, now: Now) {
        let due = self.is_tend_due(now);
        if due {
            self.tend_at = Some(now.mono + RECORD_TEND_INTERVAL);
            let dropped = self.queue.look().1.dropped;
            if dropped > self.dropped_reported {
                tracing::warn!(dropped, "entries of the record were lost since the start");
                self.dropped_reported = dropped;
            }
        }
        let resting = self.rest_until.is_some_and(|at| at > now.mono);
        let Some(database) = &mut self.database else { return };
        if self.purpose == Purpose::Commands || self.failures > 0 || resting {
            return;
        }
        match self.retention.step(&mut database.connection, now, due || self.too_much) {
            // One step a turn: entries that wait come first.
            Ok(more) => self.too_much = more,
            Err(error) => {
                let error = database.error(error);
                tracing::warn!(%error, "old rows of the record cannot be deleted");
                self.too_much = false;
                self.rest_until = Some(now.mono + RECORD_TEND_INTERVAL);
                if matches!(error, StoreError::Corrupt { .. }) {
                    self.fail(now, &error);
                }
            }
        }
    }

    fn close(mut self, now: Now) {
        let mut failures = 0;
        while !(self.batch.is_empty() && self.queue.is_empty()) && failures < RECORD_CLOSE_TRIES {
            if self.batch.is_empty() {
                self.queue.wait_for_work(Duration::ZERO, &mut self.batch);
            }
            failures = if self.write(now) { 0 } else { failures + 1 };
        }
        if let (Some(database), Some(run)) = (&mut self.database, self.run) {
            let (_, counts) = self.queue.look();
            let lost = counts.dropped + counts.queued;
            if let Err(error) = run::end(&mut database.connection, now, run, lost) {
                let error = database.error(error);
                self.degraded(now, &error);
            }
        }
    }

    fn is_tend_due(&self, now: Now) -> bool {
        self.tend_at.is_none_or(|at| at <= now.mono)
    }

    fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        RECORD_RETRY_MIN.saturating_mul(1 << doublings).min(RECORD_RETRY_MAX)
    }

    fn idle(&self) -> Duration {
        if self.too_much {
            return Duration::ZERO;
        }
        let now = Now::read().mono;
        self.tend_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{issued, options};

    #[test]
    fn a_writer_without_work_rests_for_whomever_it_writes() {
        for purpose in [Purpose::Daemon, Purpose::Commands] {
            let directory = tempfile::tempdir().unwrap();
            let mut writer = writer(directory.path(), purpose);
            let now = writer.started;
            writer.start().unwrap();
            assert!(writer.write(now));
            writer.tend(now);
            assert!(writer.idle() > RECORD_TEND_INTERVAL / 2, "{purpose:?}");
        }
    }

    #[test]
    fn the_pause_between_tries_doubles_up_to_its_bound() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = writer(directory.path(), Purpose::Daemon);
        let pauses: Vec<_> = [0, 1, 2, 3, 7, 1_000, u32::MAX]
            .into_iter()
            .map(|failures| {
                writer.failures = failures;
                writer.pause()
            })
            .collect();
        let min = RECORD_RETRY_MIN;
        assert_eq!(pauses[..4], [min, min, 2 * min, 4 * min]);
        assert_eq!(pauses[4..], [RECORD_RETRY_MAX; 3]);
    }

    #[test]
    fn a_transaction_that_time_cannot_cure_is_given_up_after_its_tries_and_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = writer(directory.path(), Purpose::Daemon);
        let now = writer.started;
        writer.start().unwrap();
        let database = writer.database.as_mut().unwrap();
        database.connection.execute_batch("DROP TABLE credentials_issued").unwrap();
        writer.queue.push(issued(1, "alice"), None);
        writer.queue.wait_for_work(Duration::ZERO, &mut writer.batch);
        for _ in 1..RECORD_BATCH_TRIES {
            assert!(!writer.write(now));
            assert_eq!(writer.batch.len(), 1);
        }
        assert!(!writer.write(now));
        assert!(writer.batch.is_empty());
        let (_, counts) = writer.queue.look();
        assert_eq!((counts.dropped, counts.queued), (1, 0));
        assert!(writer.write(now), "the next one is tried");
    }

    fn writer(directory: &std::path::Path, purpose: Purpose) -> Writer {
        Writer::new(options(directory), purpose, Arc::new(Queue::new()), Now::read())
    }
}
