//! Users and tenants as they are while somebody is there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::presence::{PresenceEntry, PresenceStatus};
use super::rates::take;
use super::refusal::{ErrorCode, Refusal};
use super::request::WhenBusy;
use super::role_watch::RoleWatch;
use super::ulid::{CallId, SessionId};
use crate::auth::identity::{Identity, Role, TenantId, UserId};
use crate::limits::call::UNANSWERED_WINDOW;
use crate::policy::rate::TokenBucket;

/// A user and the tenant without which he is nobody: users are only ever looked up by both.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct UserKey {
    pub(super) tenant: TenantId,
    pub(super) user: UserId,
}

impl UserKey {
    pub(super) fn of(identity: &Identity) -> Self {
        Self { tenant: identity.tenant.clone(), user: identity.user.clone() }
    }

    /// Somebody in the same tenant.
    pub(super) fn beside(&self, user: &UserId) -> Self {
        Self { tenant: self.tenant.clone(), user: user.clone() }
    }
}

/// A user with a session, a call, or something to be remembered.
#[derive(Debug)]
pub(super) struct User {
    /// Oldest first.
    pub(super) sessions: Vec<SessionId>,
    /// In which he is caller or callee, oldest first.
    pub(super) calls: Vec<CallId>,
    pub(super) name: Box<str>,
    pub(super) role: Role,
    pub(super) note: Option<Box<str>>,
    pub(super) when_busy: Option<WhenBusy>,
    /// As others were told last.
    pub(super) shown: PresenceStatus,
    invites: TokenBucket,
    invites_per_minute: u32,
    last_invite: Option<Instant>,
    /// Whom he called in vain, and when.
    unanswered: VecDeque<(Instant, UserId)>,
}

/// What an invite costs, so that a bucket that fills by the minute's number a second lets the
/// minute's number through.
const INVITE_TOKENS: u32 = 60;

impl User {
    pub(super) fn new(identity: &Identity) -> Self {
        Self {
            sessions: Vec::new(),
            calls: Vec::new(),
            name: identity.name.clone(),
            role: identity.role,
            note: None,
            when_busy: None,
            shown: PresenceStatus::Offline,
            invites: TokenBucket::new(0, 0),
            invites_per_minute: 0,
            last_invite: None,
            unanswered: VecDeque::new(),
        }
    }

    /// Counts an invite.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(super) fn take_invite(&mut self, now: Instant, per_minute: u32) -> Result<(), Refusal> {
        if self.invites_per_minute != per_minute {
            self.invites_per_minute = per_minute;
            let burst = per_minute.saturating_mul(INVITE_TOKENS);
            self.invites = TokenBucket::new(per_minute, burst);
        }
        take(&mut self.invites, now, INVITE_TOKENS, "invites")?;
        self.last_invite = Some(now);
        Ok(())
    }

    /// # Errors
    /// `rate_limited` if he called `callee` in vain `max` times lately (P31). A person who tries again
    /// is no flood.
    pub(super) fn may_call_again(
        &mut self,
        now: Instant,
        callee: &UserId,
        max: usize,
    ) -> Result<(), Refusal> {
        self.forget_unanswered(now);
        let mut times = self.unanswered.iter().filter(|(_, user)| user == callee);
        let Some(&(first, _)) = times.next() else { return Ok(()) };
        if 1 + times.count() < max {
            return Ok(());
        }
        let wait = (first + UNANSWERED_WINDOW).saturating_duration_since(now);
        let message = "too many unanswered calls to this user; try again later";
        let refusal = Refusal::new(ErrorCode::RateLimited, message);
        Err(Refusal { retry_after: Some(wait), ..refusal })
    }

    /// Notes that `callee` did not answer. Bounded by the invites a minute.
    pub(super) fn was_not_answered(&mut self, now: Instant, callee: &UserId) {
        self.forget_unanswered(now);
        self.unanswered.push_back((now, callee.clone()));
    }

    /// Notes that he did.
    pub(super) fn was_answered(&mut self, callee: &UserId) {
        self.unanswered.retain(|(_, user)| user != callee);
    }

    fn forget_unanswered(&mut self, now: Instant) {
        while self.unanswered.front().is_some_and(|(at, _)| *at + UNANSWERED_WINDOW <= now) {
            self.unanswered.pop_front();
        }
    }

    /// Until when something about him matters although he is gone.
    pub(super) fn matters_until(&self) -> Option<Instant> {
        let invites = self.last_invite.map(|at| at + std::time::Duration::from_secs(60));
        let unanswered = self.unanswered.back().map(|(at, _)| *at + UNANSWERED_WINDOW);
        invites.max(unanswered)
    }

    pub(super) fn entry(&self, user: &UserId) -> PresenceEntry {
        PresenceEntry {
            user: user.clone(),
            name: self.name.clone(),
            role: Some(self.role),
            status: self.shown,
            note: self.note.clone(),
        }
    }
}

/// A tenant in which somebody is.
#[derive(Debug, Default)]
pub(super) struct TenantLive {
    pub(super) sessions: usize,
    pub(super) calls: usize,
    /// Whether so many calls are near the bound, as was last said.
    pub(super) is_near_bound: bool,
    /// Users named in subscriptions.
    pub(super) subscriptions: usize,
    /// Who is there, by role.
    pub(super) users_by_role: BTreeMap<Role, BTreeSet<UserId>>,
    /// Who wants to know, by role; only roles that somebody watches.
    pub(super) watch_by_role: BTreeMap<Role, RoleWatch>,
}

impl TenantLive {
    pub(super) fn is_empty(&self) -> bool {
        let Self { sessions, calls, is_near_bound: _, subscriptions, users_by_role, watch_by_role } =
            self;
        *sessions == 0
            && *calls == 0
            && *subscriptions == 0
            && users_by_role.values().all(BTreeSet::is_empty)
            && watch_by_role.is_empty()
    }
}
