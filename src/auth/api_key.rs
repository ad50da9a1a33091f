//! API keys: made once, shown once, stored as a hash.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::secret::{Secret, random_bytes};

/// What every key starts with, so that a leaked one is recognised in a log or a repository.
pub const PREFIX: &str = "tbk_";

/// SHA-256 of a key's text. The key has 256 random bits, so no slow hash is needed, and a lookup
/// by hash gives an attacker nothing to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKeyHash(pub [u8; 32]);

impl ApiKeyHash {
    /// Hashes a presented key.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }
}

/// A fresh key: `tbk_` and 43 characters of base64url (32 random bytes).
///
/// # Errors
/// Fails only where the kernel has no entropy source.
pub fn generate() -> Result<Secret<String>, getrandom::Error> {
    let bytes = random_bytes::<32>()?;
    Ok(Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_is_recognisable_and_hashes_to_itself_only() {
        let (a, b) = (generate().unwrap(), generate().unwrap());
        assert!(a.expose().starts_with(PREFIX));
        assert_eq!(a.expose().len(), 47);
        assert_eq!(ApiKeyHash::of(a.expose()), ApiKeyHash::of(a.expose()));
        assert_ne!(ApiKeyHash::of(a.expose()), ApiKeyHash::of(b.expose()));
    }
}
