//! What clients ask for: one `Request` variant for each kind of frame they may send.
//!
//! An edge reads its wire form into these; the sentences say what each does and what it answers.

use std::sync::Arc;
use std::time::Duration;

use super::media::{Media, MediaPath, MediaStatus, QualitySample, Sdp, Signal};
use super::refusal::Refusal;
use super::ulid::CallId;
use crate::auth::identity::{Identity, Role, UserId};

/// A socket was opened and its first frame, `hello`, carried a good token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Who it is, by the token that the edge has verified.
    pub identity: Identity,
    /// On what he is.
    pub device: Device,
    /// What the client can do.
    pub capabilities: Capabilities,
    /// A session it wants to go on with.
    pub resume: Option<Resume>,
}

/// A browser profile or an app: several sessions (pages) may be on one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Chosen by the client, kept across its sessions; at most 64 bytes.
    pub id: Box<str>,
    /// `browser`, `phone` ...; at most 32 bytes.
    pub kind: Box<str>,
    /// Shown to the same user's other devices ("answered on: Laptop"); at most 64 bytes.
    pub label: Box<str>,
}

/// What a client says it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// It reports the state of its media (`call.media`). Without it a call counts as active as soon
    /// as the first answer was relayed (P14 e).
    pub media_reports: bool,
}

/// "Same page, new socket."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// As the last `welcome` gave it. Good once, for the same user on the same device.
    pub token: Box<str>,
    /// The `seq` of the last event that the page has dealt with; 0 if none.
    pub last_seq: u64,
}

/// Name of a request, 1 to 64 characters, unique in its session: a repeated one gets the reply
/// that the first one got and does nothing else. The last 256 are remembered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Reads one; `None` if it is empty or longer than 64 bytes.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (1..=64).contains(&text.len()).then(|| Self(text.into()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A frame from a client.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A request; it is answered once, with its id.
    Request {
        /// Its name.
        id: RequestId,
        /// The client has dealt with all events up to this `seq`.
        ack: Option<u64>,
        /// What it wants.
        request: Request,
    },
    /// Nothing but an acknowledgement; not answered.
    Ack(u64),
    /// The edge could not make sense of it. Answered with this refusal, in order, and counted
    /// against the session's rate like any other.
    Unreadable {
        /// Its id, if so much could be read.
        id: Option<RequestId>,
        /// What is wrong.
        refusal: Refusal,
    },
}

/// What a client wants. Unless said otherwise, success is [`super::event::Reply::Done`].
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// `ping`: answers [`super::event::Reply::Pong`].
    Ping,
    /// `bye`: ends the session, and the calls it is in, as if it had hung up. Then close 4000.
    Bye,
    /// `auth.refresh`: a newer token of the same user, verified by the edge.
    AuthRefresh(Box<Identity>),
    /// `presence.set`.
    PresenceSet(PresenceSet),
    /// `presence.subscribe`: replaces the subscription. `presence.snapshot` follows, then
    /// `presence.diff` at most once a second.
    PresenceSubscribe(PresenceSubscribe),
    /// `call.invite`: answers [`super::event::Reply::Invited`]; all devices of the callee ring.
    CallInvite(Box<Invite>),
    /// `call.ringing`: this device rings. To be sent at once on `call.incoming`; a device that does
    /// not within 3 s counts as unresponsive.
    CallRinging {
        /// Which.
        call: CallId,
    },
    /// `call.accept`: answers [`super::event::Reply::Accepted`], or `already_answered`.
    CallAccept {
        /// Which.
        call: CallId,
        /// The answer to the offer that came with `call.incoming`, if it is ready.
        answer: Option<Sdp>,
    },
    /// `call.reject`.
    CallReject {
        /// Which.
        call: CallId,
        /// Why.
        reason: RejectReason,
        /// On which devices it stops ringing.
        scope: RejectScope,
    },
    /// `call.cancel`: the caller gives up before anybody answered.
    CallCancel {
        /// Which.
        call: CallId,
    },
    /// `call.signal`: passes an offer, an answer or candidates on; answers
    /// [`super::event::Reply::Signaled`].
    CallSignal(Box<Signal>),
    /// `call.media`: the state of this side's peer connection.
    CallMedia {
        /// Which.
        call: CallId,
        /// What it is.
        status: MediaStatus,
        /// By which way, once connected.
        path: Option<MediaPath>,
    },
    /// `call.update`: passed on to the other side.
    CallUpdate {
        /// Which.
        call: CallId,
        /// What has changed.
        update: Update,
    },
    /// `call.hangup`: ends the call, whatever its state.
    CallHangup {
        /// Which.
        call: CallId,
        /// Why.
        reason: HangupReason,
    },
    /// `call.rejoin`: a new page of the same user takes his place in the call; answers
    /// [`super::event::Reply::Rejoined`]. Only for calls that were answered.
    CallRejoin {
        /// Which.
        call: CallId,
        /// Whether the peer connection still stands.
        media: RejoinMedia,
    },
    /// `quality.report`: what getStats said over the last seconds.
    QualityReport(Box<QualityReport>),
    /// `user.block`: calls of this user ring nowhere any more, and he cannot tell. Answered when it is
    /// durable, or `store_unavailable`.
    UserBlock(UserId),
    /// `user.unblock`: takes that back; likewise.
    UserUnblock(UserId),
    /// `user.blocked`: answers [`super::event::Reply::Blocked`].
    UserBlocked,
    /// `feedback`: what the user thought of a call, during it or shortly after.
    Feedback {
        /// Which.
        call: CallId,
        /// 1 (bad) to 5.
        score: u8,
        /// In his words, at most 1 KiB.
        issue: Box<str>,
    },
}

