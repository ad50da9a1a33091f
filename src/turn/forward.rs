//! The hot path: what becomes of a datagram, decided without allocating, locking or logging.

use std::net::SocketAddr;
use std::ops::Range;

use super::contract::{Discard, Forward, Header};
use super::fact::Traffic;
use super::five_tuple::FiveTuple;
use super::rates::Direction;
use super::relay::Relay;
use super::relayed_address::{PeerAddr, RelayAddresses, RelayPort, Relayed};
use crate::policy::peers::{AllowedPeer, Route};
use crate::time::Now;
use crate::wire::address::Family;
use crate::wire::channel_data;

impl Relay {
    /// What to do with a datagram from a client.
    ///
    /// The range of the answer lies in `datagram`. Whatever comes out is counted here, so the
    /// caller only carries it out.
    #[must_use]
    pub fn forward_client(&mut self, now: Now, tuple: FiveTuple, datagram: &[u8]) -> Forward {
        self.counters.datagrams_from_clients += 1;
        let forward = self.decide_client(now, tuple, datagram);
        match &forward {
            Forward::Discard(reason) => self.counters.discard(*reason),
            Forward::ToPeer { .. } | Forward::ToRelay { .. } => {
                self.counters.forwarded_to_peers += 1;
            }
            Forward::ToClient { .. } | Forward::Handle => {}
        }
        forward
    }

    /// What to do with a datagram that `peer` sent through the kernel to `relay`.
    #[must_use]
    pub fn forward_peer(
        &mut self,
        now: Now,
        relay: RelayPort,
        peer: PeerAddr,
        datagram: &[u8],
    ) -> Forward {
        self.toward_client(now, relay, peer, 0..datagram.len(), Arrival::Kernel)
    }

    /// What to do with data that another allocation of this daemon sent to `relay`; `from` is that
    /// allocation's relayed transport address.
    ///
    /// `range` is where the data lies in the caller's buffer, and comes back in the answer.
    #[must_use]
    pub fn forward_relay(
        &mut self,
        now: Now,
        relay: RelayPort,
        from: PeerAddr,
        range: Range<usize>,
    ) -> Forward {
        self.toward_client(now, relay, from, range, Arrival::Inside)
    }

    /// Peer addresses with a live permission on the allocation of this port; none without one.
    #[must_use]
    pub fn permitted(&self, now: Now, relay: RelayPort) -> Vec<std::net::IpAddr> {
        let slot = self.slot_by_relay.get(&relay);
        let permissions = slot.map(|slot| &self.allocations[*slot].permissions);
        permissions.map_or_else(Vec::new, |found| found.live_addresses(now).collect())
    }

    fn decide_client(&mut self, now: Now, tuple: FiveTuple, datagram: &[u8]) -> Forward {
        // Nobody is behind port 0, and an answer to ourselves would come back as a question.
        if tuple.client.port() == 0 || tuple.client == tuple.server {
            return Forward::Discard(Discard::BadSource);
        }
        if channel_data::is_channel_data(datagram, self.channel_range) {
            return self.channel_data(now, tuple, datagram);
        }
        match datagram {
            // The type of a Send indication (RFC 8656 §11).
            [0x00, 0x16, ..] => self.send_indication(now, tuple, datagram),
            [first, ..] if first & 0xC0 == 0 => Forward::Handle,
            _ => Forward::Discard(Discard::NotStun),
        }
    }

    // RFC 8656 §12.6. Neither the binding nor the permission is refreshed by it.
    fn channel_data(&mut self, now: Now, tuple: FiveTuple, datagram: &[u8]) -> Forward {
        let Some((number, range)) = channel_data::parse(datagram, self.channel_range) else {
            return Forward::Discard(Discard::MalformedChannelData);
        };
        let Ok(slot) = self.live_slot(now, tuple) else {
            return Forward::Discard(Discard::NoAllocation);
        };
        let allocation = &mut self.allocations[slot];
        let Some(peer) = allocation.channels.peer(now, number) else {
            return Forward::Discard(Discard::NoChannel);
        };
        // A binding outlives its permission by five minutes; without the permission it carries
        // nothing (§9: permissions are what protects peers).
        if allocation.permissions.live(now, peer.ip()).is_none() {
            return Forward::Discard(Discard::NoPermission);
        }
        // A family that ended takes its channels along, ticked or not.
        let Some(relayed) = allocation.live(now, Family::of(peer.ip())).copied() else {
            return Forward::Discard(Discard::NoChannel);
        };
        // What is not relayed uses up no rate.
        if let Err(reason) = self.guard.may_relay(now, slot, Direction::ToPeers, range.len()) {
            return Forward::Discard(reason);
        }
        to_peer(&self.relay_addresses, relayed, &mut allocation.traffic, peer, range, false)
    }

