//! Calls on record: acknowledged once and in order, found again, counted, forgotten in time.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rusqlite::Connection;
use turnbell::auth::identity::TenantId;
use turnbell::call::media::{MediaPath, PartyId, QualitySample};
use turnbell::call::rows::{CallRow, FeedbackRow, PartyRow, QualityRow, Row, TimelineKind};
use turnbell::call::state::{CallStatus, EndReason, PartyRole};
use turnbell::call::ulid::{CallId, Ulid};
use turnbell::limits::record::CALL_ROWS_QUEUED_BYTES_MAX;
use turnbell::store::{
    Acknowledge, AddressPrivacy, CallQuery, Entry, FILE_NAME, Keeping, NotDurable, Store,
};
use turnbell::time::Now;
use turnbell::turn::fact::Fact;

use crate::call_rows::{call, event, id, party, session_id, user};
use crate::support::{
    ask, close, closed, issued, look_into, open, opened, until, until_degraded, until_stored,
};

const DAY_MS: i64 = 86_400_000;

#[test]
fn an_acknowledgement_comes_after_the_commit_and_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    let (told, answers) = channel();
    for n in 1..=200 {
        let told = told.clone();
        let done = Acknowledge::new(move |result| told.send((n, result)).unwrap());
        store.record_acknowledged(Entry::Call(call(n, 1_000 + n, "alice", "bob")), done);
        store.record(issued(n, "between"));
    }
    let sql = "SELECT max(started_at_ms) - 1000 FROM calls";
    for n in 1..=200 {
        let (heard, result) = answers.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!((heard, result), (n, Ok(())));
        assert!(ask::<i64>(directory.path(), sql) >= n, "what is acknowledged can be read");
    }
    close(&store, writer);
    drop(told);
    assert!(answers.recv().is_err(), "each is told once");
}

#[test]
fn what_no_try_can_store_is_not_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    let orphan = put(&store, event(1, 1, TimelineKind::Invited));
    let parent = put(&store, call(1, 5, "alice", "bob"));
    let first = put(&store, event(1, 1, TimelineKind::Invited));
    let again = put(&store, event(1, 1, TimelineKind::Ringing));
    assert_eq!(heard(&orphan), Err(NotDurable), "its call is not there yet");
    assert_eq!((heard(&parent), heard(&first)), (Ok(()), Ok(())));
    assert_eq!(heard(&again), Err(NotDurable), "a number is given once");
    let health = until(&store, "settled", |health| health.queued == 0);
    assert_eq!((health.stored, health.dropped), (2, 2));
    writer.close();
    let late = put(&store, call(2, 5, "alice", "bob"));
    assert_eq!(heard(&late), Err(NotDurable), "the record is closed");
}

#[test] // P5, R8
fn a_locked_record_answers_at_once_and_stores_later_what_it_was_given() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    assert_eq!(heard(&put(&store, call(1, 1, "alice", "bob"))), Ok(()));
    let locker = lock(directory.path());
    let waiting = put(&store, call(2, 2, "alice", "bob"));
    assert_eq!(heard(&waiting), Err(NotDurable));
    until_degraded(&store);
    let at_once = put(&store, event(2, 1, TimelineKind::Invited));
    // Without a lock that ends: it is told before anybody could have tried.
    assert_eq!(at_once.try_recv(), Ok(Err(NotDurable)));
    locker.execute_batch("COMMIT").unwrap();
    until_stored(&store);
    assert_eq!(heard(&put(&store, event(2, 2, TimelineKind::Ringing))), Ok(()));
    close(&store, writer);
    assert_eq!(ask::<i64>(directory.path(), "SELECT count(*) FROM calls"), 2);
    assert_eq!(ask::<i64>(directory.path(), "SELECT count(*) FROM call_events"), 2);
}

#[test]
fn calls_that_wait_are_bounded_in_bytes_and_take_no_room_from_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    let locker = lock(directory.path());
    store.record(issued(0, "first"));
    until_degraded(&store);
    // The writer holds what it has; all of this stays in the queue.
    let metadata = "m".repeat(1024 * 1024);
    let big = |n| {
        let Row::Call(row) = call(n, n, "alice", "bob") else { unreachable!() };
        let metadata = Some(metadata.as_str().into());
        Row::Call(Box::new(CallRow { metadata, ..*row }))
    };
    let fit = (CALL_ROWS_QUEUED_BYTES_MAX / (1024 * 1024)) as i64 - 1;
    for n in 0..fit {
        store.record(Entry::Call(big(n)));
    }
    assert_eq!(store.health().dropped, 0);
    let over = put(&store, big(fit));
    let small = put(&store, call(fit, 1, "alice", "bob"));
    assert_eq!(over.try_recv(), Ok(Err(NotDurable)));
    assert_eq!(store.health().dropped, 1, "the small one still fits");
    store.record(issued(1, "other"));
    assert_eq!(store.health().dropped, 1);
    assert_eq!(small.try_recv(), Ok(Err(NotDurable)), "degraded");
    locker.execute_batch("COMMIT").unwrap();
    until_stored(&store);
    writer.close();
    assert_eq!(ask::<i64>(directory.path(), "SELECT count(*) FROM calls"), fit + 1);
}

