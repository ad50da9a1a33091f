//! What an invite leaves in the record, also when it comes to nothing (T2, T3, T7).

use super::event::{Caller, Event};
use super::fact::Fact;
use super::request::Invite;
use super::rows::{CallRow, EventRow, Row, TimelineKind};
use super::state::{CallStatus, EndReason};
use super::switchboard::Switchboard;
use super::ulid::{CallId, SessionId};
use super::user::UserKey;
use crate::auth::identity::Identity;
use crate::time::Now;

/// What the record says of a caller without a number (P30).
const NUMBER_DEFAULT: &str = "WebRTC";

/// An invite that came to nothing.
pub(super) struct Failed {
    pub(super) id: CallId,
    pub(super) reason: EndReason,
    /// The callee has blocked the caller, and is to hear nothing of him.
    pub(super) is_silent: bool,
}

impl Switchboard {
    /// T2, T3, T7: nobody rang, but it stands in the record, and the callee hears of it if he was
    /// there.
    pub(super) fn record_failed_invite(
        &mut self,
        now: Now,
        session: SessionId,
        callee: &UserKey,
        invite: &Invite,
        Failed { id, reason, is_silent }: Failed,
    ) {
        let mut row = self.row(now, id, session, callee, invite);
        row.status = reason.status(false);
        row.reason = Some(reason);
        row.ended_at = Some(now.unix_ms);
        row.talk_ms = Some(0);
        let (tenant, status) = (row.tenant.clone(), row.status);
        self.store(Some(id), Row::Call(Box::new(row)));
        self.fact(Fact::CallEnded { call: id, tenant, status, reason, talk_ms: 0 });
        if is_silent {
            let tenant = callee.tenant.clone();
            let (at, kind) = (now.unix_ms, TimelineKind::Blocked);
            let (party, device, detail) = (None, None, None);
            let row = EventRow { call: id, tenant, at, number: 1, kind, party, device, detail };
            self.store(Some(id), Row::Event(Box::new(row)));
        }
        let is_told = !is_silent && matches!(reason, EndReason::Busy | EndReason::Dnd);
        let Some(identity) = self.sessions.get(session).map(|session| session.identity.clone())
        else {
            return;
        };
        let parties = vec![UserKey::of(&identity), callee.clone()];
        self.ended.insert(id, parties);
        let devices = self.users.get(callee).map(|user| user.sessions.clone()).unwrap_or_default();
        for device in devices.into_iter().filter(|_| is_told) {
            let from = shown(&identity, invite);
            self.tell(now, device, Event::CallMissed { call: id, from, reason });
        }
    }

    /// The row of an invite.
    pub(super) fn row(
        &self,
        now: Now,
        id: CallId,
        session: SessionId,
        callee: &UserKey,
        invite: &Invite,
    ) -> CallRow {
        let identity = self.sessions.get(session).map(|session| &session.identity);
        let number = identity.and_then(|identity| identity.number.clone());
        let contact = identity.and_then(|identity| identity.contact.clone());
        CallRow {
            call: id,
            tenant: callee.tenant.clone(),
            conversation: invite.conversation.clone(),
            status: CallStatus::Initiated,
            reason: None,
            media: invite.media,
            caller: identity.map_or_else(|| callee.user.clone(), |one| one.user.clone()),
            callee: callee.user.clone(),
            from_display: identity.map(|identity| identity.name.clone()).unwrap_or_default(),
            from_number: number.unwrap_or_else(|| NUMBER_DEFAULT.into()),
            to_number: invite.to_number.clone(),
            contact_id: invite.contact.clone().or(contact),
            external_id: invite.external_id.clone(),
            metadata: invite.metadata.clone(),
            recording_url: None,
            started_at: now.unix_ms,
            ringing_at: None,
            answered_at: None,
            connected_at: None,
            ended_at: None,
            ring_ms: None,
            setup_ms: None,
            talk_ms: None,
            path: None,
            replaces: None,
        }
    }
}

/// The caller as his callee sees him: by his token, never by what he says of himself.
pub(super) fn shown(identity: &Identity, invite: &Invite) -> Caller {
    Caller {
        user: identity.user.clone(),
        name: identity.name.clone(),
        is_verified: identity.is_verified,
        number: identity.number.clone(),
        display: invite.display.clone(),
    }
}
