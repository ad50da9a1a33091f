//! The harness of the relay's tests: one relay, a virtual clock, a fake ledger, a small STUN client.

pub(crate) mod answer;
pub(crate) mod books;
pub(crate) mod event;
pub(crate) mod expectation;
pub(crate) mod ledger;
pub(crate) mod request;
pub(crate) mod seeing;
pub(crate) mod setup;
pub(crate) mod turn;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where IPv4 clients reach the server.
pub(crate) const SERVER: SocketAddr = v4([198, 51, 100, 1], 3478);
/// Where IPv6 clients do.
pub(crate) const SERVER_V6: SocketAddr = v6([0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1], 3478);
/// The client that every test has.
pub(crate) const CLIENT: SocketAddr = v4([203, 0, 113, 5], 40_000);
/// Another one, from another address.
pub(crate) const CLIENT_B: SocketAddr = v4([203, 0, 113, 6], 40_001);
/// A client over IPv6.
pub(crate) const CLIENT_V6: SocketAddr = v6([0x2001, 0xdb8, 3, 0, 0, 0, 0, 5], 40_000);
/// A peer outside that policy allows.
pub(crate) const PEER_A: SocketAddr = v4([192, 0, 2, 10], 5000);
/// The same address, another port.
pub(crate) const PEER_A2: SocketAddr = v4([192, 0, 2, 10], 5001);
/// Another address.
pub(crate) const PEER_B: SocketAddr = v4([192, 0, 2, 20], 5000);
/// A peer that policy refuses.
pub(crate) const PEER_PRIVATE: SocketAddr = v4([10, 0, 0, 5], 5000);
/// An IPv6 peer that policy allows.
pub(crate) const PEER_V6: SocketAddr = v6([0x2001, 0xdb8, 2, 0, 0, 0, 0, 10], 5000);
/// The relay address as peers know it; also an own listener (port 3478).
pub(crate) const RELAY_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
/// The same for IPv6.
pub(crate) const RELAY_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1));

/// The address that a client of this family writes to.
pub(crate) fn server_for(client: SocketAddr) -> SocketAddr {
    if client.is_ipv6() { SERVER_V6 } else { SERVER }
}

/// An IPv4 transport address.
pub(crate) const fn v4([a, b, c, d]: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
}

/// An IPv6 transport address.
pub(crate) const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), port)
}
