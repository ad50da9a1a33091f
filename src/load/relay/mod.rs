//! Load on the relay: clients that log in and send, their peer, and what became of each datagram.
//!
//! One thread, sockets that are never waited for. With a rate, everything has a time at which it
//! should be sent, and latency counts from there; with a window, it counts from the sending.

mod bindings;
mod data;
mod during;
mod engine;
mod keeping;
mod lane;
mod line;
mod logins;
mod payload;
mod report;
mod seen;
mod server;
mod session;
mod spans;
mod staging;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use during::During;
use engine::Engine;
pub use report::{RelayReport, RelayUse};
pub use server::Server;
pub use spans::Spread;
use staging::{Found, give_back, put_on};

use super::server::{Reading, load_average};
use super::{LoadError, Progress, files, own};
use crate::auth::credential::{User, issue};
use crate::auth::secret::Secret;
use crate::limits::load::LOAD_CREDENTIAL_TTL;
use crate::time::Now;
use crate::wire::address::Family;

/// Channel of every client to the peer.
const PEER_CHANNEL: u16 = 0x4000;
/// Channel of every client to its neighbour's relayed address.
const PAIR_CHANNEL: u16 = 0x4001;

/// What is asked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Relay datagrams.
    Data(Data),
    /// Answer Binding requests.
    Stun(Pace),
    /// Let all clients in once: 401, allocation, permission, channel.
    Login(Pace),
    /// The same without permission and channel.
    Allocate(Pace),
    /// Let them in and out again: 401, allocation, refresh to 0.
    Churn(Pace),
    /// Bear clients that are there and send nothing.
    Idle,
}

/// Datagrams through the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data {
    /// Which way, unless it `is_pair`.
    pub direction: Direction,
    /// Whether clients use Send and Data indications in place of channels.
    pub indications: bool,
    /// Whether each client sends to its neighbour's relayed address.
    pub is_pair: bool,
    /// Of each datagram.
    pub bytes: usize,
    /// Datagrams of one flow that leave at once.
    pub burst: u32,
    /// How many.
    pub pace: Pace,
}

/// Which way data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From clients.
    ToPeer,
    /// To clients.
    ToClient,
    /// In turn.
    Both,
}

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// So many under way at the same time, as fast as that goes.
    Window(u32),
    /// So many a second, all together.
    Rate(u32),
}

/// What the clients show.
#[derive(Debug, Clone)]
pub enum Login {
    /// Each a credential of its own, made of the server's shared secret.
    Secret(Secret<String>),
    /// All the same account.
    Account {
        /// Its name.
        name: String,
        /// Its password.
        password: Secret<String>,
    },
}

/// Around the scenario.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whom to ask.
    pub server: Server,
    /// What lets the clients in.
    pub login: Login,
    /// How many; an even number for pairs.
    pub clients: u32,
    /// How long it is measured, where the scenario does not say itself when it is over.
    pub length: Duration,
    /// Address of the peer, one of this machine; by itself, that from which the server is reached.
    pub peer: Option<IpAddr>,
    /// Process of the server, on this machine: its CPU and memory are read.
    pub pid: Option<u32>,
}

/// A moment that somebody who measures wants to know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// What comes is counted.
    Begin,
    /// What comes is no longer.
    End,
}

impl Scenario {
    /// A word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Data(Data { is_pair: true, .. }) => "data, relay to relay",
            Self::Data(Data { direction: Direction::ToPeer, .. }) => "data, client to peer",
            Self::Data(Data { direction: Direction::ToClient, .. }) => "data, peer to client",
            Self::Data(Data { direction: Direction::Both, .. }) => "data, both ways",
            Self::Stun(_) => "stun",
            Self::Login(_) => "login",
            Self::Allocate(_) => "allocate",
            Self::Churn(_) => "churn",
            Self::Idle => "idle",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Data(_) => "datagrams",
            Self::Stun(_) => "answers",
            Self::Login(_) => "logins",
            Self::Allocate(_) | Self::Churn(_) | Self::Idle => "allocations",
        }
    }
}

impl Login {
    /// Name and password of a client. Names have 40 bytes with a secret.
    fn of(&self, at: usize, expires_at: i64) -> (String, Secret<String>) {
        match self {
            Self::Secret(secret) => {
                let name = format!("turnbell-load-{at:015}");
                // Digits and letters only, and short enough.
                let Ok(user) = User::parse(&name) else { return (name, secret.clone()) };
                let issued = issue(secret, &user, expires_at);
                (issued.username, issued.credential)
            }
            Self::Account { name, password } => (name.clone(), password.clone()),
        }
    }
}

