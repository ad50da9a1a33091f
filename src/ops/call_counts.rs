//! Calls and pages, counted from what the switchboard says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::call::fact::Fact;
use crate::call::state::{CallStatus, EndReason};

/// What was counted so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallCounts {
    /// Sessions that are on.
    pub sessions: u64,
    ended: BTreeMap<EndReason, u64>,
    by_status: BTreeMap<CallStatus, u64>,
}

impl CallCounts {
    /// Calls that are over by their reason, every reason there is.
    #[must_use]
    pub fn ended(&self) -> Vec<(&'static str, u64)> {
        let count = |reason: &EndReason| self.ended.get(reason).copied().unwrap_or(0);
        EndReason::ALL.iter().map(|reason| (reason.code(), count(reason))).collect()
    }

    /// The same by the status on record.
    #[must_use]
    pub fn by_status(&self) -> Vec<(&'static str, u64)> {
        let all = [
            CallStatus::Completed,
            CallStatus::Missed,
            CallStatus::Rejected,
            CallStatus::Busy,
            CallStatus::Failed,
        ];
        let count = |status| self.by_status.get(&status).copied().unwrap_or(0);
        all.map(|status| (status.code(), count(status))).to_vec()
    }

    fn note(&mut self, fact: &Fact) {
        match fact {
            Fact::SessionOpened { .. } => self.sessions += 1,
            Fact::SessionEnded { .. } => self.sessions = self.sessions.saturating_sub(1),
            Fact::CallEnded { status, reason, .. } => {
                *self.ended.entry(*reason).or_default() += 1;
                *self.by_status.entry(*status).or_default() += 1;
            }
            Fact::SessionResumed { .. }
            | Fact::Refused { .. }
            | Fact::RowLost { .. }
            | Fact::CallCut { .. }
            | Fact::CallsNearBound { .. } => {}
        }
    }
}

/// Shared by who counts and who shows.
#[derive(Debug, Clone, Default)]
pub struct CallCounter(Arc<Mutex<CallCounts>>);

impl CallCounter {
    /// Counts what happened.
    pub fn note(&self, fact: &Fact) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).note(fact);
    }

    /// What was counted so far.
    #[must_use]
    pub fn read(&self) -> CallCounts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::identity::{TenantId, UserId};
    use crate::call::fact::SessionEnd;
    use crate::call::ulid::{CallId, SessionId, Ulid};

    #[test]
    fn sessions_come_and_go_and_calls_stay_counted() {
        let counter = CallCounter::default();
        let session = SessionId(Ulid::new(1, 1));
        let (tenant, user) = (TenantId::default_tenant(), UserId::new("alice").unwrap());
        counter.note(&Fact::SessionOpened { session, tenant: tenant.clone(), user });
        assert_eq!(counter.read().sessions, 1);
        counter.note(&Fact::SessionEnded { session, reason: SessionEnd::Bye });
        counter.note(&Fact::CallEnded {
            call: CallId(Ulid::new(1, 2)),
            tenant,
            status: CallStatus::Failed,
            reason: EndReason::IceFailed,
            talk_ms: 0,
        });
        let counted = counter.read();
        assert_eq!(counted.sessions, 0);
        let seen = |rows: Vec<(&'static str, u64)>| {
            rows.into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>()
        };
        assert_eq!(seen(counted.ended()), [("ice_failed", 1)]);
        assert_eq!(seen(counted.by_status()), [("FAILED", 1)]);
        assert_eq!(counted.ended().len(), EndReason::ALL.len());
    }
}
