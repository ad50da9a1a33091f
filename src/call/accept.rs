//! `call.accept`: the first one wins, everybody else is told at once (T11, T12).

use super::event::{CancelReason, Event, Reply};
use super::live_call::Phase;
use super::lookup::already_answered;
use super::media::{PartyId, Sdp, SignalPayload};
use super::record::About;
use super::refusal::Refusal;
use super::rows::TimelineKind;
use super::state::CallStatus;
use super::switchboard::{Asked, Outcome, Switchboard};
use super::timers::Timer;
use super::ulid::{CallId, SessionId};
use crate::limits::call::{CONNECT_TIMEOUT, SDP_BYTES_MAX};
use crate::time::Now;

impl Switchboard {
    /// `call.accept`.
    pub(super) fn call_accept(
        &mut self,
        now: Now,
        asked: &Asked,
        id: CallId,
        answer: Option<Sdp>,
    ) -> Outcome {
        if answer.as_ref().is_some_and(|answer| answer.0.len() > SDP_BYTES_MAX) {
            return Err(Refusal::too_large("answer"));
        }
        let call = self.call_of(asked.session, id)?;
        // T12: somebody was first.
        if call.is_answered() {
            return Err(already_answered());
        }
        let (call, _) = self.ring_of(asked.session, id)?;
        if answer.is_some() && call.generation == 0 {
            return Err(Refusal::bad("answer", "there is no offer to answer"));
        }
        self.take_call(now, asked.session, id);
        let Some(call) = self.calls.get(id) else { return Ok(None) };
        let view = Box::new(call.view(now, asked.session));
        self.answer(now, asked, Ok(Reply::Accepted(view)));
        self.tell_answered(now, asked.session, id, answer);
        Ok(None)
    }

    /// T11: the call is this device's.
    pub(super) fn take_call(&mut self, now: Now, winner: SessionId, id: CallId) {
        let Some(session) = self.sessions.get(winner) else { return };
        let identity = session.identity.clone();
        let device = session.device.clone();
        let reports_media = session.capabilities.media_reports;
        let Some(call) = self.calls.get_mut(id) else { return };
        call.phase = Phase::Connecting;
        call.answered_at = Some(now.mono);
        call.row.status = CallStatus::Answered;
        call.row.answered_at = Some(now.unix_ms);
        let rang = call.ringing_at.map(|at| now.mono.saturating_duration_since(at));
        call.row.ring_ms = rang.and_then(|rang| u64::try_from(rang.as_millis()).ok());
        let callee = &mut call.parties[1];
        callee.seat = Some(winner);
        callee.name = identity.name;
        callee.is_verified = identity.is_verified;
        callee.user_role = Some(identity.role);
        callee.device = Some(device);
        callee.reports_media = reports_media;
        callee.joined_at_unix_ms = Some(now.unix_ms);
        let limit = now.mono + call.longest;
        self.timers.cancel(Timer::Route(id));
        self.timers.set(Timer::Phase(id), now.mono + CONNECT_TIMEOUT);
        self.timers.set(Timer::Limit(id), limit);
        self.beat(now, id);
        self.store_call(id);
        self.store_party(id, 1);
        self.note(now, id, TimelineKind::Accepted, About::Device(winner), "");
    }

    /// Tells the losers, then both sides, then hands the winner what the caller sent meanwhile.
    pub(super) fn tell_answered(
        &mut self,
        now: Now,
        winner: SessionId,
        id: CallId,
        answer: Option<Sdp>,
    ) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let rings = std::mem::take(&mut call.rings);
        let buffered = std::mem::take(&mut call.buffered);
        let (caller, callee) = (call.caller().id, call.callee().id);
        let keys = call.keys();
        self.stop_others(now, id, rings, winner);
        self.tell_state(now, id);
        for (generation, payload) in buffered {
            self.tell_signal(now, winner, id, caller, generation, payload);
        }
        if let Some(sdp) = answer {
            self.pass_answer(now, id, callee, sdp);
        }
        if let [caller, callee] = &keys[..] {
            if let Some(user) = self.users.get_mut(caller) {
                user.was_answered(&callee.user);
            }
            self.presence_may_have_changed(now, callee, false);
        }
        // The caller's socket may have been lost while it rang.
        self.caller_grace_is_over(now, id);
    }

    fn stop_others(
        &mut self,
        now: Now,
        id: CallId,
        rings: Vec<super::live_call::Ring>,
        winner: SessionId,
    ) {
        let by = self.sessions.get(winner).map(|winner| winner.device.label.clone());
        for ring in rings {
            if ring.session != winner && ring.is_told() {
                let (reason, by) = (CancelReason::AnsweredElsewhere, by.clone());
                self.tell(now, ring.session, Event::CallCancelled { call: id, reason, by });
            }
        }
    }

    /// The answer that came with the accept, for the caller.
    fn pass_answer(&mut self, now: Now, id: CallId, from: PartyId, sdp: Sdp) {
        let Some(call) = self.calls.get(id) else { return };
        let (generation, caller) = (call.generation, call.caller().seat);
        if let Some(caller) = caller {
            let payload = SignalPayload::Answer { sdp };
            self.tell_signal(now, caller, id, from, generation, payload);
        }
        self.note_answer(now, id, from, generation);
    }

    /// A signal, with the sender as the server knows him.
    pub(super) fn tell_signal(
        &mut self,
        now: Now,
        to: SessionId,
        call: CallId,
        from: PartyId,
        generation: u32,
        payload: SignalPayload,
    ) {
        self.tell(now, to, Event::CallSignal { call, from, generation, payload });
    }
}
