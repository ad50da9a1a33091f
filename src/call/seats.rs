//! Parties whose page is out of reach: grace for callers, patience for calls that go on without us
//! (T10, T20b, P14 d and g).

use super::live_call::{LiveCall, Phase};
use super::media_report::is_up;
use super::record::About;
use super::rows::TimelineKind;
use super::state::EndReason;
use super::switchboard::Switchboard;
use super::timers::Timer;
use super::ulid::{CallId, SessionId};
use crate::limits::call::CALLER_GRACE;
use crate::time::Now;

impl Switchboard {
    /// The socket of a session is lost.
    pub(super) fn seats_are_lost(&mut self, now: Now, session: SessionId) {
        for id in self.seats_of(session) {
            if self.calls.get(id).is_some_and(LiveCall::is_answered) {
                self.mark_lost(now, id, session, true);
            } else {
                self.timers.set(Timer::CallerGrace(id), now.mono + CALLER_GRACE);
            }
        }
    }

    /// It is back.
    pub(super) fn seats_are_back(&mut self, now: Now, session: SessionId) {
        for id in self.seats_of(session) {
            self.timers.cancel(Timer::CallerGrace(id));
            if self.calls.get(id).is_some_and(LiveCall::is_answered) {
                self.mark_lost(now, id, session, false);
            }
        }
    }

    /// T20b: media may flow without us; the others are told.
    fn mark_lost(&mut self, now: Now, id: CallId, session: SessionId, is_lost: bool) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let Some(index) = call.seated(session) else { return };
        let party = &mut call.parties[index];
        if party.signaling_lost == is_lost {
            return;
        }
        party.signaling_lost = is_lost;
        let about = About::Party(party.id);
        let kind = if is_lost { TimelineKind::SignalingLost } else { TimelineKind::SignalingBack };
        self.note(now, id, kind, about, "");
        self.tell_state(now, id);
    }

    /// The call was answered while its caller's socket was lost: no grace, but the flag.
    pub(super) fn caller_grace_is_over(&mut self, now: Now, id: CallId) {
        self.timers.cancel(Timer::CallerGrace(id));
        let Some(seat) = self.calls.get(id).and_then(|call| call.caller().seat) else { return };
        if self.sessions.get(seat).is_some_and(|session| !session.is_connected()) {
            self.mark_lost(now, id, seat, true);
        }
    }

    /// T10: the caller's time to come back is over.
    pub(super) fn caller_stayed_away(&mut self, now: Now, id: CallId) {
        self.end_call(now, id, EndReason::Cancelled);
    }

    /// A session with a seat is over, and not by `bye`.
    pub(super) fn seat_is_empty(&mut self, now: Now, id: CallId, session: SessionId) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let Some(index) = call.seated(session) else { return };
        if !call.is_answered() {
            return self.end_call(now, id, EndReason::Cancelled);
        }
        let party = &mut call.parties[index];
        party.seat = None;
        let was_flagged = std::mem::replace(&mut party.signaling_lost, true);
        let about = About::Party(party.id);
        // P14 g: it lives while somebody is there and says that media flows.
        let says_up = |party: &super::live_call::Party| party.seat.is_some() && is_up(party);
        let goes_on = match call.phase {
            Phase::Active => call.parties.iter().any(says_up),
            Phase::Connecting => call.parties.iter().any(|party| party.seat.is_some()),
            Phase::Reconnecting => true,
            Phase::Initiated | Phase::Ringing => false,
        };
        self.note(now, id, TimelineKind::SessionEnded, about, "");
        if !goes_on {
            self.end_call(now, id, EndReason::Lost);
        } else if !was_flagged {
            self.tell_state(now, id);
        }
    }
}
