//! Allocations as they are listed over the control socket.

use serde::{Deserialize, Serialize};

/// An allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its number in its run of the daemon.
    pub number: u64,
    /// User by which quotas count.
    pub user: String,
    /// The client's address, as much of it as is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Our side.
    pub server: String,
    /// `udp`, `tcp` or `tls`.
    pub transport: String,
    /// Relayed transport address.
    pub relayed: String,
    /// Of an allocation with both families: the other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relayed_other: Option<String>,
    /// When it was given.
    pub opened_at: i64,
    /// When it ended; absent while it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
    /// Seconds left; known of live ones only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u32>,
    /// What it relayed, payload only; absent where only a running daemon would know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Relayed>,
}

impl Session {
    /// The relayed transport addresses for people: one, or both with a comma.
    #[must_use]
    pub fn all_relayed(&self) -> String {
        match &self.relayed_other {
            Some(other) => format!("{}, {other}", self.relayed),
            None => self.relayed.clone(),
        }
    }
}

/// What was relayed, payload only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relayed {
    /// Datagrams from the client to peers.
    pub packets_to_peers: u64,
    /// Their payload, bytes.
    pub bytes_to_peers: u64,
    /// Datagrams from peers to the client.
    pub packets_to_client: u64,
    /// Their payload, bytes.
    pub bytes_to_client: u64,
}
