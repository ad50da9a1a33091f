//! What people write on calls: who may, what is refused, and that it lasts.

use serde_json::{Value, json};
use turnbell::auth::identity::Role;

use crate::daemon::Daemon;
use crate::page::{daemon, send};
use crate::record::{as_page, settled, signed, talk};

fn patch(daemon: &Daemon, call: &str, body: &Value, token: Option<&str>) -> (u16, Value) {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}"));
    let headers: Vec<&str> = authorization.iter().map(String::as_str).collect();
    send(daemon.http(), "PATCH", &format!("/v1/calls/{call}"), body, &headers)
}

#[test] // P30, R8
fn a_call_is_written_on_while_it_is_on_and_keeps_it_over_its_end_and_a_kill() {
    let mut daemon = daemon();
    let member = |user| signed(&daemon, "default", user, Role::Member);
    let (of_ann, of_bob) = (member("ann"), member("bob"));
    let (mut ann, mut bob) = (as_page(&daemon, &of_ann), as_page(&daemon, &of_bob));
    let call = talk(&mut ann, &mut bob);
    let admin = signed(&daemon, "default", "root", Role::Admin);
    let notes = json!({"recording_url": "https://rec.example/1.ogg", "contact_id": "c-9",
        "external_id": "order-8", "from_number": "+491701", "metadata": {"topic": "rent", "n": 2}});
    let (status, said) = patch(&daemon, &call, &notes, Some(&admin));
    assert_eq!(status, 200, "{said}");
    for (key, value) in notes.as_object().unwrap() {
        assert_eq!(&said[key], value, "{key}: {said}");
    }
    assert_eq!((&said["from_display"], &said["to_number"]), (&json!("ann"), &Value::Null));
    // Who was told so may pull the plug.
    daemon.kill();
    let daemon = Daemon::start_in(daemon.directory(), |_| {});
    let mut ann = as_page(&daemon, &of_ann);
    ann.ask("call.rejoin", json!({"call": call, "media": "up"})).unwrap();
    ann.ask("call.hangup", json!({"call": call})).unwrap();
    let over = settled(&daemon, &call, "COMPLETED");
    assert_eq!((&over["metadata"], &over["contact_id"]), (&notes["metadata"], &json!("c-9")));
    let (status, said) = patch(&daemon, &call, &json!({"metadata": null, "to_number": "+2"}), None);
    assert_eq!((status, &said["metadata"], &said["to_number"]), (200, &Value::Null, &json!("+2")));
    let found =
        |query: &str| daemon.get(&format!("/v1/calls?external_id={query}")).1["items"].clone();
    assert_eq!(found("order-8")[0]["call"], json!(call));
    assert_eq!(found("order-7"), json!([]), "the invite's name was replaced");
    let (_, out, _) = daemon.command(&["calls", &call]);
    for word in ["+491701 to +2", "https://rec.example/1.ogg", "c-9", "order-8"] {
        assert!(out.contains(word), "{word}: {out}");
    }
    let (_, out, _) = daemon.command(&["calls", "--external-id", "order-8"]);
    assert!(out.contains(&call), "{out}");
}

#[test]
fn only_who_is_in_charge_writes_and_a_foreign_call_is_not_there() {
    let daemon = daemon();
    let token = |tenant: &str, user: &str, role| signed(&daemon, tenant, user, role);
    let of_ann = token("default", "ann", Role::Member);
    let of_bob = token("default", "bob", Role::Member);
    let (mut ann, mut bob) = (as_page(&daemon, &of_ann), as_page(&daemon, &of_bob));
    let call = talk(&mut ann, &mut bob);
    let body = json!({"external_id": "mine"});
    for (who, status) in [
        (of_ann, 403),
        (token("default", "cem", Role::Member), 404),
        (token("acme", "root", Role::Owner), 404),
        ("tbk_wrong".to_owned(), 401),
        (token("default", "root", Role::Owner), 200),
    ] {
        let (found, said) = patch(&daemon, &call, &body, Some(&who));
        assert_eq!(found, status, "{said}");
    }
    let (_, out, _) = daemon.command(&["key", "add", "backend", "--scope", "calls", "--json"]);
    let key: Value = serde_json::from_str(&out).unwrap();
    let key = key["key_added"]["key"].as_str().unwrap();
    assert_eq!(patch(&daemon, &call, &body, Some(key)).0, 200);
    let nowhere = "01ARYZ6S410000000000000000";
    assert_eq!(patch(&daemon, nowhere, &body, None).0, 404);
    assert_eq!(patch(&daemon, "7", &body, None).0, 404);
}

#[test]
fn what_cannot_be_written_is_refused_by_its_name_and_nothing_is_written() {
    let daemon = daemon();
    let member = |user| signed(&daemon, "default", user, Role::Member);
    let (mut ann, mut bob) = (as_page(&daemon, &member("ann")), as_page(&daemon, &member("bob")));
    let call = talk(&mut ann, &mut bob);
    for (field, value) in [
        ("recording_url", json!("http://rec.example/1")),
        ("recording_url", json!("javascript:alert(1)")),
        ("recording_url", json!(7)),
        ("metadata", json!("text")),
        ("metadata", json!([1])),
        ("metadata", json!({"a": "x".repeat(4096)})),
        ("external_id", json!("x".repeat(129))),
        ("contact_id", json!("a\nb")),
        ("from_display", json!("x".repeat(1025))),
        ("to_number", json!({})),
    ] {
        let (status, said) =
            patch(&daemon, &call, &json!({"from_number": "+1", field: value}), None);
        assert_eq!((status, &said["error"]["field"]), (400, &json!(field)), "{said}");
    }
    let (status, said) = patch(&daemon, &call, &json!({"status": "COMPLETED"}), None);
    let message = said["error"]["message"].as_str().unwrap();
    assert!(status == 400 && message.contains("\"status\" is not one of the fields"), "{said}");
    assert_eq!(patch(&daemon, &call, &json!([]), None).0, 400);
    assert_eq!(patch(&daemon, &call, &json!({"metadata": "x".repeat(20_000)}), None).0, 413);
    let (status, now) = patch(&daemon, &call, &json!({}), None);
    assert_eq!((status, &now["from_number"]), (200, &json!("WebRTC")), "nothing of it was written");
    let locker = rusqlite::Connection::open(daemon.state().join("turnbell.db")).unwrap();
    locker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (status, said) = patch(&daemon, &call, &json!({"from_number": "+1"}), None);
    assert_eq!((status, &said["error"]["code"]), (503, &json!("store_unavailable")), "{said}");
    locker.execute_batch("COMMIT").unwrap();
}
