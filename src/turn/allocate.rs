//! Allocate: gives a client a relayed transport address (RFC 8656 §7.2).

use std::net::SocketAddr;
use std::time::Duration;

use super::allocation::Allocation;
use super::channel_binding::ChannelBindings;
use super::contract::{Discard, Output, Token, Why};
use super::fact::{AllocationNumber, Fact, Traffic};
use super::five_tuple::FiveTuple;
use super::permission::Permissions;
use super::relay::{DefaultFamily, Relay};
use super::relayed_address::RelayPort;
use super::reply::{Reject, Request, Seal};
use crate::auth::credential::Authenticated;
use crate::limits::{
    ALLOCATION_LIFETIME_DEFAULT, ALLOCATION_LIFETIME_MAX, PENDING_ALLOCATIONS_MAX,
};
use crate::time::Now;
use crate::wire::address::Family;
use crate::wire::attribute::AttributeType;
use crate::wire::message::{Class, Message, Method, TransactionId};
use crate::wire::writer::MessageWriter;

/// An Allocate that waits for its relay socket.
#[derive(Debug)]
pub(super) struct Pending {
    tuple: FiveTuple,
    who: Authenticated,
    username: Box<str>,
    transaction_id: TransactionId,
    seal: Seal,
    lifetime: Duration,
    /// The client's connection closed meanwhile: nobody is to be told, nothing to be kept.
    is_abandoned: bool,
}

impl Relay {
    /// Asks for a relay socket; the answer to the client follows when it is open.
    pub(super) fn allocate(
        &mut self,
        now: Now,
        request: &Request<'_>,
    ) -> Result<Option<Vec<u8>>, Reject> {
        // §7.2 step 2: one allocation per 5-tuple, but a retransmission gets its answer again.
        if let Ok(slot) = self.live_slot(now, request.tuple) {
            let allocation = &self.allocations[slot];
            let is_retransmission = allocation.transaction_id == request.message.transaction_id()
                && *allocation.username == *request.username;
            if !is_retransmission {
                return Err(Reject::AllocationMismatch);
            }
            let response = success(request.success(), allocation, now);
            return Ok(Some(request.finish(response)));
        }
        if self.is_pending(request.tuple) {
            self.counters.discard(Discard::AllocationInProgress);
            return Ok(None);
        }
        // Step 3: UDP is what is relayed.
        match request.message.attribute(AttributeType::REQUESTED_TRANSPORT) {
            Some([17, _, _, _]) => {}
            Some([_, _, _, _]) => return Err(Reject::UnsupportedTransportProtocol),
            Some(_) | None => return Err(Reject::BadRequest),
        }
        let lifetime = requested_lifetime(&request.message)?;
        // Step 7: the address family.
        let family = self.requested_family(request)?;
        self.may_allocate(request.tuple)?;
        if self.is_stopping || self.pending.len() >= PENDING_ALLOCATIONS_MAX {
            return Err(Reject::InsufficientCapacity);
        }
        let token = Token(self.next_token);
        self.next_token += 1;
        self.pending.insert(
            token,
            Pending {
                tuple: request.tuple,
                who: request.who.clone(),
                username: (*request.username).into(),
                transaction_id: request.message.transaction_id(),
                seal: request.seal.clone(),
                lifetime: self.guard.lifetime(now, &request.who, granted_lifetime(lifetime)),
                is_abandoned: false,
            },
        );
        self.outputs.push_back(Output::OpenRelaySocket {
            token,
            user: request.who.user.clone(),
            source: request.tuple.client.ip(),
            family,
        });
        Ok(None)
    }

    fn requested_family(&self, request: &Request<'_>) -> Result<Family, Reject> {
        if let Some(family) = requested_address_family(&request.message)? {
            let supported = self.relay_addresses.has_family(family);
            return supported.then_some(family).ok_or(Reject::AddressFamilyNotSupported);
        }
        let preferred = match self.default_family {
            DefaultFamily::Fixed(family) => family,
            DefaultFamily::Client => Family::of(request.tuple.client.ip()),
        };
        // Deviation: §7.2 step 7 answers 440 where IPv4 is missing; a server that has only the
        // other family is more use to a client that did not say which it wants.
        [preferred, Family::V4, Family::V6]
            .into_iter()
            .find(|family| self.relay_addresses.has_family(*family))
            .ok_or(Reject::AddressFamilyNotSupported)
    }

    /// The world's answer to `OpenRelaySocket`: now the client hears its own.
    pub(super) fn relay_socket_opened(
        &mut self,
        now: Now,
        token: Token,
        result: Result<RelayPort, Why>,
    ) {
        let Some(pending) = self.pending.remove(&token) else {
            debug_assert!(false, "an answer to a question that was not asked");
            return;
        };
        let tuple = pending.tuple;
        if pending.is_abandoned {
            if let Ok(relay) = result {
                self.give_back(relay, &pending);
            }
            return;
        }
        let relayed = result.map_err(|why| match why {
            Why::UserQuota | Why::SourceQuota => Reject::AllocationQuotaReached,
            Why::TotalQuota | Why::Ports | Why::Bind => Reject::InsufficientCapacity,
        });
        let bytes = match relayed.and_then(|relay| self.relayed_address(now, relay, &pending)) {
            Ok((relay, relayed)) => self.open(now, pending, relay, relayed),
            Err(reject) => {
                self.counters.reject(&reject);
                let id = pending.transaction_id;
                let writer = MessageWriter::new(Class::ErrorResponse, Method::ALLOCATE, id)
                    .attribute(AttributeType::ERROR_CODE, &reject.code().to_value());
                pending.seal.finish(writer)
            }
        };
        self.outputs.push_back(Output::Send { tuple, bytes });
    }

