//! Forgetting a person: every table, nobody else, no trace in the file, and a kill in the middle.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use turnbell::auth::credential::AuthFailure;
use turnbell::auth::identity::{TenantId, UserId};
use turnbell::call::rows::{CallRow, EventRow, FeedbackRow, PartyRow, Row, TimelineKind};
use turnbell::call::state::PartyRole;
use turnbell::limits::record::FORGET_STEP_ROWS;
use turnbell::store::{
    Entry, FILE_NAME, FORGOTTEN, Forgotten, InviteRow, Person, RevocationRow, Store,
};
use turnbell::time::Now;

use crate::call_rows::{call, event, id, party, session_id};
use crate::support::{
    ask, close, closed, failed, issued, open, opened, opened_by_page, until_stored,
};

/// Set for the child: the state directory.
const CHILD: &str = "TURNBELL_STORE_FORGET_CHILD";

/// Columns in which no text of a person can stand, and those that `forget` takes care of. Whoever
/// adds a column decides here where it belongs, and in `store/forget.rs` what becomes of it.
const IMPERSONAL: &str = "
runs.id runs.version runs.started_at_ms runs.alive_at_ms runs.ended_at_ms runs.end_reason
runs.rows_dropped
allocations.id allocations.run allocations.number allocations.server allocations.transport
allocations.relayed allocations.relayed_other allocations.lifetime_s allocations.started_at_ms
allocations.ended_at_ms allocations.end_reason allocations.packets_to_peers
allocations.bytes_to_peers allocations.packets_to_client allocations.bytes_to_client
allocations.session
api_keys.id api_keys.name api_keys.hash api_keys.created_at_ms api_keys.revoked_at_ms api_keys.scopes
api_keys.tenant api_keys.origins api_keys.ends_at_ms
verifications.id verifications.at_ms verifications.vantage verifications.verdict verifications.summary
verifications.shared_as verifications.report
config_changes.id config_changes.at_ms config_changes.key config_changes.old config_changes.new
config_changes.changed_by
calls.id calls.call calls.tenant calls.status calls.reason calls.audio calls.video
calls.started_at_ms calls.ringing_at_ms calls.answered_at_ms calls.connected_at_ms
calls.ended_at_ms calls.ring_ms calls.setup_ms calls.talk_ms calls.path calls.replaces
calls.heartbeat_at_ms
call_parties.id call_parties.call call_parties.party call_parties.tenant call_parties.is_verified
call_parties.user_role call_parties.role call_parties.session call_parties.joined_at_ms
call_parties.left_at_ms call_parties.path
call_events.id call_events.call call_events.number call_events.tenant call_events.at_ms
call_events.kind call_events.party call_events.detail
quality_reports.id quality_reports.call quality_reports.tenant quality_reports.party
quality_reports.at_ms quality_reports.window_ms quality_reports.rtt_ms quality_reports.jitter_ms
quality_reports.loss_percent quality_reports.mos quality_reports.bitrate_in
quality_reports.bitrate_out quality_reports.concealed_percent quality_reports.level_in
quality_reports.level_out quality_reports.packets_in quality_reports.path quality_reports.codec
quality_reports.is_final
";
/// Emptied or replaced in rows that stay.
const ANONYMISED: &str = "
allocations.user allocations.username allocations.client
calls.conversation calls.caller calls.callee calls.from_display calls.from_number calls.to_number
calls.contact_id calls.external_id calls.metadata calls.recording_url
call_parties.user call_parties.name call_parties.device_id call_parties.device_kind
call_parties.device_label
call_events.device
";
/// Tables whose rows go, and one whose rows are kept as they are.
const BY_ROW: &str = "credentials_issued auth_failures call_feedback invites user_blocks revocations sqlite_sequence";

fn person(tenant: &str, user: &str) -> Person {
    Person { tenant: TenantId::new(tenant).unwrap(), user: UserId::new(user).unwrap() }
}

fn counts(forgotten: &Forgotten) -> Vec<(&str, &str, u64)> {
    let some = forgotten.rows.iter().filter(|row| row.rows > 0);
    some.map(|row| (row.table, row.done, row.rows)).collect()
}

