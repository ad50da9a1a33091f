//! Why the record cannot be read or written: what, where, and what cures it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::limits::identity::INVITES_MAX;
use crate::limits::probe::VERIFY_LINKS_MAX;
use crate::limits::record::{USAGE_GROUPS_MAX, USAGE_ROWS_MAX};
use crate::limits::revocation::REVOCATIONS_MAX;
use crate::limits::{API_KEYS_MAX, CORRUPT_FILES_MAX, TEXT_BYTES_MAX};

/// A failure of the record. Its text is a sentence for a person, with the cure.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file was written by a later version of the program.
    #[error(
        "{} has schema {found}, this turnbell knows up to {known}: \
         start the newer turnbell again, or move the file away",
        path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its `user_version`.
        found: i64,
        /// The latest this program knows.
        known: i64,
    },
    /// The file is no database, or a damaged one.
    #[error(
        "{} is damaged ({detail}): `turnbell run` moves it aside and starts a new one",
        path.display()
    )]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// So many damaged files lie beside it that no further one is made.
    #[error(
        "{} is damaged, and {CORRUPT_FILES_MAX} damaged ones are kept beside it already: \
         check the disk, then delete {}.corrupt-*",
        path.display(), path.display()
    )]
    CorruptAgain {
        /// The database file.
        path: PathBuf,
    },
    /// Another process of this program holds it.
    #[error(
        "{} is in use by another turnbell: stop that one, or give this one its own state directory",
        path.display()
    )]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// The file system refuses.
    #[error(
        "{} cannot be {what} ({source}): check that the directory exists, belongs to turnbell \
         and is writable",
        path.display()
    )]
    Io {
        /// `created`, `opened`, `moved aside` ...
        what: &'static str,
        /// Which file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// SQLite refuses.
    #[error("{}: {source}: {}", path.display(), cure(source))]
    Sqlite {
        /// The database file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The SQLite that was linked has a known bug that damages WAL files.
    #[error("SQLite {0} is too old, 3.51.3 is the oldest that is safe here: rebuild turnbell")]
    OldSqlite(&'static str),
    /// The writer is gone: the daemon is stopping, or its thread could not be started.
    #[error("the record is closed: turnbell is stopping or could not start its writer thread")]
    Closed,
    /// Too many key changes at once.
    #[error("too many changes of keys are waiting to be written: try again")]
    Busy,
    /// The wait ended before the writer answered.
    #[error("the change of keys is not confirmed in time: look at `turnbell key list`")]
    Unconfirmed,
    /// A key of this name is active.
    #[error("an active key named {0:?} exists: choose another name or revoke that one")]
    KeyExists(String),
    /// A key's name is longer than is stored.
    #[error("a key's name must have 1 to {TEXT_BYTES_MAX} bytes")]
    KeyName,
    /// There are too many revoked users.
    #[error("{REVOCATIONS_MAX} users are revoked, no more can be: undo some, or change the secret")]
    RevocationsFull,
    /// There are too many invites.
    #[error("there are {INVITES_MAX} invites: none can be made until some expire")]
    InvitesFull,
    /// A file is in the place of a copy.
    #[error("{} exists and is not overwritten: name another file, or move that one", path.display())]
    Exists {
        /// That file.
        path: PathBuf,
    },
    /// A copy was made and does not hold what it should.
    #[error("the copy {} is not good ({detail}): check that disk and try again", path.display())]
    BadCopy {
        /// The copy; it is gone.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// More was used than is added up at once.
    #[error(
        "more than {USAGE_ROWS_MAX} calls or allocations, or {USAGE_GROUPS_MAX} users, lie in this \
         time: ask for a shorter one"
    )]
    UsageTooMuch,
    /// There are too many keys.
    #[error("there are {API_KEYS_MAX} keys: revoked ones count, none can be added")]
    KeysFull,
    /// There are too many links that verify.
    #[error(
        "{VERIFY_LINKS_MAX} links of `turnbell verify --link` are open, no more can be: revoke some \
         (`turnbell key list` shows them) or wait, each ends after a day"
    )]
    LinksFull,
}

impl StoreError {
    /// Wraps what SQLite said, telling damage from everything else.
    pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt { path: path.to_owned(), detail: source.to_string() }
            }
            Some(_) | None => Self::Sqlite { path: path.to_owned(), source },
        }
    }

    /// Whether waiting can help: locks, space, modes and mounts change without us.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Sqlite { source, .. } => is_of_the_world(source),
            Self::Newer { .. }
            | Self::Corrupt { .. }
            | Self::CorruptAgain { .. }
            | Self::InUse { .. }
            | Self::Io { .. }
            | Self::OldSqlite(_) => true,
            Self::Closed
            | Self::Busy
            | Self::RevocationsFull
            | Self::InvitesFull
            | Self::Unconfirmed
            | Self::KeyExists(_)
            | Self::KeyName
            | Self::Exists { .. }
            | Self::BadCopy { .. }
            | Self::UsageTooMuch
            | Self::KeysFull
            | Self::LinksFull => false,
        }
    }

    /// Whether the open connection is as good as before: only a lock was in the way.
    pub(super) fn is_lock(&self) -> bool {
        matches!(self, Self::Sqlite { source, .. } if matches!(
            source.sqlite_error_code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        ))
    }
}

/// Failures of the file and its surroundings, in contrast to those of a statement.
fn is_of_the_world(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::PermissionDenied
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::DiskFull
                | ErrorCode::CannotOpen
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::NoLargeFileSupport
        )
    )
}

fn cure(error: &rusqlite::Error) -> &'static str {
    let Some(code) = error.sqlite_error_code() else {
        return "this is a bug of turnbell, please report it";
    };
    if matches!(code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) {
        "another program holds a lock on it, end that program"
    } else if code == ErrorCode::DiskFull {
        "free space on its file system"
    } else if matches!(code, ErrorCode::ReadOnly | ErrorCode::PermissionDenied) {
        "check the owner and mode of the file and its directory, and that it is not mounted \
         read-only"
    } else if code == ErrorCode::CannotOpen {
        "check that the path is a file, that the directory exists and belongs to turnbell"
    } else if matches!(code, ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed) {
        "check the disk: free space, kernel log, and that it is a local file system"
    } else if code == ErrorCode::OutOfMemory {
        "the machine has no memory left"
    } else {
        "this is a bug of turnbell, please report it"
    }
}
