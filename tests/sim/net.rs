//! The network and the clock: what happens next. Loses, delays, reorders and duplicates.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use turnbell::turn::contract::{Opened, Token, Why};
use turnbell::wire::message::TransactionId;

use super::ask::{Packet, Wanted};
use super::operator::Order;
use super::origin::Origin;
use super::prng::Prng;
use super::streams::Late;
use crate::support::answer::Read;

/// Something that happens at its time.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    /// A datagram of a client reaches the server.
    AtServer(Packet),
    /// A datagram of a peer reaches a relayed transport address through the kernel.
    AtRelay { relayed: SocketAddr, peer: SocketAddr, data: Vec<u8> },
    /// ICMP about what went to a peer comes back, or somebody says so.
    Icmp { relayed: SocketAddr, peer: SocketAddr, kind: u8 },
    /// Data reaches a peer outside.
    AtPeer { from: SocketAddr, peer: SocketAddr, data: Vec<u8> },
    /// An answer reaches a client.
    AtClient { client: Origin, id: TransactionId, read: Read },
    /// The ledger's answer reaches its shard.
    SocketOpened { shard: usize, token: Token, result: Result<Opened, Why> },
    /// A client does something.
    ClientActs(usize),
    /// A client has heard no answer yet.
    Retransmits { index: usize, id: TransactionId },
    /// An attacker does something.
    AttackerActs,
    /// The wall clock is set, by so many seconds.
    ClockJumps(i64),
    /// The client at this address asks for this with a new nonce, at exactly this time.
    AsksAtOnce { client: Origin, wanted: Wanted },
    /// Another user, whose password is right, asks from this client's address.
    Impersonates { client: Origin, wanted: Wanted },
    /// Bytes of a connection reach the server.
    Bytes(u64, Vec<u8>),
    /// A client sends what it held back.
    Flush(u64),
    /// The server hears that a client closed its connection.
    HungUp(u64),
    /// The relay hears that a connection is gone.
    StreamEnds(u64),
    /// A client hears that its connection is gone.
    ConnectionLost(Origin),
    /// Something of a connection that is gone reaches the relay.
    ComesLate(Origin, Late),
    /// The operator does something.
    OperatorActs,
    /// The operator wants this.
    Wants(Order),
}

/// What a network does to datagrams, in percent and milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) loss: u64,
    pub(crate) duplicates: u64,
    pub(crate) delay_ms_max: u64,
}

/// Everything that is going to happen, by time; of the same time in the order of planning.
#[derive(Debug)]
pub(crate) struct Net {
    weather: Weather,
    queue: BTreeMap<(u64, u64), Happening>,
    planned: u64,
}

impl Net {
    pub(crate) fn new(prng: &mut Prng) -> Self {
        let weather = Weather {
            loss: *prng.pick(&[0, 5, 20, 40]),
            duplicates: *prng.pick(&[0, 5, 20]),
            delay_ms_max: *prng.pick(&[1, 50, 400, 3000]),
        };
        Self { weather, queue: BTreeMap::new(), planned: 0 }
    }

    /// Makes something happen at its time, for certain.
    pub(crate) fn plan(&mut self, at_ms: u64, happening: Happening) {
        self.planned += 1;
        self.queue.insert((at_ms, self.planned), happening);
    }

    /// Sends a datagram: it may be lost, late, twice, or behind a later one.
    pub(crate) fn send(&mut self, prng: &mut Prng, now_ms: u64, happening: &Happening) {
        if prng.chance(self.weather.loss) {
            return;
        }
        let copies = if prng.chance(self.weather.duplicates) { 2 } else { 1 };
        for _ in 0..copies {
            let at_ms = now_ms + prng.within(0, self.weather.delay_ms_max);
            self.plan(at_ms, happening.clone());
        }
    }

    /// When something arrives that is neither lost nor doubled.
    pub(crate) fn arrives_ms(&self, prng: &mut Prng, now_ms: u64) -> u64 {
        now_ms + prng.within(0, self.weather.delay_ms_max)
    }

    pub(crate) fn next(&mut self) -> Option<(u64, Happening)> {
        self.queue.pop_first().map(|((at_ms, _), happening)| (at_ms, happening))
    }

    /// Forgets what anybody would still do; the ledger's answers come, and the ends of streams.
    pub(crate) fn calm(&mut self) {
        self.queue.retain(|_, happening| {
            matches!(happening, Happening::SocketOpened { .. } | Happening::StreamEnds(_))
        });
    }
}
