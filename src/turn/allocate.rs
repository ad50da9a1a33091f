//! Allocate: gives a client a relayed transport address (RFC 8656 §7.2).

use std::time::Duration;

use super::allocation::Allocation;
use super::channel_binding::ChannelBindings;
use super::contract::{Discard, Opened, Output, Token, Wanted, Why};
use super::fact::{Fact, Traffic};
use super::five_tuple::FiveTuple;
use super::permission::Permissions;
use super::relay::{DefaultFamily, Relay};
use super::relayed_address::{RelayPort, Relayed};
use super::reply::{Reject, Request, Seal};
use super::reservation::{Ports, ReservationToken, requested_ports, requested_token};
use super::watch::What;
use crate::auth::credential::Authenticated;
use crate::auth::page_run::is_page_run;
use crate::limits::{
    ALLOCATION_LIFETIME_DEFAULT, ALLOCATION_LIFETIME_MAX, PENDING_ALLOCATIONS_MAX,
};
use crate::time::Now;
use crate::wire::address::Family;
use crate::wire::attribute::AttributeType;
use crate::wire::error_code::ErrorCode;
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
    /// What is granted, if the credential lasts that long.
    lifetime: Duration,
    /// Of two families that were asked for: the one that this server does not have at all.
    missing: Option<Family>,
    /// It shows a RESERVATION-TOKEN.
    is_redeeming: bool,
    /// The client's connection closed meanwhile: nobody is to be told, nothing to be kept.
    is_abandoned: bool,
}

/// What an Allocate asks for, as far as this server can give it.
struct Possible {
    wanted: Wanted,
    missing: Option<Family>,
}

impl Relay {
    /// Asks for a relay socket; the answer to the client follows when it is open.
    pub(super) fn allocate(
        &mut self,
        now: Now,
        request: &Request<'_>,
    ) -> Result<Option<Vec<u8>>, Reject> {
        // §7.2 step 2: one allocation per 5-tuple, but a retransmission gets its answer again.
        if let Ok(slot) = self.settled_slot(now, request.tuple) {
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
        // Step 5: a reserved address excludes every other wish; whether it is there, the ledger knows.
        let Possible { wanted, missing } = match requested_token(&request.message)? {
            Some(token) => Possible { wanted: Wanted::Reserved(token), missing: None },
            None => self.requested_families(request)?,
        };
        self.may_allocate(request.tuple)?;
        self.has_run_room(now, &request.who)?;
        if self.is_stopping || self.pending.len() >= PENDING_ALLOCATIONS_MAX {
            return Err(self.no_capacity(request.tuple));
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
                lifetime: granted_lifetime(lifetime),
                missing,
                is_redeeming: matches!(wanted, Wanted::Reserved(_)),
                is_abandoned: false,
            },
        );
        self.outputs.push_back(Output::OpenRelaySocket {
            token,
            user: request.who.user.clone(),
            source: request.tuple.client.ip(),
            wanted,
        });
        Ok(None)
    }

    /// P8: a page that verifies makes few allocations, and its bytes are counted.
    fn has_run_room(&self, now: Now, who: &Authenticated) -> Result<(), Reject> {
        if !is_page_run(&who.user) {
            return Ok(());
        }
        let opening = self.pending.values().filter(|one| one.who.user == who.user).count();
        if self.guard.shared.page_runs.have_room(now, &who.user, opening) {
            Ok(())
        } else {
            Err(Reject::AllocationQuotaReached)
        }
    }

