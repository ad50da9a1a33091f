//! API keys in memory: `/ice` asks here, so a broken database refuses nobody.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Rate;
use crate::auth::api_key::ApiKeyHash;
use crate::limits::API_KEYS_MAX;
use crate::time::Now;

/// The keys that pass. Filled from the record at start, changed by the control socket.
#[derive(Debug, Default)]
pub struct ApiKeys {
    key_by_hash: Mutex<HashMap<ApiKeyHash, Key>>,
}

#[derive(Debug)]
struct Key {
    id: Box<str>,
    rate: Rate,
}

/// [`API_KEYS_MAX`] keys exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are already {API_KEYS_MAX} API keys; revoke some first")]
pub struct KeysFull;

impl ApiKeys {
    /// Lets the key with this hash pass from here on; `id` is its name in the record.
    ///
    /// # Errors
    /// [`KeysFull`] at [`API_KEYS_MAX`].
    pub fn insert(&self, hash: ApiKeyHash, id: &str) -> Result<(), KeysFull> {
        let mut keys = self.lock();
        if keys.len() >= API_KEYS_MAX && !keys.contains_key(&hash) {
            return Err(KeysFull);
        }
        keys.insert(hash, Key { id: id.into(), rate: Rate::default() });
        Ok(())
    }

    /// Refuses a key from here on; false if it was not there.
    pub fn remove(&self, hash: ApiKeyHash) -> bool {
        self.lock().remove(&hash).is_some()
    }

    /// The id of a key that passes.
    #[must_use]
    pub fn id_of(&self, hash: ApiKeyHash) -> Option<Box<str>> {
        self.lock().get(&hash).map(|key| key.id.clone())
    }

    /// Takes one request from the key's rate; false if it is used up or the key gone.
    pub(crate) fn take(&self, now: Now, hash: ApiKeyHash, per_s: u32) -> bool {
        let mut keys = self.lock();
        let Some(key) = keys.get_mut(&hash) else { return false };
        key.rate.take(now, per_s)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ApiKeyHash, Key>> {
        // Every change is one map operation: a panic elsewhere leaves the table whole.
        self.key_by_hash.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limits::RETRY_AFTER_S;

    fn of(key: &str) -> ApiKeyHash {
        ApiKeyHash::of(key)
    }

    #[test]
    fn a_key_passes_from_insert_until_remove_and_another_never() {
        let keys = ApiKeys::default();
        assert_eq!(keys.id_of(of("tbk_a")), None);
        keys.insert(of("tbk_a"), "k1").unwrap();
        assert_eq!(keys.id_of(of("tbk_a")).as_deref(), Some("k1"));
        assert_eq!(keys.id_of(of("tbk_b")), None);
        assert!(keys.remove(of("tbk_a")));
        assert!(!keys.remove(of("tbk_a")));
        assert_eq!(keys.id_of(of("tbk_a")), None);
    }

    #[test]
    fn the_last_key_that_fits_is_taken_and_the_next_is_refused() {
        let keys = ApiKeys::default();
        for n in 0..API_KEYS_MAX {
            keys.insert(of(&n.to_string()), "k").unwrap();
        }
        assert_eq!(keys.insert(of("one more"), "k"), Err(KeysFull));
        assert_eq!(keys.insert(of("0"), "again"), Ok(()));
    }

    #[test]
    fn a_key_over_its_rate_waits_and_leaves_the_others_theirs() {
        let (keys, now) = (ApiKeys::default(), Now::read());
        keys.insert(of("a"), "a").unwrap();
        keys.insert(of("b"), "b").unwrap();
        assert!(keys.take(now, of("a"), 1));
        assert!(keys.take(now, of("a"), 1));
        assert!(!keys.take(now, of("a"), 1));
        assert!(keys.take(now, of("b"), 1));
        assert!(!keys.take(now, of("c"), 1));
        assert!(!keys.take(now.after(Duration::from_millis(999)), of("a"), 1));
        assert!(keys.take(now.after(Duration::from_secs(RETRY_AFTER_S)), of("a"), 1));
    }

    #[test]
    fn another_rate_counts_from_the_next_request_on() {
        let (keys, now) = (ApiKeys::default(), Now::read());
        keys.insert(of("a"), "a").unwrap();
        assert!(keys.take(now, of("a"), 1) && keys.take(now, of("a"), 1));
        assert!(!keys.take(now, of("a"), 1));
        for _ in 0..6 {
            assert!(keys.take(now, of("a"), 3));
        }
        assert!(!keys.take(now, of("a"), 3));
    }
}
