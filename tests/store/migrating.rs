//! An older file is brought up to date and kept as it was; a newer one is refused; and a large one
//! is opened without being read.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use turnbell::limits::RECORD_CHECK_BYTES_MAX;
use turnbell::store::{FILE_NAME, Options, Store};
use turnbell::time::Now;

use crate::call_rows::call;
use crate::support::{ask, close, issued, key, open, options, until_degraded, until_stored};

fn version(file: &Path) -> i64 {
    let connection = Connection::open(file).unwrap();
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// Takes the latest migration back.
fn make_older(directory: &Path) -> i64 {
    let connection = Connection::open(directory.join(FILE_NAME)).unwrap();
    let older = version(&directory.join(FILE_NAME)) - 1;
    connection
        .execute_batch(&format!(
            "ALTER TABLE api_keys DROP COLUMN ends_at_ms; PRAGMA user_version = {older};"
        ))
        .unwrap();
    older
}

#[test] // P33
fn an_older_file_is_kept_beside_the_one_that_is_brought_up_to_date() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.record(issued(1, "alice"));
    store.record(turnbell::store::Entry::Call(call(1, 5, "alice", "bob")));
    store.add_key(key("site")).unwrap();
    close(&store, writer);
    let older = make_older(directory.path());
    let kept = directory.path().join(format!("{FILE_NAME}.v{older}"));
    let stale = directory.path().join(format!("{FILE_NAME}.v{}", older - 1));
    fs::write(&stale, "of the migration before").unwrap();
    let (store, writer) = open(directory.path());
    store.record(issued(2, "alice"));
    let who = turnbell::store::Person {
        tenant: turnbell::auth::identity::TenantId::default_tenant(),
        user: crate::call_rows::user("alice"),
    };
    let copies = store.on_record_of(&who).unwrap().copies;
    assert_eq!(copies, std::slice::from_ref(&kept), "he may stand in it");
    close(&store, writer);
    assert_eq!(version(&directory.path().join(FILE_NAME)), older + 1);
    assert_eq!(ask::<i64>(directory.path(), "SELECT count(*) FROM credentials_issued"), 2);
    assert_eq!(ask::<i64>(directory.path(), "SELECT count(ends_at_ms) FROM api_keys"), 0);
    assert!(!stale.exists(), "one copy is enough");
    // The older program would take it as it is.
    assert_eq!(version(&kept), older);
    let connection = Connection::open(&kept).unwrap();
    let rows = "SELECT count(*) FROM credentials_issued";
    assert_eq!(connection.query_row(rows, [], |row| row.get::<_, i64>(0)), Ok(1));
}

#[test]
fn a_new_file_and_a_current_one_leave_no_copy() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let (store, writer) = open(directory.path());
        close(&store, writer);
    }
    let names = fs::read_dir(directory.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains(".v")), "{names:?}");
}

#[test]
fn a_newer_file_is_named_with_its_cure_and_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    close(&store, writer);
    let file = directory.path().join(FILE_NAME);
    let newer = version(&file) + 1;
    Connection::open(&file).unwrap().pragma_update(None, "user_version", newer).unwrap();
    let (store, writer) = open(directory.path());
    let why = until_degraded(&store);
    for word in [FILE_NAME, &format!("schema {newer}"), "start the newer turnbell again"] {
        assert!(why.contains(word), "{word}: {why}");
    }
    drop(writer);
    assert_eq!(version(&file), newer);
    let copy = directory.path().join("copy.db");
    let refused = turnbell::store::backup(directory.path(), &copy, &mut |_, _| {});
    assert!(refused.unwrap_err().to_string().contains("start the newer turnbell"));
}

/// Bytes that this process has read so far.
fn bytes_read() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    line.parse().unwrap()
}

#[test] // P33: a 10 GB file starts in under 1 s
fn a_large_record_is_opened_and_tended_without_being_read() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    close(&store, writer);
    let file = directory.path().join(FILE_NAME);
    let connection = Connection::open(&file).unwrap();
    connection
        .execute_batch(
            "PRAGMA synchronous = OFF; BEGIN;
             CREATE TEMP TABLE n AS
                WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 60000)
                SELECT n, hex(zeroblob(250)) AS text, n + 9e12 AS at FROM n;
             INSERT INTO allocations (run, number, user, username, server, transport, relayed,
                    lifetime_s, started_at_ms, ended_at_ms, end_reason)
                SELECT 1, n, text, '', '', 'udp', '', 1, at, at, 'client' FROM n;
             INSERT INTO calls (call, tenant, status, audio, video, caller, callee, from_display,
                    from_number, started_at_ms, ended_at_ms)
                SELECT printf('%026d', n), 'default', 'COMPLETED', 1, 0, 'a', 'b', '', '', at, at
                FROM n;
             INSERT INTO call_events (call, number, tenant, at_ms, kind)
                SELECT printf('%026d', n), 1, 'default', at, 'invited' FROM n;
             INSERT INTO auth_failures (at_ms, user, username, suppressed)
                SELECT at, n, text, 0 FROM n;
             COMMIT; PRAGMA wal_checkpoint(TRUNCATE);",
        )
        .unwrap();
    drop(connection);
    let size = fs::metadata(&file).unwrap().len();
    assert!(size > RECORD_CHECK_BYTES_MAX, "{size}");
    let before = bytes_read();
    let options = Options { retention_days: 30, bytes_max: u64::MAX, ..options(directory.path()) };
    let (store, writer) = Store::open(options);
    store.keys().unwrap();
    store.revocations(Now::read()).unwrap();
    assert!(store.unfinished_calls(9).unwrap().is_empty());
    store.record(issued(1, "alice"));
    until_stored(&store);
    close(&store, writer);
    let read = bytes_read() - before;
    assert!(read < size / 20, "{read} of {size} bytes were read");
}
