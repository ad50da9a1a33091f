//! `Switchboard`: all sessions and calls, the dispatch of inputs, and the outputs to drain.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::authorize::Asking;
use super::block::Blocks;
use super::contract::{ConnectionId, Input, Output, Ticket};
use super::ended::Ended;
use super::entropy::Entropy;
use super::event::{Event, Message, Reply};
use super::fact::Fact;
use super::live_call::LiveCall;
use super::options::{TenantOptions, Tenants};
use super::refusal::Refusal;
use super::replies::Seen;
use super::request::{Frame, Request, RequestId};
use super::session::Session;
use super::table::Table;
use super::timers::{Timer, Timers};
use super::ulid::{CallId, SessionId};
use super::user::{TenantLive, User, UserKey};
use crate::auth::identity::TenantId;
use crate::time::Now;

/// What a switchboard is made from.
#[derive(Debug)]
pub struct Options {
    /// The tenants there are.
    pub tenants: Arc<Tenants>,
    /// 32 random bytes: ids and resume tokens are made from them.
    pub seed: [u8; 32],
}

/// Signaling of one daemon.
#[derive(Debug)]
pub struct Switchboard {
    pub(super) tenants: Arc<Tenants>,
    pub(super) entropy: Entropy,
    pub(super) sessions: Table<SessionId, Session>,
    pub(super) session_by_connection: HashMap<ConnectionId, SessionId>,
    pub(super) users: HashMap<UserKey, User>,
    pub(super) live_by_tenant: HashMap<TenantId, TenantLive>,
    /// Who wants to know how somebody is.
    pub(super) watchers_by_user: HashMap<UserKey, BTreeSet<SessionId>>,
    pub(super) calls: Table<CallId, LiveCall>,
    /// Those that were answered, for the heartbeat.
    pub(super) answered: BTreeSet<CallId>,
    pub(super) ended: Ended,
    pub(super) timers: Timers,
    pub(super) asking: BTreeMap<Ticket, Asking>,
    pub(super) blocks: Blocks,
    /// Rows on their way, with the call they belong to.
    pub(super) storing: BTreeMap<Ticket, Option<CallId>>,
    /// Sessions that read too slowly; closed at the end of each turn.
    pub(super) overflown: Vec<SessionId>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) next_ticket: u64,
    pub(super) users_remembered: usize,
    pub(super) is_draining: bool,
}

/// Who asks, and under which name he wants his answer.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) session: SessionId,
    pub(super) id: RequestId,
}

/// `Ok(None)`: the answer was given already, or comes later.
pub(super) type Outcome = Result<Option<Reply>, Refusal>;

/// "It is done."
pub(super) const DONE: Outcome = Ok(Some(Reply::Done));

