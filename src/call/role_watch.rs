//! Watching everybody of a role: what changes is noted once, made once, and told to all watchers.
//!
//! A page that shows who is there watches a role. Were each change noted for each watcher, a tenant
//! with n pages would pay n times for each call that begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::event::Event;
use super::presence::PresenceEntry;
use super::switchboard::Switchboard;
use super::timers::Timer;
use super::ulid::SessionId;
use super::user::UserKey;
use crate::auth::identity::{Role, TenantId, UserId};
use crate::limits::call::{PRESENCE_DIFF_INTERVAL, PRESENCE_ENTRIES_MAX};
use crate::time::Now;

/// Who watches a role of a tenant, and what they are owed.
#[derive(Debug, Default)]
pub(super) struct RoleWatch {
    pub(super) watchers: BTreeSet<SessionId>,
    /// Whose presence changed since it was told; at most all users there are.
    dirty: BTreeSet<UserId>,
    last_diff: Option<Instant>,
}

impl Switchboard {
    /// Somebody who has, or had, this role is not as he was.
    pub(super) fn role_changed(&mut self, now: Now, key: &UserKey, role: Role) {
        let tenant = self.live_by_tenant.get_mut(&key.tenant);
        let Some(watch) = tenant.and_then(|tenant| tenant.watch_by_role.get_mut(&role)) else {
            return;
        };
        watch.dirty.insert(key.user.clone());
        let timer = Timer::RoleDiff(key.tenant.clone(), role);
        if self.timers.at(&timer).is_none() {
            let next = watch.last_diff.map_or(now.mono, |at| at + PRESENCE_DIFF_INTERVAL);
            self.timers.set(timer, next.max(now.mono));
        }
    }

    /// This one watches the role no more.
    pub(super) fn unwatch_role(&mut self, tenant: &TenantId, role: Role, id: SessionId) {
        let Some(live) = self.live_by_tenant.get_mut(tenant) else { return };
        let Some(watch) = live.watch_by_role.get_mut(&role) else { return };
        watch.watchers.remove(&id);
        if watch.watchers.is_empty() {
            live.watch_by_role.remove(&role);
            self.timers.cancel(Timer::RoleDiff(tenant.clone(), role));
        }
    }

    /// Tells all watchers of a role what has changed, as it is by then.
    ///
    /// Who was told something less than a second ago, is slow or lost, or is owed more than the
    /// others has it noted and is told by himself: a second later, which is when all others hear
    /// the next news, so that from then on he is one of them.
    pub(super) fn tell_role(&mut self, now: Now, tenant: &TenantId, role: Role) {
        let live = self.live_by_tenant.get_mut(tenant);
        let Some(watch) = live.and_then(|live| live.watch_by_role.get_mut(&role)) else { return };
        let later = now.mono + PRESENCE_DIFF_INTERVAL;
        let mut changed = Vec::new();
        while changed.len() < PRESENCE_ENTRIES_MAX
            && let Some(user) = watch.dirty.pop_first()
        {
            changed.push(user);
        }
        watch.last_diff = Some(now.mono);
        if !watch.dirty.is_empty() {
            self.timers.set(Timer::RoleDiff(tenant.clone(), role), later);
        }
        let watchers = watch.watchers.clone();
        // Users of different roles do not see the same.
        let mut event_by_viewer = BTreeMap::new();
        for id in watchers {
            let Some(session) = self.sessions.get_mut(id) else { continue };
            let is_soon =
                session.last_diff.is_some_and(|at| at + PRESENCE_DIFF_INTERVAL > now.mono);
            let is_one_of_all = session.is_connected()
                && session.dirty.is_empty()
                && !is_soon
                && !session.outbox.is_half_full();
            if is_one_of_all {
                session.last_diff = Some(now.mono);
                let viewer = session.identity.role;
                let event = event_by_viewer
                    .entry(viewer)
                    .or_insert_with(|| Arc::new(self.diff(tenant, &changed, viewer)));
                let event = Arc::clone(event);
                self.tell_shared(now, id, event);
            } else {
                for user in &changed {
                    self.mark(now, id, user, later);
                }
            }
        }
    }

    fn diff(&self, tenant: &TenantId, changed: &[UserId], viewer: Role) -> Event {
        let key = |user: &UserId| UserKey { tenant: tenant.clone(), user: user.clone() };
        let entries: Vec<PresenceEntry> =
            changed.iter().map(|user| self.entry(&key(user), viewer)).collect();
        Event::PresenceDiff { entries }
    }
}
