//! What calls leave in the record, who may read it, and what a killed daemon takes up again.

use serde_json::{Value, json};
use turnbell::auth::identity::{Identity, Role, TenantId, UserId};
use turnbell::auth::own_token::OwnKey;
use turnbell::auth::secret::Secret;
use turnbell::time::Now;

use crate::daemon::{CONFIG, Daemon, eventually, record};
use crate::page::{Page, daemon, post, token};
use crate::turn_client::TurnClient;

/// Invites, rings, accepts and connects; the call's id.
pub(crate) fn talk(alice: &mut Page, bob: &mut Page) -> String {
    let call = ring(alice, bob);
    bob.ask("call.accept", json!({"call": call})).unwrap();
    let pair = json!({"local": "relay", "remote": "relay", "proto": "udp"});
    for page in [&mut *alice, &mut *bob] {
        let media = json!({"call": call, "status": "connected", "pair": pair});
        page.ask("call.media", media).unwrap();
    }
    alice.state("active");
    bob.state("active");
    call
}

pub(crate) fn ring(alice: &mut Page, bob: &mut Page) -> String {
    let invite = json!({"to": {"user": bob.user()}, "media": {"audio": true},
        "external_id": "order-7", "metadata": "{\"a\":1}"});
    let call = alice.ask("call.invite", invite).unwrap()["call"].as_str().unwrap().to_owned();
    bob.event("call.incoming");
    bob.ask("call.ringing", json!({"call": call})).unwrap();
    alice.state("ringing");
    call
}

/// Waits until the record says so of the call.
#[track_caller]
pub(crate) fn settled(daemon: &Daemon, call: &str, status: &str) -> Value {
    let path = format!("/v1/calls/{call}");
    let mut last = Value::Null;
    eventually(|| {
        last = daemon.get(&path).1;
        (last["status"] == status).then(|| last.clone())
    })
    .unwrap_or_else(|| panic!("{call} is not {status}: {last}"))
}

fn kinds(daemon: &Daemon, call: &str) -> Vec<String> {
    let (status, timeline) = daemon.get(&format!("/v1/calls/{call}/timeline"));
    assert_eq!((status, &timeline["next_cursor"]), (200, &Value::Null), "{timeline}");
    let items = timeline["items"].as_array().unwrap().iter();
    items.map(|item| item["kind"].as_str().unwrap().to_owned()).collect()
}

/// A token that this daemon would have signed.
pub(crate) fn signed(daemon: &Daemon, tenant: &str, user: &str, role: Role) -> String {
    let text = std::fs::read_to_string(daemon.state().join("signing_key")).unwrap();
    let now = Now::read();
    let identity = Identity {
        tenant: TenantId::new(tenant).unwrap(),
        user: UserId::new(user).unwrap(),
        role,
        name: user.into(),
        is_verified: true,
        expires_at_unix_s: Some(now.unix_s() + 600),
        contact: None,
        number: None,
    };
    OwnKey::of_text(&Secret::new(text)).session(now, &identity).unwrap()
}

pub(crate) fn as_page(daemon: &Daemon, token: &str) -> Page {
    Page::connect(daemon, json!({"token": token, "caps": ["media_reports"]}))
}

