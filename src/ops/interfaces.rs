//! The addresses of this machine, with what the kernel says about each.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// One address of one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// Name of the interface, such as `eth0`.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Length of the network's prefix, bits.
    pub prefix_bits: u8,
    /// The network's broadcast address, where it has one.
    pub broadcast: Option<Ipv4Addr>,
    /// The interface is up.
    pub is_up: bool,
    /// The interface is `lo`.
    pub is_loopback: bool,
    /// The interface carries the IPv4 default route.
    pub has_default_route: bool,
    /// A privacy address that will be replaced (RFC 8981).
    pub is_temporary: bool,
    /// Its preferred lifetime is over.
    pub is_deprecated: bool,
    /// Duplicate address detection has not finished, or failed.
    pub is_tentative: bool,
}

impl InterfaceAddress {
    /// An address of an interface that is up, with nothing special about it.
    #[must_use]
    pub fn plain(interface: &str, address: IpAddr, prefix_bits: u8) -> Self {
        Self {
            interface: interface.to_owned(),
            address,
            prefix_bits,
            broadcast: None,
            is_up: true,
            is_loopback: address.is_loopback(),
            has_default_route: false,
            is_temporary: false,
            is_deprecated: false,
            is_tentative: false,
        }
    }
}

/// Reads all addresses of all interfaces, in the kernel's order.
///
/// Flags that `/proc` does not tell (it may be hidden) are taken as not set.
///
/// # Errors
/// Fails where the kernel refuses `getifaddrs`.
pub fn all() -> io::Result<Vec<InterfaceAddress>> {
    let if_inet6 = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let route = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let flags_by_ipv6 = parse_if_inet6(&if_inet6);
    let default_route = parse_default_route(&route);

    let mut found = Vec::new();
    for entry in getifaddrs()? {
        let Some(address) = entry.address.as_ref().and_then(ip_of) else { continue };
        let netmask = entry.netmask.as_ref().and_then(ip_of);
        let mut one = InterfaceAddress {
            prefix_bits: netmask.map_or(0, prefix_bits),
            broadcast: entry.broadcast.as_ref().and_then(ip_of).and_then(|ip| match ip {
                IpAddr::V4(ip) => Some(ip),
                IpAddr::V6(_) => None,
            }),
            is_up: entry.flags.contains(InterfaceFlags::IFF_UP),
            is_loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
            has_default_route: default_route == Some(entry.interface_name.as_str()),
            ..InterfaceAddress::plain(&entry.interface_name, address, 0)
        };
        if let IpAddr::V6(ip) = address
            && let Some((_, flags)) = flags_by_ipv6.iter().find(|(known, _)| *known == ip)
        {
            one.is_temporary = flags & IFA_F_TEMPORARY != 0;
            one.is_deprecated = flags & IFA_F_DEPRECATED != 0;
            one.is_tentative = flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) != 0;
        }
        found.push(one);
    }
    Ok(found)
}

// <linux/if_addr.h>, as the fifth column of /proc/net/if_inet6 shows them.
const IFA_F_TEMPORARY: u32 = 0x01;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_DEPRECATED: u32 = 0x20;
const IFA_F_TENTATIVE: u32 = 0x40;

fn ip_of(address: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
}

fn prefix_bits(netmask: IpAddr) -> u8 {
    let ones = match netmask {
        IpAddr::V4(mask) => mask.to_bits().leading_ones(),
        IpAddr::V6(mask) => mask.to_bits().leading_ones(),
    };
    u8::try_from(ones).unwrap_or(0)
}

/// Address and flags of each line: `address index prefix scope flags name`, all hexadecimal.
fn parse_if_inet6(text: &str) -> Vec<(Ipv6Addr, u32)> {
    text.lines()
        .filter_map(|line| {
            let mut columns = line.split_ascii_whitespace();
            let address = u128::from_str_radix(columns.next()?, 16).ok()?;
            let flags = u32::from_str_radix(columns.nth(3)?, 16).ok()?;
            Some((Ipv6Addr::from_bits(address), flags))
        })
        .collect()
}

/// Interface of the default route with the smallest metric.
fn parse_default_route(text: &str) -> Option<&str> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_ascii_whitespace().collect();
            let [name, destination, _, _, _, _, metric, mask, ..] = columns[..] else {
                return None;
            };
            let is_default = destination == "00000000" && mask == "00000000";
            is_default.then_some((metric.parse::<u32>().ok()?, name))
        })
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_of_this_machine_is_found_with_its_prefix() {
        let lo = all().unwrap().into_iter().find(|a| a.address == IpAddr::from([127, 0, 0, 1]));
        let lo = lo.expect("a machine with lo");
        assert!(lo.is_loopback && lo.is_up);
        assert_eq!((lo.interface.as_str(), lo.prefix_bits), ("lo", 8));
    }

    #[test]
    fn flags_of_ipv6_addresses_are_read_from_the_fifth_column() {
        let text = "20010db8000000000000000000000002 04 40 00 21     eth0\n\
                    00000000000000000000000000000001 01 80 10 80       lo\nrubbish\n";
        assert_eq!(
            parse_if_inet6(text),
            [
                ("2001:db8::2".parse().unwrap(), IFA_F_TEMPORARY | IFA_F_DEPRECATED),
                (Ipv6Addr::LOCALHOST, 0x80)
            ]
        );
    }

    #[test]
    fn the_default_route_of_the_smallest_metric_counts() {
        let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n";
        let line = |name: &str, destination: &str, metric: u32, mask: &str| {
            format!("{name}\t{destination}\t010200C0\t0003\t0\t0\t{metric}\t{mask}\t0\t0\t0\n")
        };
        let wlan = line("wlan0", "00000000", 600, "00000000");
        let eth = line("eth0", "00000000", 100, "00000000");
        let net = line("tun0", "00000000", 0, "00000080");
        assert_eq!(parse_default_route(&format!("{head}{wlan}{eth}{net}")), Some("eth0"));
        assert_eq!(parse_default_route(&format!("{head}{net}")), None);
        assert_eq!(parse_default_route(""), None);
    }
}
