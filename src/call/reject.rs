//! Not wanting a call: `call.reject`, `call.cancel`, `call.hangup` (T10, T13, T14, T26).

use super::live_call::RingStatus;
use super::lookup::{already_answered, not_party};
use super::record::About;
use super::request::{HangupReason, RejectReason, RejectScope};
use super::rows::TimelineKind;
use super::state::EndReason;
use super::switchboard::{DONE, Outcome, Switchboard};
use super::ulid::{CallId, SessionId};
use crate::time::Now;

impl Switchboard {
    /// T13, T14: `call.reject`.
    pub(super) fn call_reject(
        &mut self,
        now: Now,
        device: SessionId,
        id: CallId,
        reason: RejectReason,
        scope: RejectScope,
    ) -> Outcome {
        if self.call_of(device, id)?.is_answered() {
            return Err(already_answered());
        }
        self.ring_of(device, id)?;
        match scope {
            RejectScope::All => {
                let reason = match reason {
                    RejectReason::Declined => EndReason::Declined,
                    RejectReason::Busy => EndReason::Busy,
                    RejectReason::Dnd => EndReason::Dnd,
                };
                self.end_call_by(now, id, reason, Some(device));
            }
            RejectScope::Device => {
                let ring = self.calls.get_mut(id).and_then(|call| call.ring_mut(device));
                if let Some(ring) = ring {
                    ring.status = RingStatus::Silent;
                }
                self.note(now, id, TimelineKind::Silenced, About::Device(device), "");
                self.end_if_all_are_silent(now, id);
            }
        }
        DONE
    }

    /// T10: `call.cancel`.
    pub(super) fn call_cancel(&mut self, now: Now, session: SessionId, id: CallId) -> Outcome {
        let call = self.call_of(session, id)?;
        if call.caller().seat != Some(session) {
            return Err(not_party());
        }
        if call.is_answered() {
            return Err(already_answered());
        }
        self.end_call(now, id, EndReason::Cancelled);
        DONE
    }

    /// T26: `call.hangup`; before the answer it is a cancel or a reject.
    pub(super) fn call_hangup(
        &mut self,
        now: Now,
        session: SessionId,
        id: CallId,
        reason: HangupReason,
    ) -> Outcome {
        let call = self.call_of(session, id)?;
        if !call.is_answered() && call.caller().seat != Some(session) {
            return self.call_reject(now, session, id, RejectReason::Declined, RejectScope::All);
        }
        let (call, _) = self.seat(session, id)?;
        let reason = match reason {
            HangupReason::Hangup if !call.is_answered() => EndReason::Cancelled,
            HangupReason::Hangup => EndReason::Hangup,
            HangupReason::MediaFailed => EndReason::MediaFailed,
            HangupReason::IceFailed => EndReason::IceFailed,
        };
        self.end_call(now, id, reason);
        DONE
    }

    /// The page is closed for good: it leaves every call it is in.
    pub(super) fn leave_calls(&mut self, now: Now, session: SessionId) {
        for id in self.seats_of(session) {
            let is_answered = self.calls.get(id).is_some_and(|call| call.is_answered());
            let reason = if is_answered { EndReason::Hangup } else { EndReason::Cancelled };
            self.end_call(now, id, reason);
        }
    }
}
