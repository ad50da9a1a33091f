//! What a database that is locked, missing, damaged, too new or in use does to the record: it is
//! told, nothing is lost uncounted, and it is over when the cause is gone.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::Connection;
use turnbell::limits::{CORRUPT_FILES_MAX, RECORD_BATCH_ROWS, RECORD_QUEUED_MAX};
use turnbell::store::{FILE_NAME, RevocationRow, Store, StoreError, StoreState};
use turnbell::time::Now;

use crate::support::{
    ask, close, close_with_losses, issued, key, log, look_into, open, opened, options, sessions,
    until, until_degraded, until_stored,
};

#[test] // K4
fn a_locked_database_degrades_and_loses_nothing_that_fits_the_queue() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.record(issued(1, "before"));
    until_stored(&store);
    let locker = lock(directory.path());
    store.record(issued(2, "during"));
    let why = until_degraded(&store);
    assert!(why.contains(FILE_NAME) && why.contains("holds a lock"), "{why}");
    assert!(store.add_key(key("k")).is_err(), "a key is not said to be stored");
    assert_eq!(log(&store).len(), 2, "what is there can be read: the start and one credential");
    locker.execute_batch("COMMIT").unwrap();
    until_stored(&store);
    store.add_key(key("k")).unwrap();
    close(&store, writer);
    let rows: i64 = ask(directory.path(), "SELECT count(*) FROM credentials_issued");
    assert_eq!(rows, 2);
}

#[test] // N2
fn entries_beyond_the_queue_are_dropped_and_the_account_adds_up() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    let locker = lock(directory.path());
    store.record(issued(0, "first"));
    until_degraded(&store);
    // One transaction is in the writer's hands (one entry, or as many as it holds if the lock met
    // the writer before the entry did), the queue holds its bound, the rest is lost.
    let over = 1_000;
    let all = RECORD_QUEUED_MAX + over;
    for at in 1..=all as i64 {
        store.record(issued(at, "flood"));
    }
    let health = store.health();
    assert_eq!(health.accepted, all as u64 + 1);
    let kept = health.queued;
    let in_hand = kept - RECORD_QUEUED_MAX as u64;
    assert!((1..=RECORD_BATCH_ROWS as u64).contains(&in_hand), "{in_hand} in hand");
    assert_eq!(health.dropped, health.accepted - kept);
    locker.execute_batch("COMMIT").unwrap();
    until_stored(&store);
    let health = close_with_losses(&store, writer);
    assert_eq!((health.stored, health.dropped), (kept, all as u64 + 1 - kept));
    let rows: i64 = ask(directory.path(), "SELECT count(*) FROM credentials_issued");
    assert_eq!(rows as u64, health.stored);
    let dropped: i64 = ask(directory.path(), "SELECT rows_dropped FROM runs");
    assert_eq!(dropped as u64, health.dropped);
}

#[test]
fn a_stop_does_not_wait_for_a_database_that_stays_locked() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    let _locker = lock(directory.path());
    let entries = RECORD_BATCH_ROWS as u64 * 3;
    for _ in 0..entries {
        store.record(issued(1, "lost"));
    }
    let health = close_with_losses(&store, writer);
    assert_eq!((health.stored, health.dropped), (0, entries));
    assert!(matches!(health.state, StoreState::Degraded { .. }));
}

#[test]
fn a_path_that_is_a_directory_degrades_until_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    fs::create_dir(&path).unwrap();
    let (store, writer) = open(directory.path());
    let why = until_degraded(&store);
    assert!(why.contains(path.to_str().unwrap()) && why.contains("is a file"), "{why}");
    store.record(issued(1, "alice"));
    assert!(store.sessions(&Default::default()).is_err(), "and a query says so");
    fs::remove_dir(&path).unwrap();
    until_stored(&store);
    close(&store, writer);
    let version: i64 = ask(directory.path(), "PRAGMA user_version");
    assert!(version > 0, "the tables are there");
}

#[test]
fn a_state_directory_that_cannot_be_made_degrades_until_it_can() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("state");
    fs::write(&directory, "a file").unwrap();
    let (store, writer) = open(&directory);
    let why = until_degraded(&store);
    assert!(why.contains("state") && why.contains("created"), "{why}");
    assert!(matches!(Store::open_for_commands(options(&directory)), Err(StoreError::Io { .. })));
    store.record(issued(1, "alice"));
    fs::remove_file(&directory).unwrap();
    until_stored(&store);
    close(&store, writer);
}

#[test] // K5
fn a_database_deleted_while_it_is_open_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.record(issued(1, "old"));
    until_stored(&store);
    for log in ["", "-wal", "-shm"] {
        fs::remove_file(directory.path().join(format!("{FILE_NAME}{log}"))).unwrap();
    }
    store.record(issued(2, "new"));
    store.record(opened(1, 3, "new"));
    until_stored(&store);
    assert_eq!(sessions(&store).len(), 1);
    close(&store, writer);
    let runs: i64 = ask(directory.path(), "SELECT count(*) FROM runs");
    let rows: i64 = ask(directory.path(), "SELECT count(*) FROM credentials_issued");
    assert_eq!((runs, rows), (1, 1));
}

#[test] // K5
fn a_file_that_is_no_database_is_moved_aside_and_a_new_one_started() {
    let directory = tempfile::tempdir().unwrap();
    let garbage = vec![0xa5; 20_000];
    fs::write(directory.path().join(FILE_NAME), &garbage).unwrap();
    let refused = Store::open_for_commands(options(directory.path())).unwrap_err();
    assert!(refused.to_string().contains("turnbell run"), "{refused}");
    let (store, writer) = open(directory.path());
    assert_eq!(store.health().state, StoreState::Ok);
    store.record(issued(1, "alice"));
    close(&store, writer);
    let aside = moved_aside(directory.path());
    assert_eq!(aside.len(), 1);
    assert_eq!(fs::read(directory.path().join(&aside[0])).unwrap(), garbage);
}

