//! An allocation: one client, one relayed transport address, what it may do and what it did.

use std::net::SocketAddr;
use std::time::Instant;

use super::channel_binding::ChannelBindings;
use super::fact::{AllocationNumber, Traffic};
use super::five_tuple::FiveTuple;
use super::permission::Permissions;
use super::relayed_address::RelayPort;
use crate::auth::credential::Authenticated;
use crate::limits::{NEW_PEERS_BURST, NEW_PEERS_PER_S};
use crate::policy::rate::TokenBucket;
use crate::time::Now;
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
    pub(super) relay: RelayPort,
    /// Relayed transport address as clients and peers know it.
    pub(super) relayed: SocketAddr,
    pub(super) opened_at_unix_ms: i64,
    pub(super) expires_at: Instant,
    pub(super) permissions: Permissions,
    pub(super) channels: ChannelBindings,
    pub(super) new_peers: TokenBucket,
    pub(super) traffic: Traffic,
}

impl Allocation {
    /// The bucket that new peer addresses are paid from.
    pub(super) fn new_peer_bucket() -> TokenBucket {
        TokenBucket::new(NEW_PEERS_PER_S, NEW_PEERS_BURST)
    }

    /// Whether its time is over; the tick that removes it may still be to come.
    #[must_use]
    pub fn is_expired(&self, now: Now) -> bool {
        self.expires_at <= now.mono
    }

    /// Whole seconds left, at least 0.
    #[must_use]
    pub(super) fn time_to_expiry_s(&self, now: Now) -> u32 {
        let left = self.expires_at.saturating_duration_since(now.mono);
        // Rounded to nearest: a retransmission a millisecond later is told the same lifetime.
        left.as_millis().saturating_add(500).div_euclid(1000).try_into().unwrap_or(u32::MAX)
    }
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
    /// Milliseconds since 1970.
    pub opened_at_unix_ms: i64,
    /// Seconds left.
    pub expires_in_s: u32,
    /// What it relayed so far.
    pub traffic: Traffic,
}
