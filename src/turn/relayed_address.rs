//! Relayed transport addresses: where peers reach a client.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::time::Now;
use crate::wire::address::Family;

/// A port on one of the relay addresses; the local name of a relayed transport address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelayPort {
    /// Index of the relay address in the order of the configuration.
    pub address: u8,
    /// UDP port on it.
    pub number: u16,
}

/// A relayed transport address of an allocation, with a lifetime of its own (RFC 8656 §8.1).
#[derive(Debug, Clone, Copy)]
pub(super) struct Relayed {
    pub(super) port: RelayPort,
    /// As clients and peers know it.
    pub(super) address: SocketAddr,
    pub(super) expires_at: Instant,
}

impl Relayed {
    pub(super) fn is_expired(&self, now: Now) -> bool {
        self.expires_at <= now.mono
    }

    pub(super) fn family(&self) -> Family {
        Family::of(self.address.ip())
    }
}

/// Transport address of a peer as a datagram shows it, folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerAddr(pub SocketAddr);

/// The relay addresses as clients and peers know them, one per index.
#[derive(Debug, Clone, Default)]
pub struct RelayAddresses(Vec<IpAddr>);

impl RelayAddresses {
    /// `advertised[i]` is what XOR-RELAYED-ADDRESS shows for index `i`
    /// (the public side where a NAT is in front).
    #[must_use]
    pub fn new(advertised: Vec<IpAddr>) -> Self {
        debug_assert!(advertised.len() <= crate::limits::RELAY_ADDRESSES_MAX);
        Self(advertised)
    }

    /// The relayed transport address of `port`; `None` for an index that does not exist.
    #[must_use]
    pub fn transport_address(&self, port: RelayPort) -> Option<SocketAddr> {
        Some(SocketAddr::new(*self.0.get(usize::from(port.address))?, port.number))
    }

    /// The local name of a transport address, if its address is one of ours.
    #[must_use]
    pub fn relay_port(&self, address: SocketAddr) -> Option<RelayPort> {
        let index = self.0.iter().position(|ip| *ip == address.ip())?;
        Some(RelayPort { address: index as u8, number: address.port() })
    }

    /// Whether an address of this family exists.
    #[must_use]
    pub fn has_family(&self, family: Family) -> bool {
        self.0.iter().any(|ip| Family::of(*ip) == family)
    }
}