/// What a device says about its user's being there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceStatus {
    /// There.
    Online,
    /// Not at the keyboard.
    Away,
    /// Has no time, but may be called.
    Busy,
    /// Must not be disturbed: every device of the user stays silent.
    Dnd,
    /// Wants to be seen as away from everything; calls still ring.
    Offline,
}

/// `presence.set`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceSet {
    /// Of this device; the user's presence is made from all of them.
    pub status: DeviceStatus,
    /// Words beside it ("back at 3"), at most 256 bytes; the last device that set some wins.
    pub note: Option<Box<str>>,
    /// What happens to a call while the user is in one; `None`: as before.
    pub when_busy: Option<WhenBusy>,
}

/// What happens to an invite for somebody who is in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum WhenBusy {
    /// The caller hears `callee_busy`.
    #[default]
    Refuse,
    /// It rings, marked `waiting`.
    Wait,
}

/// `presence.subscribe`. Who asks sees nobody outside his tenant, and within it those he may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresenceSubscribe {
    /// These users, at most 500, known or not.
    Users(Vec<UserId>),
    /// Everybody who is there in this role.
    Role(Role),
    /// Nobody any more.
    Nothing,
}

/// `call.invite`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Whom.
    pub to: Target,
    /// With what.
    pub media: Media,
    /// The first offer (generation 1), if it is ready: calls connect sooner with it.
    pub offer: Option<Sdp>,
    /// How long it may ring: 10 s to 180 s, `None` for 60 s.
    pub ring: Option<Duration>,
    /// Words of the caller's own beside his name ("about invoice 7"), at most 1 KiB; shown as
    /// unverified.
    pub display: Option<Box<str>>,
    /// Number of the callee, for the record.
    pub to_number: Option<Box<str>>,
    /// The record's contact this call is about.
    pub contact: Option<Box<str>>,
    /// The caller's own name for this call, for the record; at most 128 bytes.
    pub external_id: Option<Box<str>>,
    /// Anything, at most 4 KiB, for the record.
    pub metadata: Option<Box<str>>,
    /// The conversation (a chat) that the call belongs to; at most 128 bytes.
    pub conversation: Option<Box<str>>,
}

/// Whom an invite is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A user of the caller's tenant, on all his devices.
    User(UserId),
}

/// Why somebody does not want a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// No reason given.
    Declined,
    /// He is busy.
    Busy,
    /// He must not be disturbed.
    Dnd,
}

/// Where a rejected call stops ringing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectScope {
    /// On all devices of the user: the call is over.
    All,
    /// On this one. When the last one was silenced so, the call is rejected.
    Device,
}

/// `call.update`: `None` means "as before".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Update {
    /// The microphone is off.
    pub muted: Option<bool>,
    /// The camera is off.
    pub video_muted: Option<bool>,
    /// This party puts the call on hold, or takes it back.
    pub hold: Option<bool>,
    /// It shares its screen.
    pub screen: Option<bool>,
}

/// Why a call is ended by a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HangupReason {
    /// All was said.
    Hangup,
    /// Microphone or camera cannot be had.
    MediaFailed,
    /// The client gave up on ICE.
    IceFailed,
}

/// What a rejoining page still has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejoinMedia {
    /// Its peer connection: nothing is negotiated anew (the server or the session was lost).
    Up,
    /// Nothing: the other side makes a new offer (the page was reloaded).
    New,
}

/// `quality.report`. What getStats does not have is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct QualityReport {
    /// Which call.
    pub call: CallId,
    /// What it says.
    pub sample: QualitySample,
}
