//! An honest client: allocates, permits, binds, sends, refreshes, retransmits, gives up.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use turnbell::turn::fact::Transport;
use turnbell::wire::address::Family;
use turnbell::wire::message::TransactionId;

use super::ask::{Ask, Intent, Packet, Relays, Signer, Wanted};
use super::origin::Origin;
use super::prng::Prng;
use crate::support::answer::{Answer, Read};
use crate::support::setup::{START_S, credential_until};
use crate::support::{RELAY_V4, v4, v6};

/// Transmissions of one request before the client gives up.
const TRIES_MAX: u32 = 4;
/// Between the numbers of a client's connections, so that no two clients have the same.
const CONNECTIONS: u64 = 16;

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) origin: Origin,
    /// Connections it has left since it was asked.
    pub(crate) hung_up: Vec<Origin>,
    pub(crate) relayed: Vec<SocketAddr>,
    user: String,
    signer: Signer,
    pub(crate) nonce: Option<Vec<u8>>,
    waits_for: Option<(Rc<Ask>, u32)>,
    channels: BTreeMap<u16, SocketAddr>,
    permitted: Vec<SocketAddr>,
}

impl Client {
    pub(crate) fn new(index: usize, prng: &mut Prng) -> Self {
        let n = index as u16;
        let v4_at = |host, port| v4([203, 0, 113, host], port);
        let v6_at = |host, port| v6([0x2001, 0xdb8, 3, 0, 0, 0, 0, host], port);
        let (address, transport) = match index {
            0..3 => (v4_at(n as u8 + 1, 40_000 + n), Transport::Udp),
            // Behind one NAT with another one.
            3 => (v4_at(1, 41_003), Transport::Udp),
            4 => (v6_at(1, 40_004), Transport::Udp),
            5 => (v4_at(5, 40_005), Transport::Tcp),
            6 => (v4_at(6, 40_006), Transport::Tls),
            7 => (v6_at(7, 40_007), Transport::Tcp),
            // Where another one speaks from over UDP.
            _ => (v4_at(1, 40_000), Transport::Tcp),
        };
        let connection = if transport == Transport::Udp { 0 } else { index as u64 };
        let origin = Origin { address, transport, connection };
        let user = format!("user{}", n % 3);
        let expires_s = START_S + prng.pick(&[300, 3600, 86_400]);
        let signer = signer(&user, expires_s);
        Self {
            origin,
            hung_up: Vec::new(),
            relayed: Vec::new(),
            user,
            signer,
            nonce: None,
            waits_for: None,
            channels: BTreeMap::new(),
            permitted: Vec::new(),
        }
    }

    /// What it sends next, if anything. `others` and `tokens`: relayed addresses and
    /// reservation tokens it heard of by signaling.
    pub(crate) fn act(
        &mut self,
        prng: &mut Prng,
        others: &[SocketAddr],
        tokens: &[[u8; 8]],
    ) -> Option<Packet> {
        if self.waits_for.is_some() {
            return None;
        }
        if self.relayed.is_empty() {
            let wanted = match (&self.nonce, prng.below(10)) {
                (Some(_), 9) if prng.chance(20) => Wanted::Challenge,
                (_, 0) => Wanted::Binding,
                (None, _) => Wanted::Challenge,
                (Some(_), _) => Wanted::Allocate {
                    lifetime_s: *prng.pick(&[None, None, Some(1), Some(900), Some(100_000)]),
                    relays: pick_relays(prng, tokens),
                },
            };
            return Some(self.ask(prng, wanted));
        }
        let relayed = *prng.pick(&self.relayed);
        let peer = pick_peer(prng, relayed, others);
        match prng.below(100) {
            // More addresses than any page has: the rate of new peers is felt.
            0..2 => {
                let (first, count) = (prng.below(150), prng.within(30, 100));
                let host = |n: u64| v4([192, 0, 2, (first + n) as u8], 5000);
                let peers = (0..count).map(host).collect();
                Some(self.ask(prng, Wanted::Permit { peers }))
            }
            2..15 => {
                let count = prng.within(1, 3);
                let peers: Vec<SocketAddr> =
                    (0..count).map(|_| pick_peer(prng, relayed, others)).collect();
                Some(self.ask(prng, Wanted::Permit { peers }))
            }
            15..30 => {
                let number = self.pick_number(prng);
                let peer = self.channels.get(&number).copied().unwrap_or(peer);
                Some(self.ask(prng, Wanted::Bind { number, peer }))
            }
            // What was bound before, with another half: mostly 400.
            30..35 => {
                let number = self.pick_number(prng);
                Some(self.ask(prng, Wanted::Bind { number, peer }))
            }
            35..55 => {
                let known = !self.permitted.is_empty() && prng.chance(90);
                let peer = if known { *prng.pick(&self.permitted) } else { peer };
                let count = prng.below(20) as usize;
                let dont_fragment = prng.chance(30);
                Some(Packet::send_as(self.origin, peer, prng.bytes(count), dont_fragment))
            }
            55..75 => {
                let number = self.pick_number(prng);
                let count = prng.below(20) as usize;
                Some(Packet::channel(self.origin, number, prng.bytes(count)))
            }
            75..95 => {
                let lifetime_s = *prng.pick(&[None, None, Some(1), Some(700), Some(3600)]);
                let family = *prng.pick(&[None, None, Some(Family::of(relayed.ip()))]);
                Some(self.ask(prng, Wanted::Refresh { lifetime_s, family }))
            }
            95..98 => {
                let family = *prng.pick(&[None, Some(Family::V4), Some(Family::V6)]);
                Some(self.ask(prng, Wanted::Refresh { lifetime_s: Some(0), family }))
            }
            98 if self.origin.is_stream() => Some(self.garbage(prng)),
            // The page is closed: nothing is said, and a new one comes from another port.
            _ => {
                self.move_on();
                None
            }
        }
    }

