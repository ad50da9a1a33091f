//! The end of a call, whatever brought it about: rings stop, everybody is told, the last row is
//! written, nothing is left.

use super::event::{CancelReason, Event};
use super::fact::Fact;
use super::live_call::LiveCall;
use super::record::About;
use super::rows::{Row, TimelineKind};
use super::state::{CallState, EndReason};
use super::switchboard::Switchboard;
use super::timers::Timer;
use super::ulid::{CallId, SessionId};
use crate::time::Now;

impl Switchboard {
    /// Ends a call.
    pub(super) fn end_call(&mut self, now: Now, id: CallId, reason: EndReason) {
        self.end_call_by(now, id, reason, None);
    }

    /// The same; the device `by` brought it about and is not told to stop ringing.
    pub(super) fn end_call_by(
        &mut self,
        now: Now,
        id: CallId,
        reason: EndReason,
        by: Option<SessionId>,
    ) {
        if self.calls.get(id).is_none() {
            return;
        }
        self.note(now, id, TimelineKind::Ended, About::Call, reason.code());
        let Some(mut call) = self.calls.remove(id) else { return };
        self.cancel_call_timers(id);
        self.beat_no_more(id);
        let talk = finish_row(&mut call, now, reason);
        self.store(Some(id), Row::Call(Box::new(call.row.clone())));
        for index in 0..call.parties.len() {
            let row = call.party_row(index, call.row.ended_at);
            self.store(Some(id), Row::Party(Box::new(row)));
        }
        self.stop_rings(now, &call, cancel_reason(reason), by);
        for session in call.seats_but(None) {
            let mut view = call.view(now, session);
            view.state = CallState::Ended;
            view.talk = std::time::Duration::from_millis(talk);
            let reason = Some(reason);
            self.tell(now, session, Event::CallState { view: Box::new(view), reason });
        }
        let (tenant, status) = (call.tenant.clone(), call.row.status);
        self.fact(Fact::CallEnded { call: id, tenant, status, reason, talk_ms: talk });
        if is_cut(reason) {
            self.cut_relaying(&call);
        }
        self.remember_outcome(now, &call);
        self.forget_call(now, &call);
    }

    /// T27. A call that ends by itself leaves its allocations to its pages, which give them back, and
    /// else to their own expiry: a page may just be gathering for its next call with them, and the
    /// quota bounds what it can leave behind.
    fn cut_relaying(&mut self, call: &LiveCall) {
        let mut seats = Vec::new();
        for (party, key) in call.parties.iter().zip(call.keys()) {
            let Some(session) = party.seat else { continue };
            let calls = self.users.get(&key).into_iter().flat_map(|user| &user.calls);
            let mut others = calls.filter_map(|id| self.calls.get(*id));
            // Two calls of one page cannot be told apart by what it relays.
            if !others.any(|other| other.seated(session).is_some()) {
                seats.push((party.user.clone(), session));
            }
        }
        if !seats.is_empty() {
            self.fact(Fact::CallCut { call: call.id, tenant: call.tenant.clone(), seats });
        }
    }

    /// Tells ringing devices to stop, but for the one that brought it about.
    pub(super) fn stop_rings(
        &mut self,
        now: Now,
        call: &LiveCall,
        reason: CancelReason,
        by: Option<SessionId>,
    ) {
        let label = by.and_then(|by| self.sessions.get(by)).map(|by| by.device.label.clone());
        for ring in &call.rings {
            if ring.is_told() && Some(ring.session) != by {
                let by = label.clone();
                self.tell(now, ring.session, Event::CallCancelled { call: call.id, reason, by });
            }
        }
    }

    fn cancel_call_timers(&mut self, id: CallId) {
        for timer in [
            Timer::Route(id),
            Timer::Phase(id),
            Timer::CallerGrace(id),
            Timer::ConnectedAlone(id),
            Timer::Limit(id),
        ] {
            self.timers.cancel(timer);
        }
    }

    /// P31: calls in vain count, once they rang.
    fn remember_outcome(&mut self, now: Now, call: &LiveCall) {
        if call.is_answered() || call.ringing_at.is_none() {
            return;
        }
        let callee = call.callee().user.clone();
        if let Some(caller) = call.keys().first().and_then(|key| self.users.get_mut(key)) {
            caller.was_not_answered(now.mono, &callee);
        }
    }

    fn forget_call(&mut self, now: Now, call: &LiveCall) {
        let keys = call.keys();
        if let Some(tenant) = self.live_by_tenant.get_mut(&call.tenant) {
            tenant.calls -= 1;
        }
        self.weigh_calls(&call.tenant);
        self.ended.insert(call.id, keys.clone());
        for key in keys {
            if let Some(user) = self.users.get_mut(&key) {
                user.calls.retain(|other| *other != call.id);
            }
            self.presence_may_have_changed(now, &key, false);
            self.forget_user_if_gone(now, &key);
        }
        self.forget_tenant_if_empty(&call.tenant);
    }

    pub(super) fn limit_reached(&mut self, now: Now, id: CallId) {
        self.end_call(now, id, EndReason::Limit);
    }
}

/// Whether somebody other than its parties ended it.
fn is_cut(reason: EndReason) -> bool {
    match reason {
        EndReason::Revoked | EndReason::Admin | EndReason::Limit => true,
        EndReason::Hangup
        | EndReason::Lost
        | EndReason::Cancelled
        | EndReason::NoAnswer
        | EndReason::CalleeOffline
        | EndReason::Declined
        | EndReason::Dnd
        | EndReason::Busy
        | EndReason::IceFailed
        | EndReason::IceTimeout
        | EndReason::MediaFailed
        | EndReason::FeatureDisabled
        | EndReason::Forbidden
        | EndReason::Quota
        | EndReason::ServerRestart
        | EndReason::Internal => false,
    }
}

/// Completes the row; the milliseconds it was active.
fn finish_row(call: &mut LiveCall, now: Now, reason: EndReason) -> u64 {
    let ms =
        |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let was_active = call.row.connected_at.is_some();
    let (mut ended_at, mut talk) = (now.unix_ms, ms(call.talk(now)));
    // P4: after a restart nobody knows of more than the last heartbeat.
    if let (Some(alive_at), EndReason::ServerRestart) = (call.restored, reason) {
        ended_at = alive_at;
        talk = ms(call.talk_before);
    }
    let row = &mut call.row;
    row.status = reason.status(was_active);
    row.reason = Some(reason);
    row.ended_at = Some(ended_at);
    if row.ring_ms.is_none() {
        row.ring_ms = call.ringing_at.map(|at| ms(now.mono.saturating_duration_since(at)));
    }
    row.talk_ms = Some(if was_active { talk } else { 0 });
    row.talk_ms.unwrap_or_default()
}

fn cancel_reason(reason: EndReason) -> CancelReason {
    match reason {
        EndReason::Cancelled => CancelReason::CallerCancelled,
        EndReason::NoAnswer | EndReason::CalleeOffline => CancelReason::Timeout,
        EndReason::Declined | EndReason::Dnd | EndReason::Busy => CancelReason::RejectedElsewhere,
        EndReason::Hangup
        | EndReason::Lost
        | EndReason::Limit
        | EndReason::IceFailed
        | EndReason::IceTimeout
        | EndReason::MediaFailed
        | EndReason::FeatureDisabled
        | EndReason::Forbidden
        | EndReason::Quota
        | EndReason::Revoked
        | EndReason::Admin
        | EndReason::ServerRestart
        | EndReason::Internal => CancelReason::Ended,
    }
}
