//! Listening UDP sockets: where clients reach the relay.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::AtomicU64;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::arrivals::Arrivals;
use super::drops::Counted;
use super::sys;

/// What is asked of the kernel for a socket that serves thousands of clients, bytes each way.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// A bound listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: UdpSocket,
    local: SocketAddr,
    receive_buffer_bytes: usize,
    pub(super) arrivals: Arrivals,
    drops: Counted,
}

impl Listener {
    /// Binds `address` (port 0: any). Without SO_REUSEPORT, so that a port somebody else holds is
    /// an error and not a silently shared one (R6).
    ///
    /// # Errors
    /// As the kernel says; `AddrInUse` if another program holds the port.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::bind_socket(address, false)
    }

    /// Binds as many sockets to `address`, among which the kernel divides the clients. The first is
    /// bound as by [`Self::bind`] and shares its port only then (R6).
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub fn bind_group(address: SocketAddr, count: usize) -> io::Result<Vec<Self>> {
        let first = Self::bind(address)?;
        if count > 1 {
            SockRef::from(&first.socket).set_reuse_port(true)?;
        }
        let local = first.local;
        let others = (1..count).map(|_| Self::bind_socket(local, true));
        std::iter::once(Ok(first)).chain(others).collect()
    }

    fn bind_socket(address: SocketAddr, shares_port: bool) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // v4 and v6 are separate sockets: an IPv4 client never shows up as ::ffff:a.b.c.d.
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.set_reuse_port(shares_port)?;
        socket.bind(&address.into())?;
        // More than the kernel allows is cut to what it allows, not refused.
        socket.set_recv_buffer_size(BUFFER_BYTES)?;
        socket.set_send_buffer_size(BUFFER_BYTES)?;
        let receive_buffer_bytes = socket.recv_buffer_size()?;
        if address.ip().is_unspecified() {
            sys::report_destination(socket.as_fd(), address.is_ipv6())?;
        }
        let socket = UdpSocket::from(socket);
        let local = socket.local_addr()?;
        let arrivals = Arrivals::default();
        let drops = Counted::default();
        Ok(Self { socket, local, receive_buffer_bytes, arrivals, drops })
    }

    /// Where it listens; the real port where 0 was asked for.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// What the kernel gave for receiving; it counts its own overhead, so this is about twice the
    /// payload that fits.
    #[must_use]
    pub fn receive_buffer_bytes(&self) -> usize {
        self.receive_buffer_bytes
    }

    /// Whether the buffer is smaller than asked for (`net.core.rmem_max`).
    #[must_use]
    pub fn is_receive_buffer_small(&self) -> bool {
        self.receive_buffer_bytes < BUFFER_BYTES
    }

    /// Counts what the kernel threw away since the last time.
    pub(super) fn count_drops(&mut self, into: &AtomicU64) {
        self.drops.count(self.socket.as_fd(), into);
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The address that a datagram was sent to: the reported one on a wildcard socket.
    pub(super) fn server_address(&self, reported: Option<IpAddr>) -> SocketAddr {
        SocketAddr::new(reported.unwrap_or_else(|| self.local.ip()), self.local.port())
    }

    /// Whether answers from `server` leave through this socket.
    pub(super) fn serves(&self, server: SocketAddr) -> bool {
        self.local == server
            || (self.is_wildcard()
                && self.local.port() == server.port()
                && self.local.is_ipv4() == server.is_ipv4())
    }

    /// The source to set on answers from `server`; none where the socket has just one address.
    pub(super) fn source(&self, server: SocketAddr) -> Option<IpAddr> {
        self.is_wildcard().then(|| server.ip())
    }

    pub(super) fn is_wildcard(&self) -> bool {
        self.local.ip().is_unspecified()
    }
}

/// Whether this kernel has sockets of a family at all (IPv6 can be switched off).
#[must_use]
pub fn has_ipv6() -> bool {
    Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)).is_ok_and(|socket| {
        SockRef::from(&socket).bind(&SocketAddr::from(([0_u16; 8], 0)).into()).is_ok()
    })
}
