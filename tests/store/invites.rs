//! Invites on record: counted once each, over until their time, taken back for good.

use turnbell::limits::identity::INVITES_MAX;
use turnbell::store::{InviteRow, InviteUse, StoreError};
use turnbell::time::Now;

use crate::support::open;

fn row(id: &str, created_at: i64, expires_at: i64, uses_max: u32) -> InviteRow {
    InviteRow {
        id: id.to_owned(),
        tenant: "default".to_owned(),
        to: None,
        created_at_unix_ms: created_at,
        expires_at_unix_ms: expires_at,
        uses_max,
        uses: 0,
        revoked_at_unix_ms: None,
    }
}

fn at(unix_ms: i64) -> Now {
    Now { unix_ms, ..Now::read() }
}

#[test]
fn a_use_counts_until_there_are_none_left_over_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.add_invite(row("a", 1, 100, 2)).unwrap();
    assert_eq!(store.use_invite("a", at(2)).unwrap(), InviteUse::Granted);
    writer.close();
    let (store, _writer) = open(directory.path());
    assert_eq!(store.invites(at(2)).unwrap(), [InviteRow { uses: 1, ..row("a", 1, 100, 2) }]);
    assert_eq!(store.use_invite("a", at(99)).unwrap(), InviteUse::Granted);
    assert_eq!(store.use_invite("a", at(99)).unwrap(), InviteUse::UsedUp);
    assert_eq!(store.use_invite("b", at(99)).unwrap(), InviteUse::Unknown);
}

#[test]
fn one_that_expired_or_was_taken_back_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _writer) = open(directory.path());
    store.add_invite(row("a", 1, 100, 2)).unwrap();
    store.add_invite(row("b", 1, 100, 2)).unwrap();
    assert!(store.revoke_invite("a", at(5)).unwrap());
    assert!(!store.revoke_invite("a", at(6)).unwrap());
    assert!(!store.revoke_invite("c", at(6)).unwrap());
    assert_eq!(store.use_invite("a", at(7)).unwrap(), InviteUse::Revoked);
    assert_eq!(store.use_invite("b", at(99)).unwrap(), InviteUse::Granted);
    assert_eq!(store.use_invite("b", at(100)).unwrap(), InviteUse::Expired);
    assert_eq!(store.invites(at(99)).unwrap().len(), 2);
    assert_eq!(store.invites(at(100)).unwrap(), []);
}

#[test]
fn one_too_many_is_refused_and_those_that_expired_make_room() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.add_invite(row("first", 1, 100, 1)).unwrap();
    writer.close();
    let connection = rusqlite::Connection::open(directory.path().join("turnbell.db")).unwrap();
    connection
        .execute(
            "WITH RECURSIVE n (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
             INSERT INTO invites SELECT 'i' || n, 'default', NULL, 1, 200, 1, 0, NULL FROM n",
            [INVITES_MAX as i64],
        )
        .unwrap();
    drop(connection);
    let (store, _writer) = open(directory.path());
    let one_more = store.add_invite(row("more", 99, 300, 1));
    assert!(matches!(one_more, Err(StoreError::InvitesFull)), "{one_more:?}");
    store.add_invite(row("more", 100, 300, 1)).unwrap();
}
