//! `user.block`: calls of somebody ring nowhere, and he cannot tell (P31).
//!
//! Whom he calls answers by every rule as if there were no block; only where devices would ring,
//! none does, and the call ends as one that nobody answered.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::contract::{Output, StoreFailed, Ticket};
use super::event::{CancelReason, Event, Reply};
use super::live_call::{LiveCall, Phase};
use super::record::About;
use super::refusal::{ErrorCode, Refusal};
use super::rows::{BlockRow, Row, TimelineKind};
use super::state::EndReason;
use super::switchboard::{Asked, DONE, Outcome, Switchboard};
use super::timers::Timer;
use super::ulid::{CallId, SessionId};
use super::user::UserKey;
use crate::auth::identity::UserId;
use crate::limits::call::{
    BLOCKED_RING_MAX, BLOCKED_RING_MIN, BLOCKS_MAX, BLOCKS_OF_GUESTS_MAX, BLOCKS_PER_USER_MAX,
    ROUTE_TIMEOUT_LOST, STORES_PENDING_MAX,
};
use crate::time::Now;

/// Who wants to hear nothing of whom.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    blocked_by_user: HashMap<UserKey, BTreeSet<UserId>>,
    count: usize,
    /// Those of guests, who are never seen again: Unix milliseconds of their end.
    ending: BTreeSet<(i64, UserKey, UserId)>,
    /// On their way to the record.
    storing: BTreeMap<Ticket, Storing>,
}

#[derive(Debug)]
struct Storing {
    asked: Asked,
    key: UserKey,
    row: BlockRow,
    is_blocked: bool,
}

impl Blocks {
    pub(super) fn is_storing(&self) -> bool {
        !self.storing.is_empty()
    }

    fn holds(&self, key: &UserKey, other: &UserId) -> bool {
        self.blocked_by_user.get(key).is_some_and(|blocked| blocked.contains(other))
    }

    /// `false`: it is so already.
    fn set(&mut self, key: &UserKey, row: &BlockRow, is_blocked: bool) -> bool {
        let ending = row.until.map(|until| (until, key.clone(), row.blocked.clone()));
        if is_blocked {
            let blocked = self.blocked_by_user.entry(key.clone()).or_default();
            let is_new = blocked.insert(row.blocked.clone());
            self.count += usize::from(is_new);
            self.ending.extend(ending.filter(|_| is_new));
            is_new
        } else {
            let Some(blocked) = self.blocked_by_user.get_mut(key) else { return false };
            let was_there = blocked.remove(&row.blocked);
            if blocked.is_empty() {
                self.blocked_by_user.remove(key);
            }
            self.count -= usize::from(was_there);
            // Its end may have been another one, by another token.
            self.ending.retain(|(_, of, other)| (of, other) != (key, &row.blocked));
            was_there
        }
    }

    /// Guests whose tokens are over block nobody.
    fn forget_ended(&mut self, now: Now) {
        while let Some((until, key, other)) = self.ending.first().cloned() {
            if until > now.unix_ms {
                return;
            }
            let row = BlockRow::of(&key, other, now, Some(until));
            self.set(&key, &row, false);
        }
    }

    fn check_room(&self, key: &UserKey, is_guest: bool) -> Result<(), Refusal> {
        let own = self.blocked_by_user.get(key).map_or(0, BTreeSet::len);
        let message = if own >= BLOCKS_PER_USER_MAX {
            "you have blocked as many users as may be; unblock some first"
        } else if self.count >= BLOCKS_MAX || is_guest && self.ending.len() >= BLOCKS_OF_GUESTS_MAX
        {
            "as many users are blocked here as may be"
        } else {
            return Ok(());
        };
        Err(Refusal::new(ErrorCode::QuotaExceeded, message))
    }
}

impl Switchboard {
    /// `user.block`; answered when it is durable.
    pub(super) fn user_block(&mut self, now: Now, asked: &Asked, other: UserId) -> Outcome {
        let Some(session) = self.sessions.get(asked.session) else { return Ok(None) };
        let key = session.key.clone();
        if key.user == other {
            return Err(Refusal::bad("user", "this is yourself"));
        }
        let end = session.identity.expires_at_unix_s.map(|end| end.saturating_mul(1000));
        let until = end.filter(|_| !session.identity.is_verified);
        self.blocks.forget_ended(now);
        if !self.blocks.holds(&key, &other) {
            self.blocks.check_room(&key, until.is_some())?;
        }
        let row = BlockRow::of(&key, other, now, until);
        self.change_block(now, asked, key, row, true)
    }

    /// `user.unblock`; answered when it is durable.
    pub(super) fn user_unblock(&mut self, now: Now, asked: &Asked, other: UserId) -> Outcome {
        let Some(session) = self.sessions.get(asked.session) else { return Ok(None) };
        let key = session.key.clone();
        let row = BlockRow::of(&key, other, now, None);
        self.change_block(now, asked, key, row, false)
    }

    /// `user.blocked`.
    pub(super) fn blocked_users(&mut self, now: Now, session: SessionId) -> Outcome {
        self.blocks.forget_ended(now);
        let Some(session) = self.sessions.get(session) else { return Ok(None) };
        let blocked = self.blocks.blocked_by_user.get(&session.key);
        Ok(Some(Reply::Blocked(blocked.into_iter().flatten().cloned().collect())))
    }

