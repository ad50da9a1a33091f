//! Forged tokens, farmed credentials, and requests in disguise (security.md G12 to G15).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use turnbell::time::Now;

use crate::daemon::{CONFIG, Daemon, SECRET};
use crate::page::{daemon, exchange, post};
use crate::tokens::{ACME_SECRET, closed, page};

const ACME: &str = "https://acme.example";
const ID: &str = "https://id.example";

/// Header and claims as they are, signed by HMAC with `key`.
fn signed(header: &str, claims: &str, key: &[u8]) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("{header}.{claims}").as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{header}.{claims}.{signature}")
}

fn claims(issuer: &str, exp: &str) -> String {
    format!(r#"{{"iss":"{issuer}","sub":"mallory"{exp}}}"#)
}

/// In an hour.
fn exp() -> String {
    format!(r#","exp":{}"#, Now::read().unix_s() + 3600)
}

/// It opens nothing: no socket, no ICE config, no calls.
#[track_caller]
fn is_refused(daemon: &Daemon, name: &str, token: &str) {
    assert_eq!(closed(daemon, token), Some(4001), "{name}");
    let bearer = format!("Authorization: Bearer {token}");
    for path in ["/ice", "/v1/invites"] {
        let (status, body) = post(daemon.http(), path, &json!({}), &[&bearer]);
        assert_eq!(status, 401, "{name} at {path}: {body}");
    }
    let (status, body) = exchange(daemon.http(), "GET /v1/calls", &[&bearer], "");
    assert_eq!(status, 401, "{name}: {body}");
}

#[test] // G12
fn no_header_and_no_time_talks_its_way_past_a_signature() {
    use rcgen::PublicKeyData;
    let pair = rcgen::KeyPair::generate().unwrap();
    let point = pair.der_bytes();
    let half = |at: usize| URL_SAFE_NO_PAD.encode(&point[at..at + 32]);
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "1", "x": half(1), "y": half(33)});
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("jwks.json", &json!({"keys": [jwk]}).to_string());
    let issuer =
        |name: &str, key: &str| format!("[[identity.issuer]]\nissuer = \"{name}\"\n{key}\n");
    let ours = issuer(ACME, &format!("secret = \"{ACME_SECRET}\""));
    let theirs = issuer(ID, "jwks_file = \"jwks.json\"");
    write("turnbell.toml", &format!("{CONFIG}\n{ours}{theirs}"));
    let daemon = Daemon::start_in(directory.clone(), |_| {});

    let secret = ACME_SECRET.as_bytes();
    let good = claims(ACME, &exp());
    page(&daemon, &signed(r#"{"alg":"HS256"}"#, &good, secret));
    let with = |header: &str| signed(header, &good, secret);
    let unsigned = |header: &str| {
        let token = with(header);
        token[..=token.rfind('.').unwrap()].to_owned()
    };
    let mut forged = vec![
        ("alg none", unsigned(r#"{"alg":"none"}"#)),
        ("alg nOnE", unsigned(r#"{"alg":"nOnE"}"#)),
        ("alg none and a signature", with(r#"{"alg":"none"}"#)),
        ("no signature", unsigned(r#"{"alg":"HS256"}"#)),
        ("a blank before", with(r#"{"alg":" HS256"}"#)),
        ("a blank behind", with(r#"{"alg":"HS256 "}"#)),
        ("a line end", with(r#"{"alg":"HS256\n"}"#)),
        ("small letters", with(r#"{"alg":"hs256"}"#)),
        ("another hash", with(r#"{"alg":"HS512"}"#)),
        ("no alg", with(r#"{"typ":"JWT"}"#)),
        ("two algs", with(r#"{"alg":"none","alg":"HS256"}"#)),
        ("a list of algs", with(r#"{"alg":["HS256"]}"#)),
        ("something critical", with(r#"{"alg":"HS256","crit":["x"],"x":1}"#)),
    ];
    // What a path in `kid` would open holds nothing, and nothing is the key.
    for kid in ["../../../../dev/null", "file:///dev/null", "' OR 1=1 --", "1"] {
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        forged.push(("kid", signed(&header, &good, b"")));
        forged.push(("kid", signed(&header, &claims(ID, &exp()), b"")));
    }
    // A public key is no secret.
    let public = [pair.public_key_pem().into_bytes(), point.to_vec(), jwk.to_string().into_bytes()];
    for key in &public {
        for header in [r#"{"alg":"HS256"}"#, r#"{"alg":"HS256","kid":"1"}"#, r#"{"alg":"ES256"}"#] {
            forged.push(("the public key", signed(header, &claims(ID, &exp()), key)));
        }
    }
    let own_key = json!({"alg": "HS256", "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/",
        "jwk": {"kty": "oct", "k": "bWFsbG9yeQ"}});
    forged.push(("a key of its own", signed(&own_key.to_string(), &good, b"mallory")));
    let far = Now::read().unix_s() + 3600;
    for exp in [
        String::new(),
        format!(r#","exp":"{far}""#),
        r#","exp":1e400"#.into(),
        r#","exp":1e18"#.into(),
        r#","exp":null"#.into(),
        r#","exp":true"#.into(),
        format!(r#","exp":[{far}]"#),
        format!(r#","exp":{far},"nbf":"0""#),
        format!(r#","exp":{far},"nbf":{far}"#),
    ] {
        forged.push(("a time", signed(r#"{"alg":"HS256"}"#, &claims(ACME, &exp), secret)));
    }
    for (name, token) in forged {
        is_refused(&daemon, &format!("{name}: {token}"), &token);
    }
}

#[test] // G13, P1
fn who_farms_credentials_is_slowed_down_and_each_is_on_record() {
    let daemon = daemon();
    let began = Now::read().mono;
    let answers: Vec<u16> = (0..300)
        .map(|_| post(daemon.http(), "/v1/guests", &json!({"name": "bot"}), &[]).0)
        .collect();
    let made = answers.iter().filter(|status| **status == 200).count();
    let refused = answers.iter().filter(|status| **status == 429).count();
    assert_eq!(made + refused, 300, "{answers:?}");
    // 50 at once and 5 a second.
    let earned = (Now::read().mono - began).as_secs() as usize * 5;
    assert!((50..=56 + earned).contains(&made), "{made} in a row, {earned} earned");
    let (status, _) = post(daemon.http(), "/ice", &json!({"user": "farmer"}), &[]);
    assert_eq!(status, 200);
    // It is on its way to the record.
    let until = Now::read().mono + Duration::from_secs(20);
    while !daemon.command(&["log", "--user", "farmer"]).1.contains("credential") {
        assert!(Now::read().mono < until, "it is not on record");
    }
}

#[test] // G14
fn a_stranger_learns_nothing_about_the_machine() {
    let daemon =
        Daemon::start(&CONFIG.replace("local_without_key = true", "local_without_key = false"));
    let state = daemon.state().to_string_lossy().into_owned();
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/config",
        "/v1/calls",
        "/ice",
        "/v1/ws",
        "/nowhere",
        "/diagnostics",
        "/api/diagnostics",
        "/v1/calls/01ARYZ6S410000000000000000",
    ] {
        let (status, body) = exchange(daemon.http(), &format!("GET {path}"), &[], "");
        let body = body.to_string();
        for secret in [&state, SECRET, "127.0.0.1", "alice", "wonderland", "panicked"] {
            assert!(!body.contains(secret), "{path} {status}: {body}");
        }
        if path == "/healthz" {
            assert_eq!(body, r#"{"ok":true}"#);
        }
    }
}

#[test] // G15
fn nothing_but_json_that_says_so_is_read_and_no_other_method_does_anything() {
    let daemon = daemon();
    for path in ["/ice", "/v1/guests", "/v1/invites", "/v1/invites/redeem"] {
        for content_type in [
            "text/plain",
            "text/plain;application/json",
            "application/xml",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
            "application/jsonp",
            "",
        ] {
            let header = format!("Content-Type: {content_type}");
            let body = r#"{"name":"x","token":"x"}"#;
            let (status, answer) =
                exchange(daemon.http(), &format!("POST {path}"), &[&header], body);
            assert_eq!(status, 415, "{path} {content_type}: {answer}");
        }
        let (status, _) = exchange(daemon.http(), &format!("POST {path}"), &[], r#"{"name":"x"}"#);
        assert_eq!(status, 415, "{path}");
    }
    let over = ["X-HTTP-Method-Override: POST", "X-Method-Override: POST"];
    for path in ["/v1/guests", "/v1/invites", "/v1/invites/redeem"] {
        for method in ["GET", "HEAD", "TRACE", "PUT", "DELETE"] {
            let (status, answer) =
                exchange(daemon.http(), &format!("{method} {path}?_method=POST"), &over, "");
            assert!(
                status == 405 || (path, method) == ("/v1/invites", "GET"),
                "{method} {path}: {status} {answer}"
            );
        }
        let (status, answer) = exchange(daemon.http(), &format!("OPTIONS {path}"), &over, "");
        assert_eq!((status, answer), (200, Value::Null), "{path}");
    }
}
