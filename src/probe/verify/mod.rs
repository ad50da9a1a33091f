//! A verification: every URL that `/ice` hands out is used as a client would, by a client of its
//! own, and what was seen is told step by step. [`super::verdict`] says what it means.
//!
//! The contract is that of every machine: `handle`, then `poll` until `None`, then wait for
//! something to happen or for `deadline`.

mod answers;
mod datagrams;
mod entropy;
mod relaying;
mod session;
#[cfg(test)]
mod tests;
mod way;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::observation::{
    CertificateFacts, DnsFault, Fault, Observations, Resolution, TargetSeen, Vantage,
};
use super::target::{Guard, Target};
use crate::limits::probe::{VERIFY_PATIENCE, VERIFY_TARGETS_MAX, VERIFY_WAYS_AT_ONCE};
use crate::time::Now;
use entropy::Entropy;
use way::{Happened, Role, Way, Wish};

/// What is to be verified.
#[derive(Debug, Clone)]
pub struct Plan {
    /// From where.
    pub vantage: Vantage,
    /// At most [`VERIFY_TARGETS_MAX`]; more are not looked at.
    pub targets: Vec<Target>,
    /// Which addresses may be tried.
    pub guard: Guard,
}

/// One connection of the run; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link(u32);

/// What a connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkKind {
    /// A UDP socket that hears one server, and its ICMP errors.
    Udp,
    /// A UDP socket that sends to several addresses and hears all.
    OpenUdp,
    /// A TCP connection.
    Tcp,
    /// TLS for this host.
    Tls(String),
}

/// What it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The addresses of a name.
    Resolve(String),
    /// A connection.
    Open {
        /// Its name from here on.
        link: Link,
        /// Of which kind.
        kind: LinkKind,
        /// To where.
        address: SocketAddr,
    },
    /// These bytes are to go out.
    Send {
        /// On which connection.
        link: Link,
        /// Where to; a stream has only one other end.
        to: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// A connection is not needed any more.
    Close(Link),
    /// It is over.
    Done(Box<Observations>),
}

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// Where a name leads.
    Resolved {
        /// The name.
        host: &'a str,
        /// Its addresses, in the resolver's order.
        result: Result<Vec<IpAddr>, DnsFault>,
    },
    /// A socket is there, a TCP connection stands; or why not.
    Opened {
        /// Which.
        link: Link,
        /// Why not.
        result: Result<(), Fault>,
    },
    /// TLS stands, with what the certificate says, acceptable or not; or why not.
    Secured {
        /// On which connection.
        link: Link,
        /// What was seen.
        result: Result<CertificateFacts, Fault>,
    },
    /// Bytes came.
    Received {
        /// On which connection.
        link: Link,
        /// Who sent it; `None` on a stream.
        from: Option<SocketAddr>,
        /// A datagram, or a piece of a stream.
        bytes: &'a [u8],
    },
    /// A connection is gone.
    Closed {
        /// Which.
        link: Link,
        /// Why.
        fault: Fault,
    },
    /// Time went by.
    Tick,
}

/// One run.
#[derive(Debug)]
pub struct Verification {
    plan: Plan,
    entropy: Entropy,
    began: Now,
    seen: Vec<TargetSeen>,
    ways: Vec<Way>,
    /// Targets whose inside was tried.
    turned_inside: Vec<bool>,
    outputs: VecDeque<Output>,
    is_over: bool,
}

impl Verification {
    /// Begins a run. `seed`: bytes nobody can guess.
    #[must_use]
    pub fn new(now: Now, mut plan: Plan, seed: [u8; 32]) -> Self {
        plan.targets.truncate(VERIFY_TARGETS_MAX);
        let mut run = Self {
            seen: plan.targets.iter().map(unseen).collect(),
            turned_inside: vec![false; plan.targets.len()],
            plan,
            entropy: Entropy::new(seed),
            began: now,
            ways: Vec::new(),
            outputs: VecDeque::new(),
            is_over: false,
        };
        for at in 0..run.seen.len() {
            match run.plan.targets[at].place.address() {
                Some(ip) => run.add_ways(now, at, &[ip]),
                None => {
                    let resolve = Output::Resolve(run.seen[at].host.clone());
                    if !run.outputs.contains(&resolve) {
                        run.outputs.push_back(resolve);
                    }
                }
            }
        }
        run.go_on(now);
        run
    }

