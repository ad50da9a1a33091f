//! Which pages may read answers: listed ones and, in the local default, pages of this machine.

use crate::server::{Answer, Server, options};

const LISTED: &str = "https://app.example.org";
const BEARER: (&str, &str) = ("Authorization", "Bearer tbk_test");
/// Origins, and whether they may read: with the list alone, with the local default.
const ORIGINS: [(&str, bool, bool); 8] = [
    (LISTED, true, true),
    ("https://app.example.org:8443", false, false),
    ("https://app.example.org.evil.com", false, false),
    ("https://evil.example", false, false),
    ("null", false, false),
    ("http://localhost:3000", false, true),
    ("http://[::1]:3000", false, true),
    ("http://localhost.evil.com", false, false),
];

fn server(local: bool) -> Server {
    let mut options = options();
    options.cors_local = local;
    options.cors_origins.insert(LISTED.into());
    Server::start(options)
}

#[track_caller]
fn check(answer: &Answer, origin: &str, allowed: bool) {
    let expected = allowed.then_some(origin);
    assert_eq!(answer.header("access-control-allow-origin"), expected, "{origin}");
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let vary = answer.header("vary").unwrap().to_ascii_lowercase();
    assert!(vary.split(", ").any(|name| name == "origin"), "{vary}");
}

#[test] // G11
fn a_page_reads_answers_and_errors_only_if_its_origin_is_allowed() {
    for local in [false, true] {
        let server = server(local);
        for (origin, listed, listed_or_local) in ORIGINS {
            let allowed = if local { listed_or_local } else { listed };
            let answer = server.ask("GET /ice", &[("Origin", origin), BEARER]);
            assert_eq!(answer.status, 200);
            check(&answer, origin, allowed);
            let refused = server.ask("GET /ice?ttl=1", &[("Origin", origin), BEARER]);
            refused.refuses(400, "bad_request");
            check(&refused, origin, allowed);
            let nowhere = server.ask("GET /nowhere", &[("Origin", origin)]);
            nowhere.refuses(404, "not_found");
            check(&nowhere, origin, allowed);
        }
    }
}

#[test] // G11
fn a_preflight_allows_the_two_headers_for_ten_minutes_and_issues_nothing() {
    for local in [false, true] {
        let server = server(local);
        for (origin, listed, listed_or_local) in ORIGINS {
            let answer = server.ask(
                "OPTIONS /ice",
                &[
                    ("Origin", origin),
                    ("Access-Control-Request-Method", "GET"),
                    ("Access-Control-Request-Headers", "authorization"),
                ],
            );
            assert_eq!((answer.status, answer.body.as_str()), (200, ""));
            check(&answer, origin, if local { listed_or_local } else { listed });
            let allowed = answer.header("access-control-allow-headers").unwrap();
            assert_eq!(allowed.to_ascii_lowercase(), "authorization,content-type");
            assert_eq!(answer.header("access-control-max-age"), Some("600"));
            let methods = answer.header("access-control-allow-methods").unwrap();
            assert_eq!(methods, "GET,POST");
        }
        assert!(server.issued.lock().unwrap().is_empty());
    }
}

#[test] // G11
fn two_origins_are_nobody() {
    let server = server(true);
    let answer = server.ask("GET /ice", &[("Origin", LISTED), ("Origin", LISTED), BEARER]);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}
