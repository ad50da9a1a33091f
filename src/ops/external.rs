//! Our public address, found by asking STUN servers from the addresses that relay: sockets around
//! [`crate::probe::mapping`], and the sentences about what came of it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use tokio::net::UdpSocket;
use tokio::time::timeout_at;

use super::resolve::{Lookup, resolve};
use crate::limits::RELAY_PORT_TRIES;
use crate::limits::outside::OUTSIDE_RETRY;
use crate::probe::mapping::{Answers, Input, Mapping, Outcome, Output};
use crate::time::Now;
use crate::wire::message::TransactionId;

/// A STUN server that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StunServer {
    /// A name, or an address.
    pub host: String,
    /// Its UDP port.
    pub port: u16,
}

/// A public address that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The address of this machine that it leads to.
    pub bind: IpAddr,
    /// What the world sends to.
    pub public: IpAddr,
    /// Which server said so.
    pub server: String,
    /// When, milliseconds since 1970.
    pub at_unix_ms: i64,
}

/// What came of asking from one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// From which.
    pub bind: IpAddr,
    /// The public address, if anybody knew it.
    pub found: Option<Found>,
    /// What a person should know.
    pub problem: Option<String>,
}

/// A server with its addresses, or why there are none.
#[derive(Debug)]
pub struct Resolved {
    server: StunServer,
    addresses: Result<Vec<SocketAddr>, String>,
}

impl fmt::Display for StunServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Finds the servers' addresses, one after the other; each takes a bounded time.
pub async fn resolve_all(lookup: &Lookup, servers: &[StunServer]) -> Vec<Resolved> {
    let mut resolved = Vec::with_capacity(servers.len());
    for server in servers {
        let StunServer { host, port } = server;
        let addresses = match host.parse::<IpAddr>() {
            Ok(ip) => Ok(vec![SocketAddr::new(ip, *port)]),
            Err(_) => resolve(lookup, host, *port).await.map_err(|error| error.to_string()),
        };
        resolved.push(Resolved { server: server.clone(), addresses });
    }
    resolved
}

/// Asks from `bind`, and from a port of `ports` where one is free: what a NAT does with the ports
/// that relay is what counts. Takes at most the 39.5 s of a silent server.
pub async fn ask(bind: IpAddr, ports: &RangeInclusive<u16>, servers: &[Resolved]) -> Heard {
    let nothing = |problem| Heard { bind, found: None, problem };
    let of_family = |resolved: &&Resolved| resolved.of_family(bind).is_some();
    let able: Vec<&Resolved> = servers.iter().filter(of_family).collect();
    if able.is_empty() {
        return nothing(nobody(bind, servers));
    }
    let answers = match exchange(bind, ports, &able).await {
        Ok(answers) => answers,
        Err(error) => {
            return nothing(Some(format!(
                "the STUN servers of `external_stun` cannot be asked from {bind}: {error}"
            )));
        }
    };
    let name = |place: usize| able[place].server.to_string();
    let found = answers.first().map(|(place, at)| Found {
        bind,
        public: at.ip(),
        server: name(place),
        at_unix_ms: Now::read().unix_ms,
    });
    Heard { bind, found, problem: problem(&answers, name) }
}

impl Resolved {
    fn of_family(&self, bind: IpAddr) -> Option<SocketAddr> {
        let addresses = self.addresses.as_ref().ok()?;
        addresses.iter().find(|at| at.is_ipv4() == bind.is_ipv4()).copied()
    }
}

/// Why there is nobody to ask from an address. That servers have the other family only is none
/// where no NAT is to be expected.
fn nobody(bind: IpAddr, servers: &[Resolved]) -> Option<String> {
    let failed = |resolved: &Resolved| {
        let why = resolved.addresses.as_ref().err()?;
        Some(format!("{}: {why}", resolved.server.host))
    };
    let why: Vec<String> = servers.iter().filter_map(failed).collect();
    if !why.is_empty() {
        return Some(format!(
            "no STUN server of `external_stun` can be asked from {bind}: {}; {}",
            why.join("; "),
            cure(bind)
        ));
    }
    let family = if bind.is_ipv4() { "IPv4" } else { "IPv6" };
    let is_behind_nat = crate::policy::public::not_public(bind).is_some() && bind.is_ipv4();
    is_behind_nat.then(|| {
        format!("no STUN server of `external_stun` has an {family} address; {}", cure(bind))
    })
}

