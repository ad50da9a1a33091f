//! Revoked users as the edge knows them: their tokens do not count, whoever signed them.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::auth::credential::turn_user;
use crate::auth::identity::{Identity, TenantId};
use crate::limits::revocation::REVOCATIONS_MAX;
use crate::time::Now;

/// Who is revoked, by the same names as in the relay and on record.
#[derive(Debug, Default)]
pub struct Revoked(RwLock<HashMap<Box<str>, i64>>);

impl Revoked {
    /// Those on record: users, and until when (Unix milliseconds; `None`: until it is undone).
    pub fn load(&self, users: impl IntoIterator<Item = (Box<str>, Option<i64>)>) {
        for (user, until) in users.into_iter().take(REVOCATIONS_MAX) {
            self.add(&user, until);
        }
    }

    /// Holds from here on. The relay, which is asked first, bounds how many there are.
    pub fn add(&self, user: &str, until_unix_ms: Option<i64>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() < REVOCATIONS_MAX || all.contains_key(user) {
            all.insert(user.into(), until_unix_ms.unwrap_or(i64::MAX));
        }
    }

    /// Lets him in again.
    pub fn remove(&self, user: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(user);
    }

    /// Whether this user's tokens are refused.
    #[must_use]
    pub fn holds(&self, now: Now, who: &Identity) -> bool {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return false;
        }
        let is_in = |name: &str| all.get(name).is_some_and(|until| now.unix_ms < *until);
        // A name without a tenant means him of the tenant `default` (`auth::whom`).
        is_in(&turn_user(&who.tenant, &who.user))
            || who.tenant == TenantId::default_tenant() && is_in(who.user.as_str())
    }
}
