//! What the model says becomes of data: whose permission, which header, who pays for it.

use std::net::SocketAddr;

use turnbell::turn::contract::Header;
use turnbell::wire::channel_data::{ChannelNumber, ChannelRange};

use super::allocation::{Allocation, Direction};
use super::model::Model;
use super::origin::Origin;
use super::rules::is_relay_address;

/// What becomes of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delivery {
    ToPeer { from: SocketAddr, peer: SocketAddr, data: Vec<u8>, dont_fragment: bool },
    ToClient { client: Origin, header: Header, data: Vec<u8> },
    Dropped,
}

/// What becomes of data if all who have to pay for it can.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) delivery: Delivery,
    /// In the order in which they are asked.
    payers: Vec<(Origin, Direction)>,
}

impl Way {
    pub(crate) const NONE: Self = Self { delivery: Delivery::Dropped, payers: Vec::new() };

    fn paid_by(mut self, client: Origin, direction: Direction) -> Self {
        self.payers.insert(0, (client, direction));
        self
    }
}

impl Model {
    /// Lets everybody pay; who cannot stops it.
    pub(crate) fn pay(&mut self, ms: u64, way: Way) -> Delivery {
        for (client, direction) in way.payers {
            let payer = self.allocations.get_mut(&client).expect("it is relayed for");
            if !payer.pay_for_datagram(ms, direction, self.rules.packets_per_s) {
                return Delivery::Dropped;
            }
        }
        way.delivery
    }

    /// Data that a client sends to a peer.
    pub(crate) fn send(
        &self,
        ms: u64,
        client: Origin,
        peer: SocketAddr,
        data: &[u8],
        dont_fragment: bool,
    ) -> Way {
        let Some(sender) = self.live(ms, client) else { return Way::NONE };
        let Some(from) = sender.relayed_like(ms, peer) else { return Way::NONE };
        if !self.rules.allows_peer(peer) || !sender.permits(ms, peer.ip()) {
            return Way::NONE;
        }
        let way = if is_relay_address(peer.ip()) {
            self.arrive(ms, peer, from, data)
        } else {
            // §13 to §15: where the family changes it is ignored, over IPv6 from datagrams, too.
            let is_family = client.address.is_ipv4() == peer.is_ipv4();
            let counts = is_family && (peer.is_ipv4() || client.is_stream());
            let dont_fragment = dont_fragment && counts;
            let delivery = Delivery::ToPeer { from, peer, data: data.to_vec(), dont_fragment };
            Way { delivery, payers: Vec::new() }
        };
        way.paid_by(client, Direction::ToPeers)
    }

    /// ChannelData.
    pub(crate) fn channel_data(&self, ms: u64, client: Origin, number: u16, data: &[u8]) -> Way {
        match self.live(ms, client).and_then(|a| a.peer_of(ms, number)) {
            Some(peer) => self.send(ms, client, peer, data, false),
            None => Way::NONE,
        }
    }

    /// A datagram that `peer` sent to a relayed transport address.
    pub(crate) fn arrive(
        &self,
        ms: u64,
        relayed: SocketAddr,
        peer: SocketAddr,
        data: &[u8],
    ) -> Way {
        let has = |a: &Allocation| a.relayed(ms).any(|address| address == relayed);
        let found = self.allocations.iter().find(|(_, a)| has(a));
        let Some((client, receiver)) = found else { return Way::NONE };
        let is_family = peer.is_ipv4() == relayed.is_ipv4();
        if !is_family || !receiver.permits(ms, peer.ip()) {
            return Way::NONE;
        }
        let header = match receiver.number_of(ms, peer) {
            Some(number) => Header::Channel(
                ChannelNumber::new(number, ChannelRange::Rfc8656).expect("bound, so in range"),
            ),
            None => Header::DataIndication(peer),
        };
        let delivery = Delivery::ToClient { client: *client, header, data: data.to_vec() };
        Way { delivery, payers: vec![(*client, Direction::ToClient)] }
    }

    /// Who is told of ICMP about a datagram from `relayed` to `peer` (§11.5).
    pub(crate) fn icmp(
        &mut self,
        ms: u64,
        relayed: SocketAddr,
        peer: SocketAddr,
        kind: u8,
    ) -> Option<Origin> {
        let is_told =
            if peer.is_ipv4() { [3, 11].contains(&kind) } else { (1..=3).contains(&kind) };
        let has = |a: &Allocation| a.relayed_like(ms, peer) == Some(relayed);
        let (client, allocation) = self.allocations.iter_mut().find(|(_, a)| has(a))?;
        let is_told = is_told && allocation.permits(ms, peer.ip()) && allocation.pay_for_icmp(ms);
        is_told.then_some(*client)
    }
}
