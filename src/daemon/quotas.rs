//! Who has nearly all he may have: told in the log, by `turnbell status` and in the metrics, before
//! he is refused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::auth::identity::TenantId;
use crate::edge::json::{QuotaHealth, QuotaWord};
use crate::limits::quota::{QUOTA_LINES_MAX, QUOTA_LOOK_INTERVAL, QUOTA_NAMED_MAX, QUOTA_TOLD_FOR};
use crate::ops::log::printable;
use crate::plane::handle::Handle;
use crate::time::Now;

/// What is known of it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Near {
    /// Tenants near their bound of calls: calls when that was noticed, and the bound.
    calls: Arc<Mutex<BTreeMap<TenantId, (usize, usize)>>>,
}

impl Near {
    /// Signaling says that a tenant came near its bound, or is no longer.
    pub(super) fn calls(&self, tenant: TenantId, calls: usize, calls_max: usize, is_near: bool) {
        let mut near = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if is_near {
            near.insert(tenant, (calls, calls_max));
        } else {
            near.remove(&tenant);
        }
    }

    /// Everybody; `None` if it is nobody.
    pub(super) fn read(&self, handle: &Handle) -> Option<QuotaHealth> {
        let word = |quota: &str, who: &str, used: u64, limit: u64| QuotaWord {
            quota: quota.to_owned(),
            who: who.to_owned(),
            used,
            limit,
        };
        let held = handle.near_quota(QUOTA_NAMED_MAX);
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let total = held
            .total
            .map(|used| word("all_allocations", "", used.into(), held.limits.total.into()));
        let tenants = calls.iter().take(QUOTA_NAMED_MAX).map(|(tenant, (used, limit))| {
            word("calls", tenant.as_str(), *used as u64, *limit as u64)
        });
        let limit = u64::from(held.limits.per_user);
        let users =
            held.users.iter().map(|(user, used)| word("allocations", user, (*used).into(), limit));
        let near: Vec<QuotaWord> = total.into_iter().chain(tenants).chain(users).collect();
        let (users, total) = (held.users_count, usize::from(held.total.is_some()));
        (!near.is_empty()).then(|| QuotaHealth { users, total, tenants: calls.len(), near })
    }
}

/// Who was told of, and when.
#[derive(Debug, Default)]
struct Told {
    at_by_who: BTreeMap<(String, String), Instant>,
}

impl Told {
    /// Those that are to be told of, and how many more there are for whom there is no line.
    fn news(&mut self, now: Now, near: Vec<QuotaWord>) -> (Vec<QuotaWord>, usize) {
        let is_fresh = |at: &Instant| now.mono.saturating_duration_since(*at) < QUOTA_TOLD_FOR;
        self.at_by_who.retain(|_, at| is_fresh(at));
        let mut news = near;
        news.retain(|word| {
            self.at_by_who.insert((word.quota.clone(), word.who.clone()), now.mono).is_none()
        });
        let more = news.len().saturating_sub(QUOTA_LINES_MAX);
        news.truncate(QUOTA_LINES_MAX);
        (news, more)
    }
}

/// Looks again and again, and tells the log of who is new.
pub(super) async fn watch(near: Near, handle: Handle) {
    let mut look = tokio::time::interval(QUOTA_LOOK_INTERVAL);
    let mut told = Told::default();
    loop {
        look.tick().await;
        let found = near.read(&handle).map(|health| health.near).unwrap_or_default();
        let (news, more) = told.news(Now::read(), found);
        for QuotaWord { quota, who, used, limit } in news {
            let who = printable(&who);
            tracing::warn!(quota, who, used, limit, "a quota is nearly used up");
        }
        if more > 0 {
            tracing::warn!(more, "quotas are nearly used up; `turnbell status` names some");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(who: usize) -> QuotaWord {
        QuotaWord { quota: "calls".to_owned(), who: who.to_string(), used: 8, limit: 10 }
    }

    #[test]
    fn each_is_told_of_once_in_a_while_and_many_only_as_a_number() {
        let (mut told, start) = (Told::default(), Now::read());
        let all = || (0..=QUOTA_LINES_MAX).map(word).collect::<Vec<_>>();
        let (news, more) = told.news(start, all());
        assert_eq!((news.len(), more), (QUOTA_LINES_MAX, 1));
        let just_before = start.after(QUOTA_TOLD_FOR - std::time::Duration::from_nanos(1));
        assert_eq!(told.news(just_before, vec![word(0)]), (vec![], 0));
        assert_eq!(told.news(just_before, vec![word(99)]), (vec![word(99)], 0));
    }

    #[test]
    fn who_is_near_again_after_a_while_is_told_of_again() {
        let (mut told, start) = (Told::default(), Now::read());
        assert_eq!(told.news(start, vec![word(0)]).0.len(), 1);
        assert_eq!(told.news(start.after(QUOTA_TOLD_FOR), vec![word(0)]).0.len(), 1);
    }
}
