//! Tokens of issuers of the config, and how a test signs them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use turnbell::time::Now;

use crate::daemon::{CONFIG, Daemon};
use crate::page::{Page, code, open};

pub(crate) const ACME_SECRET: &str = "acme-4d1f9c7b2a6e8035f1c9d7e2b4a60813";
const SHARED_SECRET: &str = "hub-77aa01c3e5d94f1b8c2e6a90d3f5b718";

/// Two tenants with an issuer each, and one issuer that names the tenant in a claim.
pub(crate) fn config() -> String {
    format!(
        r#"{CONFIG}
[[identity.issuer]]
issuer = "https://acme.example"
audience = ["calls"]
tenant = "acme"
secret = "{ACME_SECRET}"
[[identity.issuer]]
issuer = "https://hub.example"
tenant_claim = "app.tenant"
tenants = ["acme", "globex"]
secret = "{SHARED_SECRET}"
[tenant.acme]
allow = ["member>member", "visitor>agent"]
[tenant.globex]
"#
    )
}

/// A token with these claims and an hour to live.
pub(crate) fn signed(secret: &str, mut claims: Value) -> String {
    if claims["exp"].is_null() {
        claims["exp"] = json!(Now::read().unix_s() + 3600);
    }
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
}

pub(crate) fn of_acme(user: &str, role: &str) -> String {
    let claims =
        json!({"iss": "https://acme.example", "aud": "calls", "sub": user, "turnbell_role": role});
    signed(ACME_SECRET, claims)
}

fn of_hub(user: &str, tenant: &str) -> String {
    let claims = json!({"iss": "https://hub.example", "sub": user, "app": {"tenant": tenant}});
    signed(SHARED_SECRET, claims)
}

pub(crate) fn page(daemon: &Daemon, token: &str) -> Page {
    Page::connect(daemon, json!({"token": token}))
}

/// With what a hello with this token is closed.
pub(crate) fn closed(daemon: &Daemon, token: &str) -> Option<u16> {
    let mut socket = open(daemon.http());
    let hello = json!({"t": "hello", "id": "h", "d": {"token": token}});
    socket.send(Message::text(hello.to_string())).unwrap();
    loop {
        match socket.read().unwrap() {
            Message::Close(frame) => return code(frame.as_ref()),
            Message::Text(text) => assert!(!text.contains("welcome"), "{text}"),
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

/// Another config, in effect when this returns.
pub(crate) fn reload(daemon: &Daemon, config: &str) -> String {
    std::fs::write(daemon.directory().path().join("turnbell.toml"), config).unwrap();
    let (code, said, why) = daemon.command(&["reload"]);
    assert_eq!(code, Some(0), "{said}{why}");
    said
}

#[test]
fn users_of_an_issuer_are_who_their_token_says() {
    let daemon = Daemon::start(&config());
    let alice = page(&daemon, &of_acme("alice", "member"));
    assert_eq!(
        (&alice.welcome["user"], &alice.welcome["tenant"]),
        (&json!("alice"), &json!("acme"))
    );
    let by_claim = page(&daemon, &of_hub("bob", "globex"));
    assert_eq!(by_claim.welcome["tenant"], "globex");
}

/// security.md G7, G12; P11.
#[test]
fn a_token_that_is_not_the_issuers_or_claims_another_tenant_is_refused() {
    let daemon = Daemon::start(&config());
    let acme = |change: Value| {
        let mut claims = json!({"iss": "https://acme.example", "aud": "calls", "sub": "mallory"});
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let past = Now::read().unix_s() - 3600;
    let cases: [(&str, (String, u16)); 10] = [
        (
            "its key under another's name",
            (
                signed(
                    ACME_SECRET,
                    json!({"iss": "https://hub.example", "sub": "m", "app": {"tenant": "globex"}}),
                ),
                4001,
            ),
        ),
        (
            "our own name",
            (signed(ACME_SECRET, acme(json!({"iss": "turnbell", "tenant": "globex"}))), 4001),
        ),
        (
            "an unknown issuer",
            (signed(ACME_SECRET, acme(json!({"iss": "https://evil.example"}))), 4001),
        ),
        ("for somebody else", (signed(ACME_SECRET, acme(json!({"aud": "mail"}))), 4001)),
        ("a tenant not listed", (of_hub("m", "default"), 4001)),
        ("no tenant", (of_hub("m", ""), 4001)),
        ("a role that is none", (of_acme("m", "root"), 4001)),
        ("an end that is text", (signed(ACME_SECRET, acme(json!({"exp": "9999999999"}))), 4001)),
        ("over", (signed(ACME_SECRET, acme(json!({"exp": past}))), 4002)),
        ("for backends", (of_acme("m", "service"), 4001)),
    ];
    for (name, (token, code)) in cases {
        assert_eq!(closed(&daemon, &token), Some(code), "{name}");
    }
    // A claim that this issuer does not decide by changes nothing.
    let claiming =
        signed(ACME_SECRET, acme(json!({"tenant": "globex", "app": {"tenant": "globex"}})));
    assert_eq!(page(&daemon, &claiming).welcome["tenant"], "acme");
}

#[test]
fn tenants_do_not_see_or_call_each_other() {
    let daemon = Daemon::start(&config());
    let mut alice = page(&daemon, &of_acme("alice", "member"));
    let mut bob = page(&daemon, &of_hub("bob", "globex"));
    let call = |to: &str| json!({"to": {"user": to}, "media": {"audio": true}});
    assert_eq!(alice.ask("call.invite", call("bob")).unwrap_err()["code"], "callee_offline");
    let _carol = page(&daemon, &of_hub("carol", "acme"));
    let made = alice.ask("call.invite", call("carol")).unwrap();
    // Nobody outside finds the call by its id.
    let id = json!({"call": made["call"]});
    assert_eq!(bob.ask("call.hangup", id).unwrap_err()["code"], "not_found");
}

#[test]
fn who_may_call_whom_goes_by_the_tenants_rules() {
    let daemon = Daemon::start(&config());
    let mut member = page(&daemon, &of_acme("alice", "member"));
    let mut visitor = page(&daemon, &of_acme("v", "visitor"));
    let _agent = page(&daemon, &of_acme("agent", "agent"));
    let call = |to: &str| json!({"to": {"user": to}, "media": {"audio": true}});
    assert_eq!(visitor.ask("call.invite", call("alice")).unwrap_err()["code"], "forbidden");
    assert_eq!(member.ask("call.invite", call("agent")).unwrap_err()["code"], "forbidden");
    visitor.ask("call.invite", call("agent")).unwrap();
}

#[test]
fn a_jwk_set_is_read_again_at_a_reload() {
    let set = |pair: &rcgen::KeyPair| {
        use rcgen::PublicKeyData;
        let point = &pair.der_bytes()[1..];
        let half = |at: usize| URL_SAFE_NO_PAD.encode(&point[at..at + 32]);
        json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "1", "x": half(0), "y": half(32)}]})
    };
    let token = |pair: &rcgen::KeyPair| {
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        let exp = Now::read().unix_s() + 3600;
        let claims = json!({"iss": "https://id.example", "sub": "alice", "exp": exp});
        encode(&Header::new(Algorithm::ES256), &claims, &key).unwrap()
    };
    let [first, second] = [(); 2].map(|()| rcgen::KeyPair::generate().unwrap());
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    let config = format!(
        "{CONFIG}\n[[identity.issuer]]\nissuer = \"https://id.example\"\njwks_file = \"jwks.json\"\n"
    );
    write("jwks.json", &set(&first).to_string());
    write("turnbell.toml", &config);
    let daemon = Daemon::start_in(directory.clone(), |_| {});
    page(&daemon, &token(&first));
    assert_eq!(closed(&daemon, &token(&second)), Some(4001));
    write("jwks.json", &set(&second).to_string());
    let said = reload(&daemon, &config);
    assert!(said.contains("identity.issuer"), "{said}");
    page(&daemon, &token(&second));
    assert_eq!(closed(&daemon, &token(&first)), Some(4001));
}