#[test] // P4: a daemon may be killed between the end of a call and the rows of its parties
fn a_call_that_is_over_has_nobody_in_it_before_their_own_rows_come() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    let Row::Call(row) = call(1, 5, "alice", "bob") else { unreachable!() };
    let over = CallRow {
        status: CallStatus::Missed,
        reason: Some(EndReason::NoAnswer),
        ended_at: Some(9),
        ..(*row).clone()
    };
    for row in [
        Row::Call(row),
        party(1, 1, PartyRole::Caller, "alice", None),
        call(2, 5, "alice", "bob"),
        party(2, 1, PartyRole::Caller, "alice", None),
        Row::Call(Box::new(over)),
    ] {
        assert_eq!(heard(&put(&store, row)), Ok(()));
    }
    let left = |n| store.call(id(n)).unwrap().unwrap().parties[0].left_at;
    assert_eq!((left(1), left(2)), (Some(9), None));
    close(&store, writer);
}

#[test]
fn a_call_is_found_whole_as_it_was_last_handed_in() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    let Row::Call(plain) = call(1, 5, "alice", "bob") else { unreachable!() };
    let ringing = Box::new(CallRow {
        to_number: Some("+49".into()),
        contact_id: Some("k".into()),
        external_id: Some("x".into()),
        metadata: Some("{}".into()),
        recording_url: Some("https://a.example/r".into()),
        ..*plain
    });
    let ended = CallRow {
        status: CallStatus::Completed,
        reason: Some(EndReason::Hangup),
        conversation: Some("c".into()),
        ringing_at: Some(6),
        answered_at: Some(7),
        connected_at: Some(8),
        ended_at: Some(9),
        ring_ms: Some(1),
        setup_ms: Some(2),
        talk_ms: Some(u64::MAX),
        path: MediaPath::from_code("relay/srflx/tls"),
        replaces: Some(id(77)),
        ..(*ringing).clone()
    };
    let Row::Party(seated) = party(1, 1, PartyRole::Caller, "alice", Some(5)) else {
        unreachable!()
    };
    let left = PartyRow { session: None, left_at: Some(9), ..(*seated).clone() };
    for row in [
        Row::Call(ringing),
        Row::Party(seated.clone()),
        event(1, 1, TimelineKind::Invited),
        event(1, 2, TimelineKind::Ended),
        quality(1),
        feedback(1),
        Row::Heartbeat { at_unix_ms: 8, calls: vec![id(1), id(99)] },
        Row::Call(Box::new(ended.clone())),
        Row::Party(Box::new(left.clone())),
    ] {
        assert_eq!(heard(&put(&store, row)), Ok(()));
    }
    let record = store.call(id(1)).unwrap().unwrap();
    assert_eq!(record.call, CallRow { talk_ms: Some(i64::MAX as u64), ..ended });
    let kept = PartyRow { session: seated.session, ..left };
    assert_eq!(record.parties, [kept], "the session is remembered for its bytes");
    assert_eq!(store.call(id(2)).unwrap(), None);
    let numbers = |after, limit| -> Vec<u32> {
        store.timeline(id(1), after, limit).unwrap().iter().map(|row| row.number).collect()
    };
    assert_eq!((numbers(0, 9), numbers(0, 1), numbers(1, 9)), (vec![1, 2], vec![1], vec![2]));
    close(&store, writer);
    for (sql, expected) in [
        ("SELECT heartbeat_at_ms FROM calls", 8),
        ("SELECT count(*) FROM quality_reports WHERE rtt_ms = 25.5 AND is_final = 1", 1),
        ("SELECT score FROM call_feedback", 4),
    ] {
        assert_eq!(ask::<i64>(directory.path(), sql), expected, "{sql}");
    }
}

