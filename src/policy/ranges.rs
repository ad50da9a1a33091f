//! The table of address ranges that no peer may lie in, and fast sets of prefixes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Names the range that `ip` lies in and that no configuration opens, if any.
pub(super) fn never(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => name_of(NEVER_V4, ip.to_bits()),
        IpAddr::V6(ip) => name_of(NEVER_V6, ip.to_bits()),
    }
}

/// Names the range that `ip` lies in and that is closed unless the operator opens it, if any.
pub(super) fn closed(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => name_of(CLOSED_V4, ip.to_bits()),
        IpAddr::V6(ip) => name_of(CLOSED_V6, ip.to_bits()),
    }
}

/// A set of addresses, made once from prefixes and asked per datagram.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AddressSet {
    // Disjoint, ascending, ends included.
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl AddressSet {
    /// Collects prefixes of both families; those inside `::ffff:0:0/96` count as IPv4.
    pub(super) fn new(nets: impl IntoIterator<Item = IpNet>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in nets {
            match fold_net(net) {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        Self { v4: disjoint(v4), v6: disjoint(v6) }
    }

    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => holds(&self.v4, ip.to_bits()),
            IpAddr::V6(ip) => holds(&self.v6, ip.to_bits()),
        }
    }
}

// Prefixes either nest or do not meet, so what starts inside its predecessor also ends there.
fn disjoint<T: Copy + Ord>(mut spans: Vec<(T, T)>) -> Box<[(T, T)]> {
    spans.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    spans.dedup_by(|next, kept| next.0 <= kept.1);
    spans.into()
}

fn holds<T: Copy + Ord>(spans: &[(T, T)], ip: T) -> bool {
    let after = spans.partition_point(|&(first, _)| first <= ip);
    after > 0 && ip <= spans[after - 1].1
}

fn fold_net(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let (Some(ip), Some(bits)) = (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96))
    else {
        return net;
    };
    IpNet::new(ip.into(), bits).unwrap_or(net)
}

struct Row<T> {
    base: T,
    mask: T,
    name: &'static str,
}

fn name_of<T>(rows: &[Row<T>], ip: T) -> Option<&'static str>
where
    T: Copy + PartialEq + std::ops::BitAnd<Output = T>,
{
    rows.iter().find(|row| ip & row.mask == row.base).map(|row| row.name)
}

const fn v4(base: [u8; 4], bits: u32, name: &'static str) -> Row<u32> {
    let base = u32::from_be_bytes(base);
    let mask = u32::MAX << (32 - bits);
    assert!(base & mask == base, "host bits set");
    Row { base, mask, name }
}

const fn v6(base: [u16; 8], bits: u32, name: &'static str) -> Row<u128> {
    let [a, b, c, d, e, f, g, h] = base;
    let base = Ipv6Addr::new(a, b, c, d, e, f, g, h).to_bits();
    let mask = u128::MAX << (128 - bits);
    assert!(base & mask == base, "host bits set");
    Row { base, mask, name }
}

const NEVER_V4: &[Row<u32>] = &[
    v4([0, 0, 0, 0], 32, "unspecified"),
    v4([224, 0, 0, 0], 4, "multicast"),
    v4([255, 255, 255, 255], 32, "broadcast"),
    v4([240, 0, 0, 0], 4, "reserved"),
];

const NEVER_V6: &[Row<u128>] =
    &[v6([0; 8], 128, "unspecified"), v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast")];

// The first row that fits gives the name.
const CLOSED_V4: &[Row<u32>] = &[
    v4([0, 0, 0, 0], 8, "this host"),
    v4([10, 0, 0, 0], 8, "private"),
    v4([172, 16, 0, 0], 12, "private"),
    v4([192, 168, 0, 0], 16, "private"),
    v4([100, 64, 0, 0], 10, "carrier-grade NAT"),
    v4([127, 0, 0, 0], 8, "loopback"),
    v4([169, 254, 0, 0], 16, "link-local"),
    v4([168, 63, 129, 16], 32, "cloud metadata"),
    v4([192, 0, 0, 0], 24, "protocol assignments"),
    v4([192, 0, 2, 0], 24, "documentation"),
    v4([198, 51, 100, 0], 24, "documentation"),
    v4([203, 0, 113, 0], 24, "documentation"),
    v4([192, 88, 99, 0], 24, "6to4 anycast"),
    v4([198, 18, 0, 0], 15, "benchmarking"),
    v4([192, 31, 196, 0], 24, "AS112"),
    v4([192, 52, 193, 0], 24, "AMT"),
    v4([192, 175, 48, 0], 24, "AS112"),
];

// Ranges that carry an IPv4 address are closed whole, so nothing needs decoding to be safe.
const CLOSED_V6: &[Row<u128>] = &[
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),
    v6([0; 8], 96, "IPv4-compatible"),
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, "IPv4-mapped"),
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, "IPv4-translated"),
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, "NAT64"),
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "local NAT64"),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discard"),
    v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64, "dummy"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "Teredo"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "protocol assignments"),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation"),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation"),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4"),
    v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, "AS112"),
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "segment routing"),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "unique local"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site-local"),
];