#[test] // P30
fn a_call_leaves_its_rows_its_timeline_and_its_relayed_bytes() {
    let daemon = daemon();
    let (mut alice, mut bob) = (Page::guest(&daemon, "Alice"), Page::guest(&daemon, "Bob"));
    let turn = |page: &Page| {
        let servers = page.welcome["ice"]["iceServers"].as_array().unwrap();
        let turn = servers.iter().find(|server| server.get("username").is_some()).unwrap();
        let text = |key: &str| turn[key].as_str().unwrap().to_owned();
        TurnClient::allocate(daemon.udp(), &text("username"), &text("credential")).unwrap()
    };
    let (of_alice, of_bob) = (turn(&alice), turn(&bob));
    let call = talk(&mut alice, &mut bob);
    for client in [&of_alice, &of_bob] {
        client.permit("127.0.0.1".parse().unwrap()).unwrap();
    }
    of_alice.send(of_bob.relayed, &[7; 1000]);
    assert!(of_bob.receive().is_some(), "it is relayed");
    let sample = json!({"call": call, "window_ms": 5000, "rtt_ms": 40.0, "final": true});
    bob.ask("quality.report", sample).unwrap();
    let live = settled(&daemon, &call, "ANSWERED");
    assert_eq!(live["relay_bytes"], Value::Null, "allocations that are on have not told");
    alice.ask("call.hangup", json!({"call": call})).unwrap();
    bob.ask("feedback", json!({"call": call, "score": 5, "issue": "none"})).unwrap();
    let ended = settled(&daemon, &call, "COMPLETED");
    for (key, expected) in [
        ("reason", json!("hangup")),
        ("tenant", json!("default")),
        ("direction", Value::Null),
        ("caller", json!(alice.user())),
        ("callee", json!(bob.user())),
        ("from_display", json!("Alice")),
        ("from_number", json!("WebRTC")),
        ("external_id", json!("order-7")),
        ("metadata", json!({"a": 1})),
        ("media", json!({"audio": true, "video": false})),
        ("path", json!({"local": "relay", "remote": "relay", "proto": "udp"})),
    ] {
        assert_eq!(ended[key], expected, "{key}: {ended}");
    }
    for key in ["ringing_at", "answered_at", "connected_at", "ended_at", "ring_ms", "talk_ms"] {
        assert!(ended[key].is_i64(), "{key}: {ended}");
    }
    let parties = ended["parties"].as_array().unwrap();
    let sides: Vec<_> = parties.iter().map(|party| (&party["direction"], &party["name"])).collect();
    assert_eq!(sides, [(&json!("OUTBOUND"), &json!("Alice")), (&json!("INBOUND"), &json!("Bob"))]);
    assert_eq!(parties[0]["session"], alice.welcome["session"]);
    assert!(parties.iter().all(|party| party["left_at"].is_i64()), "{parties:?}");
    let kinds = kinds(&daemon, &call);
    let story = ["invited", "ringing", "accepted", "media_connected", "active", "ended"];
    let mut rest = kinds.iter();
    assert!(story.iter().all(|kind| rest.any(|one| one == kind)), "{kinds:?}");
    let first = daemon.get(&format!("/v1/calls/{call}/timeline?limit=2")).1;
    assert_eq!((first["items"].as_array().unwrap().len(), &first["next_cursor"]), (2, &json!("2")));
    let rest = daemon.get(&format!("/v1/calls/{call}/timeline?cursor=2")).1;
    assert_eq!(rest["items"].as_array().unwrap().len(), kinds.len() - 2);
    for table in ["quality_reports", "call_feedback"] {
        let sql = format!("SELECT count(*) FROM {table} WHERE call = '{call}'");
        let rows = || record(&daemon.state()).query_row(&sql, [], |row| row.get::<_, i64>(0));
        assert!(eventually(|| (rows() == Ok(1)).then_some(())).is_some(), "{table}");
    }
    of_alice.release().unwrap();
    of_bob.release().unwrap();
    let bytes = eventually(|| settled(&daemon, &call, "COMPLETED")["relay_bytes"].as_u64());
    assert_eq!(bytes, Some(2000), "through the relays of both sides");
}

