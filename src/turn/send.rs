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
        let Some(Sent { peer, range, dont_fragment }) = parse(datagram) else {
            return Forward::Discard(Discard::MalformedSend);
        };
        let Ok(slot) = self.live_slot(now, tuple) else {
            return Forward::Discard(Discard::NoAllocation);
        };
        let allocation = &mut self.allocations[slot];
        let Some(relayed) = allocation.live(now, Family::of(peer.ip())).copied() else {
            return Forward::Discard(Discard::FamilyMismatch);
        };
        let Ok(peer) = self.policy.permit_peer(peer) else {
            return Forward::Discard(Discard::PeerForbidden);
        };
        // A Send indication never refreshes the permission (§11.2).
        let Some(permission) = allocation.permissions.live(now, peer.ip()) else {
            return Forward::Discard(Discard::NoPermission);
        };
        // What may be named inside only (P8) is not reached through the network, whatever the port.
        let Some(peer) = permission.narrow(peer) else {
            return Forward::Discard(Discard::PeerForbidden);
        };
        // Policy folds an IPv4-mapped peer; it is not reached from an IPv6 relayed address, though
        // a dual allocation may have a permission for it.
        if Family::of(peer.ip()) != relayed.family() {
            return Forward::Discard(Discard::PeerForbidden);
        }
        if let Err(reason) = self.guard.may_relay(now, slot, Direction::ToPeers, range.len()) {
            return Forward::Discard(reason);
        }
        // §13, §14: where the family changes, and for datagrams over IPv6, the attribute is ignored.
        // §15: from a stream it counts over IPv6, too.
        let is_family = Family::of(tuple.client.ip()) == Family::of(peer.ip());
        let counts = is_family && (peer.ip().is_ipv4() || tuple.is_stream());
        let dont_fragment = dont_fragment && counts;
        let traffic = &mut allocation.traffic;
        to_peer(&self.relay_addresses, relayed, traffic, peer, range, dont_fragment)
    }
}

/// The first peer and the first data of a Send indication.
struct Sent {
    peer: SocketAddr,
    range: Range<usize>,
    dont_fragment: bool,
}

/// `None` if it must be discarded.
fn parse(datagram: &[u8]) -> Option<Sent> {
    let message = Message::parse(datagram).ok()?;
    if message.unknown_required().next().is_some() {
        return None;
    }
    let peer = message.attribute(AttributeType::XOR_PEER_ADDRESS)?;
    let peer = XorAddress::decode(peer, &message.transaction_id())?;
    let range = message.range_of(AttributeType::DATA)?;
    let dont_fragment = message.attribute(AttributeType::DONT_FRAGMENT).is_some();
    Some(Sent { peer, range, dont_fragment })
}
