//! The record against real files: what is asked, what goes wrong, what survives.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use turnbell::auth::credential::AuthFailure;
use turnbell::store::{
    AddressPrivacy, Entry, IssuedBy, LogEvent, LogQuery, Options, SessionQuery, Store, StoreState,
    WriterHandle,
};
use turnbell::turn::fact::{AllocationNumber, EndReason, Fact, Traffic, Transport};

#[test]
fn what_happened_is_told_newest_first() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = Store::open(options(directory.path()));
    store.record(issued(1_000, "alice"));
    store.record(opened(1, 2_000, "alice"));
    store.record(failed(3_000, "1700000000:alice"));
    store.record(closed(1, 4_000));
    close(&store, writer);
    let (store, _writer) = Store::open_for_commands(options(directory.path())).unwrap();
    let log =
        store.log(&LogQuery { limit: 100, user: Some("alice".into()), ..LogQuery::default() });
    let log = log.unwrap();
    let times: Vec<i64> = log.iter().map(|row| row.at_unix_ms).collect();
    assert_eq!(times, [4_000, 3_000, 2_000, 1_000]);
    let LogEvent::AuthenticationFailed { cause, expired_ago_s, .. } = &log[1].event else {
        panic!("{:?}", log[1]);
    };
    assert_eq!((cause.as_str(), *expired_ago_s), ("expired", Some(312)));
    let sessions = store.sessions(&SessionQuery { limit: 10, ..SessionQuery::default() }).unwrap();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].traffic, traffic());
    assert_eq!(sessions[0].end_reason.as_deref(), Some("client"));
}

fn options(directory: &Path) -> Options {
    Options {
        directory: directory.to_owned(),
        retention_days: 0,
        bytes_max: 0,
        addresses: AddressPrivacy::Full,
        version: "test",
    }
}

/// Ends the writer and checks the account.
#[track_caller]
fn close(store: &Store, writer: WriterHandle) {
    writer.close();
    let health = store.health();
    assert_eq!(health.queued, 0);
    assert_eq!(health.accepted, health.stored + health.dropped, "{health:?}");
    assert_eq!(health.state, StoreState::Ok);
}

fn opened(number: u64, at_unix_ms: i64, user: &str) -> Entry {
    Entry::Relay(Fact::AllocationOpened {
        number: AllocationNumber(number),
        at_unix_ms,
        user: user.into(),
        username: format!("1700000000:{user}").into(),
        client: client(),
        server: "192.0.2.1:3478".parse().unwrap(),
        transport: Transport::Udp,
        relayed: "192.0.2.1:50000".parse().unwrap(),
        lifetime_s: 600,
    })
}

fn closed(number: u64, at_unix_ms: i64) -> Entry {
    Entry::Relay(Fact::AllocationClosed {
        number: AllocationNumber(number),
        at_unix_ms,
        reason: EndReason::Client,
        traffic: traffic(),
    })
}

fn failed(at_unix_ms: i64, username: &str) -> Entry {
    Entry::Relay(Fact::AuthenticationFailed {
        at_unix_ms,
        client: client(),
        transport: Transport::Udp,
        username: username.into(),
        cause: AuthFailure::Expired { ago_s: 312 },
        suppressed: 0,
    })
}

fn issued(at_unix_ms: i64, user: &str) -> Entry {
    Entry::CredentialIssued {
        at_unix_ms,
        user: user.into(),
        username: format!("1700000000:{user}"),
        expires_at: 1_700_000_000,
        ttl_s: 600,
        by: IssuedBy::Local,
        client: Some(IpAddr::from([127, 0, 0, 1])),
    }
}

fn traffic() -> Traffic {
    Traffic { packets_to_peers: 1, bytes_to_peers: 2, packets_to_client: 3, bytes_to_client: 4 }
}

fn client() -> SocketAddr {
    "203.0.113.77:5000".parse().unwrap()
}
