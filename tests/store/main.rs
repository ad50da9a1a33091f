//! The record against real files: what is asked, what goes wrong, what survives.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod annotating;
mod backup;
mod blocks;
#[path = "../support/call_rows.rs"]
mod call_rows;
mod calls;
mod crash;
mod faults;
mod forgetting;
mod invites;
mod keys;
mod migrating;
mod revocations;
mod space;
mod support;
mod usage;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use support::{
    ask, client, close, close_with_losses, closed, failed, issued, log, look_into, open, opened,
    options, sessions, traffic, until, until_stored,
};
use turnbell::auth::credential::AuthFailure;
use turnbell::store::{
    AddressPrivacy, Entry, FILE_NAME, IssuedBy, LogEvent, LogKind, LogQuery, SessionQuery, Store,
};
use turnbell::time::Now;
use turnbell::turn::fact::{Fact, Transport};

#[test]
fn the_log_tells_everything_newest_first() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.record(closed(1, 5_000));
    store.record(issued(1_000, "alice"));
    store.record(failed(3_000, "1700000000:alice", AuthFailure::Expired { ago_s: 312 }));
    store.record(opened(1, 2_000, "alice"));
    store.record(closed(1, 4_000));
    let health = close_with_losses(&store, writer);
    assert_eq!((health.stored, health.dropped), (4, 1), "an end without a beginning is lost");

    let (store, _writer) = look_into(directory.path());
    let alice = LogQuery { user: Some("alice".into()), ..LogQuery::default() };
    let log = store.log(&alice).unwrap();
    let times: Vec<_> = log.iter().map(|row| row.at_unix_ms).collect();
    assert_eq!(times, [4_000, 3_000, 2_000, 1_000]);
    assert!(matches!(&log[0].event, LogEvent::AllocationClosed(row)
        if row.traffic == traffic() && row.end_reason.as_deref() == Some("client")));
    assert!(matches!(&log[1].event, LogEvent::AuthenticationFailed {
            cause, expired_ago_s: Some(312), user, suppressed: 0, ..
        } if cause == "expired" && user == "alice"));
    assert!(matches!(&log[2].event, LogEvent::AllocationOpened(row) if row.lifetime_s == 600));
    assert!(matches!(&log[3].event, LogEvent::CredentialIssued { by, client, .. }
        if *by == IssuedBy::ApiKey("id-k".into()) && client.as_deref() == Some("198.51.100.9")));
}

#[test]
fn the_log_is_narrowed_by_kind_time_user_and_number() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    for at in 1..=10 {
        store.record(issued(at, if at % 2 == 0 { "even" } else { "odd" }));
        store.record(failed(at, "even", AuthFailure::NoSuchUser));
    }
    close(&store, writer);
    let (store, _writer) = look_into(directory.path());
    let times = |query: LogQuery| -> Vec<i64> {
        store.log(&query).unwrap().iter().map(|row| row.at_unix_ms).collect()
    };
    let credentials = LogQuery { kind: Some(LogKind::Credential), ..LogQuery::default() };
    assert_eq!(times(LogQuery { since_unix_ms: Some(8), ..credentials.clone() }), [10, 9, 8]);
    assert_eq!(times(LogQuery { limit: 2, ..credentials.clone() }), [10, 9]);
    assert_eq!(times(LogQuery { user: Some("odd".into()), ..credentials }), [9, 7, 5, 3, 1]);
    assert_eq!(
        times(LogQuery { user: Some("even".into()), limit: 3, ..LogQuery::default() }),
        [10, 10, 9]
    );
    assert!(times(LogQuery { user: Some("nobody".into()), ..LogQuery::default() }).is_empty());
    for kind in LogKind::ALL {
        assert_eq!(LogKind::parse(kind.code()), Some(kind));
    }
}

#[test]
fn runs_stand_in_the_log_with_their_losses() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.record(closed(7, 1));
    close_with_losses(&store, writer);
    let (store, _writer) = look_into(directory.path());
    let runs = store.log(&LogQuery { kind: Some(LogKind::Run), ..LogQuery::default() }).unwrap();
    let events: Vec<_> = runs.into_iter().map(|row| row.event).collect();
    assert_eq!(
        events,
        [
            LogEvent::RunEnded { reason: "shutdown".into(), rows_dropped: 1 },
            LogEvent::RunStarted { version: "test".into() },
        ]
    );
}

