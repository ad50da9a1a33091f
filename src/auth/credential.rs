//! Time-limited credentials: issuing and verifying in one file, so that they cannot drift apart.
//!
//! The form is the one every coturn-style backend makes (draft-uberti-behave-turn-rest-00):
//! username `"<expiry>:<user>"`, expiry in Unix seconds; password
//! `base64(HMAC-SHA1(secret, username))`. Static `user:password` accounts work beside them.

mod username;

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use self::username::{Forms, without_session};
use super::identity::{Identity, TenantId, UserId};
use super::key::{LongTermKey, PasswordAlgorithm};
use super::secret::{Secret, random_bytes};
use super::user_hash::{IssuedNames, UserHash};
use crate::limits::{CREDENTIAL_SKEW_S, USER_BYTES_MAX, USERNAME_BYTES_MAX};
use crate::time::Now;

/// The user of all verifications.
pub const VERIFIER: &str = "turnbell-verify";

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

    /// The name of one verification: all of them count as the same user, whom quotas and the record
    /// tell from people.
    ///
    /// # Errors
    /// Fails only where the kernel has no entropy source.
    pub fn of_verification() -> Result<Self, getrandom::Error> {
        let session = super::secret::hex(&random_bytes::<6>()?);
        Ok(Self(format!("{VERIFIER}~{session}").into()))
    }

    /// The name of a page's verification: each counts as a user of its own (see
    /// [`super::page_run`]).
    ///
    /// # Errors
    /// Fails only where the kernel has no entropy source.
    pub fn of_page_run() -> Result<Self, getrandom::Error> {
        let run = super::secret::hex(&random_bytes::<6>()?);
        Ok(Self(format!("{VERIFIER}.{run}").into()))
    }

    /// The name of somebody with an identity: `<tenant>/<user>~<session>`, the user
    /// percent-encoded outside `[A-Za-z0-9._@-]` (P11). Quotas and the record go by what stands
    /// before the `~`; it has at most 32 + 1 + 3 * 128 bytes.
    #[must_use]
    pub fn of_session(identity: &Identity, session: &str) -> Self {
        Self(format!("{}~{session}", turn_user(&identity.tenant, &identity.user)).into())
    }

    /// The same name within a tenant: `<tenant>/<user>`.
    #[must_use]
    pub fn within(&self, tenant: &TenantId) -> Self {
        Self(in_tenant(tenant, &self.0).into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What quotas and the record go by: without the session.
    #[must_use]
    pub fn counted_as(&self) -> &str {
        without_session(&self.0)
    }
}

/// `<tenant>/<user>`, as quotas and the record know somebody with an identity.
#[must_use]
pub fn turn_user(tenant: &TenantId, user: &UserId) -> String {
    in_tenant(tenant, user.as_str())
}

fn in_tenant(tenant: &TenantId, user: &str) -> String {
    let mut name = format!("{tenant}/");
    for byte in user.bytes() {
        if byte.is_ascii_alphanumeric() || b"._@-".contains(&byte) {
            name.push(char::from(byte));
        } else {
            name.push('%');
            name.push_str(&super::secret::hex(&[byte]).to_ascii_uppercase());
        }
    }
    name
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
    /// Key of the message integrity in both directions, by the algorithm the client chose.
    pub key: LongTermKey,
    /// Unix seconds at which the credential ends; `None` for a static account.
    pub expires_at: Option<i64>,
}

impl Authenticated {
    /// Whether the credential is still good; skew of [`CREDENTIAL_SKEW_S`] is forgiven.
    ///
    /// # Errors
    /// `Expired`.
    pub fn check_expiry(&self, now: Now) -> Result<(), AuthFailure> {
        let Some(expires_at) = self.expires_at else { return Ok(()) };
        let ago_s = now.unix_s().saturating_sub(expires_at);
        if ago_s > CREDENTIAL_SKEW_S { Err(AuthFailure::Expired { ago_s }) } else { Ok(()) }
    }
}

/// Why an authenticated request was refused. The client hears 401 (or 438) in every case, byte for
/// byte the same; the record keeps the true cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthFailure {
    /// Neither a static account nor a time-limited name of a form that is taken.
    NoSuchUser,
    /// Right secret, but it ended this many seconds ago.
    Expired {
        /// Seconds between the expiry and the request.
        ago_s: i64,
    },
    /// Everything is right, but the operator revoked the user.
    Revoked,
    /// No active secret (or not the account's password) makes this MESSAGE-INTEGRITY.
    WrongIntegrity,
    /// REALM is not the one this server answers for.
    UnknownRealm,
    /// Everything is right but the nonce, which is too old, of another client or of another start.
    StaleNonce,
}

impl AuthFailure {
    /// The words for a code that stands on record; a code of a later version is its own.
    #[must_use]
    pub fn words_of(code: &str, expired_ago_s: Option<i64>) -> String {
        let known = [
            Self::NoSuchUser,
            Self::Expired { ago_s: expired_ago_s.unwrap_or(0) },
            Self::Revoked,
            Self::WrongIntegrity,
            Self::UnknownRealm,
            Self::StaleNonce,
        ];
        let found = known.into_iter().find(|failure| failure.code() == code);
        found.map_or_else(|| code.to_owned(), |failure| failure.to_string())
    }

    /// A stable word for the record.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NoSuchUser => "no_such_user",
            Self::Expired { .. } => "expired",
            Self::Revoked => "revoked",
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
            Self::Revoked => f.write_str("revoked by the operator"),
            Self::WrongIntegrity => f.write_str("wrong password or secret"),
            Self::UnknownRealm => f.write_str("unknown realm"),
            Self::StaleNonce => f.write_str("stale nonce"),
        }
    }
}

