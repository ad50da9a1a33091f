//! The five-tuple: what identifies a client, and with it its allocation (RFC 8656 §2).

use std::hash::{Hash, Hasher};
use std::net::SocketAddr;

use super::fact::Transport;

/// Number of a TCP or TLS connection, never used twice by a shard; 0 stands for UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionNumber(pub u64);

/// Client and server transport address and the protocol between them.
///
/// Both addresses are folded: an IPv4 client is never written as an IPv4-mapped IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FiveTuple {
    /// How the client reaches us.
    pub transport: Transport,
    /// The client's transport address as we see it (server-reflexive where NATs are between).
    pub client: SocketAddr,
    /// The address of ours that the client wrote to; answers come from it.
    pub server: SocketAddr,
    /// Which connection between these two: a late event of an old one never meets the allocation
    /// of a new one.
    pub connection: ConnectionNumber,
}

impl FiveTuple {
    /// The five-tuple of a datagram.
    #[must_use]
    pub fn udp(client: SocketAddr, server: SocketAddr) -> Self {
        Self { transport: Transport::Udp, client, server, connection: ConnectionNumber(0) }
    }

    /// Whether a connection lies below, which can be closed.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        match self.transport {
            Transport::Udp => false,
            Transport::Tcp | Transport::Tls => true,
        }
    }
}

/// The connection number is left out: addresses tell live connections apart, and hashing is done
/// for every datagram.
impl Hash for FiveTuple {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.transport.hash(state);
        self.client.hash(state);
        self.server.hash(state);
    }
}
