//! Short ways to say what is recorded and asked.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use turnbell::auth::api_key::{ApiKeyHash, KeyGrant, KeyScope};
use turnbell::auth::credential::AuthFailure;
use turnbell::store::{
    AddressPrivacy, Entry, FILE_NAME, IssuedBy, KeyRow, LogQuery, LogRow, Options, SessionQuery,
    SessionRow, Store, StoreHealth, StoreState, WriterHandle,
};
use turnbell::time::Now;
use turnbell::turn::fact::{AllocationNumber, EndReason, Fact, Traffic, Transport};

/// Longest a test waits for the writer to come round.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn options(directory: &Path) -> Options {
    Options {
        directory: directory.to_owned(),
        retention_days: 0,
        bytes_max: 0,
        addresses: AddressPrivacy::Full,
        version: "test",
    }
}

pub(crate) fn open(directory: &Path) -> (Store, WriterHandle) {
    Store::open(options(directory))
}

/// Opens the record as a command does, and fails with the command's sentence.
#[track_caller]
pub(crate) fn look_into(directory: &Path) -> (Store, WriterHandle) {
    Store::open_for_commands(options(directory)).unwrap_or_else(|error| panic!("{error}"))
}

/// Ends the writer; everything that was accepted must be stored.
#[track_caller]
pub(crate) fn close(store: &Store, writer: WriterHandle) {
    let health = close_with_losses(store, writer);
    assert_eq!(health.dropped, 0, "{health:?}");
    assert_eq!(health.state, StoreState::Ok);
}

/// Ends the writer and checks that the account adds up.
#[track_caller]
pub(crate) fn close_with_losses(store: &Store, writer: WriterHandle) -> StoreHealth {
    writer.close();
    let health = store.health();
    assert_eq!(health.queued, 0, "{health:?}");
    check_account(&health);
    health
}

#[track_caller]
pub(crate) fn check_account(health: &StoreHealth) {
    assert_eq!(health.accepted, health.stored + health.dropped + health.queued, "{health:?}");
}

/// Looks until `wanted` holds; the account must add up at every look.
#[track_caller]
pub(crate) fn until(
    store: &Store,
    what: &str,
    wanted: impl Fn(&StoreHealth) -> bool,
) -> StoreHealth {
    let end = Now::read().mono + PATIENCE;
    let (_never, pause) = channel::<()>();
    loop {
        let health = store.health();
        check_account(&health);
        if wanted(&health) {
            return health;
        }
        assert!(Now::read().mono < end, "{what} within {PATIENCE:?}: {health:?}");
        let _ = pause.recv_timeout(Duration::from_millis(5));
    }
}

#[track_caller]
pub(crate) fn until_degraded(store: &Store) -> String {
    let health = until(store, "degraded", |health| health.state != StoreState::Ok);
    match health.state {
        StoreState::Degraded { why, since_unix_ms } => {
            assert!(since_unix_ms > 0);
            why
        }
        StoreState::Ok => unreachable!(),
    }
}

#[track_caller]
pub(crate) fn until_stored(store: &Store) -> StoreHealth {
    until(store, "all stored and well", |health| {
        health.queued == 0 && health.state == StoreState::Ok
    })
}

pub(crate) fn log(store: &Store) -> Vec<LogRow> {
    store.log(&LogQuery::default()).unwrap()
}

pub(crate) fn sessions(store: &Store) -> Vec<SessionRow> {
    store.sessions(&SessionQuery::default()).unwrap()
}

/// Asks the file itself, past the code under test.
pub(crate) fn ask<T: rusqlite::types::FromSql>(directory: &Path, sql: &str) -> T {
    let connection = rusqlite::Connection::open(directory.join(FILE_NAME)).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

pub(crate) fn key(name: &str) -> KeyRow {
    KeyRow {
        id: format!("id-{name}"),
        name: name.into(),
        hash: ApiKeyHash::of(name),
        grant: KeyGrant::of(KeyScope::Ice),
        created_at_unix_ms: 1,
        revoked_at_unix_ms: None,
    }
}

pub(crate) fn opened(number: u64, at_unix_ms: i64, user: &str) -> Entry {
    Entry::Relay(Fact::AllocationOpened {
        number: AllocationNumber(number),
        at_unix_ms,
        user: user.into(),
        username: format!("1700000000:{user}").into(),
        client: client(),
        server: ([192, 0, 2, 1], 3478).into(),
        transport: Transport::Udp,
        relayed: ([192, 0, 2, 1], 50_000).into(),
        relayed_other: Some(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7], 50_001).into()),
        lifetime_s: 600,
    })
}

pub(crate) fn closed(number: u64, at_unix_ms: i64) -> Entry {
    Entry::Relay(Fact::AllocationClosed {
        number: AllocationNumber(number),
        at_unix_ms,
        reason: EndReason::Client,
        traffic: traffic(),
    })
}

pub(crate) fn failed(at_unix_ms: i64, username: &str, cause: AuthFailure) -> Entry {
    Entry::Relay(Fact::AuthenticationFailed {
        at_unix_ms,
        client: client(),
        transport: Transport::Udp,
        username: username.into(),
        cause,
        suppressed: 0,
    })
}

pub(crate) fn issued(at_unix_ms: i64, user: &str) -> Entry {
    Entry::CredentialIssued {
        at_unix_ms,
        user: user.into(),
        username: format!("1700000000:{user}"),
        expires_at: 1_700_000_000,
        ttl_s: 600,
        by: IssuedBy::ApiKey("id-k".into()),
        client: Some(IpAddr::from([198, 51, 100, 9])),
    }
}

/// An allocation by a page's credential: `who` is `tenant/user~session`.
pub(crate) fn opened_by_page(number: u64, at_unix_ms: i64, who: &str) -> Entry {
    let Entry::Relay(Fact::AllocationOpened {
        number,
        at_unix_ms,
        client,
        server,
        transport,
        relayed,
        relayed_other,
        lifetime_s,
        ..
    }) = opened(number, at_unix_ms, "x")
    else {
        unreachable!()
    };
    let (user, _) = who.split_once('~').unwrap();
    Entry::Relay(Fact::AllocationOpened {
        number,
        at_unix_ms,
        user: user.into(),
        username: format!("1700000000:{who}").into(),
        client,
        server,
        transport,
        relayed,
        relayed_other,
        lifetime_s,
    })
}

pub(crate) fn traffic() -> Traffic {
    Traffic { packets_to_peers: 1, bytes_to_peers: 2, packets_to_client: 3, bytes_to_client: 4 }
}

pub(crate) fn client() -> SocketAddr {
    ([203, 0, 113, 77], 5000).into()
}
