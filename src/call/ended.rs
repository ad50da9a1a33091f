//! Calls that are over, remembered for a while: whoever is late hears `call_ended`.

use std::collections::{HashMap, VecDeque};

use super::ulid::CallId;
use super::user::UserKey;
use crate::limits::call::ENDED_CALLS_MAX;

/// The last ended calls and who was in them.
#[derive(Debug, Default)]
pub(super) struct Ended {
    parties_by_call: HashMap<CallId, Vec<UserKey>>,
    order: VecDeque<CallId>,
}

impl Ended {
    pub(super) fn insert(&mut self, call: CallId, parties: Vec<UserKey>) {
        self.parties_by_call.insert(call, parties);
        self.order.push_back(call);
        if self.order.len() > ENDED_CALLS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.parties_by_call.remove(&oldest);
        }
    }

    /// Whether it was a call of this user.
    pub(super) fn was_of(&self, call: CallId, user: &UserKey) -> bool {
        self.parties_by_call.get(&call).is_some_and(|parties| parties.contains(user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::identity::{TenantId, UserId};
    use crate::call::ulid::Ulid;

    #[test]
    fn the_last_4096_calls_are_known_to_those_who_were_in_them() {
        let user =
            |name| UserKey { tenant: TenantId::default_tenant(), user: UserId::new(name).unwrap() };
        let mut ended = Ended::default();
        let call = |n: usize| CallId(Ulid::new(n as i64, 0));
        for n in 0..ENDED_CALLS_MAX {
            ended.insert(call(n), vec![user("alice")]);
        }
        assert!(ended.was_of(call(0), &user("alice")));
        assert!(!ended.was_of(call(0), &user("bob")));
        ended.insert(call(ENDED_CALLS_MAX), vec![]);
        assert!(!ended.was_of(call(0), &user("alice")));
        assert!(ended.was_of(call(1), &user("alice")));
    }
}
