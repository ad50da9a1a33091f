//! `KeyRing`: the keys of an issuer. Those that are fetched are replaced as a whole while tokens are
//! verified with them.

use std::sync::{Arc, PoisonError, RwLock};

use super::token::TokenKey;

/// An issuer's keys. Clones share them.
#[derive(Debug, Clone)]
pub struct KeyRing {
    keys: Arc<RwLock<Arc<[TokenKey]>>>,
    is_fetched: bool,
}

impl KeyRing {
    /// Keys that are there from the start on, and stay.
    #[must_use]
    pub fn fixed(keys: Vec<TokenKey>) -> Self {
        Self { keys: Arc::new(RwLock::new(keys.into())), is_fetched: false }
    }

    /// None yet.
    #[must_use]
    pub fn fetched() -> Self {
        Self { is_fetched: true, ..Self::fixed(Vec::new()) }
    }

    /// Other keys count from here on.
    pub fn replace(&self, keys: Vec<TokenKey>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
    }

    /// Those that count at this moment.
    #[must_use]
    pub fn read(&self) -> Arc<[TokenKey]> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether nothing can be verified because nothing was fetched so far.
    pub(super) fn is_awaited(&self) -> bool {
        self.is_fetched && self.read().is_empty()
    }

    /// Whether a newer set may hold the key that this `kid` names.
    pub(super) fn may_lack(&self, kid: Option<&str>) -> bool {
        let keys = self.read();
        let is_known = |kid: &str| keys.iter().any(|key| key.is_named(kid));
        self.is_fetched && (keys.is_empty() || kid.is_some_and(|kid| !is_known(kid)))
    }
}
