//! Calls as JSON: the same over HTTP and over the control socket.
//!
//! What a caller sees of the other side's devices is nothing: names of devices and sessions are
//! shown to their own user, and to whoever may see all.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::auth::identity::UserId;
use crate::call::media::MediaPath;
use crate::call::rows::{EventRow, PartyRow, TimelineKind};
use crate::call::state::PartyRole;
use crate::store::CallRecord;

/// `{"items":[...],"next_cursor":null|"..."}`
#[derive(Debug, Serialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next_cursor: Option<String>,
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallItem {
    /// Its id.
    pub call: String,
    /// Whose.
    pub tenant: String,
    /// `OUTBOUND` or `INBOUND` for who looks; null for who has no part in it.
    pub direction: Option<String>,
    /// `INITIATED`, `RINGING`, `ANSWERED`, `COMPLETED`, `MISSED`, `REJECTED`, `BUSY` or `FAILED`.
    pub status: String,
    /// Why it ended.
    pub reason: Option<String>,
    /// What it is made of.
    pub media: MediaWord,
    /// The other side for who looks; null for who has no part in it.
    pub peer: Option<PeerWord>,
    /// Who called.
    pub caller: String,
    /// Who was called.
    pub callee: String,
    /// The caller's name as the callee saw it.
    pub from_display: String,
    /// The caller's number.
    pub from_number: String,
    /// The callee's number.
    pub to_number: Option<String>,
    /// When the invite came.
    pub started_at: i64,
    /// When the first device rang.
    pub ringing_at: Option<i64>,
    /// When it was accepted.
    pub answered_at: Option<i64>,
    /// When media flowed for the first time.
    pub connected_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// From the first ring to the answer, or the end.
    pub ring_ms: Option<u64>,
    /// From the answer to media.
    pub setup_ms: Option<u64>,
    /// From media to the end.
    pub talk_ms: Option<u64>,
    /// How the caller reaches the callee.
    pub path: Option<PathWord>,
    /// What its allocations relayed, both ways; null while one of them is on.
    pub relay_bytes: Option<u64>,
    /// Contact the call is about.
    #[serde(default)]
    pub contact_id: Option<String>,
    /// Where a recording lies.
    #[serde(default)]
    pub recording_url: Option<String>,
    /// Another program's name for it.
    pub external_id: Option<String>,
    /// Whatever was added: an object, or a text that is none.
    pub metadata: Option<Value>,
    /// Who was in it; in the answer for one call only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parties: Option<Vec<PartyItem>>,
}

/// What a call is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaWord {
    /// Voice.
    pub audio: bool,
    /// Camera.
    pub video: bool,
}

/// The other side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerWord {
    /// Who.
    pub user: String,
    /// His name; empty if he never was there.
    pub name: String,
}

/// The way of the media, as clients report it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathWord {
    /// Type of this side's candidate.
    pub local: String,
    /// Type of the other side's.
    pub remote: String,
    /// `udp`, `tcp` or `tls`.
    pub proto: String,
}

/// Somebody in a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartyItem {
    /// Number within the call.
    pub party: u32,
    /// Who.
    pub user: String,
    /// His name.
    pub name: String,
    /// Whether an issuer vouches for the name.
    pub verified: bool,
    /// `caller` or `callee`.
    pub role: String,
    /// `OUTBOUND` or `INBOUND`.
    pub direction: String,
    /// Name of the device.
    pub device: Option<String>,
    /// The session he was in the call with; his TURN usernames end in it.
    pub session: Option<String>,
    /// Invited, answered or rejoined.
    pub joined_at: Option<i64>,
    /// Left, or ended with the call.
    pub left_at: Option<i64>,
    /// How his media went.
    pub path: Option<PathWord>,
}

/// A line of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineItem {
    /// Number within the call, from 1.
    pub number: u32,
    /// When.
    pub at: i64,
    /// What (`call::rows::TimelineKind`).
    pub kind: String,
    /// Number of the party it is about.
    pub party: Option<u32>,
    /// Who that is.
    pub user: Option<String>,
    /// Name of the device it is about.
    pub device: Option<String>,
    /// A word or two more.
    pub detail: Option<String>,
}

/// Who looks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Eyes<'a> {
    /// From whose side direction and peer are told.
    pub(super) side: Option<&'a UserId>,
    /// Whose devices are shown; `None`: everybody's.
    pub(super) devices_of: Option<&'a UserId>,
}

impl Eyes<'_> {
    fn sees_devices_of(self, user: &UserId) -> bool {
        self.devices_of.is_none_or(|own| own == user)
    }
}

