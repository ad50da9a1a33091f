//! From an id to a call: the one place where the walls between tenants and between users stand.

use super::live_call::LiveCall;
use super::refusal::{ErrorCode, Refusal};
use super::switchboard::Switchboard;
use super::ulid::{CallId, SessionId};
use super::user::UserKey;
use crate::auth::identity::UserId;

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
    pub(super) fn call_of_user(&self, key: &UserKey, id: CallId) -> Result<&LiveCall, Refusal> {
        let call = self.calls.get(id).filter(|call| call.tenant == key.tenant);
        let Some(call) = call else {
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

pub(super) fn not_found() -> Refusal {
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