#[test] // P26
fn everybody_sees_his_own_calls_and_only_those_in_charge_see_more() {
    let daemon = daemon();
    let member = |user| signed(&daemon, "default", user, Role::Member);
    let (of_ann, of_bob, of_cem) = (member("ann"), member("bob"), member("cem"));
    let (mut ann, mut bob) = (as_page(&daemon, &of_ann), as_page(&daemon, &of_bob));
    let call = talk(&mut ann, &mut bob);
    ann.ask("call.hangup", json!({"call": call})).unwrap();
    settled(&daemon, &call, "COMPLETED");
    let second = talk(&mut bob, &mut ann);
    settled(&daemon, &second, "ANSWERED");
    let list = |token: &str, query: &str| -> Vec<Value> {
        let (status, page) = daemon.get_with_key(&format!("/v1/calls{query}"), token);
        assert_eq!(status, 200, "{page}");
        page["items"].as_array().unwrap().clone()
    };
    let of = |calls: &[Value], key: &str| -> Vec<Value> {
        calls.iter().map(|call| call[key].clone()).collect()
    };
    let anns = list(&of_ann, "");
    assert_eq!(of(&anns, "call"), [json!(second), json!(call)], "newest first");
    assert_eq!(of(&anns, "direction"), ["INBOUND", "OUTBOUND"]);
    assert_eq!(anns[0]["peer"], json!({"user": "bob", "name": "bob"}));
    assert_eq!(of(&list(&of_bob, ""), "direction"), ["OUTBOUND", "INBOUND"]);
    assert_eq!(of(&list(&of_ann, "?status=COMPLETED"), "call"), [call.as_str()]);
    assert_eq!(list(&of_ann, "?user=bob").len(), 2);
    assert!(list(&of_ann, "?user=cem").is_empty() && list(&of_cem, "").is_empty());
    assert!(list(&of_cem, "?user=ann").is_empty(), "not by asking for somebody else");
    let (_, page) = daemon.get_with_key("/v1/calls?limit=1", &of_ann);
    assert_eq!(page["next_cursor"], json!(second));
    let (_, page) = daemon.get_with_key(&format!("/v1/calls?limit=1&cursor={second}"), &of_ann);
    assert_eq!((&page["items"][0]["call"], &page["next_cursor"]), (&json!(call), &Value::Null));
    let later = anns[0]["started_at"].as_i64().unwrap() + 1;
    assert!(list(&of_ann, &format!("?since_at={later}")).is_empty());

    // Devices and sessions of the other side are nobody's business.
    let one = daemon.get_with_key(&format!("/v1/calls/{call}"), &of_ann).1;
    let parties = one["parties"].as_array().unwrap();
    assert!(parties[0]["session"].is_string() && parties[1]["session"].is_null(), "{one}");
    let admin = signed(&daemon, "default", "root", Role::Admin);
    assert_eq!(list(&admin, "").len(), 2);
    assert_eq!(of(&list(&admin, "?user=ann"), "direction"), ["INBOUND", "OUTBOUND"]);
    let stranger = signed(&daemon, "acme", "ann", Role::Owner);
    let namesake = signed(&daemon, "acme", "ann", Role::Member);
    assert!(list(&stranger, "").is_empty() && list(&namesake, "").is_empty());
    for token in [&of_cem, &stranger, &namesake] {
        for path in ["", "/timeline"] {
            let (status, said) = daemon.get_with_key(&format!("/v1/calls/{second}{path}"), token);
            assert_eq!((status, &said["error"]["code"]), (404, &json!("not_found")), "{path}");
        }
        for word in ["end", "reject"] {
            assert_eq!(order(&daemon, &second, word, token).0, 404, "{word}");
        }
    }
    let (_, out, _) = daemon.command(&["key", "add", "backend", "--scope", "log,calls", "--json"]);
    let key: Value = serde_json::from_str(&out).unwrap();
    let key = key["key_added"]["key"].as_str().unwrap();
    assert_eq!((list(key, "").len(), daemon.get("/v1/calls").0), (2, 200));
    assert_eq!(daemon.get_with_key("/v1/calls", "tbk_wrong").0, 401);
    assert_eq!(daemon.get_with_key("/v1/calls", "a.b.c").0, 401);
    for (query, field) in [
        ("?limit=0", "limit"),
        ("?limit=201", "limit"),
        ("?cursor=7", "cursor"),
        ("?status=completed", "status"),
        ("?since_at=yesterday", "since_at"),
    ] {
        let (status, said) = daemon.get(&format!("/v1/calls{query}"));
        assert_eq!((status, &said["error"]["field"]), (400, &json!(field)), "{query}");
    }
    assert_eq!(daemon.get("/v1/calls?limit=200").0, 200);
    assert_eq!(daemon.get("/v1/calls/nonsense").0, 404);
}

/// `POST /v1/calls/{id}/{word}`.
fn order(daemon: &Daemon, call: &str, word: &str, token: &str) -> (u16, Value) {
    let authorization = format!("Authorization: Bearer {token}");
    post(daemon.http(), &format!("/v1/calls/{call}/{word}"), &json!({}), &[&authorization])
}

#[test] // P26
fn calls_are_ended_and_rejected_by_those_whose_they_are_and_the_answer_is_on_record() {
    let daemon = daemon();
    let member = |user| signed(&daemon, "default", user, Role::Member);
    let (of_ann, of_bob) = (member("ann"), member("bob"));
    let (mut ann, mut bob) = (as_page(&daemon, &of_ann), as_page(&daemon, &of_bob));
    let call = ring(&mut ann, &mut bob);
    let (status, said) = order(&daemon, &call, "reject", &of_ann);
    assert_eq!((status, &said["error"]["code"]), (403, &json!("not_party")), "not by the caller");
    let (status, said) = order(&daemon, &call, "reject", &of_bob);
    assert_eq!(
        (status, &said["status"], &said["reason"]),
        (200, &json!("REJECTED"), &json!("declined"))
    );
    assert_eq!(ann.state("ended")["reason"], "declined");
    let (status, said) = order(&daemon, &call, "end", &of_bob);
    assert_eq!((status, &said["error"]["code"]), (409, &json!("call_ended")));

    let call = talk(&mut ann, &mut bob);
    let (status, said) = order(&daemon, &call, "reject", &of_bob);
    assert_eq!((status, &said["error"]["code"]), (409, &json!("already_answered")));
    let admin = signed(&daemon, "default", "root", Role::Admin);
    let (status, said) = order(&daemon, &call, "end", &admin);
    assert_eq!(
        (status, &said["status"], &said["reason"]),
        (200, &json!("COMPLETED"), &json!("admin"))
    );
    assert_eq!(bob.state("ended")["reason"], "admin");
    // Who is in charge of nothing but this machine, too.
    let (status, said) = post(daemon.http(), &format!("/v1/calls/{call}/end"), &json!({}), &[]);
    assert_eq!((status, &said["error"]["code"]), (409, &json!("call_ended")));
    let nowhere = "/v1/calls/01ARYZ6S410000000000000000/end";
    assert_eq!(post(daemon.http(), nowhere, &json!({}), &[]).0, 404);
}

