//! What keys of each scope may do to calls, invites and users, tenant by tenant.

use serde_json::{Value, json};

use crate::daemon::{Daemon, eventually};
use crate::page::{Page, post};
use crate::tokens::{closed, config, of_acme, page};

/// `turnbell key add NAME ...`: the header that shows it.
fn key(daemon: &Daemon, name: &str, arguments: &[&str]) -> String {
    let (code, said, why) = daemon.command(&[&["key", "add", name, "--json"], arguments].concat());
    assert_eq!(code, Some(0), "{why}");
    let said: Value = serde_json::from_str(&said).unwrap();
    said["key_added"]["key"].as_str().unwrap().to_owned()
}

/// A header with which nobody looks local.
const ELSEWHERE: &str = "X-Forwarded-For: 198.51.100.7";

fn ask(daemon: &Daemon, key: &str, path: &str, body: Value) -> (u16, Value) {
    let bearer = format!("Authorization: Bearer {key}");
    post(daemon.http(), path, &body, &[ELSEWHERE, &bearer])
}

/// A call in the tenant acme that rings.
fn call(daemon: &Daemon, alice: &mut Page, bob: &mut Page) -> String {
    let invite = json!({"to": {"user": bob.user()}, "media": {"audio": true}});
    let call = alice.ask("call.invite", invite).unwrap()["call"].as_str().unwrap().to_owned();
    bob.event("call.incoming");
    bob.ask("call.ringing", json!({"call": call})).unwrap();
    alice.state("ringing");
    eventually(|| (daemon.get(&format!("/v1/calls/{call}")).0 == 200).then_some(())).unwrap();
    call
}

#[test] // P9
fn each_scope_does_what_it_says_and_hears_what_is_missing_for_the_rest() {
    let daemon = Daemon::start(&config());
    for scope in ["ice", "calls", "log", "admin"] {
        // Each pair anew: three calls in vain are the most that one user hears of another.
        let user = |name: &str| of_acme(&format!("{name}-{scope}"), "member");
        let (mut alice, mut bob) = (page(&daemon, &user("alice")), page(&daemon, &user("bob")));
        let key = key(&daemon, scope, &["--scope", scope]);
        let call = call(&daemon, &mut alice, &mut bob);
        let is = |scopes: &[&str]| if scopes.contains(&scope) { 200 } else { 403 };
        assert_eq!(daemon.get_with_key("/v1/calls", &key).0, is(&["log", "admin"]), "{scope}");
        let one = format!("/v1/calls/{call}");
        assert_eq!(daemon.get_with_key(&one, &key).0, is(&["log", "admin"]));
        assert_eq!(daemon.get_with_key(&format!("{one}/timeline"), &key).0, is(&["log", "admin"]));
        assert_eq!(ask(&daemon, &key, "/ice", json!({})).0, is(&["ice", "admin"]));
        assert_eq!(ask(&daemon, &key, "/v1/invites", json!({})).0, is(&["calls", "admin"]));
        let revoke = "/v1/users/nobody/revoke";
        assert_eq!(ask(&daemon, &key, revoke, json!({"for_s": 1})).0, is(&["admin"]));
        let (status, body) = ask(&daemon, &key, &format!("{one}/end"), json!({}));
        assert_eq!(status, is(&["calls", "admin"]), "{body}");
        if status == 403 {
            let error = &body["error"];
            assert!(error["message"].as_str().unwrap().contains("`calls`"), "{error}");
            assert!(error["hint"].as_str().unwrap().contains("--scope calls"), "{error}");
            alice.ask("call.cancel", json!({"call": call})).unwrap();
        }
        alice.state("ended");
    }
}

