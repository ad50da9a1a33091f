//! The state directory: made once, held by one daemon, home of the generated secret.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::auth::secret::{Secret, generate_shared_secret};

/// Shared secrets, one a line; made at first start.
pub const SECRET_FILE: &str = "secret";
/// Accounts that `turnbell user` keeps.
pub const USERS_FILE: &str = "users";
/// Signs guests' tokens and invites; made at first start.
pub const SIGNING_KEY_FILE: &str = "signing_key";
/// Where commands talk to the daemon.
pub const CONTROL_SOCKET: &str = "control.sock";
/// Held locked while the daemon runs; holds its process id.
pub const LOCK_FILE: &str = "lock";

/// A state directory that nobody else uses as long as this value lives.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    /// The lock ends with this descriptor, also when the process is killed.
    _lock: File,
    warning: Option<String>,
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirectoryError {
    /// Another daemon holds it.
    #[error(
        "already running as pid {pid}: it holds the state directory {}; stop it, or give this one \
         another `state_directory`",
        path.display()
    )]
    AlreadyRunning {
        /// As written by the holder; `?` if it had no time to write it.
        pid: String,
        /// The directory.
        path: PathBuf,
    },
    /// The file system says no.
    #[error(
        "state directory {} cannot be used: {what}: {source}; set `state_directory` in \
         turnbell.toml to a directory that this user may write",
        path.display()
    )]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What came of it.
        source: io::Error,
    },
}

impl StateDirectory {
    /// Makes the directory if it is missing (mode 0700) and takes the lock.
    ///
    /// # Errors
    /// `AlreadyRunning` if another process holds the lock, else what the file system says.
    pub fn open(path: &Path) -> Result<Self, StateDirectoryError> {
        let unusable = |what| {
            move |source| StateDirectoryError::Unusable { path: path.to_owned(), what, source }
        };
        create(path).map_err(unusable("creating it"))?;
        let mode = path.metadata().map_err(unusable("looking at it"))?.permissions().mode();
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK_FILE))
            .map_err(unusable("opening its lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = read_pid(&mut lock).unwrap_or_else(|| "?".to_owned());
                return Err(StateDirectoryError::AlreadyRunning { pid, path: path.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(unusable("locking it")(error)),
        }
        write_pid(&mut lock).map_err(unusable("writing to it"))?;
        let warning = (mode & 0o007 != 0).then(|| {
            let shown = path.display();
            format!(
                "state directory {shown} is open to everybody (mode {:04o}); chmod 700 {shown}",
                mode & 0o7777
            )
        });
        Ok(Self { path: path.to_owned(), _lock: lock, warning })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// That everybody may enter the directory.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// The control socket.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.path.join(CONTROL_SOCKET)
    }

    /// The file with the generated secret; it is made if it is missing, mode 0600, all or nothing.
    ///
    /// # Errors
    /// What the file system says.
    pub fn secret_file(&self) -> Result<PathBuf, StateDirectoryError> {
        self.made(SECRET_FILE)
    }

    /// The key that signs guests' tokens and invites, made like the secret.
    ///
    /// # Errors
    /// What the file system says.
    pub fn signing_key(&self) -> Result<Secret<String>, StateDirectoryError> {
        let path = self.made(SIGNING_KEY_FILE)?;
        std::fs::read_to_string(path).map(Secret::new).map_err(|source| {
            StateDirectoryError::Unusable {
                path: self.path.clone(),
                what: "reading the signing key",
                source,
            }
        })
    }

    /// The file of accounts, which need not exist.
    #[must_use]
    pub fn users_file(&self) -> PathBuf {
        self.path.join(USERS_FILE)
    }

    fn made(&self, name: &str) -> Result<PathBuf, StateDirectoryError> {
        let path = self.path.join(name);
        make_secret(&path).map_err(|source| StateDirectoryError::Unusable {
            path: self.path.clone(),
            what: "making a secret",
            source,
        })?;
        Ok(path)
    }
}

/// Gives every file of the directory to the directory's owner, so that a daemon without root can
/// read what root's commands made. Does nothing where nothing is to be done; without the right to
/// do it, files are the owner's already.
pub fn give_to_owner(directory: &Path) {
    let Ok(owner) = directory.metadata().map(|m| (m.uid(), m.gid())) else { return };
    let Ok(entries) = directory.read_dir() else { return };
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() && (metadata.uid(), metadata.gid()) != owner {
            // Refused to everybody but root, for whom nothing is to be done then.
            let _ = std::os::unix::fs::lchown(entry.path(), Some(owner.0), Some(owner.1));
        }
    }
}

