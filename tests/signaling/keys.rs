//! `jwks_url`: keys that are fetched, kept, and fetched again when there is reason to.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::daemon::{CONFIG, Daemon, eventually};
use crate::issuer::{KeyServer, Says, Signer, set};
use crate::page::post;
use crate::tokens::{closed, page, reload};

const ISSUER: &str = "https://id.example";

/// An issuer whose keys are at `path` of this server.
fn issuer(server: &KeyServer, name: &str, path: &str) -> String {
    let authority = match &server.authority {
        Some(_) => "jwks_ca_file = \"ca.pem\"\n",
        None => "",
    };
    format!(
        "[[identity.issuer]]\nissuer = \"{name}\"\njwks_url = \"{}\"\n{authority}",
        server.url(path)
    )
}

/// A directory with this config, and the certificate of who vouches for the server.
fn directory(server: &KeyServer, config: &str) -> Arc<TempDir> {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    if let Some(pem) = &server.authority {
        std::fs::write(directory.path().join("ca.pem"), pem).unwrap();
    }
    std::fs::write(directory.path().join("turnbell.toml"), config).unwrap();
    directory
}

fn daemon(server: &KeyServer, config: &str) -> Daemon {
    Daemon::start_in(directory(server, config), |_| {})
}

/// What `turnbell status` says of this issuer, once it says something.
#[track_caller]
fn health(daemon: &Daemon, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let found = eventually(|| {
        let (_, said, _) = daemon.command(&["status", "--json"]);
        let said: Value = serde_json::from_str(&said).ok()?;
        let issuers = said["status"]["issuers"].as_array()?.clone();
        issuers.into_iter().find(|one| one["issuer"] == name && is_it(one))
    });
    found.unwrap_or_else(|| panic!("{:?}", daemon.command(&["status", "--json"])))
}

#[test]
fn keys_come_over_https_and_a_new_one_counts_from_its_first_token_on() {
    let (server, [first, second, foreign]) = (KeyServer::https(), ["1", "2", "3"].map(Signer::new));
    server.has("/jwks", &[&first]);
    let daemon = daemon(&server, &format!("{CONFIG}\n{}", issuer(&server, ISSUER, "/jwks")));
    // Whoever comes before they are there waits for them.
    assert_eq!(page(&daemon, &first.token(ISSUER)).welcome["user"], "alice");
    server.has("/jwks", &[&second]);
    page(&daemon, &second.token(ISSUER));
    assert_eq!(server.heads().len(), 2);
    assert_eq!(closed(&daemon, &first.token(ISSUER)), Some(4001), "it is gone");
    let bearer = format!("Authorization: Bearer {}", second.token(ISSUER));
    assert_eq!(post(daemon.http(), "/ice", &json!({}), &[&bearer]).0, 200);
    // Strangers cannot have them fetched more often than once a minute.
    for _ in 0..5 {
        assert_eq!(closed(&daemon, &foreign.token(ISSUER)), Some(4001));
        let bearer = format!("Authorization: Bearer {}", foreign.token(ISSUER));
        assert_eq!(post(daemon.http(), "/ice", &json!({}), &[&bearer]).0, 401);
    }
    assert_eq!(server.heads().len(), 2);
    assert!(daemon.metric(&format!("turnbell_issuer_keys{{issuer=\"{ISSUER}\"}}")) == 1.0);
    assert!(daemon.metric(&format!("turnbell_issuer_keys_ok{{issuer=\"{ISSUER}\"}}")) == 1.0);
    let head = &server.heads()[0];
    assert!(head.starts_with("GET /jwks HTTP/1.1\r\n") && head.contains("turnbell/"), "{head}");
}

