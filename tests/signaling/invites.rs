//! Guests and invites: who gets a token without having one.

use serde_json::{Value, json};

use crate::daemon::{CONFIG, Daemon};
use crate::page::{daemon, get, post};
use crate::tokens::{closed, config, of_acme, page, reload};

/// A header with which nobody looks local.
const ELSEWHERE: &str = "X-Forwarded-For: 198.51.100.7";

fn redeem(daemon: &Daemon, token: &str, name: &str) -> (u16, Value) {
    let asked = json!({"token": token, "name": name});
    post(daemon.http(), "/v1/invites/redeem", &asked, &[ELSEWHERE])
}

fn refusal(daemon: &Daemon, token: &str) -> (u16, String) {
    let (status, body) = redeem(daemon, token, "x");
    (status, body["error"]["code"].as_str().unwrap_or("none").to_owned())
}

/// `turnbell invite ...`, as it answers to scripts.
fn invite(daemon: &Daemon, arguments: &[&str]) -> Value {
    let all = [&["invite", "--json"], arguments].concat();
    let (code, said, why) = daemon.command(&all);
    assert_eq!(code, Some(0), "{why}");
    serde_json::from_str(&said).unwrap()
}

fn token_of(made: &Value) -> &str {
    made["invited"]["token"].as_str().unwrap()
}

#[test]
fn guests_are_let_in_as_the_config_says() {
    let daemon = Daemon::start(&format!("{CONFIG}\n[identity]\nguests = \"anyone\"\n"));
    daemon.wait_for_log("identity.guests");
    let ask = || post(daemon.http(), "/v1/guests", &json!({"name": "Zoë"}), &[ELSEWHERE]);
    assert_eq!(ask().0, 200);
    reload(&daemon, &format!("{CONFIG}\n[identity]\nguests = \"off\"\n"));
    let (status, body) = post(daemon.http(), "/v1/guests", &json!({"name": "Zoë"}), &[]);
    assert_eq!((status, &body["error"]["code"]), (403, &json!("forbidden")));
    assert_eq!(daemon.get("/v1/config").1["guests"], false);
}

#[test]
fn an_invite_lets_in_as_often_as_it_says_and_over_restarts() {
    let mut daemon = daemon();
    let made = invite(&daemon, &["--to", "alice"]);
    let token = token_of(&made).to_owned();
    let url = made["invited"]["url"].as_str().unwrap();
    assert_eq!(url, format!("http://{}/j/#{token}", daemon.http()));
    assert_eq!(made["invited"]["uses"], 2);
    let (status, first) = redeem(&daemon, &token, "Bob");
    assert_eq!(status, 200, "{first}");
    assert_eq!(
        (&first["to"], &first["name"], &first["tenant"]),
        (&json!("alice"), &json!("Bob"), &json!("default"))
    );
    let in_by_it = page(&daemon, first["token"].as_str().unwrap());
    assert_eq!(in_by_it.welcome["user"], first["user"]);
    // An invite is no session.
    assert_eq!(closed(&daemon, &token), Some(4001));
    let directory = daemon.directory();
    daemon.terminate();
    let daemon = Daemon::start_in(directory, |_| {});
    assert_eq!(redeem(&daemon, &token, "Carol").0, 200);
    assert_eq!(refusal(&daemon, &token), (410, "invite_used_up".to_owned()));
    let (_, listed, _) = daemon.command(&["invite", "--list"]);
    assert!(listed.contains("alice") && listed.contains("2 of 2"), "{listed}");
}

#[test]
fn two_at_once_do_not_use_one_invite_twice() {
    let daemon = daemon();
    let made = invite(&daemon, &["--uses", "3"]);
    let passed = std::thread::scope(|scope| {
        let one = || redeem(&daemon, token_of(&made), "x").0;
        let all: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().unwrap()).filter(|status| *status == 200).count()
    });
    assert_eq!(passed, 3);
}

#[test]
fn an_invite_that_is_revoked_forged_or_of_another_daemon_is_refused() {
    let daemon = daemon();
    let made = invite(&daemon, &[]);
    assert!(made["invited"].get("to").is_none(), "{made}");
    let id = made["invited"]["id"].as_str().unwrap();
    let (code, ..) = daemon.command(&["invite", "--revoke", id]);
    assert_eq!(code, Some(0));
    assert_eq!(refusal(&daemon, token_of(&made)), (410, "invite_revoked".to_owned()));
    let (code, _, why) = daemon.command(&["invite", "--revoke", id]);
    assert!(code == Some(1) && why.contains("--list"), "{why}");
    let other = crate::page::daemon();
    let foreign = invite(&other, &[]);
    assert_eq!(refusal(&daemon, token_of(&foreign)), (410, "invite_invalid".to_owned()));
    assert_eq!(refusal(&daemon, "a.b.c"), (410, "invite_invalid".to_owned()));
    assert_eq!(
        refusal(&daemon, &crate::page::token(&daemon, "x")),
        (410, "invite_invalid".to_owned())
    );
}

