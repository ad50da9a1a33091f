//! API keys in memory: `/ice` asks here, so a broken database refuses nobody.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::auth::api_key::ApiKeyHash;
use crate::edge::rate::{Bucket, Rate};
use crate::limits::API_KEYS_MAX;
use crate::time::Now;

/// The keys that pass. Filled from the record at start, changed by the control socket.
#[derive(Debug, Default)]
pub struct ApiKeys {
    key_by_hash: Mutex<HashMap<ApiKeyHash, Key>>,
}

#[derive(Debug)]
struct Key {
    name: Box<str>,
    bucket: Bucket,
}

/// [`API_KEYS_MAX`] keys exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are already {API_KEYS_MAX} API keys; revoke some first")]
pub struct KeysFull;

/// Why a key gets no config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyRefusal {
    /// Nobody made it, or somebody revoked it.
    Unknown,
    /// Over its rate; one more passes after this long.
    Limited(Duration),
}

impl ApiKeys {
    /// Lets a key pass from here on. A hash that is known keeps its bucket and takes the new name.
    ///
    /// # Errors
    /// [`KeysFull`] at [`API_KEYS_MAX`].
    pub fn insert(&self, now: Now, hash: ApiKeyHash, name: &str) -> Result<(), KeysFull> {
        let mut keys = self.lock();
        if let Some(key) = keys.get_mut(&hash) {
            key.name = name.into();
            return Ok(());
        }
        if keys.len() >= API_KEYS_MAX {
            return Err(KeysFull);
        }
        keys.insert(hash, Key { name: name.into(), bucket: Bucket::full(now) });
        Ok(())
    }

    /// Refuses a key from here on; false if it was not there.
    pub fn remove(&self, hash: ApiKeyHash) -> bool {
        self.lock().remove(&hash).is_some()
    }

    /// The name of the presented key, if it passes.
    #[must_use]
    pub fn name_of(&self, key: &str) -> Option<Box<str>> {
        self.lock().get(&ApiKeyHash::of(key)).map(|key| key.name.clone())
    }

    /// Takes one request from the presented key's rate; its name.
    pub(crate) fn take(&self, now: Now, key: &str, rate: Rate) -> Result<Box<str>, KeyRefusal> {
        let hash = ApiKeyHash::of(key);
        let mut keys = self.lock();
        let Some(key) = keys.get_mut(&hash) else { return Err(KeyRefusal::Unknown) };
        key.bucket.take(now, rate).map_err(KeyRefusal::Limited)?;
        Ok(key.name.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ApiKeyHash, Key>> {
        // Every change is one map operation: a panic elsewhere leaves the table whole.
        self.key_by_hash.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_passes_from_insert_until_remove_and_another_never() {
        let (keys, now) = (ApiKeys::default(), Now::read());
        assert_eq!(keys.name_of("tbk_a"), None);
        keys.insert(now, ApiKeyHash::of("tbk_a"), "shop").unwrap();
        assert_eq!(keys.name_of("tbk_a").as_deref(), Some("shop"));
        assert_eq!(keys.name_of("tbk_b"), None);
        assert!(keys.remove(ApiKeyHash::of("tbk_a")));
        assert!(!keys.remove(ApiKeyHash::of("tbk_a")));
        assert_eq!(keys.name_of("tbk_a"), None);
    }

    #[test]
    fn the_last_key_that_fits_is_taken_and_the_next_is_refused() {
        let (keys, now) = (ApiKeys::default(), Now::read());
        for n in 0..API_KEYS_MAX {
            keys.insert(now, ApiKeyHash::of(&n.to_string()), "k").unwrap();
        }
        assert_eq!(keys.insert(now, ApiKeyHash::of("one more"), "k"), Err(KeysFull));
        assert_eq!(keys.insert(now, ApiKeyHash::of("0"), "renamed"), Ok(()));
    }

    #[test]
    fn one_key_over_its_rate_leaves_the_other_its_own() {
        let (keys, now) = (ApiKeys::default(), Now::read());
        let rate = Rate { per_s: 1.try_into().unwrap(), burst: 1.try_into().unwrap() };
        keys.insert(now, ApiKeyHash::of("a"), "a").unwrap();
        keys.insert(now, ApiKeyHash::of("b"), "b").unwrap();
        assert!(keys.take(now, "a", rate).is_ok());
        let wait = Duration::from_secs(1);
        assert_eq!(keys.take(now, "a", rate), Err(KeyRefusal::Limited(wait)));
        assert!(keys.take(now, "b", rate).is_ok());
        assert_eq!(keys.take(now, "c", rate), Err(KeyRefusal::Unknown));
        assert!(keys.take(now.after(wait), "a", rate).is_ok());
    }
}
