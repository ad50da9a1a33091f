//! Small files of the state directory that commands change while a daemon reads them.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::state_directory::give_to_owner;

/// Held while one of them is changed.
const LOCK_FILE: &str = "change.lock";

/// Writes what `change` makes of the text of a file, all or nothing; a file that is missing is empty.
///
/// Two commands at the same time wait for each other. Whoever owns the directory owns the file.
///
/// # Errors
/// What `change` says, or what the file system says.
pub fn edit<T, E: From<io::Error>>(
    directory: &Path,
    name: &str,
    change: impl FnOnce(&str) -> Result<(String, T), E>,
) -> Result<T, E> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join(LOCK_FILE))?;
    lock.lock()?;
    let done = replace(&directory.join(name), change);
    give_to_owner(directory);
    done
}

fn replace<T, E: From<io::Error>>(
    path: &Path,
    change: impl FnOnce(&str) -> Result<(String, T), E>,
) -> Result<T, E> {
    let before = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        other => other?,
    };
    let (after, said) = change(&before)?;
    if after != before {
        let new = path.with_extension("changed");
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(after.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_changed_whole_for_its_owner_alone_or_not_at_all() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("state");
        let said: io::Result<usize> =
            edit(&state, "users", |text| Ok((format!("{text}alice\n"), text.len())));
        assert_eq!(said.unwrap(), 0);
        let failed: io::Result<()> = edit(&state, "users", |_| Err(io::Error::other("no")));
        assert!(failed.is_err());
        let file = state.join("users");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "alice\n");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(state.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}
