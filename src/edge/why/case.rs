//! What the record holds about it.

use super::About;
use crate::auth::credential::turn_user;
use crate::auth::whom::plain_name;
use crate::call::rows::{EventRow, TimelineKind};
use crate::call::state::PartyRole;
use crate::call::ulid::SessionId;
use crate::edge::calls_json::{CallItem, Eyes};
use crate::limits::why::{WHY_AFTER_CALL, WHY_BEFORE_CALL, WHY_CALLS_MAX, WHY_ROWS_MAX};
use crate::store::{
    CallQuery, CallRecord, LogEvent, LogKind, LogQuery, LogRow, SessionRow, Store, StoreError,
};
use crate::time::Now;

/// Everything that was found.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) about: About,
    pub(super) from: i64,
    pub(super) until: i64,
    pub(super) now: i64,
    /// Newest first.
    pub(super) calls: Vec<CallCase>,
    /// Oldest first.
    pub(super) log: Vec<LogRow>,
    pub(super) is_cut: bool,
}

/// A call with what happened in it.
#[derive(Debug, Clone)]
pub(super) struct CallCase {
    pub(super) record: CallRecord,
    /// In order.
    pub(super) timeline: Vec<EventRow>,
}

impl Case {
    /// Reads it; `None` if it is about a call that is not there.
    pub(super) fn of(
        store: &Store,
        now: Now,
        about: &About,
        since: Option<i64>,
    ) -> Result<Option<Self>, StoreError> {
        let (mut from, mut until) = about.window(now, since);
        let mut names: Option<Vec<String>> = None;
        let found = match about {
            About::Call(id) => {
                let Some(record) = store.call(*id)? else { return Ok(None) };
                let call = &record.call;
                from = call.started_at.saturating_sub(ms(WHY_BEFORE_CALL));
                let end = call.ended_at.unwrap_or(now.unix_ms);
                until = end.saturating_add(ms(WHY_AFTER_CALL)).min(now.unix_ms);
                names = Some(names_of(&record));
                vec![record]
            }
            About::Moment(_) => calls(store, from, until, Vec::new())?,
            About::User { user, names: of_user } => {
                names = Some(of_user.clone());
                match user {
                    Some(user) => calls(store, from, until, vec![user.clone()])?,
                    None => Vec::new(),
                }
            }
        };
        let mut is_cut = found.len() > WHY_CALLS_MAX;
        let mut cases = Vec::new();
        for record in found.into_iter().take(WHY_CALLS_MAX) {
            let timeline = store.timeline(record.call.call, 0, WHY_ROWS_MAX)?;
            cases.push(CallCase { record, timeline });
        }
        let mut log = Vec::new();
        for query in queries(names.as_deref(), from, until) {
            let rows = store.log(&query)?;
            is_cut |= rows.len() >= query.limit;
            log.extend(rows);
        }
        log.sort_by_key(|row| row.at_unix_ms);
        let (about, calls, now) = (about.clone(), cases, now.unix_ms);
        Ok(Some(Self { about, from, until, now, calls, log, is_cut }))
    }

    /// Rows of this user within these times.
    pub(super) fn log_of(&self, names: &[String], from: i64, until: i64) -> Vec<&LogRow> {
        let is_his = |row: &&LogRow| {
            (from..=until).contains(&row.at_unix_ms)
                && user_of(&row.event).is_some_and(|user| names.iter().any(|name| name == user))
        };
        self.log.iter().filter(is_his).collect()
    }
}

impl CallCase {
    pub(super) fn item(&self) -> CallItem {
        CallItem::whole(&self.record, Eyes::default())
    }

    pub(super) fn has(&self, kind: TimelineKind) -> bool {
        self.timeline.iter().any(|event| event.kind == kind)
    }

    pub(super) fn count(&self, kind: TimelineKind) -> usize {
        self.timeline.iter().filter(|event| event.kind == kind).count()
    }

    pub(super) fn ended_at(&self, now: i64) -> i64 {
        self.record.call.ended_at.unwrap_or(now)
    }

    /// Who was on this side, as a person would say it.
    pub(super) fn name(&self, role: PartyRole) -> &str {
        match role {
            PartyRole::Caller => self.record.call.caller.as_str(),
            PartyRole::Callee => self.record.call.callee.as_str(),
        }
    }

    /// Names under which the relay may have this side.
    pub(super) fn names(&self, role: PartyRole) -> Vec<String> {
        let call = &self.record.call;
        let user = match role {
            PartyRole::Caller => &call.caller,
            PartyRole::Callee => &call.callee,
        };
        vec![turn_user(&call.tenant, user), user.as_str().to_owned()]
    }

    /// Its sessions; with one, only relays of that session are this call's.
    pub(super) fn sessions(&self, role: PartyRole) -> Vec<SessionId> {
        let parties = self.record.parties.iter().filter(|party| party.role == role);
        parties.filter_map(|party| party.session).collect()
    }

    /// The side of a party.
    pub(super) fn role_of(&self, event: &EventRow) -> Option<PartyRole> {
        let party = event.party?;
        self.record.parties.iter().find(|one| one.party == party).map(|one| one.role)
    }
}

fn calls(
    store: &Store,
    from: i64,
    until: i64,
    users: Vec<crate::auth::identity::UserId>,
) -> Result<Vec<CallRecord>, StoreError> {
    let limit = WHY_CALLS_MAX + 1;
    let query = CallQuery { users, since_unix_ms: Some(from), limit, ..CallQuery::default() };
    let mut found = store.calls(&query)?;
    found.retain(|record| record.call.started_at <= until);
    Ok(found)
}

fn names_of(record: &CallRecord) -> Vec<String> {
    let call = &record.call;
    let mut names = Vec::new();
    for user in [&call.caller, &call.callee] {
        for name in [turn_user(&call.tenant, user), user.as_str().to_owned()] {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

/// Of these users, or of everybody; and what happened to the daemon itself.
fn queries(names: Option<&[String]>, from: i64, until: i64) -> Vec<LogQuery> {
    let (since_unix_ms, until_unix_ms) = (Some(from), Some(until));
    let of = |user: Option<String>, kind| LogQuery {
        user,
        kind,
        since_unix_ms,
        until_unix_ms,
        limit: WHY_ROWS_MAX,
    };
    match names {
        None => vec![of(None, None)],
        Some(names) => {
            let users = names.iter().map(|name| of(Some(name.clone()), None));
            let everybodys = [LogKind::Run, LogKind::Config].map(|kind| of(None, Some(kind)));
            users.chain(everybodys).collect()
        }
    }
}

/// Whom a row is about.
pub(super) fn user_of(event: &LogEvent) -> Option<&str> {
    match event {
        LogEvent::CredentialIssued { user, .. } | LogEvent::AuthenticationFailed { user, .. } => {
            Some(user)
        }
        LogEvent::AllocationOpened(row) | LogEvent::AllocationClosed(row) => Some(&row.user),
        LogEvent::AuthenticationFailuresCounted { .. }
        | LogEvent::ConfigChanged { .. }
        | LogEvent::RunStarted { .. }
        | LogEvent::RunEnded { .. } => None,
    }
}

/// A name as people say it: without the tenant `default`.
pub(super) fn said(name: &str) -> String {
    plain_name(name).unwrap_or_else(|| name.to_owned())
}

/// Whether an allocation was made in this session of signaling.
pub(super) fn is_of_session(row: &SessionRow, sessions: &[SessionId]) -> bool {
    sessions.iter().any(|session| row.username.ends_with(&format!("~{session}")))
}

pub(super) fn ms(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