    fn requested_families(&self, request: &Request<'_>) -> Result<Possible, Reject> {
        let additional = is_additional_family_requested(&request.message)?;
        let ports = requested_ports(&request.message)?;
        let only = |family| Possible { wanted: Wanted::One(family, ports), missing: None };
        if request.message.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY).is_some() {
            // Step 6: one of the two attributes, not both.
            if additional {
                return Err(Reject::BadRequest);
            }
            // Step 7: a family that is not there is 440.
            let family = requested_address_family(&request.message)?
                .filter(|family| self.relay_addresses.has_family(*family));
            return family.map(only).ok_or(Reject::AddressFamilyNotSupported);
        }
        if additional {
            // Step 8: a pair is reserved in one family only.
            let even = match ports {
                Ports::Any => false,
                Ports::Even => true,
                Ports::EvenAndReserve => return Err(Reject::BadRequest),
            };
            // Step 9: both, or what there is and a word about the other one.
            let has = |family| self.relay_addresses.has_family(family);
            return match (has(Family::V4), has(Family::V6)) {
                (true, true) => Ok(Possible { wanted: Wanted::Both { even }, missing: None }),
                (true, false) => Ok(Possible { missing: Some(Family::V6), ..only(Family::V4) }),
                (false, true) => Ok(Possible { missing: Some(Family::V4), ..only(Family::V6) }),
                (false, false) => Err(Reject::AddressFamilyNotSupported),
            };
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
            .map(only)
            .ok_or(Reject::AddressFamilyNotSupported)
    }

    /// The world's answer to `OpenRelaySocket`: now the client hears its own.
    pub(super) fn relay_socket_opened(
        &mut self,
        now: Now,
        token: Token,
        result: Result<Opened, Why>,
    ) {
        let Some(pending) = self.pending.remove(&token) else {
            debug_assert!(false, "an answer to a question that was not asked");
            return;
        };
        let tuple = pending.tuple;
        if pending.is_abandoned {
            if let Ok(opened) = result {
                self.give_back(opened, &pending);
            }
            return;
        }
        let opened = result.map_err(|why| match why {
            Why::UserQuota | Why::SourceQuota => Reject::AllocationQuotaReached,
            // A reserved port is here and nowhere else.
            Why::TotalQuota | Why::Ports | Why::Bind | Why::Memory if !pending.is_redeeming => {
                self.no_capacity(tuple)
            }
            Why::TotalQuota | Why::Ports | Why::Bind | Why::Memory | Why::Reservation => {
                Reject::InsufficientCapacity
            }
        });
        let bytes = match opened.and_then(|opened| self.usable(now, opened, &pending)) {
            Ok(usable) => self.open(now, pending, usable),
            Err(reject) => {
                self.counters.reject(&reject);
                let (method, code) = (Method::ALLOCATE, reject.code().number());
                let what = What::Refused { method, code, peers: Vec::new() };
                self.note_of(now, tuple, Some(pending.username.as_bytes()), what);
                let id = pending.transaction_id;
                let writer = MessageWriter::new(Class::ErrorResponse, Method::ALLOCATE, id)
                    .attribute(AttributeType::ERROR_CODE, &reject.code().to_value());
                pending.seal.finish(self.with_details(writer, &reject))
            }
        };
        self.outputs.push_back(Output::Send { tuple, bytes });
    }

    /// What was opened, with addresses and lifetimes, unless meanwhile the relay stopped, the user
    /// was revoked, or a strict credential expired; then the sockets are closed again.
    fn usable(&mut self, now: Now, opened: Opened, pending: &Pending) -> Result<Usable, Reject> {
        // Counted from here, so that it is counted by the rules and the clock of here, too.
        let lifetime = self.guard.lifetime(now, &pending.who, pending.lifetime);
        let expires_at = now.mono + lifetime;
        let relayed = |port| {
            let address = self.relay_addresses.transport_address(port)?;
            Some(Relayed { port, address, expires_at })
        };
        let other = opened.other.and_then(Result::ok);
        let is_refused = self.is_stopping
            || self.guard.revocations.holds(now, &pending.who.user)
            || lifetime.is_zero();
        let usable = relayed(opened.relay).filter(|_| !is_refused).map(|first| Usable {
            relayed: first,
            relayed_other: other.and_then(relayed),
            address_error: match (pending.missing, opened.other) {
                (Some(family), _) => Some((family, ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED)),
                (None, Some(Err(_))) => {
                    Some((first.family().other(), ErrorCode::INSUFFICIENT_CAPACITY))
                }
                (None, Some(Ok(_)) | None) => None,
            },
            reserved: opened.reserved,
        });
        if usable.is_none() {
            self.give_back(opened, pending);
        }
        usable.ok_or(Reject::InsufficientCapacity)
    }

