//! What is asked of each server, every question by a client of its own.

use std::fmt;
use std::net::SocketAddr;

use crate::auth::credential::{User, issue};
use crate::auth::secret::Secret;
use crate::daemon::trial::Fault;
use crate::daemon::trial::client::{Client, Wish};
use crate::time::Now;
use crate::turn::fact::Transport;
use crate::wire::address::Family;

/// A server under both of its addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server {
    pub(super) plain: SocketAddr,
    pub(super) tls: SocketAddr,
}

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
    Permission(&'static str),
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
const INNER_PEERS: [&str; 10] = [
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "0.0.0.1",
    "255.255.255.255",
    "192.0.0.1",
];
/// An address that anybody may be relayed to. Nothing is sent there.
pub(super) const PUBLIC_PEER: &str = "9.9.9.9";

/// How often a question is asked again from another port.
const MISMATCHES_BORNE: usize = 3;

const UDP: Wish = Wish { transport: 17, family: None };

/// Every question that these logins allow.
pub(super) fn all(logins: &Logins) -> Vec<Probe> {
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
    probes.extend([0x3fff, 0x4000, 0x4fff, 0x5000, 0x7fff, 0x8000].map(Probe::Channel));
    probes
}

impl Logins {
    fn right(&self) -> Option<Login> {
        let account = self.user.as_ref().map(|_| Login::Account);
        account.or_else(|| self.secret.as_ref().map(|_| Login::TimeLimited))
    }

    /// Username and password.
    fn words(&self, login: Login) -> Option<(String, String)> {
        let issued = |secret: &Secret<String>, from_now: i64| {
            let user = User::parse("compare").ok()?;
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

impl Probe {
    /// What the server answers; in words that are the same for the same answer.
    pub(super) async fn ask(self, server: Server, logins: &Logins) -> Result<String, String> {
        let mut answer = self.answer(server, logins).await;
        for _ in 0..MISMATCHES_BORNE {
            match &answer {
                // The kernel gave a port again whose allocation the server has not forgotten yet:
                // another one is to be used (RFC 8656 §7.4).
                Err(Fault(why)) if why.ends_with("with 437") => {
                    answer = self.answer(server, logins).await;
                }
                Ok(_) | Err(_) => break,
            }
        }
        answer.map_err(|fault| fault.0)
    }

    async fn answer(self, server: Server, logins: &Logins) -> Result<String, Fault> {
        match self {
            Self::Binding(transport) => {
                let mut client = connect(server, transport, &[]).await?;
                let mapped = client.mapped().await?;
                Ok(if mapped.is_some() { "answered" } else { "answered without address" }
                    .to_owned())
            }
            Self::Protocol(name) => {
                let client = connect(server, Transport::Tls, &[name]).await?;
                Ok(client
                    .protocol()
                    .map_or_else(|| "none chosen".to_owned(), |p| format!("{p} chosen")))
            }
            Self::Challenge => {
                let mut client = connect(server, Transport::Udp, &[]).await?;
                let realm = client.challenge(UDP, "nobody-of-yours", "nothing").await?;
                Ok(format!("401, realm {:?}", String::from_utf8_lossy(&realm)))
            }
            Self::Allocate(transport, login, family) => {
                let mut client = connect(server, transport, &[]).await?;
                let relayed = allocate(&mut client, logins, login, Wish { family, ..UDP }).await?;
                client.release().await?;
                Ok(format!("allocated in {}", if relayed.is_ipv4() { "IPv4" } else { "IPv6" }))
            }
            Self::RelayOverTcp => {
                let login = right(logins)?;
                let mut client = connect(server, Transport::Tcp, &[]).await?;
                let wish = Wish { transport: 6, family: None };
                allocate(&mut client, logins, login, wish).await?;
                client.release().await?;
                Ok("allocated".to_owned())
            }
            Self::Permission(peer) => {
                let mut client = connect(server, Transport::Udp, &[]).await?;
                allocate(&mut client, logins, right(logins)?, UDP).await?;
                let done = client.permit(peer_of(peer)?).await;
                client.release().await?;
                done.map(|()| "permitted".to_owned())
            }
            Self::Channel(number) => {
                let mut client = connect(server, Transport::Udp, &[]).await?;
                allocate(&mut client, logins, right(logins)?, UDP).await?;
                let done = client.bind_channel(number, peer_of(PUBLIC_PEER)?).await;
                client.release().await?;
                done.map(|()| "bound".to_owned())
            }
        }
    }
}

fn right(logins: &Logins) -> Result<Login, Fault> {
    logins.right().ok_or_else(|| Fault("there is no login".to_owned()))
}

fn peer_of(ip: &str) -> Result<SocketAddr, Fault> {
    let ip = ip.parse().map_err(|_| Fault(format!("{ip} is no address")))?;
    Ok(SocketAddr::new(ip, 50_000))
}

async fn connect(server: Server, transport: Transport, alpn: &[&str]) -> Result<Client, Fault> {
    let at = match transport {
        Transport::Udp | Transport::Tcp => server.plain,
        Transport::Tls => server.tls,
    };
    Client::connect_offering(transport, at, false, alpn).await
}

async fn allocate(
    client: &mut Client,
    logins: &Logins,
    login: Login,
    wish: Wish,
) -> Result<SocketAddr, Fault> {
    let Some((name, password)) = logins.words(login) else {
        return Err(Fault("there is no such login".to_owned()));
    };
    client.challenge(wish, &name, &password).await?;
    client.allocate_challenged(wish).await
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
            Self::Permission(peer) => write!(f, "permission for {peer}"),
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
