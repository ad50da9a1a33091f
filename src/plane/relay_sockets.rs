//! Relay sockets: one per allocation, on its relayed transport address.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use socket2::{Domain, Protocol, Socket, Type};

use super::arrivals::Arrivals;
use super::drops::Counted;
use super::error_queue;
use super::ledger::{Ledger, ShardIndex};
use super::sys;
use crate::limits::{RELAY_PORT_TRIES, RELAY_WARNING_INTERVAL};
use crate::time::Now;
use crate::turn::contract::{Opened, Wanted, Why};
use crate::turn::port_map::PortMap;
use crate::turn::relayed_address::RelayPort;
use crate::turn::reservation::Ports;
use crate::wire::address::Family;

/// The open relay sockets of one shard.
#[derive(Debug)]
pub(super) struct RelaySockets {
    shard: ShardIndex,
    /// Addresses to bind to, by index.
    bind_addresses: Vec<IpAddr>,
    report_tos: bool,
    /// The next warning comes no earlier.
    quiet_until: Option<Instant>,
    socket_by_port: PortMap<RelaySocket>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct RelaySocket {
    pub(super) socket: UdpSocket,
    pub(super) arrivals: Arrivals,
    pub(super) drops: Counted,
}

impl RelaySockets {
    /// `report_tos`: whether the sockets say which DSCP and ECN a datagram came with.
    pub(super) fn new(shard: ShardIndex, bind_addresses: Vec<IpAddr>, report_tos: bool) -> Self {
        Self {
            shard,
            bind_addresses,
            report_tos,
            quiet_until: None,
            socket_by_port: PortMap::default(),
        }
    }

    /// Counts the allocation, draws ports, binds and watches them.
    pub(super) fn open(
        &mut self,
        now: Now,
        ledger: &Ledger,
        epoll: &Epoll,
        user: &str,
        source: IpAddr,
        wanted: Wanted,
    ) -> Result<Opened, Why> {
        let with = With { now, ledger, epoll };
        match wanted {
            Wanted::One(..) | Wanted::Both { .. } => ledger.count(user, source)?,
            // Counted where it is redeemed.
            Wanted::Reserved(_) => {}
        }
        let result = match wanted {
            Wanted::One(family, Ports::EvenAndReserve) => {
                self.open_pair(with, family, user, source)
            }
            Wanted::One(family, ports) => opened(self.open_one(with, family, ports)),
            Wanted::Both { even } => {
                let ports = if even { Ports::Even } else { Ports::Any };
                let v4 = self.open_one(with, Family::V4, ports);
                match (v4, self.open_one(with, Family::V6, ports)) {
                    (Ok(relay), other) | (other @ Err(_), Ok(relay)) => {
                        Ok(Opened { relay, other: Some(other), reserved: None })
                    }
                    (Err(why), Err(_)) => Err(why),
                }
            }
            Wanted::Reserved(token) => {
                let (port, socket) = ledger.redeem(now, token, user, source)?;
                opened(self.adopt(with, port, socket))
            }
        };
        result.inspect_err(|_| ledger.uncount(user, source))
    }

    fn open_one(&mut self, with: With<'_>, family: Family, ports: Ports) -> Result<RelayPort, Why> {
        let With { now, ledger, epoll: _ } = with;
        for _ in 0..RELAY_PORT_TRIES {
            let port = ledger.draw(now, family, ports)?;
            match self.bind(port) {
                Ok(socket) => return self.adopt(with, port, socket),
                Err(error) => ends(self.refused(with, port, &error))?,
            }
        }
        Err(Why::Ports)
    }

    /// An even port, and the next higher one bound and reserved (RFC 8656 §7.2).
    fn open_pair(
        &mut self,
        with: With<'_>,
        family: Family,
        user: &str,
        source: IpAddr,
    ) -> Result<Opened, Why> {
        let With { now, ledger, epoll: _ } = with;
        for _ in 0..RELAY_PORT_TRIES {
            let port = ledger.draw(now, family, Ports::EvenAndReserve)?;
            let next = RelayPort { number: port.number + 1, ..port };
            // Both are bound before either is used; of a pair that is half taken the other half
            // goes back.
            let (first, second) = match (self.bind(port), self.bind(next)) {
                (Ok(first), Ok(second)) => (first, second),
                (Err(error), Ok(_)) => {
                    ledger.give_back(next);
                    ends(self.refused(with, port, &error))?;
                    continue;
                }
                (Ok(_), Err(error)) => {
                    ledger.give_back(port);
                    ends(self.refused(with, next, &error))?;
                    continue;
                }
                (Err(error), Err(other)) => {
                    let next = self.refused(with, next, &other);
                    ends(self.refused(with, port, &error).or(next))?;
                    continue;
                }
            };
            let reserved = match ledger.reserve(now, next, second, user, source) {
                Ok(token) => token,
                Err(why) => {
                    drop(first);
                    ledger.give_back(port);
                    return Err(why);
                }
            };
            let relay = self.adopt(with, port, first)?;
            return Ok(Opened { relay, other: None, reserved: Some(reserved) });
        }
        Err(Why::Ports)
    }

