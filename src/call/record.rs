//! Rows on their way to the record: calls, parties, the timeline, the heartbeat.

use super::contract::{Output, StoreFailed, Ticket};
use super::fact::Fact;
use super::media::PartyId;
use super::rows::{EventRow, Row, TimelineKind};
use super::switchboard::Switchboard;
use super::timers::Timer;
use super::ulid::{CallId, SessionId};
use crate::limits::call::{
    HEARTBEAT_CALLS_MAX, HEARTBEAT_INTERVAL, STORES_PENDING_MAX, TIMELINE_ROWS_MAX,
};
use crate::time::Now;

/// Whom a line of the timeline is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum About {
    Call,
    Party(PartyId),
    Device(SessionId),
}

impl Switchboard {
    /// Sends a row to the record.
    pub(super) fn store(&mut self, call: Option<CallId>, row: Row) {
        if self.storing.len() >= STORES_PENDING_MAX {
            return self.fact(Fact::RowLost { call });
        }
        let ticket = self.ticket();
        self.storing.insert(ticket, call);
        self.outputs.push_back(Output::Store { ticket, row });
    }

    pub(super) fn stored(&mut self, ticket: Ticket, result: Result<(), StoreFailed>) {
        let Some(call) = self.storing.remove(&ticket) else { return };
        if result.is_err() {
            // The call goes on: its next row is whole again.
            self.fact(Fact::RowLost { call });
        }
    }

    /// The call as it is.
    pub(super) fn store_call(&mut self, id: CallId) {
        let Some(call) = self.calls.get(id) else { return };
        let row = Row::Call(Box::new(call.row.clone()));
        self.store(Some(id), row);
    }

    /// A party as it is.
    pub(super) fn store_party(&mut self, id: CallId, index: usize) {
        let Some(call) = self.calls.get(id) else { return };
        let row = Row::Party(Box::new(call.party_row(index, None)));
        self.store(Some(id), row);
    }

    /// A line of the timeline.
    pub(super) fn note(
        &mut self,
        now: Now,
        id: CallId,
        kind: TimelineKind,
        about: About,
        detail: &str,
    ) {
        let device = match about {
            About::Device(session) => self.sessions.get(session),
            About::Call | About::Party(_) => None,
        };
        let device = device.map(|session| session.device.label.clone());
        let Some(call) = self.calls.get_mut(id) else { return };
        if call.events >= TIMELINE_ROWS_MAX && kind != TimelineKind::Ended {
            return;
        }
        call.events += 1;
        let party = match about {
            About::Party(party) => Some(party),
            About::Call | About::Device(_) => None,
        };
        let row = EventRow {
            call: id,
            tenant: call.tenant.clone(),
            at: now.unix_ms,
            number: call.events,
            kind,
            party,
            device: device.or_else(|| {
                let party = call.parties.iter().find(|one| Some(one.id) == party)?;
                party.device.as_ref().map(|device| device.label.clone())
            }),
            detail: (!detail.is_empty()).then(|| detail.into()),
        };
        self.store(Some(id), Row::Event(Box::new(row)));
    }

    /// The call was answered: it is in the heartbeat from here on.
    pub(super) fn beat(&mut self, now: Now, id: CallId) {
        if self.answered.is_empty() {
            self.timers.set(Timer::Heartbeat, now.mono + HEARTBEAT_INTERVAL);
        }
        self.answered.insert(id);
    }

    /// It is over.
    pub(super) fn beat_no_more(&mut self, id: CallId) {
        self.answered.remove(&id);
        if self.answered.is_empty() {
            self.timers.cancel(Timer::Heartbeat);
        }
    }

    pub(super) fn heartbeat(&mut self, now: Now) {
        self.timers.set(Timer::Heartbeat, now.mono + HEARTBEAT_INTERVAL);
        // Nobody has come back yet to a call that was restored: it is not known to be alive.
        let is_alive =
            |id: &&CallId| self.calls.get(**id).is_some_and(|call| call.restored.is_none());
        let alive: Vec<CallId> = self.answered.iter().filter(is_alive).copied().collect();
        for calls in alive.chunks(HEARTBEAT_CALLS_MAX) {
            let row = Row::Heartbeat { at_unix_ms: now.unix_ms, calls: calls.to_vec() };
            self.store(None, row);
        }
    }
}
