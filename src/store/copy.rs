//! A copy of the record as it was at one moment, taken while it is being written: for `turnbell
//! backup`, and before a newer schema.
//!
//! The copy reads in one transaction of its own. In WAL mode that keeps no writer waiting, and a
//! write does not begin the copy anew; the log only grows by what is written meanwhile. All goes
//! into `<name>.part`, which gets its name when it is whole, checked and on disk: whoever is killed
//! on the way leaves a part that the next try throws away.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::database::{FILE_NAME, connect_read_only};
use super::error::StoreError;
use super::schema;
use crate::limits::record::COPY_STEP_PAGES;

/// Hears how many pages are copied, of how many.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Copies the record of a state directory, whether a daemon writes it or not, to a file that does
/// not exist. Returns its bytes.
///
/// # Errors
/// `Exists`; `Corrupt` if the copy does not hold what it should; what the disk says.
pub fn backup(directory: &Path, to: &Path, progress: Progress<'_>) -> Result<u64, StoreError> {
    let path = directory.join(FILE_NAME);
    let exists = to.symlink_metadata().is_ok();
    if exists {
        return Err(StoreError::Exists { path: to.to_owned() });
    }
    let from = connect_read_only(&path).map_err(|error| StoreError::sqlite(&path, error))?;
    schema::check_not_newer(&from, &path)?;
    copy(&from, &path, to, progress)
}

/// Copies what `from`, which is open on `path`, holds at this moment.
pub(super) fn copy(
    from: &Connection,
    path: &Path,
    to: &Path,
    progress: Progress<'_>,
) -> Result<u64, StoreError> {
    let part = beside(to, ".part");
    let lock = Part::begin(&part)?;
    copy_pages(from, path, &part, progress)?;
    check(&part)?;
    let io = |what, path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Io { what, path, source }
    };
    lock.file.sync_all().map_err(io("written", &part))?;
    let bytes = lock.file.metadata().map_err(io("written", &part))?.len();
    name(&part, to)?;
    if let Some(directory) = to.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        // Its name is on disk, too; where a directory cannot be synced, the kernel does it in time.
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
    }
    Ok(bytes)
}

/// A file in the making. What is left of it goes with this value.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    /// Makes it anew, mode 0600; one that somebody left who was killed is thrown away.
    fn begin(path: &Path) -> Result<Self, StoreError> {
        let io = |source| StoreError::Io { what: "created", path: path.to_owned(), source };
        let create =
            || OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
        let file = match create() {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
                let left = OpenOptions::new().read(true).custom_flags(flags).open(path);
                if let Ok(left) = left
                    && let Err(TryLockError::WouldBlock) = left.try_lock()
                {
                    return Err(StoreError::InUse { path: path.to_owned() });
                }
                remove(path).map_err(io)?;
                create().map_err(io)?
            }
            other => other.map_err(io)?,
        };
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = remove(&self.path);
    }
}

fn remove(part: &Path) -> io::Result<()> {
    for suffix in ["-wal", "-shm", "-journal", ""] {
        match fs::remove_file(beside(part, suffix)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn copy_pages(
    from: &Connection,
    path: &Path,
    part: &Path,
    progress: Progress<'_>,
) -> Result<(), StoreError> {
    let of_source = |error| StoreError::sqlite(path, error);
    let of_copy = |source| StoreError::Sqlite { path: part.to_owned(), source };
    let snapshot = from.unchecked_transaction().map_err(of_source)?;
    // From here on it sees one moment: a transaction begins with its first look.
    snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(of_source)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut to = Connection::open_with_flags(part, flags).map_err(of_copy)?;
    // Nothing of it counts before it is whole.
    to.pragma_update(None, "synchronous", "OFF").map_err(of_copy)?;
    let steps = Backup::new(&snapshot, &mut to).map_err(of_copy)?;
    loop {
        let step = steps.step(COPY_STEP_PAGES).map_err(of_copy)?;
        let told = steps.progress();
        let pages = |count: i32| u64::from(count.unsigned_abs());
        progress(pages(told.pagecount - told.remaining), pages(told.pagecount));
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            StepResult::Busy | StepResult::Locked | _ => {
                return Err(StoreError::InUse { path: part.to_owned() });
            }
        }
    }
    drop(steps);
    // One file, without a log beside it, that any SQLite opens.
    to.pragma_update(None, "journal_mode", "DELETE").map_err(of_copy)
}

fn check(part: &Path) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let verdict = Connection::open_with_flags(part, flags)
        .and_then(|copy| copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)));
    let detail: String = verdict.unwrap_or_else(|error| error.to_string());
    if detail == "ok" {
        return Ok(());
    }
    Err(StoreError::BadCopy { path: part.to_owned(), detail })
}

/// Gives the part its name, never in the place of another file.
fn name(part: &Path, to: &Path) -> Result<(), StoreError> {
    let linked = match fs::hard_link(part, to) {
        // A file system without hard links; somebody else may just now make the same file.
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            if to.symlink_metadata().is_ok() {
                Err(ErrorKind::AlreadyExists.into())
            } else {
                fs::rename(part, to)
            }
        }
        linked => linked,
    };
    linked.map_err(|source| {
        let path = to.to_owned();
        if source.kind() == ErrorKind::AlreadyExists {
            StoreError::Exists { path }
        } else {
            StoreError::Io { what: "written", path, source }
        }
    })
}

/// The path with something behind its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
