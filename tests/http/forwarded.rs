//! Behind a proxy: whose address counts, whose word does not, and what is local then (P13).

use std::net::IpAddr;

use crate::server::{Answer, Server, options};
use turnbell::edge::Options;

const BEARER: (&str, &str) = ("Authorization", "Bearer tbk_test");
const CLIENT: &str = "203.0.113.5";

/// The requests of a test come from 127.0.0.1.
fn trusting() -> Options {
    let mut options = options();
    options.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    options
}

/// Who is on record for a request with a key and these headers.
fn recorded(server: &Server, headers: &[(&str, &str)]) -> Option<IpAddr> {
    let headers = [&[BEARER], headers].concat();
    assert_eq!(server.ask("GET /ice", &headers).status, 200, "{headers:?}");
    server.issued.lock().unwrap().pop().unwrap().peer
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn the_record_has_the_client_that_a_trusted_proxy_names_and_none_that_it_does_not_know() {
    let server = Server::start(trusting());
    for (headers, expected) in [
        (&[("X-Forwarded-For", CLIENT)][..], ip(CLIENT)),
        (&[("X-Forwarded-For", "127.0.0.1, 203.0.113.5")], ip(CLIENT)),
        (&[("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-For", CLIENT)], ip(CLIENT)),
        (&[("Forwarded", "for=\"[2001:db8::5]:4711\";proto=https")], ip("2001:db8::5")),
        (&[("X-Forwarded-For", CLIENT), ("Forwarded", "for=203.0.113.5")], ip(CLIENT)),
        (&[("X-Forwarded-For", CLIENT), ("Forwarded", "for=127.0.0.1")], None),
        (&[("X-Forwarded-For", "203.0.113.5, unknown")], None),
        (&[("Forwarded", "for=_gazonk")], None),
        (&[("X-Real-IP", CLIENT)], ip("127.0.0.1")),
        (&[], ip("127.0.0.1")),
    ] {
        assert_eq!(recorded(&server, headers), expected, "{headers:?}");
    }
    assert_eq!(server.health().get("proxies"), None);
}

#[test] // G8
fn what_a_stranger_says_about_himself_is_ignored_counted_and_told_with_the_line_to_add() {
    let server = Server::local();
    assert_eq!(server.health().get("proxies"), None);
    for header in [("X-Forwarded-For", CLIENT), ("Forwarded", "for=203.0.113.5")] {
        assert_eq!(recorded(&server, &[header]), ip("127.0.0.1"));
    }
    assert_eq!(recorded(&server, &[("X-Real-IP", CLIENT)]), ip("127.0.0.1"));
    let proxies = &server.health()["proxies"];
    assert_eq!(proxies["ignored"], 2);
    assert_eq!(proxies["sources"], serde_json::json!(["127.0.0.1"]));
    let hint = proxies["hint"].as_str().unwrap();
    assert!(hint.contains("[http]: trusted_proxies = [\"127.0.0.1\"]"), "{hint}");
    // A stranger hears nothing of it.
    let word = server.ask("GET /healthz", &[("X-Forwarded-For", "127.0.0.1")]);
    assert_eq!(word.json(), serde_json::json!({"ok": true}));
}

#[test]
fn a_proxied_request_is_local_only_if_its_client_is_and_asked_for_a_local_name() {
    let server = Server::start(trusting());
    for (headers, passes) in [
        (&[("X-Forwarded-For", "127.0.0.1")][..], true),
        (&[("X-Forwarded-For", "::1")], true),
        (&[("Forwarded", "for=127.0.0.1")], false),
        (&[("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Proto", "https")], true),
        (&[("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Host", "localhost:8443")], true),
        (&[("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Host", "evil.example")], false),
        (&[("X-Forwarded-For", "127.0.0.1"), ("Host", "turn.example.org")], false),
        (&[("X-Forwarded-For", "127.0.0.1"), ("CF-Ray", "x")], false),
        (&[("X-Forwarded-For", "127.0.0.1"), ("Forwarded", "for=203.0.113.5")], false),
        (&[("X-Forwarded-For", CLIENT)], false),
        (&[("X-Forwarded-For", "127.0.0.1, 203.0.113.5")], false),
        (&[("X-Forwarded-For", "unknown")], false),
        (&[("X-Forwarded-For", "unix:")], false),
        (&[("X-Forwarded-For", "")], false),
        // A proxy that adds nothing: whoever is behind it, it is not shown to be local.
        (&[], false),
    ] {
        let answer = server.ask("GET /ice", headers);
        if passes {
            assert_eq!(answer.status, 200, "{headers:?} {answer:?}");
        } else {
            assert_eq!(answer.status, 401, "{headers:?} {answer:?}");
        }
    }
}

#[test] // G8
fn refusals_are_counted_by_client_and_a_valid_key_passes_always() {
    let server = Server::start(trusting());
    let ask = |client: &str, key: &str| {
        let key = format!("Bearer {key}");
        server.ask("GET /ice", &[("X-Forwarded-For", client), ("Authorization", &key)])
    };
    let over = |answer: Answer| {
        answer.refuses(429, "too_many_requests");
        assert!(answer.header("retry-after").is_some());
    };
    // 20 a second and 200 at once; a slow machine may earn some meanwhile.
    let refused = (0..2000).find(|_| ask(CLIENT, "tbk_wrong").status == 429).expect("a bound");
    assert!(refused >= 200, "{refused}");
    over(ask(CLIENT, "tbk_wrong"));
    // What he writes to the left of his address is nobody's word.
    over(ask("198.51.100.1, 203.0.113.5", "tbk_wrong"));
    assert_eq!(ask(CLIENT, "tbk_test").status, 200);
    assert_eq!(ask("203.0.113.6", "tbk_wrong").status, 401);
    // Clients that nobody knows share what their proxy has.
    assert_eq!(ask("unknown", "tbk_wrong").status, 401);
}

fn under(base: &str) -> Server {
    let mut options = options();
    options.base_path = base.to_owned();
    Server::start(options)
}

#[test]
fn everything_lives_under_the_base_path_and_nothing_beside_it() {
    let server = under("/calls/turnbell");
    for path in
        ["/", "/j/", "/client/turnbell.js", "/ice", "/v1/ice", "/healthz", "/readyz", "/metrics"]
    {
        let inside = server.ask(&format!("GET /calls/turnbell{path}"), &[]);
        assert_eq!(inside.status, 200, "{path}");
        assert_eq!(inside.header("x-content-type-options"), Some("nosniff"));
        let outside = server.ask(&format!("GET {path}"), &[]);
        outside.refuses(404, "not_found");
        assert_eq!(outside.header("x-content-type-options"), Some("nosniff"));
    }
    for path in
        ["/calls", "/calls/", "/calls/turnbellx", "/calls/turnbell/ice/", "/CALLS/turnbell/"]
    {
        server.ask(&format!("GET {path}"), &[]).refuses(404, "not_found");
    }
    let body = r#"{"user":"bob"}"#;
    let json = [("Content-Type", "application/json")];
    assert_eq!(server.ask_with_body("POST /calls/turnbell/ice?x", &json, body).status, 200);
    let user = server.ask("GET /calls/turnbell/ice?user=alice", &[]).body;
    assert!(user.contains(":alice\""), "the query stays: {user}");
}

#[test]
fn without_its_last_slash_the_base_path_leads_to_the_page_whatever_the_proxy_calls_it() {
    let server = under("/calls/turnbell");
    let answer = server.ask("GET /calls/turnbell?k=1", &[("Host", "evil.example")]);
    assert_eq!((answer.status, answer.header("location")), (307, Some("turnbell/?k=1")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}
