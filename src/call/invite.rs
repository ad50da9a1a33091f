//! `call.invite`: may it, and then it rings (T1 to T4).

use std::time::Duration;

use super::contract::Verdict;
use super::event::{Glare, Invited, Reply};
use super::invite_row::{Failed, shown};
use super::live_call::{LiveCall, Party, Phase};
use super::media::PartyId;
use super::options::TenantOptions;
use super::record::About;
use super::refusal::{ErrorCode, Refusal};
use super::request::{Invite, Target, WhenBusy};
use super::rows::TimelineKind;
use super::state::{EndReason, PartyRole};
use super::switchboard::{Asked, Outcome, Switchboard};
use super::timers::Timer;
use super::ulid::{CallId, SessionId, Ulid};
use super::user::UserKey;
use crate::auth::identity::UserId;
use crate::limits::call::{
    CALL_MAX, CALLS_PER_USER_MAX, DISPLAY_BYTES_MAX, ICE_RESTARTS, INVITE_TEXT_BYTES_MAX,
    METADATA_BYTES_MAX, RING_DEFAULT, RING_MAX, RING_MIN, ROUTE_TIMEOUT, SDP_BYTES_MAX,
};
use crate::time::Now;

/// Why an invite came to nothing: what its caller hears, and what the record says, if anything.
struct Failure {
    refusal: Refusal,
    reason: Option<EndReason>,
}

/// A call that begins.
struct Begin {
    id: CallId,
    longest: Duration,
    is_silent: bool,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, reason: None }
    }
}

impl Failure {
    fn new(code: ErrorCode, message: &str, reason: EndReason) -> Self {
        Self { refusal: Refusal::new(code, message), reason: Some(reason) }
    }
}

impl Switchboard {
    /// `call.invite`.
    pub(super) fn call_invite(&mut self, now: Now, asked: &Asked, invite: Invite) -> Outcome {
        check_sizes(&invite)?;
        let Some(session) = self.sessions.get(asked.session) else { return Ok(None) };
        let key = session.key.clone();
        let options = self.options(&key.tenant);
        if let Some(user) = self.users.get_mut(&key) {
            user.take_invite(now.mono, options.invites_per_minute)?;
        }
        if let Some(glare) = self.opposite_call(&key, callee(&invite)) {
            return self.accept_by_glare(now, asked, glare);
        }
        self.give_up_stale_call(now, &key, callee(&invite));
        self.invite(now, asked, invite, None)
    }

    /// After the sizes and the rate; again once a backend has said what it thinks.
    pub(super) fn invite(
        &mut self,
        now: Now,
        asked: &Asked,
        invite: Invite,
        verdict: Option<Verdict>,
    ) -> Outcome {
        let Some(session) = self.sessions.get(asked.session) else { return Ok(None) };
        let key = session.key.clone();
        let options = self.options(&key.tenant);
        let callee_key = key.beside(callee(&invite));
        let answer = match self.may_invite(now, asked.session, &callee_key, &options, &verdict) {
            Ok(()) if verdict.is_none() && options.authorize.is_some() => {
                return self.ask_backend(now, asked, &key, invite);
            }
            Ok(()) => Ok(()),
            Err(failure) => Err(failure),
        };
        let id = CallId(Ulid::new(now.unix_ms, self.entropy.bits()));
        let is_silent = self.has_blocked(now, &callee_key, &key.user);
        match answer {
            Err(Failure { refusal, reason: None }) => Err(refusal),
            Err(Failure { mut refusal, reason: Some(reason) }) => {
                let failed = Failed { id, reason, is_silent };
                self.record_failed_invite(now, asked.session, &callee_key, &invite, failed);
                refusal.call = Some(id);
                Err(refusal)
            }
            Ok(()) => {
                let longest = match verdict {
                    Some(Verdict::Allow { longest: Some(longest) }) => longest.min(CALL_MAX),
                    Some(Verdict::Allow { longest: None } | Verdict::Deny) | None => CALL_MAX,
                };
                let kind = Begin { id, longest, is_silent };
                self.begin_call(now, asked.session, &callee_key, invite, kind);
                // T1: the caller hears of his call before the first state of it.
                let Some(call) = self.calls.get(id) else { return Ok(None) };
                let call = call.view(now, asked.session);
                let reply = Reply::Invited(Box::new(Invited { call, glare: None }));
                self.answer(now, asked, Ok(reply));
                if is_silent {
                    self.ring_in_vain(now, id);
                } else {
                    self.ring_devices(now, id);
                }
                Ok(None)
            }
        }
    }

