//! Send: data for a peer without a channel (RFC 8656 §11.2). Some browsers send all media this way.

use std::net::SocketAddr;
use std::ops::Range;

use super::contract::{Discard, Forward};
use super::five_tuple::FiveTuple;
use super::forward::to_peer;
use super::rates::Direction;
use super::relay::Relay;
use crate::time::Now;
use crate::wire::address::{Family, XorAddress};
use crate::wire::attribute::AttributeType;
use crate::wire::message::Message;

impl Relay {
    pub(super) fn send_indication(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        datagram: &[u8],
    ) -> Forward {
        let Some((peer, range)) = parse(datagram) else {
            return Forward::Discard(Discard::MalformedSend);
        };
        let Ok(slot) = self.live_slot(now, tuple) else {
            return Forward::Discard(Discard::NoAllocation);
        };
        let allocation = &mut self.allocations[slot];
        let family = Family::of(allocation.relayed.ip());
        if Family::of(peer.ip()) != family {
            return Forward::Discard(Discard::FamilyMismatch);
        }
        let Ok(peer) = self.policy.permit_peer(peer) else {
            return Forward::Discard(Discard::PeerForbidden);
        };
        // A Send indication never refreshes the permission (§11.2).
        if allocation.permissions.live(now, peer.ip()).is_none() {
            return Forward::Discard(Discard::NoPermission);
        }
        if let Err(reason) = self.guard.may_relay(now, slot, Direction::ToPeers, range.len()) {
            return Forward::Discard(reason);
        }
        to_peer(&self.relay_addresses, allocation, peer, range)
    }
}

/// The first peer and the first data of a Send indication; `None` if it must be discarded.
fn parse(datagram: &[u8]) -> Option<(SocketAddr, Range<usize>)> {
    let message = Message::parse(datagram).ok()?;
    if message.unknown_required().next().is_some() {
        return None;
    }
    let peer = message.attribute(AttributeType::XOR_PEER_ADDRESS)?;
    let peer = XorAddress::decode(peer, &message.transaction_id())?;
    Some((peer, message.range_of(AttributeType::DATA)?))
}
