//! Which addresses the world can send to.

use std::net::IpAddr;

use super::peers::fold;
use super::ranges;

/// Names the range that keeps the world from sending to `ip`; `None` if nothing does.
///
/// Ranges for documentation pass: nobody routes them, but test networks use them as if they were
/// global.
#[must_use]
pub fn not_public(ip: IpAddr) -> Option<&'static str> {
    let ip = fold(ip);
    ranges::never(ip).or_else(|| ranges::closed(ip)).filter(|row| *row != "documentation")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_routed_or_made_for_labs_is_public() {
        for (ip, row) in [
            ("9.9.9.9", None),
            ("203.0.113.7", None),
            ("2001:db8::7", None),
            ("2600::7", None),
            ("10.0.0.5", Some("private")),
            ("::ffff:10.0.0.5", Some("private")),
            ("100.64.0.1", Some("carrier-grade NAT")),
            ("127.0.0.1", Some("loopback")),
            ("0.0.0.0", Some("unspecified")),
            ("224.0.0.1", Some("multicast")),
            ("240.0.0.1", Some("reserved")),
            ("fd00::1", Some("unique local")),
            ("64:ff9b::909:909", Some("NAT64")),
        ] {
            assert_eq!(not_public(ip.parse().unwrap()), row, "{ip}");
        }
    }
}
