//! `turnbell why` and `GET /v1/why`: each trouble is made for real and must be named.

use serde_json::{Value, json};
use turnbell::auth::credential::{User, issue};
use turnbell::auth::secret::Secret;
use turnbell::time::Now;

use crate::daemon::{Daemon, SECRET, eventually};
use crate::page::{Page, daemon, token};
use crate::turn_client::TurnClient;

/// What is told once the record has caught up so far that `wanted` is said.
#[track_caller]
fn told(daemon: &Daemon, query: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    eventually(|| {
        let (status, why) = daemon.get(&format!("/v1/why?{query}"));
        last = why;
        (status == 200 && wanted(&last)).then(|| last.clone())
    })
    .unwrap_or_else(|| panic!("not told: {last:#}"))
}

fn codes(why: &Value) -> Vec<&str> {
    let causes = why["causes"].as_array().unwrap().iter();
    causes.map(|cause| cause["code"].as_str().unwrap()).collect()
}

fn has(code: &'static str) -> impl Fn(&Value) -> bool {
    move |why| codes(why).contains(&code)
}

fn verdict(why: &Value) -> &str {
    why["verdict"].as_str().unwrap()
}

fn ring(alice: &mut Page, bob: &Page) -> Value {
    let invite = json!({"to": {"user": bob.user()}, "media": {"audio": true}});
    alice.ask("call.invite", invite).unwrap()["call"].clone()
}

/// A call whose ICE finds no way, after the one restart; its id.
fn without_media(alice: &mut Page, bob: &mut Page) -> String {
    let call = ring(alice, bob);
    bob.event("call.incoming");
    bob.ask("call.ringing", json!({"call": call})).unwrap();
    bob.ask("call.accept", json!({"call": call})).unwrap();
    alice.state("connecting");
    let failed = json!({"call": call, "status": "failed"});
    alice.ask("call.media", failed.clone()).unwrap();
    let generation = alice.event("call.restart")["gen"].clone();
    let offer =
        json!({"call": call, "gen": generation, "kind": "offer", "sdp": "v=0", "restart": true});
    alice.ask("call.signal", offer).unwrap();
    alice.ask("call.media", failed).unwrap();
    assert_eq!(alice.state("ended")["reason"], "ice_failed");
    call.as_str().unwrap().to_owned()
}

/// TURN username and password that a page was given.
fn credential(page: &Page) -> (String, String) {
    let servers = page.welcome["ice"]["iceServers"].as_array().unwrap().iter();
    let turn = servers.rev().find(|server| server["username"].is_string()).unwrap();
    let text = |name: &str| turn[name].as_str().unwrap().to_owned();
    (text("username"), text("credential"))
}

fn relay(daemon: &Daemon, page: &Page) -> TurnClient {
    let (username, password) = credential(page);
    TurnClient::allocate(daemon.udp(), &username, &password).unwrap()
}

#[test]
fn a_refused_credential_is_named_with_its_true_cause() {
    let daemon = daemon();
    let other = Secret::new("the secret of another server 123".to_owned());
    let ours = Secret::new(SECRET.to_owned());
    let now = Now::read().unix_s();
    let refused = |user: &str, secret: &Secret<String>, until: i64| {
        let issued = issue(secret, &User::parse(user).unwrap(), until);
        let client =
            TurnClient::allocate(daemon.udp(), &issued.username, issued.credential.expose());
        assert_eq!(client.unwrap_err(), 401);
    };
    refused("carol", &other, now + 600);
    refused("dave", &ours, now - 400);
    let why = told(&daemon, "user=carol", has("wrong_integrity"));
    assert_eq!(
        verdict(&why),
        "The TURN password of carol was not made with a secret of this server."
    );
    assert!(why["causes"][0]["cure"].as_str().unwrap().contains("auth.secrets"), "{why:#}");
    let why = told(&daemon, "user=dave", has("expired"));
    assert!(verdict(&why).starts_with("The TURN credential of dave was over 6 min 4"), "{why:#}");
    // Around the moment both are named.
    let at = turnbell::time::utc::utc(Now::read().unix_ms).replace(' ', "T");
    let why = told(&daemon, &format!("at={at}Z"), has("expired"));
    assert!(codes(&why).contains(&"wrong_integrity"), "{why:#}");
    let (code, text, _) = daemon.command(&["why", "carol"]);
    assert_eq!(code, Some(0));
    assert!(text.starts_with("The TURN password of carol was not made"), "{text}");
    assert!(text.contains("was refused a relay over udp from 127.0.0.1:"), "{text}");
}

