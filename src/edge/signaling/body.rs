//! The `d` of frames from clients: how each request is written.

use serde::Deserialize;

use super::frame_in::milliseconds;
use crate::auth::identity::{Role, UserId};
use crate::call::media::{Media, Sdp};
use crate::call::refusal::Refusal;
use crate::call::request::{
    Device as DeviceOf, DeviceStatus, HangupReason, Invite as InviteOf,
    PresenceSet as PresenceSetOf, PresenceSubscribe as SubscribeTo, RejectReason, RejectScope,
    RejoinMedia, Request, Target, WhenBusy,
};
use crate::call::ulid::CallId;
use crate::edge::exact::{Object, Word};
use crate::limits::call::{
    DISPLAY_BYTES_MAX, INVITE_TEXT_BYTES_MAX, METADATA_BYTES_MAX, PRESENCE_NOTE_BYTES_MAX,
    SDP_BYTES_MAX, SUBSCRIBED_USERS_MAX,
};

#[derive(Deserialize)]
pub(super) struct Hello {
    pub(super) token: String,
    #[serde(default)]
    pub(super) device: Option<Object<Device>>,
    #[serde(default)]
    pub(super) caps: Vec<String>,
    #[serde(default)]
    pub(super) resume: Option<Object<Resume>>,
}

#[derive(Deserialize, Default)]
pub(super) struct Device {
    #[serde(default)]
    id: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    label: String,
}

impl From<Device> for DeviceOf {
    fn from(device: Device) -> Self {
        let Device { id, kind, label } = device;
        Self { id: id.into(), kind: kind.into(), label: label.into() }
    }
}