    /// Whether calls of `caller` ring nowhere at this user's.
    pub(super) fn has_blocked(&mut self, now: Now, callee: &UserKey, caller: &UserId) -> bool {
        self.blocks.forget_ended(now);
        self.blocks.holds(callee, caller)
    }

    fn change_block(
        &mut self,
        now: Now,
        asked: &Asked,
        key: UserKey,
        row: BlockRow,
        is_blocked: bool,
    ) -> Outcome {
        if self.storing.len() + self.blocks.storing.len() >= STORES_PENDING_MAX {
            return Err(not_stored());
        }
        let changed = self.blocks.set(&key, &row, is_blocked);
        if !changed && !self.blocks.is_storing() {
            return DONE;
        }
        let ticket = self.ticket();
        let stored = Box::new(row.clone());
        let store = if is_blocked { Row::Block(stored) } else { Row::Unblock(stored) };
        if changed && is_blocked {
            self.silence_calls(now, asked.session, &key, &row.blocked);
        }
        self.blocks.storing.insert(ticket, Storing { asked: asked.clone(), key, row, is_blocked });
        self.outputs.push_back(Output::Store { ticket, row: store });
        Ok(None)
    }

    /// The answer of the record; `false` if it is about something else. What is not durable is taken
    /// back: he is told that nothing has changed.
    pub(super) fn block_stored(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<(), StoreFailed>,
    ) -> bool {
        let Some(Storing { asked, key, row, is_blocked }) = self.blocks.storing.remove(&ticket)
        else {
            return false;
        };
        match result {
            Ok(()) => self.answer(now, &asked, Ok(Reply::Done)),
            Err(StoreFailed) => {
                let is_same =
                    |later: &Storing| later.key == key && later.row.blocked == row.blocked;
                if !self.blocks.storing.values().any(is_same) {
                    self.blocks.set(&key, &row, !is_blocked);
                }
                self.answer(now, &asked, Err(not_stored()));
            }
        }
        true
    }

    /// What the record holds, before the first connection.
    pub(super) fn load_blocks(&mut self, rows: Vec<BlockRow>) {
        for row in rows.into_iter().take(BLOCKS_MAX) {
            let key = UserKey { tenant: row.tenant.clone(), user: row.user.clone() };
            self.blocks.set(&key, &row, true);
        }
    }

    /// What rings from him at this moment stops, and goes on ringing for him alone.
    fn silence_calls(&mut self, now: Now, by: SessionId, key: &UserKey, caller: &UserId) {
        let calls = self.users.get(key).map(|user| user.calls.clone()).unwrap_or_default();
        let is_it = |call: &LiveCall| {
            !call.is_answered() && call.caller().user == *caller && call.callee().user == key.user
        };
        for id in calls {
            if !self.calls.get(id).is_some_and(is_it) {
                continue;
            }
            let Some(call) = self.calls.get_mut(id) else { continue };
            call.is_silent = true;
            let rings = std::mem::take(&mut call.rings);
            if let Some(user) = self.users.get_mut(key) {
                user.calls.retain(|other| *other != id);
            }
            let label = self.sessions.get(by).map(|by| by.device.label.clone());
            // The device that asked, too: it knows of a user, not of his calls.
            for ring in rings.iter().filter(|ring| ring.is_told()) {
                let (reason, by) = (CancelReason::RejectedElsewhere, label.clone());
                self.tell(now, ring.session, Event::CallCancelled { call: id, reason, by });
            }
            self.ring_in_vain(now, id);
            self.presence_may_have_changed(now, key, false);
        }
    }

    /// No device is told. Where one could be, it seems to ring a moment later.
    pub(super) fn ring_in_vain(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get(id) else { return };
        let (phase, callee) = (call.phase, call.callee().id);
        let spread = (BLOCKED_RING_MAX - BLOCKED_RING_MIN).as_millis().max(1);
        let more = u64::try_from(self.entropy.bits() % spread).unwrap_or(0);
        self.note(now, id, TimelineKind::Blocked, About::Party(callee), "");
        if phase == Phase::Initiated {
            let after = BLOCKED_RING_MIN + Duration::from_millis(more);
            self.timers.set(Timer::Route(id), now.mono + after);
        }
    }

    /// The moment is over; or the callee's pages, all of them lost, had time to come back.
    pub(super) fn silent_route_over(&mut self, now: Now, id: CallId) {
        let Some(call) = self.calls.get(id) else { return };
        let patience = call.invited_at + ROUTE_TIMEOUT_LOST;
        let callee = call.keys().pop().and_then(|key| self.users.get(&key));
        let is_there = callee.is_some_and(|user| {
            let mut devices = user.sessions.iter().filter_map(|id| self.sessions.get(*id));
            devices.any(|device| device.is_connected())
        });
        if call.phase != Phase::Initiated {
            return;
        }
        if is_there {
            let about = About::Party(call.callee().id);
            self.begin_ringing(now, id, about);
        } else if now.mono < patience {
            self.timers.set(Timer::Route(id), patience);
        } else {
            self.end_call(now, id, EndReason::CalleeOffline);
        }
    }
}

impl BlockRow {
    fn of(key: &UserKey, blocked: UserId, now: Now, until: Option<i64>) -> Self {
        let (tenant, user) = (key.tenant.clone(), key.user.clone());
        Self { tenant, user, blocked, at: now.unix_ms, until }
    }
}

fn not_stored() -> Refusal {
    Refusal::new(ErrorCode::StoreUnavailable, "it cannot be kept on record; nothing has changed")
}
