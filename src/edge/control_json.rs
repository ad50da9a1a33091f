//! What goes over the control socket: one request line, one answer line, both JSON.
//!
//! Times are integer Unix milliseconds ending in `_at`; a credential's `expires_at` is in seconds,
//! as `/ice` has it. Durations end in `_s`.

use serde::{Deserialize, Serialize};

use super::calls_json::{CallItem, TimelineItem};
use super::invite_json::{InviteMade, InviteWanted, InviteWord};
use super::json::{ErrorWord, Health};
use super::key_json::{Key, KeyOpens, KeyWanted};
use super::operator_json::{ConfigWord, ExplainedPeer, Handed, Reloaded};

/// `{"cmd":"...", ...}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Makes an API key.
    KeyAdd(KeyWanted),
    /// Lists the keys, never their text.
    KeyList {},
    /// Ends a key.
    KeyRevoke {
        /// Its id, its name, or its whole text.
        key: String,
    },
    /// Lists allocations: the live ones, or all on record.
    Sessions {
        /// Only this user's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// Also those that have ended.
        #[serde(default)]
        all: bool,
        /// At most so many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<usize>,
    },
    /// Lists what happened, newest first.
    Log {
        /// Only what concerns this user.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// Only this kind (`store::LogKind::code`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<String>,
        /// Only from this moment on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since_at: Option<i64>,
        /// At most so many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<usize>,
    },
    /// Lists calls, newest first.
    Calls {
        /// Only from or to this user.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// Only from this moment on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since_at: Option<i64>,
        /// At most so many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<usize>,
    },
    /// Tells all about one.
    Call {
        /// Its id.
        call: String,
    },
    /// Issues a credential by hand.
    Credential {
        /// Name after the expiry; random without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// Lifetime, seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<u64>,
    },
    /// Ends what a user has and refuses his credentials.
    Revoke {
        /// User by which quotas count.
        user: String,
        /// How long, seconds; until it is undone without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_s: Option<u64>,
    },
    /// Lets a revoked user in again.
    RevokeUndo {
        /// User by which quotas count.
        user: String,
    },
    /// Lists who is revoked.
    RevokeList {},
    /// Makes an invite.
    Invite {
        /// For whom, how long and how often.
        wanted: InviteWanted,
    },
    /// Lists invites that have not expired.
    InviteList {},
    /// Takes an invite back.
    InviteRevoke {
        /// Its id.
        id: String,
    },
    /// Asks how the daemon is.
    Status {},
    /// Reads the config again.
    Reload {
        /// What the command can read and the daemon perhaps not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handed: Option<Handed>,
    },
    /// Ends when nothing is relayed any more.
    Drain {
        /// Ends after this long even so, seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit_s: Option<u64>,
    },
    /// Asks what the rules say about a peer.
    ExplainPeer {
        /// An address, or an address and a port.
        peer: String,
    },
    /// Asks what is in effect.
    Config {},
}

/// An object with one member, named after what it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// To `key_add`.
    KeyAdded {
        /// Its short name in the record.
        id: String,
        /// As asked for.
        name: String,
        /// The key itself: shown here once and stored nowhere.
        key: String,
        /// What it opens.
        #[serde(flatten)]
        opens: KeyOpens,
    },
    /// To `key_list`, oldest first.
    Keys(Vec<Key>),
    /// To `key_revoke`.
    KeyRevoked {
        /// Its short name in the record.
        id: String,
        /// What people called it.
        name: String,
    },
    /// To `sessions`, newest first.
    Sessions(Vec<Session>),
    /// To `log`, newest first.
    Log(Vec<LogLine>),
    /// To `calls`, newest first.
    Calls(Vec<CallItem>),
    /// To `call`.
    Call {
        /// With its parties.
        call: Box<CallItem>,
        /// What happened in it, in order.
        timeline: Vec<TimelineItem>,
    },
    /// To `credential`.
    Credential {
        /// `turn:` URLs it is good for; none where nothing from elsewhere can reach an open port.
        urls: Vec<String>,
        /// TURN username.
        username: String,
        /// TURN password.
        credential: String,
        /// Lifetime, seconds.
        ttl: u64,
        /// Its end, Unix seconds.
        expires_at: i64,
    },
    /// To `revoke`.
    Revoked {
        /// Who.
        user: String,
        /// Allocations that ended; absent where no daemon runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        closed: Option<usize>,
        /// Until when; absent: until it is undone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_at: Option<i64>,
    },
    /// To `revoke_undo`.
    RevokeUndone {
        /// Who.
        user: String,
    },
    /// To `revoke_list`, oldest first.
    RevokedUsers(Vec<RevokedUser>),
    /// To `invite`.
    Invited(InviteMade),
    /// To `invite_list`, newest first.
    Invites(Vec<InviteWord>),
    /// To `invite_revoke`.
    InviteRevoked {
        /// Which.
        id: String,
    },
    /// To `status`.
    Status(Health),
    /// To `reload`.
    Reloaded(Reloaded),
    /// To `drain`.
    Draining {
        /// What is still relayed.
        allocations: u64,
        /// After so many seconds it ends whatever is on.
        limit_s: u64,
    },
    /// To `explain_peer`.
    Peer(ExplainedPeer),
    /// To `config`.
    Config(ConfigWord),
    /// Instead of all of these.
    Error(ErrorWord),
}

/// A user whose credentials are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedUser {
    /// User by which quotas count.
    pub user: String,
    /// Since when.
    pub revoked_at: i64,
    /// Until when; absent: until it is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_at: Option<i64>,
}

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