#[test]
fn the_last_good_keys_stay_whatever_becomes_of_their_server() {
    let (server, [good, unknown]) = (KeyServer::http(), ["1", "2"].map(Signer::new));
    server.says("/jwks", Says::File(set(&[&good]), vec!["ETag: \"v1\""]));
    let daemon = daemon(&server, &format!("{CONFIG}\n{}", issuer(&server, ISSUER, "/jwks")));
    page(&daemon, &good.token(ISSUER));
    let gone = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    server.says("/jwks", Says::Raw(gone.to_owned()));
    assert_eq!(closed(&daemon, &unknown.token(ISSUER)), Some(4001));
    let head = server.heads()[1].to_ascii_lowercase();
    assert!(head.contains("if-none-match: \"v1\"\r\n"), "{head}");
    let health = health(&daemon, ISSUER, |one| one["problem"].is_string());
    assert_eq!(
        (&health["keys"], &health["problem"]),
        (&json!(1), &json!("answers 503 Service Unavailable"))
    );
    page(&daemon, &good.token(ISSUER));
    assert!(daemon.metric(&format!("turnbell_issuer_keys_ok{{issuer=\"{ISSUER}\"}}")) == 0.0);
    // It is tried again after some seconds, and said once.
    server.says("/jwks", Says::Raw("HTTP/1.1 304 Not Modified\r\n\r\n".to_owned()));
    let is_well = |one: &Value| one["problem"].is_null();
    assert_eq!(self::health(&daemon, ISSUER, is_well)["keys"], 1);
    page(&daemon, &good.token(ISSUER));
    let warnings = daemon.log().matches("the key that was fetched before counts on").count();
    assert_eq!(warnings, 1, "{}", daemon.log());
}

#[test]
fn a_daemon_starts_without_keys_says_why_and_lets_nobody_in_by_them() {
    let (server, key) = (KeyServer::http(), Signer::new("1"));
    let elsewhere = KeyServer::http();
    elsewhere.has("/jwks", &[&key]);
    let fitting = |bytes: usize| {
        let set = set(&[&key]);
        Says::File(format!("{set}{}", " ".repeat(bytes - set.len())), Vec::new())
    };
    let redirect = |to: &str| {
        Says::Raw(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"))
    };
    server.says("/fits", fitting(65_536));
    server.says("/huge", fitting(65_537));
    server.says("/endless", Says::Raw(format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(70_000))));
    server
        .says("/long", Says::Raw(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(20_000))));
    server.says("/slow", Says::Nothing);
    server.says("/moved", redirect("/fits"));
    server.says("/away", redirect(&elsewhere.url("/jwks")));
    server.says("/loop", redirect("/loop"));
    server.says("/broken", Says::File("{\"keys\":[{".to_owned(), Vec::new()));
    server.says("/empty", Says::File("{\"keys\":[]}".to_owned(), Vec::new()));
    server.says("/nonsense", Says::Raw("hello".to_owned()));
    let secret = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "1", "alg": "HS256"}]});
    server.says("/secret", Says::File(secret.to_string(), Vec::new()));
    let cases = [
        ("/fits", None),
        ("/moved", None),
        ("/huge", Some("is larger than 65536 bytes")),
        ("/endless", Some("is larger than 65536 bytes")),
        ("/long", Some("does not answer as a web server does")),
        ("/slow", Some("has not answered completely within 5 s")),
        ("/away", Some("which is not followed")),
        ("/loop", Some("which is not followed")),
        ("/broken", Some("not a JWK set")),
        ("/empty", Some("it is empty")),
        ("/nonsense", Some("does not answer as a web server does")),
        ("/secret", Some("is a shared secret, in a public set")),
        ("/none", Some("answers 404 Not Found")),
    ];
    let name = |path: &str| format!("https://{}.example", &path[1..]);
    let issuers: String =
        cases.iter().map(|(path, _)| issuer(&server, &name(path), path)).collect();
    let daemon = daemon(&server, &format!("{CONFIG}\n{issuers}"));
    for (path, problem) in cases {
        let is_done = |one: &Value| one["problem"].is_string() || one["fetched_at"].is_i64();
        let health = health(&daemon, &name(path), is_done);
        match problem {
            None => {
                assert_eq!(health["keys"], 1, "{health}");
                page(&daemon, &key.token(&name(path)));
            }
            Some(problem) => {
                assert!(health["problem"].as_str().unwrap().contains(problem), "{health}");
                daemon
                    .wait_for_log(&format!("the keys of the issuer {:?} do not come", name(path)));
                assert_eq!(health["keys"], 0, "{health}");
            }
        }
    }
    assert!(elsewhere.heads().is_empty(), "nobody was led there");
    // Who cannot be judged is told to come again, and is let in when the keys are there.
    let token = key.token(&name("/empty"));
    assert_eq!(closed(&daemon, &token), Some(1013));
    let bearer = format!("Authorization: Bearer {token}");
    let (status, body) = post(daemon.http(), "/ice", &json!({}), &[&bearer]);
    assert_eq!((status, &body["error"]["code"]), (503, &json!("issuer_unavailable")));
    server.has("/none", &[&key]);
    page(&daemon, &key.token(&name("/none")));
    assert_eq!(health(&daemon, &name("/none"), |one| one["problem"].is_null())["keys"], 1);
}

