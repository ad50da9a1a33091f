//! `Relay`: all allocations of one shard, the dispatch of messages, and the outputs to drain.
//!
//! The contract: `handle` mutates once, then `poll` until `None`, then sleep until `deadline` at
//! most. `forward_*` (see `forward.rs`) is the hot path and never produces outputs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use slab::Slab;

use super::allocation::{Allocation, AllocationView};
use super::contract::{Command, Discard, Input, Output, Token};
use super::counters::Counters;
use super::drain::Alternate;
use super::expiry::Expiry;
use super::five_tuple::FiveTuple;
use super::guard::{Answerable, Guard, GuardOptions};
use super::port_map::PortMap;
use super::relayed_address::RelayAddresses;
use super::reply::{Reject, Request, Seal, UnknownAttributes};
use super::shared::Shared;
use super::tuple_index::TupleIndex;
use super::watch::{self, What};
use crate::auth::credential::Verifier;
use crate::auth::nonce::NonceKey;
use crate::limits::{AUTH_FAILURE_FACTS_BURST, AUTH_FAILURE_FACTS_PER_S};
use crate::policy::peers::PeerPolicy;
use crate::policy::rate::TokenBucket;
use crate::policy::shield::AnswerKind;
use crate::policy::watch::Watches;
use crate::time::Now;
use crate::wire::address::Family;
use crate::wire::channel_data::ChannelRange;
use crate::wire::message::{Class, Message, Method, ParseError};

/// Which family an Allocate without REQUESTED-ADDRESS-FAMILY gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultFamily {
    /// This one if there is a relay address of it, else the one there is.
    Fixed(Family),
    /// The family of the client's own address, else the one there is.
    Client,
}

/// What a relay is made from; snapshots that are read, never written.
#[derive(Debug, Clone)]
pub struct Options {
    /// Realm, secrets and static accounts.
    pub verifier: Arc<Verifier>,
    /// Which peers may be reached.
    pub policy: Arc<PeerPolicy>,
    /// Same for all shards of a daemon.
    pub nonce_key: NonceKey,
    /// Relay addresses as clients are told.
    pub relay_addresses: RelayAddresses,
    /// Family of an allocation that does not ask for one.
    pub default_family: DefaultFamily,
    /// Which channel numbers may be bound.
    pub channel_range: ChannelRange,
    /// Other servers, for clients that find no room here.
    pub alternates: Arc<[Alternate]>,
    /// What it does about abuse.
    pub guard: GuardOptions,
}

/// The TURN server of one shard.
#[derive(Debug)]
pub struct Relay {
    pub(super) verifier: Arc<Verifier>,
    pub(super) policy: Arc<PeerPolicy>,
    pub(super) nonce_key: NonceKey,
    pub(super) relay_addresses: RelayAddresses,
    pub(super) default_family: DefaultFamily,
    pub(super) channel_range: ChannelRange,
    pub(super) allocations: Slab<Allocation>,
    pub(super) slot_by_tuple: TupleIndex,
    pub(super) slot_by_relay: PortMap<usize>,
    pub(super) expiry: Expiry,
    pub(super) guard: Guard,
    /// Whose messages are traced; empty but for a minute after somebody asked.
    pub(super) watches: Watches<watch::Event>,
    /// Allocates whose socket is being opened; by token, so that the order is fixed.
    pub(super) pending: BTreeMap<Token, super::allocate::Pending>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) counters: Counters,
    pub(super) auth_failure_facts: TokenBucket,
    pub(super) auth_failures_suppressed: u64,
    pub(super) next_token: u64,
    pub(super) next_indication: u64,
    pub(super) is_stopping: bool,
    /// Where else to go, while there is no room.
    pub(super) alternates: Arc<[Alternate]>,
    /// No new allocation is made.
    pub(super) is_draining: bool,
}

