//! `/ice`: the whole shape, the credential, the parameters, the URLs, the record.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use turnbell::auth::api_key::ApiKeyHash;
use turnbell::auth::secret::Secret;
use turnbell::edge::access::Access;
use turnbell::edge::ice::{ForeignAuth, ForeignServer, Place};
use turnbell::time::Now;

use crate::server::{Answer, KEY, SECRET, Server, options};

const BEARER: &str = "Bearer tbk_test";

fn hmac(secret: &str, username: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(username.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Checks everything of an answer that has our TURN entry alone; the username without its expiry.
#[track_caller]
fn check(answer: &Answer, urls: &[&str], ttl: i64) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let json = answer.json();
    let expires_at = json["expires_at"].as_i64().expect("whole seconds");
    let username = json["iceServers"][0]["username"].as_str().unwrap().to_owned();
    // The whole answer, so that a field too many fails, too.
    assert_eq!(
        json,
        json!({
            "iceServers": [{
                "urls": urls, "username": username, "credential": hmac(SECRET, &username),
            }],
            "iceTransportPolicy": "all",
            "ttl": ttl,
            "expires_at": expires_at,
            "refresh_after": ttl * 4 / 5,
        })
    );
    let left = expires_at - Now::read().unix_s();
    assert!((ttl - 5..=ttl).contains(&left), "{left} of {ttl} s left");
    let (expiry, user) = username.split_once(':').unwrap();
    assert_eq!(expiry, expires_at.to_string());
    user.to_owned()
}

const LOOPBACK: &[&str] = &["turn:127.0.0.1:3478?transport=udp"];
const RELAY: &[&str] = &["turn:192.0.2.7:3478?transport=udp"];

#[test]
fn a_local_page_gets_exactly_what_a_peer_connection_takes() {
    let server = Server::local();
    let user = check(&server.ask("GET /ice?user=bob&ttl=601", &[]), LOOPBACK, 601);
    assert_eq!(user, "bob");
    let user = check(&server.ask("GET /v1/ice?user=bob", &[]), LOOPBACK, 3600);
    assert_eq!(user, "bob");
}

#[test]
fn without_user_each_answer_names_another_one() {
    let server = Server::local();
    let a = check(&server.ask("GET /ice", &[]), LOOPBACK, 3600);
    let b = check(&server.ask("GET /ice", &[]), LOOPBACK, 3600);
    assert_ne!(a, b);
    assert!(!a.is_empty());
}

#[test]
fn a_backend_with_a_key_gets_urls_that_work_elsewhere_even_if_it_runs_on_this_machine() {
    let server = Server::local();
    let answer = server.ask("GET /ice?user=bob", &[("Authorization", BEARER)]);
    check(&answer, RELAY, 3600);
}

#[test] // G13
fn the_record_hears_of_each_credential_and_of_no_refusal() {
    let server = Server::local();
    server.ask("GET /ice?user=bob&ttl=61", &[]);
    server.ask("GET /ice?user=eve", &[("Authorization", BEARER)]);
    server.ask("GET /ice?ttl=1", &[]);
    server.ask("GET /ice", &[("Host", "evil")]);
    server.ask("HEAD /ice", &[]);
    let issued = server.issued.lock().unwrap();
    let [bob, eve] = issued.as_slice() else { panic!("{issued:?}") };
    assert_eq!((&*bob.user, bob.ttl_s, &bob.access), ("bob", 61, &Access::Local));
    assert_eq!(*bob.username, format!("{}:bob", bob.expires_at));
    assert_eq!(bob.peer, Some(server.addr.ip()));
    assert_eq!(eve.access, Access::Key { id: "k1".into(), hash: ApiKeyHash::of(KEY) });
}

#[test] // RFC 8489 §14.4
fn each_username_that_is_handed_out_is_recognised_by_its_hash_from_then_on() {
    let server = Server::local();
    let username = |json: &Value| json["iceServers"][0]["username"].as_str().unwrap().to_owned();
    let bob = username(&server.ask("GET /ice?user=bob", &[]).json());
    assert!(server.recognises(&bob));
    let random = username(&server.ask("GET /ice", &[("Authorization", BEARER)]).json());
    assert!(server.recognises(&random) && server.recognises(&bob));
    assert!(!server.recognises(&bob.replace("bob", "eve")));
}

#[test]
fn user_and_ttl_pass_at_their_limits_and_are_named_when_they_do_not() {
    let server = Server::local();
    let longest = "x".repeat(128);
    for (query, user, ttl) in [
        ("ttl=60", None, 60),
        ("ttl=86400", None, 86400),
        (&*format!("user={longest}"), Some(&*longest), 3600),
        ("user=J%C3%B6rg+von+%C3%9C", Some("Jörg von Ü"), 3600),
        ("user=a%3Ab", Some("a:b"), 3600),
        ("tttl=1&users=x&service=turn", None, 3600),
    ] {
        let got = check(&server.ask(&format!("GET /ice?{query}"), &[]), LOOPBACK, ttl);
        assert!(user.is_none_or(|user| user == got), "{query}: {got}");
    }
    for (query, field) in [
        ("ttl=59", "ttl"),
        ("ttl=86401", "ttl"),
        ("ttl=", "ttl"),
        ("ttl=-60", "ttl"),
        ("ttl=%2B60", "ttl"),
        ("ttl=6e1", "ttl"),
        ("ttl=60.0", "ttl"),
        ("ttl=18446744073709551676", "ttl"),
        ("ttl=60&ttl=61", "ttl"),
        ("user=", "user"),
        ("user=a/b", "user"),
        ("user=a~b", "user"),
        ("user=a%00b", "user"),
        ("user=a%0Ab", "user"),
        ("user=%FF", "user"),
        ("user=a&user=b", "user"),
        (&*format!("user={longest}x"), "user"),
    ] {
        let error = server.ask(&format!("GET /ice?{query}"), &[]).refuses(400, "bad_request");
        assert_eq!(error["field"], field, "{query}");
    }
}

#[test] // G15
fn post_takes_the_same_parameters_as_json() {
    let server = Server::local();
    let json = [("Content-Type", "application/json; charset=utf-8")];
    let post = |body| server.ask_with_body("POST /ice", &json, body);
    assert_eq!(check(&post(r#"{"user":"bob","ttl":60}"#), LOOPBACK, 60), "bob");
    check(&post("{}"), LOOPBACK, 3600);
    assert_eq!(post(r#"{"ttl":59}"#).refuses(400, "bad_request")["field"], "ttl");
    assert_eq!(post(r#"{"user":"a/b"}"#).refuses(400, "bad_request")["field"], "user");
    for body in [
        "",
        "null",
        "[]",
        r#"["bob",60]"#,
        "{",
        r#"{"ttl":"60"}"#,
        r#"{"ttl":-1}"#,
        r#"{"user":1}"#,
    ] {
        post(body).refuses(400, "bad_request");
    }
    for other in ["text/plain", "application/xml", "multipart/form-data", "application/jsonp"] {
        let answer = server.ask_with_body("POST /ice", &[("Content-Type", other)], "{}");
        answer.refuses(415, "unsupported_media_type");
    }
    server.ask_with_body("POST /ice", &[], "{}").refuses(415, "unsupported_media_type");
}

#[test]
fn foreign_servers_stand_where_they_are_put_with_the_login_they_are_given() {
    let foreign = |place, url: &str, auth| ForeignServer { place, urls: vec![url.into()], auth };
    let mut options = options();
    options.ice.stun = true;
    options.ice.relay_only = true;
    let fixed = ForeignAuth::Fixed { username: "u".into(), credential: Secret::new("p".into()) };
    options.ice.foreign = vec![
        foreign(Place::After, "turn:a.example.org", fixed),
        foreign(Place::Before, "stun:b.example.org", ForeignAuth::None),
        foreign(
            Place::After,
            "turn:c.example.org",
            ForeignAuth::Secret(Secret::new("south".into())),
        ),
    ];
    let server = Server::start(options);
    let json = server.ask("GET /ice?user=bob", &[]).json();
    let username = format!("{}:bob", json["expires_at"]);
    assert_eq!(
        json["iceServers"],
        json!([
            {"urls": ["stun:b.example.org"]},
            {"urls": ["stun:127.0.0.1:3478"]},
            {"urls": LOOPBACK, "username": username, "credential": hmac(SECRET, &username)},
            {"urls": ["turn:a.example.org"], "username": "u", "credential": "p"},
            {"urls": ["turn:c.example.org"], "username": username,
             "credential": hmac("south", &username)},
        ])
    );
    assert_eq!(json["iceTransportPolicy"], "relay");
}

#[test]
fn without_an_open_port_there_is_no_entry_with_empty_urls() {
    let mut options = options();
    options.ice.urls.listeners.clear();
    let server = Server::start(options);
    assert_eq!(server.ask("GET /ice", &[]).json()["iceServers"], json!([]));
}

#[test] // G9
fn nothing_a_client_says_gets_into_the_urls() {
    let server = Server::local();
    let key = ("Authorization", BEARER);
    for host in ["evil.example", "evil.example:53", "[2001:db8::bad]", "1.2.3.4", "evil@localhost"]
    {
        let headers = [("Host", host), key, ("X-Forwarded-Host", "evil.example")];
        check(&server.ask("GET /ice", &headers), RELAY, 3600);
    }
    let absolute = server.ask("GET http://evil.example/ice", &[("Host", "evil.example"), key]);
    check(&absolute, RELAY, 3600);
    let local = server.ask("GET /ice", &[("Host", "evil.localhost:53")]);
    check(&local, LOOPBACK, 3600);
}

#[test]
fn a_broken_record_shows_in_healthz_and_stops_no_config() {
    let server = Server::local();
    {
        let mut health = server.health.lock().unwrap();
        health.record.ok = false;
        health.record.problem = Some("the disk is full".into());
        health.record.dropped = 7;
    }
    check(&server.ask("GET /ice", &[]), LOOPBACK, 3600);
    check(&server.ask("GET /ice", &[("Authorization", BEARER)]), RELAY, 3600);
    let health = server.ask("GET /healthz", &[]);
    assert_eq!(health.status, 200);
    assert_eq!(
        health.json(),
        json!({
            "ok": true,
            "relay": {"shards": 1, "shards_alive": 1, "allocations": 0},
            "record": {"ok": false, "problem": "the disk is full", "dropped": 7},
        })
    );
}

#[test] // G14
fn healthz_tells_a_stranger_one_word_and_a_dead_relay_by_its_status() {
    let server = Server::local();
    let stranger = [("Host", "turn.example.org")];
    let word = server.ask("GET /healthz", &stranger);
    assert_eq!((word.status, word.body.as_str()), (200, r#"{"ok":true}"#));
    let bad_key = server.ask("GET /healthz", &[("Authorization", "Bearer tbk_no")]);
    assert_eq!((bad_key.status, bad_key.body.as_str()), (200, r#"{"ok":true}"#));
    server.health.lock().unwrap().ok = false;
    let word = server.ask("GET /healthz", &stranger);
    assert_eq!((word.status, word.body.as_str()), (503, r#"{"ok":false}"#));
    let with_key = server.ask("GET /healthz", &[stranger[0], ("Authorization", BEARER)]);
    assert_eq!((with_key.status, &with_key.json()["ok"]), (503, &Value::Bool(false)));
    assert!(with_key.json()["relay"].is_object());
}
