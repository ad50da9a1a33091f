//! The log as it goes over the control socket.

use serde::{Deserialize, Serialize};

use super::control_json::Session;

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
