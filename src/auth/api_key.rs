//! API keys: made once, shown once, stored as a hash.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::identity::TenantId;
use super::secret::{Secret, random_bytes};
use crate::time::Now;

/// What every key starts with, so that a leaked one is recognised in a log or a repository.
pub const PREFIX: &str = "tbk_";

/// What the key in a link of `turnbell verify --link` starts with.
pub const LINK_PREFIX: &str = "tbv_";

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

macro_rules! scopes {
    ($($variant:ident = $code:literal, $doc:literal;)*) => {
        /// What a key opens (P9).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum KeyScope {
            $(#[doc = $doc] $variant,)*
        }

        impl KeyScope {
            /// Every scope, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its stable word.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }
        }
    };
}

scopes! {
    Ice = "ice", "Asks for ICE configs.";
    Calls = "calls", "Ends and rejects calls, makes invites.";
    Log = "log", "Reads calls, counts and health.";
    Verify = "verify", "Verifies from a page (P8), and nothing else.";
    Admin = "admin", "Everything, and revokes users.";
}

impl KeyScope {
    /// Reads its word.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scope| scope.code() == code)
    }
}

/// What a key may do, for whom, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyGrant {
    /// What it opens; a key of none opens nothing.
    pub scopes: Vec<KeyScope>,
    /// The one tenant it is for; `None`: all of them.
    pub tenant: Option<TenantId>,
    /// Pages that may use it, as browsers write their origin; empty: it is for servers.
    pub origins: Vec<Box<str>>,
    /// When it ends by itself, Unix milliseconds; `None`: when somebody revokes it.
    pub ends_at_unix_ms: Option<i64>,
}

impl KeyGrant {
    /// For servers, in every tenant.
    #[must_use]
    pub fn of(scope: KeyScope) -> Self {
        Self { scopes: vec![scope], tenant: None, origins: Vec::new(), ends_at_unix_ms: None }
    }

    /// Whether it opens this.
    #[must_use]
    pub fn has(&self, scope: KeyScope) -> bool {
        self.scopes.iter().any(|own| [scope, KeyScope::Admin].contains(own))
    }

    /// Whether its time is over.
    #[must_use]
    pub fn has_ended(&self, now: Now) -> bool {
        self.ends_at_unix_ms.is_some_and(|ends_at| ends_at <= now.unix_ms)
    }
}

/// A fresh key: [`PREFIX`] or another one, and 43 characters of base64url (32 random bytes).
///
/// # Errors
/// Fails only where the kernel has no entropy source.
pub fn generate(prefix: &str) -> Result<Secret<String>, getrandom::Error> {
    let bytes = random_bytes::<32>()?;
    Ok(Secret::new(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_opens_itself_and_admin_opens_all() {
        for &scope in KeyScope::ALL {
            assert_eq!(KeyScope::from_code(scope.code()), Some(scope));
            for &asked in KeyScope::ALL {
                let opens = KeyGrant::of(scope).has(asked);
                assert_eq!(
                    opens,
                    scope == asked || scope == KeyScope::Admin,
                    "{scope:?} {asked:?}"
                );
            }
        }
        assert_eq!(KeyScope::from_code("root"), None);
        let none = KeyGrant { scopes: Vec::new(), ..KeyGrant::of(KeyScope::Ice) };
        assert!(!none.has(KeyScope::Ice));
    }

    #[test]
    fn a_generated_key_is_recognisable_and_hashes_to_itself_only() {
        let (a, b) = (generate(PREFIX).unwrap(), generate(PREFIX).unwrap());
        assert!(a.expose().starts_with(PREFIX));
        assert_eq!(a.expose().len(), 47);
        assert_eq!(ApiKeyHash::of(a.expose()), ApiKeyHash::of(a.expose()));
        assert_ne!(ApiKeyHash::of(a.expose()), ApiKeyHash::of(b.expose()));
    }
}