#[test]
fn a_reload_suspends_a_tenant_and_adds_another() {
    let daemon = Daemon::start(&config());
    let mut alice = page(&daemon, &of_acme("alice", "member"));
    let mut bob = page(&daemon, &of_hub("bob", "globex"));
    let more = config().replace("[tenant.acme]", "[tenant.acme]\nsuspended = true");
    let more = more.replace("tenants = [\"acme\"", "tenants = [\"initech\", \"acme\"");
    reload(
        &daemon,
        &format!("{more}[tenant.initech]\nvoice_enabled = false\nturn_enabled = false\n"),
    );
    assert_eq!(alice.closed(), Some(4004));
    assert_eq!(closed(&daemon, &of_acme("alice", "member")), Some(4004));
    bob.ask("ping", json!({})).unwrap();
    let mut peter = page(&daemon, &of_hub("peter", "initech"));
    let call = json!({"to": {"user": "milton"}, "media": {"audio": true}});
    assert_eq!(peter.ask("call.invite", call).unwrap_err()["code"], "feature_disabled");
    assert!(!peter.welcome["ice"].to_string().contains("turn:"), "{}", peter.welcome);
    let bearer = |token: String| format!("Authorization: Bearer {token}");
    let ask =
        |token: String| crate::page::post(daemon.http(), "/ice", &json!({}), &[&bearer(token)]);
    let (status, config) = ask(of_hub("peter", "initech"));
    assert!(status == 200 && !config.to_string().contains("turn:"), "{config}");
    assert!(ask(of_hub("bob", "globex")).1.to_string().contains("turn:"));
    assert_eq!(ask(of_acme("alice", "member")).0, 403);
}

#[test]
fn a_refreshed_token_brings_ice_servers_that_are_good_as_long_as_it_is() {
    let daemon = Daemon::start(&config());
    let until = |seconds: i64| {
        let claims = json!({"iss": "https://hub.example", "sub": "alice",
            "app": {"tenant": "globex"}, "exp": Now::read().unix_s() + seconds});
        signed(SHARED_SECRET, claims)
    };
    let mut alice = page(&daemon, &until(300));
    let first = alice.welcome["ice"]["ttl"].as_u64().unwrap();
    assert!(first <= 300, "no longer than the token: {first}");
    alice.ask("auth.refresh", json!({"token": until(3000)})).unwrap();
    let next = alice.event("ice.update")["ttl"].as_u64().unwrap();
    assert!((2900..=3000).contains(&next), "as long as the new one: {next}");
    // Somebody else's token changes nothing.
    let refused = alice.ask("auth.refresh", json!({"token": of_hub("bob", "globex")}));
    assert_eq!(refused.unwrap_err()["code"], "forbidden");
    alice.ask("auth.refresh", json!({"token": until(2000)})).unwrap();
    let last = &alice.event("ice.update")["iceServers"];
    assert!(last.to_string().contains(":globex/alice~"), "{last}");
}
