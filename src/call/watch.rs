//! Presence: what users say of themselves, who may see it, and telling them, not too often (P27).

use std::collections::BTreeSet;
use std::time::Instant;

use super::event::Event;
use super::presence::{PresenceEntry, PresenceStatus};
use super::refusal::{ErrorCode, Refusal};
use super::request::{PresenceSet, PresenceSubscribe};
use super::session::Session;
use super::switchboard::{Asked, DONE, Outcome, Switchboard};
use super::timers::Timer;
use super::ulid::SessionId;
use super::user::UserKey;
use crate::auth::identity::{Role, TenantId, UserId};
use crate::limits::call::{
    PRESENCE_DIFF_INTERVAL, PRESENCE_DIRTY_MAX, PRESENCE_ENTRIES_MAX, PRESENCE_NOTE_BYTES_MAX,
    PRESENCE_OFFLINE_AFTER, SUBSCRIBED_USERS_MAX, SUBSCRIPTIONS_PER_TENANT_MAX,
    USERS_REMEMBERED_MAX,
};
use crate::time::Now;

impl Switchboard {
    /// `presence.set`.
    pub(super) fn presence_set(&mut self, now: Now, id: SessionId, set: PresenceSet) -> Outcome {
        let Some(session) = self.sessions.get_mut(id) else { return DONE };
        session.rates.presence(now.mono)?;
        if set.note.as_ref().is_some_and(|note| note.len() > PRESENCE_NOTE_BYTES_MAX) {
            return Err(Refusal::too_large("note"));
        }
        session.status = set.status;
        let key = session.key.clone();
        let mut is_new_note = false;
        if let Some(user) = self.users.get_mut(&key) {
            user.when_busy = set.when_busy.or(user.when_busy);
            is_new_note = user.note != set.note;
            user.note = set.note;
        }
        self.presence_may_have_changed(now, &key, is_new_note);
        DONE
    }

    /// `presence.subscribe`. The reply comes before the snapshot.
    pub(super) fn presence_subscribe(
        &mut self,
        now: Now,
        asked: &Asked,
        who: PresenceSubscribe,
    ) -> Outcome {
        let id = asked.session;
        let Some(session) = self.sessions.get_mut(id) else { return DONE };
        session.rates.presence(now.mono)?;
        // P27: visitors see nobody.
        if session.identity.role == Role::Visitor {
            return Err(Refusal::new(ErrorCode::Forbidden, "visitors see nobody's presence"));
        }
        let key = session.key.clone();
        let before = session.subscription.clone();
        let named = |who: &PresenceSubscribe| match who {
            PresenceSubscribe::Users(users) => users.len(),
            PresenceSubscribe::Role(_) | PresenceSubscribe::Nothing => 0,
        };
        let who = without_repetition(who);
        if named(&who) > SUBSCRIBED_USERS_MAX {
            return Err(Refusal::too_large("users"));
        }
        let tenant = self.live_by_tenant.entry(key.tenant.clone()).or_default();
        let subscriptions = tenant.subscriptions - named(&before) + named(&who);
        if subscriptions > SUBSCRIPTIONS_PER_TENANT_MAX {
            let message = "the tenant watches as many users as it may";
            return Err(Refusal::new(ErrorCode::QuotaExceeded, message));
        }
        self.watch(&key, id, &before, false);
        self.watch(&key, id, &who, true);
        if let Some(session) = self.sessions.get_mut(id) {
            session.subscription = who.clone();
            session.dirty.clear();
        }
        self.answer(now, asked, Ok(super::event::Reply::Done));
        self.snapshot(now, id);
        Ok(None)
    }

    /// Nothing more is told to this one.
    pub(super) fn unsubscribe(&mut self, session: &Session) {
        self.watch(&session.key, session.id, &session.subscription, false);
    }

    /// Notes, or takes back, that `id` wants to know of `who`.
    fn watch(&mut self, key: &UserKey, id: SessionId, who: &PresenceSubscribe, is_on: bool) {
        let tenant = self.live_by_tenant.entry(key.tenant.clone()).or_default();
        match who {
            PresenceSubscribe::Nothing => {}
            PresenceSubscribe::Role(role) if is_on => {
                tenant.watch_by_role.entry(*role).or_default().watchers.insert(id);
            }
            PresenceSubscribe::Role(role) => self.unwatch_role(&key.tenant, *role, id),
            PresenceSubscribe::Users(users) => {
                match is_on {
                    true => tenant.subscriptions += users.len(),
                    false => tenant.subscriptions -= users.len(),
                }
                for user in users {
                    let watched = key.beside(user);
                    let watchers = self.watchers_by_user.entry(watched.clone()).or_default();
                    if is_on {
                        watchers.insert(id);
                    } else {
                        watchers.remove(&id);
                        if watchers.is_empty() {
                            self.watchers_by_user.remove(&watched);
                        }
                    }
                }
            }
        }
    }

