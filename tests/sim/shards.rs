//! Two relays over one ledger, driven as the plane drives them; what they do is handed out as data.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use turnbell::time::Now;
use turnbell::turn::contract::{Command, Discard, Forward, Input, Opened, Output, Token, Why};
use turnbell::turn::fact::{AllocationNumber, EndReason, Fact, Traffic};
use turnbell::turn::five_tuple::FiveTuple;
use turnbell::turn::icmp::IcmpError;
use turnbell::turn::relay::Relay;
use turnbell::turn::relayed_address::{PeerAddr, RelayAddresses, RelayPort};

use turnbell::wire::message::{Class, Message};

use super::ledger::Ledger;
use super::model::Delivery;
use super::prng::Prng;
use crate::support::SERVER;
use crate::support::answer::read_icmp;
use crate::support::setup::Setup;

/// What came out of a step.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answers: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) sockets_asked: usize,
    /// Answers of the ledger on their way to the shard.
    pub(crate) opening: Vec<(usize, Token, Result<Opened, Why>)>,
    /// Client and relayed transport addresses.
    pub(crate) opened: Vec<(SocketAddr, Vec<SocketAddr>)>,
    /// By client.
    pub(crate) closed: Vec<(SocketAddr, EndReason)>,
    pub(crate) failures: usize,
    /// Clients that were told of unreachable peers, and the type of ICMP.
    pub(crate) told_icmp: Vec<(SocketAddr, SocketAddr, u8)>,
}

/// An allocation that facts have opened and not closed.
#[derive(Debug)]
struct Entry {
    client: SocketAddr,
    /// Open sockets.
    relayed: Vec<SocketAddr>,
    traffic: Traffic,
}

/// The server.
#[derive(Debug)]
pub(crate) struct Shards {
    relays: [Relay; 2],
    pub(crate) ledger: Ledger,
    addresses: RelayAddresses,
    client_by_token: BTreeMap<(usize, Token), SocketAddr>,
    /// What was opened, and what was seen to be relayed, to compare with the facts.
    entries: BTreeMap<(usize, AllocationNumber), Entry>,
    /// Sockets whose allocation has not heard of them.
    unheard: BTreeSet<RelayPort>,
    /// Allocations that count and have not heard of it.
    opening: usize,
    start: Now,
    ms: u64,
}

impl Shards {
    pub(crate) fn new(start: Now) -> Self {
        let setup = Setup::default();
        let options = setup.options(start);
        Self {
            relays: [Relay::new(options.clone()), Relay::new(options)],
            ledger: Ledger::new(),
            addresses: RelayAddresses::new(setup.relay_addresses),
            client_by_token: BTreeMap::new(),
            entries: BTreeMap::new(),
            unheard: BTreeSet::new(),
            opening: 0,
            start,
            ms: 0,
        }
    }

    /// A client's datagram.
    pub(crate) fn client_sent(
        &mut self,
        prng: &mut Prng,
        now: Now,
        client: SocketAddr,
        bytes: &[u8],
    ) -> (Delivery, Seen) {
        let tuple = FiveTuple::udp(client, SERVER);
        self.ms = now.mono.duration_since(self.start.mono).as_millis() as u64;
        let shard = shard_of(client);
        let forward = self.relays[shard].forward_client(now, tuple, bytes);
        if forward == Forward::Handle {
            self.relays[shard].handle(now, Input::Datagram { tuple, bytes });
        }
        let delivery = self.carry_out(now, shard, forward, bytes);
        (delivery, self.drain(prng, shard, Some(client)))
    }

    /// A peer's datagram through the kernel. Without a socket there is nobody to hear it.
    pub(crate) fn peer_sent(
        &mut self,
        now: Now,
        relayed: SocketAddr,
        peer: SocketAddr,
        data: &[u8],
    ) -> Delivery {
        let port = self.addresses.relay_port(relayed).expect("one of ours");
        let Some(shard) = self.ledger.owner(port) else { return Delivery::Dropped };
        let forward = self.relays[shard].forward_peer(now, port, PeerAddr(peer), data);
        self.carry_out(now, shard, forward, data)
    }

