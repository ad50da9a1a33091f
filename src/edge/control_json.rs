//! What goes over the control socket: one request line, one answer line, both JSON.
//!
//! Times are integer Unix milliseconds ending in `_at`; a credential's `expires_at` is in seconds,
//! as `/ice` has it. Durations end in `_s`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::calls_json::{CallItem, TimelineItem};
pub use super::control_rows::{LogLine, LogWord, Relayed, Session};
use super::forget_json::ForgottenWord;
use super::invite_json::{InviteMade, InviteWanted, InviteWord};
use super::json::{ErrorWord, Health};
use super::key_json::{Key, KeyOpens, KeyWanted};
use super::operator_json::{
    ConfigWord, DashboardLink, ExplainedPeer, Handed, Reloaded, VerifyLink,
};
use super::usage_json::UsageWord;
use super::verification::VerifyAnswer;
use super::why::{Why, WhyWanted};

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
        /// Only those that another program calls so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        external_id: Option<String>,
        /// Only from this moment on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since_at: Option<i64>,
        /// At most so many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<usize>,
    },
    /// Asks what was used.
    Usage {
        /// From when on, as it was typed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// Until before when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// `tenant`, `user` or `day`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// Forgets a person.
    Forget {
        /// Who.
        user: String,
        /// In which tenant; `default` without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant: Option<String>,
        /// Not only tells what it would do.
        #[serde(default)]
        really: bool,
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
    /// Asks for a verification.
    Verify {
        /// A new one; else the one that is on, or the last.
        fresh: bool,
    },
    /// Makes a link to the page of `/ice-verify`.
    VerifyLink {
        /// A new one; else the one that was shown last may do.
        fresh: bool,
    },
    /// Asks for all that `/diagnostics` says.
    Diagnose {},
    /// Makes a link to its page.
    Dashboard {},
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
    /// To `why`.
    Why(Box<Why>),
    /// To `call`.
    Call {
        /// With its parties.
        call: Box<CallItem>,
        /// What happened in it, in order.
        timeline: Vec<TimelineItem>,
    },
    /// To `usage`.
    Usage(UsageWord),
    /// To `forget`.
    Forgotten(ForgottenWord),
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
    /// To `verify`.
    Verified(Box<VerifyAnswer>),
    /// To `verify_link`.
    VerifyLink(VerifyLink),
    /// To `diagnose`.
    Diagnosis(Value),
    /// To `dashboard`.
    Dashboard(DashboardLink),
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
