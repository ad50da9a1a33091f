//! A map whose order is fixed: look-ups by hash, iteration by slot.

use std::collections::HashMap;
use std::hash::Hash;

use slab::Slab;

/// Values by key. Iteration follows the slots, so that one history gives one order.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    slot_by_key: HashMap<K, usize>,
    values: Slab<(K, V)>,
}

impl<K: Copy + Eq + Hash, V> Table<K, V> {
    pub(super) fn new() -> Self {
        Self { slot_by_key: HashMap::new(), values: Slab::new() }
    }

    pub(super) fn get(&self, key: K) -> Option<&V> {
        let slot = *self.slot_by_key.get(&key)?;
        self.values.get(slot).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let slot = *self.slot_by_key.get(&key)?;
        self.values.get_mut(slot).map(|(_, value)| value)
    }

    /// `key` must be new.
    pub(super) fn insert(&mut self, key: K, value: V) {
        let slot = self.values.insert((key, value));
        let before = self.slot_by_key.insert(key, slot);
        debug_assert!(before.is_none(), "keys are never used twice");
    }

    pub(super) fn remove(&mut self, key: K) -> Option<V> {
        let slot = self.slot_by_key.remove(&key)?;
        self.values.try_remove(slot).map(|(_, value)| value)
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(super) fn keys(&self) -> Vec<K> {
        self.values.iter().map(|(_, (key, _))| *key).collect()
    }
}
