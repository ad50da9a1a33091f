//! What clients are told: `Welcome`, replies to requests, and events.
//!
//! Per session everything arrives in the order it is written here. Events are numbered (`seq`), one
//! by one; replies are not, they carry the id of their request.

use std::sync::Arc;
use std::time::Duration;

use super::media::{Media, PartyId, QualityMetric, Sdp, SignalPayload};
use super::presence::PresenceEntry;
use super::refusal::Refusal;
use super::request::{RequestId, Update};
use super::state::{CallState, EndReason, PartyRole};
use super::ulid::{CallId, SessionId};
use crate::auth::identity::{TenantId, UserId};

/// One frame for one connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// The first one.
    Welcome(Box<Welcome>),
    /// There is no session; the connection is closed right after.
    Refused(Refusal),
    /// The answer to a request; every request gets one.
    Reply {
        /// Its id; `None` if it had none that could be read.
        re: Option<RequestId>,
        /// Done, or why not.
        result: Result<Reply, Refusal>,
    },
    /// Something happened.
    Event {
        /// One more than that of the event before.
        seq: u64,
        /// When, Unix milliseconds. An event that is sent again after a resume keeps it.
        at_unix_ms: i64,
        /// What.
        event: Arc<Event>,
    },
}

/// `welcome`: the session stands. The edge adds the ICE config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Its name.
    pub session: SessionId,
    /// What to resume it with, once. Every welcome brings a new one.
    pub resume_token: Box<str>,
    /// How it went on.
    pub resumed: Resumed,
    /// `seq` of the next event.
    pub next_seq: u64,
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// His name, as others see it.
    pub name: Box<str>,
    /// Whether calls may be made.
    pub has_voice: bool,
    /// Whether the ICE config may name TURN servers.
    pub has_turn: bool,
    /// Server's clock, Unix milliseconds.
    pub server_time_unix_ms: i64,
}

/// Whether a session went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resumed {
    /// It did: all that was missed follows. `resumed: true`.
    Yes,
    /// There was nothing to resume. `state.sync` follows.
    New,
    /// The token is unknown, used, too old, or somebody else's: a new session. `state.sync`
    /// follows. After a restart of the server it is this for everybody.
    UnknownToken,
    /// The session went on, but events were lost. `state.sync` follows.
    Gap,
}

/// What a request brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It is done.
    Done,
    /// To `ping`: the server's clock, Unix milliseconds.
    Pong(i64),
    /// To `call.invite`.
    Invited(Box<Invited>),
    /// To `call.accept`.
    Accepted(Box<CallView>),
    /// To `call.rejoin`.
    Rejoined(Box<CallView>),
    /// To `call.signal`: `false` if it was out of date, or nobody is there to take it.
    Signaled {
        /// Whether it was passed on.
        is_delivered: bool,
    },
    /// To `user.blocked`: who is blocked, in order.
    Blocked(Vec<UserId>),
}

/// What an invite brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// The call.
    pub call: CallView,
    /// The other one had invited us: this is his call, and it is accepted. Whoever hears this takes
    /// his own offer back and answers `offer`.
    pub glare: Option<Glare>,
}

/// Both called each other; the earlier call counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glare {
    /// The offer of the earlier call, if it came with one.
    pub offer: Option<Sdp>,
}

/// A call as one of its users sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallView {
    /// Its name.
    pub call: CallId,
    /// Where it stands.
    pub state: CallState,
    /// What it is made of.
    pub media: Media,
    /// Who is in it, the caller first.
    pub parties: Vec<PartyView>,
    /// Which of them this session is; `None` if it has no part (yet): it may accept or rejoin.
    pub you: Option<PartyId>,
    /// Generation of the last offer; 0 before the first.
    pub generation: u32,
    /// When it was accepted, Unix milliseconds.
    pub answered_at_unix_ms: Option<i64>,
    /// How long it has been active, by the server's clock.
    pub talk: Duration,
}