    /// What becomes of a drawn port that could not be bound: one of another program rests, and
    /// another one may be tried.
    fn refused(&mut self, with: With<'_>, port: RelayPort, error: &io::Error) -> Option<Why> {
        if error.kind() == io::ErrorKind::AddrInUse {
            with.ledger.rest(with.now, port);
            return None;
        }
        self.warn(with.now, error, port, "no relay socket could be opened");
        with.ledger.give_back(port);
        Some(Why::Bind)
    }

    /// Says so now and then: while descriptors are used up, it happens with every Allocate.
    fn warn(&mut self, now: Now, error: &io::Error, port: RelayPort, what: &'static str) {
        if self.quiet_until.is_none_or(|until| until <= now.mono) {
            self.quiet_until = Some(now.mono + RELAY_WARNING_INTERVAL);
            tracing::warn!(%error, port = port.number, "{what}; clients hear 508");
        }
    }

    /// Watches a bound socket and says that this shard has it.
    fn adopt(
        &mut self,
        with: With<'_>,
        port: RelayPort,
        socket: UdpSocket,
    ) -> Result<RelayPort, Why> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, relay_token(port));
        if let Err(error) = with.epoll.add(&socket, event) {
            let error = io::Error::from(error);
            self.warn(with.now, &error, port, "no relay socket could be watched");
            drop(socket);
            with.ledger.give_back(port);
            return Err(Why::Bind);
        }
        let (arrivals, drops) = Default::default();
        self.socket_by_port.insert(port, RelaySocket { socket, arrivals, drops });
        with.ledger.own(port, self.shard);
        Ok(port)
    }

    /// Closes the socket and gives its port back.
    pub(super) fn close(&mut self, ledger: &Ledger, port: RelayPort) {
        // Closing takes it out of the epoll set: there is no other descriptor for it.
        let socket = self.socket_by_port.remove(&port);
        debug_assert!(socket.is_some(), "a socket is closed once");
        drop(socket);
        ledger.give_back(port);
    }

    pub(super) fn socket(&self, port: RelayPort) -> Option<&UdpSocket> {
        self.socket_by_port.get(&port).map(|one| &one.socket)
    }

    pub(super) fn get_mut(&mut self, port: RelayPort) -> Option<&mut RelaySocket> {
        self.socket_by_port.get_mut(&port)
    }

    pub(super) fn len(&self) -> usize {
        self.socket_by_port.len()
    }

    fn bind(&self, port: RelayPort) -> io::Result<UdpSocket> {
        // The relay address itself, never the wildcard, and never shared (R7).
        let ip = self.bind_addresses[usize::from(port.address)];
        let address = SocketAddr::new(ip, port.number);
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        sys::allow_fragments(socket.as_fd(), address.is_ipv6())?;
        error_queue::keep(&socket, address.is_ipv6())?;
        if self.report_tos {
            sys::report_tos(socket.as_fd(), address.is_ipv6())?;
        }
        socket.bind(&address.into())?;
        Ok(UdpSocket::from(socket))
    }
}

/// What opening a socket takes beside itself.
#[derive(Clone, Copy)]
struct With<'a> {
    now: Now,
    ledger: &'a Ledger,
    epoll: &'a Epoll,
}

fn opened(relay: Result<RelayPort, Why>) -> Result<Opened, Why> {
    relay.map(|relay| Opened { relay, other: None, reserved: None })
}

/// An error that no other port would cure.
fn ends(why: Option<Why>) -> Result<(), Why> {
    why.map_or(Ok(()), Err)
}

/// The epoll token of a relay socket; a late event of a closed one finds no socket or an empty one.
fn relay_token(port: RelayPort) -> u64 {
    RELAY_BIT | u64::from(port.address) << 16 | u64::from(port.number)
}

/// Reads a token back; `None` if it belongs to something else.
pub(super) fn relay_port_of(token: u64) -> Option<RelayPort> {
    let port = RelayPort { address: (token >> 16) as u8, number: token as u16 };
    (token & RELAY_BIT != 0).then_some(port)
}

const RELAY_BIT: u64 = 1 << 63;

/// Whether a receive error only says that there is nothing to read.
pub(super) fn is_empty(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(Errno::EINTR as i32)
}

#[cfg(test)]
mod tests;
