//! A copy of the record while it is written; and a copy that is killed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use turnbell::store::{FILE_NAME, StoreError, backup};
use turnbell::time::Now;

use crate::support::{ask, close, issued, open, until_stored};

/// Set for the child: the state directory; the copy goes beside it.
const CHILD: &str = "TURNBELL_STORE_BACKUP_CHILD";

fn rows(file: &Path) -> i64 {
    let connection = Connection::open(file).unwrap();
    connection.query_row("SELECT count(*) FROM credentials_issued", [], |row| row.get(0)).unwrap()
}

/// Many rows at once, so that a copy takes some time.
fn fill(directory: &Path, rows: i64) {
    let connection = Connection::open(directory.join(FILE_NAME)).unwrap();
    connection
        .execute(
            "INSERT INTO credentials_issued (at_ms, user, username, expires_at_s, ttl_s, issued_by)
             WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
             SELECT n, 'u' || n, hex(zeroblob(400)), 0, 0, 'local' FROM n",
            [rows],
        )
        .unwrap();
}

#[test] // P33
fn a_copy_is_of_one_moment_and_keeps_no_writer_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    until_stored(&store);
    fill(directory.path(), 20_000);
    let to = directory.path().join("copy.db");
    let (steps, written) = (AtomicU64::new(0), AtomicU64::new(0));
    let bytes = backup(directory.path(), &to, &mut |done, all| {
        assert!(done <= all);
        // Between two steps something is written, acknowledged and there to be read.
        if steps.fetch_add(1, Ordering::Relaxed) < 3 {
            store.record(issued(written.fetch_add(1, Ordering::Relaxed) as i64, "during"));
            until_stored(&store);
        }
    });
    let bytes = bytes.unwrap();
    assert!(steps.load(Ordering::Relaxed) > 3, "it goes in steps");
    let during = "SELECT count(*) FROM credentials_issued WHERE user = 'during'";
    assert_eq!(ask::<i64>(directory.path(), during), 3);
    assert_eq!(rows(&to), 20_000, "of the moment it began");
    let copied = fs::metadata(&to).unwrap();
    assert_eq!((copied.len(), copied.permissions().mode() & 0o777), (bytes, 0o600));
    for suffix in [".part", "-wal", "-shm", ".part-wal", ".part-shm", ".part-journal"] {
        assert!(!PathBuf::from(format!("{}{suffix}", to.display())).exists(), "{suffix}");
    }
    close(&store, writer);

    // It is a record: another daemon opens it.
    let other = tempfile::tempdir().unwrap();
    fs::copy(&to, other.path().join(FILE_NAME)).unwrap();
    let (store, writer) = open(other.path());
    store.record(issued(1, "after"));
    close(&store, writer);
    assert_eq!(rows(&other.path().join(FILE_NAME)), 20_001);
}

#[test]
fn no_file_is_overwritten_and_what_goes_wrong_leaves_none() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    close(&store, writer);
    let to = directory.path().join("copy.db");
    fs::write(&to, "mine").unwrap();
    let refused = backup(directory.path(), &to, &mut |_, _| {});
    assert!(matches!(refused, Err(StoreError::Exists { .. })), "{refused:?}");
    assert_eq!(fs::read_to_string(&to).unwrap(), "mine");
    let nowhere = directory.path().join("no/such/copy.db");
    let refused = backup(directory.path(), &nowhere, &mut |_, _| {}).unwrap_err().to_string();
    assert!(refused.contains("copy.db") && refused.contains("cannot be created"), "{refused}");
    // Somebody makes the file while the copy is on its way.
    let late = directory.path().join("late.db");
    let refused = backup(directory.path(), &late, &mut |_, _| fs::write(&late, "mine").unwrap());
    assert!(matches!(refused, Err(StoreError::Exists { .. })), "{refused:?}");
    assert_eq!(fs::read_to_string(&late).unwrap(), "mine");
    assert!(!directory.path().join("late.db.part").exists());
}

#[test]
fn two_copies_to_one_file_do_not_meet() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    close(&store, writer);
    let to = directory.path().join("copy.db");
    let mut second = None;
    let first = backup(directory.path(), &to, &mut |_, _| {
        second.get_or_insert_with(|| backup(directory.path(), &to, &mut |_, _| {}));
    });
    assert!(first.is_ok(), "{first:?}");
    let second = second.unwrap();
    assert!(matches!(second, Err(StoreError::InUse { .. })), "{second:?}");
}

#[test] // P33: kill -9 in the middle of a copy
fn a_copy_that_is_killed_leaves_a_good_record_and_no_file_and_the_next_one_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let (store, writer) = open(&state);
    until_stored(&store);
    fill(&state, 40_000);
    let to = directory.path().join("copy.db");
    let part = directory.path().join("copy.db.part");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "backup::child_that_copies_until_it_is_killed", "--nocapture"])
        .env(CHILD, &state)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // The child stops after its second step, so that it is always in the middle.
    let deadline = Now::read().mono + Duration::from_secs(30);
    while fs::metadata(&part).map_or(0, |part| part.len()) == 0 {
        assert!(Now::read().mono < deadline, "the child copies");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!to.exists() && part.exists());
    store.record(issued(1, "after"));
    close(&store, writer);
    assert_eq!(ask::<String>(&state, "PRAGMA integrity_check"), "ok");
    backup(&state, &to, &mut |_, _| {}).unwrap();
    assert_eq!(rows(&to), 40_001);
    assert!(!part.exists());
}

/// Does nothing where it is not asked to.
#[test]
fn child_that_copies_until_it_is_killed() {
    let Some(state) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let to = state.parent().unwrap().join("copy.db");
    let mut steps = 0;
    let copied = backup(&state, &to, &mut |_, _| {
        steps += 1;
        if steps == 2 {
            // It is not woken, but by the kill.
            let (_never, end) = std::sync::mpsc::channel::<()>();
            let _ = end.recv_timeout(Duration::from_secs(120));
        }
    });
    panic!("it was not killed: {copied:?}");
}
