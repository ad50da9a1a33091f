//! A filter in the kernel for a relay socket that is flooded: only permitted peers get through.
//!
//! The kernel's queue of a socket is short. Whoever fills it from an address without permission
//! would push a call's own datagrams out before this program sees any of them. What the kernel
//! drops is not counted, so a filter is set while there is need, and taken off again.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{SockFilter, SockRef};

use crate::limits::{SIEVE_PEERS_MAX, SIEVES_MAX};
use crate::time::Now;
use crate::turn::relayed_address::RelayPort;

/// How long a filter stays; nothing says when the flood is over.
const SIEVE_TIME: Duration = Duration::from_secs(60);

/// The filters of one shard.
#[derive(Debug, Default)]
pub(super) struct Sieves {
    by_port: BTreeMap<RelayPort, Sieve>,
}

#[derive(Debug)]
struct Sieve {
    /// Who gets through.
    peers: Vec<IpAddr>,
    ends_at: Instant,
}

impl Sieves {
    /// Lets only `peers` through to this socket for [`SIEVE_TIME`]. With too many of them, or too
    /// many filters, everybody gets through.
    pub(super) fn set(
        &mut self,
        now: Now,
        port: RelayPort,
        socket: &UdpSocket,
        peers: Vec<IpAddr>,
    ) {
        let is_new = !self.by_port.contains_key(&port);
        if (is_new && self.by_port.len() >= SIEVES_MAX) || peers.len() > SIEVE_PEERS_MAX {
            return self.take_off(port, socket);
        }
        match attach(socket, &peers) {
            Ok(()) => {
                let ends_at = now.mono + SIEVE_TIME;
                self.by_port.insert(port, Sieve { peers, ends_at });
            }
            Err(error) => {
                tracing::debug!(%error, port = port.number, "no filter for a flooded relay socket");
                self.take_off(port, socket);
            }
        }
    }

    /// The ports that have one, and who gets through.
    pub(super) fn all(&self) -> impl Iterator<Item = (RelayPort, &[IpAddr])> {
        self.by_port.iter().map(|(port, sieve)| (*port, &sieve.peers[..]))
    }

    /// Whether a port has one.
    pub(super) fn has(&self, port: RelayPort) -> bool {
        self.by_port.contains_key(&port)
    }

    /// A port whose filter has been there long enough.
    pub(super) fn over(&self, now: Now) -> Option<RelayPort> {
        let mut sieves = self.by_port.iter();
        sieves.find(|(_, sieve)| sieve.ends_at <= now.mono).map(|(port, _)| *port)
    }

    /// Lets everybody through again.
    pub(super) fn take_off(&mut self, port: RelayPort, socket: &UdpSocket) {
        if self.by_port.remove(&port).is_some()
            && let Err(error) = SockRef::from(socket).detach_filter()
        {
            tracing::warn!(%error, port = port.number, "the filter of a relay socket stays");
        }
    }

    /// The socket is closed.
    pub(super) fn forget(&mut self, port: RelayPort) {
        self.by_port.remove(&port);
    }
}

fn attach(socket: &UdpSocket, peers: &[IpAddr]) -> io::Result<()> {
    let is_v6 = socket.local_addr()?.is_ipv6();
    SockRef::from(socket).attach_filter(&program(is_v6, peers))
}

// Classic BPF: load a word from a fixed place, compare and jump over so many, return bytes to keep.
const LOAD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Offsets from here count from the IP header.
const IP_HEADER: u32 = 0xFFF0_0000;
/// Of the source address in it.
const SOURCE_V4: u32 = 12;
const SOURCE_V6: u32 = 8;
const KEEP: u32 = u32::MAX;
const DROP: u32 = 0;

