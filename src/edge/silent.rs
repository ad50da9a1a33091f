//! Connections that are at no request, longest silent first: what is cut to make room.
//!
//! A client that connects and says nothing, or a byte now and then, holds a place until the deadline
//! of its head. Where all places are held, the one that has done so for longest gives it up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// Shared by all connections of all listeners.
#[derive(Debug, Default)]
pub(super) struct Silent {
    connections: Mutex<Connections>,
    /// Somebody who waits for a place may find one to cut.
    pub(super) fell_silent: Notify,
}

#[derive(Debug, Default)]
struct Connections {
    task_by_number: BTreeMap<u64, AbortHandle>,
    last_number: u64,
}

/// One connection's place in the row; it leaves it when this is dropped.
#[derive(Debug)]
pub(super) struct InRow {
    row: Arc<Silent>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    task: Option<AbortHandle>,
    is_at_a_request: bool,
    /// There while it is in the row.
    number: Option<u64>,
}

impl Silent {
    /// A connection that has just been accepted; it counts once it has a task.
    pub(super) fn enter(self: &Arc<Self>) -> Arc<InRow> {
        Arc::new(InRow { row: Arc::clone(self), state: Mutex::default() })
    }

    /// Cuts the connection that has been silent for longest; false if none is silent.
    pub(super) fn cut_oldest(&self) -> bool {
        let Some((_, task)) = self.lock().task_by_number.pop_first() else { return false };
        task.abort();
        true
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InRow {
    /// The task that serves it; from here on it may be cut.
    pub(super) fn is_served_by(&self, task: AbortHandle) {
        let mut state = self.lock();
        state.task = Some(task);
        self.line_up(&mut state);
    }

    /// A request has arrived: it is not cut until [`Self::falls_silent`].
    pub(super) fn speaks(&self) {
        let mut state = self.lock();
        state.is_at_a_request = true;
        if let Some(number) = state.number.take() {
            self.row.lock().task_by_number.remove(&number);
        }
    }

    /// Its request is answered: it stands at the end of the row.
    pub(super) fn falls_silent(&self) {
        let mut state = self.lock();
        state.is_at_a_request = false;
        self.line_up(&mut state);
    }

    /// Puts it at the end of the row, if it has a task and no request.
    fn line_up(&self, state: &mut State) {
        let (Some(task), false) = (&state.task, state.is_at_a_request) else { return };
        let mut row = self.row.lock();
        if let Some(before) = state.number {
            row.task_by_number.remove(&before);
        }
        row.last_number += 1;
        let number = row.last_number;
        row.task_by_number.insert(number, task.clone());
        drop(row);
        state.number = Some(number);
        self.row.fell_silent.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InRow {
    fn drop(&mut self) {
        self.speaks();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_longest_silent_is_cut_and_one_at_a_request_is_not() {
        let row = Arc::new(Silent::default());
        let [a, b, c] = [(); 3].map(|()| {
            let (task, place) = (tokio::spawn(std::future::pending::<()>()), row.enter());
            place.is_served_by(task.abort_handle());
            (task, place)
        });
        a.1.speaks();
        b.1.speaks();
        b.1.falls_silent();
        assert!(row.cut_oldest());
        assert!(is_cut(c.0).await, "b has spoken since");
        assert!(row.cut_oldest());
        assert!(is_cut(b.0).await);
        assert!(!row.cut_oldest(), "it is at a request");
        a.1.falls_silent();
        assert!(row.cut_oldest());
        assert!(is_cut(a.0).await);
    }

    async fn is_cut(task: tokio::task::JoinHandle<()>) -> bool {
        let ended = tokio::time::timeout(Duration::from_secs(10), task).await;
        ended.is_ok_and(|ended| ended.is_err_and(|why| why.is_cancelled()))
    }

    #[tokio::test]
    async fn a_request_that_is_faster_than_the_books_is_not_cut() {
        let row = Arc::new(Silent::default());
        let place = row.enter();
        place.speaks();
        place.is_served_by(tokio::spawn(async {}).abort_handle());
        assert!(!row.cut_oldest());
    }

    #[tokio::test]
    async fn a_connection_that_ended_leaves_nothing_behind() {
        let row = Arc::new(Silent::default());
        let place = row.enter();
        place.is_served_by(tokio::spawn(async {}).abort_handle());
        place.falls_silent();
        assert_eq!(row.lock().task_by_number.len(), 1);
        drop(place);
        assert!(row.lock().task_by_number.is_empty());
    }
}