#[test]
fn a_server_that_nobody_vouches_for_and_one_that_is_gone_are_told_apart() {
    let (server, key) = (KeyServer::https(), Signer::new("1"));
    server.has("/jwks", &[&key]);
    let gone = KeyServer::http().url("/jwks");
    let config = format!(
        "{CONFIG}\n[[identity.issuer]]\nissuer = \"{ISSUER}\"\njwks_url = \"{}\"\n\
         [[identity.issuer]]\nissuer = \"https://gone.example\"\njwks_url = \"{gone}\"\n",
        server.url("/jwks")
    );
    let daemon = daemon(&server, &config);
    let is_done = |one: &Value| one["problem"].is_string();
    let problem = health(&daemon, ISSUER, is_done)["problem"].to_string();
    assert!(problem.contains("jwks_ca_file"), "{problem}");
    let problem = health(&daemon, "https://gone.example", is_done)["problem"].to_string();
    assert!(problem.contains("cannot be reached at 127.0.0.1"), "{problem}");
    assert_eq!(server.heads(), Vec::<String>::new());
    let (_, said, _) = daemon.command(&["status"]);
    assert!(said.contains("NONE of https://gone.example: nobody of it can sign in"), "{said}");
}

#[test]
fn a_reload_keeps_keys_that_were_fetched_and_takes_up_another_address() {
    let (server, [old, new]) = (KeyServer::http(), ["1", "2"].map(Signer::new));
    server.has("/old", &[&old]);
    server.has("/new", &[&new]);
    let config = |path: &str| format!("{CONFIG}\n{}", issuer(&server, ISSUER, path));
    let daemon = daemon(&server, &config("/old"));
    page(&daemon, &old.token(ISSUER));
    reload(&daemon, &config("/old").replace("quota.per_user = 4096", "quota.per_user = 4095"));
    page(&daemon, &old.token(ISSUER));
    assert_eq!(server.heads().len(), 1, "the same keys, not fetched again");
    let said = reload(&daemon, &config("/new"));
    assert!(said.contains("identity.issuer"), "{said}");
    page(&daemon, &new.token(ISSUER));
    assert_eq!(closed(&daemon, &old.token(ISSUER)), Some(4001));
    reload(&daemon, CONFIG);
    assert_eq!(closed(&daemon, &new.token(ISSUER)), Some(4001));
    let (_, said, _) = daemon.command(&["status", "--json"]);
    assert!(!said.contains("issuers"), "{said}");
}

#[test]
fn check_config_fetches_the_keys_once() {
    let (server, key) = (KeyServer::https(), Signer::new("1"));
    server.has("/jwks", &[&key]);
    let config = format!(
        "{CONFIG}\n{}{}",
        issuer(&server, ISSUER, "/jwks"),
        issuer(&server, "https://none.example", "/none")
    );
    let directory = directory(&server, &config);
    let run = || {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_turnbell"))
            .arg("check-config")
            .current_dir(directory.path())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, said, why) = run();
    assert_eq!(code, Some(1), "{said}{why}");
    assert!(said.contains(&format!("{ISSUER}: 1, from {}", server.url("/jwks"))), "{said}");
    assert!(why.contains("none.example") && why.contains("answers 404"), "{why}");
    server.has("/none", &[&key]);
    let (code, said, why) = run();
    assert_eq!(code, Some(0), "{said}{why}");
}
