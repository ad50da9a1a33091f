//! One simulated world: what happens next, what the server makes of it, what the model says.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use turnbell::time::Now;
use turnbell::turn::contract::{Header, Opened, Token, Why};
use turnbell::turn::fact::EndReason;
use turnbell::wire::message::TransactionId;

use super::actor::{Client, signer};
use super::ask::{Ask, Intent, Packet, Relays, Wanted};
use super::attacker::{Attacker, OWN};
use super::model::{Delivery, Model, Moment, Verdict};
use super::net::{Happening, Net};
use super::prng::Prng;
use super::shards::{Seen, Shards};
use super::told::Told;
use crate::support::answer::{Answer, Asked, Read, read};
use crate::support::setup::{REALM, START_S};

const CLIENTS: usize = 7;
/// Happenings until everybody leaves.
const STEPS: u64 = 900;
/// Lines printed when a step fails.
const TRACE_LINES: usize = 40;

/// A world.
#[derive(Debug)]
pub(crate) struct World {
    pub(super) seed: u64,
    pub(super) prng: Prng,
    pub(super) start: Now,
    pub(super) ms: u64,
    pub(super) unix_jumped_s: i64,
    pub(super) net: Net,
    pub(super) shards: Shards,
    pub(super) model: Model,
    pub(super) clients: Vec<Client>,
    pub(super) attacker: Attacker,
    /// Reservation tokens that clients told each other.
    pub(super) tokens: Vec<[u8; 8]>,
    pub(super) is_stopped: bool,
    pub(super) told: Told,
    pub(super) trace: VecDeque<String>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut prng = Prng::new(seed);
        let start = Now { unix_ms: START_S * 1000, ..Now::read() };
        let mut net = Net::new(&mut prng);
        let clients = (0..CLIENTS).map(|index| Client::new(index, &mut prng)).collect();
        for index in 0..CLIENTS {
            net.plan(prng.below(3000), Happening::ClientActs(index));
        }
        net.plan(1000, Happening::AttackerActs);
        for _ in 0..prng.below(4) {
            let by_s = prng.within(0, 14_400) as i64 - 7200;
            net.plan(prng.below(3_600_000), Happening::ClockJumps(by_s));
        }
        Self {
            seed,
            prng,
            start,
            ms: 0,
            unix_jumped_s: 0,
            net,
            shards: Shards::new(start),
            model: Model::default(),
            clients,
            attacker: Attacker::default(),
            tokens: Vec::new(),
            is_stopped: false,
            told: Told::default(),
            trace: VecDeque::new(),
        }
    }

    /// Lets things happen.
    pub(crate) fn run(&mut self) {
        for _ in 0..STEPS {
            let Some((at_ms, happening)) = self.net.next() else { return };
            // A busy shard may find packets before it notices that an allocation's time is over.
            if self.prng.chance(70) {
                self.tick_until(at_ms);
            }
            self.ms = at_ms;
            self.note(&happening);
            self.happens(happening);
            self.settle();
        }
    }

    /// Everybody leaves; everything ends.
    pub(crate) fn finish(mut self) -> Told {
        self.net.calm();
        if self.prng.chance(30) {
            // Some questions are open when the daemon stops.
            for index in 0..CLIENTS {
                let wanted = Wanted::Allocate { lifetime_s: None, relays: Relays::Both };
                self.asks_at_once(self.clients[index].address, wanted);
            }
            self.is_stopped = true;
            self.model.stop(self.ms);
            for shard in 0..2 {
                let now = self.now();
                let seen = self.shards.stop(&mut self.prng, now, shard);
                self.check_closed(&seen);
            }
        }
        while let Some((at_ms, happening)) = self.net.next() {
            self.tick_until(at_ms);
            self.ms = at_ms;
            self.happens(happening);
            self.settle();
        }
        self.tick_until(self.ms + 3_600_000);
        self.shards.check_empty();
        assert!(self.model.allocations.is_empty());
        self.told.simulated_s = self.ms / 1000;
        self.told.clone()
    }

    pub(super) fn now(&self) -> Now {
        let now = self.start.after(Duration::from_millis(self.ms));
        Now { unix_ms: now.unix_ms + self.unix_jumped_s * 1000, ..now }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { ms: self.ms, unix_s: self.now().unix_s() }
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::AtServer(packet) => self.at_server(&packet),
            Happening::AtRelay { relayed, peer, data } => {
                let expected = self.model.arrive(self.ms, relayed, peer, &data);
                // Whoever says through the kernel that he is us is some other program.
                let is_own = peer.ip() == relayed.ip();
                let expected = if is_own { Delivery::Dropped } else { expected };
                let now = self.now();
                let delivery = self.shards.peer_sent(now, relayed, peer, &data);
                assert_eq!(delivery, expected, "{peer} sent to {relayed}");
                self.delivered(delivery);
            }
            Happening::AtPeer { from, peer, data } => {
                if self.prng.chance(20) {
                    let kind = *self.prng.pick(&[1, 2, 3, 3, 11, 4]);
                    let icmp = Happening::Icmp { relayed: from, peer, kind };
                    self.net.send(&mut self.prng, self.ms, &icmp);
                } else if self.prng.chance(60) {
                    let echo = Happening::AtRelay { relayed: from, peer, data };
                    self.net.send(&mut self.prng, self.ms, &echo);
                }
            }
            Happening::Icmp { relayed, peer, kind } => self.icmp_comes(relayed, peer, kind),
            Happening::AtClient { client, id, read } => {
                let unix_s = self.now().unix_s();
                if let Some(client) = self.clients.iter_mut().find(|c| c.address == client) {
                    client.hear(id, &read, unix_s);
                }
            }
            Happening::SocketOpened { shard, token, result } => {
                self.socket_opened(shard, token, result);
            }
            Happening::ClientActs(index) => self.client_acts(index),
            Happening::Retransmits { index, id } => {
                if let Some(packet) = self.clients[index].retransmit(id) {
                    self.client_sends(index, packet);
                }
            }
            Happening::AttackerActs => self.attacker_acts(),
            Happening::ClockJumps(by_s) => self.unix_jumped_s += by_s,
            Happening::AsksAtOnce { client, wanted } => self.asks_at_once(client, wanted),
            Happening::Impersonates { client, wanted } => {
                let nonce = self.challenge(client);
                let mallory = signer("mallory", i64::MAX / 2);
                let id = TransactionId([0x3A; 12]);
                let ask = Ask::new(wanted, mallory, nonce, id, false);
                self.at_server(&Packet::ask(client, &ask));
            }
        }
    }

    fn client_acts(&mut self, index: usize) {
        let others: Vec<SocketAddr> =
            self.clients.iter().flat_map(|c| c.relayed.iter().copied()).collect();
        if let Some(packet) = self.clients[index].act(&mut self.prng, &others, &self.tokens) {
            self.client_sends(index, packet);
        }
        let gap_ms = match self.prng.below(10) {
            0..6 => self.prng.within(100, 5000),
            6..9 => self.prng.within(5000, 120_000),
            _ => self.prng.within(120_000, 700_000),
        };
        self.net.plan(self.ms + gap_ms, Happening::ClientActs(index));
    }

    fn client_sends(&mut self, index: usize, packet: Packet) {
        self.attacker.overhear(&packet);
        if let Some(id) = self.clients[index].waiting_id() {
            self.net.plan(self.ms + 700, Happening::Retransmits { index, id });
        }
        self.net.send(&mut self.prng, self.ms, &Happening::AtServer(packet));
    }

    fn attacker_acts(&mut self) {
        let live: Vec<(SocketAddr, SocketAddr)> = self
            .model
            .allocations
            .iter()
            .flat_map(|(client, a)| a.relayed(self.ms).map(|r| (*client, r)))
            .collect();
        let nonce = self.challenge(OWN);
        if let Some(happening) = self.attacker.act(&mut self.prng, &live, nonce) {
            self.net.send(&mut self.prng, self.ms, &happening);
        }
        let gap_ms = self.prng.within(500, 20_000);
        self.net.plan(self.ms + gap_ms, Happening::AttackerActs);
    }

    /// The nonce that the server gives this client right away.
    fn challenge(&mut self, client: SocketAddr) -> Vec<u8> {
        let ask = self.clients[0].ask_with(&mut self.prng, Wanted::Challenge, Vec::new());
        let now = self.now();
        let (_, seen) = self.shards.client_sent(&mut self.prng, now, client, &ask.bytes());
        let [(_, bytes)] = &seen.answers[..] else { panic!("one answer: {seen:?}") };
        let read = self.read(client, &ask, bytes);
        read.nonce.expect("a 401 has a nonce")
    }

    fn asks_at_once(&mut self, client: SocketAddr, wanted: Wanted) {
        if !self.clients.iter().any(|c| c.address == client) {
            return;
        }
        let nonce = self.challenge(client);
        let asking = self.clients.iter().find(|c| c.address == client).expect("looked for above");
        let ask = asking.ask_with(&mut self.prng, wanted, nonce);
        self.at_server(&Packet::ask(client, &ask));
    }

    fn at_server(&mut self, packet: &Packet) {
        let Packet { client, bytes, intent } = packet;
        let now = self.now();
        let (delivery, seen) = self.shards.client_sent(&mut self.prng, now, *client, bytes);
        // Before the model takes the step: what had expired and was noticed only by it.
        let closed_late = self.forget_expired(&seen);
        let expected = match intent {
            Intent::Ask(ask) => {
                assert_eq!(delivery, Delivery::Dropped);
                self.check_answer(*client, ask, &seen);
                Delivery::Dropped
            }
            Intent::Send { peer, data, dont_fragment } => {
                self.model.send(self.ms, *client, *peer, data, *dont_fragment)
            }
            Intent::Channel { number, data } => {
                self.model.channel_data(self.ms, *client, *number, data)
            }
            Intent::Unknown => {
                self.check_unknown(*client, bytes, &delivery, &seen);
                delivery.clone()
            }
        };
        assert_eq!(delivery, expected, "{packet:?}");
        self.delivered(delivery);
        for (client, reason) in closed_late {
            assert_eq!(reason, EndReason::Client);
            assert!(self.model.forget_expired(self.ms, client), "{client} ended before its time");
            self.told.ended_by_client += 1;
        }
        self.plan_openings(&seen);
    }

    fn socket_opened(&mut self, shard: usize, token: Token, result: Result<Opened, Why>) {
        let now = self.now();
        let (client, seen) = self.shards.socket_opened(&mut self.prng, now, shard, token, result);
        let closed = self.forget_expired(&seen);
        assert!(closed.is_empty(), "{closed:?}");
        let ask = Rc::clone(self.model.pending(client).expect("a question is open"));
        let reserved = result.ok().and_then(|opened| opened.reserved).map(|token| token.0);
        let relayed = result.map(|opened| {
            let ports = std::iter::once(opened.relay).chain(opened.other.and_then(Result::ok));
            ports.map(|port| self.shards.transport_address(port)).collect()
        });
        self.told.refused_by_ledger += u64::from(relayed.is_err());
        let verdict = self.model.socket_opened(self.ms, client, relayed, reserved, self.is_stopped);
        let [(to, bytes)] = &seen.answers[..] else { panic!("one answer: {seen:?}") };
        assert_eq!(*to, client);
        let read = self.read(client, &ask, bytes);
        assert_eq!(Verdict::Answers(read.answer.clone()), verdict);
        self.check_addresses(client, &read);
        let live = self.model.live(self.ms, client).map(|a| a.relayed(self.ms).collect());
        let opened: Vec<_> = live.map(|relayed| (client, relayed)).into_iter().collect();
        assert_eq!(seen.opened, opened);
        self.told.dual += u64::from(read.relayed.len() == 2);
        self.check_ports(&ask.wanted, &read);
        self.told.allocations += opened.len() as u64;
        self.probe(client, &ask.wanted, &read.answer);
        self.tell(client, ask.id, read);
    }

    pub(super) fn read(&mut self, client: SocketAddr, ask: &Ask, bytes: &[u8]) -> Read {
        let asked = Asked { client, request: ask.request.clone() };
        let read = read(&asked, REALM, ask.id, bytes);
        if let Some(nonce) = &read.nonce {
            self.model.nonce_issued(nonce.clone(), client, self.ms);
        }
        read
    }

    pub(super) fn tell(&mut self, client: SocketAddr, id: TransactionId, read: Read) {
        match read.answer {
            Answer::Error(_) | Answer::Unknown(_) => self.told.errors += 1,
            Answer::Mapped | Answer::Allocated { .. } | Answer::Refreshed { .. } | Answer::Done => {
                self.told.successes += 1
            }
        }
        let heard = Happening::AtClient { client, id, read };
        self.net.send(&mut self.prng, self.ms, &heard);
    }

    fn delivered(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Dropped => self.told.dropped += 1,
            Delivery::ToPeer { from, peer, data, dont_fragment } => {
                self.told.to_peers += 1;
                self.told.whole += u64::from(dont_fragment);
                let arrives = Happening::AtPeer { from, peer, data };
                self.net.send(&mut self.prng, self.ms, &arrives);
            }
            Delivery::ToClient { client, header, data } => {
                self.told.to_clients += 1;
                let is_channel = matches!(header, Header::Channel(_));
                self.told.on_channels += u64::from(is_channel);
                let receiver = self.model.live(self.ms, client).expect("only to the living");
                let peer = match header {
                    Header::Channel(number) => receiver.peer_of(self.ms, number.number()),
                    Header::DataIndication(peer) => Some(peer),
                };
                let peer = peer.expect("a live binding");
                let relayed = receiver.relayed_like(self.ms, peer).expect("of its family");
                self.told.inside += u64::from(peer.ip() == relayed.ip());
                self.shards.note_to_client(relayed, data.len());
            }
        }
    }

    fn plan_openings(&mut self, seen: &Seen) {
        for (shard, token, result) in &seen.opening {
            let (shard, token, result) = (*shard, *token, *result);
            let delay_ms = if self.prng.chance(60) { 0 } else { self.prng.within(1, 2000) };
            let opened = Happening::SocketOpened { shard, token, result };
            self.net.plan(self.ms + delay_ms, opened);
        }
    }

    /// Ticks every shard at each of its deadlines up to `end_ms`.
    fn tick_until(&mut self, end_ms: u64) {
        let end = self.start.after(Duration::from_millis(end_ms)).mono;
        loop {
            let due = (0..2).filter_map(|shard| self.shards.deadline(shard)).min();
            let Some(due) = due.filter(|due| *due <= end) else { return };
            let due_ms = due.duration_since(self.start.mono).as_millis() as u64;
            self.ms = self.ms.max(due_ms);
            self.settle();
        }
    }

    fn note(&mut self, happening: &Happening) {
        let line = format!("{:>9} ms  {happening:?}", self.ms);
        for byte in line.bytes() {
            // FNV-1a.
            self.told.hash = (self.told.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if self.trace.len() == TRACE_LINES {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for line in &self.trace {
                eprintln!("{}", line.chars().take(300).collect::<String>());
            }
            let seed = self.seed;
            eprintln!("seed {seed}; again with:");
            eprintln!("TURNBELL_SIM_SEED={seed} cargo test --test sim replay -- --nocapture");
        }
    }
}
