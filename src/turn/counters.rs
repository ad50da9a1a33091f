//! Plain numbers that the relay counts and others read.

use super::contract::Discard;
use super::reply::Reject;

/// Counted since start; read by whoever shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that clients sent.
    pub datagrams_from_clients: u64,
    /// Datagrams that arrived on relay sockets or from other relays inside.
    pub datagrams_from_peers: u64,
    /// Datagrams sent on to peers, inside or outside.
    pub forwarded_to_peers: u64,
    /// Datagrams sent on to clients.
    pub forwarded_to_clients: u64,
    /// Binding requests answered.
    pub bindings: u64,
    /// Requests answered with success, Binding left out.
    pub successes: u64,
    /// Authentication failures, shown or not.
    pub auth_failures: u64,
    /// Live permissions that a change of policy closed.
    pub permissions_closed: u64,
    /// Live channel bindings that a change of policy closed.
    pub channels_closed: u64,
    discards: [u64; Discard::ALL.len()],
    rejects: [u64; Reject::CODES.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            datagrams_from_clients: 0,
            datagrams_from_peers: 0,
            forwarded_to_peers: 0,
            forwarded_to_clients: 0,
            bindings: 0,
            successes: 0,
            auth_failures: 0,
            permissions_closed: 0,
            channels_closed: 0,
            discards: [0; Discard::ALL.len()],
            rejects: [0; Reject::CODES.len()],
        }
    }
}

impl Counters {
    /// Counts one discarded datagram.
    pub fn discard(&mut self, reason: Discard) {
        self.discards[reason as usize] += 1;
    }

    /// How many were discarded for this reason.
    #[must_use]
    pub fn discarded(&self, reason: Discard) -> u64 {
        self.discards[reason as usize]
    }

    /// How many were discarded in all.
    #[must_use]
    pub fn discarded_total(&self) -> u64 {
        self.discards.iter().sum()
    }

    pub(super) fn reject(&mut self, reject: &Reject) {
        if let Some(at) = Reject::CODES.iter().position(|code| *code == reject.code()) {
            self.rejects[at] += 1;
        }
    }

    /// Error responses by code, in ascending order.
    pub fn rejected(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        Reject::CODES.iter().map(|code| code.number()).zip(self.rejects.iter().copied())
    }
}