/// A record in which `mallory-x` has left something everywhere, and bob too.
fn written(store: &Store) {
    let Row::Call(row) = call(1, 5, "mallory-x", "bob") else { unreachable!() };
    let annotated = CallRow {
        conversation: Some("mallory-x chat".into()),
        from_display: "mallory-x Name".into(),
        from_number: "mallory-x number".into(),
        contact_id: Some("mallory-x contact".into()),
        external_id: Some("mallory-x external".into()),
        metadata: Some("{\"mallory-x\":1}".into()),
        recording_url: Some("https://mallory-x.example".into()),
        ..*row
    };
    let Row::Party(one) = party(1, 1, PartyRole::Caller, "mallory-x", Some(5)) else {
        unreachable!()
    };
    let device = turnbell::call::request::Device {
        id: "mallory-x id".into(),
        kind: "mallory-x kind".into(),
        label: "mallory-x phone".into(),
    };
    let hers = PartyRow { device: Some(device), ..*one };
    let rang = |of, number| {
        let Row::Event(row) = event(of, number, TimelineKind::Ringing) else { unreachable!() };
        let device = Some(if of == 1 { "bob phone" } else { "mallory-x phone" }.into());
        Row::Event(Box::new(EventRow { party: None, device, ..*row }))
    };
    let Row::Event(talks) = event(1, 2, TimelineKind::Accepted) else { unreachable!() };
    let talks = EventRow { device: Some("mallory-x phone".into()), ..*talks };
    let feedback = |user: &str| {
        Row::Feedback(Box::new(FeedbackRow {
            call: id(1),
            tenant: TenantId::default_tenant(),
            user: UserId::new(user).unwrap(),
            at: 1,
            score: 1,
            issue: format!("{user} heard an echo").into(),
        }))
    };
    let Row::Call(other) = call(2, 6, "bob", "mallory-x") else { unreachable!() };
    let called = CallRow { to_number: Some("mallory-x to".into()), ..*other };
    for row in [
        Row::Call(Box::new(annotated)),
        Row::Party(Box::new(hers)),
        party(1, 2, PartyRole::Callee, "bob", Some(6)),
        rang(1, 1),
        Row::Event(Box::new(talks)),
        feedback("mallory-x"),
        feedback("bob"),
        Row::Call(Box::new(called)),
        rang(2, 1),
        call(3, 7, "bob", "carol"),
    ] {
        store.record(Entry::Call(row));
    }
    let session = session_id(5);
    store.record(opened_by_page(1, 10, &format!("default/mallory-x~{session}")));
    store.record(closed(1, 20));
    store.record(opened(2, 10, "mallory-x"));
    store.record(opened(3, 10, "bob"));
    store.record(opened_by_page(4, 10, &format!("acme/mallory-x~{session}")));
    for user in ["mallory-x", "bob"] {
        store.record(issued(1, user));
        store.record(failed(1, &format!("1700000000:{user}"), AuthFailure::WrongIntegrity));
    }
    store.record(failed(
        2,
        &format!("1700000000:default/mallory-x~{session}"),
        AuthFailure::NoSuchUser,
    ));
    until_stored(store);
    for to in ["mallory-x", "bob"] {
        store.add_invite(invite(to)).unwrap();
    }
}

fn invite(to: &str) -> InviteRow {
    InviteRow {
        id: format!("i-{to}"),
        tenant: "default".into(),
        to: Some(to.into()),
        created_at_unix_ms: 0,
        expires_at_unix_ms: i64::MAX,
        uses_max: 1,
        uses: 0,
        revoked_at_unix_ms: None,
    }
}

#[test] // P33
fn a_person_goes_from_every_table_and_out_of_the_file_and_nobody_else_does() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    written(&store);
    let expected = [
        ("calls", "anonymised", 2),
        ("allocations", "anonymised", 2),
        ("credentials_issued", "deleted", 1),
        ("auth_failures", "deleted", 2),
        ("call_feedback", "deleted", 1),
        ("invites", "deleted", 1),
    ];
    let who = person("default", "mallory-x");
    assert_eq!(counts(&store.on_record_of(&who).unwrap()), expected);
    let before = store.call(id(1)).unwrap().unwrap().relay_bytes;
    assert_eq!(counts(&store.forget(&who).unwrap()), expected);
    assert!(counts(&store.on_record_of(&who).unwrap()).is_empty());
    assert!(counts(&store.forget(&who).unwrap()).is_empty(), "there is no second time");
    let nobody = person("default", FORGOTTEN);
    assert!(counts(&store.forget(&nobody).unwrap()).is_empty(), "and an end");

    let record = store.call(id(1)).unwrap().unwrap();
    assert_eq!((record.call.caller.as_str(), record.call.callee.as_str()), (FORGOTTEN, "bob"));
    assert_eq!(record.call.from_number.as_ref(), "WebRTC");
    assert_eq!(record.relay_bytes, before, "what was relayed is still known of the call");
    assert_eq!(record.parties[1].name.as_ref(), "bob");
    assert!(record.parties[1].device.is_some() && record.parties[0].device.is_none());
    let timeline = store.timeline(id(1), 0, 9).unwrap();
    let devices: Vec<_> = timeline.iter().map(|row| row.device.as_deref()).collect();
    assert_eq!(devices, [Some("bob phone"), None]);
    for (sql, rows) in [
        ("SELECT count(*) FROM calls WHERE callee = '(forgotten)' AND to_number IS NULL", 1),
        ("SELECT count(*) FROM allocations WHERE user = 'default/%28forgotten%29'", 2),
        ("SELECT count(*) FROM allocations WHERE user = 'bob'", 1),
        ("SELECT count(*) FROM allocations WHERE user = 'acme/mallory-x'", 1),
        ("SELECT count(*) FROM invites", 1),
    ] {
        assert_eq!(ask::<i64>(directory.path(), sql), rows, "{sql}");
    }
    // The namesake in another tenant is somebody else; then she goes, too.
    store.forget(&person("acme", "mallory-x")).unwrap();
    until_stored(&store);
    let holds = |text: &str| {
        ["", "-wal"].iter().any(|log| {
            let file = directory.path().join(format!("{FILE_NAME}{log}"));
            let bytes = fs::read(file).unwrap_or_default();
            bytes.windows(text.len()).any(|part| part == text.as_bytes())
        })
    };
    assert!(!holds("mallory-x"), "no page holds what was forgotten");
    assert!(holds("bob heard an echo"), "the search itself finds things");
    close(&store, writer);
}

