//! The one thing of the plane that the edge sees: questions to the running shards, their pulse, and
//! the streams that are handed to them.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use nix::sys::eventfd::EventFd;
use rustls::ServerConnection;

use super::drops::Drops;
pub use super::ledger::NearQuota;
use super::ledger::{Ledger, PortCount};
use crate::policy::quota::QuotaLimits;
use crate::policy::watch::{NotWatched, WatchId, Wish};
use crate::time::Now;
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

/// Answers that are on their way. What was asked happens, whether they are waited for or not.
#[derive(Debug)]
pub struct Pending<T>(Vec<Receiver<T>>);

impl<T> Pending<T> {
    /// Waits for them, one of each shard.
    ///
    /// # Errors
    /// If a shard is gone or does not answer within `patience`.
    fn wait_for_all(self, patience: Duration) -> Result<Vec<T>, NoAnswer> {
        let until = Now::read().mono + patience;
        let wait = |answer: Receiver<T>| {
            let left = until.saturating_duration_since(Now::read().mono);
            answer.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => NoAnswer::Late,
                RecvTimeoutError::Disconnected => NoAnswer::Gone,
            })
        };
        self.0.into_iter().map(wait).collect()
    }
}

impl Pending<Closed> {
    /// Waits for what all shards closed.
    ///
    /// # Errors
    /// If a shard is gone or does not answer within `patience`.
    pub fn wait(self, patience: Duration) -> Result<Closed, NoAnswer> {
        let sum = |all: Closed, one: Closed| Closed {
            permissions: all.permissions + one.permissions,
            channels: all.channels + one.channels,
        };
        Ok(self.wait_for_all(patience)?.into_iter().fold(Closed::default(), sum))
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

/// One running shard, from outside.
#[derive(Debug, Clone)]
pub(super) struct One {
    pub(super) questions: SyncSender<Question>,
    pub(super) streams: SyncSender<FinishedStream>,
    pub(super) wake: Arc<EventFd>,
    pub(super) turns: Arc<AtomicU64>,
    pub(super) drops: Arc<Drops>,
    /// Streams that it has, and those on their way to it.
    pub(super) stream_count: Arc<AtomicUsize>,
}

/// The running shards, from outside. Questions wait their turn behind packets, for a bounded time,
/// and are asked of all shards at once.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) shards: Arc<[One]>,
    pub(super) ledger: Arc<Ledger>,
}

impl Handle {
    /// The live allocations, oldest first.
    ///
    /// # Errors
    /// If the shard is gone or does not answer within `patience`.
    pub fn allocations(&self, patience: Duration) -> Result<Vec<AllocationView>, NoAnswer> {
        let mut all = self.ask(patience, || Question::Allocations)?.concat();
        all.sort_by_key(|view| (view.opened_at_unix_ms, view.number));
        Ok(all)
    }

    /// What was counted since start, and what is live.
    ///
    /// # Errors
    /// If the shard is gone or does not answer within `patience`.
    pub fn statistics(&self, patience: Duration) -> Result<Statistics, NoAnswer> {
        let all = self.ask(patience, || Question::Statistics)?.into_iter();
        Ok(all.reduce(Statistics::plus).unwrap_or_default())
    }

    /// Has the shard go on with other rules; it will, once this returns without an error.
    ///
    /// # Errors
    /// If the shard is gone or has too many questions before it; nothing changes then.
    pub fn replace(&self, replacement: Replacement) -> Result<Pending<Closed>, NoAnswer> {
        self.send(|| {
            let command = Command::Replace(replacement.clone());
            |answer| Question::Command(command, answer)
        })
    }

    /// Has the shard refuse new allocations; it will, once this returns without an error.
    ///
    /// # Errors
    /// If the shard is gone or has too many questions before it; nothing changes then.
    pub fn drain(&self, alternates: Arc<[Alternate]>) -> Result<(), NoAnswer> {
        let asked = self.send(|| {
            let command = Command::Drain(Arc::clone(&alternates));
            |answer| Question::Command(command, answer)
        });
        asked.map(|_| ())
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
        let all = self.ask(patience, || {
            let command = command.clone();
            |answer| Question::Tell(command, answer)
        })?;
        Ok(all.into_iter().sum())
    }

