//! What happened, for logs and metrics; may be dropped and counted if nobody keeps up.

use super::refusal::ErrorCode;
use super::state::{CallStatus, EndReason};
use super::ulid::{CallId, SessionId};
use crate::auth::identity::{TenantId, UserId};

/// Something a reader may want to count or log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A user connected anew.
    SessionOpened {
        /// Which session.
        session: SessionId,
        /// Whose tenant.
        tenant: TenantId,
        /// Who.
        user: UserId,
    },
    /// A session went on over a new socket.
    SessionResumed {
        /// Which session.
        session: SessionId,
    },
    /// A session is over.
    SessionEnded {
        /// Which session.
        session: SessionId,
        /// Why.
        reason: SessionEnd,
    },
    /// A request was refused.
    Refused {
        /// Whose tenant.
        tenant: TenantId,
        /// Who asked.
        user: UserId,
        /// Why.
        code: ErrorCode,
    },
    /// A call ended, or never came to be.
    CallEnded {
        /// Which.
        call: CallId,
        /// Whose.
        tenant: TenantId,
        /// How.
        status: CallStatus,
        /// Why.
        reason: EndReason,
        /// How long it was active, milliseconds.
        talk_ms: u64,
    },
    /// Somebody in charge ended a call (T27): what was relayed for it is to end with it.
    CallCut {
        /// Which.
        call: CallId,
        /// Whose.
        tenant: TenantId,
        /// Its parties' sessions that are in no other call.
        seats: Vec<(UserId, SessionId)>,
    },
    /// A tenant has come near its bound of calls, or is no longer.
    CallsNearBound {
        /// Which.
        tenant: TenantId,
        /// Calls that are not over.
        calls: usize,
        /// How many there may be.
        calls_max: usize,
        /// Whether it is near.
        is_near: bool,
    },
    /// A row could not be stored; it is lost.
    RowLost {
        /// Of which call, if of one.
        call: Option<CallId>,
    },
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SessionEnd {
    /// The client said so.
    Bye,
    /// Its socket was lost and did not come back in time.
    Lost,
    /// Its token expired.
    Expired,
    /// Its user was thrown out.
    Revoked,
    /// Its tenant is gone or switched off.
    Tenant,
    /// It was lost, and its user needed the room for a new one.
    Displaced,
}
