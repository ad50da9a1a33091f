//! The one thing of the plane that the edge sees: questions to a running shard, its pulse, and the
//! streams that are handed to it.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use nix::sys::eventfd::EventFd;
use rustls::ServerConnection;

use super::ledger::{Ledger, PortCount};
use crate::policy::quota::QuotaLimits;
use crate::policy::watch::{NotWatched, WatchId, Wish};
use crate::turn::allocation::AllocationView;
use crate::turn::contract::Command;
use crate::turn::counters::{Counters, Statistics};
use crate::turn::drain::Alternate;
use crate::turn::fact::Transport;
use crate::turn::replace::Replacement;
use crate::turn::watch::Watched;

/// What a shard is asked.
#[derive(Debug)]
pub(super) enum Question {
    /// The live allocations.
    Allocations(SyncSender<Vec<AllocationView>>),
    /// What was counted, and what is live.
    Statistics(SyncSender<Statistics>),
    /// What the operator wants; the answer is what it closed.
    Command(Command, SyncSender<Closed>),
    /// A user to be revoked or let in again.
    Tell(Command, SyncSender<Option<usize>>),
    /// A verification to be watched.
    Watch(Wish, SyncSender<Result<(), NotWatched>>),
    /// What was seen of it.
    Watched(WatchId, SyncSender<Option<Watched>>),
    /// End everything; the answer comes when it has ended.
    Stop(SyncSender<()>),
}

/// Why a shard gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It did not answer in time, or has too many questions before it.
    #[error("the relay does not answer in time")]
    Late,
    /// It has ended.
    #[error("the relay has stopped")]
    Gone,
}

/// What a change of rules closed in a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Closed {
    /// Live permissions.
    pub permissions: u64,
    /// Live channel bindings.
    pub channels: u64,
}

impl Closed {
    pub(super) fn between(before: &Counters, after: &Counters) -> Self {
        Self {
            permissions: after.permissions_closed - before.permissions_closed,
            channels: after.channels_closed - before.channels_closed,
        }
    }
}

/// An answer that is on its way. What was asked happens, whether it is waited for or not.
#[derive(Debug)]
pub struct Pending<T>(Receiver<T>);

impl<T> Pending<T> {
    /// Waits for it.
    ///
    /// # Errors
    /// If the shard is gone or does not answer within `patience`.
    pub fn wait(self, patience: Duration) -> Result<T, NoAnswer> {
        self.0.recv_timeout(patience).map_err(|error| match error {
            RecvTimeoutError::Timeout => NoAnswer::Late,
            RecvTimeoutError::Disconnected => NoAnswer::Gone,
        })
    }
}

/// A client's connection that is ready for TURN: accepted, its TLS handshake done, its protocol
/// told (R15).
#[derive(Debug)]
pub struct FinishedStream {
    /// Not blocking.
    pub socket: TcpStream,
    /// Where TLS is spoken; its handshake is done.
    pub tls: Option<Box<ServerConnection>>,
    /// What the five-tuple says: TCP or TLS.
    pub transport: Transport,
    /// The client's transport address.
    pub client: SocketAddr,
    /// The address of ours that it connected to.
    pub server: SocketAddr,
    /// Bytes of TURN that were read already, decrypted.
    pub received: Vec<u8>,
}

/// A running shard, from outside. Questions wait their turn behind packets, for a bounded time.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) questions: SyncSender<Question>,
    pub(super) streams: SyncSender<FinishedStream>,
    pub(super) wake: Arc<EventFd>,
    pub(super) turns: Arc<AtomicU64>,
    pub(super) ledger: Arc<Ledger>,
}

impl Handle {
    /// The live allocations, oldest first.
    ///
    /// # Errors
    /// If the shard is gone or does not answer within `patience`.
    pub fn allocations(&self, patience: Duration) -> Result<Vec<AllocationView>, NoAnswer> {
        self.ask(patience, Question::Allocations)
    }

    /// What was counted since start, and what is live.
    ///
    /// # Errors
    /// If the shard is gone or does not answer within `patience`.
    pub fn statistics(&self, patience: Duration) -> Result<Statistics, NoAnswer> {
        self.ask(patience, Question::Statistics)
    }

