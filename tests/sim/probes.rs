//! Visits at the edges of what was granted: at its last millisecond and at the first after it.

use std::net::SocketAddr;

use super::actor::pick_peer;
use super::ask::{Packet, Wanted};
use super::net::Happening;
use super::origin::Origin;
use super::world::World;
use crate::support::answer::Answer;
use crate::support::v4;

/// Port of the peers that a scanner adds; what it adds brings on nothing more.
const SCANNED_PORT: u16 = 1;

impl World {
    /// Plans visits at the last millisecond of what was just granted, and at the first after it.
    pub(super) fn probe(&mut self, client: Origin, wanted: &Wanted, answer: &Answer) {
        let live = self.model.live(self.ms, client).map(|a| a.relayed(self.ms).collect());
        let relayed: Vec<SocketAddr> = live.unwrap_or_default();
        if relayed.is_empty() {
            return;
        }
        if !self.prng.chance(30) {
            return;
        }
        let at_once = |wanted| Happening::AsksAtOnce { client, wanted };
        let send = |peer| Happening::AtServer(Packet::send(client, peer, b"edge".to_vec()));
        let arrive = |peer: SocketAddr| {
            let like = relayed.iter().find(|relayed| relayed.is_ipv4() == peer.is_ipv4());
            let relayed = *like.unwrap_or(&relayed[0]);
            Happening::AtRelay { relayed, peer, data: b"edge".to_vec() }
        };
        match (wanted, answer) {
            (Wanted::Permit { peers }, Answer::Done) => {
                for at_ms in self.around(300_000) {
                    self.net.plan(at_ms, send(peers[0]));
                    self.net.plan(at_ms, arrive(peers[0]));
                }
                // A scanner goes on at full speed until it is not answered any more.
                if peers.len() > 20 && peers[0].port() != SCANNED_PORT {
                    for n in 0..4 {
                        let hosts =
                            (0..50).map(|host| v4([192, 0, 2, 40 + 50 * n + host], SCANNED_PORT));
                        let wanted = Wanted::Permit { peers: hosts.collect() };
                        self.net.plan(self.ms + u64::from(n), at_once(wanted));
                    }
                }
            }
            (Wanted::Bind { number, peer }, Answer::Done) => {
                let long = Wanted::Refresh { lifetime_s: Some(3600), family: None };
                self.net.plan(self.ms + 1, at_once(long));
                for after_ms in [299_000, 598_000] {
                    let again = Wanted::Permit { peers: vec![*peer] };
                    self.net.plan(self.ms + after_ms, at_once(again));
                }
                for at_ms in self.around(600_000) {
                    let data = Packet::channel(client, *number, b"edge".to_vec());
                    self.net.plan(at_ms, Happening::AtServer(data));
                    self.net.plan(at_ms, arrive(*peer));
                }
                let mut other = *peer;
                other.set_port(if peer.port() == 50_001 { 50_002 } else { 50_001 });
                for at_ms in self.around(900_000) {
                    let taken = Wanted::Bind { number: *number, peer: other };
                    self.net.plan(at_ms, at_once(taken));
                }
            }
            (
                Wanted::Allocate { .. } | Wanted::Refresh { .. },
                Answer::Allocated { lifetime_s } | Answer::Refreshed { lifetime_s },
            ) if *lifetime_s > 0 => {
                let from = *self.prng.pick(&relayed);
                let peer = pick_peer(&mut self.prng, from, &[]);
                let life_ms = u64::from(*lifetime_s) * 1000;
                let permit = Wanted::Permit { peers: vec![peer] };
                self.net.plan(self.ms + life_ms.saturating_sub(10_000), at_once(permit));
                for at_ms in self.around(life_ms) {
                    self.net.plan(at_ms, send(peer));
                    self.net.plan(at_ms, arrive(peer));
                }
            }
            _ => {}
        }
    }

    fn around(&self, after_ms: u64) -> [u64; 2] {
        [self.ms + after_ms - 1, self.ms + after_ms]
    }
}
