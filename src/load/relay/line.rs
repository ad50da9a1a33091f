//! What lies between one client and the server: a socket, or a connection, that is never waited for.

mod datagrams;
mod stream;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

pub(super) use datagrams::Datagrams;
use stream::Stream;

use super::server::Server;
use crate::probe::target::Carrier;

/// Of one client.
pub(super) enum Line {
    /// A UDP socket that hears its server alone.
    Datagrams(Datagrams),
    /// TCP, with TLS or without.
    Stream(Box<Stream>),
}

/// Whether the kernel took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// All of it.
    Taken,
    /// Nothing of it: there is no room.
    Full,
}

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// There may be more.
    Open,
    /// Nothing is there.
    Empty,
    /// The server closed it, or what came is no TURN.
    Ended,
}

impl Line {
    /// Opens one, over UDP from `port` or the next one that is free. A connection is waited for, the
    /// handshake of TLS, too.
    ///
    /// # Errors
    /// What keeps it from being there.
    pub(super) fn open(server: &Server, port: &mut u16) -> io::Result<Self> {
        match server.carrier {
            Carrier::Udp => Datagrams::connected(server.address, port).map(Self::Datagrams),
            Carrier::Tcp | Carrier::Tls => {
                Stream::open(server).map(|stream| Self::Stream(Box::new(stream)))
            }
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Datagrams(socket) => socket.fd(),
            Self::Stream(stream) => stream.socket.as_fd(),
        }
    }

    /// Sends `bytes`: messages of `each` bytes, of which the last may be shorter, that leave at once.
    ///
    /// # Errors
    /// That of the socket; `ConnectionRefused` says that nobody listens.
    pub(super) fn send(&mut self, bytes: &[u8], each: usize) -> io::Result<Sending> {
        match self {
            Self::Datagrams(socket) => socket.send(bytes, each, None),
            Self::Stream(stream) => stream.send(bytes),
        }
    }

    /// Sends a request: it always has room.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(super) fn ask(&mut self, request: &[u8]) -> io::Result<()> {
        match self {
            // Lost if there is no room; it is sent again.
            Self::Datagrams(socket) => socket.send(request, request.len(), None).map(drop),
            Self::Stream(stream) => stream.ask(request),
        }
    }

    /// Whether a connection did not take everything yet.
    pub(super) fn has_unsent(&self) -> bool {
        match self {
            Self::Datagrams(_) => false,
            Self::Stream(stream) => stream.has_unsent(),
        }
    }

    /// Sends what a connection did not take before; whether anything is left.
    pub(super) fn flush(&mut self) -> bool {
        match self {
            Self::Datagrams(_) => false,
            Self::Stream(stream) => stream.flush(),
        }
    }

    /// Reads once, and hands over each message in it.
    pub(super) fn read(&mut self, buffer: &mut [u8], mut each: impl FnMut(&[u8])) -> Reading {
        match self {
            Self::Datagrams(socket) => match socket.read(buffer, |datagram, _| each(datagram)) {
                Ok(()) => Reading::Open,
                // That of an earlier datagram: nobody listened. What is asked is asked again.
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Reading::Open,
                Err(_) => Reading::Empty,
            },
            Self::Stream(stream) => stream.read(buffer, each),
        }
    }

    /// Whether messages may be lost, so that requests are to be repeated.
    pub(super) fn may_lose(&self) -> bool {
        match self {
            Self::Datagrams(_) => true,
            Self::Stream(_) => false,
        }
    }

    /// Whether each message is filled up to a multiple of four bytes (RFC 8656 §12.5).
    pub(super) fn is_padded(&self) -> bool {
        !self.may_lose()
    }
}
