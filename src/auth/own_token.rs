//! Tokens that this daemon signs itself, with a key of its own: for guests, for `turnbell token`,
//! and in invite links.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::identity::{Identity, TenantId, UserId};
use super::key_ring::KeyRing;
use super::secret::Secret;
use super::token::{ClaimPath, Issuer, Tenancy, TokenError, TokenKey, Vouches};
use crate::time::Now;

/// `iss` of these tokens; no configured issuer may bear it.
pub const OWN_ISSUER: &str = "turnbell";

/// `aud` says what a token is for, so that an invite never passes as a session.
const SESSION: &str = "turnbell:session";
const INVITE: &str = "turnbell:invite";

/// 32 random bytes, kept in the state directory.
#[derive(Clone)]
pub struct OwnKey {
    signing: EncodingKey,
    verifying: DecodingKey,
}

/// What an invite link says, as its maker signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Under which it is counted and revoked, 26 characters.
    pub id: Box<str>,
    /// Whose guest the bearer becomes.
    pub tenant: TenantId,
    /// Who is called; `None`: whoever opens it waits to be called.
    pub to: Option<UserId>,
    /// Unix second from which it is no longer good.
    pub expires_at_unix_s: i64,
}

impl OwnKey {
    /// From the text of the key's file.
    #[must_use]
    pub fn of_text(text: &Secret<String>) -> Self {
        Self::new(&Sha256::digest(text.expose().trim().as_bytes()).into())
    }

    /// From its bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self {
            signing: EncodingKey::from_secret(bytes),
            verifying: DecodingKey::from_secret(bytes),
        }
    }

    /// The issuer that verifies session tokens.
    #[must_use]
    pub fn issuer(&self) -> Issuer {
        self.issuer_of(SESSION)
    }

    /// A session token for `identity`, whose `expires_at_unix_s` must be set.
    ///
    /// `None` if it is not, or cannot be signed, which a key of 32 bytes can always.
    #[must_use]
    pub fn session(&self, now: Now, identity: &Identity) -> Option<String> {
        let mut claims = json!({
            "iss": OWN_ISSUER,
            "aud": SESSION,
            "sub": identity.user.as_str(),
            "tenant": identity.tenant.as_str(),
            "turnbell_role": identity.role.code(),
            "name": identity.name,
            "iat": now.unix_s(),
            "exp": identity.expires_at_unix_s?,
        });
        if !identity.is_verified {
            claims["guest"] = Value::Bool(true);
        }
        self.sign(&claims)
    }

    /// The token of an invite link.
    #[must_use]
    pub fn invite(&self, now: Now, invite: &Invite) -> Option<String> {
        let mut claims = json!({
            "iss": OWN_ISSUER,
            "aud": INVITE,
            "jti": invite.id,
            "tenant": invite.tenant.as_str(),
            "iat": now.unix_s(),
            "exp": invite.expires_at_unix_s,
        });
        if let Some(to) = &invite.to {
            claims["to"] = Value::from(to.as_str());
        }
        self.sign(&claims)
    }

    /// Reads an invite back.
    ///
    /// # Errors
    /// Why it does not count; whether it was revoked or used up is not known here.
    pub fn read_invite(&self, now: Now, token: &str) -> Result<Invite, TokenError> {
        let claims = self.issuer_of(INVITE).claims(now, token)?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        Ok(Invite {
            id: text("jti").ok_or(TokenError::Malformed)?.into(),
            tenant: text("tenant").and_then(TenantId::new).ok_or(TokenError::Tenant)?,
            to: text("to").map(|to| UserId::new(to).ok_or(TokenError::Subject)).transpose()?,
            expires_at_unix_s: claims
                .get("exp")
                .and_then(Value::as_i64)
                .ok_or(TokenError::BadTime)?,
        })
    }

    fn issuer_of(&self, audience: &str) -> Issuer {
        Issuer {
            name: OWN_ISSUER.into(),
            audiences: vec![audience.into()],
            tenancy: Tenancy::Any(ClaimPath::new("tenant")),
            role_claim: None,
            keys: KeyRing::fixed(vec![TokenKey {
                id: None,
                algorithm: Algorithm::HS256,
                key: self.verifying.clone(),
            }]),
            vouches: Vouches::ExceptForGuests,
        }
    }

    fn sign(&self, claims: &Value) -> Option<String> {
        let claims: &Map<String, Value> = claims.as_object()?;
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.signing).ok()
    }
}