#[test]
fn calls_are_narrowed_by_user_tenant_status_time_and_page() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    for n in 1..=9 {
        let (caller, callee) = if n % 2 == 0 { ("alice", "bob") } else { ("carol", "alice") };
        store.record(Entry::Call(Row::Call(Box::new(timed(n, caller, callee)))));
    }
    let acme = TenantId::new("acme").unwrap();
    let status = CallStatus::Missed;
    store.record(Entry::Call(Row::Call(Box::new(CallRow {
        tenant: acme.clone(),
        status,
        ended_at: Some(1),
        ..timed(10, "alice", "bob")
    }))));
    until_stored(&store);
    let found = |query: CallQuery| -> Vec<i64> {
        let records = store.calls(&query).unwrap();
        records.iter().map(|record| record.call.started_at / 1000).collect()
    };
    let all = CallQuery { limit: 100, ..CallQuery::default() };
    assert_eq!(found(all.clone()), [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(found(CallQuery { limit: 2, ..all.clone() }), [10, 9]);
    assert_eq!(found(CallQuery { before: Some(id_at(3)), ..all.clone() }), [2, 1]);
    assert_eq!(found(CallQuery { since_unix_ms: Some(9_000), ..all.clone() }), [10, 9]);
    assert_eq!(found(CallQuery { since_unix_ms: Some(9_001), ..all.clone() }), [10]);
    assert_eq!(found(CallQuery { since_unix_ms: Some(-1), ..all.clone() }).len(), 10);
    assert_eq!(found(CallQuery { tenant: Some(acme.clone()), ..all.clone() }), [10]);
    assert_eq!(found(CallQuery { status: Some(status), ..all.clone() }), [10]);
    let of = |names: &[&str]| CallQuery {
        users: names.iter().map(|name| user(name)).collect(),
        tenant: Some(TenantId::default_tenant()),
        ..all.clone()
    };
    assert_eq!(found(of(&["bob"])), [8, 6, 4, 2]);
    assert_eq!(found(of(&["alice"])), [9, 8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(found(CallQuery { limit: 3, ..of(&["alice"]) }), [9, 8, 7]);
    assert_eq!(found(of(&["alice", "carol"])), [9, 7, 5, 3, 1]);
    assert_eq!(found(of(&["bob", "carol"])), [0_i64; 0]);
    assert_eq!(found(CallQuery { tenant: Some(acme), ..of(&["bob"]) }), [10]);
    let missed = CallQuery { status: Some(status), ..of(&["alice"]) };
    assert_eq!(found(missed), [0_i64; 0]);
    close(&store, writer);
}

#[test]
fn what_is_not_over_is_read_with_who_has_not_left() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    let Row::Call(over) = call(3, 3, "alice", "bob") else { unreachable!() };
    let Row::Party(gone) = party(1, 1, PartyRole::Callee, "bob", Some(1)) else { unreachable!() };
    for row in [
        call(1, 1, "alice", "bob"),
        call(2, 2, "alice", "bob"),
        Row::Call(Box::new(CallRow { ended_at: Some(4), ..*over })),
        party(1, 0, PartyRole::Caller, "alice", Some(2)),
        Row::Party(Box::new(PartyRow { left_at: Some(3), ..(*gone).clone() })),
        party(1, 2, PartyRole::Callee, "bob", Some(3)),
        event(1, 1, TimelineKind::Invited),
        event(1, 7, TimelineKind::Active),
        Row::Heartbeat { at_unix_ms: 55, calls: vec![id(1)] },
    ] {
        store.record(Entry::Call(row));
    }
    close(&store, writer);
    let (store, _writer) = look_into(directory.path());
    let found = store.unfinished_calls(10).unwrap();
    assert_eq!(found.iter().map(|one| one.call.call).collect::<Vec<_>>(), [id(2), id(1)]);
    assert_eq!((found[0].heartbeat_at, found[0].events, found[0].parties.len()), (None, 0, 0));
    assert_eq!((found[1].heartbeat_at, found[1].events), (Some(55), 7));
    let parties: Vec<u32> = found[1].parties.iter().map(|party| party.party.0).collect();
    assert_eq!(parties, [0, 2]);
    assert_eq!(store.unfinished_calls(1).unwrap().len(), 1);
}

#[test] // P11
fn relayed_bytes_are_those_of_the_parties_sessions_within_the_call() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    let Row::Call(row) = call(1, 1_000, "alice", "bob") else { unreachable!() };
    for row in [
        Row::Call(Box::new(CallRow { ended_at: Some(2_000), ..*row })),
        party(1, 0, PartyRole::Caller, "alice", Some(5)),
        party(1, 1, PartyRole::Callee, "bob", Some(6)),
        party(1, 2, PartyRole::Callee, "bob", Some(6)),
    ] {
        store.record(Entry::Call(row));
    }
    let bytes = || store.call(id(1)).unwrap().unwrap().relay_bytes;
    // Each relays 2 bytes one way and 4 the other.
    let allocations = [
        (1, 5, 500, Some(999)),   // over before
        (2, 5, 500, Some(1_000)), // still on at the invite
        (3, 6, 1_500, Some(9_000)),
        (4, 6, 2_000, Some(9_000)),
        (5, 6, 2_001, Some(9_000)), // begun afterwards
        (6, 7, 1_500, Some(1_600)), // of somebody else
    ];
    for (number, session, from, until) in allocations {
        store.record(allocation(number, session, from));
        store.record(closed(number, until.unwrap_or_default()));
    }
    until_stored(&store);
    assert_eq!(bytes(), Some(3 * 6));
    store.record(allocation(7, 5, 1_500));
    until_stored(&store);
    assert_eq!(bytes(), None, "one is on and has not told");
    store.record(closed(7, 3_000));
    until_stored(&store);
    assert_eq!(bytes(), Some(4 * 6));
    close(&store, writer);
}

#[test] // R23
fn calls_that_are_over_go_with_all_that_is_theirs_and_live_ones_stay() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    let now = Now::read().unix_ms;
    let day = |days: i64| now - days * DAY_MS;
    for (n, ended) in [(1, Some(day(31))), (2, Some(day(29))), (3, None)] {
        let Row::Call(row) = call(n, day(40), "alice", "bob") else { unreachable!() };
        store.record(Entry::Call(Row::Call(Box::new(CallRow { ended_at: ended, ..*row }))));
        store.record(Entry::Call(party(n, 0, PartyRole::Caller, "alice", None)));
        store.record(Entry::Call(feedback(n)));
        // More than goes in one step.
        for number in 1..=150 {
            store.record(Entry::Call(event(n, number, TimelineKind::Offer)));
            store.record(Entry::Call(quality(n)));
        }
    }
    until_stored(&store);
    let keeping = Keeping { retention_days: 30, bytes_max: 0, addresses: AddressPrivacy::Full };
    store.keep(keeping);
    let left = |table: &str, of: i64| {
        let sql = format!("SELECT count(*) FROM {table} WHERE call = '{}'", id(of));
        ask::<i64>(directory.path(), &sql)
    };
    until(&store, "the old call is gone", |_| left("calls", 1) == 0);
    for table in ["call_parties", "call_events", "quality_reports", "call_feedback"] {
        assert_eq!(left(table, 1), 0, "{table}");
        assert!(left(table, 2) > 0 && left(table, 3) > 0, "{table}");
    }
    store.keep(Keeping { retention_days: 0, bytes_max: 1, ..keeping });
    until(&store, "what is over is too much", |_| left("calls", 2) == 0);
    assert_eq!((left("calls", 3), left("call_events", 3)), (1, 150), "a live call stays");
    close(&store, writer);
}

