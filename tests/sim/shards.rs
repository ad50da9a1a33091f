//! Two relays over one ledger, driven as the plane drives them; what they do is handed out as data.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use turnbell::time::Now;
use turnbell::turn::contract::{Command, Discard, Forward, Input, Output, Token, Why};
use turnbell::turn::fact::{AllocationNumber, EndReason, Fact, Traffic};
use turnbell::turn::five_tuple::FiveTuple;
use turnbell::turn::relay::Relay;
use turnbell::turn::relayed_address::{PeerAddr, RelayAddresses, RelayPort};

use super::ledger::Ledger;
use super::model::Delivery;
use super::prng::Prng;
use crate::support::SERVER;
use crate::support::setup::Setup;

/// What came out of a step.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answers: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) sockets_asked: usize,
    /// Answers of the ledger on their way to the shard.
    pub(crate) opening: Vec<(usize, Token, Result<RelayPort, Why>)>,
    pub(crate) opened: Vec<(SocketAddr, SocketAddr)>,
    pub(crate) closed: Vec<(SocketAddr, EndReason)>,
    pub(crate) failures: usize,
}

/// The server.
#[derive(Debug)]
pub(crate) struct Shards {
    relays: [Relay; 2],
    pub(crate) ledger: Ledger,
    addresses: RelayAddresses,
    client_by_token: BTreeMap<(usize, Token), SocketAddr>,
    relayed_by_number: BTreeMap<(usize, AllocationNumber), SocketAddr>,
    /// What was seen to be relayed, to compare with the facts.
    traffic_by_relayed: BTreeMap<SocketAddr, Traffic>,
    opening_well: usize,
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
            relayed_by_number: BTreeMap::new(),
            traffic_by_relayed: BTreeMap::new(),
            opening_well: 0,
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

    /// The ledger's answer arrives; for which client it was.
    pub(crate) fn socket_opened(
        &mut self,
        prng: &mut Prng,
        now: Now,
        shard: usize,
        token: Token,
        result: Result<RelayPort, Why>,
    ) -> (SocketAddr, Seen) {
        self.opening_well -= usize::from(result.is_ok());
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

    /// Sockets, allocations, facts and quotas agree.
    pub(crate) fn check(&self) {
        let live: usize = self.relays.iter().map(Relay::allocation_count).sum();
        assert_eq!(self.ledger.open_count(), live + self.opening_well, "sockets");
        assert_eq!(self.relayed_by_number.len(), live, "facts");
        self.ledger.check();
    }

    /// Nothing is left.
    pub(crate) fn check_empty(&self) {
        for relay in &self.relays {
            assert!(relay.is_empty());
            assert_eq!(relay.deadline(), None);
        }
        assert_eq!(self.ledger.open_count(), 0);
        assert!(self.client_by_token.is_empty() && self.relayed_by_number.is_empty());
        self.check();
    }

    fn carry_out(&mut self, now: Now, shard: usize, forward: Forward, buffer: &[u8]) -> Delivery {
        match forward {
            Forward::ToPeer { relay, peer, range } => {
                assert_eq!(self.ledger.owner(relay), Some(shard), "sent from an own open socket");
                let from = self.transport_address(relay);
                self.note_to_peer(from, range.len());
                Delivery::ToPeer { from, peer, data: buffer[range].to_vec() }
            }
            Forward::ToClient { tuple, header, range } => {
                assert_eq!(shard_of(tuple.client), shard);
                let data = buffer[range].to_vec();
                Delivery::ToClient { client: tuple.client, header, data }
            }
            Forward::ToRelay { relay, to, from, peer, range, else_kernel } => {
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
        let traffic = self.traffic_by_relayed.entry(from).or_default();
        traffic.packets_to_peers += 1;
        traffic.bytes_to_peers += bytes as u64;
    }

    /// Counts what arrived at a client, behind which relayed transport address.
    pub(crate) fn note_to_client(&mut self, relayed: SocketAddr, bytes: usize) {
        let traffic = self.traffic_by_relayed.entry(relayed).or_default();
        traffic.packets_to_client += 1;
        traffic.bytes_to_client += bytes as u64;
    }

    fn drain(&mut self, prng: &mut Prng, shard: usize, asking: Option<SocketAddr>) -> Seen {
        let mut seen = Seen::default();
        while let Some(output) = self.relays[shard].poll() {
            match output {
                Output::Send { tuple, bytes } => {
                    assert_eq!(tuple.server, SERVER);
                    seen.answers.push((tuple.client, bytes));
                }
                Output::OpenRelaySocket { token, user, source, family } => {
                    let client = asking.expect("only a request asks for a socket");
                    assert_eq!(source, client.ip());
                    self.client_by_token.insert((shard, token), client);
                    let result = self.ledger.open(prng, shard, &user, source, family);
                    self.opening_well += usize::from(result.is_ok());
                    seen.sockets_asked += 1;
                    seen.opening.push((shard, token, result));
                }
                Output::CloseRelaySocket { relay, user, source } => {
                    self.ledger.close(shard, relay, &user, source);
                }
                Output::CloseStream { tuple } => panic!("{tuple:?} is no stream"),
                Output::Fact(fact) => self.note_fact(shard, &fact, &mut seen),
            }
        }
        seen
    }

    fn note_fact(&mut self, shard: usize, fact: &Fact, seen: &mut Seen) {
        match fact {
            Fact::AllocationOpened { number, client, relayed, .. } => {
                let before = self.relayed_by_number.insert((shard, *number), *relayed);
                assert_eq!(before, None, "a number is used once");
                self.traffic_by_relayed.insert(*relayed, Traffic::default());
                seen.opened.push((*client, *relayed));
            }
            Fact::AllocationClosed { number, reason, traffic, .. } => {
                let relayed = self.relayed_by_number.remove(&(shard, *number));
                let relayed = relayed.expect("closed once, after it was opened");
                let saw = self.traffic_by_relayed.remove(&relayed);
                assert_eq!(Some(*traffic), saw, "the traffic of {relayed}");
                seen.closed.push((relayed, *reason));
            }
            Fact::AuthenticationFailed { .. } => seen.failures += 1,
        }
    }
}

/// The shard of a client, as SO_REUSEPORT would choose it: always the same.
fn shard_of(client: SocketAddr) -> usize {
    usize::from(client.port() % 2)
}