    /// One mutation. Drain [`Self::poll`] afterwards.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        if self.is_over {
            return;
        }
        match input {
            Input::Resolved { host, result } => self.resolved(now, host, &result),
            Input::Opened { link, result } => self.happened(now, link, Happened::Opened(result)),
            Input::Secured { link, result } => self.happened(now, link, Happened::Secured(result)),
            Input::Received { link, from, bytes } => {
                self.happened(now, link, Happened::Received(from, bytes));
            }
            Input::Closed { link, fault } => self.happened(now, link, Happened::Closed(fault)),
            Input::Tick => {
                for way in &mut self.ways {
                    way.tick(now, &mut self.entropy);
                }
            }
        }
        self.go_on(now);
    }

    /// What is to be done, oldest first; `None` when all is.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call `handle(now, Input::Tick)` at the latest; `None` when it is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let end = self.end().filter(|_| !self.is_over)?;
        let ways = self.ways.iter().filter_map(Way::deadline);
        ways.chain([end]).min()
    }

    fn end(&self) -> Option<Instant> {
        self.began.mono.checked_add(VERIFY_PATIENCE)
    }

    fn resolved(&mut self, now: Now, host: &str, result: &Result<Vec<IpAddr>, DnsFault>) {
        let took = now.mono.saturating_duration_since(self.began.mono);
        for at in 0..self.seen.len() {
            let seen = &mut self.seen[at];
            if seen.host != host || seen.resolution != Resolution::Pending {
                continue;
            }
            match result {
                Ok(addresses) if addresses.is_empty() => {
                    seen.resolution = Resolution::Failed(DnsFault::NoSuchName);
                }
                Ok(addresses) => {
                    let addresses: Vec<_> = addresses.iter().map(IpAddr::to_canonical).collect();
                    seen.resolution = Resolution::Found { addresses: addresses.clone(), took };
                    self.add_ways(now, at, &addresses);
                }
                Err(fault) => seen.resolution = Resolution::Failed(fault.clone()),
            }
        }
    }

    /// One way for each family.
    fn add_ways(&mut self, now: Now, at: usize, addresses: &[IpAddr]) {
        let v4 = addresses.iter().find(|ip| ip.is_ipv4());
        let v6 = addresses.iter().find(|ip| ip.is_ipv6());
        let target = &self.plan.targets[at];
        for ip in [v4, v6].into_iter().flatten() {
            let address = SocketAddr::new(*ip, target.place.port);
            let mut way = Way::new(now, at, target, address, false);
            if let Some(range) = self.plan.guard.refuses(*ip) {
                way.refuse(Fault::NotPublic(range));
            }
            self.ways.push(way);
        }
    }

    fn happened(&mut self, now: Now, link: Link, what: Happened<'_>) {
        let Link(number) = link;
        let way = self.ways.get_mut((number >> ROLE_BITS) as usize);
        let role = Role::from_index(number & ((1 << ROLE_BITS) - 1));
        if let (Some(way), Some(role)) = (way, role) {
            way.happened(now, role, what, &mut self.entropy);
        }
    }

    /// Starts what may start, collects what is wanted, ends when all is done or the time is over.
    fn go_on(&mut self, now: Now) {
        self.look_inside(now);
        let going = self.ways.iter().filter(|way| !way.is_waiting() && !way.is_over()).count();
        let free = VERIFY_WAYS_AT_ONCE.saturating_sub(going);
        for way in self.ways.iter_mut().filter(|way| way.is_waiting()).take(free) {
            way.start(now);
        }
        let is_late = self.end().is_none_or(|end| now.mono >= end);
        if is_late {
            self.ways.iter_mut().for_each(Way::cut_off);
        }
        for number in 0..self.ways.len() {
            for wish in self.ways[number].wishes() {
                let output = self.output(number, wish);
                self.outputs.push_back(output);
            }
        }
        let is_pending = |seen: &TargetSeen| seen.resolution == Resolution::Pending;
        let is_done = self.ways.iter().all(Way::is_over) && !self.seen.iter().any(is_pending);
        if is_late || is_done {
            self.finish(now);
        }
    }

    /// Where nothing answers at a public address, our own listener is asked at its own.
    fn look_inside(&mut self, now: Now) {
        for at in 0..self.seen.len() {
            let target = &self.plan.targets[at];
            let mut ways = self.ways.iter().filter(|way| way.target == at);
            let is_resolved = self.seen[at].resolution != Resolution::Pending;
            let is_in_vain =
                is_resolved && ways.all(|way| way.is_over() && !way.seen.is_answered());
            if self.turned_inside[at] || !is_in_vain {
                continue;
            }
            self.turned_inside[at] = true;
            let tried: Vec<_> =
                self.ways.iter().filter(|w| w.target == at).map(|w| w.seen.address).collect();
            let inside = target.inside.iter().filter(|address| !tried.contains(address));
            let ways: Vec<_> =
                inside.take(2).map(|address| Way::new(now, at, target, *address, true)).collect();
            self.ways.extend(ways);
        }
    }

    fn output(&self, number: usize, wish: Wish) -> Output {
        let way = &self.ways[number];
        let link = |role: Role| Link((number as u32) << ROLE_BITS | role as u32);
        match wish {
            Wish::Open(role) => {
                let kind = match role {
                    Role::Outsider => LinkKind::OpenUdp,
                    Role::First | Role::Second | Role::Later => {
                        way.kind(&self.plan.targets[way.target].place.host)
                    }
                };
                Output::Open { link: link(role), kind, address: way.seen.address }
            }
            Wish::Send(role, to, bytes) => Output::Send { link: link(role), to, bytes },
            Wish::Close(role) => Output::Close(link(role)),
        }
    }

    fn finish(&mut self, now: Now) {
        self.is_over = true;
        let mut targets = std::mem::take(&mut self.seen);
        for way in std::mem::take(&mut self.ways) {
            targets[way.target].ways.push(way.seen);
        }
        self.outputs.push_back(Output::Done(Box::new(Observations {
            vantage: self.plan.vantage,
            started_at_unix_ms: self.began.unix_ms,
            took: now.mono.saturating_duration_since(self.began.mono),
            targets,
        })));
    }
}

/// Bits of a [`Link`] that say which connection of its way it is.
const ROLE_BITS: u32 = 2;

fn unseen(target: &Target) -> TargetSeen {
    let ends = |login: &super::target::Login| {
        let (ends, _) = login.username.split_once(':')?;
        let is_time = !ends.is_empty() && ends.bytes().all(|c| c.is_ascii_digit());
        ends.parse().ok().filter(|_| is_time)
    };
    TargetSeen {
        url: target.url.clone(),
        host: target.place.host.clone(),
        carrier: target.place.carrier,
        is_turn: target.place.is_turn,
        is_ours: target.is_ours,
        credential_ends: target.login.as_ref().and_then(ends),
        resolution: match target.place.address() {
            Some(_) => Resolution::Literal,
            None => Resolution::Pending,
        },
        ways: Vec::new(),
    }
}
