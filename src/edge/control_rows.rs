//! What is listed over the control socket: allocations, and what happened.

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

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    pub at: i64,
    /// What.
    #[serde(flatten)]
    pub event: LogWord,
}

/// What happened; `kind` says which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LogWord {
    /// A client was handed a credential.
    Credential {
        /// Whom it is for.
        user: String,
        /// TURN username.
        username: String,
        /// Its end, Unix seconds.
        expires_at: i64,
        /// Lifetime, seconds.
        ttl: u32,
        /// `local`, `api_key` or `command`.
        by: String,
        /// Id of the key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// Who asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<String>,
    },
    /// A relayed address was given.
    Opened(Session),
    /// A relayed address was given back.
    Closed(Session),
    /// A request with credentials was refused.
    AuthFailure {
        /// User it claimed to be.
        user: String,
        /// Username as claimed.
        username: String,
        /// Where it came from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<String>,
        /// `udp`, `tcp` or `tls`.
        transport: String,
        /// The true cause.
        cause: String,
        /// How long ago the credential had ended, if that is the cause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expired_ago_s: Option<i64>,
        /// Failures since the previous line that have none.
        suppressed: u64,
    },
    /// Failures beyond those with a line.
    AuthFailuresCounted {
        /// How many.
        count: u64,
    },
    /// Another value of a key counts.
    Config {
        /// Its path, such as `quota.per_user`.
        key: String,
        /// What counted before; secrets are counted, not shown.
        old: String,
        /// What counts from then on.
        new: String,
        /// `reload`; `stun` or `dns` if it was found outside.
        by: String,
    },
    /// The daemon started.
    RunStarted {
        /// Its version.
        version: String,
    },
    /// The daemon stopped.
    RunEnded {
        /// `shutdown` or `crash`.
        reason: String,
        /// Rows that are missing in the record of this run.
        rows_dropped: u64,
    },
}