    /// Every guard of T1, in order; the first that fails names what T2, T3 or T7 write.
    fn may_invite(
        &mut self,
        now: Now,
        session: SessionId,
        callee: &UserKey,
        options: &TenantOptions,
        verdict: &Option<Verdict>,
    ) -> Result<(), Failure> {
        let Some(identity) = self.sessions.get(session).map(|session| &session.identity) else {
            return Ok(());
        };
        let (caller, role) = (UserKey::of(identity), identity.role);
        if caller == *callee {
            return Err(Refusal::bad("to", "this is yourself").into());
        }
        if self.is_draining {
            return Err(Refusal::new(ErrorCode::Draining, "the server is about to stop").into());
        }
        if !options.voice_enabled {
            let message = "calls are switched off for this tenant";
            let (code, reason) = (ErrorCode::FeatureDisabled, EndReason::FeatureDisabled);
            return Err(Failure::new(code, message, reason));
        }
        if *verdict == Some(Verdict::Deny) {
            let message = "the tenant's backend does not allow this call";
            return Err(Failure::new(ErrorCode::Forbidden, message, EndReason::Forbidden));
        }
        let callee_role = self.users.get(callee).map(|user| user.role);
        if let (Some(allow), Some(callee_role)) = (&options.allow, callee_role)
            && !allow.contains(&(role, callee_role))
        {
            let message = "this role may not call that one";
            return Err(Failure::new(ErrorCode::Forbidden, message, EndReason::Forbidden));
        }
        if let Some(user) = self.users.get_mut(&caller) {
            user.may_call_again(now.mono, &callee.user, options.unanswered_invites_max)?;
            if user.calls.len() >= CALLS_PER_USER_MAX {
                let message = "you are in as many calls as may be";
                return Err(Failure::new(ErrorCode::QuotaExceeded, message, EndReason::Quota));
            }
        }
        if self.live_by_tenant.get(&callee.tenant).is_some_and(|t| t.calls >= options.calls_max) {
            let message = "the tenant has as many calls as may be";
            return Err(Failure::new(ErrorCode::QuotaExceeded, message, EndReason::Quota));
        }
        self.may_ring(callee, options)
    }

    /// T3, T7: whether the callee can be rung.
    fn may_ring(&self, callee: &UserKey, options: &TenantOptions) -> Result<(), Failure> {
        use super::request::DeviceStatus;
        let offline = || {
            let message = "no device of this user is connected";
            Failure::new(ErrorCode::CalleeOffline, message, EndReason::CalleeOffline)
        };
        let user = self.users.get(callee).ok_or_else(offline)?;
        let mut devices = user.sessions.iter().filter_map(|id| self.sessions.get(*id)).peekable();
        if devices.peek().is_none() {
            return Err(offline());
        }
        if devices.any(|device| device.status == DeviceStatus::Dnd) {
            let message = "this user does not want to be disturbed";
            return Err(Failure::new(ErrorCode::CalleeDnd, message, EndReason::Dnd));
        }
        let is_free = match user.when_busy.unwrap_or(options.when_busy) {
            WhenBusy::Refuse => user.calls.is_empty(),
            WhenBusy::Wait => user.calls.len() < CALLS_PER_USER_MAX,
        };
        if !is_free {
            let message = "this user is in another call";
            return Err(Failure::new(ErrorCode::CalleeBusy, message, EndReason::Busy));
        }
        Ok(())
    }

    /// T4: the unanswered call by which `callee` is calling `caller`.
    fn opposite_call(&self, caller: &UserKey, callee: &UserId) -> Option<CallId> {
        let calls = self.users.get(caller)?.calls.iter().filter_map(|id| self.calls.get(*id));
        let mut opposite = calls.filter(|call| {
            !call.is_answered()
                && call.caller().user == *callee
                && call.callee().user == caller.user
        });
        opposite.next().map(|call| call.id)
    }

    fn accept_by_glare(&mut self, now: Now, asked: &Asked, id: CallId) -> Outcome {
        self.note(now, id, TimelineKind::Glare, About::Device(asked.session), "");
        self.take_call(now, asked.session, id);
        let Some(call) = self.calls.get(id) else { return Ok(None) };
        let glare = Some(Glare { offer: call.offer.clone() });
        let call = call.view(now, asked.session);
        let reply = Reply::Invited(Box::new(Invited { call, glare }));
        self.answer(now, asked, Ok(reply));
        self.tell_answered(now, asked.session, id, None);
        Ok(None)
    }

