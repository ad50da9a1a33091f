//! A running verification, as the server sees it (P7): what the relay noted of its messages, and
//! what the doors noted of its connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::plane::handle::{Handle, NoAnswer};
use crate::policy::watch::{Certainty, NotWatched, Seen, Trace, WatchId, Watches, Wish};
use crate::time::Now;
use crate::turn::fact::Traffic;
use crate::turn::watch::{Event, Watched};

/// A connection that came to a door for TURN clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Milliseconds since 1970.
    pub at_unix_ms: i64,
    /// Where it came from.
    pub client: SocketAddr,
    /// The address of ours that it came to.
    pub server: SocketAddr,
    /// Whether TLS is spoken there.
    pub is_tls: bool,
    /// What became of it.
    pub end: Opened,
}

/// What became of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// It began with a STUN message, and the relay has it.
    Turn,
    /// It wants HTTP.
    Http,
    /// It ended before it had said what it wants: as the sentence says, such as a TLS alert.
    Failed(Box<str>),
    /// It said nothing for too long.
    Silent,
}

/// What the doors note. Shared by all of them and by whoever reads.
#[derive(Debug, Default)]
pub struct DoorWatch {
    /// So that a connection costs no lock while nobody watches.
    is_watching: AtomicBool,
    watches: Mutex<Watches<Connection>>,
}

/// Why a verification is not watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotWatch {
    /// There are too many.
    #[error(transparent)]
    Full(#[from] NotWatched),
    /// The relay does not answer.
    #[error(transparent)]
    Relay(#[from] NoAnswer),
}

/// Everything that is known of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Oldest first.
    pub events: Vec<(Certainty, Noted)>,
    /// Events beyond the bounds.
    pub dropped: u64,
    /// What its live allocations relayed so far.
    pub live: Traffic,
}

/// One event, wherever it was noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// By the relay.
    Message(Event),
    /// By a door.
    Connection(Connection),
}

impl Noted {
    /// Milliseconds since 1970.
    #[must_use]
    pub fn at_unix_ms(&self) -> i64 {
        match self {
            Self::Message(event) => event.at_unix_ms,
            Self::Connection(connection) => connection.at_unix_ms,
        }
    }
}

/// Watches at the relay and at the doors.
#[derive(Debug, Clone)]
pub struct Watching {
    shard: Handle,
    doors: Arc<DoorWatch>,
}

impl Watching {
    /// Of this relay and these doors.
    #[must_use]
    pub fn new(shard: Handle, doors: Arc<DoorWatch>) -> Self {
        Self { shard, doors }
    }

    /// Watches from here on, for a minute and a half; again: longer, and by these addresses too.
    /// Blocks for `patience` at most.
    ///
    /// # Errors
    /// If too many are watched already, or the relay does not answer.
    pub fn open(&self, now: Now, wish: Wish, patience: Duration) -> Result<(), CannotWatch> {
        self.doors.open(now, wish.clone())?;
        Ok(self.shard.watch(patience, wish)??)
    }

    /// What was seen so far; `None` if it is not watched (any more). Blocks for `patience` at most.
    ///
    /// # Errors
    /// If the relay does not answer.
    pub fn read(
        &self,
        now: Now,
        id: WatchId,
        patience: Duration,
    ) -> Result<Option<Sight>, NoAnswer> {
        let Some(Watched { trace, live }) = self.shard.watched(patience, id)? else {
            return Ok(None);
        };
        let doors = self.doors.read(now, id);
        let doors = doors.unwrap_or(Trace { events: Vec::new(), dropped: 0 });
        let messages = trace.events.into_iter().map(|(how, e)| (how, Noted::Message(e)));
        let connections = doors.events.into_iter().map(|(how, e)| (how, Noted::Connection(e)));
        let mut events: Vec<_> = connections.chain(messages).collect();
        events.sort_by_key(|(_, noted)| noted.at_unix_ms());
        Ok(Some(Sight { events, dropped: trace.dropped + doors.dropped, live }))
    }
}

impl DoorWatch {
    fn open(&self, now: Now, wish: Wish) -> Result<(), NotWatched> {
        self.lock().open(now.mono, wish)?;
        self.is_watching.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn read(&self, now: Now, id: WatchId) -> Option<Trace<Connection>> {
        self.lock().read(now.mono, id)
    }

    /// Whether a connection is worth a note.
    pub(crate) fn is_watching(&self) -> bool {
        self.is_watching.load(Ordering::Relaxed)
    }

    /// Notes what became of a connection, if its address is watched.
    pub(crate) fn note(
        &self,
        now: Now,
        client: SocketAddr,
        server: SocketAddr,
        is_tls: bool,
        end: &Opened,
    ) {
        let ip: IpAddr = client.ip().to_canonical();
        let mut watches = self.lock();
        watches.note(now.mono, Seen { ip, username: None }, || Connection {
            at_unix_ms: now.unix_ms,
            client,
            server,
            is_tls,
            end: end.clone(),
        });
        self.is_watching.store(!watches.is_empty(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Watches<Connection>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opened {
    /// Of a connection that ended with this.
    pub(crate) fn failed(why: &io::Error) -> Self {
        let sentence = why.to_string();
        Self::Failed(sentence.chars().take(SENTENCE_CHARS_MAX).collect::<String>().into())
    }
}

/// Longest sentence that is kept of a failure.
const SENTENCE_CHARS_MAX: usize = 200;
