//! Everything that happens by itself, in one queue: what, and when.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use super::contract::Ticket;
use super::ulid::{CallId, SessionId};
use super::user::UserKey;
use crate::auth::identity::{Role, TenantId};

/// What is due. Each is set once at the most; to set it again moves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A lost session did not come back.
    SessionGone(SessionId),
    /// Its token is about to expire.
    TokenExpiring(SessionId),
    /// Its token has.
    TokenExpired(SessionId),
    /// Its ICE config gets old.
    IceRefresh(SessionId),
    /// Changes of presence may be told to all who watch a role. Before the next one: of two at the
    /// same time this one is first.
    RoleDiff(TenantId, Role),
    /// Changes of presence may be told to one.
    PresenceDiff(SessionId),
    /// The user's last socket was lost a while ago.
    UserOffline(UserKey),
    /// Nothing about the user needs to be remembered any more.
    UserForgotten(UserKey),
    /// Every device should have said that it rings.
    Route(CallId),
    /// The call's present phase has lasted long enough.
    Phase(CallId),
    /// The caller of an unanswered call did not come back.
    CallerGrace(CallId),
    /// One side has had media alone for a while.
    ConnectedAlone(CallId),
    /// The call has lasted long enough.
    Limit(CallId),
    /// A backend did not answer.
    Ask(Ticket),
    /// Live calls are noted.
    Heartbeat,
}

/// Timers by time.
#[derive(Debug, Default)]
pub(super) struct Timers {
    at_by_timer: HashMap<Timer, Instant>,
    due: BTreeSet<(Instant, Timer)>,
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Instant) {
        if let Some(before) = self.at_by_timer.insert(timer.clone(), at) {
            self.due.remove(&(before, timer.clone()));
        }
        self.due.insert((at, timer));
    }

    pub(super) fn cancel(&mut self, timer: Timer) {
        if let Some(at) = self.at_by_timer.remove(&timer) {
            self.due.remove(&(at, timer));
        }
    }

    pub(super) fn at(&self, timer: &Timer) -> Option<Instant> {
        self.at_by_timer.get(timer).copied()
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.due.pop_first()?;
        self.at_by_timer.remove(&timer);
        Some(timer)
    }
}