impl CallItem {
    /// Without the parties.
    pub(super) fn of(record: &CallRecord, eyes: Eyes<'_>) -> Self {
        let CallRecord { call, parties, relay_bytes, is_blocked: _ } = record;
        let text = |text: &Option<Box<str>>| text.as_deref().map(ToOwned::to_owned);
        let role = eyes.side.and_then(|side| match side {
            side if *side == call.caller => Some(PartyRole::Caller),
            side if *side == call.callee => Some(PartyRole::Callee),
            _ => None,
        });
        let peer = role.map(|role| match role {
            PartyRole::Caller => {
                let callees = parties.iter().filter(|party| party.role == PartyRole::Callee);
                let name = callees.rev().map(|party| &*party.name).find(|name| !name.is_empty());
                PeerWord {
                    user: call.callee.as_str().to_owned(),
                    name: name.unwrap_or_default().to_owned(),
                }
            }
            PartyRole::Callee => PeerWord {
                user: call.caller.as_str().to_owned(),
                name: call.from_display.clone().into(),
            },
        });
        Self {
            call: call.call.to_string(),
            tenant: call.tenant.to_string(),
            direction: role.map(|role| role.direction().to_owned()),
            status: call.status.code().to_owned(),
            reason: call.reason.map(|reason| reason.code().to_owned()),
            media: MediaWord { audio: call.media.audio, video: call.media.video },
            peer,
            caller: call.caller.as_str().to_owned(),
            callee: call.callee.as_str().to_owned(),
            from_display: call.from_display.clone().into(),
            from_number: call.from_number.clone().into(),
            to_number: text(&call.to_number),
            started_at: call.started_at,
            ringing_at: call.ringing_at,
            answered_at: call.answered_at,
            connected_at: call.connected_at,
            ended_at: call.ended_at,
            ring_ms: call.ring_ms,
            setup_ms: call.setup_ms,
            talk_ms: call.talk_ms,
            path: call.path.map(PathWord::from),
            relay_bytes: *relay_bytes,
            contact_id: text(&call.contact_id),
            recording_url: text(&call.recording_url),
            external_id: text(&call.external_id),
            metadata: call.metadata.as_deref().map(metadata),
            parties: None,
        }
    }

    /// With the parties.
    pub(super) fn whole(record: &CallRecord, eyes: Eyes<'_>) -> Self {
        let parties = record.parties.iter().map(|party| PartyItem::of(party, eyes));
        Self { parties: Some(parties.collect()), ..Self::of(record, eyes) }
    }
}

/// An object if it is the text of one.
fn metadata(text: &str) -> Value {
    let object = serde_json::from_str(text).ok().filter(Value::is_object);
    object.unwrap_or_else(|| Value::String(text.to_owned()))
}

impl PartyItem {
    fn of(row: &PartyRow, eyes: Eyes<'_>) -> Self {
        let own = eyes.sees_devices_of(&row.user);
        let device = row.device.as_ref().filter(|_| own);
        Self {
            party: row.party.0,
            user: row.user.as_str().to_owned(),
            name: row.name.clone().into(),
            verified: row.is_verified,
            role: row.role.code().to_owned(),
            direction: row.role.direction().to_owned(),
            device: device.map(|device| device.label.clone().into()),
            session: row.session.filter(|_| own).map(|session| session.to_string()),
            joined_at: row.joined_at,
            left_at: row.left_at,
            path: row.path.map(PathWord::from),
        }
    }
}

impl TimelineItem {
    /// `None`: it is not for these eyes.
    pub(super) fn of(row: EventRow, record: &CallRecord, eyes: Eyes<'_>) -> Option<Self> {
        if eyes.devices_of.is_some() && record.is_blocked {
            return Self::for_blocked(row, record);
        }
        Some(Self::plain(row, record, eyes))
    }

    /// A blocked caller sees what he would see of any call that nobody answers.
    fn for_blocked(row: EventRow, record: &CallRecord) -> Option<Self> {
        let is_block = row.kind == TimelineKind::Blocked;
        // An invite that came to nothing has no story.
        let is_invited = row.number > 1 || !is_block;
        let kind = if is_block { TimelineKind::Delivered } else { row.kind };
        let is_of_callee = matches!(kind, TimelineKind::Delivered | TimelineKind::Ringing);
        let party = row.party.filter(|_| !is_of_callee).map(|party| party.0);
        let callee = is_of_callee.then_some(&record.call.callee);
        let user = callee.or_else(|| party.map(|_| &record.call.caller));
        is_invited.then(|| Self {
            number: row.number,
            at: row.at,
            kind: kind.code().to_owned(),
            party,
            user: user.map(|user| user.as_str().to_owned()),
            device: row.device.filter(|_| !is_of_callee).map(Into::into),
            detail: row.detail.map(Into::into),
        })
    }

    fn plain(row: EventRow, record: &CallRecord, eyes: Eyes<'_>) -> Self {
        let party = row.party.and_then(|id| record.parties.iter().find(|one| one.party == id));
        // Devices that ring are the callee's, and no party yet.
        let ringing = row.device.as_ref().map(|_| &record.call.callee);
        let user = party.map(|party| &party.user).or(ringing);
        let own = eyes.sees_devices_of(user.unwrap_or(&record.call.callee));
        Self {
            number: row.number,
            at: row.at,
            kind: row.kind.code().to_owned(),
            party: row.party.map(|party| party.0),
            user: user.map(|user| user.as_str().to_owned()),
            device: row.device.filter(|_| own).map(Into::into),
            detail: row.detail.map(Into::into),
        }
    }
}

impl From<MediaPath> for PathWord {
    fn from(path: MediaPath) -> Self {
        Self {
            local: path.local.code().to_owned(),
            remote: path.remote.code().to_owned(),
            proto: path.transport.code().to_owned(),
        }
    }
}
