//! The record in SQLite: what happened, kept by one writer thread, read by anybody.
//!
//! Nothing waits for it. An entry that finds no room is dropped and counted; a database that
//! cannot be written is a state to be seen in [`Store::health`], and is tried again until it can.

mod acknowledge;
mod amend;
mod batch;
mod blocks;
mod call_rows;
mod calls;
mod copy;
mod database;
mod entry;
mod error;
mod figures;
mod forget;
mod invites;
mod keys;
mod privacy;
mod query;
mod queue;
mod retention;
mod revocations;
mod rows;
mod run;
mod schema;
#[cfg(test)]
mod start;
#[cfg(test)]
mod testing;
mod usage;
mod verifications;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

pub use acknowledge::{Acknowledge, NotDurable};
pub use amend::{Note, Notes};
pub use calls::{CallQuery, CallRecord};
pub use copy::{Progress, backup};
pub use database::FILE_NAME;
pub use entry::{Entry, IssuedBy, KeyRow, RevocationRow};
pub use error::StoreError;
pub use figures::{Figures, Measured};
pub use forget::{FORGOTTEN, Forgotten, Person, RowsDone};
pub use invites::{InviteRow, InviteUse};
pub use privacy::AddressPrivacy;
pub use query::{LogEvent, LogKind, LogQuery, LogRow, SessionQuery, SessionRow};
pub use queue::StoreState;
pub use usage::{Usage, UsageAnswer, UsageBy, UsageKey, UsageQuery};
pub use verifications::VerificationRow;

use database::Purpose;
use queue::{Order, Queue};
use writer::Writer;

use crate::call::rows::{BlockRow, EventRow, Row, UnfinishedCall};
use crate::call::ulid::CallId;
use crate::limits::{RECORD_CLOSE_TIMEOUT, RECORD_ORDER_TIMEOUT};
use crate::time::Now;

/// What the record is told by the config.
#[derive(Debug, Clone)]
pub struct Options {
    /// State directory; made with mode 0700 if it is missing.
    pub directory: PathBuf,
    /// Days after which rows go; 0 keeps them whatever their age.
    pub retention_days: u32,
    /// Bytes of rows over which the oldest go; 0 is no bound.
    pub bytes_max: u64,
    /// How much of a client's address is written.
    pub addresses: AddressPrivacy,
    /// Version of the program, noted with each run.
    pub version: &'static str,
}

/// What is kept, as a reload may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeping {
    /// As in [`Options`].
    pub retention_days: u32,
    /// As in [`Options`].
    pub bytes_max: u64,
    /// As in [`Options`]; counts for rows that are written from then on.
    pub addresses: AddressPrivacy,
}

/// How the record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreHealth {
    /// Whether it is being written.
    pub state: StoreState,
    /// Entries handed to `record`. Always `stored + dropped + queued`.
    pub accepted: u64,
    /// Entries committed: as a row, in a row, or counted in one.
    pub stored: u64,
    /// Entries lost: no room, or nothing to store them in.
    pub dropped: u64,
    /// Entries on their way.
    pub queued: u64,
    /// Authentication failures known only as a number.
    pub auth_failures_suppressed: u64,
    /// Version of the SQLite inside.
    pub sqlite_version: &'static str,
    /// Bytes of the database and its write-ahead log.
    pub file_bytes: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// A handle to the record; clones share one writer.
///
/// `record` and `health` never wait. Whatever returns a `Result` reads or writes the disk: async
/// callers give it a blocking thread.
#[derive(Debug, Clone)]
pub struct Store {
    queue: Arc<Queue>,
    directory: PathBuf,
}

/// Whoever holds it ends the writer. Dropping it closes, too.
#[derive(Debug)]
pub struct WriterHandle {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the record of the daemon. Never fails: what is wrong stands in `health`, and is
    /// tried again until it is right.
    ///
    /// A damaged file is moved aside (`turnbell.db.corrupt-<unix>`) and a new one started.
    #[must_use]
    pub fn open(options: Options) -> (Self, WriterHandle) {
        let queue = Arc::new(Queue::new());
        let mut writer =
            Writer::new(options.clone(), Purpose::Daemon, Arc::clone(&queue), Now::read());
        if let Err(error) = writer.start() {
            writer.degraded(Now::read(), &error);
        }
        Self::with_writer(options.directory, queue, writer)
    }

