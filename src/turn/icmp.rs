//! ICMP about a datagram that went to a peer: told to the client, changes nothing (RFC 8656 §11.5).

use std::net::SocketAddr;

use super::contract::{Discard, Output};
use super::relay::Relay;
use super::relayed_address::RelayPort;
use crate::time::Now;
use crate::wire::address::Family;
use crate::wire::attribute::AttributeType;
use crate::wire::message::{Class, Method, TransactionId};
use crate::wire::writer::MessageWriter;

/// What an ICMP packet says, of the family of the peer that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError {
    /// Its type: ICMPv4's or ICMPv6's.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// MTU of the next link, bytes, where the packet was too big for it; anything otherwise.
    pub mtu: u32,
}

impl IcmpError {
    // §11.5: unreachable and time exceeded; over IPv6 too big as well.
    fn is_told(self, family: Family) -> bool {
        match family {
            Family::V4 => matches!(self.kind, 3 | 11),
            Family::V6 => matches!(self.kind, 1..=3),
        }
    }

    /// The ICMP attribute (§18.13). Error data is the MTU where there is one, else zero.
    fn to_value(self, family: Family) -> [u8; 8] {
        let is_too_big = match family {
            Family::V4 => (self.kind, self.code) == (3, 4),
            Family::V6 => self.kind == 2,
        };
        let [d0, d1, d2, d3] = if is_too_big { self.mtu.to_be_bytes() } else { [0; 4] };
        [0, 0, self.kind, self.code, d0, d1, d2, d3]
    }
}

impl Relay {
    /// Tells the client, if it has a permission for the peer and was not told too much already.
    ///
    /// Anybody can send ICMP: nothing here ends, slows or lengthens anything.
    pub(super) fn peer_unreachable(
        &mut self,
        now: Now,
        relay: RelayPort,
        peer: SocketAddr,
        error: IcmpError,
    ) {
        if let Err(reason) = self.tell_unreachable(now, relay, peer, error) {
            self.counters.discard(reason);
        }
    }

    fn tell_unreachable(
        &mut self,
        now: Now,
        relay: RelayPort,
        peer: SocketAddr,
        error: IcmpError,
    ) -> Result<(), Discard> {
        let family = Family::of(peer.ip());
        if !error.is_told(family) {
            return Err(Discard::UselessIcmp);
        }
        let slot = *self.slot_by_relay.get(&relay).ok_or(Discard::NoSuchRelay)?;
        let allocation = &mut self.allocations[slot];
        if allocation.live(now, family).is_none_or(|found| found.port != relay) {
            return Err(Discard::NoAllocation);
        }
        // The packet's own source is not looked at: any router on the way may send it.
        allocation.permissions.live(now, peer.ip()).ok_or(Discard::NoPermission)?;
        if !allocation.icmp.take(now.mono, 1) {
            return Err(Discard::IcmpPaced);
        }
        self.next_indication += 1;
        // Nobody answers an indication, so its id has to be different, not secret.
        let mut id = *b"ICMP........";
        id[4..].copy_from_slice(&self.next_indication.to_be_bytes());
        let bytes = MessageWriter::new(Class::Indication, Method::DATA, TransactionId(id))
            .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
            .attribute(AttributeType::ICMP, &error.to_value(family))
            .finish(None, false);
        self.outputs.push_back(Output::Send { tuple: allocation.tuple, bytes });
        Ok(())
    }
}
