//! What of an address is written down, and how much of a text.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::call::ulid::SessionId;
use crate::limits::TEXT_BYTES_MAX;

/// How much of a client's address the record keeps (R23).
///
/// Applied before a row is written; a change does not touch older rows. Our own addresses are
/// always kept in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressPrivacy {
    /// Address and port.
    #[default]
    Full,
    /// The network: /24 for IPv4, /48 for IPv6; no port.
    Prefix,
    /// Nothing.
    None,
}

impl AddressPrivacy {
    /// A client's side of a five-tuple as it is stored.
    pub(super) fn socket(self, address: SocketAddr) -> Option<String> {
        let ip = address.ip().to_canonical();
        match self {
            Self::Full => Some(SocketAddr::new(ip, address.port()).to_string()),
            Self::Prefix => Some(network(ip)),
            Self::None => None,
        }
    }

    /// An address without a port as it is stored.
    #[must_use]
    pub fn ip(self, ip: IpAddr) -> Option<String> {
        let ip = ip.to_canonical();
        match self {
            Self::Full => Some(ip.to_string()),
            Self::Prefix => Some(network(ip)),
            Self::None => None,
        }
    }
}

fn network(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

/// At most TEXT_BYTES_MAX bytes of a text from the network, cut between two characters.
///
/// Nothing is replaced: it is bound as a parameter and stored as it came; whoever prints it
/// escapes it.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// The user that a claimed TURN username names: what stands after the expiry, without a session.
pub(super) fn claimed_user(username: &str) -> &str {
    match username.split_once(':') {
        Some((expiry, rest))
            if !expiry.is_empty() && expiry.bytes().all(|c| c.is_ascii_digit()) =>
        {
            rest.split_once('~').map_or(rest, |(user, _)| user)
        }
        Some(_) | None => username,
    }
}

/// The signaling session that a verified TURN username names: a ULID behind the last `~` of
/// `<expiry>:<tenant>/<user>~<session>` (P11).
pub(super) fn session(username: &str) -> Option<&str> {
    let (_, user) = username.split_once(':')?;
    let (user, session) = user.rsplit_once('~')?;
    (user.contains('/') && SessionId::parse(session).is_some()).then_some(session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mode: AddressPrivacy, address: &str, socket: Option<&str>, ip: Option<&str>) {
        let address: SocketAddr = address.parse().unwrap();
        assert_eq!(mode.socket(address).as_deref(), socket);
        assert_eq!(mode.ip(address.ip()).as_deref(), ip);
    }

    #[test]
    fn an_address_is_kept_in_full_as_a_network_or_not_at_all() {
        use AddressPrivacy::{Full, None as Nothing, Prefix};
        let (v4, v6) = ("203.0.113.77:5000", "[2001:db8:1:2:3:4:5:6]:5000");
        check(Full, v4, Some(v4), Some("203.0.113.77"));
        check(Full, v6, Some(v6), Some("2001:db8:1:2:3:4:5:6"));
        check(Prefix, v4, Some("203.0.113.0/24"), Some("203.0.113.0/24"));
        check(Prefix, v6, Some("2001:db8:1::/48"), Some("2001:db8:1::/48"));
        check(Nothing, v4, None, None);
        check(Nothing, v6, None, None);
    }

    #[test]
    fn an_ipv4_client_on_an_ipv6_socket_is_an_ipv4_client() {
        let mapped = "[::ffff:203.0.113.77]:5000";
        check(AddressPrivacy::Full, mapped, Some("203.0.113.77:5000"), Some("203.0.113.77"));
        check(AddressPrivacy::Prefix, mapped, Some("203.0.113.0/24"), Some("203.0.113.0/24"));
    }

    #[test]
    fn a_text_is_cut_at_its_bound_and_never_inside_a_character() {
        let fits = "a".repeat(TEXT_BYTES_MAX);
        assert_eq!(cut(&fits), fits);
        assert_eq!(cut(&format!("{fits}b")), fits);
        let across = format!("{}é", "a".repeat(TEXT_BYTES_MAX - 1));
        assert_eq!(cut(&across), "a".repeat(TEXT_BYTES_MAX - 1));
        assert_eq!(cut(""), "");
    }

    #[test]
    fn a_session_stands_behind_tenant_and_user_and_is_a_ulid() {
        let id = "01ARYZ6S410000000000000000";
        assert_eq!(session(&format!("1700000000:acme/alice~{id}")), Some(id));
        assert_eq!(session(&format!("1700000000:acme/a%7E~x~{id}")), Some(id));
        for other in ["1:acme/alice~ice", "1:acme/alice", "1:a~b"] {
            assert_eq!(session(other), None, "{other}");
        }
        assert_eq!(session(&format!("1700000000:alice~{id}")), None, "of no tenant");
        assert_eq!(session(&format!("acme/alice~{id}")), None, "of no expiry");
    }

    #[test]
    fn the_claimed_user_stands_after_a_numeric_expiry_and_before_a_session() {
        assert_eq!(claimed_user("1700000000:alice"), "alice");
        assert_eq!(claimed_user("1700000000:acme/alice~x9"), "acme/alice");
        assert_eq!(claimed_user("alice"), "alice");
        assert_eq!(claimed_user("al:ice"), "al:ice");
        assert_eq!(claimed_user(":alice"), ":alice");
    }
}