    /// Opens the record for a command while no daemon runs.
    ///
    /// # Errors
    /// A sentence for a person: in use, damaged, of a newer version, or out of reach.
    pub fn open_for_commands(options: Options) -> Result<(Self, WriterHandle), StoreError> {
        let queue = Arc::new(Queue::new());
        let mut writer =
            Writer::new(options.clone(), Purpose::Commands, Arc::clone(&queue), Now::read());
        writer.start()?;
        Ok(Self::with_writer(options.directory, queue, writer))
    }

    /// Puts something on record. Never blocks; what finds no room is dropped and counted.
    pub fn record(&self, entry: Entry) {
        self.queue.push(entry, None);
    }

    /// The same, and says once whether it is durable: `Ok` after its commit; `Err` at once if there
    /// is no room or the record is not being written, later if it could not be written.
    pub fn record_acknowledged(&self, entry: Entry, done: Acknowledge) {
        self.queue.push(entry, Some(done));
    }

    /// Says once whether all that was handed in before has been written.
    pub fn when_written(&self, done: Acknowledge) {
        let nothing = Row::Heartbeat { at_unix_ms: 0, calls: Vec::new() };
        self.record_acknowledged(Entry::Call(nothing), done);
    }

    /// Keeps rows by other rules from the next transaction on.
    pub fn keep(&self, keeping: Keeping) {
        self.queue.keep(keeping);
    }

    /// How the record is. Cheap: a lock, and a look at two files.
    #[must_use]
    pub fn health(&self) -> StoreHealth {
        let (state, counts) = self.queue.look();
        StoreHealth {
            state,
            accepted: counts.accepted,
            stored: counts.stored,
            dropped: counts.dropped,
            queued: counts.queued,
            auth_failures_suppressed: counts.suppressed,
            sqlite_version: rusqlite::version(),
            file_bytes: database::file_bytes(&self.directory),
            path: self.directory.join(FILE_NAME),
        }
    }

    /// Stores a key. `Ok`: it is on disk. Waits up to RECORD_ORDER_TIMEOUT.
    ///
    /// # Errors
    /// `KeyName`, `KeyExists`, `KeysFull`, `LinksFull`, `Busy`, `Closed`, `Unconfirmed`, or what the disk says.
    pub fn add_key(&self, key: KeyRow) -> Result<(), StoreError> {
        let (reply, answer) = sync_channel(1);
        self.queue.order(Order::AddKey { key, reply })?;
        wait_for(&answer)
    }

    /// Revokes the active key with this id or name. `Ok(true)`: it is on disk; `Ok(false)`: there
    /// is none. Waits up to RECORD_ORDER_TIMEOUT.
    ///
    /// # Errors
    /// `Busy`, `Closed`, `Unconfirmed`, or what the disk says.
    pub fn revoke_key(&self, id_or_name: &str, now: Now) -> Result<bool, StoreError> {
        let (reply, answer) = sync_channel(1);
        self.queue.order(Order::RevokeKey { id_or_name: id_or_name.into(), now, reply })?;
        wait_for(&answer)
    }

