//! What people write on calls: on disk when they are told so, and left alone by what comes later.

use turnbell::auth::identity::TenantId;
use turnbell::call::rows::{CallRow, Row};
use turnbell::call::state::{CallStatus, EndReason};
use turnbell::store::{CallQuery, Entry, Note, Store};

use crate::call_rows::{call, id};
use crate::support::{ask, close, open, until_stored};

fn texts(store: &Store) -> Vec<Option<String>> {
    let row = store.call(id(1)).unwrap().unwrap().call;
    let text = |text: Option<Box<str>>| text.map(String::from);
    vec![
        text(row.contact_id),
        Some(row.from_display.into()),
        Some(row.from_number.into()),
        text(row.to_number),
        text(row.recording_url),
        text(row.external_id),
        text(row.metadata),
    ]
}

#[test] // P30, R8
fn what_is_written_on_a_call_is_on_disk_and_outlives_the_rows_that_follow() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    store.record(Entry::Call(call(1, 5, "alice", "bob")));
    store.record(Entry::Call(call(2, 5, "alice", "bob")));
    until_stored(&store);
    let written = |note: Note| Some(format!("{} of it", note.name()));
    let notes = Note::ALL.map(|note| (note, written(note))).to_vec();
    assert!(store.annotate(id(1), notes).unwrap());
    let column = "SELECT recording_url FROM calls WHERE external_id = 'external_id of it'";
    assert_eq!(ask::<String>(directory.path(), column), "recording_url of it");
    let Row::Call(row) = call(1, 5, "alice", "bob") else { unreachable!() };
    store.record(Entry::Call(Row::Call(Box::new(CallRow {
        status: CallStatus::Completed,
        reason: Some(EndReason::Hangup),
        metadata: Some("what the switchboard remembers".into()),
        ..*row
    }))));
    until_stored(&store);
    assert_eq!(texts(&store), Note::ALL.map(written));
    assert_eq!(store.call(id(1)).unwrap().unwrap().call.status, CallStatus::Completed);

    assert!(store.annotate(id(1), vec![(Note::ToNumber, None), (Note::FromNumber, None)]).unwrap());
    let now = texts(&store);
    assert_eq!((now[2].as_deref(), now[3].as_deref()), (Some("WebRTC"), None));
    assert_eq!(now[4], written(Note::RecordingUrl), "the others stay");
    let other = store.call(id(2)).unwrap().unwrap().call;
    assert_eq!((other.metadata, other.recording_url), (None, None));
    assert!(!store.annotate(id(3), vec![(Note::ToNumber, None)]).unwrap(), "there is no such call");
    close(&store, writer);
}

#[test]
fn calls_are_found_by_the_name_another_program_gave_them() {
    let directory = tempfile::tempdir().unwrap();
    let (store, writer) = open(directory.path());
    for n in 1..=3 {
        store.record(Entry::Call(call(n, n, "alice", "bob")));
    }
    until_stored(&store);
    for (n, name) in [(1, "order-7"), (2, "order-8"), (3, "order-7")] {
        let name = Some(name.to_owned());
        assert!(store.annotate(id(n), vec![(Note::ExternalId, name)]).unwrap());
    }
    let found = |tenant: &str, name: &str| -> Vec<String> {
        let query = CallQuery {
            tenant: TenantId::new(tenant),
            external_id: Some(name.to_owned()),
            limit: 9,
            ..CallQuery::default()
        };
        store.calls(&query).unwrap().iter().map(|one| one.call.call.to_string()).collect()
    };
    assert_eq!(found("default", "order-7"), [id(3).to_string(), id(1).to_string()]);
    assert_eq!(found("default", "order-8"), [id(2).to_string()]);
    assert!(found("default", "order").is_empty() && found("acme", "order-7").is_empty());
    close(&store, writer);
}
