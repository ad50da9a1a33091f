//! Which tokens count, and whom they name.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, encode};
use serde_json::json;

use super::*;
use crate::auth::own_token::{Invite, OwnKey};
use crate::auth::secret::Secret;

const NOW_S: i64 = 1_800_000_000;
const SECRET: &str = "a shared secret of some length 7";

fn now() -> Now {
    Now { mono: Now::read().mono, unix_ms: NOW_S * 1000 }
}

fn tenant(id: &str) -> TenantId {
    TenantId::new(id).unwrap()
}

fn issuer(name: &str, tenancy: Tenancy, secret: &str) -> Issuer {
    Issuer {
        name: name.into(),
        audiences: Vec::new(),
        tenancy,
        role_claim: None,
        keys: KeyRing::fixed(vec![TokenKey::shared(&Secret::new(secret.to_owned()))]),
        vouches: Vouches::Always,
    }
}

fn acme() -> Issuer {
    issuer("https://acme", Tenancy::One(tenant("acme")), SECRET)
}

fn sign(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes()))
        .unwrap()
}

fn claims() -> Value {
    json!({"iss": "https://acme", "sub": "alice", "exp": NOW_S + 60})
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

fn verify(issuer: Issuer, token: &str) -> Result<Identity, TokenError> {
    Issuers::new(vec![issuer]).verify(now(), token)
}

fn check(claims: &Value, expected: Result<(), TokenError>) {
    assert_eq!(verify(acme(), &sign(claims)).map(|_| ()), expected, "{claims}");
}

#[test]
fn a_signed_token_names_user_tenant_role_and_name() {
    let mut all = with("name", "Alice\u{7} A.");
    all["turnbell_role"] = "agent".into();
    all["contact_id"] = "c-7".into();
    all["phone_number"] = "+49 30 1".into();
    let identity = verify(acme(), &sign(&all)).unwrap();
    assert_eq!(identity.tenant, tenant("acme"));
    assert_eq!(identity.user.as_str(), "alice");
    assert_eq!(
        (identity.role, &*identity.name, identity.is_verified),
        (Role::Agent, "Alice A.", true)
    );
    assert_eq!(identity.expires_at_unix_s, Some(NOW_S + 60));
    assert_eq!(identity.contact.as_deref(), Some("c-7"));
    assert_eq!(identity.number.as_deref(), Some("+49 30 1"));
    let bare = verify(acme(), &sign(&claims())).unwrap();
    assert_eq!((bare.role, &*bare.name, bare.contact), (Role::Member, "", None));
}

#[test]
fn times_are_numbers_and_forgive_thirty_seconds() {
    check(&with("exp", NOW_S - 29), Ok(()));
    check(&with("exp", NOW_S - 30), Err(TokenError::Expired { ago_s: 30 }));
    check(&with("exp", NOW_S as f64 + 0.5), Ok(()));
    check(&with("nbf", NOW_S + 30), Ok(()));
    check(&with("nbf", NOW_S + 31), Err(TokenError::NotYet));
    for bad in [json!("9999999999"), json!(null), json!(1e300), json!(true)] {
        check(&with("exp", bad.clone()), Err(TokenError::BadTime));
        check(&with("nbf", bad), Err(TokenError::BadTime));
    }
    check(&with("exp", json!([1])), Err(TokenError::Malformed));
    let mut without = claims();
    without.as_object_mut().unwrap().remove("exp");
    check(&without, Err(TokenError::BadTime));
}

#[test]
fn a_subject_is_1_to_128_bytes_of_text() {
    check(&with("sub", "u".repeat(128)), Ok(()));
    for bad in [json!("u".repeat(129)), json!(""), json!(7), json!("a\nb"), json!(null)] {
        check(&with("sub", bad), Err(TokenError::Subject));
    }
}

#[test]
fn an_audience_is_looked_at_where_one_is_configured() {
    let ours = || Issuer { audiences: vec!["calls".into()], ..acme() };
    let verdict = |claims: &Value| verify(ours(), &sign(claims)).map(|_| ());
    assert_eq!(verdict(&with("aud", "calls")), Ok(()));
    assert_eq!(verdict(&with("aud", json!(["x", "calls"]))), Ok(()));
    for bad in [with("aud", "mail"), with("aud", json!([])), with("aud", 1), claims()] {
        assert_eq!(verdict(&bad), Err(TokenError::Audience), "{bad}");
    }
    check(&with("aud", "anything"), Ok(()));
}

#[test]
fn an_issuer_speaks_for_its_own_tenants_only() {
    let path = || ClaimPath::new("app_metadata.tenant_id");
    let among = vec![tenant("acme"), tenant("beta")];
    let of = |id: Value| {
        let shared =
            issuer("https://acme", Tenancy::Claim { claim: path(), among: among.clone() }, SECRET);
        verify(shared, &sign(&with("app_metadata", json!({"tenant_id": id}))))
            .map(|identity| identity.tenant)
    };
    assert_eq!(of(json!("beta")), Ok(tenant("beta")));
    for bad in [json!("other"), json!("default"), json!(7), json!(null), json!("Acme")] {
        assert_eq!(of(bad.clone()), Err(TokenError::Tenant), "{bad}");
    }
    // A tenant's own issuer that claims another one stays what it is.
    let claimed = verify(acme(), &sign(&with("tenant_id", "beta"))).unwrap();
    assert_eq!(claimed.tenant, tenant("acme"));
}

#[test]
fn keys_of_one_issuer_never_verify_what_claims_to_come_from_another() {
    let both = Issuers::new(vec![
        acme(),
        issuer("https://beta", Tenancy::One(tenant("beta")), "another shared secret, as long"),
    ]);
    assert_eq!(both.verify(now(), &sign(&with("iss", "https://beta"))), Err(TokenError::Signature));
    for unknown in [json!("https://gamma"), json!(""), json!(7), json!(null)] {
        let error = both.verify(now(), &sign(&with("iss", unknown))).unwrap_err();
        assert!(matches!(error, TokenError::UnknownIssuer(_)), "{error}");
    }
}

#[test]
fn a_role_of_ours_must_exist_and_a_foreign_one_may_mean_something_else() {
    let role = |claims: &Value| verify(acme(), &sign(claims)).map(|identity| identity.role);
    assert_eq!(role(&with("turnbell_role", "admin")), Ok(Role::Admin));
    assert_eq!(role(&with("turnbell_role", "root")), Err(TokenError::Role));
    assert_eq!(role(&with("app_metadata", json!({"role": "agent"}))), Ok(Role::Agent));
    assert_eq!(role(&with("app_metadata", json!({"role": "editor"}))), Ok(Role::Member));
    assert_eq!(role(&with("role", "admin")), Ok(Role::Member), "a database role");
    let own = Issuer { role_claim: Some(ClaimPath::new("org.rank")), ..acme() };
    let ranked = with("org", json!({"rank": "owner"}));
    assert_eq!(verify(own, &sign(&ranked)).unwrap().role, Role::Owner);
}

/// A token with any header and no signature, or a wrong one.
fn forged(header: &str, signature: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{signature}", part(header), part(&claims().to_string()))
}

#[test] // security.md G12
fn no_header_talks_its_way_past_the_signature() {
    let honest = sign(&claims());
    let signature = honest.rsplit('.').next().unwrap();
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None","typ":"JWT"}"#,
        r#"{"alg":" HS256"}"#,
        r#"{"alg":"HS256 "}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"HS512"}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","kid":"../../etc/passwd"}"#,
        r#"{"typ":"JWT"}"#,
        "[]",
        "",
    ] {
        for signature in ["", "AAAA", signature] {
            let error = verify(acme(), &forged(header, signature)).unwrap_err();
            assert!(
                matches!(
                    error,
                    TokenError::Malformed | TokenError::UnknownKey | TokenError::Signature
                ),
                "{header}: {error}"
            );
        }
    }
    for text in
        ["", ".", "..", "a.b.c", "a.b", &honest[1..], &format!("{honest}.x"), &format!(" {honest}")]
    {
        assert!(verify(acme(), text).is_err(), "{text:?}");
    }
    let mut flipped = honest.clone().into_bytes();
    let last = flipped.len() - 3;
    flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    assert_eq!(verify(acme(), &flipped), Err(TokenError::Signature));
}

