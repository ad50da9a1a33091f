//! `LiveCall`: a call that is not over, its parties, and the devices it rings on.

use std::time::{Duration, Instant};

use super::event::{CallView, Caller, Incoming, PartyView};
use super::media::{MediaPath, MediaStatus, PartyId, Sdp, SignalPayload};
use super::quality::Quality;
use super::request::Device;
use super::rows::{CallRow, PartyRow};
use super::state::{CallState, PartyRole};
use super::ulid::{CallId, SessionId};
use super::user::UserKey;
use crate::auth::identity::{Role, TenantId, UserId};
use crate::time::Now;

/// A call.
#[derive(Debug)]
pub(super) struct LiveCall {
    pub(super) id: CallId,
    pub(super) tenant: TenantId,
    pub(super) phase: Phase,
    /// The caller first; two of them until there are conferences.
    pub(super) parties: Vec<Party>,
    pub(super) next_party: u32,
    /// Devices of the callee, until one accepts.
    pub(super) rings: Vec<Ring>,
    /// As it is stored.
    pub(super) row: CallRow,
    pub(super) caller: Caller,
    pub(super) offer: Option<Sdp>,
    /// What the caller sent before anybody answered: generation and signal.
    pub(super) buffered: Vec<(u32, SignalPayload)>,
    pub(super) is_waiting: bool,
    /// The callee has blocked the caller: it rings for the caller alone.
    pub(super) is_silent: bool,
    pub(super) invited_at: Instant,
    pub(super) ring_for: Duration,
    pub(super) ring_ends: Option<Instant>,
    pub(super) ringing_at: Option<Instant>,
    pub(super) answered_at: Option<Instant>,
    /// Media flowed for the first time. After a restart: when the server took the call up.
    pub(super) active_at: Option<Instant>,
    /// How long it was active before that.
    pub(super) talk_before: Duration,
    pub(super) reconnecting_since: Option<Instant>,
    pub(super) longest: Duration,
    pub(super) generation: u32,
    /// Who made the last offer.
    pub(super) offered_by: Option<PartyId>,
    pub(super) restarts_left: u8,
    /// A restart was asked for: reports of failure count again from this generation on.
    pub(super) restart_generation: Option<u32>,
    /// It was taken from the record after a restart, and not everybody is back; Unix milliseconds
    /// at which it was last known to be alive.
    pub(super) restored: Option<i64>,
    /// Timeline rows so far.
    pub(super) events: u32,
}

/// Where a call stands, inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Initiated,
    Ringing,
    Connecting,
    /// Held, if somebody holds it.
    Active,
    Reconnecting,
}

/// Somebody in a call.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) id: PartyId,
    pub(super) role: PartyRole,
    pub(super) user: UserId,
    pub(super) name: Box<str>,
    pub(super) is_verified: bool,
    pub(super) user_role: Option<Role>,
    /// The session he is in the call with; `None` before he answers, and after it ended.
    pub(super) seat: Option<SessionId>,
    pub(super) device: Option<Device>,
    pub(super) reports_media: bool,
    pub(super) media: Option<MediaStatus>,
    pub(super) path: Option<MediaPath>,
    pub(super) signaling_lost: bool,
    pub(super) holds: bool,
    pub(super) muted: bool,
    pub(super) video_muted: bool,
    pub(super) screen: bool,
    /// Candidates he sent in this generation.
    pub(super) candidates: u32,
    /// Offers he made since somebody answered one.
    pub(super) offers: u32,
    pub(super) quality: Quality,
    pub(super) joined_at_unix_ms: Option<i64>,
}

/// A device the call rings on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ring {
    pub(super) session: SessionId,
    pub(super) status: RingStatus,
}

/// What is known of a ringing device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RingStatus {
    /// Its socket is lost: it is told when it comes back.
    Waiting,
    /// It was told.
    Told,
    /// It says that it rings.
    Rings,
    /// It did not say so in time.
    Unresponsive,
    /// The user silenced it; it may still accept.
    Silent,
}

impl LiveCall {
    pub(super) fn is_answered(&self) -> bool {
        match self.phase {
            Phase::Initiated | Phase::Ringing => false,
            Phase::Connecting | Phase::Active | Phase::Reconnecting => true,
        }
    }

    pub(super) fn state(&self) -> CallState {
        match self.phase {
            Phase::Initiated => CallState::Initiated,
            Phase::Ringing => CallState::Ringing,
            Phase::Connecting => CallState::Connecting,
            Phase::Active if self.parties.iter().any(|party| party.holds) => CallState::Held,
            Phase::Active => CallState::Active,
            Phase::Reconnecting => CallState::Reconnecting,
        }
    }

