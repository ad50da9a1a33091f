//! NAT64 prefixes of the local network, from the AAAA records of `ipv4only.arpa` (RFC 7050).

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

use crate::limits::outside::NAT64_PREFIXES_MAX;

/// The name that has A records only; whoever answers AAAA for it translates.
pub const NAME: &str = "ipv4only.arpa";
/// Its A records (RFC 7050 §2.2).
const WELL_KNOWN: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];
/// Lengths that a prefix can have (RFC 6052 §2.2).
const LENGTHS: [u8; 6] = [32, 40, 48, 56, 64, 96];

/// The prefixes that these answers were made with; no more than [`NAT64_PREFIXES_MAX`].
///
/// An answer that could have been made with several is taken for each: to deny one network too many
/// is safer than one too few.
#[must_use]
pub fn prefixes(answers: &[Ipv6Addr]) -> Vec<Ipv6Net> {
    let mut found = Vec::new();
    for answer in answers.iter().filter(|answer| answer.to_ipv4_mapped().is_none()) {
        for bits in LENGTHS {
            let is_well_known = embedded(*answer, bits).is_some_and(|ip| WELL_KNOWN.contains(&ip));
            let net = Ipv6Net::new(*answer, bits).map(|net| net.trunc());
            if let (true, Ok(net)) = (is_well_known, net)
                && !found.contains(&net)
                && found.len() < NAT64_PREFIXES_MAX
            {
                found.push(net);
            }
        }
    }
    found
}

/// The IPv4 address behind a prefix of `bits` (RFC 6052 §2.2): the octets that follow it, but for
/// octet 8, which is zero where it stands between them.
fn embedded(ip: Ipv6Addr, bits: u8) -> Option<Ipv4Addr> {
    let octets = ip.octets();
    if bits < 96 && octets[8] != 0 {
        return None;
    }
    let after = (usize::from(bits / 8)..16).filter(|at| *at != 8 || bits == 96);
    let mut four = [0; 4];
    for (octet, at) in four.iter_mut().zip(after) {
        *octet = octets[at];
    }
    Some(four.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(answers: &[&str]) -> Vec<String> {
        let answers: Vec<Ipv6Addr> = answers.iter().map(|ip| ip.parse().unwrap()).collect();
        prefixes(&answers).iter().map(ToString::to_string).collect()
    }

    #[test] // RFC 6052 §2.4, with the addresses of RFC 7050 §2.2 behind its prefixes
    fn each_of_the_six_lengths_is_recognised() {
        for (answer, prefix) in [
            ("2001:db8:c000:aa::", "2001:db8::/32"),
            ("2001:db8:1c0:0:aa::", "2001:db8:100::/40"),
            ("2001:db8:122:c000:0:aa00::", "2001:db8:122::/48"),
            ("2001:db8:122:3c0:0:aa::", "2001:db8:122:300::/56"),
            ("2001:db8:122:344:c0:0:aa00:0", "2001:db8:122:344::/64"),
            ("2001:db8:122:344::192.0.0.170", "2001:db8:122:344::/96"),
            ("2001:db8:122:344::192.0.0.171", "2001:db8:122:344::/96"),
            ("64:ff9b::192.0.0.170", "64:ff9b::/96"),
        ] {
            assert_eq!(found(&[answer]), [prefix], "{answer}");
        }
    }

    #[test]
    fn neighbours_of_the_well_known_addresses_are_no_sign_of_a_translator() {
        for answer in [
            "64:ff9b::192.0.0.169",
            "64:ff9b::192.0.0.172",
            "2001:db8:c000:a9::",
            "2001:db8:122:344:c0:0:ac00:0",
            // Octet 8 is not zero.
            "2001:db8:122:344:1c0:0:aa00:0",
            "::ffff:192.0.0.170",
            "2001:db8::1",
        ] {
            assert_eq!(found(&[answer]), Vec::<String>::new(), "{answer}");
        }
    }

    #[test]
    fn both_records_of_one_translator_are_one_prefix_and_an_ambiguous_one_is_every_prefix() {
        let both = ["64:ff9b::192.0.0.170", "64:ff9b::192.0.0.171"];
        assert_eq!(found(&both), ["64:ff9b::/96"]);
        let twice = ["2001:db8:c000:aa::192.0.0.170"];
        assert_eq!(found(&twice), ["2001:db8::/32", "2001:db8:c000:aa::/96"]);
    }

    #[test]
    fn no_more_than_the_bound_are_taken() {
        let answer = |n: u16| Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 0, 0xc000, 0xaa);
        let many = |count: usize| (1..=count as u16).map(answer).collect::<Vec<_>>();
        assert_eq!(prefixes(&many(NAT64_PREFIXES_MAX)).len(), NAT64_PREFIXES_MAX);
        assert_eq!(prefixes(&many(NAT64_PREFIXES_MAX + 1)).len(), NAT64_PREFIXES_MAX);
    }
}
