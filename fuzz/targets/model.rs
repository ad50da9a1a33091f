//! What is live by the relay's own words: facts and answers. Nothing may go where it does not lead.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use turnbell::limits::{
    ALLOCATION_LIFETIME_DEFAULT, ALLOCATION_LIFETIME_MAX, CHANNEL_LIFETIME, CHANNEL_RESERVED,
    HEADROOM_BYTES, PERMISSION_LIFETIME, TAILROOM_BYTES,
};
use turnbell::time::Now;
use turnbell::turn::contract::Header;
use turnbell::turn::fact::{AllocationNumber, EndReason, Fact, Traffic};
use turnbell::turn::five_tuple::FiveTuple;
use turnbell::turn::relayed_address::RelayPort;
use turnbell::wire::address::XorAddress;
use turnbell::wire::attribute::AttributeType;
use turnbell::wire::channel_data::{self, ChannelRange};
use turnbell::wire::data_indication;
use turnbell::wire::message::{Message, Method, TransactionId};

use super::world::transport_address;

/// Live allocations and what they may do.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) live: BTreeMap<RelayPort, Live>,
    /// The socket that a client's Allocate gets with the next answer.
    pub(crate) opening: Option<(RelayPort, FiveTuple)>,
    /// The connection that the relay is hearing the end of.
    pub(crate) ended: Option<FiveTuple>,
    last_number: u64,
}

/// A live allocation.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) number: AllocationNumber,
    pub(crate) tuple: FiveTuple,
    pub(crate) traffic: Traffic,
    expires_at: Instant,
    permissions: BTreeMap<IpAddr, Instant>,
    channels: BTreeMap<u16, (SocketAddr, Instant)>,
}

impl Model {
    pub(crate) fn enter(&mut self, now: Now, fact: &Fact) {
        match fact {
            Fact::AllocationOpened {
                number,
                client,
                server,
                transport,
                relayed,
                lifetime_s,
                ..
            } => {
                assert_eq!(number.0, self.last_number + 1, "numbers count up");
                self.last_number = number.0;
                let (relay, tuple) = self.opening.take().expect("a socket was opened for it");
                assert_eq!(*relayed, transport_address(relay));
                let told = (*client, *server, *transport);
                assert_eq!(told, (tuple.client, tuple.server, tuple.transport));
                let lifetime = Duration::from_secs((*lifetime_s).into());
                assert!(
                    (ALLOCATION_LIFETIME_DEFAULT..=ALLOCATION_LIFETIME_MAX).contains(&lifetime)
                );
                assert!(self.live.values().all(|live| live.tuple != tuple), "one on a five-tuple");
                let live = Live {
                    number: *number,
                    tuple,
                    traffic: Traffic::default(),
                    expires_at: now.mono + lifetime,
                    permissions: BTreeMap::new(),
                    channels: BTreeMap::new(),
                };
                assert!(self.live.insert(relay, live).is_none(), "one on a relay port");
            }
            Fact::AllocationClosed { number, traffic, reason, .. } => {
                let relay = self.live.iter().find(|(_, live)| live.number == *number);
                let relay = *relay.expect("closed once, after it was opened").0;
                let live = self.live.remove(&relay).expect("just found");
                assert_eq!(*traffic, live.traffic, "traffic adds up");
                let is_over = live.expires_at <= now.mono;
                assert!(*reason != EndReason::Expired || is_over, "not before its time");
                let number = |tuple: FiveTuple| tuple.connection.0;
                let is_its_own = self.ended.is_some_and(|ended| {
                    ended == live.tuple && number(ended) == number(live.tuple)
                });
                assert_eq!(*reason == EndReason::Disconnected, is_its_own, "by its connection");
            }
            Fact::AuthenticationFailed { .. } => {}
        }
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.live.values().map(|live| live.expires_at).min()
    }

    /// A request that was answered with success.
    pub(crate) fn succeeded(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        request: &Message<'_>,
        answer: &Message<'_>,
    ) {
        let id = request.transaction_id();
        let address = |kind| answer.attribute(kind).and_then(|v| XorAddress::decode(v, &id));
        let lifetime = answer.attribute(AttributeType::LIFETIME).map(lifetime);
        let Some((relay, live)) = self.live.iter_mut().find(|(_, live)| live.tuple == tuple) else {
            assert_eq!(request.method(), Method::REFRESH, "only a Refresh leaves nothing");
            assert_eq!(lifetime, Some(Duration::ZERO));
            return;
        };
        assert!(live.expires_at > now.mono, "an expired allocation obeys nobody");
        match request.method() {
            Method::ALLOCATE => {
                let relayed = address(AttributeType::XOR_RELAYED_ADDRESS);
                assert_eq!(relayed, Some(transport_address(*relay)));
                assert_eq!(address(AttributeType::XOR_MAPPED_ADDRESS), Some(tuple.client));
            }
            Method::REFRESH => {
                let lifetime = lifetime.expect("a Refresh says how long");
                assert!(
                    (ALLOCATION_LIFETIME_DEFAULT..=ALLOCATION_LIFETIME_MAX).contains(&lifetime)
                );
                live.expires_at = now.mono + lifetime;
            }
            Method::CREATE_PERMISSION => {
                for (kind, value) in request.attributes() {
                    if kind == AttributeType::XOR_PEER_ADDRESS {
                        let peer = XorAddress::decode(value, &id).expect("an address");
                        live.permit(now, peer.ip());
                    }
                }
            }
            Method::CHANNEL_BIND => {
                let peer = request.attribute(AttributeType::XOR_PEER_ADDRESS).expect("a peer");
                let peer = XorAddress::decode(peer, &id).expect("an address");
                let number = request.attribute(AttributeType::CHANNEL_NUMBER).expect("a number");
                let number = u16::from_be_bytes([number[0], number[1]]);
                live.bind(now, number, peer);
            }
            method => panic!("{method:?} has no success"),
        }
    }

