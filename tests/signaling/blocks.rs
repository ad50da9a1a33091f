//! `user.block` over real sockets: durable, and told to nobody whom it concerns.

use serde_json::{Value, json};

use crate::daemon::{Daemon, eventually};
use crate::page::{Page, daemon, token};

/// A token by hand, which stays the same user's over restarts.
fn signed(daemon: &Daemon, user: &str) -> String {
    let (code, said, why) = daemon.command(&["token", "--user", user]);
    assert_eq!(code, Some(0), "{why}");
    said.trim().to_owned()
}

fn invite(from: &mut Page, to: &str) -> Result<String, Value> {
    let invite = json!({"to": {"user": to}, "media": {"audio": true}});
    let answer = from.ask("call.invite", invite)?;
    Ok(answer["call"].as_str().unwrap().to_owned())
}

fn history(daemon: &Daemon, token: &str) -> Vec<Value> {
    let (status, page) = daemon.get_with_key("/v1/calls", token);
    assert_eq!(status, 200, "{page}");
    page["items"].as_array().unwrap().clone()
}

fn timeline(daemon: &Daemon, call: &str, token: Option<&str>) -> Vec<Value> {
    let path = format!("/v1/calls/{call}/timeline");
    let (status, page) = match token {
        Some(token) => daemon.get_with_key(&path, token),
        None => daemon.get(&path),
    };
    assert_eq!(status, 200, "{page}");
    page["items"].as_array().unwrap().clone()
}

fn kinds(timeline: &[Value]) -> Vec<&str> {
    timeline.iter().map(|item| item["kind"].as_str().unwrap()).collect()
}

#[test] // P31
fn a_block_holds_over_a_kill_and_neither_side_reads_of_it_but_the_operator_does() {
    let mut first = daemon();
    let (of_alice, of_bob) = (signed(&first, "alice"), signed(&first, "bob"));
    let mut bob = Page::connect(&first, json!({"token": of_bob}));
    bob.ask("user.block", json!({"user": "alice"})).unwrap();
    assert_eq!(bob.ask("user.blocked", json!({})).unwrap(), json!({"users": ["alice"]}));
    let directory = first.directory();
    first.kill();
    let daemon = Daemon::start_in(directory, |_| {});
    let mut bob = Page::connect(&daemon, json!({"token": of_bob}));
    let mut alice = Page::connect(&daemon, json!({"token": of_alice}));
    let mut carol = Page::guest(&daemon, "Carol");
    let silent = invite(&mut alice, "bob").unwrap();
    alice.state("ringing");
    alice.ask("call.cancel", json!({"call": silent})).unwrap();
    alice.state("ended");
    // What comes to Bob next is Carol's: there was nothing before.
    let heard = invite(&mut carol, "bob").unwrap();
    assert_eq!(bob.event("call.incoming")["call"], heard.as_str());
    bob.ask("call.ringing", json!({"call": heard})).unwrap();
    carol.state("ringing");
    carol.ask("call.cancel", json!({"call": heard})).unwrap();
    let is_written = || {
        let (_, page) = daemon.get(&format!("/v1/calls/{heard}/timeline"));
        (page["items"].as_array()?.len() == 4).then_some(())
    };
    eventually(is_written).expect("the last row is written");
    let whole = timeline(&daemon, &silent, None);
    assert_eq!(kinds(&whole), ["invited", "blocked", "ringing", "ended"]);
    // Alice sees what Carol sees of hers.
    let hers = timeline(&daemon, &silent, Some(&of_alice));
    let like_any = timeline(&daemon, &heard, None);
    assert_eq!(kinds(&hers), kinds(&like_any));
    for (hers, any) in hers.iter().zip(&like_any).skip(1) {
        for key in ["number", "party", "user", "detail"] {
            assert_eq!(hers[key], any[key], "{key} of {hers}");
        }
    }
    assert_eq!(hers[1]["device"], Value::Null);
    let calls = |token: &str| {
        let items = history(&daemon, token).into_iter();
        items.map(|item| item["call"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(calls(&of_bob), std::slice::from_ref(&heard));
    assert_eq!(calls(&of_alice), std::slice::from_ref(&silent));
    let (status, _) = daemon.get_with_key(&format!("/v1/calls/{silent}"), &of_bob);
    assert_eq!(status, 404);
    bob.ask("user.unblock", json!({"user": "alice"})).unwrap();
    let call = invite(&mut alice, "bob").unwrap();
    assert_eq!(bob.event("call.incoming")["call"], call.as_str());
}

#[test] // P31
fn the_fourth_call_in_vain_hears_when_to_try_again() {
    let daemon = daemon();
    let mut bob = Page::guest(&daemon, "Bob");
    let mut alice = Page::connect(&daemon, json!({"token": token(&daemon, "Alice")}));
    for _ in 0..3 {
        let call = invite(&mut alice, &bob.user()).unwrap();
        bob.event("call.incoming");
        bob.ask("call.ringing", json!({"call": call})).unwrap();
        alice.state("ringing");
        alice.ask("call.cancel", json!({"call": call})).unwrap();
    }
    let refused = invite(&mut alice, &bob.user()).unwrap_err();
    assert_eq!(refused["code"], "rate_limited");
    let wait_ms = refused["retry_after_ms"].as_u64().unwrap();
    assert!((500_000..=600_000).contains(&wait_ms), "{refused}");
}