#[derive(Deserialize)]
pub(super) struct Resume {
    pub(super) token: String,
    pub(super) last_seq: u64,
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

#[derive(Deserialize)]
pub(super) struct Ack {
    #[serde(default)]
    pub(super) n: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct Refresh {
    pub(super) token: String,
}

#[derive(Deserialize)]
pub(super) struct PresenceSet {
    status: Word<Status>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    when_busy: Option<Word<Busy>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Online,
    Away,
    Busy,
    Dnd,
    Offline,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Busy {
    Refuse,
    Wait,
}

impl PresenceSet {
    pub(super) fn read(self) -> Result<PresenceSetOf, Refusal> {
        Ok(PresenceSetOf {
            status: match self.status.0 {
                Status::Online => DeviceStatus::Online,
                Status::Away => DeviceStatus::Away,
                Status::Busy => DeviceStatus::Busy,
                Status::Dnd => DeviceStatus::Dnd,
                Status::Offline => DeviceStatus::Offline,
            },
            note: text("note", self.note, PRESENCE_NOTE_BYTES_MAX)?,
            when_busy: self.when_busy.map(|Word(busy)| match busy {
                Busy::Refuse => WhenBusy::Refuse,
                Busy::Wait => WhenBusy::Wait,
            }),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct PresenceSubscribe {
    #[serde(default)]
    users: Option<Vec<String>>,
    #[serde(default)]
    role: Option<String>,
}

impl PresenceSubscribe {
    pub(super) fn read(self) -> Result<SubscribeTo, Refusal> {
        match (self.users, self.role) {
            (Some(users), None) if users.len() > SUBSCRIBED_USERS_MAX => {
                Err(Refusal::too_large("users"))
            }
            (Some(users), None) => {
                let users: Option<Vec<UserId>> = users.iter().map(|u| UserId::new(u)).collect();
                users.map(SubscribeTo::Users).ok_or_else(|| bad_user("users"))
            }
            (None, Some(role)) => Role::from_code(&role)
                .map(SubscribeTo::Role)
                .ok_or_else(|| Refusal::bad("role", "there is no such role")),
            (None, None) => Ok(SubscribeTo::Nothing),
            (Some(_), Some(_)) => Err(Refusal::bad("role", "name users or a role, not both")),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Invite {
    to: Object<To>,
    media: Object<MediaOf>,
    #[serde(default)]
    offer: Option<Description>,
    #[serde(default)]
    ring_ms: Option<u64>,
    #[serde(default)]
    display: Option<String>,
    #[serde(default)]
    to_number: Option<String>,
    #[serde(default)]
    contact: Option<String>,
    #[serde(default)]
    external_id: Option<String>,
    #[serde(default)]
    metadata: Option<String>,
    #[serde(default)]
    conversation: Option<String>,
}

/// An object, so that queues and contacts have a place later.
#[derive(Deserialize)]
struct To {
    user: String,
}

#[derive(Deserialize)]
struct MediaOf {
    #[serde(default)]
    audio: bool,
    #[serde(default)]
    video: bool,
}

impl Invite {
    pub(super) fn read(self) -> Result<InviteOf, Refusal> {
        let short = |name, value| text(name, value, INVITE_TEXT_BYTES_MAX);
        Ok(InviteOf {
            to: UserId::new(&self.to.0.user).map(Target::User).ok_or_else(|| bad_user("to"))?,
            media: Media { audio: self.media.0.audio, video: self.media.0.video },
            offer: self.offer.map(Description::read).transpose()?,
            ring: self.ring_ms.map(milliseconds),
            display: text("display", self.display, DISPLAY_BYTES_MAX)?,
            to_number: short("to_number", self.to_number)?,
            contact: short("contact", self.contact)?,
            external_id: short("external_id", self.external_id)?,
            metadata: text("metadata", self.metadata, METADATA_BYTES_MAX)?,
            conversation: short("conversation", self.conversation)?,
        })
    }
}

/// The text, or the object that `RTCSessionDescription` is in JSON.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Description {
    Text(String),
    Object(Object<Text>),
}

#[derive(Deserialize)]
pub(super) struct Text {
    sdp: String,
}

impl Description {
    pub(super) fn read(self) -> Result<Sdp, Refusal> {
        let (Self::Text(sdp) | Self::Object(Object(Text { sdp }))) = self;
        if sdp.len() > SDP_BYTES_MAX { Err(Refusal::too_large("sdp")) } else { Ok(Sdp(sdp.into())) }
    }
}

#[derive(Deserialize)]
pub(super) struct OfCall {
    call: String,
}

impl OfCall {
    pub(super) fn read(self) -> Result<CallId, Refusal> {
        call(&self.call)
    }
}

#[derive(Deserialize)]
pub(super) struct Accept {
    pub(super) call: String,
    #[serde(default)]
    pub(super) answer: Option<Description>,
}

#[derive(Deserialize)]
pub(super) struct Reject {
    call: String,
    #[serde(default)]
    reason: Word<RejectBecause>,
    #[serde(default)]
    scope: Word<RejectOn>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum RejectBecause {
    #[default]
    Declined,
    Busy,
    Dnd,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum RejectOn {
    #[default]
    All,
    Device,
}

impl Reject {
    pub(super) fn read(self) -> Result<Request, Refusal> {
        Ok(Request::CallReject {
            call: call(&self.call)?,
            reason: match self.reason.0 {
                RejectBecause::Declined => RejectReason::Declined,
                RejectBecause::Busy => RejectReason::Busy,
                RejectBecause::Dnd => RejectReason::Dnd,
            },
            scope: match self.scope.0 {
                RejectOn::All => RejectScope::All,
                RejectOn::Device => RejectScope::Device,
            },
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Update {
    pub(super) call: String,
    #[serde(default)]
    pub(super) muted: Option<bool>,
    #[serde(default)]
    pub(super) video_muted: Option<bool>,
    #[serde(default)]
    pub(super) hold: Option<bool>,
    #[serde(default)]
    pub(super) screen: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct Hangup {
    call: String,
    #[serde(default)]
    reason: Word<HangupBecause>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum HangupBecause {
    #[default]
    Hangup,
    MediaFailed,
    IceFailed,
}

impl Hangup {
    pub(super) fn read(self) -> Result<Request, Refusal> {
        Ok(Request::CallHangup {
            call: call(&self.call)?,
            reason: match self.reason.0 {
                HangupBecause::Hangup => HangupReason::Hangup,
                HangupBecause::MediaFailed => HangupReason::MediaFailed,
                HangupBecause::IceFailed => HangupReason::IceFailed,
            },
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Rejoin {
    call: String,
    media: Word<RejoinWith>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RejoinWith {
    Up,
    New,
}

impl Rejoin {
    pub(super) fn read(self) -> Result<Request, Refusal> {
        Ok(Request::CallRejoin {
            call: call(&self.call)?,
            media: match self.media.0 {
                RejoinWith::Up => RejoinMedia::Up,
                RejoinWith::New => RejoinMedia::New,
            },
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Feedback {
    pub(super) call: String,
    pub(super) score: u8,
    #[serde(default)]
    pub(super) issue: Option<String>,
}

pub(super) fn call(text: &str) -> Result<CallId, Refusal> {
    CallId::parse(text).ok_or_else(|| Refusal::bad("call", "a call id has 26 characters"))
}

pub(super) fn text(
    name: &'static str,
    value: Option<String>,
    bytes_max: usize,
) -> Result<Option<Box<str>>, Refusal> {
    match value {
        Some(value) if value.len() > bytes_max => Err(Refusal::too_large(name)),
        value => Ok(value.map(Into::into)),
    }
}

fn bad_user(field: &'static str) -> Refusal {
    Refusal::bad(field, "a user id has 1 to 128 bytes and no control characters")
}
