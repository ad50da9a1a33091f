//! Signals: the end, another config, a drain.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use super::DaemonError;
use super::live::Live;
use crate::limits::DRAIN_LIMIT_DEFAULT;
use crate::time::Now;

/// How often it is looked whether the relay thread still runs, and how far a drain is.
const LOOK: Duration = Duration::from_millis(200);

/// The signals that mean something to the daemon; caught as long as this lives.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
}

impl Signals {
    /// Catches them, inside a runtime.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for a reason to end: SIGTERM, SIGINT, a drain that is over. SIGHUP reloads, SIGUSR1
    /// drains.
    ///
    /// # Errors
    /// `ShardDied` if the relay ended by itself.
    pub(super) async fn wait(
        &mut self,
        live: &Arc<Live>,
        is_shard_finished: impl Fn() -> bool,
    ) -> Result<(), DaemonError> {
        let mut look = tokio::time::interval(LOOK);
        let mut reloads = Reloads::default();
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Ok(()),
                _ = self.interrupt.recv() => return Ok(()),
                _ = self.hangup.recv() => reloads.one_more(live),
                () = reloads.end_of_one() => reloads.go_on(live),
                _ = self.user1.recv() => {
                    if let Err(error) = live.drain(DRAIN_LIMIT_DEFAULT) {
                        tracing::warn!(%error, "not draining");
                    }
                }
                _ = look.tick() => {
                    if live.is_drained(Now::read()) {
                        return Ok(());
                    }
                    if is_shard_finished() {
                        return Err(DaemonError::ShardDied("see the log above".to_owned()));
                    }
                }
            }
        }
    }
}

/// Reloads by SIGHUP, one at a time: however many signals come meanwhile, one more reload sees
/// what they were sent for.
#[derive(Default)]
struct Reloads {
    under_way: Option<JoinHandle<()>>,
    is_asked_again: bool,
}

impl Reloads {
    fn one_more(&mut self, live: &Arc<Live>) {
        if self.under_way.is_some() {
            self.is_asked_again = true;
            return;
        }
        let live = Arc::clone(live);
        // It reads files, and says what came of it in the log.
        self.under_way = Some(tokio::task::spawn_blocking(move || drop(live.reload(None))));
    }

    /// Never, while none is under way.
    async fn end_of_one(&mut self) {
        match &mut self.under_way {
            // One that panicked has ended, too.
            Some(reload) => drop(reload.await),
            None => std::future::pending().await,
        }
    }

    fn go_on(&mut self, live: &Arc<Live>) {
        self.under_way = None;
        if std::mem::take(&mut self.is_asked_again) {
            self.one_more(live);
        }
    }
}
