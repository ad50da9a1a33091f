//! Ringing on every device of the callee (T5, T7, T14, T15).

use super::event::{Event, Resumed};
use super::live_call::{Phase, Ring, RingStatus};
use super::lookup::{already_answered, not_party};
use super::record::About;
use super::rows::TimelineKind;
use super::session::Session;
use super::state::{CallStatus, EndReason};
use super::switchboard::{DONE, Outcome, Switchboard};
use super::timers::Timer;
use super::ulid::{CallId, SessionId};
use crate::limits::call::{RINGS_MAX, ROUTE_TIMEOUT, ROUTE_TIMEOUT_LOST};
use crate::time::Now;

impl Switchboard {
    /// T1: fan-out.
    pub(super) fn ring_devices(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get(id) else { return };
        let callee = call.keys().pop();
        let user = callee.and_then(|key| self.users.get(&key));
        let devices = user.map(|user| user.sessions.clone()).unwrap_or_default();
        for device in devices {
            self.ring_device(now, id, device);
        }
    }

    /// Rings on one device; one whose socket is lost is told when it comes back (P14 b).
    fn ring_device(&mut self, now: Now, id: CallId, device: SessionId) {
        let Some(session) = self.sessions.get(device) else { return };
        let is_connected = session.is_connected();
        let status = if is_connected { RingStatus::Told } else { RingStatus::Waiting };
        let Some(call) = self.calls.get_mut(id) else { return };
        if let Some(ring) = call.ring_mut(device) {
            ring.status = status;
        } else if call.rings.len() < RINGS_MAX {
            call.rings.push(Ring { session: device, status });
        } else {
            return;
        }
        if is_connected {
            let incoming = call.incoming(now);
            self.tell(now, device, Event::CallIncoming(Box::new(incoming)));
            self.note(now, id, TimelineKind::Delivered, About::Device(device), "");
        }
    }

    /// A page is there, new or again: what rings for its user rings on it.
    pub(super) fn ring_for_returned(&mut self, now: Now, device: SessionId, resumed: Resumed) {
        let Some(session) = self.sessions.get(device) else { return };
        let key = session.key.clone();
        let calls = self.users.get(&key).map(|user| user.calls.clone()).unwrap_or_default();
        for id in calls {
            let Some(call) = self.calls.get(id) else { continue };
            if call.is_answered() || call.callee().user != key.user {
                continue;
            }
            let ring = call.rings.iter().find(|ring| ring.session == device);
            let is_to_be_told = match (ring.map(|ring| ring.status), resumed) {
                (None | Some(RingStatus::Waiting), _) => true,
                (Some(RingStatus::Silent), _) => false,
                // It was told, but what it was told was lost on the way.
                (Some(_), Resumed::Gap) => true,
                (Some(_), Resumed::Yes | Resumed::New | Resumed::UnknownToken) => false,
            };
            if is_to_be_told {
                self.ring_device(now, id, device);
                self.give_time_to_ring(now, id);
            }
        }
    }

    /// Who has only just been told gets the usual time to say that it rings.
    fn give_time_to_ring(&mut self, now: Now, id: CallId) {
        let timer = Timer::Route(id);
        let soonest = now.mono + ROUTE_TIMEOUT;
        let at = self.timers.at(&timer).map_or(soonest, |at| at.max(soonest));
        self.timers.set(timer, at);
    }

    /// T5: `call.ringing`.
    pub(super) fn call_ringing(&mut self, now: Now, device: SessionId, id: CallId) -> Outcome {
        let call = self.call_of(device, id)?;
        if call.is_answered() {
            return match call.seated(device) {
                Some(_) => Err(not_party()),
                None => Err(already_answered()),
            };
        }
        let (call, ring) = self.ring_of(device, id)?;
        if ring.status == RingStatus::Rings {
            return DONE;
        }
        let is_first = call.phase == Phase::Initiated;
        if let Some(ring) = self.calls.get_mut(id).and_then(|call| call.ring_mut(device)) {
            ring.status = RingStatus::Rings;
        }
        if is_first {
            self.begin_ringing(now, id, About::Device(device));
        } else {
            self.note(now, id, TimelineKind::Ringing, About::Device(device), "");
        }
        DONE
    }

