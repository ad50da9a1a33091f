//! Two relays over one ledger, driven as the plane drives them; what they do is handed out as data.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use turnbell::time::Now;
use turnbell::turn::contract::{Command, Discard, Forward, Input, Opened, Output, Token, Why};
use turnbell::turn::fact::{AllocationNumber, EndReason, Fact, Traffic, Transport};
use turnbell::turn::icmp::IcmpError;
use turnbell::turn::relay::Relay;
use turnbell::turn::relayed_address::{PeerAddr, RelayAddresses, RelayPort};
use turnbell::wire::message::{Class, Message};

use super::delivery::Delivery;
use super::ledger::Ledger;
use super::origin::Origin;
use super::prng::Prng;
use super::rules::Rules;
use crate::support::answer::read_icmp;
use crate::support::setup::Setup;

/// What came out of a step.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answers: Vec<(Origin, Vec<u8>)>,
    pub(crate) sockets_asked: usize,
    /// Answers of the ledger on their way to the shard.
    pub(crate) opening: Vec<(usize, Token, Result<Opened, Why>)>,
    /// Client and relayed transport addresses.
    pub(crate) opened: Vec<(Origin, Vec<SocketAddr>)>,
    /// By client.
    pub(crate) closed: Vec<(Origin, EndReason)>,
    /// Connections that the relay wants closed.
    pub(crate) closed_streams: Vec<Origin>,
    /// Answers that the shield kept back.
    pub(crate) cuts: u64,
    pub(crate) failures: usize,
    /// Clients that were told of unreachable peers, and the type of ICMP.
    pub(crate) told_icmp: Vec<(Origin, SocketAddr, u8)>,
}

impl Seen {
    /// Nothing came out but that allocations ended, which was looked at.
    pub(crate) fn check_nothing_else(&self) {
        assert!(self.answers.is_empty() && self.told_icmp.is_empty(), "{self:?}");
        assert!(self.opened.is_empty() && self.opening.is_empty(), "{self:?}");
        assert!(self.closed_streams.is_empty() && self.failures == 0, "{self:?}");
    }
}

/// An allocation that facts have opened and not closed.
#[derive(Debug)]
struct Entry {
    client: Origin,
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
    client_by_token: BTreeMap<(usize, Token), Origin>,
    /// What was opened, and what was seen to be relayed, to compare with the facts.
    entries: BTreeMap<(usize, AllocationNumber), Entry>,
    /// Sockets whose allocation has not heard of them.
    unheard: BTreeSet<RelayPort>,
    /// Allocations that count and have not heard of it.
    opening: usize,
    start: Now,
    ms: u64,
    tallies: [Tally; 2],
    /// In all.
    pub(crate) relayed: Traffic,
}

/// What went into a shard or out of it that it does not count itself.
#[derive(Debug, Default)]
struct Tally {
    icmp: u64,
    icmp_told: u64,
    /// Answers of the ledger that nobody was told of.
    abandoned: u64,
    /// Datagrams for relayed addresses that nobody has.
    undeliverable: u64,
}