#[test] // P9, P11
fn a_key_of_a_tenant_sees_ends_invites_and_revokes_there_and_nowhere_else() {
    let daemon = Daemon::start(&config());
    let ours = key(&daemon, "acme", &["--scope", "calls,log,admin", "--tenant", "acme"]);
    let theirs = key(&daemon, "globex", &["--scope", "admin", "--tenant", "globex"]);
    let (code, _, why) = daemon.command(&["key", "add", "x", "--tenant", "initech"]);
    assert!(code == Some(1) && why.contains("no such tenant"), "{why}");
    let token = of_acme("alice", "member");
    let (mut alice, mut bob) = (page(&daemon, &token), page(&daemon, &of_acme("bob", "member")));
    let call = call(&daemon, &mut alice, &mut bob);
    let one = format!("/v1/calls/{call}");
    assert_eq!(daemon.get_with_key(&one, &theirs).0, 404);
    assert_eq!(daemon.get_with_key("/v1/calls", &theirs).1["items"], json!([]));
    assert_eq!(ask(&daemon, &theirs, &format!("{one}/end"), json!({})).0, 404);
    assert_eq!(daemon.get_with_key(&one, &ours).0, 200);
    assert_eq!(ask(&daemon, &ours, &format!("{one}/end"), json!({})).0, 200);
    assert_eq!(alice.state("ended")["reason"], "admin");
    let (status, made) = ask(&daemon, &ours, "/v1/invites", json!({}));
    assert_eq!((status, &made["tenant"]), (200, &json!("acme")), "{made}");
    assert_eq!(ask(&daemon, &ours, "/v1/invites", json!({"tenant": "globex"})).0, 403);
    // The same name in another tenant is somebody else.
    let revoke = "/v1/users/alice/revoke";
    let (status, body) = ask(&daemon, &theirs, revoke, json!({"for_s": 600}));
    assert_eq!((status, &body["tenant"]), (200, &json!("globex")), "{body}");
    assert_eq!(ask(&daemon, &theirs, revoke, json!({"tenant": "acme"})).0, 403);
    alice.ask("ping", json!({})).unwrap();
    let (status, body) = ask(&daemon, &ours, revoke, json!({"for_s": 600}));
    assert_eq!((status, &body["user"]), (200, &json!("alice")), "{body}");
    assert_eq!(alice.closed(), Some(4003));
    assert_eq!(closed(&daemon, &token), Some(4003));
    assert!(daemon.command(&["revoke"]).1.contains("acme/alice"));
}

#[test] // P31
fn who_governs_a_tenant_revokes_its_users_and_nobody_himself() {
    let daemon = Daemon::start(&config());
    let (boss, member) = (of_acme("boss", "admin"), of_acme("Zo\u{eb}/1", "member"));
    let mut hers = page(&daemon, &member);
    let revoke = "/v1/users/Zo%C3%AB%2F1/revoke";
    assert_eq!(ask(&daemon, &member, revoke, json!({})).0, 403);
    assert_eq!(ask(&daemon, &of_acme("x", "agent"), revoke, json!({})).0, 403);
    assert_eq!(ask(&daemon, &boss, "/v1/users/boss/revoke", json!({})).0, 403);
    assert_eq!(ask(&daemon, &boss, revoke, json!({"tenant": "globex"})).0, 403);
    for (body, field) in [
        (json!({"for_s": 0}), "for_s"),
        (json!({"for_s": 1e18 as u64}), "for_s"),
        (json!({"tenant": "nobody"}), "tenant"),
    ] {
        let (status, said) = ask(&daemon, &boss, revoke, body);
        assert_eq!(status, 400, "{said} {field}");
    }
    assert_eq!(ask(&daemon, &boss, "/v1/users/%0A/revoke", json!({})).0, 400);
    assert_eq!(ask(&daemon, "tbk_nobody", revoke, json!({})).0, 401);
    hers.ask("ping", json!({})).unwrap();
    let (status, said) = ask(&daemon, &boss, revoke, json!({}));
    assert_eq!((status, &said["until_at"]), (200, &Value::Null), "{said}");
    assert_eq!(hers.closed(), Some(4003));
    let bearer = format!("Authorization: Bearer {member}");
    assert_eq!(post(daemon.http(), "/ice", &json!({}), &[&bearer]).0, 401);
}
