//! Those who mean no good: replay, mutation, garbage, wrong passwords, scanning, spoofed peers.

use std::collections::VecDeque;
use std::net::SocketAddr;

use turnbell::wire::message::TransactionId;

use super::actor::signer;
use super::ask::{Ask, Intent, Packet, Wanted};
use super::net::Happening;
use super::origin::Origin;
use super::prng::Prng;
use crate::support::setup::START_S;
use crate::support::{SERVER, v4};

/// Datagrams remembered for later use.
const CAPTURED_MAX: usize = 48;

/// Sees what clients send, and sends what it likes.
#[derive(Debug, Default)]
pub(crate) struct Attacker {
    captured: VecDeque<Packet>,
}

impl Attacker {
    /// A client's datagram goes by, or what it sends over TCP: nobody gets a word into that, but
    /// datagrams can be sent from the same address.
    pub(crate) fn overhear(&mut self, packet: &Packet) {
        if self.captured.len() == CAPTURED_MAX {
            self.captured.pop_front();
        }
        let client = Origin::udp(packet.client.address);
        let intent = match packet.intent.clone() {
            Intent::Garbage => Intent::Unknown,
            meant @ (Intent::Ask(_)
            | Intent::Send { .. }
            | Intent::Channel { .. }
            | Intent::Unknown) => meant,
        };
        self.captured.push_back(Packet { client, bytes: packet.bytes.clone(), intent });
    }

    /// What it sends next. `live`: clients with an allocation and their relayed transport
    /// addresses, `nonce`: one for its own address.
    pub(crate) fn act(
        &self,
        prng: &mut Prng,
        live: &[(Origin, SocketAddr)],
        nonce: Vec<u8>,
    ) -> Option<Happening> {
        let captured = match self.captured.len() {
            0 => None,
            count => self.captured.get(prng.below(count as u64) as usize).cloned(),
        };
        match prng.below(9) {
            // The same bytes from the same address: nobody can tell it from a retransmission.
            0 => captured.map(Happening::AtServer),
            1 => captured.map(|packet| Happening::AtServer(Packet { client: own(prng), ..packet })),
            2 | 3 => captured.map(|packet| Happening::AtServer(mutate(prng, packet))),
            4 => Some(Happening::AtServer(garbage(prng, captured.as_ref()))),
            5 => {
                let mut signer = signer("user0", START_S + 100_000);
                signer.credential.password.push(b'!');
                signer.is_right = false;
                let id = TransactionId(prng.bytes(12).try_into().expect("twelve bytes"));
                let wanted = Wanted::Refresh { lifetime_s: Some(0), family: None };
                let ask = Ask::new(wanted, signer, nonce, id, false);
                let client = captured.map_or_else(address, |packet| packet.client);
                Some(Happening::AtServer(Packet::ask(client, &ask)))
            }
            6 if !live.is_empty() => {
                // A peer that nobody asked, or one that says it is us.
                let (_, relayed) = *prng.pick(live);
                let stranger = v4([192, 0, 2, 200], 5000);
                let peer = *prng.pick(&[stranger, SERVER, live[0].1]);
                if prng.chance(50) {
                    // Anybody can send ICMP about anybody.
                    let peer = v4([192, 0, 2, prng.within(1, 3) as u8], 5000);
                    return Some(Happening::Icmp { relayed, peer, kind: 3 });
                }
                Some(Happening::AtRelay { relayed, peer, data: b"attack".to_vec() })
            }
            7 if !live.is_empty() => {
                let (client, _) = *prng.pick(live);
                let wanted = match prng.below(3) {
                    0 => Wanted::Refresh { lifetime_s: Some(0), family: None },
                    1 => Wanted::Permit { peers: vec![v4([192, 0, 2, 201], 1)] },
                    _ => Wanted::Bind { number: 0x4000, peer: v4([192, 0, 2, 201], 1) },
                };
                Some(Happening::Impersonates { client, wanted })
            }
            _ => None,
        }
    }
}

/// The attacker's own address.
pub(crate) fn address() -> Origin {
    Origin::udp(v4([203, 0, 113, 66], 6666))
}

fn own(prng: &mut Prng) -> Origin {
    let mut own = address();
    own.address.set_port(6666 + prng.below(3) as u16);
    own
}

fn mutate(prng: &mut Prng, packet: Packet) -> Packet {
    let mut bytes = packet.bytes.to_vec();
    // FINGERPRINT stands behind MESSAGE-INTEGRITY and is not protected by it.
    let fingerprint_bytes = match &packet.intent {
        Intent::Ask(ask) if ask.request.has_fingerprint() => 8,
        Intent::Ask(_)
        | Intent::Send { .. }
        | Intent::Channel { .. }
        | Intent::Garbage
        | Intent::Unknown => 0,
    };
    let end = bytes.len() - fingerprint_bytes;
    match prng.below(4) {
        0 => bytes.truncate(prng.below(bytes.len() as u64 + 1) as usize),
        1 => {
            let count = prng.within(1, 8) as usize;
            bytes.extend(prng.bytes(count));
        }
        _ if end > 0 => {
            for _ in 0..prng.within(1, 3) {
                let at = prng.below(end as u64) as usize;
                bytes[at] ^= 1 << prng.below(8);
            }
        }
        _ => {}
    }
    if bytes[..] == packet.bytes[..] {
        return packet;
    }
    Packet { bytes: bytes.into(), intent: Intent::Unknown, ..packet }
}

fn garbage(prng: &mut Prng, captured: Option<&Packet>) -> Packet {
    let client = captured.filter(|_| prng.chance(50)).map_or_else(address, |packet| packet.client);
    let count = prng.below(80) as usize;
    let mut bytes = prng.bytes(count);
    if prng.chance(50) && bytes.len() >= 20 {
        let length = (bytes.len() - 20) as u16;
        bytes[0] &= 0x3F;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        bytes[4..8].copy_from_slice(&0x2112_A442_u32.to_be_bytes());
    }
    Packet { client, bytes: bytes.into(), intent: Intent::Unknown }
}
