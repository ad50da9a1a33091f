//! What somebody in charge wants: other tenants, a user out, a call over, everybody away (T27).

use std::sync::Arc;
use std::time::Duration;

use super::contract::{Actor, CloseCode, Command, Output};
use super::event::Event;
use super::fact::SessionEnd;
use super::lookup::{already_answered, not_party};
use super::options::Tenants;
use super::refusal::Refusal;
use super::state::EndReason;
use super::switchboard::Switchboard;
use super::ulid::{CallId, SessionId};
use super::user::UserKey;
use crate::auth::identity::TenantId;
use crate::time::Now;

impl Switchboard {
    pub(super) fn command(&mut self, now: Now, command: Command) -> Result<(), Refusal> {
        match command {
            Command::Tenants(tenants) => self.replace_tenants(now, tenants),
            Command::RevokeUser { tenant, user } => self.revoke(now, &UserKey { tenant, user }),
            Command::RefreshIce => {
                for session in self.sessions.keys() {
                    self.ice_refresh(now, session);
                }
            }
            Command::Drain { spread } => self.drain(now, spread),
            Command::EndCall { by, call } => {
                let is_before = !self.call_for(&by, call)?.is_answered();
                let is_his = matches!(by, Actor::User(_)) && !self.governs(&by);
                let reason = match (is_his, is_before) {
                    (false, _) => EndReason::Admin,
                    (true, false) => EndReason::Hangup,
                    (true, true) if self.is_caller(&by, call) => EndReason::Cancelled,
                    (true, true) => EndReason::Declined,
                };
                self.end_call(now, call, reason);
            }
            Command::RejectCall { by, call } => {
                let rung = self.call_for(&by, call)?;
                if rung.is_answered() {
                    return Err(already_answered());
                }
                if let Actor::User(identity) = &by
                    && rung.callee().user != identity.user
                    && !identity.role.governs_calls()
                {
                    return Err(not_party());
                }
                self.end_call(now, call, EndReason::Declined);
            }
            Command::LoadBlocks(blocks) => self.load_blocks(blocks),
            Command::Restore(calls) => self.restore(now, calls),
        }
        Ok(())
    }

    fn governs(&self, by: &Actor) -> bool {
        match by {
            Actor::Operator | Actor::Tenant(_) => true,
            Actor::User(identity) => identity.role.governs_calls(),
        }
    }

    fn is_caller(&self, by: &Actor, id: CallId) -> bool {
        let Actor::User(identity) = by else { return false };
        self.calls.get(id).is_some_and(|call| call.caller().user == identity.user)
    }

    fn revoke(&mut self, now: Now, key: &UserKey) {
        let user = self.users.get(key);
        let calls = user.map(|user| user.calls.clone()).unwrap_or_default();
        let sessions = user.map(|user| user.sessions.clone()).unwrap_or_default();
        for call in calls {
            self.end_call(now, call, EndReason::Revoked);
        }
        for session in sessions {
            self.end_session(now, session, SessionEnd::Revoked);
        }
    }

    fn replace_tenants(&mut self, now: Now, tenants: Arc<Tenants>) {
        self.tenants = tenants;
        let tenants = Arc::clone(&self.tenants);
        let is_gone = |tenant: &TenantId| {
            tenants.options_by_tenant.get(tenant).is_none_or(|options| options.is_suspended)
        };
        for call in self.calls.keys() {
            if self.calls.get(call).is_some_and(|call| is_gone(&call.tenant)) {
                self.end_call(now, call, EndReason::Revoked);
            }
        }
        for session in self.sessions.keys() {
            let tenant = self.sessions.get(session).map(|session| &session.key.tenant);
            if tenant.is_some_and(is_gone) {
                self.end_session(now, session, SessionEnd::Tenant);
            }
        }
    }

    /// Everybody is sent away; what lives goes on in the record.
    fn drain(&mut self, now: Now, spread: Duration) {
        self.is_draining = true;
        for session in self.sessions.keys() {
            self.send_away(now, session, spread);
        }
    }

    fn send_away(&mut self, now: Now, id: SessionId, spread: Duration) {
        let spread_ms = spread.as_millis().max(1);
        let part = u64::try_from(self.entropy.bits() % spread_ms).unwrap_or(0);
        let retry_in = Duration::from_millis(part);
        let Some(connection) = self.sessions.get(id).and_then(|session| session.connection) else {
            return;
        };
        self.tell(now, id, Event::ServerDraining { retry_in });
        let (code, retry_in) = (CloseCode::Draining, Some(retry_in));
        self.outputs.push_back(Output::Close { connection, code, retry_in });
        self.lose(now, id);
    }
}
