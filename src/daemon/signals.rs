//! Signals: the end, another config, a drain.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

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
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Ok(()),
                _ = self.interrupt.recv() => return Ok(()),
                _ = self.hangup.recv() => {
                    let live = Arc::clone(live);
                    // It reads files, and says what came of it in the log.
                    tokio::task::spawn_blocking(move || live.reload(None));
                }
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
