//! What a call leaves in the record: plain rows, as the store writes them.
//!
//! Times are Unix milliseconds, durations milliseconds by the monotonic clock. Rows of calls and
//! parties are whole each time: the store replaces the one with the same key.

use super::media::{Media, MediaPath, PartyId, QualitySample};
use super::request::Device;
use super::state::{CallStatus, EndReason, PartyRole};
use super::ulid::{CallId, SessionId};
use crate::auth::identity::{Role, TenantId, UserId};

/// A row to write, answered with [`super::contract::Input::Stored`].
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// `calls`: insert, or replace the one with this `call`.
    Call(Box<CallRow>),
    /// `call_parties`: insert, or replace the one with this `call` and `party`.
    Party(Box<PartyRow>),
    /// `call_events`: append.
    Event(Box<EventRow>),
    /// `quality_reports`: append.
    Quality(Box<QualityRow>),
    /// `feedback`: append.
    Feedback(Box<FeedbackRow>),
    /// `user_blocks`: insert, or replace the one of these two.
    Block(Box<BlockRow>),
    /// `user_blocks`: delete the one of these two.
    Unblock(Box<BlockRow>),
    /// Set `heartbeat_at` of these `calls`: they were alive then.
    Heartbeat {
        /// When.
        at_unix_ms: i64,
        /// Which.
        calls: Vec<CallId>,
    },
}

/// A row of `calls`.
///
/// The record may know better what people write on a call (names, numbers, ids, metadata, a
/// recording): it keeps what it has of these, and takes the rest of a row that comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRow {
    /// Key.
    pub call: CallId,
    /// Whose.
    pub tenant: TenantId,
    /// The conversation (a chat) it belongs to.
    pub conversation: Option<Box<str>>,
    /// How far it is, or how it ended.
    pub status: CallStatus,
    /// Why it ended; `Some` exactly when `status` is final.
    pub reason: Option<EndReason>,
    /// Asked for by the caller.
    pub media: Media,
    /// Who called.
    pub caller: UserId,
    /// Who was called.
    pub callee: UserId,
    /// Name of the caller as the callee saw it.
    pub from_display: Box<str>,
    /// `WebRTC`, or the caller's number.
    pub from_number: Box<str>,
    /// Number of the callee, if the invite named one.
    pub to_number: Option<Box<str>>,
    /// Contact the call is about.
    pub contact_id: Option<Box<str>>,
    /// The caller's own name for it.
    pub external_id: Option<Box<str>>,
    /// Whatever the caller added.
    pub metadata: Option<Box<str>>,
    /// Where a recording of it lies. The record alone knows of one: clients cannot name it.
    pub recording_url: Option<Box<str>>,
    /// The invite.
    pub started_at: i64,
    /// The first device rang.
    pub ringing_at: Option<i64>,
    /// It was accepted.
    pub answered_at: Option<i64>,
    /// Media flowed for the first time.
    pub connected_at: Option<i64>,
    /// It ended.
    pub ended_at: Option<i64>,
    /// From the first ring to the answer, or the end.
    pub ring_ms: Option<u64>,
    /// From the answer to the first media.
    pub setup_ms: Option<u64>,
    /// From the first media to the end; only once it has ended.
    pub talk_ms: Option<u64>,
    /// How the caller reaches the callee.
    pub path: Option<MediaPath>,
    /// The call that this one goes on with, once calls are transferred.
    pub replaces: Option<CallId>,
}

/// A row of `call_parties`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyRow {
    /// Key.
    pub call: CallId,
    /// Key within the call. Who rejoins has a new one.
    pub party: PartyId,
    /// Whose call.
    pub tenant: TenantId,
    /// Who.
    pub user: UserId,
    /// His name, a label.
    pub name: Box<str>,
    /// Whether an issuer vouches for the name.
    pub is_verified: bool,
    /// What he is in his tenant; `None` if he was not there.
    pub user_role: Option<Role>,
    /// Which end; with it the direction.
    pub role: PartyRole,
    /// The session he is in the call with; `None` until he answers.
    pub session: Option<SessionId>,
    /// On which device.
    pub device: Option<Device>,
    /// Invited, answered, or rejoined.
    pub joined_at: Option<i64>,
    /// Left, or ended with the call.
    pub left_at: Option<i64>,
    /// How his media goes.
    pub path: Option<MediaPath>,
}