    pub(super) fn snapshot(&mut self, now: Now, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.subscription == PresenceSubscribe::Nothing {
            return;
        }
        session.last_diff = Some(now.mono);
        let (key, viewer) = (session.key.clone(), session.identity.role);
        let users: Vec<UserId> = match &session.subscription {
            PresenceSubscribe::Nothing => Vec::new(),
            PresenceSubscribe::Users(users) => users.clone(),
            PresenceSubscribe::Role(role) => {
                let tenant = self.live_by_tenant.get(&key.tenant);
                let there = tenant.and_then(|tenant| tenant.users_by_role.get(role));
                let there = there.into_iter().flatten();
                there.take(PRESENCE_ENTRIES_MAX + 1).cloned().collect()
            }
        };
        let is_truncated = users.len() > PRESENCE_ENTRIES_MAX;
        let shown = users.iter().take(PRESENCE_ENTRIES_MAX);
        let entries = shown.map(|user| self.entry(&key.beside(user), viewer)).collect();
        self.tell(now, id, Event::PresenceSnapshot { entries, is_truncated });
    }

    /// How somebody is, as `viewer` may see it.
    pub(super) fn entry(&self, key: &UserKey, viewer: Role) -> PresenceEntry {
        let user = self
            .users
            .get(key)
            .filter(|user| user.shown != PresenceStatus::Offline && may_see(viewer, user.role));
        match user {
            Some(user) => user.entry(&key.user),
            None => PresenceEntry {
                user: key.user.clone(),
                name: "".into(),
                role: None,
                status: PresenceStatus::Offline,
                note: None,
            },
        }
    }

    /// Tells who watches `key`, if there is something to tell.
    pub(super) fn presence_may_have_changed(&mut self, now: Now, key: &UserKey, must: bool) {
        let Some(user) = self.users.get(key) else { return };
        let connected = user.sessions.iter().filter_map(|id| self.sessions.get(*id));
        let connected: Vec<_> = connected.filter(|session| session.is_connected()).collect();
        // Until the last lost socket has been lost for a while, he is as he was.
        if connected.is_empty() && self.timers.at(&Timer::UserOffline(key.clone())).is_some() {
            return;
        }
        let is_talking = user
            .calls
            .iter()
            .filter_map(|call| self.calls.get(*call))
            .any(|call| call.is_answered() || call.caller().user == key.user);
        let devices = connected.iter().map(|session| session.status);
        let status = PresenceStatus::of(devices, is_talking && !connected.is_empty());
        if status == user.shown && !must {
            return;
        }
        let role = user.role;
        if let Some(user) = self.users.get_mut(key) {
            user.shown = status;
        }
        let tenant = self.live_by_tenant.entry(key.tenant.clone()).or_default();
        let there = tenant.users_by_role.entry(role).or_default();
        match status {
            PresenceStatus::Offline => there.remove(&key.user),
            PresenceStatus::Online
            | PresenceStatus::Away
            | PresenceStatus::Busy
            | PresenceStatus::Dnd => there.insert(key.user.clone()),
        };
        self.role_changed(now, key, role);
        let watchers = self.watchers_by_user.get(key).cloned().unwrap_or_default();
        for watcher in watchers {
            self.mark(now, watcher, &key.user, now.mono);
        }
    }

