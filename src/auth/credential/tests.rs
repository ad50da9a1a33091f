//! Tests of issuing and verifying.

use super::*;

const REALM: &str = "turnbell";
const NOW_S: i64 = 1_800_000_000;

fn now() -> Now {
    Now { unix_ms: NOW_S * 1000, ..Now::read() }
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn verifier() -> Verifier {
    let users = [("alice".to_owned(), secret("wonderland"))];
    let secrets = vec![secret("new secret"), secret("old secret")];
    Verifier::new(REALM, secrets, users, Arc::new(IssuedNames::new(REALM)))
}

fn derived(username: &[u8], realm: &str, password: &str) -> LongTermKey {
    let algorithm = PasswordAlgorithm::Md5;
    LongTermKey::derive(algorithm, username, realm.as_bytes(), password.as_bytes())
}

fn verify(
    username: &[u8],
    realm: &str,
    theirs: &LongTermKey,
) -> Result<Authenticated, AuthFailure> {
    let algorithm = theirs.algorithm();
    verifier().verify(algorithm, username, realm.as_bytes(), |key| key == theirs)
}

/// What the verifier says of a client that knows `password`.
fn check(username: &str, password: &str) -> Result<(String, Option<i64>), AuthFailure> {
    check_by(&verifier(), username, password)
}

fn check_as_coturn(username: &str, password: &str) -> Result<(String, Option<i64>), AuthFailure> {
    check_by(&verifier().taking_coturn_usernames(), username, password)
}

fn check_by(
    verifier: &Verifier,
    username: &str,
    password: &str,
) -> Result<(String, Option<i64>), AuthFailure> {
    let theirs = derived(username.as_bytes(), REALM, password);
    let algorithm = theirs.algorithm();
    let is_theirs = |key: &LongTermKey| *key == theirs;
    let who = verifier.verify(algorithm, username.as_bytes(), REALM.as_bytes(), is_theirs)?;
    who.check_expiry(now())?;
    Ok((who.user.into(), who.expires_at))
}

fn check_issued(by: &str, expires_at: i64) -> Result<(String, Option<i64>), AuthFailure> {
    let issued = issue(&secret(by), &User::parse("bob").unwrap(), expires_at);
    check(&issued.username, issued.credential.expose())
}

// Made with `printf %s 1799999999:bob | openssl dgst -sha1 -hmac north -binary | base64`.
#[test]
fn an_issued_credential_is_what_every_other_backend_makes() {
    let issued = issue(&secret("north"), &User::parse("bob").unwrap(), 1_799_999_999);
    assert_eq!(issued.username, "1799999999:bob");
    assert_eq!(issued.credential.expose(), "xEI64P1rGkiiOWD1fxijP5LZq8s=");
}

/// An account whose key was made elsewhere, by MD5 only.
fn with_key(secrets: Vec<Secret<String>>) -> Verifier {
    let key = LongTermKey::of_md5(&md5_of("carol:turnbell:looking-glass"));
    Verifier::new(REALM, secrets, [], Arc::new(IssuedNames::new(REALM)))
        .with_keys([("carol".to_owned(), key)])
}

fn md5_of(text: &str) -> [u8; 16] {
    use md5::Digest;
    md5::Md5::digest(text).into()
}

#[test]
fn an_account_known_by_its_key_alone_passes_with_its_password_by_md5() {
    let verifier = with_key(vec![secret("new secret")]);
    let theirs = derived(b"carol", REALM, "looking-glass");
    let who = verifier
        .verify(PasswordAlgorithm::Md5, b"carol", REALM.as_bytes(), |key| *key == theirs)
        .unwrap();
    assert_eq!((&*who.user, who.expires_at), ("carol", None));
    assert_eq!(verifier.name(&UserHash::of(b"carol", REALM.as_bytes())).as_deref(), Some("carol"));
}

#[test]
fn an_account_known_by_its_key_alone_stays_outside_with_anything_else() {
    for secrets in [vec![], vec![secret("new secret")]] {
        let verifier = with_key(secrets);
        let made = password(&secret("new secret"), b"carol");
        for (algorithm, password) in [
            (PasswordAlgorithm::Md5, "looking-glass-"),
            (PasswordAlgorithm::Md5, ""),
            // What the shared secret makes of the name alone, and a key that nobody made.
            (PasswordAlgorithm::Md5, &made),
            (PasswordAlgorithm::Sha256, &made),
            (PasswordAlgorithm::Sha256, ""),
            (PasswordAlgorithm::Sha256, "looking-glass"),
        ] {
            let theirs =
                LongTermKey::derive(algorithm, b"carol", REALM.as_bytes(), password.as_bytes());
            let found =
                verifier.verify(algorithm, b"carol", REALM.as_bytes(), |key| *key == theirs);
            assert_eq!(found.map(|who| who.user), Err(AuthFailure::WrongIntegrity), "{password}");
        }
    }
}

#[test]
fn a_credential_of_any_active_secret_passes_and_of_no_other() {
    assert_eq!(check_issued("new secret", NOW_S + 60), Ok(("bob".into(), Some(NOW_S + 60))));
    assert_eq!(check_issued("old secret", NOW_S + 60), Ok(("bob".into(), Some(NOW_S + 60))));
    assert_eq!(check_issued("other", NOW_S + 60), Err(AuthFailure::WrongIntegrity));
}

#[test]
fn expiry_forgives_30_s_of_skew_and_not_one_more() {
    assert!(check_issued("new secret", NOW_S - 30).is_ok());
    assert_eq!(check_issued("new secret", NOW_S - 31), Err(AuthFailure::Expired { ago_s: 31 }));
    assert_eq!(check_issued("other", NOW_S - 31), Err(AuthFailure::WrongIntegrity));
}

#[test]
fn a_static_account_passes_with_its_password_only() {
    assert_eq!(check("alice", "wonderland"), Ok(("alice".into(), None)));
    assert_eq!(check("alice", "x"), Err(AuthFailure::WrongIntegrity));
    assert_eq!(check("bob", "wonderland"), Err(AuthFailure::NoSuchUser));
}

#[test] // RFC 8489 §18.5.1: one password, two keys
fn the_key_is_made_by_the_algorithm_that_is_asked_for() {
    for algorithm in PasswordAlgorithm::OFFERED {
        let realm = REALM.as_bytes();
        let theirs = LongTermKey::derive(algorithm, b"alice", realm, b"wonderland");
        assert_eq!(verify(b"alice", REALM, &theirs).unwrap().key, theirs);
        for other in PasswordAlgorithm::OFFERED.into_iter().filter(|o| *o != algorithm) {
            let result = verifier().verify(other, b"alice", realm, |key| *key == theirs);
            assert_eq!(result.map(|_| ()), Err(AuthFailure::WrongIntegrity));
        }
    }
}

#[test] // security.md B9: neither the answer nor the work says which names exist
fn a_refusal_costs_the_same_derivations_for_every_name() {
    for name in [&b"alice"[..], b"nobody", b"1899999999:bob", b"1000000000:bob", b"\0", b""] {
        let mut tried = 0;
        let result = verifier().verify(PasswordAlgorithm::Sha256, name, REALM.as_bytes(), |_| {
            tried += 1;
            false
        });
        assert!(result.is_err());
        assert_eq!(tried, 2, "{name:?}");
    }
}

#[test] // RFC 8489 §14.4
fn a_hash_leads_to_a_static_account_and_to_what_was_issued_here_and_nowhere_else() {
    let issued = Arc::new(IssuedNames::new(REALM));
    let users = [("alice".to_owned(), secret("wonderland"))];
    let verifier = Verifier::new(REALM, vec![secret("north")], users, Arc::clone(&issued));
    let name = |name: &str| verifier.name(&UserHash::of(name.as_bytes(), REALM.as_bytes()));
    assert_eq!(name("alice").as_deref(), Some("alice"));
    let bob = issue(&secret("north"), &User::parse("bob").unwrap(), NOW_S);
    assert_eq!(name(&bob.username), None);
    issued.note(&bob);
    assert_eq!(name(&bob.username).as_deref(), Some(&*bob.username));
    assert_eq!(name("1899999999:carol"), None);
    assert_eq!(verifier.name(&UserHash::of(b"alice", b"elsewhere")), None);
}

#[test]
fn another_realm_is_refused_even_with_the_right_password() {
    let key = derived(b"alice", "other", "wonderland");
    let result = verify(b"alice", "other", &key);
    assert_eq!(result.map(|_| ()), Err(AuthFailure::UnknownRealm));
}

#[test]
fn odd_usernames_are_refused_even_when_signed() {
    let long = format!("1899999999:{}", "x".repeat(USERNAME_BYTES_MAX));
    for username in [
        "9999999999999999999999:a",
        "-1:a",
        "0x7fffffff:a",
        " 1899999999:a",
        "1899999999",
        ":a",
        "+1:a",
        "1e9:a",
        "",
        "٣:a",
        &long,
    ] {
        let signed = password(&secret("new secret"), username.as_bytes());
        assert_eq!(check(username, &signed), Err(AuthFailure::NoSuchUser), "{username}");
    }
    let raw = b"1899999999:\xFF";
    let key = derived(raw, REALM, &password(&secret("new secret"), raw));
    let result = verify(raw, REALM, &key);
    assert_eq!(result.map(|_| ()), Err(AuthFailure::NoSuchUser));
}

#[test]
fn what_stands_after_the_first_colon_is_the_user_without_its_session() {
    for (username, user) in [
        ("1899999999:a:b", "a:b"),
        ("1899999999:acme/bob~s1", "acme/bob"),
        ("1899999999:", ""),
        ("1899999999:@user:example.com", "@user:example.com"),
    ] {
        let signed = password(&secret("old secret"), username.as_bytes());
        assert_eq!(check(username, &signed).unwrap().0, user);
    }
}

// Prosody and so Jitsi make the first, backends of 2013 the second.
#[test]
fn a_lone_expiry_and_one_behind_the_user_are_good_only_where_they_are_taken_as_in_coturn() {
    for (username, user, expires_at) in [
        ("1899999999", "1899999999", 1_899_999_999),
        ("bob:1899999999", "bob", 1_899_999_999),
        ("bob~s1:1899999999", "bob", 1_899_999_999),
    ] {
        let signed = password(&secret("old secret"), username.as_bytes());
        assert_eq!(check_as_coturn(username, &signed), Ok((user.to_owned(), Some(expires_at))));
        assert_eq!(check_as_coturn(username, "guessed"), Err(AuthFailure::WrongIntegrity));
        assert_eq!(check(username, &signed), Err(AuthFailure::NoSuchUser), "{username}");
    }
    for late in ["1700000000", "bob:1700000000"] {
        let signed = password(&secret("old secret"), late.as_bytes());
        let ago_s = NOW_S - 1_700_000_000;
        assert_eq!(check_as_coturn(late, &signed), Err(AuthFailure::Expired { ago_s }), "{late}");
    }
}

#[test]
fn what_is_taken_otherwise_is_the_same_where_usernames_are_taken_as_in_coturn() {
    for (username, user) in [
        ("1899999999:", ""),
        ("1899999999:a:b", "a:b"),
        ("1899999999:bob~s1", "bob"),
        // Digits in front are the expiry, whatever stands behind.
        ("1899999999:1799999999", "1799999999"),
    ] {
        let signed = password(&secret("old secret"), username.as_bytes());
        let passes = Ok((user.to_owned(), Some(1_899_999_999)));
        assert_eq!(check_as_coturn(username, &signed), passes);
        assert_eq!(check(username, &signed), passes, "{username}");
    }
    for odd in [
        "",
        ":",
        ":a",
        "a:",
        "bob",
        ":1899999999",
        "a:b:1899999999",
        "a: 1899999999",
        "-1899999999",
        "0x7fffffff",
        "9999999999999999999999",
        "a:9999999999999999999999",
        "9999999999999999999999:1899999999",
    ] {
        let signed = password(&secret("old secret"), odd.as_bytes());
        assert_eq!(check_as_coturn(odd, &signed), Err(AuthFailure::NoSuchUser), "{odd}");
    }
    assert_eq!(check_as_coturn("alice", "wonderland"), Ok(("alice".to_owned(), None)));
}

#[test]
fn a_user_is_1_to_128_printable_bytes_without_separators() {
    assert!(User::parse("a").is_ok());
    assert!(User::parse(&"x".repeat(128)).is_ok());
    assert!(User::parse("Jörg von Ü <j@example.org>").is_ok());
    assert_eq!(User::parse(""), Err(UserError::Empty));
    assert_eq!(User::parse(&"x".repeat(129)), Err(UserError::TooLong));
    for bad in ["a/b", "a~b", "a\nb", "a\0", "\u{1b}[2J"] {
        assert_eq!(User::parse(bad), Err(UserError::Character), "{bad:?}");
    }
    assert_ne!(User::random().unwrap(), User::random().unwrap());
    assert!(User::parse(User::random().unwrap().as_str()).is_ok());
}