/// What is wrong with the answers, if anything, in one sentence.
fn problem(answers: &Answers, name: impl Fn(usize) -> String) -> Option<String> {
    let bind = answers.local.ip();
    let Some((place, public)) = answers.first() else {
        let each = answers.outcomes.iter().enumerate();
        let each = each.map(|(place, outcome)| format!("{} {}", name(place), word(*outcome)));
        return Some(format!(
            "the public address of {bind} was not found: {}; it is asked again every {} s, {}",
            each.collect::<Vec<_>>().join(", "),
            OUTSIDE_RETRY.as_secs(),
            cure(bind)
        ));
    };
    if let Some((other, at)) = answers.other_address() {
        return Some(format!(
            "STUN servers disagree about the public address of {bind}: {} says {}, {} says {}; the \
             first one counts, `external` would settle it",
            name(place),
            public.ip(),
            name(other),
            at.ip()
        ));
    }
    let port = answers.other_port()?;
    Some(format!(
        "the NAT in front of {bind} does not keep ports ({} was seen as {port}): relaying through it \
         will not work; forward the `relay_ports` to this machine one to one",
        answers.local.port()
    ))
}

fn word(outcome: Outcome) -> String {
    match outcome {
        Outcome::Mapped(at) => format!("says {}", at.ip()),
        Outcome::NotPublic(at, range) => {
            format!("says {}, which nobody outside can send to ({range})", at.ip())
        }
        Outcome::Error(code) => format!("answers with error {code}"),
        Outcome::Useless => "answers without an address".to_owned(),
        Outcome::NotSent => "cannot be reached".to_owned(),
        Outcome::Silent => "does not answer".to_owned(),
    }
}

fn cure(bind: IpAddr) -> String {
    format!("or write external = [\"PUBLIC/{bind}\"] in turnbell.toml")
}

async fn exchange(
    bind: IpAddr,
    ports: &RangeInclusive<u16>,
    servers: &[&Resolved],
) -> io::Result<Answers> {
    let socket = bound(bind, ports).await?;
    let mut asked = Vec::with_capacity(servers.len());
    for server in servers.iter().filter_map(|server| server.of_family(bind)) {
        let mut id = [0; 12];
        getrandom::fill(&mut id).map_err(io::Error::other)?;
        asked.push((server, TransactionId(id)));
    }
    let mut mapping = Mapping::new(Now::read(), socket.local_addr()?, &asked);
    mapping.handle(Now::read(), Input::Tick);
    // Far longer than any answer; the rest of a longer datagram is cut off and does not parse.
    let mut buffer = [0; 2048];
    loop {
        while let Some(output) = mapping.poll() {
            match output {
                Output::Send { to, bytes } => {
                    if socket.send_to(&bytes, to).await.is_err() {
                        mapping.handle(Now::read(), Input::NotSent(to));
                    }
                }
                Output::Done(answers) => return Ok(answers),
            }
        }
        let Some(deadline) = mapping.deadline() else { return Ok(mapping.answers()) };
        match timeout_at(deadline.into(), socket.recv_from(&mut buffer)).await {
            Ok(Ok((count, from))) => {
                let bytes = &buffer[..count];
                mapping.handle(Now::read(), Input::Datagram { from, bytes });
            }
            // An ICMP error of an earlier datagram; the timers go on.
            Ok(Err(_)) => mapping.handle(Now::read(), Input::Tick),
            Err(_) => mapping.handle(Now::read(), Input::Tick),
        }
    }
}

/// A socket on a random port of the range; on any port where so many tries found none free.
async fn bound(bind: IpAddr, ports: &RangeInclusive<u16>) -> io::Result<UdpSocket> {
    let count = u32::from(*ports.end()) - u32::from(*ports.start()) + 1;
    for _ in 0..RELAY_PORT_TRIES {
        let random = getrandom::u32().map_err(io::Error::other)? % count;
        let port = u32::from(*ports.start()) + random;
        let at = SocketAddr::new(bind, u16::try_from(port).unwrap_or(0));
        if let Ok(socket) = UdpSocket::bind(at).await {
            return Ok(socket);
        }
    }
    UdpSocket::bind(SocketAddr::new(bind, 0)).await
}

#[cfg(test)]
mod tests;