impl Shards {
    pub(crate) fn new(prng: &mut Prng, start: Now, rules: Rules) -> Self {
        let options = rules.options(start);
        Self {
            relays: [Relay::new(options.clone()), Relay::new(options)],
            ledger: Ledger::new(prng),
            addresses: RelayAddresses::new(Setup::default().relay_addresses),
            tallies: [Tally::default(), Tally::default()],
            relayed: Traffic::default(),
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
        client: Origin,
        bytes: &[u8],
    ) -> (Delivery, Seen) {
        let tuple = client.tuple();
        self.ms = now.mono.duration_since(self.start.mono).as_millis() as u64;
        let shard = client.shard();
        let cuts = self.cuts(shard);
        let forward = self.relays[shard].forward_client(now, tuple, bytes);
        if forward == Forward::Handle {
            self.relays[shard].handle(now, Input::Datagram { tuple, bytes });
        }
        let delivery = self.carry_out(now, shard, forward, bytes);
        let mut seen = self.drain(prng, shard, Some(client));
        seen.cuts = self.cuts(shard) - cuts;
        (delivery, seen)
    }

    fn cuts(&self, shard: usize) -> u64 {
        let counters = self.relays[shard].counters();
        counters.discarded(Discard::ShieldSource) + counters.discarded(Discard::ShieldTotal)
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
        self.tallies[shard].icmp += 1;
        self.relays[shard].handle(now, Input::PeerUnreachable { relay, peer, error });
        let seen = self.drain(prng, shard, None);
        self.tallies[shard].icmp_told += seen.told_icmp.len() as u64;
        seen
    }

    /// A connection is gone.
    pub(crate) fn stream_closed(&mut self, prng: &mut Prng, now: Now, origin: Origin) -> Seen {
        let shard = origin.shard();
        self.relays[shard].handle(now, Input::StreamClosed { tuple: origin.tuple() });
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
    ) -> (Origin, Seen) {
        self.opening -= usize::from(result.is_ok());
        for port in ports(result) {
            self.unheard.remove(&port);
        }
        let client = self.client_by_token.remove(&(shard, token)).expect("asked for once");
        self.relays[shard].handle(now, Input::RelaySocketOpened { token, result });
        let seen = self.drain(prng, shard, Some(client));
        self.tallies[shard].abandoned += u64::from(seen.answers.is_empty());
        (client, seen)
    }

    pub(crate) fn tick(&mut self, prng: &mut Prng, now: Now, shard: usize) -> Seen {
        self.relays[shard].handle(now, Input::Tick);
        self.drain(prng, shard, None)
    }

    /// A command, and how many allocations it ended.
    pub(crate) fn command(
        &mut self,
        prng: &mut Prng,
        now: Now,
        shard: usize,
        command: Command,
    ) -> (usize, Seen) {
        let ended = self.relays[shard].carry_out(now, command).expect("there is room");
        (ended, self.drain(prng, shard, None))
    }

    /// Permissions and channels that changes of policy have closed.
    pub(crate) fn closed_by_policy(&self) -> (u64, u64) {
        let of = |f: fn(&Relay) -> u64| self.relays.iter().map(f).sum();
        (of(|r| r.counters().permissions_closed), of(|r| r.counters().channels_closed))
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
        for shard in 0..2 {
            self.check_tally(shard);
        }
    }

    /// What came in went out, or is counted by the reason why it did not (N4).
    fn check_tally(&self, shard: usize) {
        let (counters, tally) = (self.relays[shard].counters(), &self.tallies[shard]);
        let tokens = self.client_by_token.range((shard, Token(0))..(shard + 1, Token(0)));
        let came = counters.datagrams_from_clients + counters.datagrams_from_peers + tally.icmp;
        let went = counters.forwarded_to_peers + counters.forwarded_to_clients;
        let answered = counters.bindings
            + counters.successes
            + counters.rejected().map(|(_, count)| count).sum::<u64>()
            + tally.icmp_told;
        let open = tokens.count() as u64 + tally.abandoned;
        let discarded = counters.discarded_total() - tally.undeliverable;
        assert_eq!(came, went + answered + open + discarded, "shard {shard}: {counters:?}");
    }

    /// What is live by transport, and what was relayed in all, as `/metrics` shows it.
    pub(crate) fn statistics(&self) -> (BTreeMap<Transport, u64>, Traffic) {
        let (mut live, mut traffic) = (BTreeMap::new(), Traffic::default());
        for statistics in self.relays.iter().map(Relay::statistics) {
            traffic += statistics.traffic;
            for (transport, count) in statistics.live {
                *live.entry(transport).or_default() += count;
            }
        }
        (live, traffic)
    }

    /// Nothing is left.
    pub(crate) fn check_empty(&mut self, ms: u64) {
        self.ledger.tend(ms);
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
                let client = Origin::of(&tuple);
                assert_eq!(client.shard(), shard);
                Delivery::ToClient { client, header, data: buffer[range].to_vec() }
            }
            Forward::ToRelay { relay, to, from, peer, range, else_kernel, .. } => {
                assert!(!else_kernel, "no own address is opened here");
                assert_eq!(self.transport_address(relay), from);
                assert_eq!(self.transport_address(to), peer);
                self.note_to_peer(from, range.len());
                let Some(owner) = self.ledger.owner(to) else {
                    self.relays[shard].discard(Discard::NoSuchRelay);
                    self.tallies[shard].undeliverable += 1;
                    return Delivery::Dropped;
                };
                let forward = self.relays[owner].forward_relay(now, to, PeerAddr(from), range);
                self.carry_out(now, owner, forward, buffer)
            }
            Forward::Discard(_) | Forward::Handle => Delivery::Dropped,
        }
    }

    fn note_to_peer(&mut self, from: SocketAddr, bytes: usize) {
        let (packets_to_peers, bytes_to_peers) = (1, bytes as u64);
        self.note(from, Traffic { packets_to_peers, bytes_to_peers, ..Traffic::default() });
    }

    /// Counts what arrived at a client, behind which relayed transport address.
    pub(crate) fn note_to_client(&mut self, relayed: SocketAddr, bytes: usize) {
        let (packets_to_client, bytes_to_client) = (1, bytes as u64);
        self.note(relayed, Traffic { packets_to_client, bytes_to_client, ..Traffic::default() });
    }

    fn note(&mut self, relayed: SocketAddr, traffic: Traffic) {
        let mut entries = self.entries.values_mut();
        let found = entries.find(|entry| entry.relayed.contains(&relayed));
        found.expect("data only with an allocation").traffic += traffic;
        self.relayed += traffic;
    }

    /// `about`: whose request or socket it is.
    fn drain(&mut self, prng: &mut Prng, shard: usize, about: Option<Origin>) -> Seen {
        let mut seen = Seen::default();
        while let Some(output) = self.relays[shard].poll() {
            match output {
                Output::Send { tuple, bytes } => {
                    let client = Origin::of(&tuple);
                    let message = Message::parse(&bytes).expect("a STUN message");
                    if message.class() == Class::Indication {
                        let (peer, (kind, ..)) = read_icmp(&message);
                        seen.told_icmp.push((client, peer, kind));
                    } else {
                        seen.answers.push((client, bytes));
                    }
                }
                Output::OpenRelaySocket { token, user, source, wanted } => {
                    let client = about.expect("only a request asks for a socket");
                    assert_eq!(source, client.address.ip());
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
                Output::CloseStream { tuple } => seen.closed_streams.push(Origin::of(&tuple)),
                Output::Fact(fact) => self.note_fact(shard, about, &fact, &mut seen),
            }
        }
        seen
    }

    fn note_fact(&mut self, shard: usize, about: Option<Origin>, fact: &Fact, seen: &mut Seen) {
        match fact {
            Fact::AllocationOpened {
                number, client, transport, relayed, relayed_other, ..
            } => {
                let origin = about.expect("opened for somebody");
                assert_eq!((*client, *transport), (origin.address, origin.transport));
                let relayed: Vec<_> = std::iter::once(*relayed).chain(*relayed_other).collect();
                let traffic = Traffic::default();
                let entry = Entry { client: origin, relayed: relayed.clone(), traffic };
                let before = self.entries.insert((shard, *number), entry);
                assert!(before.is_none(), "a number is used once");
                seen.opened.push((origin, relayed));
            }
            Fact::AllocationClosed { number, reason, traffic, .. } => {
                let entry = self.entries.remove(&(shard, *number));
                let entry = entry.expect("closed once, after it was opened");
                assert!(entry.relayed.is_empty(), "its sockets are closed");
                assert_eq!(*traffic, entry.traffic, "the traffic of {:?}", entry.client);
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