    /// The first device rings.
    pub(super) fn begin_ringing(&mut self, now: Now, id: CallId, about: About) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.phase = Phase::Ringing;
        call.ringing_at = Some(now.mono);
        let ends = now.mono + call.ring_for;
        call.ring_ends = Some(ends);
        call.row.status = CallStatus::Ringing;
        call.row.ringing_at = Some(now.unix_ms);
        self.timers.set(Timer::Phase(id), ends);
        self.note(now, id, TimelineKind::Ringing, about, "");
        self.store_call(id);
        self.tell_state(now, id);
    }

    /// The call and the ring of this device in it.
    ///
    /// # Errors
    /// `not_party` if it does not ring there.
    pub(super) fn ring_of(
        &self,
        device: SessionId,
        id: CallId,
    ) -> Result<(&super::live_call::LiveCall, Ring), super::refusal::Refusal> {
        let call = self.call_of(device, id)?;
        let ring = call.rings.iter().find(|ring| ring.session == device);
        Ok((call, *ring.ok_or_else(not_party)?))
    }

    /// Every device should have said that it rings; those that did not are unresponsive (P15). If
    /// none did, and none can still come back, the callee is offline (T7).
    pub(super) fn route_over(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get(id) else { return };
        if call.is_answered() {
            return;
        }
        if call.is_silent {
            return self.silent_route_over(now, id);
        }
        let is_lost = |ring: &Ring| {
            self.sessions.get(ring.session).is_some_and(|session| !session.is_connected())
        };
        let late: Vec<SessionId> = call
            .rings
            .iter()
            .filter(|ring| ring.status == RingStatus::Told && !is_lost(ring))
            .map(|ring| ring.session)
            .collect();
        let may_come_back = call.rings.iter().any(is_lost);
        let patience = call.invited_at + ROUTE_TIMEOUT_LOST;
        let is_silent = call.phase == Phase::Initiated;
        for device in late {
            if let Some(ring) = self.calls.get_mut(id).and_then(|call| call.ring_mut(device)) {
                ring.status = RingStatus::Unresponsive;
            }
            self.note(now, id, TimelineKind::Unresponsive, About::Device(device), "");
        }
        if is_silent && may_come_back && now.mono < patience {
            self.timers.set(Timer::Route(id), patience);
        } else if is_silent {
            self.end_call(now, id, EndReason::CalleeOffline);
        }
    }

    /// T15: nobody answered in time.
    pub(super) fn ring_over(&mut self, now: Now, id: CallId) {
        self.end_call(now, id, EndReason::NoAnswer);
    }

    /// T14: a ringing device is gone for good. Others ring on; a page that comes anew rings, too.
    pub(super) fn ring_is_gone(&mut self, now: Now, id: CallId, session: &Session) {
        let Some(call) = self.calls.get_mut(id) else { return };
        if call.is_answered() || call.ring_mut(session.id).is_none() {
            return;
        }
        call.rings.retain(|ring| ring.session != session.id);
        self.note(now, id, TimelineKind::DeviceGone, About::Call, &session.device.label);
        self.end_if_all_are_silent(now, id);
    }

    /// T13: the user silenced every device that could still ring. All are told, the last one, too:
    /// it cannot know that it was the last.
    pub(super) fn end_if_all_are_silent(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get(id) else { return };
        let is_silent = |ring: &Ring| ring.status == RingStatus::Silent;
        if !call.is_answered() && !call.rings.is_empty() && call.rings.iter().all(is_silent) {
            self.end_call(now, id, EndReason::Declined);
        }
    }

    /// `call.state` to everybody who has a seat.
    pub(super) fn tell_state(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get(id) else { return };
        for session in call.seats_but(None) {
            let Some(call) = self.calls.get(id) else { return };
            let view = Box::new(call.view(now, session));
            self.tell(now, session, Event::CallState { view, reason: None });
        }
    }
}
