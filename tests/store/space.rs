//! A file system that is full or read-only: a small tmpfs of the test's own, in user and mount
//! namespaces, so that it needs no root and root's rights do not help.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use turnbell::limits::RECORD_QUEUED_MAX;
use turnbell::store::StoreState;

use crate::support::{
    ask, close, close_with_losses, issued, open, until, until_degraded, until_stored,
};

/// Set for the child: where the small file system is mounted.
const CHILD: &str = "TURNBELL_STORE_SPACE_CHILD";
const DONE: &str = "everything in the small file system was checked";

#[test] // K3
fn a_full_disk_degrades_and_recovers_alone_when_there_is_room_again() {
    in_a_small_file_system("space::child_on_a_full_disk");
}

#[test] // K5
fn a_file_system_mounted_read_only_degrades_until_it_can_be_written() {
    in_a_small_file_system("space::child_on_a_read_only_disk");
}

#[test]
fn child_on_a_full_disk() {
    let Some(mount) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let directory = mount.join("state");
    let (store, writer) = open(&directory);
    store.record(issued(0, "before"));
    until_stored(&store);
    let filler = mount.join("filler");
    fill(&filler);
    let mut sent = 1;
    let why = loop {
        // A little is left in the log that was made before; each round needs more than that.
        for _ in 0..1_000 {
            store.record(issued(sent, "during"));
            sent += 1;
        }
        let health =
            until(&store, "stored or degraded", |h| h.queued == 0 || h.state != StoreState::Ok);
        if let StoreState::Degraded { why, .. } = health.state {
            break why;
        }
    };
    assert!(why.contains("turnbell.db") && why.contains("free space"), "{why}");
    for _ in 0..RECORD_QUEUED_MAX + 100 {
        store.record(issued(sent, "flood"));
        sent += 1;
    }
    let health = store.health();
    assert!(health.dropped >= 100, "{health:?}");
    fs::remove_file(&filler).unwrap();
    until_stored(&store);
    let health = close_with_losses(&store, writer);
    assert_eq!(health.accepted, sent as u64);
    let rows: i64 = ask(&directory, "SELECT count(*) FROM credentials_issued");
    assert_eq!(rows as u64, health.stored);
    let integrity: String = ask(&directory, "PRAGMA integrity_check");
    assert_eq!(integrity, "ok");
    println!("{DONE}");
}

#[test]
fn child_on_a_read_only_disk() {
    let Some(mount) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let directory = mount.join("state");
    let (store, writer) = open(&directory);
    store.record(issued(1, "before"));
    close(&store, writer);
    remount(&mount, "ro");
    let (store, writer) = open(&directory);
    let why = until_degraded(&store);
    assert!(why.contains("Read-only") && why.contains("writable"), "{why}");
    store.record(issued(2, "during"));
    remount(&mount, "rw");
    until_stored(&store);
    close(&store, writer);
    let rows: i64 = ask(&directory, "SELECT count(*) FROM credentials_issued");
    assert_eq!(rows, 2);
    println!("{DONE}");
}

/// Runs one of this file's children by its name where 8 MiB are mounted for it.
#[track_caller]
fn in_a_small_file_system(child: &str) {
    let mount = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=8m turnbell-test \"$1\" || exit 99
        exec \"$2\" --exact \"$3\" --nocapture";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(mount.path())
        .arg(std::env::current_exe().unwrap())
        .arg(child)
        .env(CHILD, mount.path())
        .output()
        .unwrap_or_else(|error| panic!("`unshare` (package util-linux) is needed: {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        !(complained.starts_with("unshare:") || output.status.code() == Some(99)),
        "this kernel allows no user and mount namespaces, which this test needs \
         (sysctl kernel.unprivileged_userns_clone=1, or \
         kernel.apparmor_restrict_unprivileged_userns=0): {complained}"
    );
    assert!(output.status.success() && said.contains(DONE), "{said}\n{complained}");
}

fn fill(filler: &Path) {
    let mut file = fs::File::create(filler).unwrap();
    while std::io::Write::write(&mut file, &[0; 4096]).is_ok_and(|written| written > 0) {}
}

fn remount(mount: &Path, mode: &str) {
    let options = format!("remount,{mode},size=8m");
    let status = Command::new("mount").args(["-o", &options]).arg(mount).status().unwrap();
    assert!(status.success());
}