/// The classic confusion: a public key used as if it were a shared secret.
#[test] // security.md G12
fn a_public_key_is_never_a_shared_secret() {
    let pair = rcgen::KeyPair::generate().unwrap();
    let public = pair.public_key_pem();
    let key = DecodingKey::from_ec_pem(public.as_bytes()).unwrap();
    let keys = vec![TokenKey { id: None, algorithm: Algorithm::ES256, key }];
    let asymmetric = || Issuer { keys: KeyRing::fixed(keys.clone()), ..acme() };
    let signing = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
    let honest = encode(&Header::new(Algorithm::ES256), &claims(), &signing).unwrap();
    assert!(verify(asymmetric(), &honest).is_ok());
    let confused = EncodingKey::from_secret(public.as_bytes());
    let confused = encode(&Header::new(Algorithm::HS256), &claims(), &confused).unwrap();
    assert_eq!(verify(asymmetric(), &confused), Err(TokenError::UnknownKey));
}

#[test]
fn a_key_that_has_an_id_verifies_only_tokens_that_name_it_or_none() {
    let named = |id: &str| {
        let mut key = TokenKey::shared(&Secret::new(SECRET.to_owned()));
        key.id = Some(id.into());
        Issuer { keys: KeyRing::fixed(vec![key]), ..acme() }
    };
    let signed = |kid: Option<&str>| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = kid.map(str::to_owned);
        encode(&header, &claims(), &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
    };
    assert!(verify(named("a"), &signed(Some("a"))).is_ok());
    assert!(verify(named("a"), &signed(None)).is_ok());
    assert_eq!(verify(named("a"), &signed(Some("b"))), Err(TokenError::UnknownKey));
}

