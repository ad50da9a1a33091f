//! Who has blocked whom, on record: until it is taken back, for a guest until his token ends.

use std::sync::mpsc::channel;

use turnbell::auth::identity::{TenantId, UserId};
use turnbell::call::rows::{BlockRow, Row};
use turnbell::store::{Acknowledge, Entry, Store};
use turnbell::time::Now;

use crate::support::{ask, close, open};

fn row(user: &str, blocked: &str, at: i64, until: Option<i64>) -> Box<BlockRow> {
    let id = |text: &str| UserId::new(text).unwrap();
    let tenant = TenantId::default_tenant();
    Box::new(BlockRow { tenant, user: id(user), blocked: id(blocked), at, until })
}

#[track_caller]
fn stored(store: &Store, row: Row) {
    let (told, durable) = channel();
    let tell = Acknowledge::new(move |result| told.send(result).unwrap());
    store.record_acknowledged(Entry::Call(row), tell);
    assert_eq!(durable.recv().unwrap(), Ok(()));
}

fn blocked(store: &Store, unix_ms: i64) -> Vec<String> {
    let rows = store.blocks(Now { unix_ms, ..Now::read() }).unwrap();
    rows.into_iter().map(|row| format!("{} {}", row.user, row.blocked)).collect()
}

#[test]
fn a_block_is_there_after_a_restart_until_it_is_taken_back_or_its_guest_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    stored(&store, Row::Block(row("bob", "alice'; --", 1, None)));
    stored(&store, Row::Block(row("bob", "alice'; --", 2, None)));
    stored(&store, Row::Block(row("g_1", "alice", 3, Some(100))));
    close(&store, writer);
    let (store, writer) = open(directory.path());
    assert_eq!(blocked(&store, 99), ["bob alice'; --", "g_1 alice"]);
    assert_eq!(blocked(&store, 100), ["bob alice'; --"]);
    stored(&store, Row::Unblock(row("bob", "alice'; --", 4, None)));
    stored(&store, Row::Unblock(row("bob", "nobody", 4, None)));
    // What has ended goes with the next one that comes.
    stored(&store, Row::Block(row("carol", "dave", 100, None)));
    assert_eq!(blocked(&store, 99), ["carol dave"]);
    assert_eq!(ask::<i64>(directory.path(), "SELECT count(*) FROM user_blocks"), 1);
    close(&store, writer);
}