    /// What a client's bytes ask for, and whether it may: to which peer, which of the bytes.
    pub(crate) fn toward_peer(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        relay: RelayPort,
        bytes: &[u8],
        channels: ChannelRange,
    ) -> (SocketAddr, Range<usize>) {
        let live = self.live.get_mut(&relay).expect("a live allocation");
        assert_eq!(live.tuple, tuple, "by the client's own relay");
        assert!(live.expires_at > now.mono, "an expired allocation carries nothing");
        let (peer, range) = if channel_data::is_channel_data(bytes, channels) {
            let (number, range) = channel_data::parse(bytes, channels).expect("ChannelData");
            let (peer, until) = live.channels[&number.number()];
            assert!(until > now.mono, "an expired binding carries nothing");
            (peer, range)
        } else {
            let message = Message::parse(bytes).expect("a Send indication");
            assert_eq!(message.method(), Method::SEND);
            let peer = message.attribute(AttributeType::XOR_PEER_ADDRESS).expect("a peer");
            let peer = XorAddress::decode(peer, &message.transaction_id()).expect("an address");
            (peer, message.range_of(AttributeType::DATA).expect("data"))
        };
        assert!(live.has_permission(now, peer.ip()), "{peer} has no permission");
        live.traffic.packets_to_peers += 1;
        live.traffic.bytes_to_peers += range.len() as u64;
        (peer, range)
    }

    /// Data of `peer` that goes to a client.
    pub(crate) fn toward_client(
        &mut self,
        now: Now,
        tuple: FiveTuple,
        relay: RelayPort,
        peer: SocketAddr,
        header: Header,
        data: &[u8],
    ) {
        let live = self.live.get_mut(&relay).expect("a live allocation");
        assert_eq!(live.tuple, tuple, "to the client of this relay");
        assert!(live.expires_at > now.mono, "an expired allocation carries nothing");
        assert!(live.has_permission(now, peer.ip()), "{peer} has no permission");
        let bound = live.channels.iter().find(|(_, (at, until))| *at == peer && *until > now.mono);
        match header {
            Header::Channel(number) => {
                assert_eq!(bound.map(|(number, _)| *number), Some(number.number()));
            }
            Header::DataIndication(named) => {
                assert!(named == peer && bound.is_none(), "a binding is used where there is one");
                check_data_indication(peer, data);
            }
        }
        live.traffic.packets_to_client += 1;
        live.traffic.bytes_to_client += data.len() as u64;
    }
}

impl Live {
    fn permit(&mut self, now: Now, ip: IpAddr) {
        self.permissions.insert(ip, now.mono + PERMISSION_LIFETIME);
    }

    fn bind(&mut self, now: Now, number: u16, peer: SocketAddr) {
        self.channels.retain(|other, (bound, until)| {
            let is_same = *other == number && *bound == peer;
            let is_over = *until + CHANNEL_RESERVED <= now.mono;
            assert!(
                is_same || is_over || (*other != number && *bound != peer),
                "neither half of {number:#x}, {peer} belongs to another binding"
            );
            !is_over
        });
        self.channels.insert(number, (peer, now.mono + CHANNEL_LIFETIME));
        self.permit(now, peer.ip());
    }

    fn has_permission(&self, now: Now, ip: IpAddr) -> bool {
        self.permissions.get(&ip).is_some_and(|until| *until > now.mono)
    }
}

/// The header that is written around the data makes a message that names the peer.
fn check_data_indication(peer: SocketAddr, data: &[u8]) {
    let mut buffer = vec![0xAA; HEADROOM_BYTES + data.len() + TAILROOM_BYTES];
    let at = HEADROOM_BYTES..HEADROOM_BYTES + data.len();
    buffer[at.clone()].copy_from_slice(data);
    let id = TransactionId([7; 12]);
    let range = data_indication::write(&mut buffer, at, peer, id).expect("there is room");
    let message = Message::parse(&buffer[range]).expect("a message");
    assert_eq!(message.attribute(AttributeType::DATA), Some(data));
    let named = message.attribute(AttributeType::XOR_PEER_ADDRESS).expect("a peer");
    assert_eq!(XorAddress::decode(named, &id), Some(peer));
}

fn lifetime(value: &[u8]) -> Duration {
    Duration::from_secs(u32::from_be_bytes(value.try_into().expect("four bytes")).into())
}
