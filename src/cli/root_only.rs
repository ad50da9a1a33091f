//! Files that root alone can read: turnbell's service is another user, and does not start without them.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::config::Config;

/// Where the shipped unit keeps the state.
const STATE_OF_THE_SERVICE: &str = "/var/lib/turnbell";

/// A sentence for each file of [tls] that the shipped service could not read.
pub(super) fn unreadable_for_the_service(config: &Config) -> Vec<String> {
    let Some(tls) = &config.tls else { return Vec::new() };
    if config.state_directory != Path::new(STATE_OF_THE_SERVICE) {
        return Vec::new();
    }
    // What lies beside the config may be handed over by LoadCredential.
    let beside = config.source.file().and_then(Path::parent);
    let files = [("tls.cert", &tls.cert), ("tls.key", &tls.key)];
    let of_root = files.into_iter().filter(|(_, file)| file.parent() != beside && is_of_root(file));
    let sentence = |(key, file): (&str, &std::path::PathBuf)| {
        format!(
            "{key}: only root can read {}, and turnbell's service is another user; Certificates in \
             README.md has the hook that copies it and the line for the unit",
            file.display()
        )
    };
    of_root.map(sentence).collect()
}

/// Whether nobody but root gets to a file, by it or by a folder above it, behind links, too.
fn is_of_root(file: &Path) -> bool {
    let is_shut = |path: &Path, others: u32, group: u32| {
        path.metadata().is_ok_and(|found| {
            let open_to_a_group = found.gid() != 0 && found.mode() & group != 0;
            found.uid() == 0 && found.mode() & others == 0 && !open_to_a_group
        })
    };
    let behind = file.canonicalize();
    let ways = [Some(file), behind.as_deref().ok()];
    let folders = ways.into_iter().flatten().flat_map(|way| way.ancestors().skip(1));
    let mut folders = folders.filter(|folder| !folder.as_os_str().is_empty());
    is_shut(file, 0o004, 0o040) || folders.any(|folder| is_shut(folder, 0o001, 0o010))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn a_file_that_only_root_reads_is_found_behind_folders_and_links() {
        let home = tempfile::tempdir().unwrap();
        if home.path().metadata().unwrap().uid() != 0 {
            return;
        }
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        };
        mode(home.path(), 0o755);
        let (live, archive) = (home.path().join("live"), home.path().join("archive"));
        for folder in [&live, &archive] {
            std::fs::create_dir(folder).unwrap();
            mode(folder, 0o755);
        }
        let (key, link) = (archive.join("key.pem"), live.join("key.pem"));
        std::fs::write(&key, "").unwrap();
        symlink(&key, &link).unwrap();
        mode(&key, 0o644);
        assert!(!is_of_root(&link));
        mode(&key, 0o600);
        assert!(is_of_root(&link));
        mode(&key, 0o640);
        assert!(is_of_root(&link), "the group is root's, too");
        chown(&key, None, Some(1)).unwrap();
        assert!(!is_of_root(&link));
        mode(&archive, 0o700);
        assert!(is_of_root(&link));
        mode(&archive, 0o711);
        mode(&live, 0o700);
        assert!(is_of_root(&link) && !is_of_root(&key));
        chown(&live, Some(1), None).unwrap();
        assert!(!is_of_root(&link), "it is somebody's");

        let text = format!("[tls]\ncert = {key:?}\nkey = {link:?}\n");
        let mut config = Config::parse(&home.path().join("turnbell.toml"), &text).unwrap();
        mode(&key, 0o600);
        assert_eq!(
            unreadable_for_the_service(&config),
            [""; 0],
            "not where the service's state is"
        );
        config.state_directory = STATE_OF_THE_SERVICE.into();
        let said = unreadable_for_the_service(&config);
        assert!(said.len() == 2 && said[1].contains("tls.key: only root can read"), "{said:?}");
        config.source = crate::config::Source::File(live.join("turnbell.toml"));
        assert_eq!(unreadable_for_the_service(&config).len(), 1, "it may be handed over");
    }
}
