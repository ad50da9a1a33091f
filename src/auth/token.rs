//! Tokens (JWT, RFC 7519): who signed one, whether it is good, and whom it names.
//!
//! The unverified `iss` chooses one issuer, and only that issuer's keys are tried, each with the one
//! algorithm it is pinned to. So no token chooses how it is verified, and no issuer can speak for
//! the tenants of another.

use std::fmt;

use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode_header};
use serde_json::{Map, Value};

use super::identity::{Identity, Role, TenantId, UserId};
use super::key_ring::KeyRing;
use crate::limits::CREDENTIAL_SKEW_S;
use crate::limits::ws::{TOKEN_BYTES_MAX, TOKEN_NAME_BYTES_MAX};
use crate::time::Now;

/// Everybody whose tokens count.
#[derive(Debug, Clone, Default)]
pub struct Issuers(Vec<Issuer>);

/// Somebody whose tokens count.
#[derive(Clone)]
pub struct Issuer {
    /// `iss` of its tokens.
    pub name: Box<str>,
    /// One of these must stand in `aud`; empty: `aud` is not looked at.
    pub audiences: Vec<Box<str>>,
    /// Whose users they are.
    pub tenancy: Tenancy,
    /// Claim that holds the role, beside `turnbell_role` and `app_metadata.role`.
    pub role_claim: Option<ClaimPath>,
    /// What they are signed with.
    pub keys: KeyRing,
    /// Whether it vouches for names: a guest chooses his own.
    pub vouches: Vouches,
}

/// Whether an issuer knows its users' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vouches {
    /// It does.
    Always,
    /// Except where the claim `guest` is true: this daemon's own tokens.
    ExceptForGuests,
}

/// Which tenant a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenancy {
    /// All of this issuer's tokens to this one.
    One(TenantId),
    /// To the one that the claim names, if it is among these.
    Claim {
        /// Where it stands.
        claim: ClaimPath,
        /// Those that the issuer may name.
        among: Vec<TenantId>,
    },
    /// To whatever tenant the claim names: this daemon's own tokens.
    Any(ClaimPath),
}

/// Where a claim stands: `tenant_id`, or `app_metadata.tenant_id` inside an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(Box<str>);

impl ClaimPath {
    /// Names separated by dots; a name that holds a dot cannot be reached.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self(path.into())
    }

    fn text<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a str> {
        let (first, rest) = match self.0.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (&*self.0, None),
        };
        let mut found = claims.get(first)?;
        for name in rest.into_iter().flat_map(|rest| rest.split('.')) {
            found = found.get(name)?;
        }
        found.as_str()
    }
}

/// A key, pinned to one algorithm. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct TokenKey {
    /// `kid` of the tokens it signs; `None`: of those that name none, and of all others.
    pub id: Option<Box<str>>,
    /// The only one it is used with.
    pub algorithm: Algorithm,
    /// The key itself.
    pub key: DecodingKey,
}

/// Why a token does not count. Whoever sent it hears [`Self::is_expired`] and nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenError {
    /// Longer than [`TOKEN_BYTES_MAX`].
    TooLong,
    /// Not three parts of base64url with JSON objects in the first two.
    Malformed,
    /// No issuer of this name is configured.
    UnknownIssuer(Box<str>),
    /// The issuer has no key that fits `kid` and `alg`.
    UnknownKey,
    /// The issuer's keys could not be fetched so far: nobody knows whether it is good.
    NoKeysYet,
    /// No key of the issuer made this signature.
    Signature,
    /// Its time was over so long ago.
    Expired {
        /// Seconds.
        ago_s: i64,
    },
    /// It is good from a later time on (`nbf`).
    NotYet,
    /// A time that is no number, or no `exp`.
    BadTime,
    /// It is meant for somebody else (`aud`).
    Audience,
    /// No usable `sub`.
    Subject,
    /// It names no tenant that its issuer may speak for.
    Tenant,
    /// A role that does not exist.
    Role,
    /// Its user is revoked.
    Revoked,
}

