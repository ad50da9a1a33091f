//! The relay's side of a watched verification (P7): what came from it, and what it was answered.
//! Only messages are noted, never relayed data; data is counted by its allocation.

use std::net::SocketAddr;

use super::contract::Discard;
use super::fact::{EndReason, Traffic, Transport};
use super::five_tuple::FiveTuple;
use super::relay::Relay;
use super::reply::Reject;
use crate::auth::credential::AuthFailure;
use crate::limits::PEERS_PER_REQUEST_MAX;
use crate::policy::watch::{NotWatched, Seen, Trace, WatchId, Wish};
use crate::time::Now;
use crate::wire::address::XorAddress;
use crate::wire::attribute::AttributeType;
use crate::wire::message::{Message, Method};

/// One thing that happened to somebody who is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since 1970.
    pub at_unix_ms: i64,
    /// Where it came from.
    pub client: SocketAddr,
    /// How.
    pub transport: Transport,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Binding was answered.
    Bound,
    /// A request without credentials was answered 401, as the first one always is.
    Challenged(Method),
    /// A request's credentials were refused.
    NotAuthenticated {
        /// Of which method.
        method: Method,
        /// The true cause, which the client is not told.
        cause: AuthFailure,
    },
    /// A request was refused.
    Refused {
        /// Of which method.
        method: Method,
        /// What the client was told, 300 to 599.
        code: u16,
        /// The peers that it asked for, if it did.
        peers: Vec<SocketAddr>,
    },
    /// A request was carried out.
    Done(Method),
    /// A relayed transport address was given.
    Opened {
        /// As the client was told.
        relayed: SocketAddr,
    },
    /// An allocation is gone.
    Ended {
        /// Why.
        reason: EndReason,
        /// What it relayed in all.
        traffic: Traffic,
    },
    /// It got no answer.
    Unanswered(Discard),
}

/// All that the relay knows of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// What happened.
    pub trace: Trace<Event>,
    /// What its live allocations relayed so far.
    pub live: Traffic,
}

impl Watched {
    /// What two relays know of it together.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        self.trace.events.extend(other.trace.events);
        self.trace.events.sort_by_key(|(_, event)| event.at_unix_ms);
        self.trace.dropped += other.trace.dropped;
        self.live += other.live;
        self
    }
}

impl Relay {
    /// Watches from here on.
    ///
    /// # Errors
    /// If there are too many, of watches or of addresses; nothing changes then.
    pub fn watch(&mut self, now: Now, wish: Wish) -> Result<(), NotWatched> {
        self.watches.open(now.mono, wish)
    }

    /// What is known of a watch; `None` if there is none of this name (any more).
    pub fn watched(&mut self, now: Now, id: WatchId) -> Option<Watched> {
        let trace = self.watches.read(now.mono, id)?;
        let username = self.watches.username(id)?;
        let mut live = Traffic::default();
        for (_, allocation) in &self.allocations {
            if &*allocation.username == username {
                live += allocation.traffic;
            }
        }
        Some(Watched { trace, live })
    }

    /// Notes what became of a message, if its sender is watched.
    pub(super) fn note(&mut self, now: Now, tuple: FiveTuple, message: &Message<'_>, what: What) {
        if self.watches.is_empty() {
            return;
        }
        self.note_of(now, tuple, message.attribute(AttributeType::USERNAME), what);
    }

    /// The same, of a sender who said this name, or none.
    pub(super) fn note_of(&mut self, now: Now, tuple: FiveTuple, said: Option<&[u8]>, what: What) {
        if self.watches.is_empty() {
            return;
        }
        let slot = self.slot_by_tuple.get(&self.allocations, tuple);
        let owner = slot.map(|slot| self.allocations[slot].username.as_bytes());
        let seen = Seen { ip: tuple.client.ip().to_canonical(), username: said.or(owner) };
        self.watches.note(now.mono, seen, || Event {
            at_unix_ms: now.unix_ms,
            client: tuple.client,
            transport: tuple.transport,
            what: what.clone(),
        });
    }

    /// Notes a refusal. A refusal of credentials was noted with its cause, where it was found.
    pub(super) fn note_refusal(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        message: &Message<'_>,
        reject: &Reject,
    ) {
        if self.watches.is_empty() {
            return;
        }
        let method = message.method();
        let is_of_credentials = matches!(reject, Reject::Unauthenticated | Reject::StaleNonce);
        let what = match (is_of_credentials, message.has_integrity()) {
            (true, true) => return,
            (true, false) => What::Challenged(method),
            (false, _) => {
                What::Refused { method, code: reject.code().number(), peers: peers_of(message) }
            }
        };
        self.note(now, tuple, message, what);
    }
}

fn peers_of(message: &Message<'_>) -> Vec<SocketAddr> {
    let of_peers =
        message.attributes().filter(|(kind, _)| *kind == AttributeType::XOR_PEER_ADDRESS);
    of_peers
        .filter_map(|(_, value)| XorAddress::decode(value, &message.transaction_id()))
        .take(PEERS_PER_REQUEST_MAX)
        .collect()
}