    fn toward_client(
        &mut self,
        now: Now,
        relay: RelayPort,
        peer: PeerAddr,
        range: Range<usize>,
        arrival: Arrival,
    ) -> Forward {
        self.counters.datagrams_from_peers += 1;
        match self.decide_peer(now, relay, peer.0, range, arrival) {
            Ok(forward) => {
                self.counters.forwarded_to_clients += 1;
                forward
            }
            Err(reason) => {
                self.counters.discard(reason);
                Forward::Discard(reason)
            }
        }
    }

    // RFC 8656 §11.3 and §12.7.
    fn decide_peer(
        &mut self,
        now: Now,
        relay: RelayPort,
        peer: SocketAddr,
        range: Range<usize>,
        arrival: Arrival,
    ) -> Result<Forward, Discard> {
        let slot = *self.slot_by_relay.get(&relay).ok_or(Discard::NoSuchRelay)?;
        let allocation = &mut self.allocations[slot];
        // Peers of a family arrive on the relayed transport address of that family.
        if allocation.live(now, Family::of(peer.ip())).is_none_or(|found| found.port != relay) {
            return Err(Discard::NoAllocation);
        }
        let permission =
            allocation.permissions.live(now, peer.ip()).ok_or(Discard::NoPermission)?;
        match (arrival, permission.route()) {
            (Arrival::Kernel, Route::Kernel | Route::InProcessElseKernel)
            | (Arrival::Inside, Route::InProcess | Route::InProcessElseKernel) => {}
            // Our own address, but not from one of our allocations: some other program here.
            (Arrival::Kernel, Route::InProcess) => return Err(Discard::OwnAddressOutside),
            (Arrival::Inside, Route::Kernel) => return Err(Discard::NoPermission),
        }
        if peer.port() == 0 {
            return Err(Discard::BadSource);
        }
        self.guard.may_relay(now, slot, Direction::ToClient, range.len())?;
        let header = allocation
            .channels
            .number(now, peer)
            .map_or(Header::DataIndication(peer), Header::Channel);
        allocation.traffic.packets_to_client += 1;
        allocation.traffic.bytes_to_client += range.len() as u64;
        Ok(Forward::ToClient { tuple: allocation.tuple, header, range })
    }
}

/// How a datagram reached a relayed transport address.
#[derive(Clone, Copy)]
enum Arrival {
    Kernel,
    Inside,
}

/// The way to a peer that has a live permission; counts it.
pub(super) fn to_peer(
    relay_addresses: &RelayAddresses,
    relayed: Relayed,
    traffic: &mut Traffic,
    peer: AllowedPeer,
    range: Range<usize>,
    dont_fragment: bool,
) -> Forward {
    let relay = relayed.port;
    let forward = match (peer.route(), relay_addresses.relay_port(peer.addr())) {
        (Route::Kernel, _) | (Route::InProcessElseKernel, None) => {
            Forward::ToPeer { relay, peer: peer.addr(), dont_fragment, range: range.clone() }
        }
        (Route::InProcess | Route::InProcessElseKernel, Some(to)) => Forward::ToRelay {
            relay,
            to,
            from: relayed.address,
            peer: peer.addr(),
            range: range.clone(),
            else_kernel: peer.route() == Route::InProcessElseKernel,
            dont_fragment,
        },
        // Policy knows an advertised address that the relay does not: never out by the kernel.
        (Route::InProcess, None) => return Forward::Discard(Discard::NoSuchRelay),
    };
    traffic.packets_to_peers += 1;
    traffic.bytes_to_peers += range.len() as u64;
    forward
}
