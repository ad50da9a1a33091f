//! What a key opens: by scope, by tenant, by the page that holds it.

use turnbell::auth::api_key::{ApiKeyHash, KeyGrant, KeyScope};
use turnbell::auth::identity::TenantId;
use turnbell::limits::HTTP_PAGES_PER_SOURCE_S;
use turnbell::time::Now;

use crate::server::{Answer, Server, options};

const PAGE: &str = "https://app.example.org";
/// A name under which nobody looks local.
const HOST: (&str, &str) = ("Host", "turn.example.org");

/// A server at which `tbk_<name>` is good for this.
fn server(name: &str, grant: KeyGrant) -> Server {
    let mut options = options();
    options.cors_local = false;
    let server = Server::start(options);
    server.keys.insert(ApiKeyHash::of(&format!("tbk_{name}")), "k2", grant).unwrap();
    server
}

fn ask(server: &Server, line: &str, key: &str, more: &[(&str, &str)]) -> Answer {
    let bearer = format!("Bearer tbk_{key}");
    let headers = [&[HOST, ("Authorization", &bearer)], more].concat();
    server.ask(line, &headers)
}

#[test]
fn each_scope_opens_its_paths_and_a_refusal_names_the_one_that_is_missing() {
    for &scope in KeyScope::ALL {
        let server = server("x", KeyGrant::of(scope));
        for (line, needed) in [
            ("GET /ice", KeyScope::Ice),
            ("GET /v1/ice", KeyScope::Ice),
            ("GET /metrics", KeyScope::Log),
        ] {
            let answer = ask(&server, line, "x", &[]);
            if scope == needed || scope == KeyScope::Admin {
                assert_eq!(answer.status, 200, "{scope:?} {line}");
                continue;
            }
            let error = answer.refuses(403, "forbidden");
            let said = |key: &str, what: &str| error[key].as_str().unwrap().contains(what);
            assert!(said("message", &format!("`{}`", needed.code())), "{error}");
            assert!(said("hint", &format!("--scope {}", needed.code())), "{error}");
        }
        let knows = ask(&server, "GET /healthz", "x", &[]).json()["relay"].is_object();
        assert_eq!(knows, [KeyScope::Log, KeyScope::Admin].contains(&scope), "{scope:?}");
    }
}

#[test] // P8
fn a_link_that_ended_is_told_from_a_key_that_never_was() {
    let server = server("x", KeyGrant::of(KeyScope::Admin));
    let now = Now::read().unix_ms;
    for (key, ends_at) in [("tbv_late", now), ("tbv_good", now + 3_600_000)] {
        let grant = KeyGrant { ends_at_unix_ms: Some(ends_at), ..KeyGrant::of(KeyScope::Verify) };
        server.keys.insert(ApiKeyHash::of(key), "k3", grant).unwrap();
    }
    let post = |key: &str| {
        let bearer = format!("Bearer {key}");
        server.ask("POST /api/ice-verify", &[HOST, ("Authorization", &bearer)])
    };
    for (key, said) in [("tbv_late", "this link has ended"), ("tbk_never", "does not exist")] {
        let error = post(key).refuses(401, "unauthorized");
        assert!(error["message"].as_str().unwrap().contains(said), "{error}");
    }
    // It passes, and nothing verifies behind this server.
    assert_eq!(post("tbv_good").status, 404);
    // Who has only a link asks as often as a page may.
    let most = HTTP_PAGES_PER_SOURCE_S as usize * 100;
    assert!((0..most).any(|_| post("tbv_good").status == 429));
    assert_eq!(post("tbk_x").status, 404, "an admin asks on");
}

#[test]
fn a_key_of_no_scope_that_is_known_here_opens_nothing() {
    let server = server("x", KeyGrant { scopes: Vec::new(), ..KeyGrant::of(KeyScope::Ice) });
    ask(&server, "GET /ice", "x", &[]).refuses(403, "forbidden");
}

#[test]
fn a_key_of_one_tenant_asks_for_its_users_and_learns_nothing_of_the_whole() {
    let of = |tenant: &str| {
        let tenant = TenantId::new(tenant);
        server("x", KeyGrant { tenant, ..KeyGrant::of(KeyScope::Admin) })
    };
    let server = of("default");
    let config = ask(&server, "GET /ice?user=Zo%C3%AB", "x", &[]);
    assert_eq!(config.status, 200, "{config:?}");
    let username = config.json()["iceServers"][0]["username"].as_str().unwrap().to_owned();
    assert!(username.ends_with(":default/Zo%C3%AB"), "{username}");
    assert!(server.recognises(&username));
    ask(&server, "GET /metrics", "x", &[]).refuses(403, "forbidden");
    assert!(ask(&server, "GET /healthz", "x", &[]).json()["relay"].is_null());
    ask(&of("gone"), "GET /ice", "x", &[]).refuses(403, "forbidden");
}

#[test]
fn a_key_of_a_page_is_good_there_alone_and_the_page_may_read_the_answer() {
    let grant = KeyGrant { origins: vec![PAGE.into()], ..KeyGrant::of(KeyScope::Ice) };
    let server = server("x", grant);
    let own = [("Host", "app.example.org"), ("Sec-Fetch-Site", "same-origin")];
    for (more, passes) in [
        (&[("Origin", PAGE)][..], true),
        (&[("Origin", "https://app.example.org:8443")], false),
        (&[("Origin", "https://evil.example")], false),
        (&[("Origin", "null")], false),
        (&[("Origin", PAGE), ("Origin", PAGE)], false),
        (&[], false),
        (&[("Sec-Fetch-Site", "same-origin")], false),
        (&[("Sec-Fetch-Site", "cross-site")], false),
    ] {
        let answer = ask(&server, "GET /ice", "x", more);
        if passes {
            assert_eq!(answer.status, 200, "{more:?}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
        } else {
            answer.refuses(403, "forbidden");
        }
    }
    let bearer = ("Authorization", "Bearer tbk_x");
    assert_eq!(server.ask("GET /ice", &[own[0], own[1], bearer]).status, 200);
    server.ask("GET /ice", &[own[0], bearer]).refuses(403, "forbidden");
}

#[test]
fn a_preflight_passes_for_a_page_that_some_key_names_until_the_key_is_gone() {
    let grant = KeyGrant { origins: vec![PAGE.into()], ..KeyGrant::of(KeyScope::Ice) };
    let server = server("x", grant);
    let preflight = |origin: &str| {
        let asked = [("Origin", origin), ("Access-Control-Request-Method", "GET")];
        let answer = server.ask("OPTIONS /ice", &asked);
        answer.header("access-control-allow-origin").map(ToOwned::to_owned)
    };
    assert_eq!(preflight(PAGE).as_deref(), Some(PAGE));
    assert_eq!(preflight("https://evil.example"), None);
    // What needs no key is not opened to that page.
    server.ask("GET /ice", &[("Origin", PAGE)]).refuses(401, "unauthorized");
    server.keys.remove(ApiKeyHash::of("tbk_x"));
    assert_eq!(preflight(PAGE), None);
}