    pub(super) fn caller(&self) -> &Party {
        &self.parties[0]
    }

    pub(super) fn callee(&self) -> &Party {
        &self.parties[1]
    }

    /// The party whose seat this session has.
    pub(super) fn seated(&self, session: SessionId) -> Option<usize> {
        self.parties.iter().position(|party| party.seat == Some(session))
    }

    /// The party that is this user.
    pub(super) fn party_of(&self, user: &UserId) -> Option<usize> {
        self.parties.iter().position(|party| party.user == *user)
    }

    pub(super) fn ring_mut(&mut self, session: SessionId) -> Option<&mut Ring> {
        self.rings.iter_mut().find(|ring| ring.session == session)
    }

    /// Sessions of all parties, but for one.
    pub(super) fn seats_but(&self, index: Option<usize>) -> Vec<SessionId> {
        let others = self.parties.iter().enumerate().filter(|(i, _)| Some(*i) != index);
        others.filter_map(|(_, party)| party.seat).collect()
    }

    pub(super) fn keys(&self) -> Vec<UserKey> {
        let key = |party: &Party| UserKey { tenant: self.tenant.clone(), user: party.user.clone() };
        self.parties.iter().map(key).collect()
    }

    /// How long it has been active, pauses included.
    pub(super) fn talk(&self, now: Now) -> Duration {
        let since = self.active_at.map(|at| now.mono.saturating_duration_since(at));
        self.talk_before + since.unwrap_or_default()
    }

    /// As `session` sees it.
    pub(super) fn view(&self, now: Now, session: SessionId) -> CallView {
        CallView {
            call: self.id,
            state: self.state(),
            media: self.row.media,
            parties: self.parties.iter().map(Party::view).collect(),
            you: self.seated(session).map(|index| self.parties[index].id),
            generation: self.generation,
            answered_at_unix_ms: self.row.answered_at,
            talk: self.talk(now),
        }
    }

    /// What a device is told that is to ring.
    pub(super) fn incoming(&self, now: Now) -> Incoming {
        let rest = self.ring_ends.map(|end| end.saturating_duration_since(now.mono));
        Incoming {
            call: self.id,
            from: self.caller.clone(),
            media: self.row.media,
            offer: self.offer.clone(),
            expires_in: rest.unwrap_or(self.ring_for),
            is_waiting: self.is_waiting,
        }
    }

    /// A party as it is stored.
    pub(super) fn party_row(&self, index: usize, left_at: Option<i64>) -> PartyRow {
        let party = &self.parties[index];
        PartyRow {
            call: self.id,
            party: party.id,
            tenant: self.tenant.clone(),
            user: party.user.clone(),
            name: party.name.clone(),
            is_verified: party.is_verified,
            user_role: party.user_role,
            role: party.role,
            session: party.seat,
            device: party.device.clone(),
            joined_at: party.joined_at_unix_ms,
            left_at,
            path: party.path,
        }
    }
}

impl Ring {
    /// Whether the device knows of the call, and so has to hear that it no longer rings. A silenced
    /// one, too: it may still be the one that accepts.
    pub(super) fn is_told(&self) -> bool {
        match self.status {
            RingStatus::Told
            | RingStatus::Rings
            | RingStatus::Unresponsive
            | RingStatus::Silent => true,
            RingStatus::Waiting => false,
        }
    }
}

impl Party {
    /// Somebody who is not there yet.
    pub(super) fn absent(id: PartyId, role: PartyRole, user: UserId) -> Self {
        Self {
            id,
            role,
            user,
            name: "".into(),
            is_verified: false,
            user_role: None,
            seat: None,
            device: None,
            reports_media: false,
            media: None,
            path: None,
            signaling_lost: false,
            holds: false,
            muted: false,
            video_muted: false,
            screen: false,
            candidates: 0,
            offers: 0,
            quality: Quality::default(),
            joined_at_unix_ms: None,
        }
    }

    fn view(&self) -> PartyView {
        PartyView {
            party: self.id,
            user: self.user.clone(),
            name: self.name.clone(),
            is_verified: self.is_verified,
            role: self.role,
            signaling_lost: self.signaling_lost,
            holds: self.holds,
            muted: self.muted,
            video_muted: self.video_muted,
            screen: self.screen,
        }
    }
}
