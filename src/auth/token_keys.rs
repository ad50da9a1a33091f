//! Keys of token issuers: shared secrets, PEM files and JWK sets (RFC 7517), each pinned to one
//! algorithm.

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey};

use super::secret::Secret;
use super::token::TokenKey;
use crate::limits::ws::TOKEN_KEYS_MAX;

/// Why keys could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Not JSON of the form `{"keys":[...]}`.
    #[error("not a JWK set: {0}")]
    NotASet(String),
    /// Nothing in it can be used.
    #[error("it holds no key that can verify a token: {0}")]
    NoneUsable(String),
}

impl TokenKey {
    /// HS256 with the UTF-8 bytes of a shared secret.
    #[must_use]
    pub fn shared(secret: &Secret<String>) -> Self {
        Self {
            id: None,
            algorithm: Algorithm::HS256,
            key: DecodingKey::from_secret(secret.expose().as_bytes()),
        }
    }

    /// The public keys of a JWK set, at most [`TOKEN_KEYS_MAX`].
    ///
    /// Keys of unknown kinds, for encryption, and symmetric ones (a set is public) are left out.
    ///
    /// # Errors
    /// If it is no set, or nothing of it can be used: then with the reason for each key.
    pub fn of_jwk_set(json: &[u8]) -> Result<Vec<Self>, KeysError> {
        let set: JwkSet =
            serde_json::from_slice(json).map_err(|error| KeysError::NotASet(error.to_string()))?;
        let mut reasons = Vec::new();
        let mut keys = Vec::new();
        for jwk in set.keys.iter().take(TOKEN_KEYS_MAX) {
            match public(jwk) {
                Ok(key) => keys.push(key),
                Err(reason) => {
                    let id = jwk.common.key_id.as_deref().unwrap_or("(no kid)");
                    reasons.push(format!("{id}: {reason}"));
                }
            }
        }
        if keys.is_empty() {
            let why =
                if reasons.is_empty() { "it is empty".to_owned() } else { reasons.join("; ") };
            return Err(KeysError::NoneUsable(why));
        }
        Ok(keys)
    }
}

/// Whether [`TokenKey::of_jwk_set`] finds a key in it.
///
/// # Errors
/// As it.
pub fn check_jwk_set(json: &[u8]) -> Result<(), KeysError> {
    TokenKey::of_jwk_set(json).map(|_| ())
}

fn public(jwk: &Jwk) -> Result<TokenKey, &'static str> {
    if jwk.common.public_key_use == Some(PublicKeyUse::Encryption) {
        return Err("is for encryption");
    }
    let (usual, allowed): (Algorithm, &[Algorithm]) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (
            Algorithm::RS256,
            &[
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
        ),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => (Algorithm::ES256, &[Algorithm::ES256]),
            EllipticCurve::P384 => (Algorithm::ES384, &[Algorithm::ES384]),
            EllipticCurve::P521 | EllipticCurve::Ed25519 | _ => {
                return Err("is of an unsupported curve");
            }
        },
        AlgorithmParameters::OctetKeyPair(key) => match key.curve {
            EllipticCurve::Ed25519 => (Algorithm::EdDSA, &[Algorithm::EdDSA]),
            EllipticCurve::P256 | EllipticCurve::P384 | EllipticCurve::P521 | _ => {
                return Err("is of an unsupported curve");
            }
        },
        AlgorithmParameters::OctetKey(_) => return Err("is a shared secret, in a public set"),
        AlgorithmParameters::Other(_) | _ => return Err("is of an unknown kind"),
    };
    let algorithm = match jwk.common.key_algorithm {
        None => usual,
        Some(named) => signing(named)
            .filter(|named| allowed.contains(named))
            .ok_or("has an alg that does not fit its kind")?,
    };
    let key = DecodingKey::from_jwk(jwk).map_err(|_| "cannot be read")?;
    Ok(TokenKey { id: jwk.common.key_id.as_deref().map(Into::into), algorithm, key })
}

fn signing(named: KeyAlgorithm) -> Option<Algorithm> {
    named.to_string().parse().ok()
}

#[cfg(test)]
mod tests;
