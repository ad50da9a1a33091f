//! A socket said hello: a session goes on, or a new one begins.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::contract::{CloseCode, ConnectionId, Output};
use super::event::{Event, Message, Resumed, Welcome};
use super::fact::{Fact, SessionEnd};
use super::options::TenantOptions;
use super::outbox::Outbox;
use super::rates::Rates;
use super::refusal::{ErrorCode, Refusal};
use super::replies::Replies;
use super::request::{Device, DeviceStatus, Hello, PresenceSubscribe};
use super::session::{ResumeSecret, Session, read_token};
use super::switchboard::{Outcome, Switchboard};
use super::timers::Timer;
use super::ulid::{SessionId, Ulid};
use super::user::{User, UserKey};
use crate::auth::identity::{Identity, Role};
use crate::limits::call::{DEVICE_TEXT_BYTES_MAX, EXPIRY_NOTICE, ICE_REFRESH_MIN};
use crate::time::Now;

impl Switchboard {
    pub(super) fn connected(&mut self, now: Now, connection: ConnectionId, mut hello: Hello) {
        if self.session_by_connection.contains_key(&connection) {
            return;
        }
        let tenant = self.tenants.options_by_tenant.get(&hello.identity.tenant);
        let code = match tenant {
            _ if self.is_draining => Some(CloseCode::Draining),
            None => Some(CloseCode::Tenant),
            Some(options) if options.is_suspended => Some(CloseCode::Tenant),
            Some(_) if is_expired(now, &hello.identity) => Some(CloseCode::TokenExpired),
            Some(_) if hello.identity.role == Role::Service => Some(CloseCode::Auth),
            Some(_) => None,
        };
        if let Some(code) = code {
            return self.outputs.push_back(Output::Close { connection, code, retry_in: None });
        }
        cut(&mut hello.device);
        match self.resumable(&hello) {
            Some((session, last_seq)) => self.resume(now, connection, session, last_seq, hello),
            None => self.open(now, connection, hello),
        }
    }

    /// The session that the hello's token is for, if it is the same user's on the same device.
    fn resumable(&self, hello: &Hello) -> Option<(SessionId, u64)> {
        let resume = hello.resume.as_ref()?;
        let (id, secret) = read_token(&resume.token)?;
        let session = self.sessions.get(id)?;
        let is_his = session.key == UserKey::of(&hello.identity)
            && session.device.id == hello.device.id
            && session.secret.is(secret);
        is_his.then_some((id, resume.last_seq))
    }

    fn resume(
        &mut self,
        now: Now,
        connection: ConnectionId,
        id: SessionId,
        last_seq: u64,
        hello: Hello,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let before = session.connection.replace(connection);
        session.outbox.detach();
        session.identity = hello.identity;
        session.device = hello.device;
        session.capabilities = hello.capabilities;
        let missed = session.outbox.attach(last_seq);
        self.session_by_connection.insert(connection, id);
        match before {
            Some(old) => {
                self.session_by_connection.remove(&old);
                let code = CloseCode::Replaced;
                self.outputs.push_back(Output::Close { connection: old, code, retry_in: None });
            }
            None => self.timers.cancel(Timer::SessionGone(id)),
        }
        self.set_session_timers(now, id);
        let resumed = if missed.is_some() { Resumed::Yes } else { Resumed::Gap };
        self.welcome(now, id, resumed, missed.as_ref().map(|_| last_seq + 1));
        match missed {
            Some(missed) => {
                for message in missed {
                    let message = self.if_it_still_matters(id, message);
                    self.send(id, message);
                }
            }
            None => {
                self.sync(now, id);
                self.snapshot(now, id);
            }
        }
        self.fact(Fact::SessionResumed { session: id });
        self.user_came(now, id);
        self.seats_are_back(now, id);
        self.ring_for_returned(now, id, resumed);
        self.subscriber_returned(now, id);
    }