/// For every peer: unless a word of the source differs, keep the datagram. Else drop it.
fn program(is_v6: bool, peers: &[IpAddr]) -> Vec<SockFilter> {
    let source = if is_v6 { SOURCE_V6 } else { SOURCE_V4 };
    let mut program = Vec::new();
    for peer in peers {
        let octets = match peer {
            IpAddr::V4(ip) if !is_v6 => ip.octets().to_vec(),
            IpAddr::V6(ip) if is_v6 => ip.octets().to_vec(),
            IpAddr::V4(_) | IpAddr::V6(_) => continue,
        };
        let words = octets
            .chunks_exact(4)
            .map(|word| word.iter().fold(0, |number, octet| number << 8 | u32::from(*octet)));
        let count = octets.len() / 4;
        for (at, word) in words.enumerate() {
            program.push(SockFilter::new(LOAD, 0, 0, IP_HEADER + source + 4 * at as u32));
            // Over the words that are left, and over the end of this peer.
            let left = 2 * (count - 1 - at) + 1;
            program.push(SockFilter::new(JUMP_EQUAL, 0, left as u8, word));
        }
        program.push(SockFilter::new(RETURN, 0, 0, KEEP));
    }
    program.push(SockFilter::new(RETURN, 0, 0, DROP));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: RelayPort = RelayPort { address: 0, number: 50_000 };

    fn bound(ip: &str) -> UdpSocket {
        let socket = UdpSocket::bind((ip.parse::<IpAddr>().unwrap(), 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    }

    fn peers(ips: &[&str]) -> Vec<IpAddr> {
        ips.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    /// Whether what `from` sends comes before what `then` sends.
    fn passes(socket: &UdpSocket, from: &UdpSocket, then: &UdpSocket) -> bool {
        for (sender, word) in [(from, b"a"), (then, b"b")] {
            sender.send_to(word, socket.local_addr().unwrap()).unwrap();
        }
        let mut word = [0];
        socket.recv(&mut word).unwrap();
        let came = word == *b"a";
        if came {
            socket.recv(&mut word).unwrap();
        }
        assert_eq!(word, *b"b");
        came
    }

    #[test]
    fn only_permitted_addresses_get_through_and_everybody_does_when_it_is_taken_off() {
        let mut sieves = Sieves::default();
        let now = Now::read();
        let (socket, other, kept) = (bound("127.0.0.1"), bound("127.0.0.3"), bound("127.0.0.2"));
        assert!(passes(&socket, &other, &kept));
        sieves.set(now, PORT, &socket, peers(&["127.0.0.9", "::1", "127.0.0.2", "127.0.1.3"]));
        assert!(!passes(&socket, &other, &kept));
        assert!(passes(&socket, &kept, &kept));
        sieves.set(now, PORT, &socket, peers(&["127.0.0.2", "127.0.0.3"]));
        assert!(passes(&socket, &other, &kept));
        assert_eq!(sieves.over(now), None);
        let later = now.after(SIEVE_TIME);
        assert_eq!(sieves.over(later), Some(PORT));
        sieves.set(now, PORT, &socket, peers(&["127.0.0.2"]));
        assert!(!passes(&socket, &other, &kept));
        sieves.take_off(PORT, &socket);
        assert!(passes(&socket, &other, &kept));
        assert_eq!(sieves.all().count(), 0);
    }

    #[test]
    fn a_v6_address_is_compared_whole() {
        let mut sieves = Sieves::default();
        let now = Now::read();
        let (socket, peer) = (bound("::1"), bound("::1"));
        for close in ["::2", "::1:0:1", "::1:0:0:1", "1::1", "127.0.0.1"] {
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            sieves.set(now, PORT, &socket, peers(&[close]));
            peer.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            assert!(socket.recv(&mut [0]).is_err(), "{close}");
        }
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        sieves.set(now, PORT, &socket, peers(&["::2", "1::1", "::1"]));
        peer.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        socket.recv(&mut [0]).unwrap();
    }

    #[test]
    fn with_more_peers_or_filters_than_may_be_everybody_gets_through() {
        let mut sieves = Sieves::default();
        let now = Now::read();
        let (socket, other, kept) = (bound("127.0.0.1"), bound("127.0.0.3"), bound("127.0.0.2"));
        let many = |count: usize| (0..count).map(|n| IpAddr::from([10, 0, 0, n as u8])).collect();
        sieves.set(now, PORT, &socket, many(SIEVE_PEERS_MAX - 1));
        let mut most: Vec<_> = many(SIEVE_PEERS_MAX - 1);
        most.extend(peers(&["127.0.0.2"]));
        sieves.set(now, PORT, &socket, most);
        assert!(!passes(&socket, &other, &kept));
        sieves.set(now, PORT, &socket, many(SIEVE_PEERS_MAX + 1));
        assert!(passes(&socket, &other, &kept));

        for number in 0..SIEVES_MAX as u16 {
            let port = RelayPort { address: 1, number };
            let peers = peers(&["127.0.0.2"]);
            sieves.by_port.insert(port, Sieve { peers, ends_at: now.mono });
        }
        sieves.set(now, PORT, &socket, peers(&["127.0.0.2"]));
        assert!(passes(&socket, &other, &kept));
        sieves.forget(RelayPort { address: 1, number: 0 });
        sieves.set(now, PORT, &socket, peers(&["127.0.0.2"]));
        assert!(!passes(&socket, &other, &kept));
    }
}
