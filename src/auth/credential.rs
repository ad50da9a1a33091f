//! Time-limited credentials: issuing and verifying in one file, so that they cannot drift apart.
//!
//! The form is the one every coturn-style backend makes (draft-uberti-behave-turn-rest-00):
//! username `"<expiry>:<user>"`, expiry in Unix seconds; password
//! `base64(HMAC-SHA1(secret, username))`. Static `user:password` accounts work beside them.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::key::LongTermKey;
use super::secret::{Secret, random_bytes};
use crate::limits::{CREDENTIAL_SKEW_S, USER_BYTES_MAX, USERNAME_BYTES_MAX};
use crate::time::Now;

/// A name that may stand after the expiry: 1..=128 bytes, printable, without `/` and `~`.
///
/// Those two will separate tenant and session; a name that holds one would change its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User(Box<str>);

/// Why a text is no [`User`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// Empty.
    #[error("must not be empty")]
    Empty,
    /// More than [`USER_BYTES_MAX`] bytes.
    #[error("must be at most {USER_BYTES_MAX} bytes long")]
    TooLong,
    /// Holds `/`, `~` or a control character.
    #[error("must not contain '/', '~' or control characters")]
    Character,
}

impl User {
    /// Checks a name.
    ///
    /// # Errors
    /// Says which of the three rules it breaks.
    pub fn parse(text: &str) -> Result<Self, UserError> {
        if text.is_empty() {
            return Err(UserError::Empty);
        }
        if text.len() > USER_BYTES_MAX {
            return Err(UserError::TooLong);
        }
        if text.chars().any(|c| c == '/' || c == '~' || c.is_control()) {
            return Err(UserError::Character);
        }
        Ok(Self(text.into()))
    }

    /// A name nobody chose: `u` and 16 hex digits.
    ///
    /// # Errors
    /// Fails only where the kernel has no entropy source.
    pub fn random() -> Result<Self, getrandom::Error> {
        Ok(Self(format!("u{}", super::secret::hex(&random_bytes::<8>()?)).into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A credential as it is handed to a client.
#[derive(Debug, Clone)]
pub struct Issued {
    /// `"<expiry>:<user>"`.
    pub username: String,
    /// `base64(HMAC-SHA1(secret, username))`, 28 characters.
    pub credential: Secret<String>,
    /// Unix seconds after which an Allocate with it is refused (30 s of skew are forgiven).
    pub expires_at: i64,
}

/// Makes the credential of `user` that is good until `expires_at` (Unix seconds).
#[must_use]
pub fn issue(secret: &Secret<String>, user: &User, expires_at: i64) -> Issued {
    let username = format!("{expires_at}:{}", user.as_str());
    let credential = Secret::new(password(secret, username.as_bytes()));
    Issued { username, credential, expires_at }
}

/// Who passed, and the key that signs what is said to them.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// What quotas and the record are kept by: the part after the expiry without a `~session`,
    /// or the whole name of a static account.
    pub user: Box<str>,
    /// Key of MESSAGE-INTEGRITY in both directions.
    pub key: LongTermKey,
    /// Unix seconds at which the credential ends; `None` for a static account.
    pub expires_at: Option<i64>,
}

/// Why an authenticated request was refused. The client hears 401 (or 438) in every case, byte for
/// byte the same; the record keeps the true cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthFailure {
    /// Neither a static account nor of the form `<expiry>:<user>`.
    NoSuchUser,
    /// Right secret, but it ended this many seconds ago.
    Expired {
        /// Seconds between the expiry and the request.
        ago_s: i64,
    },
    /// No active secret (or not the account's password) makes this MESSAGE-INTEGRITY.
    WrongIntegrity,
    /// REALM is not the one this server answers for.
    UnknownRealm,
    /// Everything is right but the nonce, which is too old, of another client or of another start.
    StaleNonce,
}

impl AuthFailure {
    /// A stable word for the record.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NoSuchUser => "no_such_user",
            Self::Expired { .. } => "expired",
            Self::WrongIntegrity => "wrong_integrity",
            Self::UnknownRealm => "unknown_realm",
            Self::StaleNonce => "stale_nonce",
        }
    }
}

impl std::fmt::Display for AuthFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSuchUser => f.write_str("no such user"),
            Self::Expired { ago_s } => write!(f, "expired {ago_s} s ago"),
            Self::WrongIntegrity => f.write_str("wrong password or secret"),
            Self::UnknownRealm => f.write_str("unknown realm"),
            Self::StaleNonce => f.write_str("stale nonce"),
        }
    }
}

