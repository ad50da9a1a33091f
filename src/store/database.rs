//! One open database file: found or made, locked, checked, migrated, and moved aside if damaged.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::copy::{beside, copy};
use super::error::StoreError;
use super::{invites, keys, revocations, schema};
use crate::limits::record::MIGRATION_COPY_BYTES_MAX;
use crate::limits::{CORRUPT_FILES_MAX, RECORD_CHECK_BYTES_MAX, RECORD_LOCK_WAIT};
use crate::time::Now;

/// Name of the database in the state directory.
pub const FILE_NAME: &str = "turnbell.db";
const LOCK_NAME: &str = "turnbell.lock";
/// The first release without the WAL-reset bug (security.md F9).
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// Who opens the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The daemon: alone, moves a damaged file aside.
    Daemon,
    /// A command while no daemon runs: several may at once, a damaged file is an error.
    Commands,
}

/// A connection that may write.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    path: PathBuf,
    identity: Identity,
}

/// Keeps other daemons out. Released by the kernel when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
    identity: Identity,
}

/// Which file it is, whatever its name (device, inode).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity(u64, u64);

impl Lock {
    /// Makes `directory` (mode 0700) if it is missing and takes the lock in it. The lock lies
    /// beside the database and never on it: closing any handle of that file would drop SQLite's
    /// own locks. A daemon is alone; commands share.
    ///
    /// # Errors
    /// `InUse`, or `Io` if the directory is not ours to write.
    pub(super) fn take(directory: &Path, purpose: Purpose) -> Result<Self, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|source| {
            StoreError::Io { what: "created", path: directory.to_owned(), source }
        })?;
        let path = directory.join(LOCK_NAME);
        let io = |source| StoreError::Io { what: "opened", path: path.clone(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        let taken = match purpose {
            Purpose::Daemon => file.try_lock(),
            Purpose::Commands => file.try_lock_shared(),
        };
        match taken {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let identity = identity(&path).map_err(io)?;
        Ok(Self { file, path, identity })
    }

    /// Whether the path still names the file that is locked.
    pub(super) fn is_in_place(&self) -> bool {
        identity(&self.path).is_ok_and(|found| found == self.identity)
    }
}

impl Drop for Lock {
    /// Unlocks by word: a child that another thread is just starting holds a copy of the handle,
    /// and closing ours would leave the lock with it until it execs.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "the record's lock goes with its handle");
        }
    }
}

impl Database {
    /// Opens the database of `directory`, or makes it.
    ///
    /// # Errors
    /// A sentence with its cure; `Corrupt` if the file is damaged.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        if rusqlite::version_number() < SQLITE_VERSION_MIN {
            return Err(StoreError::OldSqlite(rusqlite::version()));
        }
        let path = directory.join(FILE_NAME);
        let (connection, identity) = connect(&path)?;
        Ok(Self { connection, path, identity })
    }

    /// Moves a damaged database aside and starts a new one, with the keys and
    /// revoked users that can still be read.
    ///
    /// # Errors
    /// `CorruptAgain`, or why the files cannot be moved or made.
    pub(super) fn replace(directory: &Path, now: Now, detail: &str) -> Result<Self, StoreError> {
        let path = directory.join(FILE_NAME);
        let aside = move_aside(&path, now)?;
        let database = Self::open(directory)?;
        let (keys, revocations) = salvage(&aside, &database.connection, now);
        tracing::error!(
            database = %path.display(), aside = %aside.display(), detail, keys, revocations,
            "the record was damaged; it is moved aside and a new one started with its keys and \
             revoked users"
        );
        Ok(database)
    }

    /// Whether the path still names the file that is open. SQLite would go on writing to a file
    /// that was deleted, and nobody would ever read it.
    pub(super) fn is_in_place(&self) -> bool {
        identity(&self.path).is_ok_and(|found| found == self.identity)
    }

    /// Wraps what SQLite said with the path.
    pub(super) fn error(&self, source: rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.path, source)
    }
}

/// A connection for one query. It sees what was committed and keeps no lock afterwards.
pub(super) fn connect_read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(RECORD_LOCK_WAIT)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(connection)
}

/// Bytes of the database with its write-ahead log, as the file system counts them.
pub(super) fn file_bytes(directory: &Path) -> u64 {
    let path = directory.join(FILE_NAME);
    ["", "-wal"]
        .iter()
        .filter_map(|suffix| fs::metadata(beside(&path, suffix)).ok())
        .map(|metadata| metadata.len())
        .sum()
}