#[test]
fn a_revocation_stays_so_that_forgetting_lets_nobody_in() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    let row = RevocationRow { user: "mallory".into(), at_unix_ms: 1, until_unix_ms: None };
    store.revoke(row, Now::read()).unwrap();
    let forgotten = store.forget(&person("default", "mallory")).unwrap();
    assert_eq!(counts(&forgotten), [("revocations", "kept", 1)]);
    assert_eq!(store.revocations(Now::read()).unwrap().len(), 1);
    close(&store, writer);
}

#[test]
fn every_column_of_every_table_is_known_to_forgetting() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    close(&store, writer);
    let connection = Connection::open(directory.path().join(FILE_NAME)).unwrap();
    let mut columns = connection
        .prepare(
            "SELECT t.name, t.name || '.' || c.name FROM sqlite_schema AS t
             JOIN pragma_table_info(t.name) AS c WHERE t.type = 'table'",
        )
        .unwrap();
    let columns = columns.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let known = |list: &str, name: &str| list.split_whitespace().any(|one| one == name);
    for column in columns {
        let (table, column): (String, String) = column.unwrap();
        assert!(
            known(BY_ROW, &table) || known(IMPERSONAL, &column) || known(ANONYMISED, &column),
            "{column}: may it name somebody? Say so here, and in store/forget.rs what becomes of it"
        );
    }
}

fn fill(directory: &Path, rows: i64) {
    let connection = Connection::open(directory.join(FILE_NAME)).unwrap();
    let many = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)";
    let credentials = "INSERT INTO credentials_issued
        (at_ms, user, username, expires_at_s, ttl_s, issued_by)";
    let select = "SELECT n, 'mallory-x', 'mallory-x', 0, 0, 'local' FROM n";
    connection.execute(&format!("{credentials} {many} {select}"), [rows]).unwrap();
}

const LEFT: &str = "SELECT count(*) FROM credentials_issued WHERE user = 'mallory-x'";

#[test] // P33: kill -9 in the middle of forgetting
fn forgetting_that_is_killed_leaves_a_good_record_and_is_finished_by_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    close(&store, writer);
    let all = 400 * FORGET_STEP_ROWS as i64;
    // On a busy machine the child may be done before it is killed; then once more.
    let left = (0..5).map(|_| forget_and_kill(directory.path(), all)).find(|left| *left > 0);
    let left = left.expect("one of them is killed in the middle");
    assert_eq!(left % FORGET_STEP_ROWS as i64, 0, "a step is whole or not at all");
    let (store, writer) = open(directory.path());
    let forgotten = store.forget(&person("default", "mallory-x")).unwrap();
    assert_eq!(counts(&forgotten), [("credentials_issued", "deleted", left as u64)]);
    close(&store, writer);
    assert_eq!(ask::<i64>(directory.path(), LEFT), 0);
}

/// How many rows were left.
fn forget_and_kill(directory: &Path, all: i64) -> i64 {
    fill(directory, all);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "forgetting::child_that_forgets_until_it_is_killed", "--nocapture"])
        .env(CHILD, directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Now::read().mono + Duration::from_secs(30);
    while ask::<i64>(directory, LEFT) == all {
        assert!(Now::read().mono < deadline, "the child forgets");
        std::thread::park_timeout(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ask::<String>(directory, "PRAGMA integrity_check"), "ok");
    ask::<i64>(directory, LEFT)
}

/// Does nothing where it is not asked to.
#[test]
fn child_that_forgets_until_it_is_killed() {
    let Some(directory) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let (store, _writer) = open(&directory);
    store.forget(&person("default", "mallory-x")).unwrap();
}
