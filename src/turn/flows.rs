//! Established flows, for a faster path below the sockets that carries their datagrams one day: what
//! it may carry is named here, and what it carried is counted here.

use std::net::SocketAddr;
use std::time::Instant;

use super::fact::{AllocationNumber, Traffic, Transport};
use super::five_tuple::FiveTuple;
use super::relay::Relay;
use super::relayed_address::RelayPort;
use crate::policy::peers::Route;
use crate::time::Now;
use crate::wire::address::Family;
use crate::wire::channel_data::ChannelNumber;

/// ChannelData of a client over UDP that goes to and comes from one peer outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Whose.
    pub allocation: AllocationNumber,
    /// Client and server.
    pub tuple: FiveTuple,
    /// The number in front of its data on the client's side.
    pub channel: ChannelNumber,
    /// The relayed transport address on the peer's side.
    pub relay: RelayPort,
    /// The peer.
    pub peer: SocketAddr,
    /// From then on nothing of it may pass: channel, permission or allocation ends, whichever is
    /// first, unless it is refreshed.
    pub expires_at: Instant,
}

impl Relay {
    /// Every flow that may be carried elsewhere now. None while a rate is to be held, and none that
    /// stays inside the daemon.
    #[must_use]
    pub fn flows(&self, now: Now) -> Vec<Flow> {
        if self.guard.holds_a_rate() {
            return Vec::new();
        }
        let mut flows = Vec::new();
        for (_, allocation) in &self.allocations {
            if allocation.tuple.transport != Transport::Udp {
                continue;
            }
            for (channel, peer, bound_until) in allocation.channels.live(now) {
                let relayed = allocation.live(now, Family::of(peer.ip()));
                let permission = allocation.permissions.live(now, peer.ip());
                let (Some(relayed), Some(permission)) = (relayed, permission) else { continue };
                if peer.route() != Route::Kernel || permission.route() != Route::Kernel {
                    continue;
                }
                flows.push(Flow {
                    allocation: allocation.number,
                    tuple: allocation.tuple,
                    channel,
                    relay: relayed.port,
                    peer: peer.addr(),
                    expires_at: bound_until.min(permission.expires_at()).min(relayed.expires_at),
                });
            }
        }
        flows
    }

    /// Counts what was carried of a flow elsewhere, since the last time it was told. False if its
    /// allocation is gone: then nobody is left to count it for.
    pub fn carried(&mut self, flow: &Flow, traffic: Traffic) -> bool {
        let slot = self.slot_by_tuple.get(&self.allocations, flow.tuple);
        let allocation = slot.map(|slot| &mut self.allocations[slot]);
        let Some(allocation) = allocation.filter(|found| found.number == flow.allocation) else {
            return false;
        };
        allocation.traffic += traffic;
        self.counters.datagrams_from_clients += traffic.packets_to_peers;
        self.counters.forwarded_to_peers += traffic.packets_to_peers;
        self.counters.datagrams_from_peers += traffic.packets_to_client;
        self.counters.forwarded_to_clients += traffic.packets_to_client;
        true
    }
}