    /// An invite that came to nothing in the meantime is not delivered (P14 b).
    fn if_it_still_matters(&self, session: SessionId, message: Message) -> Message {
        let Message::Event { seq, at_unix_ms, event } = message else { return message };
        let is_over = matches!(&*event, Event::CallIncoming(incoming)
            if !self.rings_on(incoming.call, session));
        let event = if is_over { Arc::new(Event::Void) } else { event };
        Message::Event { seq, at_unix_ms, event }
    }

    fn open(&mut self, now: Now, connection: ConnectionId, hello: Hello) {
        let key = UserKey::of(&hello.identity);
        let options = self.options(&key.tenant);
        if let Err(refusal) = self.make_room(now, &key, &options) {
            let message = Message::Refused(refusal);
            self.outputs.push_back(Output::Send { connection, message });
            let code = CloseCode::Rate;
            return self.outputs.push_back(Output::Close { connection, code, retry_in: None });
        }
        let id = SessionId(Ulid::new(now.unix_ms, self.entropy.bits()));
        let resumed = if hello.resume.is_some() { Resumed::UnknownToken } else { Resumed::New };
        self.know_user(&key, &hello.identity).sessions.push(id);
        self.live_by_tenant.entry(key.tenant.clone()).or_default().sessions += 1;
        self.session_by_connection.insert(connection, id);
        let session = Session {
            id,
            key: key.clone(),
            identity: hello.identity,
            device: hello.device,
            capabilities: hello.capabilities,
            connection: Some(connection),
            secret: ResumeSecret::new(self.entropy.bytes()),
            outbox: Outbox::new(),
            replies: Replies::default(),
            rates: Rates::new(),
            status: DeviceStatus::Online,
            subscription: PresenceSubscribe::Nothing,
            dirty: BTreeSet::new(),
            wants_snapshot: false,
            last_diff: None,
        };
        self.sessions.insert(id, session);
        self.set_session_timers(now, id);
        self.welcome(now, id, resumed, None);
        self.sync(now, id);
        let UserKey { tenant, user } = key;
        self.fact(Fact::SessionOpened { session: id, tenant, user });
        self.user_came(now, id);
        self.ring_for_returned(now, id, resumed);
    }

    /// Ends a lost session of the user that is in no call, if he has as many as he may.
    ///
    /// # Errors
    /// `quota_exceeded` if that does not help.
    fn make_room(
        &mut self,
        now: Now,
        key: &UserKey,
        options: &TenantOptions,
    ) -> Result<(), Refusal> {
        let sessions = self.users.get(key).map(|user| user.sessions.clone()).unwrap_or_default();
        let of_tenant = |all: &Self| all.live_by_tenant.get(&key.tenant).map_or(0, |t| t.sessions);
        let is_full = sessions.len() >= options.sessions_per_user_max
            || of_tenant(self) >= options.sessions_max;
        if !is_full {
            return Ok(());
        }
        let is_idle = |all: &Self, id: SessionId| {
            let session = all.sessions.get(id);
            session.is_some_and(|session| !session.is_connected()) && !all.has_seat(id)
        };
        if let Some(idle) = sessions.into_iter().find(|id| is_idle(self, *id)) {
            self.end_session(now, idle, SessionEnd::Displaced);
            return Ok(());
        }
        Err(Refusal::new(ErrorCode::QuotaExceeded, "as many sessions as may be are open"))
    }

    /// The user, made known if he is not.
    fn know_user(&mut self, key: &UserKey, identity: &Identity) -> &mut User {
        if self.timers.at(&Timer::UserForgotten(key.clone())).is_some() {
            self.timers.cancel(Timer::UserForgotten(key.clone()));
            self.users_remembered -= 1;
        }
        self.users.entry(key.clone()).or_insert_with(|| User::new(identity))
    }