#[test]
fn changes_of_the_config_are_on_record_belong_to_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let changed = |at_unix_ms| Entry::ConfigChanged {
        at_unix_ms,
        key: "quota.per_user".to_owned(),
        old: "64".to_owned(),
        new: "7".to_owned(),
        by: "reload",
    };
    let (store, writer) = open(directory.path());
    store.record(changed(1));
    store.record(changed(2));
    close(&store, writer);
    let (store, _writer) = look_into(directory.path());
    let changes = LogQuery { kind: Some(LogKind::Config), ..LogQuery::default() };
    let rows = store.log(&changes).unwrap();
    assert_eq!(rows.iter().map(|row| row.at_unix_ms).collect::<Vec<_>>(), [2, 1]);
    let (key, old, new, by) = ("quota.per_user".into(), "64".into(), "7".into(), "reload".into());
    assert_eq!(rows[0].event, LogEvent::ConfigChanged { key, old, new, by });
    let of_somebody = LogQuery { user: Some("alice".into()), ..changes };
    assert_eq!(store.log(&of_somebody).unwrap(), []);
}

#[test]
fn sessions_are_those_of_a_user_or_those_that_are_on() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.record(opened(1, 10, "alice"));
    store.record(opened(2, 20, "bob"));
    store.record(opened(3, 30, "alice"));
    store.record(closed(1, 40));
    until_stored(&store);
    let numbers = |query: SessionQuery| -> Vec<u64> {
        store.sessions(&query).unwrap().iter().map(|row| row.number).collect()
    };
    assert_eq!(numbers(SessionQuery::default()), [3, 2, 1]);
    assert_eq!(numbers(SessionQuery { limit: 1, ..SessionQuery::default() }), [3]);
    let alice = SessionQuery { user: Some("alice".into()), ..SessionQuery::default() };
    assert_eq!(numbers(alice.clone()), [3, 1]);
    assert_eq!(numbers(SessionQuery { open_only: true, ..alice }), [3]);
    assert_eq!(numbers(SessionQuery { open_only: true, ..SessionQuery::default() }), [3, 2]);
    let row = &sessions(&store)[1];
    assert_eq!(row.client.as_deref(), Some("203.0.113.77:5000"));
    assert_eq!((row.server.as_str(), row.relayed.as_str()), ("192.0.2.1:3478", "192.0.2.1:50000"));
    assert_eq!(row.relayed_other.as_deref(), Some("[2001:db8::7]:50001"));
    assert_eq!((row.ended_at_unix_ms, row.end_reason.as_deref()), (None, None));
    close(&store, writer);
    let (store, _writer) = look_into(directory.path());
    let reason = sessions(&store)[0].end_reason.clone();
    assert_eq!(reason.as_deref(), Some("unrecorded"), "its end was never handed in");
}

#[test] // security.md F3, F4, F5
fn hostile_text_is_stored_as_it_came_and_touches_no_other_row() {
    let texts = [
        "x' OR '1'='1",
        "\";-- ",
        "'); DROP TABLE allocations; --",
        "a\0b",
        "%s%n{}{:?}${jndi:",
        "a\n2026-11-20 ERROR fake",
        "\u{1b}[2J\u{202e}",
        "../../etc/x",
    ];
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    for (number, text) in (1..).zip(texts) {
        store.record(opened(number, 1, text));
        store.record(issued(1, text));
        store.record(failed(1, text, AuthFailure::NoSuchUser));
    }
    close(&store, writer);
    let (store, _writer) = look_into(directory.path());
    assert_eq!(log(&store).len(), texts.len() * 4 + 2);
    for text in texts {
        let query = SessionQuery { user: Some(text.into()), ..SessionQuery::default() };
        let found = store.sessions(&query).unwrap();
        assert_eq!(found.len(), 1, "{text:?}");
        assert_eq!(found[0].user, text);
        let query = LogQuery {
            user: Some(text.into()),
            kind: Some(LogKind::AuthFailure),
            ..LogQuery::default()
        };
        assert_eq!(store.log(&query).unwrap().len(), 1, "{text:?}");
        assert!(!store.revoke_key(text, Now::read()).unwrap());
    }
    let integrity: String = ask(directory.path(), "PRAGMA integrity_check");
    assert_eq!(integrity, "ok");
}

