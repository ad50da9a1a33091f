//! Plain numbers that the relay counts and others read.

use std::ops::AddAssign;

use super::contract::Discard;
use super::fact::{Traffic, Transport};
use super::relay::Relay;
use super::reply::Reject;
use crate::auth::credential::AuthFailure;

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
    /// Relayed transport addresses given.
    pub allocations: u64,
    /// What allocations relayed that have ended.
    pub traffic_of_ended: Traffic,
    /// Live permissions that a change of policy closed.
    pub permissions_closed: u64,
    /// Live channel bindings that a change of policy closed.
    pub channels_closed: u64,
    auth_failures: [u64; CAUSES.len()],
    discards: [u64; Discard::ALL.len()],
    rejects: [u64; Reject::CODES.len()],
}

/// What was counted, and what is live, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// Since start.
    pub counters: Counters,
    /// Live allocations by the way their client comes.
    pub live: [(Transport, u64); 3],
    /// What ended and live allocations relayed together.
    pub traffic: Traffic,
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
            allocations: 0,
            traffic_of_ended: Traffic::default(),
            permissions_closed: 0,
            channels_closed: 0,
            auth_failures: [0; CAUSES.len()],
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

    /// Counts an authentication failure, shown or not.
    pub(super) fn auth_failure(&mut self, cause: AuthFailure) {
        self.auth_failures[index(cause)] += 1;
    }

    /// Authentication failures by cause, as `AuthFailure::code` calls it.
    pub fn auth_failures(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        CAUSES.iter().copied().zip(self.auth_failures.iter().copied())
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

impl AddAssign<&Self> for Counters {
    fn add_assign(&mut self, other: &Self) {
        let Self {
            datagrams_from_clients,
            datagrams_from_peers,
            forwarded_to_peers,
            forwarded_to_clients,
            bindings,
            successes,
            allocations,
            traffic_of_ended,
            permissions_closed,
            channels_closed,
            auth_failures,
            discards,
            rejects,
        } = self;
        *datagrams_from_clients += other.datagrams_from_clients;
        *datagrams_from_peers += other.datagrams_from_peers;
        *forwarded_to_peers += other.forwarded_to_peers;
        *forwarded_to_clients += other.forwarded_to_clients;
        *bindings += other.bindings;
        *successes += other.successes;
        *allocations += other.allocations;
        *traffic_of_ended += other.traffic_of_ended;
        *permissions_closed += other.permissions_closed;
        *channels_closed += other.channels_closed;
        let add = |all: &mut [u64], others: &[u64]| {
            all.iter_mut().zip(others).for_each(|(one, other)| *one += other);
        };
        add(auth_failures, &other.auth_failures);
        add(discards, &other.discards);
        add(rejects, &other.rejects);
    }
}

impl Default for Statistics {
    fn default() -> Self {
        let live = [Transport::Udp, Transport::Tcp, Transport::Tls].map(|way| (way, 0));
        Self { counters: Counters::default(), live, traffic: Traffic::default() }
    }
}

impl Statistics {
    /// Of two relays together.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        self.counters += &other.counters;
        for ((_, live), (_, other)) in self.live.iter_mut().zip(other.live) {
            *live += other;
        }
        self.traffic += other.traffic;
        self
    }
}

impl Relay {
    /// Counters and what is live, for whoever shows them.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let mut live = Statistics::default().live;
        let mut traffic = self.counters.traffic_of_ended;
        for (_, allocation) in &self.allocations {
            traffic += allocation.traffic;
            for (way, count) in &mut live {
                *count += u64::from(*way == allocation.tuple.transport);
            }
        }
        Statistics { counters: self.counters.clone(), live, traffic }
    }
}

const CAUSES: [&str; 6] =
    ["no_such_user", "expired", "wrong_integrity", "unknown_realm", "stale_nonce", "revoked"];

fn index(cause: AuthFailure) -> usize {
    match cause {
        AuthFailure::NoSuchUser => 0,
        AuthFailure::Expired { ago_s: _ } => 1,
        AuthFailure::WrongIntegrity => 2,
        AuthFailure::UnknownRealm => 3,
        AuthFailure::StaleNonce => 4,
        AuthFailure::Revoked => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_counted_under_their_own_word() {
        for cause in [
            AuthFailure::NoSuchUser,
            AuthFailure::Expired { ago_s: 5 },
            AuthFailure::WrongIntegrity,
            AuthFailure::UnknownRealm,
            AuthFailure::StaleNonce,
            AuthFailure::Revoked,
        ] {
            let mut counters = Counters::default();
            counters.auth_failure(cause);
            let counted: Vec<_> =
                counters.auth_failures().filter(|(_, count)| *count > 0).collect();
            assert_eq!(counted, [(cause.code(), 1)]);
        }
    }
}
