//! Sockets that are lost, and sessions that end: by their client, by time, by somebody in charge.

use super::contract::{CloseCode, Output};
use super::event::{Event, Message, Reply};
use super::fact::{Fact, SessionEnd};
use super::session::Session;
use super::switchboard::{Asked, Outcome, Switchboard};
use super::timers::Timer;
use super::ulid::SessionId;
use crate::limits::call::{RESUME_IDLE, RESUME_IN_CALL};
use crate::time::Now;

impl Switchboard {
    /// The socket is gone; the page may come back.
    pub(super) fn lose(&mut self, now: Now, id: SessionId) {
        let window = if self.has_seat(id) { RESUME_IN_CALL } else { RESUME_IDLE };
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Some(connection) = session.connection.take() else { return };
        session.outbox.detach();
        self.session_by_connection.remove(&connection);
        self.timers.set(Timer::SessionGone(id), now.mono + window);
        self.timers.cancel(Timer::PresenceDiff(id));
        self.user_went(now, id);
        self.seats_are_lost(now, id);
    }

    /// Closes the socket from our side; the session may be resumed.
    fn disconnect(&mut self, now: Now, id: SessionId, code: CloseCode) {
        let Some(session) = self.sessions.get(id) else { return };
        let Some(connection) = session.connection else { return };
        self.outputs.push_back(Output::Close { connection, code, retry_in: None });
        self.lose(now, id);
    }

    pub(super) fn disconnect_for_rate(&mut self, now: Now, id: SessionId) {
        self.disconnect(now, id, CloseCode::Rate);
    }

    /// Those that could not take what they were told. Closing one tells others, so again.
    pub(super) fn close_overflown(&mut self, now: Now) {
        while let Some(id) = self.overflown.pop() {
            self.disconnect(now, id, CloseCode::SlowConsumer);
        }
    }

    pub(super) fn session_gone(&mut self, now: Now, id: SessionId) {
        self.end_session(now, id, SessionEnd::Lost);
    }

    pub(super) fn token_expired(&mut self, now: Now, id: SessionId) {
        self.end_session(now, id, SessionEnd::Expired);
    }

    /// `bye`: answered first, since nobody is there afterwards.
    pub(super) fn bye(&mut self, now: Now, asked: &Asked) -> Outcome {
        let re = Some(asked.id.clone());
        self.send(asked.session, Message::Reply { re, result: Ok(Reply::Done) });
        self.leave_calls(now, asked.session);
        self.end_session(now, asked.session, SessionEnd::Bye);
        Ok(None)
    }

    /// The session is over; nothing of it is left.
    pub(super) fn end_session(&mut self, now: Now, id: SessionId, reason: SessionEnd) {
        if reason == SessionEnd::Revoked {
            self.tell(now, id, Event::SessionRevoked);
        }
        let Some(session) = self.sessions.remove(id) else { return };
        if let Some(connection) = session.connection {
            self.session_by_connection.remove(&connection);
            let code = close_code(reason);
            self.outputs.push_back(Output::Close { connection, code, retry_in: None });
        }
        for timer in [
            Timer::SessionGone(id),
            Timer::TokenExpiring(id),
            Timer::TokenExpired(id),
            Timer::IceRefresh(id),
            Timer::PresenceDiff(id),
        ] {
            self.timers.cancel(timer);
        }
        self.unsubscribe(&session);
        self.forget_session(now, &session);
        self.fact(Fact::SessionEnded { session: id, reason });
    }

    /// Takes it out of everything that names it.
    fn forget_session(&mut self, now: Now, session: &Session) {
        let key = &session.key;
        if let Some(user) = self.users.get_mut(key) {
            user.sessions.retain(|other| *other != session.id);
        }
        if let Some(tenant) = self.live_by_tenant.get_mut(&key.tenant) {
            tenant.sessions -= 1;
        }
        let calls = self.users.get(key).map(|user| user.calls.clone()).unwrap_or_default();
        for call in calls {
            self.ring_is_gone(now, call, session);
            self.seat_is_empty(now, call, session.id);
        }
        self.user_left(now, key);
        self.forget_tenant_if_empty(&key.tenant);
    }
}

fn close_code(reason: SessionEnd) -> CloseCode {
    match reason {
        SessionEnd::Bye | SessionEnd::Lost | SessionEnd::Displaced => CloseCode::Bye,
        SessionEnd::Expired => CloseCode::TokenExpired,
        SessionEnd::Revoked => CloseCode::Revoked,
        SessionEnd::Tenant => CloseCode::Tenant,
    }
}