    /// ICMP about what `relayed` sent to `peer`. Without a socket there is nobody to hear it.
    pub(crate) fn icmp(
        &mut self,
        prng: &mut Prng,
        now: Now,
        (relayed, peer): (SocketAddr, SocketAddr),
        kind: u8,
    ) -> Seen {
        let relay = self.addresses.relay_port(relayed).expect("one of ours");
        let Some(shard) = self.ledger.owner(relay) else { return Seen::default() };
        let error = IcmpError { kind, code: 1, mtu: 0 };
        self.relays[shard].handle(now, Input::PeerUnreachable { relay, peer, error });
        self.drain(prng, shard, None)
    }

    /// The ledger's answer arrives; for which client it was.
    pub(crate) fn socket_opened(
        &mut self,
        prng: &mut Prng,
        now: Now,
        shard: usize,
        token: Token,
        result: Result<Opened, Why>,
    ) -> (SocketAddr, Seen) {
        self.opening -= usize::from(result.is_ok());
        for port in ports(result) {
            self.unheard.remove(&port);
        }
        let client = self.client_by_token.remove(&(shard, token)).expect("asked for once");
        self.relays[shard].handle(now, Input::RelaySocketOpened { token, result });
        (client, self.drain(prng, shard, None))
    }

    pub(crate) fn tick(&mut self, prng: &mut Prng, now: Now, shard: usize) -> Seen {
        self.relays[shard].handle(now, Input::Tick);
        self.drain(prng, shard, None)
    }

    pub(crate) fn stop(&mut self, prng: &mut Prng, now: Now, shard: usize) -> Seen {
        self.relays[shard].handle(now, Input::Command(Command::Stop));
        self.drain(prng, shard, None)
    }

    pub(crate) fn deadline(&self, shard: usize) -> Option<std::time::Instant> {
        self.relays[shard].deadline()
    }

    pub(crate) fn transport_address(&self, port: RelayPort) -> SocketAddr {
        self.addresses.transport_address(port).expect("one of ours")
    }

    /// Sockets, allocations, facts and quotas agree. `live`: what the model holds to be alive.
    pub(crate) fn check(&self, live: &BTreeSet<SocketAddr>) {
        let heard = self.ledger.open_ports().filter(|port| !self.unheard.contains(port));
        let open: BTreeSet<SocketAddr> = heard.map(|port| self.transport_address(port)).collect();
        assert_eq!(open, *live, "sockets");
        let count: usize = self.relays.iter().map(Relay::allocation_count).sum();
        assert_eq!(self.entries.len(), count, "facts");
        assert_eq!(self.ledger.counted(), count + self.opening, "quotas");
        self.ledger.check();
    }

    /// Nothing is left.
    pub(crate) fn check_empty(&self) {
        for relay in &self.relays {
            assert!(relay.is_empty());
            assert_eq!(relay.deadline(), None);
        }
        assert!(self.client_by_token.is_empty() && self.entries.is_empty());
        assert!(self.unheard.is_empty());
        self.check(&BTreeSet::new());
    }

    fn carry_out(&mut self, now: Now, shard: usize, forward: Forward, buffer: &[u8]) -> Delivery {
        match forward {
            Forward::ToPeer { relay, peer, range, dont_fragment } => {
                assert_eq!(self.ledger.owner(relay), Some(shard), "sent from an own open socket");
                let from = self.transport_address(relay);
                self.note_to_peer(from, range.len());
                Delivery::ToPeer { from, peer, data: buffer[range].to_vec(), dont_fragment }
            }
            Forward::ToClient { tuple, header, range } => {
                assert_eq!(shard_of(tuple.client), shard);
                let data = buffer[range].to_vec();
                Delivery::ToClient { client: tuple.client, header, data }
            }
            Forward::ToRelay { relay, to, from, peer, range, else_kernel, .. } => {
                assert!(!else_kernel, "no own address is opened here");
                assert_eq!(self.transport_address(relay), from);
                assert_eq!(self.transport_address(to), peer);
                self.note_to_peer(from, range.len());
                let Some(owner) = self.ledger.owner(to) else {
                    self.relays[shard].discard(Discard::NoSuchRelay);
                    return Delivery::Dropped;
                };
                let forward = self.relays[owner].forward_relay(now, to, PeerAddr(from), range);
                self.carry_out(now, owner, forward, buffer)
            }
            Forward::Discard(_) | Forward::Handle => Delivery::Dropped,
        }
    }

