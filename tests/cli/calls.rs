//! `turnbell calls`: who called whom, and the story of one call.

use turnbell::call::media::MediaPath;
use turnbell::call::rows::{CallRow, EventRow, Row, TimelineKind};
use turnbell::call::state::{CallStatus, EndReason, PartyRole};
use turnbell::call::ulid::{CallId, Ulid};
use turnbell::store::{AddressPrivacy, Entry, Options, Store};
use turnbell::time::Now;

use crate::call_rows::{call, event, id, party};
use crate::command::{CONFIG, ask, ask_stopped, run};
use crate::daemon::Daemon;

/// A record with two calls, and no daemon.
pub(crate) fn recorded() -> std::sync::Arc<tempfile::TempDir> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("turnbell.toml"), CONFIG).unwrap();
    let ago = |s: i64| Now::read().unix_ms - 1000 * s;
    let options = Options {
        directory: directory.path().join("state"),
        retention_days: 0,
        bytes_max: 0,
        addresses: AddressPrivacy::Full,
        version: "test",
    };
    let (store, writer) = Store::open(options);
    let Row::Call(row) = call(1, ago(600), "alice", "bob") else { unreachable!() };
    let talked = CallRow {
        status: CallStatus::Completed,
        reason: Some(EndReason::Hangup),
        path: MediaPath::from_code("relay/srflx/udp"),
        ring_ms: Some(2_500),
        talk_ms: Some(65_000),
        ended_at: Some(ago(500)),
        ..*row
    };
    let started_at = talked.started_at;
    let Row::Call(row) = call(2, 0, "carol", "alice") else { unreachable!() };
    let missed = CallRow {
        call: CallId(Ulid::new(60_000, 2)),
        status: CallStatus::Missed,
        reason: Some(EndReason::NoAnswer),
        started_at: ago(400),
        ended_at: Some(ago(340)),
        metadata: Some("a\nFAKE\u{1b}[2J".into()),
        ..*row
    };
    let Row::Event(row) = event(1, 2, TimelineKind::MediaConnected) else { unreachable!() };
    let connected =
        EventRow { at: started_at + 250, detail: Some("relay to srflx".into()), ..*row };
    for row in [
        Row::Call(Box::new(talked)),
        party(1, 1, PartyRole::Callee, "bob", Some(9)),
        event(1, 1, TimelineKind::Invited),
        Row::Event(Box::new(connected)),
        Row::Call(Box::new(missed)),
    ] {
        store.record(Entry::Call(row));
    }
    writer.close();
    assert_eq!(store.health().dropped, 0);
    std::sync::Arc::new(directory)
}

#[test]
fn calls_and_the_story_of_one_are_told_with_and_without_a_daemon() {
    let directory = recorded();
    let at = directory.path();
    let list = ask_stopped(at, "calls");
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 3, "{list}");
    for word in
        ["COMPLETED (hangup)", "alice", "bob", "2.5s", "1m05s", "relay to srflx, udp", "0 B"]
    {
        assert!(lines[1].contains(word), "{word}: {list}");
    }
    assert!(lines[2].contains("MISSED (no answer)") && lines[2].contains("carol"), "{list}");
    let of_bob = ask_stopped(at, "calls --user bob");
    assert!(of_bob.contains("COMPLETED") && !of_bob.contains("MISSED"), "{of_bob}");
    assert_eq!(ask_stopped(at, "calls --since 1m"), "no calls\n");
    let cut = run(at, "calls -n 1");
    assert!(cut.out.contains("MISSED") && !cut.out.contains("COMPLETED"), "{cut:?}");
    assert!(cut.err.contains("these are the newest 1;"), "{cut:?}");

    let story = format!("calls {}", id(1));
    let told = ask_stopped(at, &story);
    for word in ["from      Alice (alice)", "to        bob", "+0.250s", "media connected", "Desk"] {
        let expected = word != "Desk";
        assert_eq!(told.contains(word), expected, "{word}: {told}");
    }
    let forged = ask_stopped(at, &format!("calls {}", Ulid::new(60_000, 2)));
    assert!(forged.contains("a\\nFAKE") && !forged.contains('\u{1b}'), "{forged}");
    let unknown = run(at, &format!("calls {}", id(7))).refused();
    assert_eq!(unknown, "there is no such call on record");
    assert!(run(at, "calls 7").refused().contains("26 characters"));

    let json = run(at, "calls --json --user alice").json();
    assert_eq!(json["calls"][0]["direction"], "INBOUND", "{json}");
    assert_eq!(json["calls"][1]["direction"], "OUTBOUND", "{json}");
    assert_eq!(json["calls"][1]["peer"]["name"], "bob", "{json}");
    let daemon = Daemon::start_in(directory, |_| {});
    assert_eq!((ask(&daemon, "calls"), ask(&daemon, &story)), (list, told));
}
