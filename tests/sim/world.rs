//! One simulated world: what happens next, what the server makes of it, what the model says.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use turnbell::time::Now;
use turnbell::turn::contract::Command;
use turnbell::wire::address::Family;
use turnbell::wire::message::TransactionId;

use super::actor::{Client, signer};
use super::ask::{Ask, Intent, Packet, Relays, Wanted};
use super::attacker::{self, Attacker};
use super::delivery::{Delivery, Way};
use super::model::{Model, Moment};
use super::net::{Happening, Net};
use super::operator::Order;
use super::origin::Origin;
use super::prng::Prng;
use super::rules::Rules;
use super::shards::Shards;
use super::streams::Streams;
use super::told::Told;
use crate::support::setup::START_S;

const CLIENTS: usize = 9;
/// Happenings until everybody leaves.
const STEPS: u64 = 500;
/// Of them, those after which the operator may drain.
const STEPS_UNDRAINED: u64 = 400;
/// As long a reservation lives.
const RESERVED_MS: u64 = 60_000;
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
    pub(super) streams: Streams,
    pub(super) attacker: Attacker,
    /// Reservation tokens that clients told each other.
    pub(super) tokens: Vec<[u8; 8]>,
    pub(super) is_stopped: bool,
    pub(super) told: Told,
    trace: VecDeque<(u64, Happening)>,
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
        net.plan(prng.below(300_000), Happening::OperatorActs);
        for _ in 0..prng.below(4) {
            let by_s = match prng.below(4) {
                // Around the skew that is forgiven.
                0 => prng.within(0, 62) as i64 - 31,
                1 => 31_536_000 * (prng.below(9) as i64 - 3),
                _ => prng.within(0, 14_400) as i64 - 7200,
            };
            net.plan(prng.below(3_600_000), Happening::ClockJumps(by_s));
        }
        let rules = Rules::first(&mut prng);
        let shards = Shards::new(&mut prng, start, rules);
        Self {
            seed,
            prng,
            start,
            ms: 0,
            unix_jumped_s: 0,
            net,
            shards,
            model: Model::new(rules),
            clients,
            streams: Streams::default(),
            attacker: Attacker::default(),
            tokens: Vec::new(),
            is_stopped: false,
            told: Told::default(),
            trace: VecDeque::new(),
        }
    }

    /// Lets things happen.
    pub(crate) fn run(&mut self) {
        for step in 0..STEPS {
            if step == STEPS_UNDRAINED && self.prng.chance(30) {
                let families =
                    *self.prng.pick(&[&[][..], &[Family::V4], &[Family::V6, Family::V4]]);
                self.net.plan(self.ms, Happening::Wants(Order::Drain(families.to_vec())));
            }
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
                self.asks_at_once(self.clients[index].origin, wanted);
            }
            self.is_stopped = true;
            self.model.stop(self.ms);
            for shard in 0..2 {
                let now = self.now();
                let (_, seen) = self.shards.command(&mut self.prng, now, shard, Command::Stop);
                self.check_closed(&seen);
            }
        }
        self.ends();
        self.tick_until(self.ms + 3_600_000);
        self.net.calm();
        self.ends();
        self.shards.check_empty(self.ms + RESERVED_MS);
        assert!(self.model.allocations.is_empty() && self.streams.are_settled());
        self.told.simulated_s = self.ms / 1000;
        self.told.refused.clone_from(&self.shards.ledger.refused);
        self.told.clone()
    }

    /// What is under way comes to its end.
    fn ends(&mut self) {
        while let Some((at_ms, happening)) = self.net.next() {
            self.tick_until(at_ms);
            self.ms = at_ms;
            self.happens(happening);
            self.settle();
        }
    }

    pub(super) fn now(&self) -> Now {
        let now = self.start.after(Duration::from_millis(self.ms));
        Now { unix_ms: now.unix_ms + self.unix_jumped_s * 1000, ..now }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { ms: self.ms, unix_ms: self.now().unix_ms }
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::AtServer(packet) => {
                // What nobody meant may be paid for in ways that nobody can tell.
                let is_meant = !matches!(packet.intent, Intent::Unknown);
                if is_meant || self.model.rules.packets_per_s.is_none() {
                    self.at_server(&packet);
                }
            }
            Happening::AtRelay { relayed, peer, data } => {
                // Whoever says through the kernel that he is us is some other program.
                let is_own = peer.ip() == relayed.ip();
                let way = self.model.arrive(self.ms, relayed, peer, &data);
                self.told.dropped += u64::from(way.delivery == Delivery::Dropped);
                let expected = self.pay(if is_own { Way::NONE } else { way });
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
                if let Some(index) = self.clients.iter().position(|c| c.origin == client) {
                    self.clients[index].hear(id, &read, unix_s);
                    self.hang_up_left(index);
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
                self.hang_up_left(index);
            }
            Happening::Bytes(number, bytes) => self.read_stream(number, &bytes),
            Happening::Flush(number) => self.flush(number, 0),
            Happening::HungUp(number) => self.end_stream(number),
            Happening::StreamEnds(number) => self.stream_ends(number),
            Happening::ConnectionLost(origin) => {
                if let Some(client) = self.clients.iter_mut().find(|c| c.origin == origin) {
                    client.move_on();
                    client.hung_up.clear();
                }
            }
            Happening::ComesLate(origin, late) => self.comes_late(origin, late),
            Happening::OperatorActs => self.operator_acts(),
            Happening::Wants(order) => self.wants(order),
            Happening::AttackerActs => self.attacker_acts(),
            Happening::ClockJumps(by_s) => self.unix_jumped_s += by_s,
            Happening::AsksAtOnce { client, wanted } => self.asks_at_once(client, wanted),
            Happening::Impersonates { client, wanted } => {
                if !self.can_ask(client) {
                    return;
                }
                let Some(nonce) = self.challenge(client) else { return };
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
            // Media comes in bursts.
            let is_data = matches!(packet.intent, Intent::Send { .. } | Intent::Channel { .. });
            let copies = if is_data { self.prng.within(1, 4) } else { 1 };
            for _ in 0..copies {
                self.client_sends(index, packet.clone());
            }
        }
        self.hang_up_left(index);
        let gap_ms = match self.prng.below(10) {
            0..6 => self.prng.within(100, 5000),
            6..9 => self.prng.within(5000, 120_000),
            _ => self.prng.within(120_000, 700_000),
        };
        self.net.plan(self.ms + gap_ms, Happening::ClientActs(index));
    }

    fn client_sends(&mut self, index: usize, packet: Packet) {
        self.attacker.overhear(&packet);
        let is_stream = packet.client.is_stream();
        if let Some(id) = self.clients[index].waiting_id() {
            // RFC 8489 §6.2.1 and §6.2.2.
            let after_ms = if is_stream { 39_500 } else { 700 };
            self.net.plan(self.ms + after_ms, Happening::Retransmits { index, id });
        }
        if is_stream {
            self.write(packet);
        } else {
            self.net.send(&mut self.prng, self.ms, &Happening::AtServer(packet));
        }
    }

    /// A client lets go of the connections that it has left.
    fn hang_up_left(&mut self, index: usize) {
        for left in std::mem::take(&mut self.clients[index].hung_up) {
            self.hang_up(left);
        }
    }

    fn attacker_acts(&mut self) {
        let live: Vec<(Origin, SocketAddr)> = self
            .model
            .allocations
            .iter()
            .flat_map(|(client, a)| a.relayed(self.ms).map(|r| (*client, r)))
            .collect();
        // It may ask for more than it is answered.
        let flood = if self.prng.chance(15) { 12 } else { 0 };
        // In somebody else's name, who goes unharmed where he shows a nonce.
        let victim = self.prng.below(CLIENTS as u64) as usize;
        let origin = self.clients[victim].origin;
        let in_name_of = if origin.is_stream() { attacker::address() } else { origin };
        for _ in 0..flood {
            self.challenge(in_name_of);
        }
        if let (Some(nonce), true) = (self.clients[victim].nonce.clone(), flood > 0) {
            let wanted = self.prng.pick(&[Wanted::Binding, Wanted::Challenge]).clone();
            let ask = self.clients[victim].ask_with(&mut self.prng, wanted, nonce);
            self.net.plan(self.ms, Happening::AtServer(Packet::ask(origin, &ask)));
        }
        let nonce = self.challenge(attacker::address()).unwrap_or_default();
        if let Some(happening) = self.attacker.act(&mut self.prng, &live, nonce) {
            self.net.send(&mut self.prng, self.ms, &happening);
        }
        let gap_ms = self.prng.within(500, 60_000);
        self.net.plan(self.ms + gap_ms, Happening::AttackerActs);
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
        for part in [self.ms, self.prng.state()] {
            // FNV-1a, by words.
            self.told.hash = (self.told.hash ^ part).wrapping_mul(0x0100_0000_01B3);
        }
        if self.trace.len() == TRACE_LINES {
            self.trace.pop_front();
        }
        self.trace.push_back((self.ms, happening.clone()));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (ms, happening) in &self.trace {
                let line = format!("{ms:>9} ms  {happening:?}");
                eprintln!("{}", line.chars().take(300).collect::<String>());
            }
            let seed = self.seed;
            eprintln!("seed {seed}; again with:");
            eprintln!("TURNBELL_SIM_SEED={seed} cargo test --test sim replay -- --nocapture");
        }
    }
}