impl Relay {
    /// An empty relay.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let shared = Shared::new(&options.guard);
        Self::with(options, shared)
    }

    pub(super) fn with(options: Options, shared: Shared) -> Self {
        let Options {
            verifier,
            policy,
            nonce_key,
            relay_addresses,
            default_family,
            channel_range,
            alternates,
            guard,
        } = options;
        Self {
            verifier,
            policy,
            nonce_key,
            relay_addresses,
            default_family,
            channel_range,
            allocations: Slab::new(),
            slot_by_tuple: TupleIndex::default(),
            slot_by_relay: PortMap::default(),
            expiry: Expiry::default(),
            guard: Guard::new(guard, shared),
            watches: Watches::default(),
            pending: BTreeMap::new(),
            outputs: VecDeque::new(),
            counters: Counters::default(),
            auth_failure_facts: TokenBucket::new(
                AUTH_FAILURE_FACTS_PER_S,
                AUTH_FAILURE_FACTS_BURST,
            ),
            auth_failures_suppressed: 0,
            next_token: 0,
            next_indication: 0,
            is_stopping: false,
            alternates,
            is_draining: false,
        }
    }

    /// One mutation. Drain [`Self::poll`] afterwards.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Datagram { tuple, bytes } => self.handle_datagram(now, tuple, bytes),
            Input::RelaySocketOpened { token, result } => {
                self.relay_socket_opened(now, token, result);
            }
            Input::PeerUnreachable { relay, peer, error } => {
                self.peer_unreachable(now, relay, peer, error);
            }
            Input::StreamClosed { tuple } => self.stream_closed(now, tuple),
            Input::Command(Command::Stop) => self.stop(now),
            Input::Command(Command::Drain(alternates)) => self.drain(alternates),
            Input::Command(Command::Replace(replacement)) => self.replace(now, replacement),
            Input::Command(Command::Revoke(revocation)) => self.revoke(now, revocation),
            Input::Command(Command::End { user, session }) => {
                self.end_allocations(now, &user, session.as_deref());
            }
            Input::Command(Command::Restore { user }) => self.restore(&user),
            Input::Tick => {
                while let Some(slot) = self.expiry.pop_due(now.mono) {
                    self.expire(now, slot);
                }
            }
        }
    }

    /// What is to be done, oldest first; `None` when all is.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call `handle(now, Input::Tick)` at the latest; `None` while nothing can expire.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.expiry.next()
    }

    /// Counted since start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Counts a datagram that the plane could not deliver after all.
    pub fn discard(&mut self, reason: Discard) {
        self.counters.discard(reason);
    }

    /// Which numbers are channel numbers here.
    #[must_use]
    pub fn channel_range(&self) -> ChannelRange {
        self.channel_range
    }

    /// Live allocations.
    #[must_use]
    pub fn allocation_count(&self) -> usize {
        self.allocations.len()
    }

    /// The live allocations, oldest first.
    #[must_use]
    pub fn allocations(&self, now: Now) -> Vec<AllocationView> {
        let view = |allocation: &Allocation| AllocationView {
            number: allocation.number,
            user: allocation.who.user.clone(),
            tuple: allocation.tuple,
            relayed: allocation.relayed.address,
            relayed_other: allocation.relayed_other.map(|other| other.address),
            opened_at_unix_ms: allocation.opened_at_unix_ms,
            expires_in_s: allocation.time_to_expiry_s(now),
            traffic: allocation.traffic,
        };
        let mut views: Vec<_> = self.allocations.iter().map(|(_, a)| view(a)).collect();
        views.sort_by_key(|view| view.number);
        views
    }

    /// Whether nothing is left: no allocation, no question open, no timer, no output.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allocations.is_empty()
            && self.slot_by_tuple.is_empty()
            && self.slot_by_relay.is_empty()
            && self.pending.is_empty()
            && self.outputs.is_empty()
            && self.expiry.next().is_none()
    }

    fn handle_datagram(&mut self, now: Now, tuple: FiveTuple, bytes: &[u8]) {
        let message = match Message::parse(bytes) {
            Ok(message) => message,
            Err(error) => {
                let reason = discard_of(error);
                self.counters.discard(reason);
                self.note_of(now, tuple, None, What::Unanswered(reason));
                // On a stream the next message would begin anywhere.
                if is_framing(error) {
                    self.close_stream(tuple);
                }
                return;
            }
        };
        match message.class() {
            Class::Request => self.handle_request(now, tuple, message),
            // A Send indication went through `forward_client`; a Binding indication is a
            // keepalive that did its work on the NATs in between (RFC 8489 §6.3.2).
            Class::Indication => self.counters.discard(Discard::UselessIndication),
            Class::SuccessResponse | Class::ErrorResponse => {
                self.counters.discard(Discard::Response);
            }
        }
    }

    fn handle_request(&mut self, now: Now, tuple: FiveTuple, message: Message<'_>) {
        match message.method() {
            Method::BINDING => self.binding(now, tuple, &message),
            Method::ALLOCATE
            | Method::REFRESH
            | Method::CREATE_PERMISSION
            | Method::CHANNEL_BIND
            | Method::CONNECT
            | Method::CONNECTION_BIND => self.handle_turn_request(now, tuple, message),
            _ => self.counters.discard(Discard::UnknownMethod),
        }
    }

    fn handle_turn_request(&mut self, now: Now, tuple: FiveTuple, message: Message<'_>) {
        // RFC 8489 §6.3: authentication comes before unknown attributes, and both before the rest.
        let request = match self.authenticate(now, tuple, message) {
            Ok(request) => request,
            Err(reject) => return self.reject(now, tuple, &message, &reject, None),
        };
        match self.dispatch(now, &request) {
            Ok(Some(bytes)) => {
                self.counters.successes += 1;
                self.note(now, tuple, &message, What::Done(message.method()));
                self.outputs.push_back(Output::Send { tuple, bytes });
            }
            Ok(None) => {}
            Err(reject) => {
                self.reject(now, tuple, &message, &reject, Some(&request.seal));
            }
        }
    }

    /// `Ok(None)`: the answer comes later, or deliberately not at all.
    fn dispatch(&mut self, now: Now, request: &Request<'_>) -> Result<Option<Vec<u8>>, Reject> {
        if let Some(list) = UnknownAttributes::of(&request.message) {
            return Err(Reject::UnknownAttributes(list));
        }
        match request.message.method() {
            Method::ALLOCATE => self.allocate(now, request),
            Method::REFRESH => self.refresh(now, request).map(Some),
            Method::CREATE_PERMISSION => self.create_permission(now, request),
            Method::CHANNEL_BIND => self.channel_bind(now, request),
            // Connect and ConnectionBind (RFC 6062): TCP relaying is the sharpest tool for
            // reaching into a network and is not offered.
            _ => Err(Reject::BadRequest),
        }
    }

    pub(super) fn reject(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        message: &Message<'_>,
        reject: &Reject,
        seal: Option<&Seal>,
    ) {
        let answerable = match seal {
            Some(_) => Answerable::Proven,
            None => match self.may_answer(now, tuple, message, AnswerKind::Error) {
                Some(answerable) => answerable,
                None => return,
            },
        };
        self.counters.reject(reject);
        self.note_refusal(now, tuple, message, reject);
        let bytes = self.error_response(now, tuple, message, reject, seal);
        self.answered(tuple, answerable, bytes.len());
        self.outputs.push_back(Output::Send { tuple, bytes });
    }

    /// The slot of the live allocation on `tuple`, or 437.
    pub(super) fn live_slot(&self, now: Now, tuple: FiveTuple) -> Result<usize, Reject> {
        let slot = self.slot_by_tuple.get(&self.allocations, tuple);
        let slot = slot.ok_or(Reject::AllocationMismatch)?;
        if self.allocations[slot].is_expired(now) {
            return Err(Reject::AllocationMismatch);
        }
        Ok(slot)
    }

    /// The same. A family whose time is over has ended then, though its tick is still to come.
    pub(super) fn settled_slot(&mut self, now: Now, tuple: FiveTuple) -> Result<usize, Reject> {
        let slot = self.live_slot(now, tuple)?;
        let next = self.allocations[slot].next_expiry();
        if next <= now.mono {
            self.expiry.remove(next, slot);
            self.expire(now, slot);
        }
        Ok(slot)
    }

    /// The slot of the allocation that `request` is about.
    ///
    /// # Errors
    /// 437 if there is none, 441 if it belongs to another username (RFC 8656 §5).
    pub(super) fn own_slot(&mut self, now: Now, request: &Request<'_>) -> Result<usize, Reject> {
        let slot = self.settled_slot(now, request.tuple)?;
        if *self.allocations[slot].username != *request.username {
            return Err(Reject::WrongCredentials);
        }
        Ok(slot)
    }

    /// Whether something lives on this five-tuple, or is about to.
    #[must_use]
    pub fn has_allocation(&self, now: Now, tuple: FiveTuple) -> bool {
        self.live_slot(now, tuple).is_ok() || self.is_pending(tuple)
    }
}

/// Whether an error says that these bytes are no STUN message at all.
fn is_framing(error: ParseError) -> bool {
    match error {
        ParseError::NotStun | ParseError::NoCookie | ParseError::Length => true,
        ParseError::AttributeOverrun | ParseError::Fingerprint => false,
    }
}

fn discard_of(error: ParseError) -> Discard {
    match error {
        ParseError::NotStun => Discard::NotStun,
        ParseError::NoCookie => Discard::NoCookie,
        ParseError::Length => Discard::BadLength,
        ParseError::AttributeOverrun => Discard::AttributeOverrun,
        ParseError::Fingerprint => Discard::BadFingerprint,
    }
}
