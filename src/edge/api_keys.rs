//! API keys in memory: `/ice` asks here, so a broken database refuses nobody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::pace::Rate;
use crate::auth::api_key::{ApiKeyHash, KeyGrant};
use crate::limits::API_KEYS_MAX;
use crate::time::Now;

/// The keys that pass. Filled from the record at start, changed by the control socket.
#[derive(Debug, Default)]
pub struct ApiKeys(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    key_by_hash: HashMap<ApiKeyHash, Key>,
    /// How many keys name an origin: a preflight does not say which key is to come.
    keys_by_origin: HashMap<Box<str>, usize>,
}

#[derive(Debug)]
struct Key {
    id: Box<str>,
    grant: Arc<KeyGrant>,
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
    pub fn insert(&self, hash: ApiKeyHash, id: &str, grant: KeyGrant) -> Result<(), KeysFull> {
        let mut table = self.lock();
        if table.key_by_hash.len() >= API_KEYS_MAX && !table.key_by_hash.contains_key(&hash) {
            return Err(KeysFull);
        }
        table.remove(hash);
        for origin in &grant.origins {
            *table.keys_by_origin.entry(origin.clone()).or_default() += 1;
        }
        let key = Key { id: id.into(), grant: Arc::new(grant), rate: Rate::default() };
        table.key_by_hash.insert(hash, key);
        Ok(())
    }

    /// Refuses a key from here on; false if it was not there.
    pub fn remove(&self, hash: ApiKeyHash) -> bool {
        self.lock().remove(hash)
    }

    /// The id of a key that passes, and what it opens.
    #[must_use]
    pub fn find(&self, now: Now, hash: ApiKeyHash) -> Option<(Box<str>, Arc<KeyGrant>)> {
        let table = self.lock();
        let key = table.key_by_hash.get(&hash).filter(|key| !key.grant.has_ended(now))?;
        Some((key.id.clone(), Arc::clone(&key.grant)))
    }

    /// Makes room of keys whose time is over.
    pub(crate) fn forget_ended(&self, now: Now) {
        let mut table = self.lock();
        let mut ended = Vec::new();
        table.key_by_hash.retain(|_, key| {
            let has_ended = key.grant.has_ended(now);
            if has_ended {
                ended.push(Arc::clone(&key.grant));
            }
            !has_ended
        });
        ended.iter().for_each(|grant| table.forget_origins(grant));
    }

    /// Whether some key may be used by pages of this origin.
    pub(crate) fn name_origin(&self, origin: &str) -> bool {
        self.lock().keys_by_origin.contains_key(origin)
    }

    /// Takes one request from the key's rate; false if it is used up or the key gone.
    pub(crate) fn take(&self, now: Now, hash: ApiKeyHash, per_s: u32) -> bool {
        let mut table = self.lock();
        let Some(key) = table.key_by_hash.get_mut(&hash) else { return false };
        key.rate.take(now, per_s)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing in here panics: the table is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn remove(&mut self, hash: ApiKeyHash) -> bool {
        let Some(key) = self.key_by_hash.remove(&hash) else { return false };
        self.forget_origins(&key.grant);
        true
    }

    fn forget_origins(&mut self, grant: &KeyGrant) {
        for origin in &grant.origins {
            let Some(keys) = self.keys_by_origin.get_mut(origin) else { continue };
            *keys -= 1;
            if *keys == 0 {
                self.keys_by_origin.remove(origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::api_key::KeyScope;
    use crate::limits::RETRY_AFTER_S;

    fn ice() -> KeyGrant {
        KeyGrant::of(KeyScope::Ice)
    }

    fn of(key: &str) -> ApiKeyHash {
        ApiKeyHash::of(key)
    }

    #[test]
    fn a_key_passes_from_insert_until_remove_and_another_never() {
        let (keys, now) = (ApiKeys::default(), Now::read());
        assert_eq!(keys.find(now, of("tbk_a")), None);
        keys.insert(of("tbk_a"), "k1", ice()).unwrap();
        assert_eq!(keys.find(now, of("tbk_a")), Some(("k1".into(), Arc::new(ice()))));
        assert_eq!(keys.find(now, of("tbk_b")), None);
        assert!(keys.remove(of("tbk_a")));
        assert!(!keys.remove(of("tbk_a")));
        assert_eq!(keys.find(now, of("tbk_a")), None);
    }

    #[test]
    fn a_key_that_ends_by_itself_passes_until_then_and_takes_no_room_after() {
        let (keys, now) = (ApiKeys::default(), Now::read());
        let until = |ms| KeyGrant { ends_at_unix_ms: Some(now.unix_ms + ms), ..ice() };
        for n in 1..API_KEYS_MAX {
            keys.insert(of(&n.to_string()), "k", until(1000)).unwrap();
        }
        keys.insert(of("lasting"), "k", ice()).unwrap();
        let after = |ms| now.after(Duration::from_millis(ms));
        keys.forget_ended(after(999));
        assert!(keys.find(after(999), of("1")).is_some());
        assert_eq!(keys.find(after(1000), of("1")), None);
        assert_eq!(keys.insert(of("one more"), "k", ice()), Err(KeysFull));
        keys.forget_ended(after(1000));
        assert_eq!(keys.insert(of("one more"), "k", ice()), Ok(()));
        assert!(keys.find(after(1000), of("lasting")).is_some());
    }

    #[test]
    fn an_origin_is_named_while_a_key_names_it() {
        let keys = ApiKeys::default();
        let of_page = || KeyGrant { origins: vec!["https://a".into()], ..ice() };
        keys.insert(of("a"), "a", of_page()).unwrap();
        keys.insert(of("a"), "a", of_page()).unwrap();
        keys.insert(of("b"), "b", of_page()).unwrap();
        assert!(keys.name_origin("https://a") && !keys.name_origin("https://b"));
        keys.remove(of("a"));
        assert!(keys.name_origin("https://a"));
        keys.remove(of("b"));
        assert!(!keys.name_origin("https://a"));
    }

    #[test]
    fn the_last_key_that_fits_is_taken_and_the_next_is_refused() {
        let keys = ApiKeys::default();
        for n in 0..API_KEYS_MAX {
            keys.insert(of(&n.to_string()), "k", ice()).unwrap();
        }
        assert_eq!(keys.insert(of("one more"), "k", ice()), Err(KeysFull));
        assert_eq!(keys.insert(of("0"), "again", ice()), Ok(()));
    }

    #[test]
    fn a_key_over_its_rate_waits_and_leaves_the_others_theirs() {
        let (keys, now) = (ApiKeys::default(), Now::read());
        keys.insert(of("a"), "a", ice()).unwrap();
        keys.insert(of("b"), "b", ice()).unwrap();
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
        keys.insert(of("a"), "a", ice()).unwrap();
        assert!(keys.take(now, of("a"), 1) && keys.take(now, of("a"), 1));
        assert!(!keys.take(now, of("a"), 1));
        for _ in 0..6 {
            assert!(keys.take(now, of("a"), 3));
        }
        assert!(!keys.take(now, of("a"), 3));
    }
}
