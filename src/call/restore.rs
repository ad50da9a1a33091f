//! After a restart: what the record holds as not over is taken up, or closed (P4).

use std::time::Duration;

use super::event::Caller;
use super::live_call::{LiveCall, Party, Phase};
use super::media::PartyId;
use super::record::About;
use super::rows::{PartyRow, Row, TimelineKind, UnfinishedCall};
use super::state::{CallStatus, EndReason, PartyRole};
use super::switchboard::Switchboard;
use super::timers::Timer;
use super::user::{User, UserKey};
use crate::auth::identity::{Identity, Role, UserId};
use crate::limits::call::{
    CALL_MAX, ICE_RESTARTS, RESTORED_CALLS_MAX, RESTORED_TIMEOUT, RING_DEFAULT,
};
use crate::time::Now;

impl Switchboard {
    /// Calls that were active wait for their parties; others are over.
    pub(super) fn restore(&mut self, now: Now, calls: Vec<UnfinishedCall>) {
        for unfinished in calls {
            let was_active = unfinished.call.status == CallStatus::Answered
                && unfinished.call.connected_at.is_some();
            let both = has_both(&unfinished);
            if was_active && both && self.calls.len() < RESTORED_CALLS_MAX {
                self.take_up(now, unfinished);
            } else {
                self.close_unfinished(unfinished);
            }
        }
    }

    /// INITIATED, RINGING and CONNECTING did not survive.
    fn close_unfinished(&mut self, unfinished: UnfinishedCall) {
        let UnfinishedCall { mut call, parties, heartbeat_at, .. } = unfinished;
        let id = call.call;
        let ended_at = heartbeat_at.or(call.answered_at).unwrap_or(call.started_at);
        let was_active = call.connected_at.is_some();
        call.status = EndReason::ServerRestart.status(was_active);
        call.reason = Some(EndReason::ServerRestart);
        call.ended_at = Some(ended_at);
        call.talk_ms = Some(call.connected_at.map_or(0, |at| span_ms(at, ended_at)));
        // A page that comes back and asks for it hears that it is over.
        let key = |user: &UserId| UserKey { tenant: call.tenant.clone(), user: user.clone() };
        self.ended.insert(id, vec![key(&call.caller), key(&call.callee)]);
        self.store(Some(id), Row::Call(Box::new(call)));
        for mut party in parties {
            party.left_at = Some(ended_at);
            self.store(Some(id), Row::Party(Box::new(party)));
        }
    }

    fn take_up(&mut self, now: Now, unfinished: UnfinishedCall) {
        let UnfinishedCall { call: row, parties, heartbeat_at, events } = unfinished;
        let id = row.call;
        let connected_at = row.connected_at.unwrap_or(row.started_at);
        let alive_at = heartbeat_at.unwrap_or(connected_at).max(connected_at);
        let rows = parties;
        let parties = party_list(&rows);
        let highest = parties.iter().map(|party| party.id.0).max().unwrap_or_default();
        let call = LiveCall {
            id,
            tenant: row.tenant.clone(),
            phase: Phase::Reconnecting,
            next_party: highest + 1,
            rings: Vec::new(),
            caller: Caller {
                user: row.caller.clone(),
                name: row.from_display.clone(),
                is_verified: parties[0].is_verified,
                number: None,
                display: None,
            },
            parties,
            offer: None,
            buffered: Vec::new(),
            is_waiting: false,
            is_silent: false,
            invited_at: now.mono,
            ring_for: RING_DEFAULT,
            ring_ends: None,
            ringing_at: None,
            answered_at: None,
            active_at: None,
            talk_before: Duration::from_millis(span_ms(connected_at, alive_at)),
            reconnecting_since: Some(now.mono),
            longest: CALL_MAX,
            generation: 0,
            offered_by: None,
            restarts_left: ICE_RESTARTS,
            restart_generation: None,
            restored: Some(alive_at),
            events,
            row,
        };
        let keys = call.keys();
        let live: Vec<PartyId> = call.parties.iter().map(|party| party.id).collect();
        let rest = CALL_MAX.saturating_sub(call.talk_before);
        let tenant = call.tenant.clone();
        for (key, party) in keys.into_iter().zip(&call.parties) {
            let identity = || absent_identity(&key, party);
            let user = self.users.entry(key.clone()).or_insert_with(|| User::new(&identity()));
            user.calls.push(id);
        }
        self.live_by_tenant.entry(tenant.clone()).or_default().calls += 1;
        self.weigh_calls(&tenant);
        self.calls.insert(id, call);
        self.timers.set(Timer::Phase(id), now.mono + RESTORED_TIMEOUT);
        self.timers.set(Timer::Limit(id), now.mono + rest);
        self.beat(now, id);
        self.note(now, id, TimelineKind::Restored, About::Call, "");
        // Who had just rejoined stands there twice: who he was has left.
        let is_there = |row: &PartyRow| live.contains(&row.party);
        for mut row in rows.into_iter().filter(|row| !is_there(row)) {
            row.left_at = Some(alive_at);
            self.store(Some(id), Row::Party(Box::new(row)));
        }
    }
}

/// The parties in order, the caller first; their pages are gone.
fn party_list(rows: &[PartyRow]) -> Vec<Party> {
    let party = |row: &PartyRow| Party {
        name: row.name.clone(),
        is_verified: row.is_verified,
        user_role: row.user_role,
        device: row.device.clone(),
        path: row.path,
        signaling_lost: true,
        joined_at_unix_ms: row.joined_at,
        ..Party::absent(PartyId(row.party.0), row.role, row.user.clone())
    };
    let mut parties: Vec<Party> = rows.iter().map(party).collect();
    parties.sort_by_key(|party| (party.role, std::cmp::Reverse(party.id)));
    // Of one end there is one: the latest, if an old row was not closed.
    parties.dedup_by_key(|party| party.role);
    parties
}

fn has_both(unfinished: &UnfinishedCall) -> bool {
    let has = |role| unfinished.parties.iter().any(|party| party.role == role);
    has(PartyRole::Caller) && has(PartyRole::Callee)
}

/// What is known of a user who is not there.
fn absent_identity(key: &UserKey, party: &Party) -> Identity {
    Identity {
        tenant: key.tenant.clone(),
        user: key.user.clone(),
        role: party.user_role.unwrap_or(Role::Member),
        name: party.name.clone(),
        is_verified: party.is_verified,
        expires_at_unix_s: None,
        contact: None,
        number: None,
    }
}

fn span_ms(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(0)
}