fn create(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other,
    }
}

fn make_secret(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let secret = generate_shared_secret().map_err(io::Error::other)?;
    let new = path.with_extension("new");
    // Left over from a start that was killed between the two steps; the lock is ours.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(secret.expose().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

fn read_pid(lock: &mut File) -> Option<String> {
    let mut text = String::new();
    lock.take(16).read_to_string(&mut text).ok()?;
    let pid = text.trim();
    let fits = !pid.is_empty() && pid.bytes().all(|c| c.is_ascii_digit());
    fits.then(|| pid.to_owned())
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn the_directory_and_its_files_belong_to_the_owner_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let state = StateDirectory::open(&path).unwrap();
        assert_eq!((mode(&path), mode(&path.join(LOCK_FILE))), (0o700, 0o600));
        assert_eq!(mode(&state.secret_file().unwrap()), 0o600);
        assert_eq!(state.warning(), None);
        assert_eq!(state.control_socket(), path.join("control.sock"));
    }

    #[test]
    fn a_second_daemon_is_told_who_runs() {
        let parent = tempfile::tempdir().unwrap();
        let first = StateDirectory::open(parent.path()).unwrap();
        let error = StateDirectory::open(parent.path()).unwrap_err().to_string();
        let expected = format!("already running as pid {}:", std::process::id());
        assert!(error.starts_with(&expected), "{error}");
        drop(first);
        assert!(StateDirectory::open(parent.path()).is_ok());
    }

    #[test]
    fn a_secret_is_made_once_and_kept() {
        let parent = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(parent.path()).unwrap();
        std::fs::write(parent.path().join("secret.new"), "half").unwrap();
        let file = state.secret_file().unwrap();
        let made = std::fs::read_to_string(&file).unwrap();
        assert_eq!(made.len(), 65);
        assert!(!parent.path().join("secret.new").exists());
        drop(state);
        let again = StateDirectory::open(parent.path()).unwrap().secret_file().unwrap();
        assert_eq!(std::fs::read_to_string(again).unwrap(), made);
    }

    #[test]
    fn a_directory_open_to_everybody_is_warned_about() {
        let parent = tempfile::tempdir().unwrap();
        let set = |mode| {
            std::fs::set_permissions(parent.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set(0o750);
        assert_eq!(StateDirectory::open(parent.path()).unwrap().warning(), None);
        set(0o755);
        let state = StateDirectory::open(parent.path()).unwrap();
        assert!(state.warning().unwrap().contains("mode 0755"), "{:?}", state.warning());
    }

    #[test]
    fn what_root_makes_in_a_directory_of_another_user_is_given_to_that_user() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("turnbell.db");
        std::fs::write(&file, "").unwrap();
        let me = file.metadata().unwrap().uid();
        let nobody = if me == 0 { 65_534 } else { me };
        std::os::unix::fs::chown(parent.path(), Some(nobody), None).unwrap();
        give_to_owner(parent.path());
        assert_eq!(file.metadata().unwrap().uid(), nobody);
    }

    #[test]
    fn a_path_that_is_a_file_is_named_with_the_key_to_change() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = StateDirectory::open(file.path()).unwrap_err().to_string();
        assert!(error.contains("creating it") && error.contains("`state_directory`"), "{error}");
    }
}