#[test]
fn who_alone_never_reached_the_relay_is_named() {
    let daemon = daemon();
    let (mut alice, mut bob) = (Page::guest(&daemon, "Alice"), Page::guest(&daemon, "Bob"));
    let held = relay(&daemon, &alice);
    let call = without_media(&mut alice, &mut bob);
    let why = told(&daemon, &format!("call={call}"), has("relay_not_reached"));
    // The record knows the credential that a page was given by its user, not by his session.
    let (_, log, _) = daemon.command(&[
        "log",
        "--kind",
        "credential",
        "--user",
        &format!("default/{}", bob.user()),
    ]);
    assert!(log.lines().count() > 1, "{log}");
    let first = &why["causes"][0];
    assert!(first["cause"].as_str().unwrap().starts_with(&bob.user()), "{why:#}");
    assert_eq!(first["is_certain"], false, "it is what fits best");
    assert!(verdict(&why).starts_with("Probably: "), "{why:#}");
    held.release().unwrap();
    // The story has the call's lines beside those of the relay, in order.
    let lines = why["story"].as_array().unwrap();
    let at: Vec<i64> = lines.iter().map(|line| line["at"].as_i64().unwrap()).collect();
    assert!(at.is_sorted());
    let kinds: Vec<&str> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    for kind in ["credential", "opened", "call"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
}

#[test]
fn relays_that_nothing_came_back_through_point_at_the_port_range() {
    let daemon = daemon();
    let (mut alice, mut bob) = (Page::guest(&daemon, "Alice"), Page::guest(&daemon, "Bob"));
    let relays = [relay(&daemon, &alice), relay(&daemon, &bob)];
    let call = without_media(&mut alice, &mut bob);
    for relay in &relays {
        relay.release().unwrap();
    }
    let why = told(&daemon, &format!("call={call}"), has("relay_range_blocked"));
    assert_eq!(codes(&why)[0], "relay_range_blocked");
    let neither = without_media(&mut Page::guest(&daemon, "Eve"), &mut bob);
    // Bob's relay of before is over: it was for the other call.
    let why = told(&daemon, &format!("call={neither}"), |why| !codes(why).is_empty());
    assert_ne!(codes(&why)[0], "relay_range_blocked", "{why:#}");
}

#[test]
fn a_page_that_sleeps_and_one_that_is_not_there_are_told_apart() {
    let daemon = daemon();
    let mut alice = Page::guest(&daemon, "Alice");
    let bob = Page::guest(&daemon, "Bob");
    // Bob's page answers pings and nothing else.
    let asleep = ring(&mut alice, &bob).as_str().unwrap().to_owned();
    assert_eq!(alice.state("ended")["reason"], "callee_offline");
    let why = told(&daemon, &format!("call={asleep}"), has("callee_asleep"));
    assert!(verdict(&why).contains("frozen or asleep"), "{why:#}");
    let invite = json!({"to": {"user": "nobody"}, "media": {"audio": true}});
    alice.ask("call.invite", invite).unwrap_err();
    let why = told(&daemon, "user=nobody", has("callee_offline"));
    assert_eq!(verdict(&why), "nobody was not connected: no page was open.");
}

#[test]
fn what_went_well_is_no_trouble_and_what_nobody_knows_is_said_so() {
    let daemon = daemon();
    let (mut alice, mut bob) = (Page::guest(&daemon, "Alice"), Page::guest(&daemon, "Bob"));
    let call = ring(&mut alice, &bob);
    bob.event("call.incoming");
    bob.ask("call.ringing", json!({"call": call})).unwrap();
    bob.ask("call.reject", json!({"call": call})).unwrap();
    let why = told(&daemon, &format!("call={}", call.as_str().unwrap()), has("declined"));
    assert_eq!(why["causes"][0]["is_trouble"], false);
    assert!(verdict(&why).contains("declined"), "{why:#}");
    let why = told(&daemon, "user=stranger", |_| true);
    assert!(verdict(&why).starts_with("Nothing is on record about stranger"), "{why:#}");
    let of_somebody = |line: &&Value| line["user"].is_string();
    assert_eq!(why["story"].as_array().unwrap().iter().filter(of_somebody).count(), 0);
    let (code, text, _) = daemon.command(&["why", "stranger"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("turnbell verify"), "{text}");
}

#[test]
fn only_those_in_charge_are_told_and_bad_questions_are_refused() {
    let daemon = daemon();
    let get = |path: &str| daemon.get(path).0;
    assert_eq!(get("/v1/why"), 400);
    assert_eq!(get("/v1/why?user=a&call=b"), 400);
    assert_eq!(get("/v1/why?user=a&since_at=noon"), 400);
    assert_eq!(get("/v1/why?call=01JD0Q3ZK5V9XW2M4N6P8R0T1Y"), 404);
    let status = daemon.get_with_key("/v1/why?user=alice", &token(&daemon, "Alice")).0;
    assert_eq!(status, 403);
    let (code, _, error) = daemon.command(&["why", "01JD0Q3ZK5V9XW2M4N6P8R0T1Y"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("turnbell calls"), "{error}");
}