    fn give_back(&mut self, opened: Opened, pending: &Pending) {
        let (user, source) = (&pending.who.user, pending.tuple.client.ip());
        let close = |relay: RelayPort, is_last| Output::CloseRelaySocket {
            relay,
            user: user.clone(),
            source,
            is_last,
        };
        let other = opened.other.and_then(Result::ok);
        self.outputs.extend(other.map(|other| close(other, false)));
        self.outputs.push_back(close(opened.relay, true));
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

    fn open(&mut self, now: Now, pending: Pending, usable: Usable) -> Vec<u8> {
        // An expired one on this 5-tuple whose tick has not come yet makes room first.
        if let Some(slot) = self.slot_by_tuple.get(&self.allocations, pending.tuple) {
            self.expiry.remove(self.allocations[slot].next_expiry(), slot);
            let reason = self.guard.end_reason(now, &self.allocations[slot].who);
            self.close(now, slot, reason);
        }
        self.counters.allocations += 1;
        let number = self.guard.shared.next_allocation();
        let Usable { relayed, relayed_other, address_error, reserved } = usable;
        let allocation = Allocation {
            number,
            tuple: pending.tuple,
            who: pending.who,
            username: pending.username,
            transaction_id: pending.transaction_id,
            relayed,
            relayed_other,
            address_error,
            reserved,
            opened_at_unix_ms: now.unix_ms,
            permissions: Permissions::default(),
            channels: ChannelBindings::default(),
            new_peers: Allocation::new_peer_bucket(),
            icmp: Allocation::icmp_bucket(),
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
            relayed: relayed.address,
            relayed_other: relayed_other.map(|other| other.address),
            lifetime_s: allocation.time_to_expiry_s(now),
        }));
        let writer =
            MessageWriter::new(Class::SuccessResponse, Method::ALLOCATE, allocation.transaction_id);
        let bytes = pending.seal.finish(success(writer, &allocation, now));
        self.counters.successes += 1;
        let what = What::Opened { relayed: relayed.address };
        self.note_of(now, allocation.tuple, Some(allocation.username.as_bytes()), what);
        let expires_at = allocation.next_expiry();
        let slot = self.allocations.insert(allocation);
        self.guard.opened(slot, &self.allocations[slot].who);
        self.slot_by_tuple.insert(&self.allocations, slot);
        for relayed in std::iter::once(relayed).chain(relayed_other) {
            self.slot_by_relay.insert(relayed.port, slot);
        }
        self.expiry.insert(expires_at, slot);
        bytes
    }
}

/// What an allocation is opened with.
struct Usable {
    relayed: Relayed,
    relayed_other: Option<Relayed>,
    address_error: Option<(Family, ErrorCode)>,
    reserved: Option<ReservationToken>,
}

/// The attributes of an Allocate success response (§7.2, end).
fn success(writer: MessageWriter, allocation: &Allocation, now: Now) -> MessageWriter {
    let relayed = std::iter::once(&allocation.relayed).chain(&allocation.relayed_other);
    let writer = relayed.fold(writer, |writer, relayed| {
        writer.xor_address(AttributeType::XOR_RELAYED_ADDRESS, relayed.address)
    });
    let mut writer = writer.u32(AttributeType::LIFETIME, allocation.time_to_expiry_s(now));
    if let Some(ReservationToken(token)) = &allocation.reserved {
        writer = writer.attribute(AttributeType::RESERVATION_TOKEN, token);
    }
    let writer = writer.xor_address(AttributeType::XOR_MAPPED_ADDRESS, allocation.tuple.client);
    match allocation.address_error {
        Some((family, code)) => {
            writer.attribute(AttributeType::ADDRESS_ERROR_CODE, &code.to_address_value(family))
        }
        None => writer,
    }
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

/// ADDITIONAL-ADDRESS-FAMILY: 400 where it is malformed or names anything but IPv6 (§7.2 step 9).
fn is_additional_family_requested(message: &Message<'_>) -> Result<bool, Reject> {
    match message.attribute(AttributeType::ADDITIONAL_ADDRESS_FAMILY) {
        None => Ok(false),
        Some([family, _, _, _]) if Family::from_byte(*family) == Some(Family::V6) => Ok(true),
        Some(_) => Err(Reject::BadRequest),
    }
}
