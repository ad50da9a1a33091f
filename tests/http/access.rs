//! Who gets a config: keys, and the rule of the truly local request row by row.

use crate::server::{KEY, Server, options};
use turnbell::auth::api_key::ApiKeyHash;

const BEARER: &str = "Bearer tbk_test";

#[track_caller]
fn unauthorized(server: &Server, line: &str, headers: &[(&str, &str)]) {
    let answer = server.ask(line, headers);
    let error = answer.refuses(401, "unauthorized");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    assert!(error["hint"].as_str().unwrap().contains("turnbell key add"), "{error}");
}

#[test]
fn a_local_request_passes_under_every_name_of_this_machine() {
    let server = Server::local();
    for host in
        ["localhost", "LocalHost:8080", "app.localhost", "127.0.0.1:1", "127.1.2.3", "[::1]"]
    {
        assert_eq!(server.ask("GET /ice", &[("Host", host)]).status, 200, "{host}");
    }
}

#[test]
fn a_name_that_others_can_point_at_this_machine_is_not_local() {
    let server = Server::local();
    for host in [
        "evil",
        "localhost.evil.com",
        "127.0.0.1.nip.io",
        "evil-localhost",
        "0.0.0.0",
        "192.0.2.7:8080",
        "user@localhost",
        "",
    ] {
        unauthorized(&server, "GET /ice", &[("Host", host)]);
        let with_key = server.ask("GET /ice", &[("Host", host), ("Authorization", BEARER)]);
        assert_eq!(with_key.status, 200, "{host}");
    }
    unauthorized(&server, "GET http://localhost/ice", &[]);
}

#[test] // G8
fn any_header_that_a_proxy_adds_makes_a_request_not_local() {
    let server = Server::local();
    for header in [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "X-Forwarded",
        "X-Real-IP",
        "Via",
        "CF-Connecting-IP",
        "CF-Ray",
        "True-Client-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "Fly-Client-IP",
        "Fastly-Client-IP",
        "X-Original-Forwarded-For",
        "X-Envoy-External-Address",
        "X-Amzn-Trace-Id",
        "CDN-Loop",
    ] {
        for value in ["127.0.0.1", ""] {
            unauthorized(&server, "GET /ice", &[(header, value)]);
        }
        let with_key = server.ask("GET /ice", &[(header, "127.0.0.1"), ("Authorization", BEARER)]);
        assert_eq!(with_key.status, 200, "{header}");
    }
    assert_eq!(server.ask("GET /ice", &[("X-Requested-With", "x")]).status, 200);
}

#[test]
fn http_1_0_is_how_a_bare_proxy_speaks_and_is_not_local() {
    let server = Server::local();
    server.send(b"GET /ice HTTP/1.0\r\nHost: localhost\r\n\r\n").refuses(401, "unauthorized");
    server.send(b"GET /ice HTTP/1.0\r\n\r\n").refuses(401, "unauthorized");
    let with_key = format!("GET /ice HTTP/1.0\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    assert_eq!(server.send(with_key.as_bytes()).status, 200);
}

#[test] // G13
fn a_page_of_another_origin_cannot_farm_credentials_off_a_developers_machine() {
    let mut options = options();
    options.cors_origins.insert("https://app.example.org".into());
    let server = Server::start(options);
    for (headers, passes) in [
        (&[("Origin", "http://localhost:3000")][..], true),
        (&[("Origin", "http://127.0.0.1:5173")], true),
        (&[("Origin", "http://[::1]")], true),
        (&[("Origin", "https://app.example.org")], true),
        (&[("Origin", "http://app.localhost:8080"), ("Host", "app.localhost:8080")], true),
        (&[("Origin", "http://app.localhost:8081"), ("Host", "app.localhost:8080")], false),
        (&[("Origin", "https://evil.example")], false),
        (&[("Origin", "null")], false),
        (&[("Origin", "")], false),
        (&[("Origin", "https://app.example.org.evil.com")], false),
        (&[("Origin", "http://app.example.org")], false),
        (&[("Origin", "http://localhost"), ("Origin", "http://localhost")], false),
        (&[("Sec-Fetch-Site", "same-origin")], true),
        (&[("Sec-Fetch-Site", "none")], true),
        (&[("Sec-Fetch-Site", "cross-site")], false),
        (&[("Sec-Fetch-Site", "cross-site"), ("Origin", "http://localhost:3000")], true),
        (&[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")], false),
    ] {
        if passes {
            assert_eq!(server.ask("GET /ice", headers).status, 200, "{headers:?}");
        } else {
            unauthorized(&server, "GET /ice", headers);
        }
    }
}

#[test]
fn where_the_config_asks_for_keys_a_local_request_needs_one_like_all() {
    let mut options = options();
    options.local_without_key = false;
    let server = Server::start(options);
    unauthorized(&server, "GET /ice", &[]);
    unauthorized(&server, "POST /ice", &[]);
    assert_eq!(server.ask("GET /ice", &[("Authorization", BEARER)]).status, 200);
}

#[test]
fn a_wrong_key_is_refused_even_where_none_would_do() {
    let server = Server::local();
    for value in [
        "Bearer tbk_wrong",
        "Bearer tbk_tes",
        "Bearer tbk_testt",
        "Bearer ",
        "Bearer",
        "Basic dGJrX3Rlc3Q6",
        "tbk_test",
        "Bearer tbk_test, Bearer tbk_test",
        "",
    ] {
        unauthorized(&server, "GET /ice", &[("Authorization", value)]);
    }
    unauthorized(&server, "GET /ice", &[("Authorization", BEARER), ("Authorization", BEARER)]);
    assert_eq!(server.ask("GET /ice", &[("Authorization", "bearer tbk_test")]).status, 200);
    // A key in the query would end up in logs; it is not read.
    unauthorized(&server, "GET /ice?key=tbk_test", &[("Host", "turn.example.org")]);
}

#[test]
fn a_key_works_from_add_until_revoke() {
    let server = Server::local();
    let hash = ApiKeyHash::of("tbk_new");
    let with_key = [("Host", "turn.example.org"), ("Authorization", "Bearer tbk_new")];
    unauthorized(&server, "GET /ice", &with_key);
    server.keys.insert(hash, "k2").unwrap();
    assert_eq!(server.ask("GET /ice", &with_key).status, 200);
    server.keys.remove(hash);
    unauthorized(&server, "GET /ice", &with_key);
}

#[test] // G13
fn a_key_over_its_rate_hears_when_to_come_back_and_others_pass() {
    let mut options = options();
    options.rate_per_key = 2;
    let server = Server::start(options);
    server.keys.insert(ApiKeyHash::of("tbk_b"), "k2").unwrap();
    let limited = |headers: &[(&str, &str)]| {
        // Twice the rate at once; a slow machine may earn one or two more meanwhile.
        let answers: Vec<_> = (0..12).map(|_| server.ask("GET /ice", headers)).collect();
        assert!(answers[..4].iter().all(|answer| answer.status == 200));
        let refused = answers.iter().find(|answer| answer.status != 200).expect("a bound");
        refused.refuses(429, "too_many_requests");
        assert_eq!(refused.header("retry-after"), Some("1"));
    };
    limited(&[("Authorization", BEARER)]);
    limited(&[("Authorization", "Bearer tbk_b")]);
    limited(&[]);
}
