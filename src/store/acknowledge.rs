//! Who waits for an entry hears exactly once whether it is durable.

use std::fmt;

/// The entry is not in the file.
///
/// It was dropped, or the record is not being written at this moment. In the second case it waits
/// on like any other entry and may still be stored, so that an outage leaves no hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NotDurable;

/// Told `Ok` after the commit that holds the entry, else `Err`: at the latest when it is dropped.
/// What it calls runs on the writer's thread or the recording one, and must not wait.
pub struct Acknowledge(Option<Told>);

type Told = Box<dyn FnOnce(Result<(), NotDurable>) + Send>;

impl Acknowledge {
    /// Calls `told` once.
    #[must_use]
    pub fn new(told: impl FnOnce(Result<(), NotDurable>) + Send + 'static) -> Self {
        Self(Some(Box::new(told)))
    }

    /// The entry is committed.
    pub(super) fn durable(mut self) {
        if let Some(told) = self.0.take() {
            told(Ok(()));
        }
    }
}

impl Drop for Acknowledge {
    fn drop(&mut self) {
        if let Some(told) = self.0.take() {
            told(Err(NotDurable));
        }
    }
}

impl fmt::Debug for Acknowledge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Acknowledge").field(&self.0.is_some()).finish()
    }
}