    /// The request again, if it is still waited for.
    pub(crate) fn retransmit(&mut self, id: TransactionId) -> Option<Packet> {
        let (ask, tries) = self.waits_for.as_mut().filter(|(ask, _)| ask.id == id)?;
        if self.origin.is_stream() {
            // Nothing is lost there, so nobody answers: another connection may do better.
            self.waits_for = None;
            self.move_on();
            return None;
        }
        *tries += 1;
        let packet = Packet::ask(self.origin, ask);
        if *tries >= TRIES_MAX {
            self.waits_for = None;
            if self.relayed.is_empty() && self.nonce.is_some() {
                // An allocation may exist whose answer was lost: another five-tuple.
                self.move_on();
            }
            return None;
        }
        Some(packet)
    }

    pub(crate) fn hear(&mut self, id: TransactionId, read: &Read, unix_s: i64) {
        let Some((ask, _)) = self.waits_for.take_if(|(ask, _)| ask.id == id) else { return };
        if let Some(nonce) = &read.nonce {
            self.nonce = Some(nonce.clone());
        }
        match &read.answer {
            Answer::Allocated { .. } => self.relayed.clone_from(&read.relayed),
            Answer::Refreshed { lifetime_s: 0 } => {
                if let Wanted::Refresh { family: Some(family), .. } = ask.wanted {
                    self.relayed.retain(|relayed| Family::of(relayed.ip()) != family);
                } else {
                    self.relayed.clear();
                }
                if self.relayed.is_empty() {
                    self.move_on();
                }
            }
            Answer::Error(437 | 441) => self.move_on(),
            Answer::Error(401) if !matches!(ask.wanted, Wanted::Challenge) => {
                // The credential is over: fetch another one and begin again.
                self.signer = signer(&self.user, unix_s + 3600);
                self.move_on();
            }
            Answer::Done => match &ask.wanted {
                Wanted::Bind { number, peer } => {
                    self.channels.insert(*number, *peer);
                    self.permitted.push(*peer);
                }
                Wanted::Permit { peers } => self.permitted.extend(peers.iter().take(3)),
                Wanted::Binding
                | Wanted::Challenge
                | Wanted::Allocate { .. }
                | Wanted::Refresh { .. } => {}
            },
            Answer::Mapped | Answer::Refreshed { .. } | Answer::Error(_) | Answer::Unknown(_) => {}
        }
    }

    /// Whether `id` is waited for, so that a retransmission has to be planned.
    pub(crate) fn waiting_id(&self) -> Option<TransactionId> {
        self.waits_for.as_ref().map(|(ask, _)| ask.id)
    }