    /// The same user calls the same one again, and the page he called from before is lost: that
    /// call must not stand in the way.
    fn give_up_stale_call(&mut self, now: Now, caller: &UserKey, callee: &UserId) {
        let Some(user) = self.users.get(caller) else { return };
        let calls = user.calls.iter().filter_map(|id| self.calls.get(*id));
        let is_stale = |call: &&LiveCall| {
            let is_there = |seat| self.sessions.get(seat).is_some_and(|page| page.is_connected());
            !call.is_answered()
                && call.caller().user == caller.user
                && call.callee().user == *callee
                && !call.caller().seat.is_some_and(is_there)
        };
        let stale: Vec<CallId> = calls.filter(is_stale).map(|call| call.id).collect();
        for id in stale {
            self.end_call(now, id, EndReason::Cancelled);
        }
    }

    fn begin_call(
        &mut self,
        now: Now,
        session: SessionId,
        callee: &UserKey,
        invite: Invite,
        Begin { id, longest, is_silent }: Begin,
    ) {
        let Some(calling) = self.sessions.get(session) else { return };
        let caller_key = calling.key.clone();
        let identity = calling.identity.clone();
        let caller = Party {
            name: identity.name.clone(),
            is_verified: identity.is_verified,
            user_role: Some(identity.role),
            seat: Some(session),
            device: Some(calling.device.clone()),
            reports_media: calling.capabilities.media_reports,
            joined_at_unix_ms: Some(now.unix_ms),
            ..Party::absent(PartyId(1), PartyRole::Caller, identity.user.clone())
        };
        let mut called = Party::absent(PartyId(2), PartyRole::Callee, callee.user.clone());
        if let Some(user) = self.users.get(callee) {
            called.name = user.name.clone();
            called.user_role = Some(user.role);
        }
        let is_waiting = self.users.get(callee).is_some_and(|user| !user.calls.is_empty());
        let row = self.row(now, id, session, callee, &invite);
        let call = LiveCall {
            id,
            tenant: caller_key.tenant.clone(),
            phase: Phase::Initiated,
            parties: vec![caller, called],
            next_party: 3,
            rings: Vec::new(),
            caller: shown(&identity, &invite),
            generation: u32::from(invite.offer.is_some()),
            offered_by: invite.offer.is_some().then_some(PartyId(1)),
            row,
            offer: invite.offer,
            buffered: Vec::new(),
            is_waiting,
            is_silent,
            invited_at: now.mono,
            ring_for: invite.ring.unwrap_or(RING_DEFAULT).clamp(RING_MIN, RING_MAX),
            ring_ends: None,
            ringing_at: None,
            answered_at: None,
            active_at: None,
            talk_before: Duration::ZERO,
            reconnecting_since: None,
            longest,
            restarts_left: ICE_RESTARTS,
            restart_generation: None,
            restored: None,
            events: 0,
        };
        self.calls.insert(id, call);
        // Who has blocked the caller is in no call by it.
        for key in [&caller_key, callee].into_iter().take(if is_silent { 1 } else { 2 }) {
            if let Some(user) = self.users.get_mut(key) {
                user.calls.push(id);
            }
        }
        self.live_by_tenant.entry(caller_key.tenant.clone()).or_default().calls += 1;
        self.weigh_calls(&caller_key.tenant);
        self.timers.set(Timer::Route(id), now.mono + ROUTE_TIMEOUT);
        self.store_call(id);
        self.store_party(id, 0);
        self.store_party(id, 1);
        self.note(now, id, TimelineKind::Invited, About::Party(PartyId(1)), "");
        self.presence_may_have_changed(now, &caller_key, false);
    }
}

fn callee(invite: &Invite) -> &UserId {
    let Target::User(user) = &invite.to;
    user
}

fn check_sizes(invite: &Invite) -> Result<(), Refusal> {
    let texts = [
        ("display", &invite.display, DISPLAY_BYTES_MAX),
        ("metadata", &invite.metadata, METADATA_BYTES_MAX),
        ("to_number", &invite.to_number, INVITE_TEXT_BYTES_MAX),
        ("contact", &invite.contact, INVITE_TEXT_BYTES_MAX),
        ("external_id", &invite.external_id, INVITE_TEXT_BYTES_MAX),
        ("conversation", &invite.conversation, INVITE_TEXT_BYTES_MAX),
    ];
    for (field, text, max) in texts {
        if text.as_ref().is_some_and(|text| text.len() > max) {
            return Err(Refusal::too_large(field));
        }
    }
    if invite.offer.as_ref().is_some_and(|offer| offer.0.len() > SDP_BYTES_MAX) {
        return Err(Refusal::too_large("offer"));
    }
    if !invite.media.audio && !invite.media.video {
        return Err(Refusal::bad("media", "a call needs audio, video or both"));
    }
    Ok(())
}
