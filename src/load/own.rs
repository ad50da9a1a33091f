//! Whether a load may be put on an address without a word: this machine, and nets set aside for it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use super::LoadError;

/// # Errors
/// If it may be somebody else's machine, and nobody said that it `is_own`.
pub(super) fn refuse_foreign(address: SocketAddr, is_own: bool) -> Result<(), LoadError> {
    match is_own || is_ours(address.ip().to_canonical()) {
        true => Ok(()),
        false => Err(LoadError::Foreign { address }),
    }
}

/// Loopback, an address of this machine (or of its network namespace), or one of the networks for
/// benchmarks (RFC 2544, RFC 5180), which nobody else has.
pub(super) fn is_ours(ip: IpAddr) -> bool {
    let is_for_benchmarks = match ip {
        IpAddr::V4(ip) => ip.octets()[0] == 198 && ip.octets()[1] & 0xFE == 18,
        IpAddr::V6(ip) => ip.segments()[..3] == [0x2001, 2, 0],
    };
    ip.is_loopback() || is_for_benchmarks || is_of_this_machine(ip)
}

/// What is sent to one of our addresses has the same address as its source. Nothing is sent here.
fn is_of_this_machine(ip: IpAddr) -> bool {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    local_towards(any, ip).is_some_and(|local| local == ip)
}

/// Our address of those that `any` stands for from which `ip` is reached.
pub(super) fn local_towards(any: IpAddr, ip: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((ip, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_nets_for_benchmarks_are_ours_and_their_neighbours_are_not() {
        let ours = |text: &str| is_ours(text.parse().expect("an address"));
        for ip in ["127.0.0.1", "127.255.255.255", "::1", "198.18.0.1", "198.19.255.255"] {
            assert!(ours(ip), "{ip}");
        }
        assert!(ours("2001:2::1") && ours("2001:2:0:ffff::1"));
        for ip in ["198.17.255.255", "198.20.0.0", "2001:2:1::", "192.0.2.1", "0.0.0.0", "::"] {
            assert!(!ours(ip), "{ip}");
        }
        assert!(!ours("255.255.255.255") && !ours("224.0.0.1") && !ours("2001:db8::1"));
    }
}
