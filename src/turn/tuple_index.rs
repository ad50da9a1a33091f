//! Which allocation a five-tuple has: four bytes each, for the five-tuple itself stands in the
//! allocation.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use slab::Slab;

use super::allocation::Allocation;
use super::five_tuple::FiveTuple;

/// Slots of allocations by their five-tuple.
#[derive(Debug, Default)]
pub(super) struct TupleIndex {
    slots: HashTable<u32>,
    /// Random for each relay: nobody can choose five-tuples that meet.
    hasher: RandomState,
    /// The one found last: datagrams of a client come together.
    last: Cell<u32>,
}

impl TupleIndex {
    pub(super) fn get(&self, allocations: &Slab<Allocation>, tuple: FiveTuple) -> Option<usize> {
        let last = self.last.get() as usize;
        if allocations.get(last).is_some_and(|found| found.tuple == tuple) {
            return Some(last);
        }
        let is_it = |slot: &u32| allocations[*slot as usize].tuple == tuple;
        let slot = *self.slots.find(self.hasher.hash_one(tuple), is_it)?;
        self.last.set(slot);
        Some(slot as usize)
    }

    /// The allocation in `slot` has its five-tuple from here on; no other one has it.
    pub(super) fn insert(&mut self, allocations: &Slab<Allocation>, slot: usize) {
        let Self { slots, hasher, last: _ } = self;
        let hash = |slot: &u32| hasher.hash_one(allocations[*slot as usize].tuple);
        // There are fewer ports than this.
        let slot = slot as u32;
        slots.insert_unique(hash(&slot), slot, hash);
    }

    /// The allocation in `slot`, which had this five-tuple, is gone.
    pub(super) fn remove(&mut self, tuple: FiveTuple, slot: usize) {
        let hash = self.hasher.hash_one(tuple);
        let found = self.slots.find_entry(hash, |held| *held as usize == slot);
        debug_assert!(found.is_ok(), "every allocation has its place");
        if let Ok(entry) = found {
            entry.remove();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}
