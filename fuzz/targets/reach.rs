//! The two policies of `place.rs`, said in another way.

use std::net::{IpAddr, SocketAddr};

use super::place::{Policy, RELAYS};

/// Whether a client may have a permission for this address.
pub(crate) fn address(ip: IpAddr, policy: Policy) -> bool {
    RELAYS.contains(&ip) || is_open(ip, policy)
}

/// Whether a client may bind a channel to this peer.
pub(crate) fn peer(at: SocketAddr, policy: Policy) -> bool {
    inside(at) || outside(at, policy)
}

/// Whether data may reach it without the kernel: one of our own relay ports.
pub(crate) fn inside(at: SocketAddr) -> bool {
    RELAYS.contains(&at.ip()) && at.port() >= 49_152
}

/// Whether data may be sent to it by the kernel.
pub(crate) fn outside(at: SocketAddr, policy: Policy) -> bool {
    let is_reflecting = [0, 19, 53, 1900].contains(&at.port());
    let is_ours = RELAYS.contains(&at.ip()) && at.port() == 3478;
    !is_reflecting && !is_ours && is_open(at.ip(), policy)
}

/// What is closed by default stays closed, unless it was opened.
fn is_open(ip: IpAddr, policy: Policy) -> bool {
    let (is_opened, is_closed) = match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            if policy == Policy::Narrow && [a, b, c, d] == [192, 0, 2, 10] {
                return false;
            }
            let is_ours = policy == Policy::Wide && [a, b, c, d] == [198, 51, 100, 2];
            let is_local = ip.is_private() || ip.is_loopback() || ip.is_link_local();
            let is_closed = is_local || ip.is_documentation() || a == 0 || a >= 224;
            ([a, b, c] == [192, 0, 2] || is_ours, is_closed)
        }
        IpAddr::V6(ip) => {
            let is_local = ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local();
            let is_documentation = ip.segments()[..2] == [0x2001, 0xdb8];
            let is_mapped = ip.to_ipv4().is_some();
            let is_opened = ip.segments()[..3] == [0x2001, 0xdb8, 2];
            (is_opened, is_local || is_documentation || is_mapped || ip.is_multicast())
        }
    };
    is_opened || !is_closed
}