    /// Has allocations of a user end, or those of one session; they will, once this returns without
    /// an error. Does not wait.
    ///
    /// # Errors
    /// If the shard is gone or has too many questions before it; nothing ends then.
    pub fn end(&self, user: Box<str>, session: Option<Box<str>>) -> Result<(), NoAnswer> {
        let asked = self.send(|| {
            let command = Command::End { user: user.clone(), session: session.clone() };
            |answer| Question::Tell(command, answer)
        });
        asked.map(|_| ())
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
        let all = self.ask(patience, || {
            let wish = wish.clone();
            |answer| Question::Watch(wish, answer)
        })?;
        Ok(all.into_iter().collect())
    }

    /// What was seen of it; `None` if nothing of this name is watched (any more).
    ///
    /// # Errors
    /// If the shard is gone or does not answer within `patience`.
    pub fn watched(&self, patience: Duration, id: WatchId) -> Result<Option<Watched>, NoAnswer> {
        let all = self.ask(patience, || move |answer| Question::Watched(id, answer))?;
        Ok(all.into_iter().flatten().reduce(Watched::plus))
    }

    /// Ends every allocation, which writes its last fact, and the shard.
    ///
    /// # Errors
    /// If the shard is gone already or does not end within `patience`.
    pub fn stop(&self, patience: Duration) -> Result<(), NoAnswer> {
        self.ask(patience, || Question::Stop).map(|_| ())
    }

    /// Hands a stream to the shard with the fewest (R15); does not wait.
    ///
    /// # Errors
    /// If the shard is gone or has too many streams before it; the stream is closed.
    pub fn take_stream(&self, stream: FinishedStream) -> Result<(), NoAnswer> {
        let count = |one: &&One| one.stream_count.load(Ordering::Relaxed);
        let shard = self.shards.iter().min_by_key(count).ok_or(NoAnswer::Gone)?;
        shard.streams.try_send(stream).map_err(|error| match error {
            TrySendError::Full(_) => NoAnswer::Late,
            TrySendError::Disconnected(_) => NoAnswer::Gone,
        })?;
        shard.stream_count.fetch_add(1, Ordering::Relaxed);
        let _ = shard.wake.write(1);
        Ok(())
    }

    /// Loop turns finished so far, by shard; each grows at least once a second while it is well.
    #[must_use]
    pub fn turns(&self) -> Vec<u64> {
        self.shards.iter().map(|one| one.turns.load(Ordering::Relaxed)).collect()
    }

    /// Datagrams that the kernel threw away since start because a buffer was full: that of a
    /// listener, that of a relay socket.
    #[must_use]
    pub fn socket_drops(&self) -> (u64, u64) {
        let all = self.shards.iter().map(|one| &one.drops);
        all.fold((0, 0), |(listeners, relay_sockets), drops| {
            (
                listeners + drops.listeners.load(Ordering::Relaxed),
                relay_sockets + drops.relay_sockets.load(Ordering::Relaxed),
            )
        })
    }

    /// The quotas in force.
    #[must_use]
    pub fn quota(&self) -> QuotaLimits {
        self.ledger.quota()
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

    /// Who is near his quota of allocations; names at most so many.
    #[must_use]
    pub fn near_quota(&self, most: usize) -> NearQuota {
        self.ledger.near_quota(most)
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

    fn ask<T, Q: FnOnce(SyncSender<T>) -> Question>(
        &self,
        patience: Duration,
        question: impl FnMut() -> Q,
    ) -> Result<Vec<T>, NoAnswer> {
        self.send(question)?.wait_for_all(patience)
    }

    /// Asks every shard, even where one of them cannot be asked.
    fn send<T, Q: FnOnce(SyncSender<T>) -> Question>(
        &self,
        mut question: impl FnMut() -> Q,
    ) -> Result<Pending<T>, NoAnswer> {
        let asked: Vec<_> = self.shards.iter().map(|one| one.send(question())).collect();
        asked.into_iter().collect::<Result<_, _>>().map(Pending)
    }
}

impl One {
    fn send<T>(
        &self,
        question: impl FnOnce(SyncSender<T>) -> Question,
    ) -> Result<Receiver<T>, NoAnswer> {
        let (answer, answered) = sync_channel(1);
        self.questions.try_send(question(answer)).map_err(|error| match error {
            TrySendError::Full(_) => NoAnswer::Late,
            TrySendError::Disconnected(_) => NoAnswer::Gone,
        })?;
        // The counter of an eventfd cannot be full here; and the shard looks once a second anyway.
        let _ = self.wake.write(1);
        Ok(answered)
    }
}