/// Everything needed to verify a credential: realm, active secrets, static accounts.
///
/// A read-only snapshot; a reload makes a new one.
#[derive(Debug)]
pub struct Verifier {
    realm: Box<str>,
    /// The first one issues, all verify.
    secrets: Vec<Secret<String>>,
    password_by_static_user: HashMap<Box<str>, Secret<String>>,
}

impl Verifier {
    /// `secrets`: the first issues, all verify. `users`: name and password of static accounts.
    #[must_use]
    pub fn new(
        realm: &str,
        secrets: Vec<Secret<String>>,
        users: impl IntoIterator<Item = (String, Secret<String>)>,
    ) -> Self {
        let password_by_static_user =
            users.into_iter().map(|(name, password)| (name.into_boxed_str(), password)).collect();
        Self { realm: realm.into(), secrets, password_by_static_user }
    }

    /// The one realm this server answers for.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Finds the key under which `matches` holds (that is, MESSAGE-INTEGRITY is right).
    ///
    /// `username` and `realm` are the raw attribute values. Work done does not depend on whether
    /// the user exists: an unknown name costs a derivation for each secret, too.
    ///
    /// # Errors
    /// The true cause. Expiry is judged only after integrity, so "expired" is said of nothing but
    /// a credential that this server's secret really made.
    pub fn authenticate(
        &self,
        now: Now,
        username: &[u8],
        realm: &[u8],
        mut matches: impl FnMut(&LongTermKey) -> bool,
    ) -> Result<Authenticated, AuthFailure> {
        let known_realm = realm == self.realm.as_bytes();
        let text = std::str::from_utf8(username).ok().filter(|u| u.len() <= USERNAME_BYTES_MAX);
        if let Some(name) = text
            && let Some(password) = self.password_by_static_user.get(name)
        {
            let key = LongTermKey::derive(username, realm, password.expose().as_bytes());
            return match (matches(&key), known_realm) {
                (true, true) => Ok(Authenticated { user: name.into(), key, expires_at: None }),
                (_, false) => Err(AuthFailure::UnknownRealm),
                (false, true) => Err(AuthFailure::WrongIntegrity),
            };
        }
        let parsed = text.and_then(parse_username);
        for secret in &self.secrets {
            let password = Secret::new(password(secret, username));
            let key = LongTermKey::derive(username, realm, password.expose().as_bytes());
            if matches(&key)
                && known_realm
                && let Some((expires_at, user)) = parsed
            {
                let ago_s = now.unix_s().saturating_sub(expires_at);
                if ago_s > CREDENTIAL_SKEW_S {
                    return Err(AuthFailure::Expired { ago_s });
                }
                return Ok(Authenticated { user: user.into(), key, expires_at: Some(expires_at) });
            }
        }
        Err(match (known_realm, parsed) {
            (false, _) => AuthFailure::UnknownRealm,
            (true, None) => AuthFailure::NoSuchUser,
            (true, Some(_)) => AuthFailure::WrongIntegrity,
        })
    }
}

fn password(secret: &Secret<String>, username: &[u8]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(username);
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Splits `"<expiry>:<user>"`; the user without `~session`. Digits only: no sign, no blank, no
/// hexadecimal; what does not fit an `i64` is no expiry.
fn parse_username(username: &str) -> Option<(i64, &str)> {
    let (expiry, user) = username.split_once(':')?;
    if expiry.is_empty() || !expiry.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let user = user.rsplit_once('~').map_or(user, |(user, _session)| user);
    Some((expiry.parse().ok()?, user))
}

#[cfg(test)]
mod tests {
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
        Verifier::new(REALM, vec![secret("new secret"), secret("old secret")], users)
    }

    /// What the verifier says of a client that knows `password`.
    fn check(username: &str, password: &str) -> Result<(String, Option<i64>), AuthFailure> {
        let theirs =
            LongTermKey::derive(username.as_bytes(), REALM.as_bytes(), password.as_bytes());
        verifier()
            .authenticate(now(), username.as_bytes(), REALM.as_bytes(), |key| *key == theirs)
            .map(|who| (who.user.into(), who.expires_at))
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

    #[test]
    fn another_realm_is_refused_even_with_the_right_password() {
        let key = LongTermKey::derive(b"alice", b"other", b"wonderland");
        let result = verifier().authenticate(now(), b"alice", b"other", |k| *k == key);
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
        let password = password(&secret("new secret"), raw);
        let key = LongTermKey::derive(raw, REALM.as_bytes(), password.as_bytes());
        let result = verifier().authenticate(now(), raw, REALM.as_bytes(), |k| *k == key);
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
}