    /// The address of a socket that was opened, unless the relay stopped or the user was revoked
    /// while it was; then the socket is closed again.
    fn relayed_address(
        &mut self,
        now: Now,
        relay: RelayPort,
        pending: &Pending,
    ) -> Result<(RelayPort, SocketAddr), Reject> {
        let address = self.relay_addresses.transport_address(relay);
        let is_revoked = self.guard.revocations.holds(now, &pending.who.user);
        if let Some(address) = address.filter(|_| !self.is_stopping && !is_revoked) {
            return Ok((relay, address));
        }
        self.give_back(relay, pending);
        Err(Reject::InsufficientCapacity)
    }

    fn give_back(&mut self, relay: RelayPort, pending: &Pending) {
        self.outputs.push_back(Output::CloseRelaySocket {
            relay,
            user: pending.who.user.clone(),
            source: pending.tuple.client.ip(),
        });
    }

    /// Whether an Allocate on this five-tuple waits for its relay socket.
    pub(super) fn is_pending(&self, tuple: FiveTuple) -> bool {
        self.pending.values().any(|pending| pending.tuple == tuple && !pending.is_abandoned)
    }

    /// The socket that is being opened for this five-tuple is closed again when it comes.
    pub(super) fn abandon_pending(&mut self, tuple: FiveTuple) {
        for pending in self.pending.values_mut().filter(|pending| pending.tuple == tuple) {
            pending.is_abandoned = true;
        }
    }

    fn open(
        &mut self,
        now: Now,
        pending: Pending,
        relay: RelayPort,
        relayed: SocketAddr,
    ) -> Vec<u8> {
        // An expired one on this 5-tuple whose tick has not come yet makes room first.
        if let Some(slot) = self.slot_by_tuple.get(&pending.tuple).copied() {
            self.expiry.remove(self.allocations[slot].expires_at, slot);
            self.close(now, slot, super::fact::EndReason::Expired);
        }
        self.counters.allocations += 1;
        let number = AllocationNumber(self.next_allocation);
        self.next_allocation += 1;
        let allocation = Allocation {
            number,
            tuple: pending.tuple,
            who: pending.who,
            username: pending.username,
            transaction_id: pending.transaction_id,
            relay,
            relayed,
            opened_at_unix_ms: now.unix_ms,
            expires_at: now.mono + pending.lifetime,
            permissions: Permissions::default(),
            channels: ChannelBindings::default(),
            new_peers: Allocation::new_peer_bucket(),
            traffic: Traffic::default(),
        };
        self.outputs.push_back(Output::Fact(Fact::AllocationOpened {
            number,
            at_unix_ms: now.unix_ms,
            user: allocation.who.user.clone(),
            username: allocation.username.clone(),
            client: allocation.tuple.client,
            server: allocation.tuple.server,
            transport: allocation.tuple.transport,
            relayed,
            lifetime_s: allocation.time_to_expiry_s(now),
        }));
        let writer =
            MessageWriter::new(Class::SuccessResponse, Method::ALLOCATE, allocation.transaction_id);
        let bytes = pending.seal.finish(success(writer, &allocation, now));
        self.counters.successes += 1;
        let (tuple, expires_at) = (allocation.tuple, allocation.expires_at);
        let slot = self.allocations.insert(allocation);
        self.guard.opened(slot, &self.allocations[slot].who.user);
        self.slot_by_tuple.insert(tuple, slot);
        self.slot_by_relay.insert(relay, slot);
        self.expiry.insert(expires_at, slot);
        bytes
    }
}

/// The attributes of an Allocate success response (§7.2, end).
fn success(writer: MessageWriter, allocation: &Allocation, now: Now) -> MessageWriter {
    writer
        .xor_address(AttributeType::XOR_RELAYED_ADDRESS, allocation.relayed)
        .u32(AttributeType::LIFETIME, allocation.time_to_expiry_s(now))
        .xor_address(AttributeType::XOR_MAPPED_ADDRESS, allocation.tuple.client)
}

/// LIFETIME in a request, seconds; `None` where it is absent, 400 where it is malformed.
pub(super) fn requested_lifetime(message: &Message<'_>) -> Result<Option<u32>, Reject> {
    message.attribute(AttributeType::LIFETIME).map_or(Ok(None), |value| {
        let bytes = value.try_into().map_err(|_| Reject::BadRequest)?;
        Ok(Some(u32::from_be_bytes(bytes)))
    })
}

/// §7.2 and §8.2: what is asked for, between the default and the maximum.
pub(super) fn granted_lifetime(requested: Option<u32>) -> Duration {
    let requested = Duration::from_secs(u64::from(requested.unwrap_or(0)));
    requested.clamp(ALLOCATION_LIFETIME_DEFAULT, ALLOCATION_LIFETIME_MAX)
}

/// REQUESTED-ADDRESS-FAMILY: 400 where it is malformed, 440 for a family that does not exist.
pub(super) fn requested_address_family(message: &Message<'_>) -> Result<Option<Family>, Reject> {
    match message.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY) {
        None => Ok(None),
        Some([family, _, _, _]) => {
            Family::from_byte(*family).map(Some).ok_or(Reject::AddressFamilyNotSupported)
        }
        Some(_) => Err(Reject::BadRequest),
    }
}
