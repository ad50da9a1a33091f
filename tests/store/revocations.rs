//! Revoked users on record: on disk when it is said, until their time is over.

use turnbell::limits::revocation::REVOCATIONS_MAX;
use turnbell::store::{RevocationRow, Store, StoreError};
use turnbell::time::Now;

use crate::support::open;

fn row(user: &str, at: i64, until: Option<i64>) -> RevocationRow {
    RevocationRow { user: user.to_owned(), at_unix_ms: at, until_unix_ms: until }
}

fn at(unix_ms: i64) -> Now {
    Now { unix_ms, ..Now::read() }
}

fn users(store: &Store, unix_ms: i64) -> Vec<String> {
    store.revocations(at(unix_ms)).unwrap().into_iter().map(|row| row.user).collect()
}

#[test]
fn a_revocation_is_there_after_a_restart_until_its_time_is_over_or_it_is_undone() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.revoke(row("alice", 1, Some(100)), at(1)).unwrap();
    store.revoke(row("bob'; --", 2, None), at(2)).unwrap();
    writer.close();
    let (store, _writer) = open(directory.path());
    assert_eq!(users(&store, 99), ["alice", "bob'; --"]);
    assert_eq!(users(&store, 100), ["bob'; --"]);
    store.revoke(row("alice", 3, Some(200)), at(3)).unwrap();
    assert_eq!(store.revocations(at(199)).unwrap()[1], row("alice", 3, Some(200)));
    assert!(store.undo_revoke("bob'; --").unwrap());
    assert!(!store.undo_revoke("bob'; --").unwrap());
    assert_eq!(users(&store, 199), ["alice"]);
}

#[test]
fn one_too_many_is_refused_and_those_whose_time_is_over_make_room() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.revoke(row("first", 1, Some(100)), at(1)).unwrap();
    writer.close();
    let connection = rusqlite::Connection::open(directory.path().join("turnbell.db")).unwrap();
    connection
        .execute(
            "WITH RECURSIVE n (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
             INSERT INTO revocations SELECT 'u' || n, 1, 100 FROM n",
            [REVOCATIONS_MAX as i64],
        )
        .unwrap();
    drop(connection);
    let (store, _writer) = open(directory.path());
    let one_more = store.revoke(row("alice", 2, None), at(2));
    assert!(matches!(one_more, Err(StoreError::RevocationsFull)), "{one_more:?}");
    store.revoke(row("first", 2, Some(300)), at(2)).unwrap();
    store.revoke(row("alice", 100, None), at(100)).unwrap();
    assert_eq!(users(&store, 100), ["first", "alice"]);
}
