//! `scripts/install` into an empty folder: what lands where, with which mode, and what survives.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const BINARY: &str = "usr/local/bin/turnbell";
const CONFIG: &str = "etc/turnbell/turnbell.toml";
const UNIT: &str = "etc/systemd/system/turnbell.service";
const SYSCTL: &str = "etc/sysctl.d/turnbell.conf";

fn install(destdir: &TempDir, arguments: &[&str]) -> Output {
    Command::new("bash")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install"))
        .args(["--binary", env!("CARGO_BIN_EXE_turnbell"), "--destdir"])
        .arg(destdir.path())
        .args(arguments)
        .output()
        .expect("bash runs")
}

#[track_caller]
fn installs(destdir: &TempDir, arguments: &[&str]) -> String {
    let output = install(destdir, arguments);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    said
}

fn empty() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn read(destdir: &TempDir, path: &str) -> String {
    fs::read_to_string(destdir.path().join(path)).expect(path)
}

/// Every file below the folder with its mode, sorted.
fn files(folder: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder is readable") {
            let path = entry.expect("an entry is readable").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mode = fs::metadata(&path).expect("a file has a mode").permissions().mode();
            let name = path.strip_prefix(folder).expect("below the folder").to_string_lossy();
            found.push((name.into_owned(), mode & 0o7777));
        }
    }
    found.sort();
    found
}

fn installed() -> Vec<(String, u32)> {
    let files = [(SYSCTL, 0o644), (UNIT, 0o644), (CONFIG, 0o600), (BINARY, 0o755)];
    files.map(|(path, mode)| (path.to_owned(), mode)).to_vec()
}

#[test]
fn binary_config_unit_and_kernel_settings_are_installed_with_their_modes() {
    let there = empty();
    installs(&there, &[]);
    assert_eq!(files(there.path()), installed());
    let original = fs::read(env!("CARGO_BIN_EXE_turnbell")).expect("the binary is built");
    assert!(fs::read(there.path().join(BINARY)).expect("just seen") == original, "same binary");
    let state = "state_directory = \"/var/lib/turnbell\"";
    let config = read(&there, CONFIG);
    assert_eq!(config.lines().filter(|line| *line == state).count(), 1, "{config}");
    let above = config.split(state).next().expect("a split has a first part");
    assert!(!above.lines().any(|line| line.starts_with('[')), "a top-level key: {config}");
    let sysctl = read(&there, SYSCTL);
    let reserved = "net.ipv4.ip_local_reserved_ports = 49152-65535";
    assert!(sysctl.lines().any(|line| line == reserved), "{sysctl}");
    assert!(sysctl.lines().any(|line| line == "net.core.rmem_max = 8388608"), "{sysctl}");
    assert!(read(&there, UNIT).contains("ExecStart=/usr/local/bin/turnbell run"));
}

#[test]
fn a_second_run_changes_nothing() {
    let there = empty();
    installs(&there, &[]);
    let before = [CONFIG, UNIT, SYSCTL].map(|path| read(&there, path));
    installs(&there, &[]);
    assert_eq!(files(there.path()), installed());
    assert_eq!([CONFIG, UNIT, SYSCTL].map(|path| read(&there, path)), before);
}

#[test]
fn a_config_that_was_changed_is_kept_and_the_new_one_lies_beside_it() {
    let there = empty();
    installs(&there, &[]);
    let mine = "relay_ports = \"50000-50999\"\n";
    fs::write(there.path().join(CONFIG), mine).expect("the config can be written");
    let said = installs(&there, &[]);
    assert_eq!(read(&there, CONFIG), mine);
    assert!(said.contains("turnbell.toml.new"), "{said}");
    let mut expected = installed();
    expected.push((format!("{CONFIG}.new"), 0o600));
    expected.sort();
    assert_eq!(files(there.path()), expected);
    let sysctl = read(&there, SYSCTL);
    assert!(sysctl.contains("ip_local_reserved_ports = 50000-50999\n"), "{sysctl}");
}

#[test]
fn another_prefix_is_named_in_the_unit() {
    let there = empty();
    installs(&there, &["--prefix", "/opt/turnbell"]);
    assert!(read(&there, UNIT).contains("ExecStart=/opt/turnbell/bin/turnbell run"));
    assert!(there.path().join("opt/turnbell/bin/turnbell").exists());
    assert!(!there.path().join("usr").exists());
}

#[test]
fn uninstalling_keeps_config_and_record() {
    let there = empty();
    installs(&there, &[]);
    let said = installs(&there, &["--uninstall"]);
    assert_eq!(files(there.path()), [(CONFIG.to_owned(), 0o600)]);
    assert!(said.contains("kept"), "{said}");
    installs(&there, &["--uninstall"]);
}

#[test]
fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let there = empty();
    let said = installs(&there, &["--dry-run"]);
    assert_eq!(files(there.path()), []);
    for path in [BINARY, CONFIG, UNIT, SYSCTL] {
        assert!(said.contains(path), "{path} in {said}");
    }
    installs(&there, &[]);
    installs(&there, &["--dry-run", "--uninstall"]);
    assert_eq!(files(there.path()), installed());
}

#[test]
fn a_wrong_argument_installs_nothing() {
    let there = empty();
    for wrong in [&["--force"][..], &["--prefix", "opt"], &["--binary", "/nowhere"], &["--prefix"]]
    {
        let output = install(&there, wrong);
        assert!(!output.status.success(), "{wrong:?}");
        assert!(!output.stderr.is_empty(), "{wrong:?} says why");
    }
    assert_eq!(files(there.path()), []);
}