fn connect(path: &Path) -> Result<(Connection, Identity), StoreError> {
    let wrap = |error| StoreError::sqlite(path, error);
    let io = |what| move |source| StoreError::Io { what, path: path.to_owned(), source };
    // Made here and not by SQLite, so that nobody else can read it even for a moment.
    // SQLite gives its -wal and -shm files the mode of this one.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io("created")(error)),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(wrap)?;
    let identity = identity(path).map_err(io("opened"))?;
    set_up(&connection).map_err(wrap)?;
    check(&connection, path)?;
    if let Some(found) = schema::is_older(&connection, path)? {
        keep_older(&connection, path, found);
    }
    schema::migrate(&mut connection, path)?;
    Ok((connection, identity))
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(RECORD_LOCK_WAIT)?;
    // Before the first table, or it has no effect: deleted rows give their pages back to the file
    // system step by step, without a VACUUM that copies the whole file.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit survives kill -9 (the kernel has the pages); a power cut may undo the last
    // commits but not damage the file. Facts bear that; keys are committed with FULL (keys.rs).
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)
}

/// Reads every page of a small database, so that damage is found at start and not at 10:02.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > RECORD_CHECK_BYTES_MAX) {
        return Ok(());
    }
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| StoreError::sqlite(path, error))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(StoreError::Corrupt { path: path.to_owned(), detail: verdict })
}

/// Keeps a copy of a file of schema `found` beside it, for the way back to the older program, in
/// the place of one of a schema before. Without room for it the record goes on all the same.
fn keep_older(connection: &Connection, path: &Path, found: i64) {
    let kept = beside(path, &format!(".v{found}"));
    if kept.exists() {
        return;
    }
    let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if bytes > MIGRATION_COPY_BYTES_MAX {
        let cure = "`turnbell backup` before an upgrade makes one of any size";
        tracing::warn!(database = %path.display(), bytes, cure, "too large for a copy of the older schema");
        return;
    }
    match copy(connection, path, &kept, &mut |_, _| {}) {
        Ok(_) => {
            tracing::info!(copy = %kept.display(), "the record as it was before this version");
            for older in 1..found {
                let _ = fs::remove_file(beside(path, &format!(".v{older}")));
            }
        }
        Err(why) => tracing::warn!(%why, "no copy of the record as it was before this version"),
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|metadata| Identity(metadata.dev(), metadata.ino()))
}

/// Renames the database with its log, so that `sqlite3` can still open what is left of it.
fn move_aside(path: &Path, now: Now) -> Result<PathBuf, StoreError> {
    let io = |what| move |source| StoreError::Io { what, path: path.to_owned(), source };
    let kept = fs::read_dir(path.parent().unwrap_or(path))
        .map_err(io("listed"))?
        .filter_map(Result::ok)
        .filter(|entry| {
            let entry = entry.file_name();
            let entry = entry.to_string_lossy();
            entry.starts_with("turnbell.db.corrupt-")
                && !entry.ends_with("-wal")
                && !entry.ends_with("-shm")
        })
        .count();
    if kept >= CORRUPT_FILES_MAX {
        return Err(StoreError::CorruptAgain { path: path.to_owned() });
    }
    // Two in one second: the later one gets the next second's name.
    let aside = (now.unix_s()..)
        .take(CORRUPT_FILES_MAX + 1)
        .map(|second| beside(path, &format!(".corrupt-{second}")))
        .find(|aside| !aside.exists())
        .ok_or_else(|| StoreError::CorruptAgain { path: path.to_owned() })?;
    for log in ["-wal", ""] {
        unless_missing(fs::rename(beside(path, log), beside(&aside, log)))
            .map_err(io("moved aside"))?;
    }
    // The index of the log belongs to a file that is gone.
    unless_missing(fs::remove_file(beside(path, "-shm"))).map_err(io("moved aside"))?;
    Ok(aside)
}

/// Copies what can be read of keys and revoked users, so that a damaged log neither locks every
/// caller of `/ice` out nor lets anybody in. Returns how many of each.
fn salvage(aside: &Path, to: &Connection, now: Now) -> (usize, usize) {
    let from = connect_read_only(aside);
    let keys = from.as_ref().ok().and_then(|from| keys::list(from).ok()).unwrap_or_default();
    let revoked = from.as_ref().ok().and_then(|from| revocations::list(from, now).ok());
    let invited = from.as_ref().ok().and_then(|from| invites::list(from, now).ok());
    drop(from);
    for invite in invited.unwrap_or_default() {
        // One that is lost is refused, and asked for again.
        let _ = invites::insert(to, &invite);
    }
    // A connection that only reads leaves the index of the log behind, and a log if there was none.
    let _ = fs::remove_file(beside(aside, "-shm"));
    if fs::metadata(beside(aside, "-wal")).is_ok_and(|log| log.len() == 0) {
        let _ = fs::remove_file(beside(aside, "-wal"));
    }
    let revoked = revoked.unwrap_or_default();
    (
        keys.iter().filter(|key| keys::insert(to, key).is_ok()).count(),
        revoked.iter().filter(|row| revocations::insert(to, row).is_ok()).count(),
    )
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