    fn note_to_peer(&mut self, from: SocketAddr, bytes: usize) {
        let traffic = self.traffic(from);
        traffic.packets_to_peers += 1;
        traffic.bytes_to_peers += bytes as u64;
    }

    /// Counts what arrived at a client, behind which relayed transport address.
    pub(crate) fn note_to_client(&mut self, relayed: SocketAddr, bytes: usize) {
        let traffic = self.traffic(relayed);
        traffic.packets_to_client += 1;
        traffic.bytes_to_client += bytes as u64;
    }

    fn traffic(&mut self, relayed: SocketAddr) -> &mut Traffic {
        let mut entries = self.entries.values_mut();
        let found = entries.find(|entry| entry.relayed.contains(&relayed));
        &mut found.expect("data only with an allocation").traffic
    }

    fn drain(&mut self, prng: &mut Prng, shard: usize, asking: Option<SocketAddr>) -> Seen {
        let mut seen = Seen::default();
        while let Some(output) = self.relays[shard].poll() {
            match output {
                Output::Send { tuple, bytes } => {
                    assert_eq!(tuple.server, SERVER);
                    let message = Message::parse(&bytes).expect("a STUN message");
                    if message.class() == Class::Indication {
                        let (peer, (kind, ..)) = read_icmp(&message);
                        seen.told_icmp.push((tuple.client, peer, kind));
                    } else {
                        seen.answers.push((tuple.client, bytes));
                    }
                }
                Output::OpenRelaySocket { token, user, source, wanted } => {
                    let client = asking.expect("only a request asks for a socket");
                    assert_eq!(source, client.ip());
                    self.client_by_token.insert((shard, token), client);
                    let result = self.ledger.open(prng, self.ms, shard, &user, source, wanted);
                    self.unheard.extend(ports(result));
                    self.opening += usize::from(result.is_ok());
                    seen.sockets_asked += 1;
                    seen.opening.push((shard, token, result));
                }
                Output::CloseRelaySocket { relay, user, source, is_last } => {
                    self.ledger.close(shard, relay, &user, source, is_last);
                    let closed = self.transport_address(relay);
                    for entry in self.entries.values_mut() {
                        entry.relayed.retain(|relayed| *relayed != closed);
                    }
                }
                Output::CloseStream { tuple } => panic!("{tuple:?} is no stream"),
                Output::Fact(fact) => self.note_fact(shard, &fact, &mut seen),
            }
        }
        seen
    }

    fn note_fact(&mut self, shard: usize, fact: &Fact, seen: &mut Seen) {
        match fact {
            Fact::AllocationOpened { number, client, relayed, relayed_other, .. } => {
                let relayed: Vec<_> = std::iter::once(*relayed).chain(*relayed_other).collect();
                let traffic = Traffic::default();
                let entry = Entry { client: *client, relayed: relayed.clone(), traffic };
                let before = self.entries.insert((shard, *number), entry);
                assert!(before.is_none(), "a number is used once");
                seen.opened.push((*client, relayed));
            }
            Fact::AllocationClosed { number, reason, traffic, .. } => {
                let entry = self.entries.remove(&(shard, *number));
                let entry = entry.expect("closed once, after it was opened");
                assert!(entry.relayed.is_empty(), "its sockets are closed");
                assert_eq!(*traffic, entry.traffic, "the traffic of {}", entry.client);
                seen.closed.push((entry.client, *reason));
            }
            Fact::AuthenticationFailed { .. } => seen.failures += 1,
        }
    }
}

/// The sockets of an answer of the ledger.
fn ports(result: Result<Opened, Why>) -> impl Iterator<Item = RelayPort> {
    let opened = result.into_iter();
    opened.flat_map(|opened| [Some(opened.relay), opened.other.and_then(Result::ok)]).flatten()
}

/// The shard of a client, as SO_REUSEPORT would choose it: always the same.
fn shard_of(client: SocketAddr) -> usize {
    usize::from(client.port() % 2)
}
