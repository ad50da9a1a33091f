//! The five-tuple: what identifies a client, and with it its allocation (RFC 8656 §2).

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

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

/// In as few words as hold it, for it is done for every datagram. The connection number is left out:
/// addresses tell live connections apart.
impl Hash for FiveTuple {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let ports = u64::from(self.client.port()) << 16 | u64::from(self.server.port());
        state.write_u64(ports << 8 | self.transport as u64);
        match (self.client, self.server) {
            (SocketAddr::V4(client), SocketAddr::V4(server)) => {
                let [client, server] = [client, server].map(|at| u64::from(at.ip().to_bits()));
                state.write_u64(client << 32 | server);
            }
            (client, server) => {
                for at in [client, server] {
                    let bits = match at.ip() {
                        IpAddr::V4(ip) => u128::from(ip.to_bits()),
                        IpAddr::V6(ip) => ip.to_bits(),
                    };
                    state.write_u64((bits >> 64) as u64);
                    state.write_u64(bits as u64);
                }
            }
        }
    }
}
