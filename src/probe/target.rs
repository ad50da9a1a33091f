//! What is to be verified: URLs as `/ice` hands them out (RFC 7064, RFC 7065), and with what login.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::auth::secret::Secret;

/// How a client reaches a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Carrier {
    /// Datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
    /// TLS over TCP.
    Tls,
}

/// What a URL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name or address, without brackets.
    pub host: String,
    /// As written, else 3478, with TLS 5349.
    pub port: u16,
    /// Over what.
    pub carrier: Carrier,
    /// `turn:` or `turns:`, which need a login.
    pub is_turn: bool,
}

/// What a client proves itself with.
#[derive(Debug, Clone)]
pub struct Login {
    /// USERNAME.
    pub username: String,
    /// Its password.
    pub password: Secret<String>,
}

/// One URL and all that is known of it beforehand.
#[derive(Debug, Clone)]
pub struct Target {
    /// As it is handed out.
    pub url: String,
    /// What it says.
    pub place: Place,
    /// Whether it is a URL of the daemon that is verified.
    pub is_ours: bool,
    /// `None`: only STUN is asked for.
    pub login: Option<Login>,
    /// Made of the same secret and good for much longer: tells a wrong clock from a wrong secret.
    pub later_login: Option<Login>,
    /// Where our own listener is reached on this machine without its public address.
    pub inside: Vec<SocketAddr>,
    /// Whether a datagram may be sent straight to the relayed address, and back.
    pub is_tried_directly: bool,
}

/// Which addresses may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// All: an operator wrote the URLs.
    Configured,
    /// Those the world can send to, and the one that told the URLs: a stranger's answer must not
    /// point us at a neighbour.
    ToldBy(IpAddr),
}

impl Place {
    /// Reads a URL; `None` if browsers would not take it.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once(':')?;
        let (authority, query) = rest.split_once('?').map_or((rest, None), |(a, q)| (a, Some(q)));
        let carrier = match (scheme, query) {
            ("stun", None) | ("turn", None | Some("transport=udp")) => Carrier::Udp,
            ("turn", Some("transport=tcp")) => Carrier::Tcp,
            ("turns", None | Some("transport=tcp")) => Carrier::Tls,
            _ => return None,
        };
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, port) = v6.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, port.strip_prefix(':').or_else(|| port.is_empty().then_some("")))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port).filter(|port| !port.is_empty())),
                None => (authority, Some("")),
            },
        };
        let port = match port? {
            "" if carrier == Carrier::Tls => 5349,
            "" => 3478,
            digits if digits.bytes().all(|c| c.is_ascii_digit()) => {
                digits.parse().ok().filter(|port| *port != 0)?
            }
            _ => return None,
        };
        is_host(host).then(|| Self {
            host: host.to_owned(),
            port,
            carrier,
            is_turn: scheme != "stun",
        })
    }

    /// The host, if it is an address.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// An address in its one usual form, or a name whose last label is no number: `127.1`, `0x7f000001`
/// and `010.0.0.1` are read differently by different programs (security.md H2), and no names.
fn is_host(host: &str) -> bool {
    if host.parse::<Ipv6Addr>().is_ok() {
        return true;
    }
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return ip.to_string() == host;
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|c| c.is_ascii_digit())
        || last.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    name.len() <= 253 && !is_number && name.split('.').all(is_label)
}

impl Carrier {
    /// A stable word.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

impl Guard {
    /// The range that an address lies in and must not, if that is so.
    #[must_use]
    pub fn refuses(self, ip: IpAddr) -> Option<&'static str> {
        match self {
            Self::Configured => None,
            Self::ToldBy(teller) if teller == ip => None,
            Self::ToldBy(_) => crate::policy::public::not_public(ip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_browsers_read_them() {
        for (url, host, port, carrier, is_turn) in [
            ("stun:a.example", "a.example", 3478, Carrier::Udp, false),
            ("turn:a.example:1?transport=udp", "a.example", 1, Carrier::Udp, true),
            ("turn:192.0.2.1?transport=tcp", "192.0.2.1", 3478, Carrier::Tcp, true),
            ("turns:[2001:db8::1]", "2001:db8::1", 5349, Carrier::Tls, true),
            ("turns:a.example:443?transport=tcp", "a.example", 443, Carrier::Tls, true),
        ] {
            let place = Place { host: host.to_owned(), port, carrier, is_turn };
            assert_eq!(Place::parse(url), Some(place), "{url}");
        }
    }

    #[test] // security.md H1, H2
    fn nothing_else_is_a_place() {
        for url in [
            "http://x",
            "stun:0x7f000001",
            "stun:2130706433",
            "stun:0177.0.0.1",
            "stun:127.1",
            "stun:a@127.0.0.1",
            "stun:ⓛocalhost",
            "stun:a.example?transport=udp",
            "turn:a.example:0",
            "turn:a.example:65536",
            "turn:a.example:",
            "turn:[::1",
            "turn:[::1]1",
            "turn:",
            "turns:a.example?transport=udp",
            "turn://a.example",
            "turn:a b",
        ] {
            assert_eq!(Place::parse(url), None, "{url}");
        }
    }

    #[test]
    fn what_a_stranger_tells_leads_to_public_addresses_and_back_to_him() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let guard = Guard::ToldBy(ip("10.0.0.5"));
        assert_eq!(guard.refuses(ip("10.0.0.5")), None);
        assert_eq!(guard.refuses(ip("10.0.0.6")), Some("private"));
        assert_eq!(guard.refuses(ip("::ffff:127.0.0.1")), Some("loopback"));
        assert_eq!(guard.refuses(ip("9.9.9.9")), None);
        assert_eq!(Guard::Configured.refuses(ip("127.0.0.1")), None);
    }
}
