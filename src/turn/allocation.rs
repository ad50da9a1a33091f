//! An allocation: one client, a relayed transport address or one of each family, what it may do
//! and what it did.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::channel_binding::ChannelBindings;
use super::fact::{AllocationNumber, Traffic};
use super::five_tuple::FiveTuple;
use super::permission::Permissions;
use super::relayed_address::Relayed;
use super::reservation::ReservationToken;
use crate::auth::credential::Authenticated;
use crate::limits::{ICMP_BURST, ICMP_PER_S, NEW_PEERS_BURST, NEW_PEERS_PER_S};
use crate::policy::rate::TokenBucket;
use crate::time::Now;
use crate::wire::address::Family;
use crate::wire::error_code::ErrorCode;
use crate::wire::message::TransactionId;

/// State of one allocation (RFC 8656 §6).
#[derive(Debug)]
pub struct Allocation {
    pub(super) number: AllocationNumber,
    pub(super) tuple: FiveTuple,
    pub(super) who: Authenticated,
    /// USERNAME of the Allocate request; every later request must use the same one (§5).
    pub(super) username: Box<str>,
    /// Of the request that made it: a retransmission gets the same answer (§7.2).
    pub(super) transaction_id: TransactionId,
    pub(super) relayed: Relayed,
    /// Of a dual allocation: the one of the other family.
    pub(super) relayed_other: Option<Relayed>,
    /// Why one of two families could not be had; a retransmission is told again.
    pub(super) address_error: Option<(Family, ErrorCode)>,
    /// The token of the next higher port; a retransmission is told again.
    pub(super) reserved: Option<ReservationToken>,
    pub(super) opened_at_unix_ms: i64,
    pub(super) permissions: Permissions,
    pub(super) channels: ChannelBindings,
    pub(super) new_peers: TokenBucket,
    pub(super) icmp: TokenBucket,
    pub(super) traffic: Traffic,
}

impl Allocation {
    /// The bucket that new peer addresses are paid from.
    pub(super) fn new_peer_bucket() -> TokenBucket {
        TokenBucket::new(NEW_PEERS_PER_S, NEW_PEERS_BURST)
    }

    /// The bucket that word of unreachable peers is paid from.
    pub(super) fn icmp_bucket() -> TokenBucket {
        TokenBucket::new(ICMP_PER_S, ICMP_BURST)
    }

    /// Whether its time is over; the tick that removes it may still be to come.
    #[must_use]
    pub fn is_expired(&self, now: Now) -> bool {
        self.relayed.is_expired(now)
            && self.relayed_other.as_ref().is_none_or(|other| other.is_expired(now))
    }

    /// The relayed transport address that peers of `family` see, if its time is not over.
    pub(super) fn live(&self, now: Now, family: Family) -> Option<&Relayed> {
        let found = if self.relayed.family() == family {
            Some(&self.relayed)
        } else {
            self.relayed_other.as_ref()
        };
        // There is no third family: the other one is of the one that the first is not.
        found.filter(|relayed| !relayed.is_expired(now))
    }

    /// When the first of its relayed transport addresses ends.
    pub(super) fn next_expiry(&self) -> Instant {
        let first = self.relayed.expires_at;
        self.relayed_other.map_or(first, |other| other.expires_at.min(first))
    }

    /// Lets what is left live until `at`; of a dual allocation only `family`, if there is one.
    pub(super) fn live_until(&mut self, at: Instant, family: Option<Family>) {
        for relayed in std::iter::once(&mut self.relayed).chain(&mut self.relayed_other) {
            if family.is_none_or(|family| family == relayed.family()) {
                relayed.expires_at = at;
            }
        }
    }

    /// Ends at `at` what would live longer.
    pub(super) fn live_at_most_until(&mut self, at: Instant) {
        for relayed in std::iter::once(&mut self.relayed).chain(&mut self.relayed_other) {
            relayed.expires_at = relayed.expires_at.min(at);
        }
    }

    /// Takes the relayed transport address of `family` out of a dual allocation, and what hangs on
    /// it (§8.1); `None`, and nothing happens, if it is the only one or there is none.
    pub(super) fn take_family(&mut self, family: Family) -> Option<Relayed> {
        let other = self.relayed_other?;
        let gone = if self.relayed.family() == family {
            std::mem::replace(&mut self.relayed, other)
        } else {
            other
        };
        self.relayed_other = None;
        self.permissions.forget_family(family);
        self.channels.forget_family(family);
        Some(gone)
    }

    /// Whole seconds left of what lives longest, at least 0.
    #[must_use]
    pub(super) fn time_to_expiry_s(&self, now: Now) -> u32 {
        let first = self.relayed.expires_at;
        let last = self.relayed_other.map_or(first, |other| other.expires_at.max(first));
        whole_seconds(last.saturating_duration_since(now.mono))
    }
}

/// Rounded to nearest: a retransmission a millisecond later is told the same lifetime.
pub(super) fn whole_seconds(left: Duration) -> u32 {
    left.as_millis().saturating_add(500).div_euclid(1000).try_into().unwrap_or(u32::MAX)
}

/// A live allocation as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocationView {
    /// Which one, in this run.
    pub number: AllocationNumber,
    /// User by which quotas count.
    pub user: Box<str>,
    /// Client, server and transport.
    pub tuple: FiveTuple,
    /// Relayed transport address as the client was told.
    pub relayed: SocketAddr,
    /// Of a dual allocation: the one of the other family.
    pub relayed_other: Option<SocketAddr>,
    /// Milliseconds since 1970.
    pub opened_at_unix_ms: i64,
    /// Seconds left.
    pub expires_in_s: u32,
    /// What it relayed so far.
    pub traffic: Traffic,
}