#[test]
fn who_runs_the_place_or_his_tenant_makes_invites_over_http() {
    let daemon = Daemon::start(&config());
    let make =
        |wanted: Value, headers: &[&str]| post(daemon.http(), "/v1/invites", &wanted, headers);
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    // Truly local; everybody else needs more.
    let (status, made) = make(json!({"uses": 1, "ttl_s": 60}), &[]);
    assert_eq!(status, 200, "{made}");
    assert!(made["expires_at"].as_i64().unwrap() > 1_000_000_000_000, "{made}");
    assert_eq!(make(json!({}), &[ELSEWHERE]).0, 401);
    let (_, key, _) = daemon.command(&["key", "add", "shop", "--scope", "calls", "--json"]);
    let key: Value = serde_json::from_str(&key).unwrap();
    let key = bearer(key["key_added"]["key"].as_str().unwrap());
    assert_eq!(make(json!({"tenant": "acme"}), &[ELSEWHERE, &key]).0, 200);
    let admin = bearer(&of_acme("boss", "admin"));
    let (status, made) = make(json!({"to": "alice"}), &[ELSEWHERE, &admin]);
    assert_eq!((status, &made["tenant"]), (200, &json!("acme")), "{made}");
    let (_, guest) = redeem(&daemon, made["token"].as_str().unwrap(), "Guest");
    assert_eq!(guest["tenant"], "acme");
    assert_eq!(make(json!({"tenant": "globex"}), &[ELSEWHERE, &admin]).0, 403);
    let member = bearer(&of_acme("alice", "member"));
    let (status, made) = make(json!({"to": "alice"}), &[ELSEWHERE, &member]);
    assert_eq!((status, &made["tenant"]), (200, &json!("acme")), "{made}");
    assert_eq!(make(json!({"tenant": "globex"}), &[ELSEWHERE, &member]).0, 403);
    // A page on this machine may, whoever is signed in there.
    let (status, made) = make(json!({"to": "alice"}), &[&member]);
    assert_eq!((status, &made["tenant"]), (200, &json!("acme")), "{made}");
    for (wanted, field) in [
        (json!({"ttl_s": 59}), "ttl_s"),
        (json!({"ttl_s": 30 * 86_400 + 1}), "ttl_s"),
        (json!({"uses": 0}), "uses"),
        (json!({"uses": 10_001}), "uses"),
        (json!({"to": ""}), "to"),
        (json!({"tenant": "nobody"}), "tenant"),
    ] {
        let (status, body) = make(wanted, &[]);
        assert_eq!((status, &body["error"]["field"]), (400, &json!(field)), "{body}");
    }
    for wanted in [json!({"ttl_s": 30 * 86_400}), json!({"uses": 10_000})] {
        assert_eq!(make(wanted, &[]).0, 200);
    }
}

#[test]
fn members_invite_a_few_for_some_days_guests_do_not_and_the_config_says_otherwise() {
    let with = |rule: &str| {
        let line = format!("[identity]\ninvites = \"{rule}\"\n[[identity.issuer]]");
        config().replacen("[[identity.issuer]]", &line, 1)
    };
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let tokens = |guest: &str| {
        [
            ("owner", of_acme("o", "owner")),
            ("agent", of_acme("g", "agent")),
            ("member", of_acme("m", "member")),
            ("visitor", of_acme("v", "visitor")),
            ("service", of_acme("s", "service")),
            ("guest", guest.to_owned()),
        ]
    };
    for (rule, may, may_here) in [
        ("members", &["owner", "agent", "member"][..], &["visitor", "guest"][..]),
        ("local", &["owner"], &["agent", "member", "visitor", "guest"]),
        ("anyone", &["owner", "agent", "member", "visitor", "service", "guest"], &[]),
        ("off", &[], &[]),
    ] {
        let daemon = Daemon::start(&with(rule));
        let made = invite(&daemon, &["--tenant", "acme"]);
        let (_, guest) = redeem(&daemon, token_of(&made), "Guest");
        for (who, token) in &tokens(guest["token"].as_str().unwrap()) {
            let make = |headers: &[&str]| post(daemon.http(), "/v1/invites", &json!({}), headers).0;
            let page =
                |headers: &[&str]| get(daemon.http(), "/v1/config", headers)["invites"].clone();
            let bearer = bearer(token);
            for (headers, is_allowed) in [
                (&[ELSEWHERE, &bearer][..], may.contains(who)),
                (
                    &[&bearer],
                    may.contains(who)
                        || may_here.contains(who)
                        || (rule == "members" || rule == "local"),
                ),
            ] {
                assert_eq!(make(headers), if is_allowed { 200 } else { 403 }, "{rule} {who}");
                assert_eq!(page(headers), is_allowed, "a page knows before: {rule} {who}");
            }
        }
        // Whoever runs the machine, and what he made keys for, always may.
        assert_eq!(post(daemon.http(), "/v1/invites", &json!({}), &[]).0, 200);
    }
    let daemon = Daemon::start(&with("off"));
    reload(&daemon, &with("members"));
    assert_eq!(get(daemon.http(), "/v1/config", &[ELSEWHERE])["invites"], false);
    let member = bearer(&of_acme("m", "member"));
    let asked = |wanted: Value| post(daemon.http(), "/v1/invites", &wanted, &[ELSEWHERE, &member]);
    for (good, bad, field) in [
        (json!({"uses": 10}), json!({"uses": 11}), "uses"),
        (json!({"ttl_s": 604_800}), json!({"ttl_s": 604_801}), "ttl_s"),
    ] {
        assert_eq!(asked(good).0, 200);
        let (status, body) = asked(bad);
        assert_eq!((status, &body["error"]["field"]), (400, &json!(field)), "{body}");
    }
}