impl TokenError {
    /// Whether it was good once.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        matches!(self, Self::Expired { .. })
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "longer than {TOKEN_BYTES_MAX} bytes"),
            Self::Malformed => f.write_str("not a JWT"),
            Self::UnknownIssuer(name) => write!(f, "unknown issuer {name:?}"),
            Self::NoKeysYet => f.write_str("the keys of its issuer could not be fetched so far"),
            Self::UnknownKey => f.write_str("no key of this issuer fits its kid and alg"),
            Self::Signature => f.write_str("wrong signature"),
            Self::Expired { ago_s } => write!(f, "expired {ago_s} s ago"),
            Self::NotYet => f.write_str("not good yet (nbf)"),
            Self::BadTime => f.write_str("no exp, or a time that is no number"),
            Self::Audience => f.write_str("meant for somebody else (aud)"),
            Self::Subject => f.write_str("no usable sub (1 to 128 bytes)"),
            Self::Tenant => f.write_str("no tenant that this issuer may speak for"),
            Self::Role => f.write_str("unknown role"),
            Self::Revoked => f.write_str("its user is revoked"),
        }
    }
}

type Claims = Map<String, Value>;

impl Issuers {
    /// Of two with one name the first one counts.
    #[must_use]
    pub fn new(issuers: Vec<Issuer>) -> Self {
        Self(issuers)
    }

    /// Who the bearer of `token` is.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn verify(&self, now: Now, token: &str) -> Result<Identity, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let issuer = self.named_in(token)?;
        identity(issuer, &issuer.claims(now, token)?)
    }

    /// The name of the issuer whose keys should be fetched before this token is judged: its `kid` is
    /// none of theirs, or there are none yet.
    #[must_use]
    pub fn lacking(&self, token: &str) -> Option<&str> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let issuer = self.named_in(token).ok()?;
        let kid = decode_header(token).ok()?.kid;
        issuer.keys.may_lack(kid.as_deref()).then_some(&*issuer.name)
    }

    /// The issuer that the unverified `iss` names.
    fn named_in(&self, token: &str) -> Result<&Issuer, TokenError> {
        let unverified: Claims =
            insecure_decode_claims(token).map_err(|_| TokenError::Malformed)?;
        let name = unverified.get("iss").and_then(Value::as_str).unwrap_or_default();
        let issuer = self.0.iter().find(|issuer| *issuer.name == *name);
        issuer.ok_or_else(|| TokenError::UnknownIssuer(shortened(name)))
    }
}

