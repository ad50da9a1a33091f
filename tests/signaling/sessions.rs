//! Sessions: resumed, replaced, refused.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::page::{Page, daemon, open, post, token};

#[test]
fn a_page_that_lost_its_socket_comes_back_and_misses_nothing() {
    let daemon = daemon();
    let of_bob = token(&daemon, "Bob");
    let mut alice = Page::guest(&daemon, "Alice");
    let mut bob = Page::connect(&daemon, json!({"token": of_bob, "caps": ["media_reports"]}));
    let to = json!({"user": bob.user()});
    // Whatever bob has heard so far counts as dealt with.
    bob.ask("ping", json!({})).unwrap();
    let lost = bob.vanish();
    let call = alice.ask("call.invite", json!({"to": to, "media": {"audio": true}})).unwrap();
    let mut back = Page::resume(&daemon, &of_bob, &lost);
    assert_eq!(back.welcome["resumed"], true, "{}", back.welcome);
    assert_eq!(back.event("call.incoming")["call"], call["call"]);
    // The token was good once.
    let mut again = Page::resume(&daemon, &of_bob, &lost);
    assert_eq!(again.welcome["resumed"], false);
    assert_eq!(again.welcome["reason"], "unknown_token");
    again.event("state.sync");
}

#[test]
fn a_repeated_request_gets_the_same_answer_and_does_nothing_twice() {
    let daemon = daemon();
    let (mut alice, mut bob) = (Page::guest(&daemon, "Alice"), Page::guest(&daemon, "Bob"));
    let invite = json!({"t": "call.invite", "id": "once",
        "d": {"to": {"user": bob.user()}, "media": {"audio": true}}});
    alice.send(&invite);
    let first = alice.answer_to("once").unwrap();
    alice.send(&invite);
    assert_eq!(alice.answer_to("once").unwrap()["call"], first["call"]);
    assert_eq!(bob.event("call.incoming")["call"], first["call"]);
    bob.ask("ping", json!({})).unwrap();
}

#[test]
fn who_says_nothing_or_something_else_first_is_closed() {
    let daemon = daemon();
    for (said, code) in [
        (r#"{"t":"ping","id":"1"}"#, 4010),
        ("not json", 4010),
        (r#"{"t":"hello","id":"h","d":{"token":"a.b.c"}}"#, 4001),
    ] {
        let mut socket = open(daemon.http());
        socket.send(Message::text(said)).unwrap();
        loop {
            let message = socket.read().unwrap();
            if let Message::Close(Some(frame)) = message {
                assert_eq!(u16::from(frame.code), code, "{said}");
                break;
            }
            let Message::Text(text) = message else { panic!("{message:?}") };
            assert!(text.contains("unauthenticated"), "{text}");
        }
    }
    let mut silent = open(daemon.http());
    let Message::Close(Some(frame)) = silent.read().unwrap() else { panic!() };
    assert_eq!(u16::from(frame.code), 4008);
}

#[test]
fn guests_are_let_in_locally_with_a_name_that_is_only_a_label() {
    let daemon = daemon();
    let name = format!("  Zoë\n{}", "x".repeat(100));
    let (status, guest) = post(daemon.http(), "/v1/guests", &json!({"name": name}), &[]);
    assert_eq!(status, 200);
    assert!(guest["user"].as_str().unwrap().starts_with("g_"));
    assert_eq!(guest["name"].as_str().unwrap().len(), 64);
    let (status, body) =
        post(daemon.http(), "/v1/guests", &json!({"name": "x"}), &["X-Forwarded-For: 1.2.3.4"]);
    assert_eq!((status, &body["error"]["code"]), (403, &json!("forbidden")));
    let page = Page::connect(&daemon, json!({"token": guest["token"]}));
    assert_eq!(page.welcome["name"], guest["name"]);
}

#[test]
fn a_page_gets_its_own_ice_config_with_its_token() {
    let daemon = daemon();
    let bearer = format!("Authorization: Bearer {}", token(&daemon, "Alice"));
    let ask = |body: serde_json::Value| post(daemon.http(), "/ice", &body, &[&bearer]);
    let (status, config) = ask(json!({}));
    assert_eq!(status, 200, "{config}");
    let username = config["iceServers"][1]["username"].as_str().unwrap();
    assert!(username.contains(":default/g_") && username.ends_with("~ice"), "{username}");
    assert_eq!(ask(json!({"user": "mallory"})).0, 400);
    let (status, body) = post(daemon.http(), "/ice", &json!({}), &["Authorization: Bearer a.b.c"]);
    assert_eq!((status, &body["error"]["code"]), (401, &json!("unauthenticated")));
}
