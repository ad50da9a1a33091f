//! Tokens for the clients, signed with a key that the server knows.

use std::path::Path;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::LoadError;
use crate::auth::identity::{Identity, Role, TenantId, UserId};
use crate::auth::own_token::OwnKey;
use crate::auth::secret::Secret;
use crate::limits::load::LOAD_TOKEN_TTL;
use crate::time::Now;

/// Signs a token for any user.
pub struct Signer {
    tenant: TenantId,
    key: Key,
}

enum Key {
    Own(OwnKey),
    Issuer { key: EncodingKey, issuer: String, audience: Option<String> },
}

impl Signer {
    /// With the server's own key.
    #[must_use]
    pub fn own(key: OwnKey, tenant: TenantId) -> Self {
        Self { tenant, key: Key::Own(key) }
    }

    /// With the first secret of a file, as an issuer (`[[identity.issuer]]`) of the server's config.
    ///
    /// # Errors
    /// If the file cannot be read, or holds none.
    pub fn issuer(
        issuer: String,
        audience: Option<String>,
        secret_file: &Path,
        tenant: TenantId,
    ) -> Result<Self, LoadError> {
        let wrong = |why: String| LoadError::File { path: secret_file.display().to_string(), why };
        let text = std::fs::read_to_string(secret_file).map_err(|why| wrong(why.to_string()))?;
        let text = Secret::new(text);
        let mut lines = text.expose().lines().map(str::trim);
        let secret = lines
            .find(|line| !line.is_empty() && !line.starts_with('#'))
            .ok_or_else(|| wrong("no secret is in it; one stands on a line".to_owned()))?;
        let key = EncodingKey::from_secret(secret.as_bytes());
        Ok(Self { tenant, key: Key::Issuer { key, issuer, audience } })
    }

    /// The tenant whose quotas count.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// A member's token. `None` if it cannot be signed, which any key can.
    pub(super) fn token(&self, user: &str) -> Option<String> {
        let now = Now::read();
        let expires_at = now.unix_s().saturating_add_unsigned(LOAD_TOKEN_TTL.as_secs());
        match &self.key {
            Key::Own(key) => key.session(
                now,
                &Identity {
                    tenant: self.tenant.clone(),
                    user: UserId::new(user)?,
                    role: Role::Member,
                    name: user.into(),
                    is_verified: true,
                    expires_at_unix_s: Some(expires_at),
                    contact: None,
                    number: None,
                },
            ),
            Key::Issuer { key, issuer, audience } => {
                let mut claims =
                    json!({"iss": issuer, "sub": user, "name": user, "exp": expires_at});
                if let Some(audience) = audience {
                    claims["aud"] = audience.as_str().into();
                }
                jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, key).ok()
            }
        }
    }
}
