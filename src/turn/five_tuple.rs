//! The five-tuple: what identifies a client, and with it its allocation (RFC 8656 §2).

use std::net::SocketAddr;

use super::fact::Transport;

/// Client and server transport address and the protocol between them.
///
/// Both addresses are folded: an IPv4 client is never written as an IPv4-mapped IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FiveTuple {
    /// How the client reaches us.
    pub transport: Transport,
    /// The client's transport address as we see it (server-reflexive where NATs are between).
    pub client: SocketAddr,
    /// The address of ours that the client wrote to; answers come from it.
    pub server: SocketAddr,
}