    /// All keys, revoked ones too, in the order they were made.
    ///
    /// # Errors
    /// What the disk says.
    pub fn keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        self.query(keys::list)
    }

    /// Stores that a user is revoked. `Ok`: it is on disk. Waits up to RECORD_ORDER_TIMEOUT.
    ///
    /// # Errors
    /// `RevocationsFull`, `Busy`, `Closed`, `Unconfirmed`, or what the disk says.
    pub fn revoke(&self, row: RevocationRow, now: Now) -> Result<(), StoreError> {
        let (reply, answer) = sync_channel(1);
        self.queue.order(Order::Revoke { row, now, reply })?;
        wait_for(&answer)
    }

    /// Forgets that a user is revoked. `Ok(true)`: that is on disk; `Ok(false)`: he is not.
    ///
    /// # Errors
    /// `Busy`, `Closed`, `Unconfirmed`, or what the disk says.
    pub fn undo_revoke(&self, user: &str) -> Result<bool, StoreError> {
        let (reply, answer) = sync_channel(1);
        self.queue.order(Order::UndoRevoke { user: user.into(), reply })?;
        wait_for(&answer)
    }

    /// Users who are revoked, oldest first.
    ///
    /// # Errors
    /// What the disk says.
    pub fn revocations(&self, now: Now) -> Result<Vec<RevocationRow>, StoreError> {
        self.query(|connection| revocations::list(connection, now))
    }

    /// Allocations, newest first.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sessions(&self, query: &SessionQuery) -> Result<Vec<SessionRow>, StoreError> {
        self.query(|connection| query::sessions(connection, query))
    }

    /// What happened, newest first.
    ///
    /// # Errors
    /// What the disk says.
    pub fn log(&self, query: &LogQuery) -> Result<Vec<LogRow>, StoreError> {
        self.query(|connection| query::log(connection, query))
    }

    /// Calls, newest first.
    ///
    /// # Errors
    /// What the disk says.
    pub fn calls(&self, query: &CallQuery) -> Result<Vec<CallRecord>, StoreError> {
        self.query(|connection| calls::list(connection, query))
    }

    /// One call.
    ///
    /// # Errors
    /// What the disk says.
    pub fn call(&self, call: CallId) -> Result<Option<CallRecord>, StoreError> {
        self.query(|connection| calls::one(connection, call))
    }

    /// What happened in a call, in order: at most `limit` lines after the one with number `after`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn timeline(
        &self,
        call: CallId,
        after: u32,
        limit: usize,
    ) -> Result<Vec<EventRow>, StoreError> {
        self.query(|connection| calls::timeline(connection, call, after, limit))
    }

    /// Calls that are not over, the newest `limit`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn unfinished_calls(&self, limit: usize) -> Result<Vec<UnfinishedCall>, StoreError> {
        self.query(|connection| calls::unfinished(connection, limit))
    }

    /// How calls went since this moment.
    ///
    /// # Errors
    /// What the disk says.
    pub fn figures(&self, since_unix_ms: i64) -> Result<Figures, StoreError> {
        self.query(|connection| figures::read(connection, since_unix_ms))
    }

    /// Who has blocked whom, oldest first.
    ///
    /// # Errors
    /// What the disk says.
    pub fn blocks(&self, now: Now) -> Result<Vec<BlockRow>, StoreError> {
        self.query(|connection| blocks::list(connection, now))
    }

    fn query<T>(
        &self,
        ask: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let path = self.directory.join(FILE_NAME);
        let wrap = |error| StoreError::sqlite(&path, error);
        let connection = database::connect_read_only(&path).map_err(wrap)?;
        schema::check_not_newer(&connection, &path)?;
        ask(&connection).map_err(wrap)
    }

    fn with_writer(directory: PathBuf, queue: Arc<Queue>, writer: Writer) -> (Self, WriterHandle) {
        let spawned = std::thread::Builder::new().name("record".into()).spawn(move || writer.run());
        let thread = match spawned {
            Ok(thread) => Some(thread),
            Err(error) => {
                let why = format!("the writer thread of the record cannot start: {error}");
                tracing::warn!(why, "the record is not being written; relaying goes on");
                queue.set_state(Now::read(), Some(why));
                queue.finish();
                None
            }
        };
        let store = Self { queue: Arc::clone(&queue), directory };
        (store, WriterHandle { queue, thread })
    }
}

impl WriterHandle {
    /// Writes what is queued, notes the end of the run, closes. Waits up to
    /// RECORD_CLOSE_TIMEOUT; what cannot be written is dropped and counted.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.queue.close();
        let Some(thread) = self.thread.take() else { return };
        if !self.queue.wait_for_end(RECORD_CLOSE_TIMEOUT) {
            tracing::warn!("the writer of the record does not end; it is left alone");
        } else if thread.join().is_err() {
            tracing::warn!("the writer of the record ended by a bug");
        }
    }
}

fn wait_for<T>(answer: &Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    answer.recv_timeout(RECORD_ORDER_TIMEOUT).unwrap_or_else(|error| match error {
        std::sync::mpsc::RecvTimeoutError::Timeout => Err(StoreError::Unconfirmed),
        std::sync::mpsc::RecvTimeoutError::Disconnected => Err(StoreError::Closed),
    })
}