    /// Has the shard go on with other rules; it will, once this returns without an error.
    ///
    /// # Errors
    /// If the shard is gone or has too many questions before it; nothing changes then.
    pub fn replace(&self, replacement: Replacement) -> Result<Pending<Closed>, NoAnswer> {
        self.send(|answer| Question::Command(Command::Replace(replacement), answer))
    }

    /// Has the shard refuse new allocations; it will, once this returns without an error.
    ///
    /// # Errors
    /// If the shard is gone or has too many questions before it; nothing changes then.
    pub fn drain(&self, alternates: Arc<[Alternate]>) -> Result<(), NoAnswer> {
        self.send(|answer| Question::Command(Command::Drain(alternates), answer)).map(|_| ())
    }

    /// Sets new quotas. What is held above them stays held and only stops growing.
    pub fn set_quota(&self, limits: QuotaLimits) {
        self.ledger.set_quota(limits);
    }

    /// Has a user revoked or let in again; says how many allocations ended by it, or `None` if
    /// there are as many revocations as can be held, and nothing was done.
    ///
    /// # Errors
    /// If the shard is gone or does not answer within `patience`.
    pub fn tell(&self, patience: Duration, command: Command) -> Result<Option<usize>, NoAnswer> {
        self.ask(patience, |answer| Question::Tell(command, answer))
    }

    /// Has a verification watched.
    ///
    /// # Errors
    /// If the shard is gone or does not answer within `patience`; inside, if it watches too many.
    pub fn watch(
        &self,
        patience: Duration,
        wish: Wish,
    ) -> Result<Result<(), NotWatched>, NoAnswer> {
        self.ask(patience, |answer| Question::Watch(wish, answer))
    }

    /// What was seen of it; `None` if nothing of this name is watched (any more).
    ///
    /// # Errors
    /// If the shard is gone or does not answer within `patience`.
    pub fn watched(&self, patience: Duration, id: WatchId) -> Result<Option<Watched>, NoAnswer> {
        self.ask(patience, |answer| Question::Watched(id, answer))
    }

    /// Ends every allocation, which writes its last fact, and the shard.
    ///
    /// # Errors
    /// If the shard is gone already or does not end within `patience`.
    pub fn stop(&self, patience: Duration) -> Result<(), NoAnswer> {
        self.ask(patience, Question::Stop)
    }

    /// Hands a stream over; does not wait.
    ///
    /// # Errors
    /// If the shard is gone or has too many streams before it; the stream is closed.
    pub fn take_stream(&self, stream: FinishedStream) -> Result<(), NoAnswer> {
        self.streams.try_send(stream).map_err(|error| match error {
            TrySendError::Full(_) => NoAnswer::Late,
            TrySendError::Disconnected(_) => NoAnswer::Gone,
        })?;
        let _ = self.wake.write(1);
        Ok(())
    }

    /// Loop turns finished so far; it grows at least once a second while the shard is well.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// What the relay ports are used for.
    #[must_use]
    pub fn port_count(&self) -> PortCount {
        self.ledger.port_count()
    }

    /// Live and opening allocations.
    #[must_use]
    pub fn allocation_count(&self) -> u64 {
        self.ledger.allocation_count()
    }

    /// While memory is short neither allocations nor streams become more.
    pub fn set_short_of_memory(&self, is_short: bool) {
        self.ledger.set_short_of_memory(is_short);
    }

    /// Whether it is.
    #[must_use]
    pub fn is_short_of_memory(&self) -> bool {
        self.ledger.is_short_of_memory()
    }

    fn ask<T>(
        &self,
        patience: Duration,
        question: impl FnOnce(SyncSender<T>) -> Question,
    ) -> Result<T, NoAnswer> {
        self.send(question)?.wait(patience)
    }

    fn send<T>(
        &self,
        question: impl FnOnce(SyncSender<T>) -> Question,
    ) -> Result<Pending<T>, NoAnswer> {
        let (answer, answered) = sync_channel(1);
        self.questions.try_send(question(answer)).map_err(|error| match error {
            TrySendError::Full(_) => NoAnswer::Late,
            TrySendError::Disconnected(_) => NoAnswer::Gone,
        })?;
        // The counter of an eventfd cannot be full here; and the shard looks once a second anyway.
        let _ = self.wake.write(1);
        Ok(Pending(answered))
    }
}
