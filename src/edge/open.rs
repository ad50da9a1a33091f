//! The connections of one listener, and how they end when the daemon stops.

use std::future::Future;
use std::pin::pin;

use tokio::sync::{mpsc, watch};

/// A connection that can be asked to finish what it is at.
pub(super) trait Ends: Future {
    /// Answers what has been asked and takes nothing new.
    fn finish(self: std::pin::Pin<&mut Self>);
}

/// Counts connections by handles that are dropped.
pub(super) struct Open {
    ending: watch::Sender<bool>,
    alive: mpsc::Sender<()>,
    gone: mpsc::Receiver<()>,
}

/// One connection's word that it is alive.
pub(super) struct Alive {
    ending: watch::Receiver<bool>,
    _alive: mpsc::Sender<()>,
}

impl Open {
    pub(super) fn new() -> Self {
        let (alive, gone) = mpsc::channel(1);
        Self { ending: watch::Sender::new(false), alive, gone }
    }

    pub(super) fn one_more(&self) -> Alive {
        Alive { ending: self.ending.subscribe(), _alive: self.alive.clone() }
    }

    /// Asks all to finish, and waits until they have.
    pub(super) async fn shutdown(mut self) {
        self.ending.send_replace(true);
        drop(self.alive);
        // Nothing is ever sent; it ends when the last one is dropped.
        self.gone.recv().await;
    }
}

impl Alive {
    /// Runs a connection to its end, which is near once all are asked to finish.
    pub(super) async fn run<C: Ends>(mut self, connection: C) -> C::Output {
        let mut connection = pin!(connection);
        tokio::select! {
            output = connection.as_mut() => return output,
            // An error says that `Open` is gone; the connection goes on then.
            Ok(_) = self.ending.wait_for(|ending| *ending) => connection.as_mut().finish(),
        }
        connection.await
    }
}
