//! Relayed transport addresses: where peers reach a client.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::time::Now;
use crate::wire::address::Family;

/// A port on one of the relay addresses; the local name of a relayed transport address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelayPort {
    /// Index of the relay address in the order of the configuration.
    pub address: u8,
    /// UDP port on it.
    pub number: u16,
}

/// In one word, for it is done for every datagram of a peer.
impl Hash for RelayPort {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(u32::from(self.address) << 16 | u32::from(self.number));
    }
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
pub struct RelayAddresses {
    told: Vec<IpAddr>,
    /// What was told before, and what lives then has it still. No address stands for two indices.
    former: Vec<(IpAddr, u8)>,
}

impl RelayAddresses {
    /// `advertised[i]` is what XOR-RELAYED-ADDRESS shows for index `i`
    /// (the public side where a NAT is in front).
    #[must_use]
    pub fn new(advertised: Vec<IpAddr>) -> Self {
        debug_assert!(advertised.len() <= crate::limits::RELAY_ADDRESSES_MAX);
        Self { told: advertised, former: Vec::new() }
    }

    /// The same; a peer at a former address of an index is still found inside the process.
    #[must_use]
    pub fn with_former(self, former: Vec<(IpAddr, u8)>) -> Self {
        Self { former, ..self }
    }

    /// The relayed transport address of `port`; `None` for an index that does not exist.
    #[must_use]
    pub fn transport_address(&self, port: RelayPort) -> Option<SocketAddr> {
        Some(SocketAddr::new(*self.told.get(usize::from(port.address))?, port.number))
    }

    /// The local name of a transport address, if its address is one of ours.
    #[must_use]
    pub fn relay_port(&self, address: SocketAddr) -> Option<RelayPort> {
        let ip = address.ip();
        let told = self.told.iter().position(|told| *told == ip).map(|index| index as u8);
        let former = || self.former.iter().find(|(old, _)| *old == ip).map(|(_, index)| *index);
        Some(RelayPort { address: told.or_else(former)?, number: address.port() })
    }

    /// Whether an address of this family exists.
    #[must_use]
    pub fn has_family(&self, family: Family) -> bool {
        self.told.iter().any(|ip| Family::of(*ip) == family)
    }
}