/// Everything needed to verify a credential: realm, active secrets, static accounts.
///
/// A read-only snapshot; a reload makes a new one. The names issued by this process grow under it.
#[derive(Debug)]
pub struct Verifier {
    realm: Box<str>,
    /// The first one issues, all verify.
    secrets: Vec<Secret<String>>,
    account_by_name: HashMap<Box<str>, Account>,
    static_user_by_hash: HashMap<UserHash, Box<str>>,
    issued: Arc<IssuedNames>,
    forms: Forms,
}

impl Verifier {
    /// `secrets`: the first issues, all verify. `users`: name and password of static accounts.
    /// `issued`: shared with whoever issues, and of the same realm.
    #[must_use]
    pub fn new(
        realm: &str,
        secrets: Vec<Secret<String>>,
        users: impl IntoIterator<Item = (String, Secret<String>)>,
        issued: Arc<IssuedNames>,
    ) -> Self {
        let mut account_by_name = HashMap::new();
        let mut static_user_by_hash = HashMap::new();
        for (name, password) in users {
            let name = name.into_boxed_str();
            let hash = UserHash::of(name.as_bytes(), realm.as_bytes());
            static_user_by_hash.insert(hash, name.clone());
            account_by_name.insert(name, Account::Password(password));
        }
        let realm = realm.into();
        let forms = Forms::Strict;
        Self { realm, secrets, account_by_name, static_user_by_hash, issued, forms }
    }

    /// Takes a lone `"<expiry>"` and `"<user>:<expiry>"`, too, as coturn does.
    #[must_use]
    pub fn taking_coturn_usernames(self) -> Self {
        Self { forms: Forms::Coturn, ..self }
    }

    /// Adds static accounts that are known by their keys in this realm; a name may come once for
    /// each algorithm. An account with a password keeps it.
    #[must_use]
    pub fn with_keys(mut self, keys: impl IntoIterator<Item = (String, LongTermKey)>) -> Self {
        for (name, key) in keys {
            let name = name.into_boxed_str();
            let hash = UserHash::of(name.as_bytes(), self.realm.as_bytes());
            self.static_user_by_hash.insert(hash, name.clone());
            let account = self.account_by_name.entry(name).or_insert(Account::Keys(Vec::new()));
            if let Account::Keys(keys) = account {
                keys.push(key);
            }
        }
        self
    }

    /// The one realm this server answers for.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The name behind a USERHASH: a static account, or a credential that this process issued.
    #[must_use]
    pub fn name(&self, hash: &UserHash) -> Option<Box<str>> {
        self.static_user_by_hash.get(hash).cloned().or_else(|| self.issued.name(hash))
    }

    /// Finds the key under which `matches` holds (that is, the message integrity is right).
    ///
    /// `username` and `realm` are the raw attribute values. Work done does not depend on whether
    /// the user exists: an unknown name, a known one and a static account cost a derivation for
    /// each secret.
    ///
    /// # Errors
    /// The true cause, but for expiry: that is [`Authenticated::check_expiry`], asked only after
    /// integrity, so that "expired" is said of nothing but a credential that this server's secret
    /// really made.
    pub fn verify(
        &self,
        algorithm: PasswordAlgorithm,
        username: &[u8],
        realm: &[u8],
        mut matches: impl FnMut(&LongTermKey) -> bool,
    ) -> Result<Authenticated, AuthFailure> {
        let known_realm = realm == self.realm.as_bytes();
        let text = std::str::from_utf8(username).ok().filter(|u| u.len() <= USERNAME_BYTES_MAX);
        let account = text.and_then(|name| Some((name, self.account_by_name.get(name)?)));
        let who = match account {
            Some((name, _)) => Some((name, None)),
            None => text
                .and_then(|name| self.forms.parse(name))
                .map(|(expires_at, user)| (user, Some(expires_at))),
        };
        // A static account is tried once for each secret, too, and once where there is none.
        for n in 0..self.secrets.len().max(1) {
            let made = self.secrets.get(n).map(|secret| Secret::new(password(secret, username)));
            let known = match account {
                Some((_, Account::Password(password))) => Some(password),
                Some((_, Account::Keys(_))) | None => None,
            };
            let password = known.or(made.as_ref()).map_or("", |password| password.expose());
            let mut key = LongTermKey::derive(algorithm, username, realm, password.as_bytes());
            let mut counts = known.is_some() || made.is_some();
            if let Some((_, Account::Keys(keys))) = account {
                // The one above is derived so that this takes as long as any other account.
                let kept = keys.iter().find(|kept| kept.algorithm() == algorithm);
                counts = kept.is_some();
                key = kept.cloned().unwrap_or(key);
            }
            if matches(&key)
                && counts
                && known_realm
                && let Some((user, expires_at)) = who
            {
                return Ok(Authenticated { user: user.into(), key, expires_at });
            }
        }
        Err(match (known_realm, who) {
            (false, _) => AuthFailure::UnknownRealm,
            (true, None) => AuthFailure::NoSuchUser,
            (true, Some(_)) => AuthFailure::WrongIntegrity,
        })
    }
}

/// What a static account is known by.
#[derive(Debug)]
enum Account {
    Password(Secret<String>),
    /// At most one for each algorithm.
    Keys(Vec<LongTermKey>),
}

fn password(secret: &Secret<String>, username: &[u8]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(username);
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests;