/// A call whose id carries its time, as those of the daemon do.
fn timed(n: i64, caller: &str, callee: &str) -> CallRow {
    let Row::Call(row) = call(n, 1_000 * n, caller, callee) else { unreachable!() };
    CallRow { call: id_at(n), ..*row }
}

/// Hands a row in; its answer comes here.
fn put(store: &Store, row: Row) -> Receiver<Result<(), NotDurable>> {
    let (told, answer) = channel();
    let done = Acknowledge::new(move |result| told.send(result).unwrap());
    store.record_acknowledged(Entry::Call(row), done);
    answer
}

#[track_caller]
fn heard(answer: &Receiver<Result<(), NotDurable>>) -> Result<(), NotDurable> {
    answer.recv_timeout(Duration::from_secs(20)).expect("an answer")
}

fn lock(directory: &Path) -> Connection {
    let locker = Connection::open(directory.join(FILE_NAME)).unwrap();
    locker.execute_batch("BEGIN IMMEDIATE").unwrap();
    locker
}

fn id_at(n: i64) -> CallId {
    CallId(Ulid::new(1_000 * n, n.unsigned_abs().into()))
}

fn quality(of: i64) -> Row {
    let sample = QualitySample { rtt_ms: Some(25.5), is_final: true, ..QualitySample::default() };
    let tenant = TenantId::default_tenant();
    Row::Quality(Box::new(QualityRow { call: id(of), tenant, party: PartyId(1), at: 1, sample }))
}

fn feedback(of: i64) -> Row {
    Row::Feedback(Box::new(FeedbackRow {
        call: id(of),
        tenant: TenantId::default_tenant(),
        user: user("alice"),
        at: 1,
        score: 4,
        issue: "echo".into(),
    }))
}

fn allocation(number: u64, session: i64, at_unix_ms: i64) -> Entry {
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
    Entry::Relay(Fact::AllocationOpened {
        number,
        at_unix_ms,
        user: "default/alice".into(),
        username: format!("1700000000:default/alice~{}", session_id(session)).into(),
        client,
        server,
        transport,
        relayed,
        relayed_other,
        lifetime_s,
    })
}