impl Issuer {
    /// The claims of a token that this issuer signed for us and whose time it is.
    pub(super) fn claims(&self, now: Now, token: &str) -> Result<Claims, TokenError> {
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        // RFC 7515 §4.1.11: what is critical must be understood, and none of it is.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        if self.keys.is_awaited() {
            return Err(TokenError::NoKeysYet);
        }
        let held = self.keys.read();
        let mut keys = held.iter().filter(|key| key.fits(&header)).peekable();
        keys.peek().ok_or(TokenError::UnknownKey)?;
        let opened =
            keys.map(|key| key.open(token)).find(|opened| *opened != Err(TokenError::Signature));
        let claims = opened.unwrap_or(Err(TokenError::Signature))?;
        check_times(now, &claims)?;
        self.check_audience(&claims)?;
        Ok(claims)
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), TokenError> {
        let is_ours = |value: &Value| {
            value.as_str().is_some_and(|text| self.audiences.iter().any(|ours| **ours == *text))
        };
        let is_meant = self.audiences.is_empty()
            || claims.get("aud").is_some_and(|aud| match aud {
                Value::Array(all) => all.iter().any(is_ours),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Object(_) => is_ours(aud),
            });
        if is_meant { Ok(()) } else { Err(TokenError::Audience) }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TokenKey {
    fn fits(&self, header: &Header) -> bool {
        let is_named = header.kid.as_deref().is_none_or(|kid| self.is_named(kid));
        is_named && self.algorithm == header.alg
    }

    /// Whether `kid` may mean this key.
    pub(super) fn is_named(&self, kid: &str) -> bool {
        self.id.as_deref().is_none_or(|id| id == kid)
    }

    /// The claims, if this key signed them.
    fn open(&self, token: &str) -> Result<Claims, TokenError> {
        let mut rules = Validation::new(self.algorithm);
        // Times and audience are judged by `Issuer::claims`: by our clock, and with our errors.
        rules.required_spec_claims.clear();
        (rules.validate_exp, rules.validate_aud) = (false, false);
        match jsonwebtoken::decode::<Claims>(token, &self.key, &rules) {
            Ok(opened) => Ok(opened.claims),
            Err(error) if *error.kind() == ErrorKind::InvalidSignature => {
                Err(TokenError::Signature)
            }
            // Signed, and still no claims: a time that is a list, a text that is none.
            Err(_) => Err(TokenError::Malformed),
        }
    }
}

fn check_times(now: Now, claims: &Claims) -> Result<(), TokenError> {
    let now_s = now.unix_s();
    let expires_at = seconds(claims.get("exp"))?.ok_or(TokenError::BadTime)?;
    if expires_at + CREDENTIAL_SKEW_S <= now_s {
        return Err(TokenError::Expired { ago_s: now_s - expires_at });
    }
    match seconds(claims.get("nbf"))? {
        Some(from) if from - CREDENTIAL_SKEW_S > now_s => Err(TokenError::NotYet),
        Some(_) | None => Ok(()),
    }
}

/// Unix seconds; RFC 7519 §2 allows fractions.
fn seconds(value: Option<&Value>) -> Result<Option<i64>, TokenError> {
    const FAR: f64 = 1e12;
    match value {
        None => Ok(None),
        Some(value) => value
            .as_f64()
            .filter(|seconds| seconds.abs() < FAR)
            .map(|seconds| Some(seconds.floor() as i64))
            .ok_or(TokenError::BadTime),
    }
}

fn identity(issuer: &Issuer, claims: &Claims) -> Result<Identity, TokenError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let user = text("sub").and_then(UserId::new).ok_or(TokenError::Subject)?;
    let is_guest = claims.get("guest") == Some(&Value::Bool(true));
    Ok(Identity {
        tenant: issuer.tenancy.tenant(claims).ok_or(TokenError::Tenant)?,
        user,
        role: role(issuer, claims)?,
        name: shortened(text("name").unwrap_or_default()),
        is_verified: match issuer.vouches {
            Vouches::Always => true,
            Vouches::ExceptForGuests => !is_guest,
        },
        expires_at_unix_s: seconds(claims.get("exp"))?,
        contact: text("contact_id").map(shortened),
        number: text("phone_number").map(shortened),
    })
}

fn role(issuer: &Issuer, claims: &Claims) -> Result<Role, TokenError> {
    let ours = ClaimPath::new("turnbell_role");
    if let Some(word) = issuer.role_claim.iter().chain([&ours]).find_map(|path| path.text(claims)) {
        return Role::from_code(word).ok_or(TokenError::Role);
    }
    // Common among hosted back ends; a word that is none of ours means something else there.
    let common = ClaimPath::new("app_metadata.role");
    Ok(common.text(claims).and_then(Role::from_code).unwrap_or(Role::Member))
}

impl Tenancy {
    fn tenant(&self, claims: &Claims) -> Option<TenantId> {
        match self {
            Self::One(tenant) => Some(tenant.clone()),
            Self::Claim { claim, among } => {
                let named = TenantId::new(claim.text(claims)?)?;
                among.contains(&named).then_some(named)
            }
            Self::Any(claim) => TenantId::new(claim.text(claims)?),
        }
    }
}

/// What is shown to people, at most [`TOKEN_NAME_BYTES_MAX`] and without control characters.
fn shortened(text: &str) -> Box<str> {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    let end = plain.floor_char_boundary(TOKEN_NAME_BYTES_MAX);
    plain[..end].into()
}

#[cfg(test)]
mod tests;
