//! How far an address is known: to everybody, to a site, to a link, to this machine.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an address is known, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    Global,
    /// RFC 5737, RFC 3849, RFC 9637: nobody routes it, labs use it as if it were global.
    Documentation,
    /// RFC 1918, RFC 4193, shared address space, benchmarking.
    Private,
    LinkLocal,
    Loopback,
    /// Not an address one host can have, or one that leads through somebody's tunnel.
    Unusable,
}

impl Reach {
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        let [a, b, c, _] = ip.octets();
        match (a, b, c) {
            (127, ..) => Self::Loopback,
            (0 | 224.., ..) | (192, 88, 99) => Self::Unusable,
            (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => Self::Documentation,
            (169, 254, _) => Self::LinkLocal,
            (10, ..) | (172, 16..=31, _) | (192, 168, _) => Self::Private,
            (100, 64..=127, _) | (198, 18..=19, _) | (192, 0, 0) => Self::Private,
            (..) => Self::Global,
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        match ip.segments() {
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Self::Documentation,
            [0x2001, 0, ..] | [0x2002, ..] => Self::Unusable,
            [0x2000..=0x3fff, ..] => Self::Global,
            [0xfc00..=0xfdff, ..] => Self::Private,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            _ => Self::Unusable,
        }
    }

    /// Whether an address may be chosen without being named. IPv6 has no last resort: a host that
    /// lacks a global address is served over IPv4.
    pub(super) fn is_candidate(self, family: Family) -> bool {
        match self {
            Self::Global | Self::Documentation => true,
            Self::Private | Self::LinkLocal | Self::Loopback => family == Family::V4,
            Self::Unusable => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Interfaces that container and virtual machine tools make; nothing outside reaches them.
pub(super) fn is_container_bridge(interface: &str) -> bool {
    const PREFIXES: [&str; 8] =
        ["docker", "br-", "veth", "virbr", "lxcbr", "lxdbr", "podman", "cni"];
    PREFIXES.iter().any(|prefix| interface.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_end_where_they_end() {
        for (inside, outside, reach) in [
            ("10.255.255.255", "11.0.0.0", Reach::Private),
            ("172.31.255.255", "172.32.0.0", Reach::Private),
            ("172.16.0.0", "172.15.255.255", Reach::Private),
            ("192.168.0.0", "192.167.255.255", Reach::Private),
            ("100.127.255.255", "100.128.0.0", Reach::Private),
            ("100.64.0.0", "100.63.255.255", Reach::Private),
            ("198.19.255.255", "198.20.0.0", Reach::Private),
            ("192.0.2.255", "192.0.3.0", Reach::Documentation),
            ("224.0.0.0", "223.255.255.255", Reach::Unusable),
            ("2001:db8:ffff::", "2001:db9::", Reach::Documentation),
            ("3fff:fff::", "3fff:1000::", Reach::Documentation),
            ("2002::", "2003::", Reach::Unusable),
            ("4000::", "3ffe::", Reach::Unusable),
            ("2001:0:ffff::", "2001:1::", Reach::Unusable),
        ] {
            assert_eq!((inside, Reach::of(ip(inside))), (inside, reach));
            assert_eq!((outside, Reach::of(ip(outside))), (outside, Reach::Global));
        }
        assert_eq!(Reach::of(ip("fdff::1")), Reach::Private);
        assert_eq!(Reach::of(ip("febf::1")), Reach::LinkLocal);
        assert_eq!(Reach::of(ip("fec0::1")), Reach::Unusable);
        assert_eq!(Reach::of(ip("::1")), Reach::Loopback);
        assert_eq!(Reach::of(ip("0.1.2.3")), Reach::Unusable);
    }
}