    /// A request of this client made outside its own plans.
    pub(crate) fn ask_with(&self, prng: &mut Prng, wanted: Wanted, nonce: Vec<u8>) -> Rc<Ask> {
        let id = TransactionId(prng.bytes(12).try_into().expect("twelve bytes"));
        Ask::new(wanted, self.signer.clone(), nonce, id, false)
    }

    fn ask(&mut self, prng: &mut Prng, wanted: Wanted) -> Packet {
        let id = TransactionId(prng.bytes(12).try_into().expect("twelve bytes"));
        let nonce = self.nonce.clone().unwrap_or_default();
        let ask = Ask::new(wanted, self.signer.clone(), nonce, id, prng.chance(30));
        let packet = Packet::ask(self.origin, &ask);
        self.waits_for = Some((ask, 0));
        packet
    }

    /// Bytes that make no message, or a message that says nothing.
    fn garbage(&self, prng: &mut Prng) -> Packet {
        let mut bytes = match prng.below(3) {
            0 => vec![0x80 | prng.below(128) as u8],
            // Another cookie.
            1 => vec![0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xA4, 0x43],
            _ => {
                let length = prng.below(6) as u8 * 4;
                vec![0x00, 0x03, 0x00, length, 0x21, 0x12, 0xA4, 0x42]
            }
        };
        let is_message = bytes.get(7) == Some(&0x42);
        let count = if is_message { 12 + usize::from(bytes[3]) } else { prng.below(40) as usize };
        bytes.extend(prng.bytes(count));
        let intent = if is_message { Intent::Unknown } else { Intent::Garbage };
        Packet { client: self.origin, bytes: bytes.into(), intent }
    }

    /// Begins again from another port, or over a new connection, mostly from the same port.
    pub(crate) fn move_on(&mut self) {
        if self.origin.is_stream() {
            self.hung_up.push(self.origin);
            self.origin.connection += CONNECTIONS;
        }
        if !self.origin.is_stream() || (self.origin.connection / CONNECTIONS).is_multiple_of(4) {
            self.origin.address.set_port(self.origin.address.port() + 10);
        }
        self.waits_for = None;
        self.relayed.clear();
        self.nonce = None;
        self.channels.clear();
        self.permitted.clear();
    }

    fn pick_number(&self, prng: &mut Prng) -> u16 {
        let bound: Vec<u16> = self.channels.keys().copied().collect();
        if bound.is_empty() || prng.chance(20) {
            *prng.pick(&[0x4000, 0x4001, 0x4002, 0x4FFF, 0x5000])
        } else {
            *prng.pick(&bound)
        }
    }
}

/// A credential as `/ice` would hand it out.
pub(crate) fn signer(user: &str, expires_s: i64) -> Signer {
    let credential = credential_until(user, expires_s);
    Signer { credential, expires_s, user: user.into(), is_right: true }
}

fn pick_relays(prng: &mut Prng, tokens: &[[u8; 8]]) -> Relays {
    let token = match tokens {
        // Nobody's.
        [] => [9; 8],
        // Mostly the latest; older ones are used or over.
        [.., last] if prng.chance(70) => *last,
        _ => *prng.pick(tokens),
    };
    *prng.pick(&[
        Relays::Any,
        Relays::One(Family::V4),
        Relays::One(Family::V6),
        Relays::Both,
        Relays::Both,
        Relays::Even { reserve: false },
        Relays::Even { reserve: true },
        Relays::Even { reserve: true },
        Relays::BothEven,
        Relays::Token(token),
        Relays::TokenAndEven(token),
    ])
}

/// Mostly peers of the right family that are allowed, some that are neither.
pub(crate) fn pick_peer(prng: &mut Prng, relayed: SocketAddr, others: &[SocketAddr]) -> SocketAddr {
    let host = prng.within(1, 3) as u16;
    let port = 5000 + prng.below(2) as u16;
    match prng.below(20) {
        0 => v4([10, 0, 0, 1], port),
        1 => v6([0x2001, 0xdb8, 2, 0, 0, 0, 0, host], port),
        2 => SocketAddr::new(RELAY_V4, *prng.pick(&[3478, 49_151, 50_000, 50_003])),
        3..10 if !others.is_empty() => *prng.pick(others),
        _ if relayed.is_ipv6() => v6([0x2001, 0xdb8, 2, 0, 0, 0, 0, host], port),
        _ => v4([192, 0, 2, host as u8], port),
    }
}