/// Somebody in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyView {
    /// His number in the call.
    pub party: PartyId,
    /// Who.
    pub user: UserId,
    /// His name, a label.
    pub name: Box<str>,
    /// Whether an issuer vouches for the name.
    pub is_verified: bool,
    /// Which end.
    pub role: PartyRole,
    /// His connection to us is lost; his media may still flow.
    pub signaling_lost: bool,
    /// He holds the call.
    pub holds: bool,
    /// His microphone is off.
    pub muted: bool,
    /// His camera is off.
    pub video_muted: bool,
    /// He shares his screen.
    pub screen: bool,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// His name, a label.
    pub name: Box<str>,
    /// Whether an issuer vouches for the name.
    pub is_verified: bool,
    /// His number, if his token names one.
    pub number: Option<Box<str>>,
    /// Words of his own; never verified.
    pub display: Option<Box<str>>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// `state.sync`: after a welcome that resumed nothing, the user's live calls.
    StateSync {
        /// Those that ring, and those to rejoin.
        calls: Vec<CallView>,
    },
    /// `auth.expiring`: send `auth.refresh`, or the session ends with close 4002.
    AuthExpiring {
        /// When, Unix seconds.
        expires_at_unix_s: i64,
    },
    /// `ice.update`: the edge puts a fresh ICE config in.
    IceUpdate {
        /// Whether it may name TURN servers.
        has_turn: bool,
    },
    /// `presence.snapshot`: how those of the new subscription are.
    PresenceSnapshot {
        /// Each.
        entries: Vec<PresenceEntry>,
        /// There are more than fit.
        is_truncated: bool,
    },
    /// `presence.diff`: who has changed.
    PresenceDiff {
        /// Each, as he is by now.
        entries: Vec<PresenceEntry>,
    },
    /// `call.incoming`: ring, and answer `call.ringing` at once.
    CallIncoming(Box<Incoming>),
    /// `call.cancelled`: stop ringing.
    CallCancelled {
        /// Which.
        call: CallId,
        /// Why.
        reason: CancelReason,
        /// Label of the user's own device that was first, if one was.
        by: Option<Box<str>>,
    },
    /// `call.missed`: somebody called and did not get through.
    CallMissed {
        /// Which call.
        call: CallId,
        /// Who.
        from: Caller,
        /// Why it came to nothing.
        reason: EndReason,
    },
    /// `call.state`: the call has changed.
    CallState {
        /// As it is by now.
        view: Box<CallView>,
        /// Why it ended; `Some` exactly in state `ended`.
        reason: Option<EndReason>,
    },
    /// `call.signal` from another party.
    CallSignal {
        /// Which call.
        call: CallId,
        /// From whom, as the server knows it.
        from: PartyId,
        /// Generation of the negotiation.
        generation: u32,
        /// What.
        payload: SignalPayload,
    },
    /// `call.update` from another party.
    CallUpdate {
        /// Which call.
        call: CallId,
        /// From whom.
        from: PartyId,
        /// What has changed.
        update: Update,
    },
    /// `call.restart`: the way of the media is lost; the caller makes a new offer with an ICE
    /// restart, of this generation. The edge puts a fresh ICE config in.
    CallRestart {
        /// Which call.
        call: CallId,
        /// Generation of the offer to come.
        generation: u32,
        /// Use relayed candidates only.
        relay_only: bool,
        /// Whether the ICE config may name TURN servers.
        has_turn: bool,
    },
    /// `quality.warning`: a party hears or is heard badly, or no longer so.
    QualityWarning {
        /// Which call.
        call: CallId,
        /// Whose measurement.
        party: PartyId,
        /// What.
        metric: QualityMetric,
        /// The last measured value, in the metric's unit.
        value: f32,
        /// It is over.
        is_cleared: bool,
    },
    /// `session.revoked`: the user may no longer be here; close 4003 follows.
    SessionRevoked,
    /// `server.draining`: the server stops; close 4090 follows.
    ServerDraining {
        /// Reconnect after this long.
        retry_in: Duration,
    },
    /// `void`: something that no longer matters had this `seq`. Nothing to do.
    Void,
}

/// `call.incoming`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Which call.
    pub call: CallId,
    /// Who calls.
    pub from: Caller,
    /// With what.
    pub media: Media,
    /// The first offer, generation 1, if it came with the invite.
    pub offer: Option<Sdp>,
    /// How long it will ring at most.
    pub expires_in: Duration,
    /// The user is in another call.
    pub is_waiting: bool,
}

/// Why a device stops ringing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CancelReason {
    /// Another device of the user was first.
    AnsweredElsewhere,
    /// Another device of the user rejected it for all.
    RejectedElsewhere,
    /// The caller gave up.
    CallerCancelled,
    /// Nobody answered in time.
    Timeout,
    /// The call could not go on.
    Ended,
    /// This page's place in the call was taken by another page of the same user.
    RejoinedElsewhere,
}

impl CancelReason {
    /// Its stable word.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::AnsweredElsewhere => "answered_elsewhere",
            Self::RejectedElsewhere => "rejected_elsewhere",
            Self::CallerCancelled => "caller_cancelled",
            Self::Timeout => "timeout",
            Self::Ended => "ended",
            Self::RejoinedElsewhere => "rejoined_elsewhere",
        }
    }
}
