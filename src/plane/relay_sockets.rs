//! Relay sockets: one per allocation, on its relayed transport address.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use socket2::{Domain, Protocol, Socket, Type};

use super::ledger::{Ledger, ShardIndex};
use super::sys;
use crate::limits::RELAY_PORT_TRIES;
use crate::time::Now;
use crate::turn::contract::{Opened, Wanted, Why};
use crate::turn::relayed_address::RelayPort;
use crate::wire::address::Family;

/// The open relay sockets of one shard.
#[derive(Debug)]
pub(super) struct RelaySockets {
    shard: ShardIndex,
    /// Addresses to bind to, by index.
    bind_addresses: Vec<IpAddr>,
    socket_by_port: HashMap<RelayPort, UdpSocket>,
}

impl RelaySockets {
    pub(super) fn new(shard: ShardIndex, bind_addresses: Vec<IpAddr>) -> Self {
        Self { shard, bind_addresses, socket_by_port: HashMap::new() }
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
        ledger.count(user, source)?;
        let mut one = |family| self.open_one(now, ledger, epoll, family);
        let opened = match wanted {
            Wanted::One(family) => one(family).map(|relay| Opened { relay, other: None }),
            Wanted::Both => match (one(Family::V4), one(Family::V6)) {
                (Ok(relay), other) | (other @ Err(_), Ok(relay)) => {
                    Ok(Opened { relay, other: Some(other) })
                }
                (Err(why), Err(_)) => Err(why),
            },
        };
        opened.inspect_err(|_| ledger.uncount(user, source))
    }

    fn open_one(
        &mut self,
        now: Now,
        ledger: &Ledger,
        epoll: &Epoll,
        family: Family,
    ) -> Result<RelayPort, Why> {
        for _ in 0..RELAY_PORT_TRIES {
            let port = ledger.draw(now, family)?;
            match self.bind(port, epoll) {
                Ok(socket) => {
                    self.socket_by_port.insert(port, socket);
                    ledger.own(port, self.shard);
                    return Ok(port);
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => ledger.rest(now, port),
                Err(error) => {
                    tracing::warn!(%error, port = port.number, "no relay socket could be opened");
                    ledger.give_back(port);
                    return Err(Why::Bind);
                }
            }
        }
        Err(Why::Ports)
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
        self.socket_by_port.get(&port)
    }

    pub(super) fn len(&self) -> usize {
        self.socket_by_port.len()
    }

    fn bind(&self, port: RelayPort, epoll: &Epoll) -> io::Result<UdpSocket> {
        // The relay address itself, never the wildcard, and never shared (R7).
        let ip = self.bind_addresses[usize::from(port.address)];
        let address = SocketAddr::new(ip, port.number);
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        sys::allow_fragments(socket.as_fd(), address.is_ipv6())?;
        socket.bind(&address.into())?;
        let socket = UdpSocket::from(socket);
        let event = EpollEvent::new(EpollFlags::EPOLLIN, relay_token(port));
        epoll.add(&socket, event).map_err(io::Error::from)?;
        Ok(socket)
    }
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