#[test] // P4, R8
fn a_killed_daemon_loses_no_row_and_both_pages_go_on_with_the_same_call() {
    let mut daemon = daemon();
    let (of_ann, of_bob) = (token(&daemon, "Ann"), token(&daemon, "Bob"));
    let (mut ann, mut bob) = (as_page(&daemon, &of_ann), as_page(&daemon, &of_bob));
    let call = talk(&mut ann, &mut bob);
    let mut cem = Page::guest(&daemon, "Cem");
    let mut dan = Page::guest(&daemon, "Dan");
    let rang = ring(&mut cem, &mut dan);
    settled(&daemon, &rang, "RINGING");
    let before =
        eventually(|| Some(kinds(&daemon, &call)).filter(|k| k.iter().any(|k| k == "active")));
    let before = before.expect("the call is on record");
    daemon.kill();
    let (ann, bob) = (ann.vanish(), bob.vanish());
    let check: String =
        record(&daemon.state()).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");

    let daemon = Daemon::start_in(daemon.directory(), |_| {});
    let after = kinds(&daemon, &call);
    assert_eq!(after[..before.len()], before, "what was there to be read is there");
    let failed = settled(&daemon, &rang, "FAILED");
    assert_eq!(failed["reason"], "server_restart", "{failed}");
    let mut pages = [(&of_ann, ann), (&of_bob, bob)].map(|(token, lost)| {
        let mut page = Page::resume(&daemon, token, &lost);
        assert_eq!(page.welcome["resumed"], false, "{}", page.welcome);
        let sync = page.event("state.sync");
        assert_eq!(
            (&sync["calls"][0]["call"], &sync["calls"][0]["state"]),
            (&json!(call), &json!("reconnecting")),
            "{sync}"
        );
        page
    });
    for page in &mut pages {
        page.ask("call.rejoin", json!({"call": call, "media": "up"})).unwrap();
    }
    for page in &mut pages {
        page.state("active");
    }
    pages[0].ask("call.hangup", json!({"call": call})).unwrap();
    let ended = settled(&daemon, &call, "COMPLETED");
    assert_eq!(ended["reason"], "hangup", "{ended}");
    let kinds = kinds(&daemon, &call);
    assert!(kinds.iter().any(|kind| kind == "restored"), "{kinds:?}");
    assert_eq!(kinds.last().unwrap(), "ended", "{kinds:?}");
}

#[test] // R8, P5
fn calls_go_on_while_the_record_is_locked_and_stand_in_it_afterwards() {
    let daemon = Daemon::start(CONFIG);
    let (mut ann, mut bob) = (Page::guest(&daemon, "Ann"), Page::guest(&daemon, "Bob"));
    let first = talk(&mut ann, &mut bob);
    settled(&daemon, &first, "ANSWERED");
    let locker = rusqlite::Connection::open(daemon.state().join("turnbell.db")).unwrap();
    locker.execute_batch("BEGIN IMMEDIATE").unwrap();
    ann.ask("call.hangup", json!({"call": first})).unwrap();
    let second = talk(&mut bob, &mut ann);
    eventually(|| (!daemon.record_health().0).then_some(())).expect("it notices");
    let (status, said) = post(daemon.http(), &format!("/v1/calls/{second}/end"), &json!({}), &[]);
    assert_eq!((status, &said["call"]), (202, &json!(second)), "done, and not on record: {said}");
    assert_eq!(ann.state("ended")["reason"], "admin");
    locker.execute_batch("COMMIT").unwrap();
    settled(&daemon, &first, "COMPLETED");
    settled(&daemon, &second, "COMPLETED");
}
