//! Users who are not welcome any more, however right their credentials are.

use std::collections::HashMap;

use super::allocation::Allocation;
use super::contract::{Command, Input};
use super::fact::EndReason;
use super::relay::Relay;
use crate::auth::whom::plain_name;
use crate::limits::revocation::REVOCATIONS_MAX;
use crate::time::Now;

/// A user whose credentials are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// User by which quotas count.
    pub user: Box<str>,
    /// Until then, milliseconds since 1970; `None`: until it is undone.
    pub until_unix_ms: Option<i64>,
}

/// All of them, at most [`REVOCATIONS_MAX`].
#[derive(Debug, Default)]
pub(super) struct Revocations {
    until_by_user: HashMap<Box<str>, i64>,
}

impl Revocations {
    pub(super) fn new(list: Vec<Revocation>) -> Self {
        let mut revocations = Self::default();
        for revocation in list.into_iter().take(REVOCATIONS_MAX) {
            revocations.add(revocation);
        }
        revocations
    }

    pub(super) fn holds(&self, now: Now, user: &str) -> bool {
        // Most servers revoke nobody.
        if self.until_by_user.is_empty() {
            return false;
        }
        let is_in =
            |name: &str| self.until_by_user.get(name).is_some_and(|until| now.unix_ms < *until);
        is_in(user) || plain_name(user).is_some_and(|name| is_in(&name))
    }

    fn add(&mut self, revocation: Revocation) {
        let until = revocation.until_unix_ms.unwrap_or(i64::MAX);
        self.until_by_user.insert(revocation.user, until);
    }

    /// Makes room by forgetting those whose time is over.
    fn has_room(&mut self, now: Now, user: &str) -> bool {
        if self.until_by_user.len() >= REVOCATIONS_MAX {
            self.until_by_user.retain(|_, until| now.unix_ms < *until);
        }
        self.until_by_user.len() < REVOCATIONS_MAX || self.until_by_user.contains_key(user)
    }
}

/// Who has a token of the tenant `default` is known by his name alone, too.
fn is_of(allocation: &Allocation, user: &str) -> bool {
    let own = &allocation.who.user;
    **own == *user || plain_name(own).is_some_and(|name| *name == *user)
}

impl Relay {
    /// Ends every allocation of a user and refuses his credentials from here on.
    pub(super) fn revoke(&mut self, now: Now, revocation: Revocation) {
        self.close_all(now, EndReason::Revoked, |allocation| is_of(allocation, &revocation.user));
        if self.guard.revocations.has_room(now, &revocation.user) {
            self.guard.revocations.add(revocation);
        }
    }

    /// Ends allocations of a user, or those of them that one session of signaling made.
    pub(super) fn end_allocations(&mut self, now: Now, user: &str, session: Option<&str>) {
        self.close_all(now, EndReason::Ended, |allocation| {
            let made_in =
                |session| allocation.username.rsplit_once('~').map(|(_, of)| of) == session;
            is_of(allocation, user) && session.is_none_or(|session| made_in(Some(session)))
        });
    }

    fn close_all(&mut self, now: Now, why: EndReason, is_one: impl Fn(&Allocation) -> bool) {
        let found = self.allocations.iter().filter(|(_, allocation)| is_one(allocation));
        let slots: Vec<usize> = found.map(|(slot, _)| slot).collect();
        for slot in slots {
            let tuple = self.allocations[slot].tuple;
            self.expiry.remove(self.allocations[slot].next_expiry(), slot);
            self.close(now, slot, why);
            self.close_stream(tuple);
        }
    }

    /// Handles a command and says how many allocations ended by it; `None`, and nothing is done, if
    /// it is a revocation that would not be remembered.
    pub fn carry_out(&mut self, now: Now, command: Command) -> Option<usize> {
        if let Command::Revoke(revocation) = &command
            && !self.guard.revocations.has_room(now, &revocation.user)
        {
            return None;
        }
        let before = self.allocation_count();
        self.handle(now, Input::Command(command));
        Some(before - self.allocation_count())
    }

    /// Lets a user in again.
    pub(super) fn restore(&mut self, user: &str) {
        self.guard.revocations.until_by_user.remove(user);
    }
}