    /// Notes for one watcher that `user` changed; he is told at `soonest`, or later.
    pub(super) fn mark(&mut self, now: Now, id: SessionId, user: &UserId, soonest: Instant) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.dirty.len() < PRESENCE_DIRTY_MAX {
            session.dirty.insert(user.clone());
        } else {
            session.wants_snapshot = true;
        }
        if session.is_connected() && self.timers.at(&Timer::PresenceDiff(id)).is_none() {
            let next = session.last_diff.map_or(now.mono, |at| at + PRESENCE_DIFF_INTERVAL);
            self.timers.set(Timer::PresenceDiff(id), next.max(soonest));
        }
    }

    /// Tells what has changed, as it is by then; later if the client is slow.
    pub(super) fn tell_presence(&mut self, now: Now, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.dirty.is_empty() || !session.is_connected() {
            return;
        }
        let later = now.mono + PRESENCE_DIFF_INTERVAL;
        if session.outbox.is_half_full() {
            return self.timers.set(Timer::PresenceDiff(id), later);
        }
        if std::mem::take(&mut session.wants_snapshot) {
            session.dirty.clear();
            return self.snapshot(now, id);
        }
        let mut changed = BTreeSet::new();
        while changed.len() < PRESENCE_ENTRIES_MAX
            && let Some(user) = session.dirty.pop_first()
        {
            changed.insert(user);
        }
        if !session.dirty.is_empty() {
            self.timers.set(Timer::PresenceDiff(id), later);
        }
        session.last_diff = Some(now.mono);
        let (key, viewer) = (session.key.clone(), session.identity.role);
        let entries = changed.iter().map(|user| self.entry(&key.beside(user), viewer)).collect();
        self.tell(now, id, Event::PresenceDiff { entries });
    }

    /// A lost subscriber is back: what changed meanwhile is told.
    pub(super) fn subscriber_returned(&mut self, now: Now, id: SessionId) {
        let is_owed = self.sessions.get(id).is_some_and(|session| !session.dirty.is_empty());
        if is_owed {
            self.timers.set(Timer::PresenceDiff(id), now.mono);
        }
    }

    /// A socket of the user is there; his name and role are those of its token.
    pub(super) fn user_came(&mut self, now: Now, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let (key, identity) = (session.key.clone(), session.identity.clone());
        self.timers.cancel(Timer::UserOffline(key.clone()));
        let Some(user) = self.users.get_mut(&key) else { return };
        let is_new = user.name != identity.name || user.role != identity.role;
        user.name = identity.name;
        let before = std::mem::replace(&mut user.role, identity.role);
        if before != identity.role
            && let Some(tenant) = self.live_by_tenant.get_mut(&key.tenant)
        {
            tenant.users_by_role.entry(before).or_default().remove(&key.user);
            self.role_changed(now, &key, before);
        }
        self.presence_may_have_changed(now, &key, is_new);
    }

    /// A socket of the user is lost.
    pub(super) fn user_went(&mut self, now: Now, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let key = session.key.clone();
        self.user_left(now, &key);
    }

    /// The same, or a session of his is over.
    pub(super) fn user_left(&mut self, now: Now, key: &UserKey) {
        let Some(user) = self.users.get(key) else { return };
        let mut sessions = user.sessions.iter().filter_map(|id| self.sessions.get(*id));
        let is_connected = sessions.any(Session::is_connected);
        let timer = Timer::UserOffline(key.clone());
        if !is_connected
            && user.shown != PresenceStatus::Offline
            && self.timers.at(&timer).is_none()
        {
            self.timers.set(timer, now.mono + PRESENCE_OFFLINE_AFTER);
        }
        self.presence_may_have_changed(now, key, false);
        self.forget_user_if_gone(now, key);
    }

    pub(super) fn user_offline(&mut self, now: Now, key: &UserKey) {
        self.presence_may_have_changed(now, key, false);
        self.forget_user_if_gone(now, key);
    }

    /// Forgets a user without session and call, once nothing about him matters.
    pub(super) fn forget_user_if_gone(&mut self, now: Now, key: &UserKey) {
        let Some(user) = self.users.get(key) else { return };
        let is_there = !user.sessions.is_empty()
            || !user.calls.is_empty()
            || self.timers.at(&Timer::UserOffline(key.clone())).is_some();
        if is_there {
            return;
        }
        let timer = Timer::UserForgotten(key.clone());
        if self.timers.at(&timer).is_some() {
            return;
        }
        match user.matters_until() {
            Some(until) if until > now.mono && self.users_remembered < USERS_REMEMBERED_MAX => {
                self.users_remembered += 1;
                self.timers.set(timer, until);
            }
            _ => self.drop_user(key),
        }
    }

    pub(super) fn forget_user(&mut self, _now: Now, key: &UserKey) {
        self.users_remembered -= 1;
        self.drop_user(key);
    }

    fn drop_user(&mut self, key: &UserKey) {
        self.users.remove(key);
        self.forget_tenant_if_empty(&key.tenant);
    }

    pub(super) fn forget_tenant_if_empty(&mut self, tenant: &TenantId) {
        if self.live_by_tenant.get(tenant).is_some_and(super::user::TenantLive::is_empty) {
            self.live_by_tenant.remove(tenant);
        }
    }
}

/// P27: customers see those who serve them; visitors nobody.
fn may_see(viewer: Role, shown: Role) -> bool {
    match viewer {
        Role::Owner | Role::Admin | Role::Agent | Role::Member | Role::Service => true,
        Role::PortalCustomer => match shown {
            Role::Owner | Role::Admin | Role::Agent => true,
            Role::Member | Role::PortalCustomer | Role::Visitor | Role::Service => false,
        },
        Role::Visitor => false,
    }
}

fn without_repetition(who: PresenceSubscribe) -> PresenceSubscribe {
    match who {
        PresenceSubscribe::Users(mut users) => {
            users.sort();
            users.dedup();
            PresenceSubscribe::Users(users)
        }
        PresenceSubscribe::Role(_) | PresenceSubscribe::Nothing => who,
    }
}