    fn welcome(&mut self, now: Now, id: SessionId, resumed: Resumed, next_seq: Option<u64>) {
        let secret = ResumeSecret::new(self.entropy.bytes());
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.secret = secret;
        let identity = session.identity.clone();
        let resume_token = session.secret.token(id);
        let next_seq = next_seq.unwrap_or_else(|| session.outbox.next_seq());
        let options = self.options(&identity.tenant);
        let welcome = Welcome {
            session: id,
            resume_token,
            resumed,
            next_seq,
            tenant: identity.tenant,
            user: identity.user,
            name: identity.name,
            has_voice: options.voice_enabled,
            has_turn: options.turn_enabled,
            server_time_unix_ms: now.unix_ms,
        };
        self.send(id, Message::Welcome(Box::new(welcome)));
    }

    /// `state.sync`: what a page needs that knows nothing.
    fn sync(&mut self, now: Now, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let calls = self.users.get(&session.key).map(|user| user.calls.clone()).unwrap_or_default();
        let calls = calls.into_iter().filter_map(|call| Some(self.calls.get(call)?.view(now, id)));
        let calls = calls.collect();
        self.tell(now, id, Event::StateSync { calls });
    }

    /// `auth.refresh`.
    pub(super) fn auth_refresh(&mut self, now: Now, id: SessionId, identity: Identity) -> Outcome {
        let Some(session) = self.sessions.get_mut(id) else { return super::switchboard::DONE };
        if session.key != UserKey::of(&identity) {
            return Err(Refusal::new(ErrorCode::Forbidden, "the token is somebody else's"));
        }
        if is_expired(now, &identity) {
            return Err(Refusal::new(ErrorCode::TokenExpired, "the token has expired, too"));
        }
        session.identity = identity;
        self.set_session_timers(now, id);
        self.user_came(now, id);
        // Credentials end with the token they were made for: the new one is good for longer ones.
        self.ice_refresh(now, id);
        super::switchboard::DONE
    }

    /// Times of the token and of the ICE config.
    fn set_session_timers(&mut self, now: Now, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let ice = self.options(&session.key.tenant).ice_refresh.max(ICE_REFRESH_MIN);
        self.timers.set(Timer::IceRefresh(id), now.mono + ice);
        let left_s = session.identity.expires_at_unix_s.map(|at| at - now.unix_s());
        let Some(left) = left_s.and_then(|left_s| u64::try_from(left_s).ok()) else {
            self.timers.cancel(Timer::TokenExpiring(id));
            return self.timers.cancel(Timer::TokenExpired(id));
        };
        // The end of a token may lie beyond what a clock can say.
        let left = std::time::Duration::from_secs(left.min(u64::from(u32::MAX)));
        self.timers.set(Timer::TokenExpired(id), now.mono + left);
        let notice = left.saturating_sub(EXPIRY_NOTICE);
        self.timers.set(Timer::TokenExpiring(id), now.mono + notice);
    }

    pub(super) fn token_expiring(&mut self, now: Now, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        if let Some(expires_at_unix_s) = session.identity.expires_at_unix_s {
            self.tell(now, id, Event::AuthExpiring { expires_at_unix_s });
        }
    }

    pub(super) fn ice_refresh(&mut self, now: Now, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let options = self.options(&session.key.tenant);
        let next = options.ice_refresh.max(ICE_REFRESH_MIN);
        self.timers.set(Timer::IceRefresh(id), now.mono + next);
        // A lost session gets a fresh one with its welcome.
        if session.is_connected() {
            self.tell(now, id, Event::IceUpdate { has_turn: options.turn_enabled });
        }
    }
}

fn is_expired(now: Now, identity: &Identity) -> bool {
    identity.expires_at_unix_s.is_some_and(|at| at <= now.unix_s())
}

/// Labels are for people: too long ones are cut, not refused.
fn cut(device: &mut Device) {
    for text in [&mut device.id, &mut device.kind, &mut device.label] {
        if text.len() > DEVICE_TEXT_BYTES_MAX {
            *text = text[..text.floor_char_boundary(DEVICE_TEXT_BYTES_MAX)].into();
        }
    }
}
