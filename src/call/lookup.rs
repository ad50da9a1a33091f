//! From an id to a call: the one place where the walls between tenants and between users stand.

use super::contract::Actor;
use super::live_call::LiveCall;
use super::refusal::{ErrorCode, Refusal};
use super::switchboard::Switchboard;
use super::ulid::{CallId, SessionId};
use super::user::UserKey;
use crate::auth::identity::{TenantId, UserId};

impl Switchboard {
    /// The live call `id`, if it is one of the session's tenant and user.
    ///
    /// # Errors
    /// `not_found` if there is none, or it is of another tenant; `not_party` if it is of others;
    /// `call_ended` if it was his and is over.
    pub(super) fn call_of(&self, session: SessionId, id: CallId) -> Result<&LiveCall, Refusal> {
        let session = self.sessions.get(session).ok_or_else(not_found)?;
        self.call_of_user(&session.key, id)
    }

    /// The same for a user.
    ///
    /// # Errors
    /// The same.
    fn call_of_user(&self, key: &UserKey, id: CallId) -> Result<&LiveCall, Refusal> {
        let Some(call) = self.call_in(&key.tenant, id) else {
            return match self.ended.was_of(id, key) {
                true => Err(Refusal::new(ErrorCode::CallEnded, "the call is over")),
                false => Err(not_found()),
            };
        };
        match call.party_of(&key.user) {
            Some(_) => Ok(call),
            None => Err(not_party()),
        }
    }

    /// The wall: a call of another tenant is not there.
    fn call_in(&self, tenant: &TenantId, id: CallId) -> Option<&LiveCall> {
        self.calls.get(id).filter(|call| call.tenant == *tenant)
    }

    /// The call, if somebody outside of the connections may do something to it.
    ///
    /// # Errors
    /// `not_found`, also for another tenant's and for somebody else's (P26); `call_ended`.
    pub(super) fn call_for(&self, by: &Actor, id: CallId) -> Result<&LiveCall, Refusal> {
        match by {
            Actor::Operator => self.calls.get(id).ok_or_else(not_found),
            Actor::Tenant(tenant) => self.call_in(tenant, id).ok_or_else(not_found),
            Actor::User(identity) if identity.role.governs_calls() => {
                self.call_in(&identity.tenant, id).ok_or_else(not_found)
            }
            Actor::User(identity) => {
                self.call_of_user(&UserKey::of(identity), id).map_err(|refusal| {
                    let is_others = refusal.code == ErrorCode::NotParty;
                    if is_others { not_found() } else { refusal }
                })
            }
        }
    }

    /// The call and which party's seat the session has in it.
    ///
    /// # Errors
    /// As above; `not_party` also for another page of a party.
    pub(super) fn seat(
        &self,
        session: SessionId,
        id: CallId,
    ) -> Result<(&LiveCall, usize), Refusal> {
        let call = self.call_of(session, id)?;
        let index = call.seated(session).ok_or_else(not_party)?;
        Ok((call, index))
    }

    /// Who a session is.
    pub(super) fn user_of(&self, session: SessionId) -> Option<&UserId> {
        self.sessions.get(session).map(|session| &session.key.user)
    }

    /// Whether the session has a seat in any live call.
    pub(super) fn has_seat(&self, session: SessionId) -> bool {
        !self.seats_of(session).is_empty()
    }

    /// The live calls in which the session has a seat.
    pub(super) fn seats_of(&self, session: SessionId) -> Vec<CallId> {
        let Some(key) = self.sessions.get(session).map(|session| &session.key) else {
            return Vec::new();
        };
        let calls = self.users.get(key).into_iter().flat_map(|user| user.calls.iter().copied());
        let has_seat = |call: &CallId| {
            self.calls.get(*call).is_some_and(|call| call.seated(session).is_some())
        };
        calls.filter(has_seat).collect()
    }

    /// Whether an unanswered call rings, or is about to, on this device.
    pub(super) fn rings_on(&self, call: CallId, session: SessionId) -> bool {
        self.calls.get(call).is_some_and(|call| {
            !call.is_answered() && call.rings.iter().any(|ring| ring.session == session)
        })
    }
}

fn not_found() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no such call")
}

pub(super) fn not_party() -> Refusal {
    Refusal::new(ErrorCode::NotParty, "this session has no such part in the call")
}

pub(super) fn already_answered() -> Refusal {
    Refusal::new(ErrorCode::AlreadyAnswered, "the call was answered on another device")
}

/// The request makes no sense in this state of the call.
pub(super) fn not_now(what: &str, call: &LiveCall) -> Refusal {
    let message = format!("{what} is not possible while the call is {}", call.state().code());
    Refusal::new(ErrorCode::BadRequest, &message)
}