#[test]
fn a_key_that_may_be_fetched_is_asked_for_and_one_that_is_there_or_cannot_be_is_not() {
    let ring = KeyRing::fetched();
    let fetched = Issuer { keys: ring.clone(), ..acme() };
    let other = issuer("https://fixed", Tenancy::One(tenant("acme")), SECRET);
    let issuers = Issuers::new(vec![fetched, other]);
    let signed = |kid: Option<&str>, name: &str| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = kid.map(str::to_owned);
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        encode(&header, &with("iss", name), &key).unwrap()
    };
    let of = |kid| signed(kid, "https://acme");
    // Nothing was fetched yet: nobody knows whether a token is good.
    assert_eq!(issuers.lacking(&of(Some("a"))), Some("https://acme"));
    assert_eq!(issuers.lacking(&of(None)), Some("https://acme"));
    assert_eq!(issuers.verify(now(), &of(Some("a"))), Err(TokenError::NoKeysYet));
    let mut key = TokenKey::shared(&Secret::new(SECRET.to_owned()));
    key.id = Some("a".into());
    ring.replace(vec![key]);
    assert_eq!(issuers.lacking(&of(Some("a"))), None);
    assert_eq!(issuers.lacking(&of(None)), None);
    assert_eq!(issuers.lacking(&of(Some("b"))), Some("https://acme"));
    assert!(issuers.verify(now(), &of(Some("a"))).is_ok());
    assert_eq!(issuers.verify(now(), &of(Some("b"))), Err(TokenError::UnknownKey));
    for token in [&signed(Some("b"), "https://fixed"), &signed(Some("b"), "https://x"), "", "a.b.c"]
    {
        assert_eq!(issuers.lacking(token), None, "{token}");
    }
    let long = format!("{}{}", of(Some("b")), "x".repeat(TOKEN_BYTES_MAX));
    assert_eq!(issuers.lacking(&long), None);
}

#[test]
fn a_token_longer_than_may_be_is_not_looked_at() {
    let empty = sign(&with("pad", ""));
    let fill = (TOKEN_BYTES_MAX - empty.len()) * 3 / 4;
    assert!(verify(acme(), &sign(&with("pad", "x".repeat(fill)))).is_ok());
    let long = sign(&with("pad", "x".repeat(fill + 3)));
    assert_eq!(verify(acme(), &long), Err(TokenError::TooLong));
}

#[test]
fn our_own_tokens_name_guests_as_unverified_and_invites_are_no_sessions() {
    let own = OwnKey::new(&[7; 32]);
    let issuers = Issuers::new(vec![own.issuer()]);
    let guest = Identity {
        tenant: TenantId::default_tenant(),
        user: UserId::new("g_0123456789").unwrap(),
        role: Role::Member,
        name: "Zoë".into(),
        is_verified: false,
        expires_at_unix_s: Some(NOW_S + 60),
        contact: None,
        number: None,
    };
    let token = own.session(now(), &guest).unwrap();
    assert_eq!(issuers.verify(now(), &token), Ok(guest.clone()));
    let known = Identity { is_verified: true, role: Role::Agent, ..guest.clone() };
    let token = own.session(now(), &known).unwrap();
    assert_eq!(issuers.verify(now(), &token), Ok(known));
    let endless = Identity { expires_at_unix_s: None, ..guest };
    assert_eq!(own.session(now(), &endless), None);

    let invite = Invite {
        id: "01JABCDEFGHJKMNPQRSTVWXYZ0".into(),
        tenant: TenantId::default_tenant(),
        to: UserId::new("alice"),
        expires_at_unix_s: NOW_S + 60,
    };
    let link = own.invite(now(), &invite).unwrap();
    assert_eq!(own.read_invite(now(), &link), Ok(invite));
    assert_eq!(issuers.verify(now(), &link), Err(TokenError::Audience));
    assert_eq!(own.read_invite(now(), &token), Err(TokenError::Audience));
    let stranger = OwnKey::new(&[8; 32]);
    assert_eq!(stranger.read_invite(now(), &link), Err(TokenError::Signature));
}