/// A row of `call_events`, the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Which call.
    pub call: CallId,
    /// Whose call.
    pub tenant: TenantId,
    /// When.
    pub at: i64,
    /// Number within the call, from 1: several may happen in one millisecond.
    pub number: u32,
    /// What.
    pub kind: TimelineKind,
    /// Who, if a party.
    pub party: Option<PartyId>,
    /// On which device, if one.
    pub device: Option<Box<str>>,
    /// A word or two more: a reason, a path, a length of time.
    pub detail: Option<Box<str>>,
}

/// A row of `quality_reports`.
#[derive(Debug, Clone, PartialEq)]
pub struct QualityRow {
    /// Which call.
    pub call: CallId,
    /// Whose call.
    pub tenant: TenantId,
    /// Who measured.
    pub party: PartyId,
    /// When it came.
    pub at: i64,
    /// What.
    pub sample: QualitySample,
}

/// What a user thought of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedbackRow {
    /// Which call.
    pub call: CallId,
    /// Whose call.
    pub tenant: TenantId,
    /// Who.
    pub user: UserId,
    /// When.
    pub at: i64,
    /// 1 to 5.
    pub score: u8,
    /// In his words.
    pub issue: Box<str>,
}

/// Somebody who is not to ring at somebody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRow {
    /// Of both.
    pub tenant: TenantId,
    /// Who wants peace.
    pub user: UserId,
    /// From whom.
    pub blocked: UserId,
    /// Since when.
    pub at: i64,
    /// Until when, for a guest: nobody bears his name afterwards.
    pub until: Option<i64>,
}

/// A call that the record holds as not over, read at the start of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedCall {
    /// Its row.
    pub call: CallRow,
    /// Its parties that have not left.
    pub parties: Vec<PartyRow>,
    /// When it was last known to be alive.
    pub heartbeat_at: Option<i64>,
    /// Number of its last timeline row.
    pub events: u32,
}

macro_rules! kinds {
    ($($variant:ident = $code:literal, $doc:literal;)*) => {
        /// What a line of the timeline says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum TimelineKind {
            $(#[doc = $doc] $variant,)*
        }

        impl TimelineKind {
            /// Every kind, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its stable word.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// Reads its word.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.code() == code)
            }
        }
    };
}

kinds! {
    Invited = "invited", "The invite came in.";
    Delivered = "delivered", "A device was told to ring.";
    Ringing = "ringing", "A device said that it rings.";
    Unresponsive = "unresponsive", "A device did not say so in time.";
    Blocked = "blocked", "The callee has blocked the caller: no device is told, and he is not.";
    Silenced = "silenced", "The user silenced this device.";
    DeviceGone = "device_gone", "A ringing device is gone for good.";
    Accepted = "accepted", "A device accepted.";
    Glare = "glare", "The callee had invited the caller: taken as accepted.";
    Offer = "offer", "An offer was passed on; the detail is its generation.";
    Answer = "answer", "An answer was passed on; the detail is its generation.";
    MediaConnected = "media_connected", "A party's media flows; the detail is its path.";
    MediaDisconnected = "media_disconnected", "A party's media stopped.";
    MediaFailed = "media_failed", "A party's ICE gave up.";
    Active = "active", "The call became active.";
    Held = "held", "A party put the call on hold.";
    Unheld = "unheld", "A party took it back.";
    Reconnecting = "reconnecting", "The call lost its media, or a party.";
    Recovered = "recovered", "It came back; the detail is how long that took, milliseconds.";
    RestartAsked = "restart_asked", "An ICE restart was asked for.";
    SignalingLost = "signaling_lost", "A party's connection to us was lost.";
    SignalingBack = "signaling_back", "It came back.";
    SessionEnded = "session_ended", "A party's session is over.";
    Rejoined = "rejoined", "A party came back with a new page.";
    Warning = "warning", "A quality warning began; the detail is what and how bad.";
    WarningCleared = "warning_cleared", "It is over.";
    Restored = "restored", "The server restarted and took the call up again.";
    Ended = "ended", "The end; the detail is the reason.";
}