#[test] // K5
fn a_damaged_database_is_moved_aside_and_its_keys_and_revocations_are_carried_over() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.add_key(key("kept")).unwrap();
    let revoked = RevocationRow { user: "mallory".into(), at_unix_ms: 1, until_unix_ms: None };
    store.revoke(revoked.clone(), Now::read()).unwrap();
    for number in 1..2_000 {
        store.record(opened(number, 1, "alice"));
    }
    close(&store, writer);
    // Behind the first pages of all tables, among the rows of allocations.
    scribble(directory.path(), 100, 20);
    let (store, writer) = open(directory.path());
    assert_eq!(store.health().state, StoreState::Ok);
    assert_eq!(store.keys().unwrap(), [key("kept")]);
    assert_eq!(store.revocations(Now::read()).unwrap(), [revoked]);
    assert_eq!(sessions(&store).len(), 0);
    close(&store, writer);
    assert_eq!(moved_aside(directory.path()).len(), 1);
}

#[test] // K5
fn a_database_damaged_while_it_is_open_costs_no_account_and_is_well_after_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    for number in 1..2_000 {
        store.record(opened(number, 1, "alice"));
    }
    until_stored(&store);
    drop(look_at_the_file(directory.path()));
    scribble(directory.path(), 1, 60);
    for at in 0..2_000 {
        store.record(issued(at, "bob"));
    }
    until_stored(&store);
    close_with_losses(&store, writer);
    let (store, writer) = open(directory.path());
    store.record(issued(1, "after"));
    until_stored(&store);
    close(&store, writer);
    let integrity: String = ask(directory.path(), "PRAGMA integrity_check");
    assert_eq!(integrity, "ok");
}

#[test]
fn a_disk_that_damages_everything_is_not_filled_with_copies() {
    let directory = tempfile::tempdir().unwrap();
    let garbage = || fs::write(directory.path().join(FILE_NAME), [0xa5; 5_000]).unwrap();
    for _ in 0..CORRUPT_FILES_MAX {
        garbage();
        let (store, writer) = open(directory.path());
        close(&store, writer);
    }
    garbage();
    let (store, writer) = open(directory.path());
    let why = until_degraded(&store);
    assert!(why.contains("delete"), "{why}");
    assert_eq!(moved_aside(directory.path()).len(), CORRUPT_FILES_MAX);
    fs::remove_file(directory.path().join(&moved_aside(directory.path())[0])).unwrap();
    until_stored(&store);
    close(&store, writer);
}

#[test]
fn a_file_of_a_newer_version_is_refused_by_name_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.record(issued(1, "alice"));
    close(&store, writer);
    let connection = Connection::open(directory.path().join(FILE_NAME)).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let refused = Store::open_for_commands(options(directory.path())).unwrap_err();
    let path = directory.path().join(FILE_NAME);
    assert!(matches!(&refused, StoreError::Newer { found: 99, .. }), "{refused}");
    assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
    assert!(refused.to_string().contains("newer turnbell"), "{refused}");

    let (store, writer) = open(directory.path());
    assert!(until_degraded(&store).contains("newer turnbell"));
    assert!(matches!(store.keys(), Err(StoreError::Newer { .. })));
    store.record(issued(2, "bob"));
    close_with_losses(&store, writer);
    assert!(moved_aside(directory.path()).is_empty());
    let rows: i64 = ask(directory.path(), "SELECT count(*) FROM credentials_issued");
    assert_eq!(rows, 1);
}

#[test]
fn a_second_daemon_waits_for_the_first_and_takes_none_of_its_allocations_for_crashed() {
    let directory = tempfile::tempdir().unwrap();
    let (first, first_writer) = open(directory.path());
    first.record(opened(1, 1, "alice"));
    until_stored(&first);
    let (second, second_writer) = open(directory.path());
    assert!(until_degraded(&second).contains("another turnbell"));
    assert!(matches!(
        Store::open_for_commands(options(directory.path())),
        Err(StoreError::InUse { .. })
    ));
    assert_eq!(sessions(&first)[0].end_reason, None);
    close(&first, first_writer);
    until(&second, "the lock is passed on", |health| health.state == StoreState::Ok);
    close(&second, second_writer);
}

#[test]
fn commands_share_the_record_while_no_daemon_runs() {
    let directory = tempfile::tempdir().unwrap();
    let (one, one_writer) = look_into(directory.path());
    let (other, other_writer) = look_into(directory.path());
    one.add_key(key("one")).unwrap();
    other.add_key(key("other")).unwrap();
    assert_eq!(one.keys().unwrap().len(), 2);
    assert!(one.revoke_key("other", Now::read()).unwrap());
    one.record(issued(1, "alice"));
    close(&one, one_writer);
    close(&other, other_writer);
    let runs: i64 = ask(directory.path(), "SELECT count(*) FROM runs");
    assert_eq!(runs, 0, "a command is no run");
}

/// A second program that holds the write lock.
fn lock(directory: &Path) -> Connection {
    let connection = look_at_the_file(directory);
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    connection
}

fn look_at_the_file(directory: &Path) -> Connection {
    let connection = Connection::open(directory.join(FILE_NAME)).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    connection
}

/// Overwrites pages, counted from 0.
fn scribble(directory: &Path, first: u64, pages: u64) {
    let file = fs::OpenOptions::new().write(true).open(directory.join(FILE_NAME)).unwrap();
    for page in first..first + pages {
        file.write_all_at(&[0x5a; 4096], page * 4096).unwrap();
    }
}

fn moved_aside(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".corrupt-"))
        .collect();
    names.sort();
    names
}
