//! Places for HTTP connections: when they run out, who has been asking for nothing for longest
//! gives way, so that a new client always gets in.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// [`super::Options::connections_max`] of them.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    idle: Mutex<Idle>,
    /// Told whenever a connection ends.
    pub(super) one_ended: Notify,
}

/// The connections without a request, the longest idle first.
#[derive(Debug, Default)]
struct Idle {
    notice_by_number: BTreeMap<u64, Arc<Notify>>,
    last_number: u64,
}

/// The place of one connection, idle until [`Place::ask`].
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    notice: Arc<Notify>,
    /// Its number among the idle ones; 0: a request is in flight.
    number: AtomicU64,
    _slot: OwnedSemaphorePermit,
}

/// A request in flight; dropped with the last byte of its answer.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Place>);

impl Places {
    pub(super) fn new(places_max: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(places_max));
        Arc::new(Self { free, idle: Mutex::default(), one_ended: Notify::new() })
    }

    /// Waits only while every place has a request in flight.
    pub(super) async fn take(self: &Arc<Self>) -> Arc<Place> {
        if self.free.available_permits() == 0
            && let Some((_, notice)) = self.idle().notice_by_number.pop_first()
        {
            notice.notify_one();
        }
        let slot = self.free.clone().acquire_owned().await;
        let slot = slot.expect("this semaphore is never closed");
        let place = Place {
            places: Arc::clone(self),
            notice: Arc::default(),
            number: AtomicU64::new(0),
            _slot: slot,
        };
        place.rest();
        Arc::new(place)
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Keeps the place until the answer is over.
    pub(super) fn ask(self: &Arc<Self>) -> InFlight {
        self.rise();
        InFlight(Arc::clone(self))
    }

    /// Resolves when somebody else is to have the place.
    pub(super) async fn is_wanted(&self) {
        self.notice.notified().await;
    }

    fn rest(&self) {
        let mut idle = self.places.idle();
        idle.last_number += 1;
        self.number.store(idle.last_number, Ordering::Relaxed);
        let number = idle.last_number;
        idle.notice_by_number.insert(number, Arc::clone(&self.notice));
    }

    fn rise(&self) {
        let mut idle = self.places.idle();
        idle.notice_by_number.remove(&self.number.swap(0, Ordering::Relaxed));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.rest();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.rise();
        self.places.one_ended.notify_one();
    }
}