impl Switchboard {
    /// Nobody is there.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            tenants: options.tenants,
            entropy: Entropy::new(options.seed),
            sessions: Table::new(),
            session_by_connection: HashMap::new(),
            users: HashMap::new(),
            live_by_tenant: HashMap::new(),
            watchers_by_user: HashMap::new(),
            calls: Table::new(),
            answered: BTreeSet::new(),
            ended: Ended::default(),
            timers: Timers::default(),
            asking: BTreeMap::new(),
            blocks: Blocks::default(),
            storing: BTreeMap::new(),
            overflown: Vec::new(),
            outputs: VecDeque::new(),
            next_ticket: 0,
            users_remembered: 0,
            is_draining: false,
        }
    }

    /// One mutation. Drain [`Self::poll`] afterwards.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Connected { connection, hello } => self.connected(now, connection, *hello),
            Input::Frame { connection, frame } => {
                if let Some(&session) = self.session_by_connection.get(&connection) {
                    self.frame(now, session, frame);
                }
            }
            Input::Sent { connection, count } => {
                if let Some(&session) = self.session_by_connection.get(&connection) {
                    self.sent(session, count);
                }
            }
            Input::SessionLost { connection } => {
                if let Some(&session) = self.session_by_connection.get(&connection) {
                    self.lose(now, session);
                }
            }
            Input::Stored { ticket, result } => {
                if !self.block_stored(now, ticket, result) {
                    self.stored(ticket, result);
                }
            }
            Input::Answered { ticket, result } => self.authorized(now, ticket, result.ok()),
            Input::Command { ticket, command } => {
                let result = self.command(now, command);
                if let Some(ticket) = ticket {
                    self.outputs.push_back(Output::Done { ticket, result });
                }
            }
            Input::Tick => {
                while let Some(timer) = self.timers.pop_due(now.mono) {
                    self.due(now, timer);
                }
            }
        }
        self.close_overflown(now);
    }

    /// What is to be done, oldest first; `None` when all is.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call `handle(now, Input::Tick)` at the latest; `None` while nothing can happen by
    /// itself.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Sessions, lost ones that may come back included.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Calls that are not over.
    #[must_use]
    pub fn call_count(&self) -> usize {
        self.calls.len()
    }

    /// Whether nothing is left: no session, no call, no question open, no timer, no output, and
    /// nobody remembered. Who has blocked whom stays.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
            && self.session_by_connection.is_empty()
            && self.users.is_empty()
            && self.live_by_tenant.is_empty()
            && self.watchers_by_user.is_empty()
            && self.calls.is_empty()
            && self.answered.is_empty()
            && self.asking.is_empty()
            && !self.blocks.is_storing()
            && self.storing.is_empty()
            && self.outputs.is_empty()
            && self.users_remembered == 0
            && self.timers.next().is_none()
    }

    fn due(&mut self, now: Now, timer: Timer) {
        match timer {
            Timer::SessionGone(session) => self.session_gone(now, session),
            Timer::TokenExpiring(session) => self.token_expiring(now, session),
            Timer::TokenExpired(session) => self.token_expired(now, session),
            Timer::IceRefresh(session) => self.ice_refresh(now, session),
            Timer::RoleDiff(tenant, role) => self.tell_role(now, &tenant, role),
            Timer::PresenceDiff(session) => self.tell_presence(now, session),
            Timer::UserOffline(key) => self.user_offline(now, &key),
            Timer::UserForgotten(key) => self.forget_user(now, &key),
            Timer::Route(call) => self.route_over(now, call),
            Timer::Phase(call) => self.phase_over(now, call),
            Timer::CallerGrace(call) => self.caller_stayed_away(now, call),
            Timer::ConnectedAlone(call) => self.connected_alone(now, call),
            Timer::Limit(call) => self.limit_reached(now, call),
            Timer::Ask(ticket) => self.authorized(now, ticket, None),
            Timer::Heartbeat => self.heartbeat(now),
        }
    }

    fn frame(&mut self, now: Now, session: SessionId, frame: Frame) {
        let (id, ack, request) = match frame {
            Frame::Ack(seq) => return self.acknowledge(session, seq),
            Frame::Request { id, ack, request } => (Some(id), ack, Ok(request)),
            Frame::Unreadable { id, refusal } => (id, None, Err(refusal)),
        };
        if let Some(seq) = ack {
            self.acknowledge(session, seq);
        }
        let Some(asking) = self.sessions.get_mut(session) else { return };
        if let Err(refusal) = asking.rates.request(now.mono) {
            return self.too_often(now, session, id, refusal);
        }
        let (id, request) = match (id, request) {
            (Some(id), Ok(request)) => (id, request),
            (id, Err(refusal)) => return self.refuse(session, id, refusal),
            (None, Ok(_)) => return,
        };
        match asking.replies.begin(&id) {
            Seen::New => {}
            Seen::Pending => return,
            Seen::Answered(result) => {
                return self.send(session, Message::Reply { re: Some(id), result });
            }
        }
        let asked = Asked { session, id };
        match self.dispatch(now, &asked, request) {
            Ok(None) => {}
            Ok(Some(reply)) => self.answer(now, &asked, Ok(reply)),
            Err(refusal) => self.answer(now, &asked, Err(refusal)),
        }
    }

    fn dispatch(&mut self, now: Now, asked: &Asked, request: Request) -> Outcome {
        let session = asked.session;
        match request {
            Request::Ping => Ok(Some(Reply::Pong(now.unix_ms))),
            Request::Bye => self.bye(now, asked),
            Request::AuthRefresh(identity) => self.auth_refresh(now, session, *identity),
            Request::PresenceSet(set) => self.presence_set(now, session, set),
            Request::PresenceSubscribe(who) => self.presence_subscribe(now, asked, who),
            Request::CallInvite(invite) => self.call_invite(now, asked, *invite),
            Request::CallRinging { call } => self.call_ringing(now, session, call),
            Request::CallAccept { call, answer } => self.call_accept(now, asked, call, answer),
            Request::CallReject { call, reason, scope } => {
                self.call_reject(now, session, call, reason, scope)
            }
            Request::CallCancel { call } => self.call_cancel(now, session, call),
            Request::CallSignal(signal) => self.call_signal(now, session, *signal),
            Request::CallMedia { call, status, path } => {
                self.call_media(now, session, call, status, path)
            }
            Request::CallUpdate { call, update } => self.call_update(now, session, call, update),
            Request::CallHangup { call, reason } => self.call_hangup(now, session, call, reason),
            Request::CallRejoin { call, media } => self.call_rejoin(now, asked, call, media),
            Request::QualityReport(report) => self.quality_report(now, session, *report),
            Request::UserBlock(user) => self.user_block(now, asked, user),
            Request::UserUnblock(user) => self.user_unblock(now, asked, user),
            Request::UserBlocked => self.blocked_users(now, session),
            Request::Feedback { call, score, issue } => {
                self.feedback(now, session, call, score, issue)
            }
        }
    }

    /// Answers a request, once.
    pub(super) fn answer(&mut self, now: Now, asked: &Asked, result: Result<Reply, Refusal>) {
        let Some(session) = self.sessions.get_mut(asked.session) else { return };
        if let Err(refusal) = &result
            && refusal.is_flood
        {
            // It may be tried again under the same name.
            session.replies.forget(&asked.id);
            return self.too_often(now, asked.session, Some(asked.id.clone()), refusal.clone());
        }
        session.replies.finish(&asked.id, &result);
        match result {
            Err(refusal) => self.refuse(asked.session, Some(asked.id.clone()), refusal),
            Ok(_) => {
                self.send(asked.session, Message::Reply { re: Some(asked.id.clone()), result })
            }
        }
    }

    fn refuse(&mut self, session: SessionId, re: Option<RequestId>, refusal: Refusal) {
        let Some(asking) = self.sessions.get(session) else { return };
        let UserKey { tenant, user } = asking.key.clone();
        self.fact(Fact::Refused { tenant, user, code: refusal.code });
        self.send(session, Message::Reply { re, result: Err(refusal) });
    }

    fn too_often(&mut self, now: Now, session: SessionId, re: Option<RequestId>, refusal: Refusal) {
        self.refuse(session, re, refusal);
        let Some(asking) = self.sessions.get_mut(session) else { return };
        if asking.rates.strike(now.mono) {
            self.disconnect_for_rate(now, session);
        }
    }

    fn acknowledge(&mut self, session: SessionId, seq: u64) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.outbox.acknowledge(seq);
        }
    }

    fn sent(&mut self, session: SessionId, count: usize) {
        if let Some(session) = self.sessions.get_mut(session) {
            session.outbox.sent(count);
        }
        self.pump(session);
    }

    /// Tells a session what happened.
    pub(super) fn tell(&mut self, now: Now, session: SessionId, event: Event) {
        self.tell_shared(now, session, Arc::new(event));
    }

    /// The same with what others are told, too.
    pub(super) fn tell_shared(&mut self, now: Now, session: SessionId, event: Arc<Event>) {
        let Some(told) = self.sessions.get_mut(session) else { return };
        if !told.outbox.push_event(now.unix_ms, event) {
            self.overflown.push(session);
        }
        self.pump(session);
    }

    pub(super) fn send(&mut self, session: SessionId, message: Message) {
        let Some(told) = self.sessions.get_mut(session) else { return };
        if !told.outbox.push(message) {
            self.overflown.push(session);
        }
        self.pump(session);
    }

    fn pump(&mut self, session: SessionId) {
        let Some(told) = self.sessions.get_mut(session) else { return };
        let Some(connection) = told.connection else { return };
        while let Some(message) = told.outbox.next() {
            self.outputs.push_back(Output::Send { connection, message });
        }
    }

    pub(super) fn fact(&mut self, fact: Fact) {
        self.outputs.push_back(Output::Fact(fact));
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// The options of a tenant; the defaults for one that a reload has just taken away.
    pub(super) fn options(&self, tenant: &TenantId) -> TenantOptions {
        self.tenants.options_by_tenant.get(tenant).cloned().unwrap_or_default()
    }
}
