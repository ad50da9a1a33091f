//! Calls between pages: ring, answer, talk, end.

use serde_json::json;

use crate::page::{Page, daemon, token};

#[test]
fn two_guests_call_signal_talk_and_hang_up() {
    let daemon = daemon();
    let (mut alice, mut bob) = (Page::guest(&daemon, "Alice"), Page::guest(&daemon, "Bob"));
    assert_eq!(alice.welcome["resumed"], false);
    let servers = alice.welcome["ice"]["iceServers"].as_array().unwrap();
    let turn = servers.iter().find(|server| server.get("username").is_some()).unwrap();
    let username = turn["username"].as_str().unwrap();
    let user = format!(":default/{}~{}", alice.user(), alice.welcome["session"].as_str().unwrap());
    assert!(username.ends_with(&user), "{username}");

    let to = json!({"user": bob.user()});
    let invited = alice.ask("call.invite", json!({"to": to, "media": {"audio": true}})).unwrap();
    let call = invited["call"].clone();
    let incoming = bob.event("call.incoming");
    assert_eq!((&incoming["call"], &incoming["from"]["name"]), (&call, &json!("Alice")));
    assert_eq!(incoming["from"]["verified"], false);
    bob.ask("call.ringing", json!({"call": call})).unwrap();
    alice.state("ringing");
    bob.ask("call.accept", json!({"call": call})).unwrap();
    alice.state("connecting");

    let offer = json!({"call": call, "gen": 1, "kind": "offer", "sdp": "v=0 offer"});
    assert_eq!(alice.ask("call.signal", offer).unwrap()["delivered"], true);
    let heard = bob.event("call.signal");
    assert_eq!((&heard["kind"], &heard["sdp"]), (&json!("offer"), &json!("v=0 offer")));
    bob.ask("call.signal", json!({"call": call, "gen": 1, "kind": "answer", "sdp": "v=0"}))
        .unwrap();
    assert_eq!(alice.event("call.signal")["kind"], "answer");
    let pair = json!({"local": "relay", "remote": "relay", "proto": "udp"});
    for page in [&mut alice, &mut bob] {
        let media = json!({"call": call, "status": "connected", "pair": pair});
        page.ask("call.media", media).unwrap();
    }
    alice.state("active");
    bob.state("active");
    alice.ask("call.update", json!({"call": call, "muted": true})).unwrap();
    assert_eq!(bob.event("call.update")["muted"], true);
    bob.ask("call.hangup", json!({"call": call})).unwrap();
    let ended = alice.state("ended");
    assert_eq!((&ended["reason"], &ended["call"]), (&json!("hangup"), &call));
}

#[test]
fn the_first_device_that_answers_wins_and_the_others_stop_ringing() {
    let daemon = daemon();
    let mut alice = Page::guest(&daemon, "Alice");
    let of_bob = token(&daemon, "Bob");
    let device = |n: usize| json!({"token": of_bob, "device": {"id": format!("d{n}"), "label": format!("Device {n}")}});
    let mut devices: Vec<Page> = (0..3).map(|n| Page::connect(&daemon, device(n))).collect();
    let to = json!({"user": devices[0].user()});
    let call =
        alice.ask("call.invite", json!({"to": to, "media": {"audio": true}})).unwrap()["call"]
            .clone();
    for page in &mut devices {
        page.event("call.incoming");
        page.ask("call.ringing", json!({"call": call})).unwrap();
    }
    devices[1].ask("call.accept", json!({"call": call})).unwrap();
    let late = devices[2].ask("call.accept", json!({"call": call})).unwrap_err();
    assert_eq!(late["code"], "already_answered");
    for n in [0, 2] {
        let cancelled = devices[n].event("call.cancelled");
        assert_eq!(cancelled["reason"], "answered_elsewhere");
        assert_eq!(cancelled["by"], "Device 1");
    }
}

#[test]
fn who_is_not_there_cannot_be_called_and_the_caller_hears_why() {
    let daemon = daemon();
    let mut alice = Page::guest(&daemon, "Alice");
    let invite = json!({"to": {"user": "nobody"}, "media": {"audio": true}});
    let refused = alice.ask("call.invite", invite).unwrap_err();
    assert_eq!(refused["code"], "callee_offline", "{refused}");
}
