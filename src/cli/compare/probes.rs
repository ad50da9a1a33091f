//! What is asked of each server.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::auth::credential::{User, issue};
use crate::auth::secret::Secret;
use crate::time::Now;
use crate::turn::fact::Transport;
use crate::wire::address::Family;

/// What both servers let in.
#[derive(Debug)]
pub(super) struct Logins {
    pub(super) user: Option<(String, String)>,
    pub(super) secret: Option<Secret<String>>,
}

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    Binding(Transport),
    Protocol(&'static str),
    Challenge,
    Allocate(Transport, Login, Option<Family>),
    RelayOverTcp,
    Permission(IpAddr),
    /// A peer that the operator names; whether it should be refused is his to know.
    Peer(IpAddr),
    Channel(u16),
}

/// With what a client comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    Account,
    WrongPassword,
    TimeLimited,
    Expired,
    WrongSecret,
    UnknownUser,
}

/// Peers that a relay on the Internet has no business with.
const INNER_PEERS: [IpAddr; 10] = [
    v4([127, 0, 0, 1]),
    v4([10, 0, 0, 1]),
    v4([172, 16, 0, 1]),
    v4([192, 168, 0, 1]),
    v4([100, 64, 0, 1]),
    v4([169, 254, 169, 254]),
    v4([224, 0, 0, 1]),
    v4([0, 0, 0, 1]),
    v4([255, 255, 255, 255]),
    v4([192, 0, 0, 1]),
];
/// An address that anybody may be relayed to. Nothing is sent there.
pub(super) const PUBLIC_PEER: IpAddr = v4([9, 9, 9, 9]);

const fn v4(octets: [u8; 4]) -> IpAddr {
    let [a, b, c, d] = octets;
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// Every question that these logins allow.
pub(super) fn all(logins: &Logins, peers: &[IpAddr]) -> Vec<Probe> {
    use Transport::{Tcp, Tls, Udp};
    let mut probes = vec![
        Probe::Binding(Udp),
        Probe::Binding(Tcp),
        Probe::Binding(Tls),
        Probe::Protocol("stun.turn"),
        Probe::Protocol("stun.nat-discovery"),
        Probe::Challenge,
        Probe::Allocate(Udp, Login::UnknownUser, None),
    ];
    if logins.user.is_some() {
        probes
            .extend([Login::Account, Login::WrongPassword].map(|l| Probe::Allocate(Udp, l, None)));
    }
    if logins.secret.is_some() {
        let rest = [Login::TimeLimited, Login::Expired, Login::WrongSecret];
        probes.extend(rest.map(|login| Probe::Allocate(Udp, login, None)));
    }
    let Some(right) = logins.right() else { return probes };
    probes.extend([
        Probe::Allocate(Tcp, right, None),
        Probe::Allocate(Tls, right, None),
        Probe::Allocate(Udp, right, Some(Family::V4)),
        Probe::Allocate(Udp, right, Some(Family::V6)),
        Probe::RelayOverTcp,
        Probe::Permission(PUBLIC_PEER),
    ]);
    probes.extend(INNER_PEERS.map(Probe::Permission));
    probes.extend(peers.iter().copied().map(Probe::Peer));
    probes.extend([0x3fff, 0x4000, 0x4fff, 0x5000, 0x7fff, 0x8000].map(Probe::Channel));
    probes
}

impl Logins {
    /// The one that everything is asked with that needs a login.
    pub(super) fn right(&self) -> Option<Login> {
        let account = self.user.as_ref().map(|_| Login::Account);
        account.or_else(|| self.secret.as_ref().map(|_| Login::TimeLimited))
    }

    /// Username and password. `number`: makes another user of each question, so that a quota of few
    /// allocations for each is not used up.
    pub(super) fn words(&self, login: Login, number: usize) -> Option<(String, String)> {
        let issued = |secret: &Secret<String>, from_now: i64| {
            let user = User::parse(&format!("compare-{number}")).ok()?;
            let issued = issue(secret, &user, Now::read().unix_s() + from_now);
            Some((issued.username, issued.credential.expose().clone()))
        };
        match login {
            Login::Account => self.user.clone(),
            Login::WrongPassword => {
                self.user.as_ref().map(|(name, password)| (name.clone(), format!("{password}-")))
            }
            Login::TimeLimited => issued(self.secret.as_ref()?, 600),
            // Skew is forgiven, an hour is none.
            Login::Expired => issued(self.secret.as_ref()?, -3600),
            Login::WrongSecret => issued(&Secret::new("not the secret of this server".into()), 600),
            Login::UnknownUser => Some(("nobody-of-yours".to_owned(), "nothing".to_owned())),
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binding(transport) => write!(f, "Binding over {}", name(*transport)),
            Self::Protocol(protocol) => write!(f, "TLS with protocol {protocol} (ALPN)"),
            Self::Challenge => f.write_str("Allocate without a login"),
            Self::Allocate(transport, login, family) => {
                let login = match login {
                    Login::Account => "static account",
                    Login::WrongPassword => "static account, wrong password",
                    Login::TimeLimited => "credential of the shared secret",
                    Login::Expired => "expired credential",
                    Login::WrongSecret => "credential of another secret",
                    Login::UnknownUser => "unknown user",
                };
                write!(f, "Allocate over {}, {login}", name(*transport))?;
                match family {
                    None => Ok(()),
                    Some(Family::V4) => f.write_str(", IPv4 asked for"),
                    Some(Family::V6) => f.write_str(", IPv6 asked for"),
                }
            }
            Self::RelayOverTcp => f.write_str("Allocate that relays over TCP (RFC 6062)"),
            Self::Permission(peer) | Self::Peer(peer) => write!(f, "permission for {peer}"),
            Self::Channel(number) => write!(f, "channel {number:#06x}"),
        }
    }
}

fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
    }
}
