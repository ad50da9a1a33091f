//! Settings of the kernel that are too small, or in the way, for the configured size.

use std::fs;
use std::ops::RangeInclusive;

/// What the kernel is set to; `None` or empty where it does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kernel {
    /// Ports that programs are given when they ask for any (`ip_local_port_range`).
    pub any_ports: Option<RangeInclusive<u16>>,
    /// Ports that are kept out of these (`ip_local_reserved_ports`).
    pub reserved_ports: Vec<RangeInclusive<u16>>,
    /// Flows that connection tracking has room for (`nf_conntrack_max`); only where it is loaded.
    pub tracked_flows_max: Option<u64>,
}

/// Entries of connection tracking per allocation: the client's flow and one to a peer.
const FLOWS_PER_ALLOCATION: u64 = 2;

impl Kernel {
    /// Asks `/proc/sys`.
    #[must_use]
    pub fn read() -> Self {
        let text = |name: &str| fs::read_to_string(format!("/proc/sys/net/{name}")).ok();
        Self {
            any_ports: text("ipv4/ip_local_port_range").as_deref().and_then(parse_pair),
            reserved_ports: text("ipv4/ip_local_reserved_ports")
                .as_deref()
                .map_or_else(Vec::new, parse_list),
            tracked_flows_max: text("netfilter/nf_conntrack_max")
                .and_then(|text| text.trim().parse().ok()),
        }
    }

    /// A sentence for everything that will not do for this many allocations on these ports.
    #[must_use]
    pub fn warnings(&self, relay_ports: &RangeInclusive<u16>, allocations: u32) -> Vec<String> {
        self.shared_ports(relay_ports).into_iter().chain(self.few_flows(allocations)).collect()
    }

    fn shared_ports(&self, relay_ports: &RangeInclusive<u16>) -> Option<String> {
        let any = self.any_ports.as_ref()?;
        let is_open = |port: &u16| {
            any.contains(port) && !self.reserved_ports.iter().any(|kept| kept.contains(port))
        };
        let shared: Vec<u16> = relay_ports.clone().filter(is_open).collect();
        let (first, last) = (shared.first()?, shared.last()?);
        let (from, to) = (relay_ports.start(), relay_ports.end());
        Some(format!(
            "{} of the relay ports (between {first} and {last}) are also given to any program that \
             asks for a free port; scripts/install keeps them back, or: sysctl -w \
             net.ipv4.ip_local_reserved_ports={from}-{to}",
            shared.len()
        ))
    }

    fn few_flows(&self, allocations: u32) -> Option<String> {
        let room = self.tracked_flows_max?;
        let needed = u64::from(allocations) * FLOWS_PER_ALLOCATION;
        (room < needed).then(|| {
            format!(
                "connection tracking has room for {room} flows, {allocations} allocations take about \
                 {needed}, and when it is full the kernel drops packets: sysctl -w \
                 net.netfilter.nf_conntrack_max={}, exempt the relay ports (notrack), or lower \
                 quota.total",
                (needed * 2).next_power_of_two()
            )
        })
    }
}

/// `32768\t60999`
fn parse_pair(text: &str) -> Option<RangeInclusive<u16>> {
    let mut words = text.split_ascii_whitespace();
    let range = words.next()?.parse().ok()?..=words.next()?.parse().ok()?;
    Some(range)
}

/// `8080,49152-65535`
fn parse_list(text: &str) -> Vec<RangeInclusive<u16>> {
    let entry = |entry: &str| {
        let entry = entry.trim();
        let (first, last) = entry.split_once('-').unwrap_or((entry, entry));
        let range: RangeInclusive<u16> = first.parse().ok()?..=last.parse().ok()?;
        Some(range)
    };
    text.split(',').filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(any: &str, reserved: &str, flows: Option<u64>) -> Kernel {
        Kernel {
            any_ports: parse_pair(any),
            reserved_ports: parse_list(reserved),
            tracked_flows_max: flows,
        }
    }

    #[test]
    fn relay_ports_that_any_program_may_get_are_counted_unless_they_are_reserved() {
        let shared =
            |reserved: &str, ports| kernel("32768\t60999\n", reserved, None).warnings(&ports, 1);
        let text = &shared("", 49_152..=65_535)[0];
        assert!(text.starts_with("11848 of the relay ports (between 49152 and 60999)"), "{text}");
        assert!(text.ends_with("ip_local_reserved_ports=49152-65535"), "{text}");
        assert!(shared("80,49152-60998\n", 49_152..=65_535)[0].starts_with("1 of the relay ports"));
        for (reserved, ports) in [
            ("49152-65535\n", 49_152..=65_535),
            ("80,49152-60000,60001-60999", 49_152..=65_535),
            ("", 61_000..=65_535),
        ] {
            assert_eq!(shared(reserved, ports), Vec::<String>::new(), "{reserved}");
        }
        assert!(shared("", 60_999..=65_535)[0].starts_with("1 of the relay ports"));
    }

    #[test]
    fn connection_tracking_needs_two_flows_an_allocation() {
        let tracked = |flows, count| kernel("", "", flows).warnings(&(50_000..=50_009), count);
        assert_eq!(tracked(Some(2000), 1000), Vec::<String>::new());
        assert_eq!(tracked(None, 1_000_000), Vec::<String>::new());
        let text = &tracked(Some(1999), 1000)[0];
        assert!(text.contains("room for 1999 flows, 1000 allocations take about 2000"), "{text}");
        assert!(text.contains("nf_conntrack_max=4096"), "{text}");
    }

    #[test]
    fn what_the_kernel_of_this_machine_says_is_read() {
        let any = Kernel::read().any_ports.expect("a kernel with IPv4");
        assert!(any.start() < any.end());
    }
}
