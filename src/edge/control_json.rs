//! What goes over the control socket: one request line, one answer line, both JSON.
//!
//! Times are integer Unix milliseconds ending in `_at`; a credential's `expires_at` is in seconds,
//! as `/ice` has it. Durations end in `_s`.

use serde::{Deserialize, Serialize};

use super::calls_json::{CallItem, TimelineItem};
pub use super::control_rows::{LogLine, LogWord, Relayed, Session};
use super::invite_json::{InviteMade, InviteWanted, InviteWord};
use super::json::{ErrorWord, Health};
use super::operator_json::{ConfigWord, ExplainedPeer, Handed, Reloaded};
use super::why::{Why, WhyWanted};

/// `{"cmd":"...", ...}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Makes an API key.
    KeyAdd {
        /// What people call it.
        name: String,
    },
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
    /// Tells why something did not work.
    Why {
        /// What.
        wanted: WhyWanted,
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
    /// To `why`.
    Why(Box<Why>),
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

/// An API key without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its short name in the record.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: i64,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<i64>,
}