#[test]
fn each_privacy_mode_keeps_what_it_says_and_leaves_no_trace_of_the_rest() {
    let cases = [
        (AddressPrivacy::Full, Some("203.0.113.77:5000"), Some("198.51.100.9"), true),
        (AddressPrivacy::Prefix, Some("203.0.113.0/24"), Some("198.51.100.0/24"), false),
        (AddressPrivacy::None, None, None, false),
    ];
    for (addresses, socket, ip, whole) in cases {
        let directory = tempfile::tempdir().unwrap();
        let mut options = options(directory.path());
        options.addresses = addresses;
        let (store, writer) = Store::open(options);
        store.record(opened(1, 1, "alice"));
        store.record(issued(2, "alice"));
        store.record(failed(3, "alice", AuthFailure::WrongIntegrity));
        until_stored(&store);
        let files = ["", "-wal"].map(|log| {
            fs::read(directory.path().join(format!("{FILE_NAME}{log}"))).unwrap_or_default()
        });
        let is_there = |text: &str| {
            files.iter().any(|file| file.windows(text.len()).any(|part| part == text.as_bytes()))
        };
        assert_eq!(is_there("203.0.113.77"), whole);
        assert_eq!(is_there("198.51.100.9"), whole);
        assert!(is_there("alice"), "the search itself finds things");
        let clients: Vec<_> = log(&store)
            .into_iter()
            .filter_map(|row| match row.event {
                LogEvent::AllocationOpened(row) | LogEvent::AllocationClosed(row) => {
                    Some(row.client)
                }
                LogEvent::CredentialIssued { client, .. }
                | LogEvent::AuthenticationFailed { client, .. } => Some(client),
                LogEvent::AuthenticationFailuresCounted { .. }
                | LogEvent::ConfigChanged { .. }
                | LogEvent::RunStarted { .. }
                | LogEvent::RunEnded { .. } => None,
            })
            .collect();
        let clients: Vec<_> = clients.iter().map(Option::as_deref).collect();
        assert_eq!(clients, [socket, ip, socket]);
        close(&store, writer);
    }
}

#[test]
fn what_came_with_a_failure_is_told_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.record(Entry::Relay(Fact::AuthenticationFailed {
        at_unix_ms: 1,
        client: client(),
        transport: Transport::Udp,
        username: "alice".into(),
        cause: AuthFailure::StaleNonce,
        suppressed: 41,
    }));
    assert_eq!(until_stored(&store).auth_failures_suppressed, 41);
    let told = LogQuery { kind: Some(LogKind::AuthFailure), ..LogQuery::default() };
    let told = store.log(&told).unwrap();
    assert!(matches!(&told[0].event, LogEvent::AuthenticationFailed {
            suppressed: 41, cause, expired_ago_s: None, ..
        } if cause == "stale_nonce"));
    close(&store, writer);
}

#[test]
fn nobody_else_may_read_the_files() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("state");
    let (store, writer) = open(&directory);
    store.record(issued(1, "alice"));
    until_stored(&store);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for file in ["turnbell.db", "turnbell.db-wal", "turnbell.db-shm", "turnbell.lock"] {
        assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
    }
    assert!(store.health().file_bytes > 0);
    close(&store, writer);
}

#[test]
fn what_is_recorded_after_the_end_is_dropped_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.record(issued(1, "alice"));
    close(&store, writer);
    store.record(issued(2, "alice"));
    let health = store.health();
    assert_eq!((health.accepted, health.stored, health.dropped), (2, 1, 1));
}

#[test] // R23
fn old_rows_go_at_the_next_start_and_the_open_allocation_of_that_run_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    for number in 1..1_000 {
        store.record(opened(number, 1, "old"));
        store.record(closed(number, 2));
    }
    store.record(issued(Now::read().unix_ms, "young"));
    close(&store, writer);
    let mut options = options(directory.path());
    options.retention_days = 1;
    let (store, writer) = Store::open(options);
    store.record(opened(1, 1, "on"));
    until(&store, "old rows are gone", |_| sessions(&store).len() == 1);
    assert_eq!(sessions(&store)[0].user, "on");
    let young = LogQuery { kind: Some(LogKind::Credential), ..LogQuery::default() };
    assert_eq!(store.log(&young).unwrap().len(), 1);
    close_with_losses(&store, writer);
}

#[test] // R23
fn a_flood_of_rows_leaves_the_file_at_its_size() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(directory.path());
    options.bytes_max = 512 * 1024;
    let (store, writer) = Store::open(options);
    let user = "u".repeat(100);
    for flood in 0..2 {
        for at in 0..6_000 {
            store.record(issued(flood * 6_000 + at, &user));
        }
        until_stored(&store);
    }
    close(&store, writer);
    let bytes = fs::metadata(directory.path().join(FILE_NAME)).unwrap().len();
    assert!((256 * 1024..896 * 1024).contains(&bytes), "{bytes}");
    let (store, _writer) = look_into(directory.path());
    let newest = log(&store).into_iter().find(|row| row.at_unix_ms < 1_000_000).unwrap();
    assert_eq!(newest.at_unix_ms, 11_999);
}