impl Options {
    /// Where the peer is.
    #[must_use]
    pub fn peer_ip(&self) -> IpAddr {
        let server = self.server.address.ip();
        let any = match server {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        self.peer.or_else(|| own::local_towards(any, server)).unwrap_or(any)
    }
}

/// Lines of turnbell's config that let all of this in; the server is asked nothing.
#[must_use]
pub fn needs(scenario: Scenario, options: &Options) -> String {
    let peer = options.peer_ip();
    let clients = options.clients;
    let mut text = String::new();
    if !matches!(scenario, Scenario::Stun(_)) {
        text = format!(
            "allow_private_peers = [\"{peer}\"]    # if it is private\nquota.per_user = {clients}\n\
             quota.per_source = {clients}\n"
        );
    }
    text + "shield.answers_per_source = 100000\nshield.answers_total = \"100Gbit\"\n"
}

/// Puts the load on, and says what came of it. `mark` is told when it is measured.
///
/// # Errors
/// If it could not be put on as it should be.
pub fn run(
    scenario: Scenario,
    options: &Options,
    progress: Progress<'_>,
    mark: &dyn Fn(Mark),
) -> Result<RelayReport, LoadError> {
    files::make_room(u64::from(options.clients) + 2)?;
    let before = options.pid.map(Reading::of).transpose()?;
    let needs_peer = match scenario {
        Scenario::Data(data) => !data.is_pair,
        Scenario::Login(_) | Scenario::Idle => true,
        Scenario::Stun(_) | Scenario::Allocate(_) | Scenario::Churn(_) => false,
    };
    let peer = options.peer_ip();
    let family = Family::of(peer);
    let expires_at = Now::read().unix_s().saturating_add_unsigned(LOAD_CREDENTIAL_TTL.as_secs());
    let Options { server, login, .. } = options;
    let mut engine = Engine::new(server, login, needs_peer.then_some(peer), expires_at, progress)?;
    let during = During::new(options.pid, mark);
    let begin = Now::read().mono;
    let found = put_on(scenario, options, &mut engine, family, &during)?;
    let after = options.pid.map(Reading::of).transpose()?;
    let allocated = !matches!(scenario, Scenario::Stun(_));
    let counts = engine.counts.clone();
    if allocated {
        give_back(&mut engine)?;
    }
    let Found { flowed, ready_at } = found;
    let seconds = flowed.length.as_secs_f64();
    let bits = match scenario {
        Scenario::Data(data) => Some(flowed.measured as f64 * data.bytes as f64 * 8.0 / seconds),
        Scenario::Stun(_)
        | Scenario::Login(_)
        | Scenario::Allocate(_)
        | Scenario::Churn(_)
        | Scenario::Idle => None,
    };
    let pace = match scenario {
        Scenario::Data(Data { pace, .. })
        | Scenario::Stun(pace)
        | Scenario::Login(pace)
        | Scenario::Allocate(pace)
        | Scenario::Churn(pace) => pace,
        Scenario::Idle => Pace::Window(0),
    };
    let (server_cpu_us, own_cpu_us) = during.used();
    let server = before.zip(after).map(|(before, after)| RelayUse {
        cores: server_cpu_us as f64 / 1e6 / seconds,
        cpu_us_each: (flowed.measured > 0).then(|| server_cpu_us as f64 / flowed.measured as f64),
        rss_bytes_before: before.rss_bytes,
        rss_bytes_after: after.rss_bytes,
        rss_bytes_per_client: (after.rss_bytes as f64 - before.rss_bytes as f64)
            / f64::from(options.clients.max(1)),
    });
    Ok(RelayReport {
        scenario: scenario.name(),
        url: options.server.url.clone(),
        clients: options.clients,
        seconds,
        unit: scenario.unit(),
        is_traffic: matches!(scenario, Scenario::Data(_) | Scenario::Stun(_)),
        sent: flowed.sent,
        delivered: flowed.delivered,
        lost: flowed.sent.saturating_sub(flowed.delivered),
        reordered: flowed.reordered,
        duplicated: flowed.duplicated,
        corrupted: flowed.corrupted,
        measured: flowed.measured,
        per_second: flowed.measured as f64 / seconds,
        bits_per_second: bits,
        latency_us: flowed.spans.spread(),
        generator_late_us: match pace {
            Pace::Rate(_) => flowed.late.spread(),
            Pace::Window(_) => None,
        },
        generator_cores: own_cpu_us as f64 / 1e6 / seconds,
        ready_after_s: (ready_at - begin).as_secs_f64(),
        repeated: counts.repeated,
        unverified: counts.unverified,
        unasked: counts.unasked,
        closed: counts.broken,
        refused: counts.refused,
        server,
        load_average: load_average(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
    })
}
