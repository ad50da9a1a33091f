//! A value that is read by many and replaced as a whole.

use std::sync::{Arc, PoisonError, RwLock};

/// Readers take the value that counts at that moment and keep it as long as they like.
#[derive(Debug)]
pub struct Snapshot<T>(RwLock<Arc<T>>);

impl<T> Snapshot<T> {
    /// Holds `value`.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    /// What counts at this moment.
    #[must_use]
    pub fn read(&self) -> Arc<T> {
        // Whatever panicked, the pointer in here was replaced whole.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts from here on; who read before goes on with what they have.
    pub fn replace(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_keeps_what_it_read_and_the_next_one_reads_the_new_value() {
        let snapshot = Snapshot::new(1);
        let before = snapshot.read();
        snapshot.replace(2);
        assert_eq!((*before, *snapshot.read()), (1, 2));
    }
}