/// Loopback addresses: own on every machine, whatever its interfaces say.
pub(super) fn loopback() -> [IpNet; 2] {
    [
        IpNet::new_assert(Ipv4Addr::new(127, 0, 0, 0).into(), 8),
        IpNet::new_assert(Ipv6Addr::LOCALHOST.into(), 128),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        #[test]
        fn a_set_holds_exactly_the_addresses_that_share_the_bits_of_one_of_its_prefixes(
            nets in proptest::collection::vec(prefix(), 0..8),
            asked in proptest::collection::vec((any::<u128>(), 0..8_usize, 0..=128_u32), 128),
        ) {
            let set = AddressSet::new(nets.iter().copied());
            for (noise, which, keep) in asked {
                // The first `keep` bits of a prefix, then noise: many lie at an edge.
                let near = nets.get(which).map_or_else(|| [0; 16].into(), IpNet::addr);
                let ip = mix(near, noise, keep);
                let expected = nets.iter().any(|net| shares_bits(*net, ip));
                prop_assert_eq!(set.contains(ip), expected, "{} in {:?}", ip, &nets);
            }
        }

        #[test]
        fn the_last_address_of_a_prefix_is_held_and_the_next_is_not(net in prefix()) {
            let set = AddressSet::new([net]);
            prop_assert!(set.contains(net.network()) && set.contains(net.broadcast()));
            let next = match net.broadcast() {
                IpAddr::V4(ip) => ip.to_bits().checked_add(1).map(|ip| Ipv4Addr::from(ip).into()),
                IpAddr::V6(ip) => ip.to_bits().checked_add(1).map(|ip| Ipv6Addr::from(ip).into()),
            };
            prop_assert!(!next.is_some_and(|ip| set.contains(ip)));
        }
    }

    #[test]
    fn prefixes_of_mapped_addresses_count_as_ipv4() {
        let set = AddressSet::new(["::ffff:10.0.0.9/104".parse().unwrap()]);
        for (ip, held) in [
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("::ffff:10.0.0.9", false),
        ] {
            assert_eq!(set.contains(ip.parse().unwrap()), held, "{ip}");
        }
    }

    /// The oracle: compares digit by digit.
    fn shares_bits(net: IpNet, ip: IpAddr) -> bool {
        let digits = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => format!("{:032b}", ip.to_bits()),
            IpAddr::V6(ip) => format!("{:0128b}", ip.to_bits()),
        };
        let bits = usize::from(net.prefix_len());
        net.addr().is_ipv4() == ip.is_ipv4() && digits(net.addr())[..bits] == digits(ip)[..bits]
    }

    // Nothing below ::ffff:0:0/96, which is IPv4.
    fn prefix() -> impl Strategy<Value = IpNet> {
        prop_oneof![
            (any::<u32>(), 0..=32_u8).prop_map(|(ip, bits)| net(Ipv4Addr::from(ip).into(), bits)),
            (1_u128 << 100.., 0..=128_u8)
                .prop_map(|(ip, bits)| net(Ipv6Addr::from(ip).into(), bits)),
        ]
    }

    fn net(ip: IpAddr, bits: u8) -> IpNet {
        IpNet::new(ip, bits).unwrap()
    }

    fn mix(ip: IpAddr, noise: u128, keep: u32) -> IpAddr {
        match ip {
            IpAddr::V4(ip) => {
                let low = u32::MAX.checked_shr(keep % 33).unwrap_or(0);
                Ipv4Addr::from(ip.to_bits() & !low | noise as u32 & low).into()
            }
            IpAddr::V6(ip) => {
                let low = u128::MAX.checked_shr(keep).unwrap_or(0);
                Ipv6Addr::from(ip.to_bits() & !low | noise & low).into()
            }
        }
    }
}
