//! Any USERNAME, REALM, USERHASH and NONCE, and any name a credential is made for.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use turnbell::auth::credential::{AuthFailure, User, Verifier, issue};
use turnbell::auth::key::{LongTermKey, PasswordAlgorithm};
use turnbell::auth::nonce::{NonceKey, NonceVerdict, says_password_algorithms};
use turnbell::auth::secret::Secret;
use turnbell::auth::user_hash::{IssuedNames, UserHash};
use turnbell::limits::{CREDENTIAL_SKEW_S, NONCE_LIFETIME, USERNAME_BYTES_MAX};
use turnbell::time::Now;

use super::reader::Reader;

const REALM: &str = "turnbell";
const UNIX_S: i64 = 1_800_000_000;

/// One execution: an expiry, an algorithm, a realm, a name.
pub(crate) fn run(data: &[u8]) {
    let mut reader = Reader::new(data);
    let head = reader.u8();
    let expires_at = UNIX_S + i64::from(reader.u16()) - 0x8000;
    let is_sha256 = head & 1 != 0;
    let algorithm = if is_sha256 { PasswordAlgorithm::Sha256 } else { PasswordAlgorithm::Md5 };
    let realm = if head & 2 == 0 { REALM.as_bytes() } else { reader.sized() };
    let name = reader.rest();
    check_strange(algorithm, name, realm);
    check_issued(algorithm, name, expires_at);
    check_nonce(name);
}

/// Nobody made a credential for this name.
fn check_strange(algorithm: PasswordAlgorithm, name: &[u8], realm: &[u8]) {
    let verifier = verifier();
    let mut keys = 0;
    let refused = verifier.verify(algorithm, name, realm, |key| {
        keys += 1;
        assert_eq!(key.algorithm(), algorithm);
        false
    });
    assert_eq!(keys, 2, "the work does not depend on the name");
    let failure = refused.expect_err("no key matched");
    assert_eq!(failure == AuthFailure::UnknownRealm, realm != REALM.as_bytes());
    // With every key right it is the name alone that decides.
    let text = std::str::from_utf8(name).ok();
    match verifier.verify(algorithm, name, realm, |_| true) {
        Ok(who) => {
            let text = text.expect("a name is text");
            assert!(realm == REALM.as_bytes() && name.len() <= USERNAME_BYTES_MAX);
            assert!(text.contains(&*who.user));
            match who.expires_at {
                Some(expires_at) => {
                    let (digits, _) = text.split_once(':').expect("an expiry, a colon, a user");
                    assert_eq!(digits.parse(), Ok(expires_at));
                    assert!(expires_at >= 0 && !digits.starts_with('+'));
                }
                None => assert_eq!(text, "static"),
            }
            let _ = who.check_expiry(now());
        }
        Err(failure) => assert!(failure != AuthFailure::WrongIntegrity),
    }
    if let Some(hash) = UserHash::from_value(name) {
        assert_eq!(verifier.name(&hash), None);
        assert_eq!(hash.as_bytes(), name);
    }
}

/// Whatever is accepted as a user gets a credential that is accepted until it expires.
fn check_issued(algorithm: PasswordAlgorithm, name: &[u8], expires_at: i64) {
    let Some(user) = std::str::from_utf8(name).ok().and_then(|text| User::parse(text).ok()) else {
        return;
    };
    let issued = issue(&secret(), &user, expires_at);
    let (username, realm) = (issued.username.as_bytes(), REALM.as_bytes());
    let password = issued.credential.expose().as_bytes();
    let theirs = LongTermKey::derive(algorithm, username, realm, password);
    let who = verifier()
        .verify(algorithm, username, realm, |key| key == &theirs)
        .expect("the credential was issued here");
    assert_eq!((&*who.user, who.expires_at), (user.as_str(), Some(expires_at)));
    let is_over = expires_at + CREDENTIAL_SKEW_S < UNIX_S;
    assert_eq!(who.check_expiry(now()).is_err(), is_over);
    let names = IssuedNames::new(REALM);
    names.note(&issued);
    let hash = UserHash::of(username, realm);
    assert_eq!(names.name(&hash).as_deref(), Some(&*issued.username));
}

fn check_nonce(nonce: &[u8]) {
    let now = now();
    let key = NonceKey::new([7; 32], now);
    let client = "192.0.2.1:5000".parse().expect("an address");
    let ours = key.issue(now, 17, client);
    // libFuzzer reads `ours` off the comparisons in here.
    let verdict = key.check(now, 17, client, nonce);
    let is_ours = nonce == ours.as_bytes();
    assert_eq!(verdict == NonceVerdict::Fresh, is_ours, "a MAC was guessed");
    assert!(!is_ours || says_password_algorithms(nonce));
    assert!(says_password_algorithms(ours.as_bytes()));
    let later = now.after(Duration::from_secs(nonce.len() as u64));
    // One character of ours replaced by one of theirs.
    if let [at, character, ..] = nonce {
        let mut altered = ours.clone().into_bytes();
        let at = usize::from(*at) % altered.len();
        altered[at] = *character;
        let is_fresh = key.check(later, 17, client, &altered) == NonceVerdict::Fresh;
        let is_young = (nonce.len() as u64) < NONCE_LIFETIME.as_secs();
        assert_eq!(is_fresh, is_young && altered == ours.as_bytes());
    }
}

fn verifier() -> &'static Verifier {
    static VERIFIER: OnceLock<Verifier> = OnceLock::new();
    VERIFIER.get_or_init(|| {
        let users = [("static".to_owned(), Secret::new("account".to_owned()))];
        let secrets = vec![Secret::new("the next secret".to_owned()), secret()];
        Verifier::new(REALM, secrets, users, Arc::new(IssuedNames::new(REALM)))
    })
}

fn secret() -> Secret<String> {
    Secret::new("a secret of this test".to_owned())
}

fn now() -> Now {
    static NOW: OnceLock<Now> = OnceLock::new();
    *NOW.get_or_init(|| Now { unix_ms: UNIX_S * 1000, ..Now::read() })
}
